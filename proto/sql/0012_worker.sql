-- Workers: heartbeats, what is to be said to them, silence.
SET LOCAL ROLE hler_owner;

CREATE TYPE hler_core.beat AS (username text, control text, b jsonb);

-- What heartbeats say, each of another worker, on the workers' rows; in the order of these rows, which is
-- the same everywhere.  Returned are those that are to be answered: where another live instance has the
-- id, that keeps it; the second is shown and gets no answer, so its leases run out.
CREATE FUNCTION hler_core.heard(beats hler_core.beat[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    moment   CONSTANT timestamptz := clock_timestamp();
    answered text[];
BEGIN
    WITH written AS (
        INSERT INTO hler.worker AS x (id, instance, session, number, boot_id, pool, slots, free, held, draining, version,
            protocol, executors, spool_bytes, oldest_unsent_ms, control, note, heard_ms, started_at, last_seen_at)
        SELECT h.username, (b ->> 'instance')::uuid, (b ->> 'session')::uuid, (b ->> 'number')::bigint, b ->> 'boot_id',
               b ->> 'pool', coalesce((b ->> 'slots')::int, 0), coalesce((b ->> 'free')::int, 0),
               CASE WHEN jsonb_typeof(b -> 'held') = 'array' THEN jsonb_array_length(b -> 'held') ELSE 0 END,
               coalesce((b ->> 'draining')::boolean, false), b ->> 'version', (b ->> 'protocol')::int,
               (b -> 'executors')::json, (b ->> 'spool_bytes')::bigint, (b ->> 'oldest_unsent_ms')::bigint,
               h.control, left(coalesce(b ->> 'note', ''), 1000), s.elapsed_ms, moment, moment
          FROM unnest(beats) AS h CROSS JOIN hler.silence AS s
         ORDER BY h.username
        ON CONFLICT (id) DO UPDATE SET
            started_at = CASE WHEN x.session = excluded.session THEN x.started_at ELSE moment END,
            instance = excluded.instance, session = excluded.session, number = excluded.number,
            boot_id = excluded.boot_id, pool = excluded.pool, slots = excluded.slots, free = excluded.free,
            held = excluded.held, draining = excluded.draining, stopped = false, version = excluded.version, protocol = excluded.protocol,
            executors = excluded.executors, spool_bytes = excluded.spool_bytes,
            oldest_unsent_ms = excluded.oldest_unsent_ms, control = excluded.control, note = excluded.note,
            conflict = '', heard_ms = excluded.heard_ms, last_seen_at = moment
        WHERE x.instance = excluded.instance OR NOT hler_core.is_live(x)
        RETURNING x.id)
    SELECT array_agg(w.id) INTO answered FROM written AS w;
    IF cardinality(answered) IS DISTINCT FROM cardinality(beats) THEN
        UPDATE hler.worker AS x SET conflict = 'a second instance ' || (h.b ->> 'instance') || ' uses this id'
          FROM unnest(beats) AS h WHERE x.id = h.username AND h.username <> ALL (coalesce(answered, '{}'));
    END IF;
    RETURN QUERY SELECT unnest(answered);
END $$;

CREATE TYPE hler_core.holding AS (task uuid, attempt int, token text, state text);

-- Attempts that the tables held for lost and whose worker has them after all.  Where the start
-- is not recorded yet they stay lost, but their lease goes on: this heartbeat's answer renews it.
CREATE FUNCTION hler_core.take_back(username text, instance uuid, held hler_core.holding[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    tasks    uuid[];
    attempts int[];
BEGIN
    SELECT array_agg(a.task), array_agg(a.attempt) INTO tasks, attempts
      FROM unnest(held) AS h JOIN hler.attempt AS a ON a.task = h.task AND a.attempt = h.attempt AND a.token = h.token
     WHERE a.state = 'lost' AND NOT a.lost_said AND h.state <> 'claimed'
       AND a.worker = username AND a.instance = take_back.instance;
    IF tasks IS NOT NULL THEN
        PERFORM hler_core.lock_operations(tasks);
        PERFORM hler_core.lock_attempts(tasks, attempts);
        UPDATE hler.attempt AS a SET lost_at = clock_timestamp(), lost_ms = hler_core.elapsed_at_most()
          FROM unnest(tasks, attempts) AS w (task, attempt)
         WHERE a.task = w.task AND a.attempt = w.attempt AND a.state = 'lost';
        PERFORM hler_core.settle(tasks, attempts);
    END IF;
END $$;

-- Stops: only for what the tables positively hold as fenced, ended or to be stopped.  What
-- they do not know (a database restored from a backup) is left alone.
CREATE FUNCTION hler_core.stops_for(username text, inst uuid, held hler_core.holding[])
RETURNS TABLE (task uuid, attempt int, token text, cause text, grace_ms bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT h.task, h.attempt, h.token,
           CASE WHEN a.stop_requested_at IS NOT NULL THEN coalesce(a.stop_cause, 'cancelled')
                WHEN a.cause IN ('cancelled', 'start_by') AND a.state = 'void' THEN 'cancelled'
                ELSE 'superseded' END, d.grace_ms
      FROM unnest(held) AS h
      JOIN hler.attempt AS a ON a.task = h.task AND a.attempt = h.attempt AND a.token = h.token
      JOIN hler.task AS t ON t.id = a.task
      JOIN hler.task_type AS d ON d.id = t.task_type
     WHERE h.state = 'running'
       AND (a.state IN ('void', 'succeeded', 'failed', 'timed_out', 'cancelled')
            OR a.worker <> username OR a.instance <> inst OR a.stop_requested_at IS NOT NULL)
        OR h.state = 'claimed' AND a.state IN ('granted', 'lost') AND a.stop_requested_at IS NOT NULL
           AND a.worker = username;
END $$;

-- Attempts that the tables think the worker has and its heartbeat lacks, those that run without
-- a recorded start, and those with a gap in their events: the worker is asked for them, now and then.
CREATE FUNCTION hler_core.reports_for(username text, inst uuid, held hler_core.holding[])
RETURNS TABLE (task uuid, attempt int, token text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH want AS MATERIALIZED (
        SELECT a.task, a.attempt FROM hler.attempt AS a
         WHERE a.worker = username AND a.phase = 'taken' AND a.instance = inst
           AND NOT a.lost_said
           AND a.granted_at < clock_timestamp() - hler_core.ms(hler_core.setting('report_after_ms'))
           AND (NOT EXISTS (SELECT FROM unnest(held) AS h WHERE h.task = a.task AND h.attempt = a.attempt
                                                              AND (h.state <> 'running' OR a.started_at IS NOT NULL))
                OR (a.events_recorded < a.last_seq OR a.end_state IS NOT NULL)
                   AND a.last_event_at < clock_timestamp() - hler_core.ms(hler_core.setting('gap_after_ms')))
        UNION
        SELECT g.task, g.attempt FROM hler.gap AS g
         WHERE g.worker = username AND g.since < clock_timestamp() - hler_core.ms(hler_core.setting('gap_after_ms'))
           -- what it still runs or sends will come
           AND NOT EXISTS (SELECT FROM unnest(held) AS h WHERE h.task = g.task AND h.attempt = g.attempt))
    UPDATE hler.attempt AS a SET reported_at = clock_timestamp()
      FROM (SELECT l.task, l.attempt FROM hler.attempt AS l JOIN want USING (task, attempt)
             WHERE coalesce(l.reported_at, '-infinity')
                   < clock_timestamp() - hler_core.ms(hler_core.setting('report_after_ms'))
             ORDER BY l.task, l.attempt FOR NO KEY UPDATE OF l SKIP LOCKED) AS late
     WHERE a.task = late.task AND a.attempt = late.attempt
    RETURNING a.task, a.attempt, a.token;
END $$;

CREATE FUNCTION hler_core.note_strays(username text, held hler_core.holding[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hler.worker AS w SET conflict = s.n || ' attempts that the tables do not know, first ' || s.first
      FROM (SELECT count(*) AS n, min(h.task || '.' || h.attempt) AS first FROM unnest(held) AS h
             WHERE NOT EXISTS (SELECT FROM hler.attempt AS a
                                WHERE a.task = h.task AND a.attempt = h.attempt AND a.token = h.token)) AS s
     WHERE w.id = username AND s.n > 0;
END $$;

-- What an operator wants of a worker, if it is not what the worker says of itself: so it is told
-- also when it was away, and again when the message was lost.
CREATE FUNCTION hler_core.drain_for(username text, b jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted boolean := EXISTS (SELECT FROM hler.drain AS d WHERE d.kind = 'worker' AND d.name = username
                                                             OR d.kind = 'pool' AND d.name = b ->> 'pool');
BEGIN
    RETURN CASE WHEN wanted = coalesce((b ->> 'draining')::boolean, false) THEN NULL
                WHEN wanted THEN 'drain' ELSE 'resume' END;
END $$;

CREATE FUNCTION hler_core.unclaim(workers text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hler.standing_claim AS s
     WHERE s.worker IN (SELECT c.worker FROM hler.standing_claim AS c WHERE c.worker = ANY (unclaim.workers) FOR UPDATE SKIP LOCKED);
END $$;

-- Claims made ahead that these heartbeats carry; who carries none has none.  One that is being used up is let be (stand()).
CREATE FUNCTION hler_core.stand_or_not(beats hler_core.beat[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hler_core.unclaim(ARRAY(SELECT h.username FROM unnest(beats) AS h WHERE NOT h.b ? 'claim'));
    PERFORM hler_core.stand(array_agg(h.username), array_agg((h.b ->> 'instance')::uuid), array_agg((h.b ->> 'session')::uuid),
                            array_agg((h.b ->> 'claim')::bigint), array_agg((h.b ->> 'free')::int))
       FROM unnest(beats) AS h WHERE h.b ? 'claim' HAVING count(*) > 0;
END $$;

-- What is to be said to one worker: the answer to its heartbeat, and what its row and its attempts ask for.
CREATE FUNCTION hler_core.words_for(username text, reply_to text, b jsonb)
RETURNS TABLE (worker text, control text, session uuid, number bigint, kind text, task uuid, attempt int,
               token text, cause text, grace_ms bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    held hler_core.holding[] := '{}';
    inst uuid := b ->> 'instance';
    sess uuid := b ->> 'session';
    num  bigint := b ->> 'number';
    order_to text := hler_core.drain_for(username, b);
BEGIN
    IF jsonb_typeof(b -> 'held') = 'array' THEN
        held := ARRAY(SELECT h FROM jsonb_populate_recordset(NULL::hler_core.holding, b -> 'held') AS h);
        PERFORM hler_core.take_back(username, inst, held);
        PERFORM hler_core.note_strays(username, held);
    END IF;
    -- Before the beat, after which the worker may take work.
    IF order_to IS NOT NULL THEN
        RETURN QUERY SELECT username, reply_to, sess, num, order_to, NULL::uuid, NULL::int, NULL::text, NULL::text, NULL::bigint;
    END IF;
    RETURN QUERY SELECT username, reply_to, sess, num, 'beat', NULL::uuid, NULL::int, NULL::text, NULL::text, NULL::bigint;
    RETURN QUERY SELECT username, reply_to, sess, num, 'stop', s.task, s.attempt, s.token, s.cause, s.grace_ms
                   FROM hler_core.stops_for(username, inst, held) AS s;
    RETURN QUERY SELECT username, reply_to, sess, num, 'report', r.task, r.attempt, r.token, NULL::text, NULL::bigint
                   FROM hler_core.reports_for(username, inst, held) AS r;
END $$;

-- Heartbeats, each of another worker.
CREATE FUNCTION hler_core.heartbeats_once(beats hler_core.beat[])
RETURNS TABLE (worker text, control text, session uuid, number bigint, kind text, task uuid, attempt int,
               token text, cause text, grace_ms bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    busy text[];
    beat record;
BEGIN
    beats := ARRAY(SELECT h FROM unnest(beats) AS h JOIN hler_core.heard(beats) AS name ON name = h.username ORDER BY h.username);
    PERFORM hler_core.stand_or_not(beats);
    -- Most workers of a large site hold nothing, and nothing is wanted of them: that must cost little.
    busy := ARRAY(SELECT h.username FROM unnest(beats) AS h
                   WHERE h.b -> 'held' <> '[]' OR hler_core.drain_for(h.username, h.b) IS NOT NULL
                      OR EXISTS (SELECT FROM hler.attempt AS a
                                  WHERE a.worker = h.username AND a.phase = 'taken')
                      OR EXISTS (SELECT FROM hler.gap AS g WHERE g.worker = h.username));
    RETURN QUERY SELECT h.username, h.control, (h.b ->> 'session')::uuid, (h.b ->> 'number')::bigint, 'beat',
                        NULL::uuid, NULL::int, NULL::text, NULL::text, NULL::bigint
                   FROM unnest(beats) AS h WHERE h.username <> ALL (busy);
    FOR beat IN SELECT h.* FROM unnest(beats) AS h WHERE h.username = ANY (busy) LOOP
        RETURN QUERY SELECT w.* FROM hler_core.words_for(beat.username, beat.control, beat.b) AS w;
    END LOOP;
END $$;

-- Many heartbeats.  After a backlog there may be several of one worker: its first, then its second, and so on.
CREATE FUNCTION hler_core.heartbeats(users text[], controls text[], bodies text[])
RETURNS TABLE (worker text, control text, session uuid, number bigint, kind text, task uuid, attempt int,
               token text, cause text, grace_ms bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    round record;
BEGIN
    FOR round IN SELECT array_agg((h.username, h.control, h.b)::hler_core.beat) AS beats
                   FROM (SELECT r.username, r.control, r.body::jsonb AS b, row_number() OVER (PARTITION BY r.username ORDER BY r.n) AS no
                           FROM unnest(users, controls, bodies) WITH ORDINALITY AS r (username, control, body, n)) AS h
                  WHERE h.b ->> 'instance' IS NOT NULL
                  GROUP BY h.no ORDER BY h.no LOOP
        RETURN QUERY SELECT w.* FROM hler_core.heartbeats_once(round.beats) AS w;
    END LOOP;
END $$;

-- The same, each by itself: what cannot be read is set aside.
CREATE FUNCTION hler_core.heartbeats_apart(users text[], controls text[], bodies text[])
RETURNS TABLE (worker text, control text, session uuid, number bigint, kind text, task uuid, attempt int,
               token text, cause text, grace_ms bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    beat record;
BEGIN
    FOR beat IN SELECT h.* FROM unnest(users, controls, bodies) WITH ORDINALITY AS h (username, control, body, n)
                 ORDER BY h.username, h.n LOOP
        BEGIN
            RETURN QUERY SELECT w.* FROM hler_core.heartbeats(ARRAY[beat.username], ARRAY[beat.control], ARRAY[beat.body]) AS w;
        EXCEPTION WHEN data_exception OR not_null_violation THEN
            PERFORM hler_core.dead_letter('hler.life', 'not_recordable',
                json_build_object('user', beat.username, 'kind', 'heartbeat', 'error', SQLERRM)::text,
                convert_to(beat.body, 'UTF8'));
        END;
    END LOOP;
END $$;

-- A heartbeat that cannot be read is set aside and must not hold up the others: only where there is one, each has a
-- subtransaction of its own, which would cost ten thousand workers a thousand transaction numbers a second.
CREATE FUNCTION hler_core.heartbeat(users text[], controls text[], bodies text[])
RETURNS TABLE (worker text, control text, session uuid, number bigint, kind text, task uuid, attempt int,
               token text, cause text, grace_ms bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM hler_core.may_be_lost();
    RETURN QUERY SELECT r.* FROM hler_core.heartbeats(users, controls, bodies) AS r;
EXCEPTION WHEN data_exception OR not_null_violation THEN
    RETURN QUERY SELECT r.* FROM hler_core.heartbeats_apart(users, controls, bodies) AS r;
END $$;

CREATE FUNCTION hler_core.worker_gone(worker text, session uuid, how text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT hler_core.unclaim(ARRAY(SELECT s.worker FROM hler.standing_claim AS s
                                    WHERE s.worker = worker_gone.worker AND s.session = worker_gone.session));
    UPDATE hler.worker AS w SET draining = true, stopped = how = 'stopped'
     WHERE w.id = worker_gone.worker AND w.session = worker_gone.session
$$;

-- Stops newly asked for; heartbeats repeat them for as long as the worker lists the attempt.
CREATE FUNCTION hler_core.stops_due()
RETURNS TABLE (control text, task uuid, attempt int, token text, cause text, grace_ms bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM hler_core.may_be_lost();
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT a.task, a.attempt FROM hler.attempt AS a
         WHERE a.stop_requested_at IS NOT NULL AND a.stop_sent_at IS NULL
         ORDER BY a.task, a.attempt LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED),
    sent AS (
        UPDATE hler.attempt AS a SET stop_sent_at = clock_timestamp()
          FROM due WHERE a.task = due.task AND a.attempt = due.attempt
        RETURNING a.task, a.attempt, a.token, a.stop_cause, a.worker, a.session, a.state)
    -- the queue's name follows from worker and session: there may have been no heartbeat yet
    SELECT 'hler.control.' || w.id || '.' || w.session, sent.task, sent.attempt, sent.token,
           coalesce(sent.stop_cause, 'cancelled'), d.grace_ms
      FROM sent JOIN hler.worker AS w ON w.id = sent.worker AND NOT w.stopped
      JOIN hler.task AS t ON t.id = sent.task JOIN hler.task_type AS d ON d.id = t.task_type
     WHERE sent.state IN ('granted', 'started', 'lost', 'void');
END $$;

GRANT EXECUTE ON FUNCTION hler_core.heartbeat(text[], text[], text[]), hler_core.worker_gone(text, uuid, text),
    hler_core.stops_due() TO hler_dispatcher;
