-- What was set aside: read again, or deleted, by operators; and by whom.
--
-- Nothing is done twice by reading a message again: an event takes its place (task, attempt,
-- seq) or is a duplicate; an offer is never sent again from old bytes, the tables make new ones.
SET LOCAL ROLE hler_owner;

-- Facts are JSON that our programs wrote; one that is not must not hide the others.
CREATE FUNCTION hler_core.dead_fact(facts text, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN facts::json ->> key;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- What a message is: event (of an attempt, as it came), fact (of an attempt, as the tables
-- understood it), offer, or other: claims and heartbeats, which are said again anyhow.
CREATE FUNCTION hler_core.dead_kind(m hler.dead_message) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key text := hler_core.dead_fact(m.facts, 'routing_key');
BEGIN
    RETURN CASE WHEN m.source = 'hler.tasks' OR m.source = 'hler.dead' AND key !~ '\.' THEN 'offer'
                WHEN key ~ '^[^.]+\.attempt\.' THEN 'event'
                WHEN hler_core.dead_fact(m.facts, 'task') IS NOT NULL THEN 'fact'
                ELSE 'other' END;
END $$;

CREATE FUNCTION hler_core.dead_note(m hler.dead_message, act text, actor text, note text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO hler.dead_act (message, act, login, actor, note, source, reason, facts)
    VALUES (m.id, act, session_user, left(actor, 200), left(note, 1000), m.source, m.reason, m.facts)
$$;

-- It has done its work, or there is none left for it.
CREATE FUNCTION hler_core.dead_settled(m hler.dead_message, actor text, note text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hler_core.dead_note(m, 'settled', actor, note);
    DELETE FROM hler.dead_message AS d WHERE d.id = m.id;
END $$;

CREATE FUNCTION hler_core.dead_kept(m hler.dead_message, actor text, note text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hler_core.dead_note(m, 'kept', actor, note);
    UPDATE hler.dead_message AS d SET redrive_at = NULL, said = left(note, 1000) WHERE d.id = m.id;
END $$;

-- A tombstone holds the number of an event that could not be recorded: it makes room for the
-- event, with what it was counted as.
CREATE FUNCTION hler_core.lift_tombstone(username text, kind text, task uuid, attempt int, token text, seq bigint)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM hler.event AS e USING hler.attempt AS a
     WHERE a.task = lift_tombstone.task AND a.attempt = lift_tombstone.attempt AND a.token = lift_tombstone.token
       AND a.worker = username AND e.task = a.task AND e.attempt = a.attempt AND e.offered_on = a.offered_on
       AND e.seq = lift_tombstone.seq AND e.kind = 'tombstone';
    IF FOUND THEN
        UPDATE hler.attempt AS a
           SET events_recorded = a.events_recorded - 1,
               results_recorded = a.results_recorded - (lift_tombstone.kind = 'result')::int
         WHERE a.task = lift_tombstone.task AND a.attempt = lift_tombstone.attempt;
    END IF;
END $$;

-- Record one event as if it came now.  The verdict, as record_state() gives it.
CREATE FUNCTION hler_core.redrive_event(username text, kind text, task uuid, attempt int, token text, seq bigint,
                                        at timestamptz, stream text, piece text, raw bytea, data text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    verdict text;
BEGIN
    PERFORM hler_core.lock_operations(ARRAY[task]);
    PERFORM hler_core.lock_attempts(ARRAY[task], ARRAY[attempt]);
    IF kind <> 'output' AND NOT hler_core.is_recordable(kind, seq, data) THEN
        RETURN 'not_recordable';
    END IF;
    PERFORM hler_core.lift_tombstone(username, kind, task, attempt, token, seq);
    PERFORM set_config('hler.redriving', 'on', true); -- what fails again is not set aside twice
    IF kind IN ('output', 'progress') THEN
        SELECT r.verdict INTO verdict FROM hler_core.record_output(ARRAY[username], ARRAY[kind], ARRAY[task],
            ARRAY[attempt], ARRAY[token], ARRAY[seq], ARRAY[at], ARRAY[stream], ARRAY[piece], ARRAY[raw],
            ARRAY[data]) AS r;
    ELSE
        SELECT r.verdict INTO verdict FROM hler_core.record_state(ARRAY[username], ARRAY[kind], ARRAY[task],
            ARRAY[attempt], ARRAY[token], ARRAY[seq], ARRAY[at], ARRAY[data]) AS r;
    END IF;
    PERFORM set_config('hler.redriving', 'off', true);
    RETURN verdict;
END $$;

CREATE FUNCTION hler_core.dead_judged(m hler.dead_message, actor text, verdict text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF verdict IN ('recorded', 'duplicate', 'stale') THEN
        PERFORM hler_core.dead_settled(m, actor, CASE verdict
            WHEN 'recorded' THEN 'recorded' WHEN 'duplicate' THEN 'it had been recorded meanwhile'
            ELSE 'recorded as stale: its attempt was superseded' END);
        RETURN 'settled';
    END IF;
    PERFORM hler_core.dead_kept(m, actor, 'still ' || CASE verdict WHEN 'unknown' THEN 'unknown_attempt' ELSE verdict END);
    RETURN 'kept';
END $$;

-- An offer: the tables say what became of its attempt.
CREATE FUNCTION hler_core.redrive_offer(m hler.dead_message, actor text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := hler_core.dead_fact(m.facts, 'message_id');
    a    record;
BEGIN
    SELECT x.state, t.state AS task_state, t.operation INTO a
      FROM hler.attempt AS x JOIN hler.task AS t ON t.id = x.task
     WHERE name ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[0-9]{1,9}\.[0-9a-f]{16}$' AND x.task = split_part(name, '.', 1)::uuid
       AND x.attempt = split_part(name, '.', 2)::int AND x.token = split_part(name, '.', 3);
    IF NOT FOUND THEN
        PERFORM hler_core.dead_kept(m, actor, 'no attempt of that name: nobody waits for it');
        RETURN 'kept';
    END IF;
    PERFORM hler_core.dead_settled(m, actor, 'operation ' || a.operation || ': ' || CASE
        WHEN a.state = 'offered' THEN 'the tables offer it again by themselves'
        WHEN a.task_state IN ('failed', 'cancelled') THEN 'its task is ' || a.task_state || ', `hler retry` asks for it again'
        ELSE 'its task is ' || a.task_state END);
    RETURN 'settled';
END $$;

-- One locked message; 'asked': a dispatcher must read its bytes.
CREATE FUNCTION hler_core.redrive_one(m hler.dead_message, actor text, reason text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := hler_core.dead_kind(m);
    f    json;
BEGIN
    PERFORM hler_core.dead_note(m, 'asked', actor, reason);
    IF kind = 'offer' THEN
        RETURN hler_core.redrive_offer(m, actor);
    ELSIF kind = 'other' THEN
        PERFORM hler_core.dead_kept(m, actor, 'claims and heartbeats are said again by their worker: drop it');
        RETURN 'kept';
    ELSIF m.body IS NULL THEN
        PERFORM hler_core.dead_kept(m, actor, 'its bytes were not kept: the worker is asked for what is missing');
        RETURN 'kept';
    ELSIF kind = 'event' THEN
        UPDATE hler.dead_message AS d SET redrive_at = clock_timestamp(), said = NULL WHERE d.id = m.id;
        RETURN 'asked';
    END IF;
    f := m.facts::json;
    RETURN hler_core.dead_judged(m, actor, hler_core.redrive_event(f ->> 'user', f ->> 'kind', (f ->> 'task')::uuid,
        (f ->> 'attempt')::int, f ->> 'token', (f ->> 'seq')::bigint, (f ->> 'time')::timestamptz, NULL, NULL, NULL,
        convert_from(m.body, 'UTF8')));
END $$;

-- Put messages back on their way; outcome settled (it is gone from here), kept (the note says
-- why), or asked (a dispatcher reads it and notes the outcome).
CREATE FUNCTION hler_core.dead_redrive(ids bigint[], actor text, reason text)
RETURNS TABLE (id bigint, outcome text, note text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    one bigint;
    m   hler.dead_message;
BEGIN
    FOR one IN SELECT DISTINCT i FROM unnest(ids) AS i ORDER BY i LOOP
        SELECT * INTO m FROM hler.dead_message AS d WHERE d.id = one FOR UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no message % is set aside', one USING ERRCODE = 'HL404';
        END IF;
        outcome := hler_core.redrive_one(m, actor, reason);
        id := one;
        note := (SELECT a.note FROM hler.dead_act AS a WHERE a.message = one AND outcome <> 'asked' ORDER BY a.no DESC LIMIT 1);
        RETURN NEXT;
    END LOOP;
    PERFORM pg_notify('hler_work', '');
END $$;

CREATE FUNCTION hler_core.dead_drop(ids bigint[], actor text, reason text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one bigint;
    m   hler.dead_message;
    n   bigint := 0;
BEGIN
    FOR one IN SELECT DISTINCT i FROM unnest(ids) AS i ORDER BY i LOOP
        DELETE FROM hler.dead_message AS d WHERE d.id = one RETURNING * INTO m;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no message % is set aside', one USING ERRCODE = 'HL404';
        END IF;
        PERFORM hler_core.dead_note(m, 'dropped', actor, reason);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;

-- For a dispatcher: what is to be read again.  One that dies with it leaves it for another.
CREATE FUNCTION hler_core.redrive_due(max int) RETURNS TABLE (id bigint, username text, routing_key text, base64 text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT d.id FROM hler.dead_message AS d WHERE d.redrive_at <= clock_timestamp()
         ORDER BY d.redrive_at LIMIT redrive_due.max FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE hler.dead_message AS d SET redrive_at = clock_timestamp() + interval '1 minute'
      FROM due WHERE d.id = due.id
    RETURNING d.id, hler_core.dead_fact(d.facts, 'user_id'), hler_core.dead_fact(d.facts, 'routing_key'),
              translate(encode(d.body, 'base64'), E'\n', '');
END $$;

-- What it found: the event of an attempt.  Its sender is the one the broker named then.
CREATE FUNCTION hler_core.redriven(id bigint, kind text, task uuid, attempt int, token text, seq bigint,
                                   at timestamptz, stream text, piece text, raw bytea, data text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m hler.dead_message;
BEGIN
    SELECT * INTO m FROM hler.dead_message AS d WHERE d.id = redriven.id AND d.redrive_at IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL; -- another dispatcher was here, or it was dropped
    END IF;
    RETURN hler_core.dead_judged(m, NULL, hler_core.redrive_event(hler_core.dead_fact(m.facts, 'user_id'), kind, task,
        attempt, token, seq, at, stream, piece, raw, data));
END $$;

-- Or that it still cannot be understood.
CREATE FUNCTION hler_core.redrive_failed(id bigint, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m hler.dead_message;
BEGIN
    SELECT * INTO m FROM hler.dead_message AS d WHERE d.id = redrive_failed.id AND d.redrive_at IS NOT NULL FOR UPDATE;
    IF FOUND THEN
        PERFORM hler_core.dead_kept(m, NULL, 'still ' || why);
    END IF;
END $$;

-- A worker could not read this offer: as good as a refusal, so that the task does not circle
-- for ever.  The name is the message's id; one of no open offer changes nothing.
CREATE FUNCTION hler_core.offer_rejected(worker text, name text, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[0-9]{1,9}\.[0-9a-f]{16}$' AND EXISTS (
        SELECT FROM hler.attempt AS a
         WHERE a.task = split_part(name, '.', 1)::uuid AND a.attempt = split_part(name, '.', 2)::int
           AND a.token = split_part(name, '.', 3) AND a.state = 'offered') THEN
        PERFORM hler_core.record_state(ARRAY[worker], ARRAY['refused'], ARRAY[split_part(name, '.', 1)::uuid],
            ARRAY[split_part(name, '.', 2)::int], ARRAY[split_part(name, '.', 3)], ARRAY[NULL::bigint],
            ARRAY[clock_timestamp()], ARRAY[json_build_object('cause', 'version', 'message',
                'worker ' || worker || ' does not understand the offer: ' || why)::text]);
    END IF;
END $$;

GRANT EXECUTE ON FUNCTION hler_core.dead_redrive(bigint[], text, text), hler_core.dead_drop(bigint[], text, text),
    hler_core.dead_fact(text, text) TO hler_operator;
GRANT EXECUTE ON FUNCTION hler_core.redrive_due(int), hler_core.redrive_failed(bigint, text),
    hler_core.redriven(bigint, text, uuid, int, text, bigint, timestamptz, text, text, bytea, text),
    hler_core.offer_rejected(text, text, text) TO hler_dispatcher;
