-- From ready tasks to offers.  Offers are bounded per pool: order, fairness and cancel are
-- decided in the tables, not in the broker's queue.
SET LOCAL ROLE hler_owner;

-- The operation's inputs with the defaults of what was left out.  json, not jsonb, keeps
-- every value as it was written.
CREATE FUNCTION hler_core.inputs_filled(o hler.operation) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (WITH d AS MATERIALIZED (
        SELECT f.name, f.default_value FROM hler.field AS f
         WHERE f.type = o.type AND f.version = o.version AND f.default_value IS NOT NULL)
    SELECT CASE WHEN NOT EXISTS (SELECT FROM d) THEN o.inputs ELSE (
        SELECT coalesce(json_object_agg(all_of.key, all_of.value), '{}')
          FROM (SELECT i.key, i.value FROM json_each(o.inputs) AS i
                 WHERE json_typeof(i.value) <> 'null' OR NOT EXISTS (SELECT FROM d WHERE d.name = i.key)
                UNION ALL
                SELECT d.name, d.default_value FROM d
                 WHERE coalesce(json_typeof(o.inputs -> d.name), 'null') = 'null') AS all_of) END);
END $$;

-- Outputs of the tasks that this one needs, directly or not, by name.
CREATE FUNCTION hler_core.upstream_outputs(task uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (WITH RECURSIVE up (id) AS (
        SELECT n.needs FROM hler.task_need AS n WHERE n.task = upstream_outputs.task
        UNION
        SELECT n.needs FROM up JOIN hler.task_need AS n ON n.task = up.id)
    SELECT coalesce(json_object_agg(t.key, coalesce(out.outputs, '{}')), '{}')
      FROM up JOIN hler.task AS t ON t.id = up.id LEFT JOIN hler.task_output AS out ON out.task = up.id);
END $$;

-- The offer's JSON text (PROTOCOL.md section 3) for attempts, in the order given; and of one that is granted
-- the queue of its worker.
CREATE FUNCTION hler_core.offer_messages(tasks uuid[], attempts int[])
RETURNS TABLE (pool text, task uuid, attempt int, token text, message text, control text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT a.pool, a.task, a.attempt, a.token,
           json_build_object('v', 1, 'operation', o.id, 'type', o.type, 'requester', o.requester, 'target', o.target,
               'task', t.id, 'name', d.name, 'key', t.key, 'attempt', a.attempt, 'token', a.token,
               'try', t.tries + 1, 'executor', d.executor, 'spec', d.spec,
               'inputs', CASE WHEN EXISTS (SELECT FROM hler.field AS f WHERE f.type = o.type AND f.version = o.version
                                               AND f.default_value IS NOT NULL)
                              THEN hler_core.inputs_filled(o) ELSE o.inputs END,
               'outputs', CASE WHEN d.needs = '{}' THEN '{}' ELSE hler_core.upstream_outputs(t.id) END,
               'deadline_ms', d.deadline_ms, 'idle_ms', d.idle_ms, 'grace_ms', d.grace_ms,
               'output_bytes', d.output_bytes, 'repeatable', d.repeatable,
               'lease_ms', (SELECT s.lost_after_ms FROM hler.silence AS s), 'traceparent', o.traceparent)::text,
           CASE WHEN a.state = 'granted' THEN 'hler.control.' || a.worker || '.' || a.session END
      FROM unnest(tasks, attempts) WITH ORDINALITY AS want (task, attempt, n)
      JOIN hler.attempt AS a ON a.task = want.task AND a.attempt = want.attempt
      JOIN hler.task AS t ON t.id = a.task
      JOIN hler.operation AS o ON o.id = t.operation
      JOIN hler.task_type AS d ON d.id = t.task_type
     ORDER BY want.n;
END $$;

-- For many workers at once: its text becomes part of the query, where a call for each of ten thousand
-- would cost a tenth of a second.
CREATE FUNCTION hler_core.is_live(w hler.worker, s hler.silence) RETURNS boolean
LANGUAGE sql IMMUTABLE RETURN NOT w.stopped AND s.elapsed_ms - w.heard_ms <= s.lost_after_ms;

-- Views call it with the rights of their reader, hence SECURITY DEFINER and the grant.
CREATE FUNCTION hler_core.is_live(w hler.worker) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT NOT w.stopped AND s.elapsed_ms - w.heard_ms <= s.lost_after_ms FROM hler.silence AS s);
END $$;

GRANT EXECUTE ON FUNCTION hler_core.is_live(hler.worker), hler_core.is_live(hler.worker, hler.silence) TO hler_frontend, hler_operator, hler_dispatcher;

-- How many of `most` ready tasks of a pool may be offered now.  Where the smallest window has room for all
-- that are ready, nobody counts the slots of ten thousand workers.
CREATE FUNCTION hler_core.room(pool text, most bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    least_window bigint;
    offered      bigint;
    ready        bigint;
BEGIN
    SELECT w.least, w.offered, (SELECT count(*) FROM (SELECT FROM hler.task AS t WHERE t.pool = room.pool AND t.phase = 'ready'
                                                       LIMIT least(most, greatest(0, w.least - w.offered) + 1)) AS r)
      INTO least_window, offered, ready
      FROM (SELECT f.value AS least,
                   (SELECT count(*) FROM hler.attempt AS a WHERE a.pool = room.pool AND a.phase = 'offered') AS offered
              FROM hler.setting AS f WHERE f.name = 'window_min' OFFSET 0) AS w;
    IF offered + ready <= least_window THEN
        RETURN ready;
    END IF;
    RETURN least(most, greatest(least_window, hler_core.setting('window_per_slot') *
        (SELECT coalesce(sum(w.slots), 0) FROM hler.worker AS w, hler.silence AS s
          WHERE w.pool = room.pool AND NOT w.draining AND hler_core.is_live(w, s))::bigint) - offered);
END $$;

-- Who has claimed ahead in a pool, `most` at most, with most room first: their claims are used up.  Whoever takes one
-- waits for nobody, since another may hold it for long: a front end's transaction, which ends when it likes.
CREATE FUNCTION hler_core.use_claims(pool text, most bigint) RETURNS SETOF hler.standing_claim
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH best AS MATERIALIZED (
        SELECT s.worker FROM hler.standing_claim AS s
         WHERE s.pool = use_claims.pool
           -- a lease runs from the claim: most of it must be left
           AND s.claimed_at > moment - interval '1 millisecond' *
               (SELECT least(f.value, now.lost_after_ms / 4) FROM hler.setting AS f, hler.silence AS now
                 WHERE f.name = 'standing_claim_ms')
           AND EXISTS (SELECT FROM hler.worker AS w, hler.silence AS now
                        WHERE w.id = s.worker AND w.instance = s.instance AND w.session = s.session
                          AND NOT w.draining AND hler_core.is_live(w, now))
         ORDER BY s.free DESC LIMIT most
           FOR UPDATE SKIP LOCKED)
    DELETE FROM hler.standing_claim AS s USING best WHERE s.worker = best.worker RETURNING s.*;
END $$;

CREATE TYPE hler_core.hand_over AS (task uuid, attempt int, answers text);

-- Take up to `most` ready tasks of a pool and make their next attempts.  The first of them go to those
-- who have claimed ahead: they are granted at once.
--   The shape matters (traps 3.1): literal phase, so that the partial index fits a generic plan;
-- MATERIALIZED, so that LIMIT holds; NO KEY UPDATE, so that a row's children being inserted do not hide
-- it; state checked again.  One statement, since each costs more than what it does here.
CREATE FUNCTION hler_core.take_ready(pool text, most bigint) RETURNS hler_core.hand_over[]
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    -- A variable, so that the update's own look at the state cannot be planned as a walk along
    -- the index of all ready tasks, which is what statistics of an empty table suggest.
    still  CONSTANT text := 'ready';
    moment CONSTANT timestamptz := clock_timestamp();
    made   hler_core.hand_over[];
BEGIN
    WITH due AS MATERIALIZED (
        SELECT t.id FROM hler.task AS t
         WHERE t.phase = 'ready' AND t.pool = take_ready.pool
         ORDER BY t.priority DESC, t.ready_at, t.id LIMIT most
           FOR NO KEY UPDATE SKIP LOCKED),
    taken AS (
        UPDATE hler.task AS t SET state = 'queued', attempt = t.attempt + 1
          FROM due WHERE t.id = due.id AND t.state = still
        RETURNING t.id, t.attempt, t.priority, t.ready_at),
    claim AS MATERIALIZED (
        SELECT c.*, row_number() OVER (ORDER BY c.free DESC) AS n
          FROM hler_core.use_claims(take_ready.pool, (SELECT count(*) FROM taken)) AS c),
    pairs AS MATERIALIZED (
        SELECT t.*, c.worker, c.instance, c.session, c.claim
          FROM (SELECT taken.*, row_number() OVER (ORDER BY taken.priority DESC, taken.ready_at, taken.id) AS n FROM taken) AS t
          LEFT JOIN claim AS c ON c.n = t.n),
    attempts AS (
        INSERT INTO hler.attempt (task, attempt, token, state, pool, offered_at, offered_on,
                                  worker, instance, session, granted_at)
        SELECT p.id, p.attempt, hler_core.token(), CASE WHEN p.worker IS NULL THEN 'offered' ELSE 'granted' END,
               take_ready.pool, moment, (moment AT TIME ZONE 'UTC')::date,
               p.worker, p.instance, p.session, CASE WHEN p.worker IS NOT NULL THEN moment END
          FROM pairs AS p)
    SELECT array_agg((p.id, p.attempt, p.session || '.' || p.claim)::hler_core.hand_over ORDER BY p.n) INTO made FROM pairs AS p;
    RETURN made;
END $$;

-- Has anybody claimed ahead?  By the index: the table has many rows that were used up.
CREATE FUNCTION hler_core.has_claims() RETURNS boolean
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN EXISTS (SELECT FROM hler.standing_claim);
END $$;

-- Dispatchers that can publish the grants which front ends make.  Each is told of them through a channel whose name nobody
-- else knows, since PostgreSQL lets everybody listen to what they can name, and speak there; and what is said there is sealed
-- (HMAC, RFC 2104) with a key of the dispatcher's, of which these are the pads.  As long as its connection lives it holds a
-- lock: so nobody waits for a process that was killed.  For one that is frozen or cut off some do, until `report`.
CREATE TABLE hler.grant_listener (
    dispatcher text PRIMARY KEY,
    channel    text NOT NULL,
    inner_pad  bytea NOT NULL,
    outer_pad  bytea NOT NULL
);

CREATE FUNCTION hler_core.grant_lock(channel text) RETURNS bigint
LANGUAGE sql IMMUTABLE RETURN hashtextextended(channel, 0);

CREATE FUNCTION hler_core.is_heard(channel text) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF pg_try_advisory_lock_shared(hler_core.grant_lock(channel)) THEN
        PERFORM pg_advisory_unlock_shared(hler_core.grant_lock(channel));
        RETURN false;
    END IF;
    RETURN true;
END $$;

-- The session keeps its channel and lock for as long as it lives, whatever it hears meanwhile.
CREATE FUNCTION hler_core.listen_to_grants(dispatcher text, inner_pad bytea, outer_pad bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    mine text := nullif(current_setting('hler.grant_channel', true), '');
BEGIN
    IF mine IS NULL THEN
        mine := 'hler_grant_' || replace(gen_random_uuid()::text, '-', '');
        PERFORM pg_advisory_lock(hler_core.grant_lock(mine)), set_config('hler.grant_channel', mine, false);
        EXECUTE format('LISTEN %I', mine);
    END IF;
    INSERT INTO hler.grant_listener AS l (dispatcher, channel, inner_pad, outer_pad)
    VALUES (listen_to_grants.dispatcher, mine, listen_to_grants.inner_pad, listen_to_grants.outer_pad)
    ON CONFLICT (dispatcher) DO UPDATE SET channel = excluded.channel, inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad;
    -- What the dead have left.  Others that begin just now do the same.
    DELETE FROM hler.grant_listener AS l
     WHERE l.dispatcher IN (SELECT d.dispatcher FROM hler.grant_listener AS d
                             WHERE d.dispatcher <> listen_to_grants.dispatcher AND NOT hler_core.is_heard(d.channel)
                               FOR UPDATE SKIP LOCKED);
END $$;

-- Of one that cannot publish at present, or ends; not of its successor.
CREATE FUNCTION hler_core.ignore_grants(dispatcher text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM hler.grant_listener AS l
     WHERE l.dispatcher = ignore_grants.dispatcher AND l.channel = current_setting('hler.grant_channel', true);
END $$;

-- To one dispatcher, at commit: "SEAL CONTROL ANSWERS TASK.ATTEMPT.TOKEN MESSAGE".  To one alone, since what the broker gives
-- back of a grant must be all that there was (undelivered()).
CREATE FUNCTION hler_core.tell_grants(l hler.grant_listener, tasks uuid[], attempts int[], answers text[]) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_notify(l.channel, encode(sha256(l.outer_pad || sha256(l.inner_pad || convert_to(n.note, 'UTF8'))), 'hex') || ' ' || n.note)
       FROM hler_core.offer_messages(tasks, attempts) WITH ORDINALITY AS m (pool, task, attempt, token, message, control, no),
            LATERAL (SELECT concat_ws(' ', m.control, tell_grants.answers[m.no], concat_ws('.', m.task, m.attempt, m.token),
                                      m.message) AS note) AS n;
END $$;

-- A new operation's tasks that are ready go to those who have claimed ahead, in the transaction that makes them: so a task of
-- an idle pool is granted when its front end has its answer, and a dispatcher need only say so.  True: none is left.  Where
-- others are ready their order counts, and is the dispatchers' matter.
--   What a notification cannot carry (8000 bytes, traps 3.3) is left, too: the message holds the inputs, the specification, and
-- what else there is in less than 2000.
--   trace_notify would show its reader the channel.
CREATE FUNCTION hler_core.grant_new(operation uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET trace_notify = off SET row_security = on AS $$
#variable_conflict use_column
DECLARE
    moment   CONSTANT timestamptz := clock_timestamp();
    most     CONSTANT int := 6000;
    listener hler.grant_listener;
    whole    boolean;
    tasks    uuid[];
    attempts int[];
    answers  text[];
    one      record;
BEGIN
    SELECT l.* INTO listener FROM hler.grant_listener AS l WHERE hler_core.is_heard(l.channel) ORDER BY random() LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    FOR one IN SELECT t.pool, array_agg(t.id) AS tasks,
                      bool_or(t.state = 'waiting' OR d.needs <> '{}'
                              OR octet_length(d.spec::text) + octet_length(hler_core.inputs_filled(o)::text) > most) AS unfit
                 FROM hler.operation AS o JOIN hler.task AS t ON t.operation = o.id JOIN hler.task_type AS d ON d.id = t.task_type
                WHERE o.id = grant_new.operation AND t.state IN ('ready', 'waiting') GROUP BY t.pool ORDER BY t.pool LOOP
        IF one.unfit OR EXISTS (SELECT FROM hler.task AS t
                                 WHERE t.phase = 'ready' AND t.pool = one.pool AND t.operation <> grant_new.operation) THEN
            whole := false;
            CONTINUE;
        END IF;
        WITH claim AS MATERIALIZED (
            SELECT c.*, row_number() OVER (ORDER BY c.free DESC) AS n
              FROM hler_core.use_claims(one.pool, cardinality(one.tasks)) AS c),
        taken AS (
            UPDATE hler.task AS t SET state = 'queued', attempt = t.attempt + 1
              FROM claim AS c WHERE t.id = one.tasks[c.n]
            RETURNING t.id, t.attempt, c.worker, c.instance, c.session, c.claim),
        made AS (
            INSERT INTO hler.attempt (task, attempt, token, state, pool, offered_at, offered_on,
                                      worker, instance, session, granted_at)
            SELECT t.id, t.attempt, hler_core.token(), 'granted', one.pool, moment, (moment AT TIME ZONE 'UTC')::date,
                   t.worker, t.instance, t.session, moment FROM taken AS t)
        SELECT array_agg(t.id), array_agg(t.attempt), array_agg(t.session || '.' || t.claim) INTO tasks, attempts, answers FROM taken AS t;
        whole := coalesce(whole, true) AND cardinality(tasks) IS NOT DISTINCT FROM cardinality(one.tasks);
        CONTINUE WHEN tasks IS NULL;
        PERFORM hler_core.tell_grants(listener, tasks, attempts, answers);
        -- No grant may be forgotten, whatever its front end thinks of its row.
        IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
    END LOOP;
    RETURN coalesce(whole, false); -- where constraints are immediate there are no tasks yet
END $$;

-- Ready tasks, as offers to their pools' queues or, where somebody has claimed ahead, as grants to
-- that worker: `control` is its queue then, and `answers` the claim.
CREATE FUNCTION hler_core.offer_due(dispatcher text, max int)
RETURNS TABLE (pool text, task uuid, attempt int, token text, message text, control text, answers text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    left_over bigint := max;
    one_pool  text;
    made      hler_core.hand_over[];
    granted   boolean := false;
BEGIN
    -- The pool's row is the lock under which its window is counted: two dispatchers would
    -- otherwise fill it twice.  Taken in order of names.
    --   OFFSET: each pool looks for one of its tasks; never a join, which is planned from all that are ready.
    FOR one_pool IN SELECT p.name FROM hler.pool AS p
                     WHERE EXISTS (SELECT FROM hler.task AS t WHERE t.phase = 'ready' AND t.pool = p.name OFFSET 0) ORDER BY p.name LOOP
        EXIT WHEN left_over <= 0;
        PERFORM FROM hler.pool AS p WHERE p.name = one_pool FOR NO KEY UPDATE;
        made := hler_core.take_ready(one_pool, greatest(0, hler_core.room(one_pool, left_over)));
        CONTINUE WHEN made IS NULL;
        left_over := left_over - cardinality(made);
        granted := granted OR made[1].answers IS NOT NULL;
        RETURN QUERY
            SELECT m.pool, m.task, m.attempt, m.token, m.message, m.control, made[m.n].answers
              FROM hler_core.offer_messages(ARRAY(SELECT h.task FROM unnest(made) AS h),
                                            ARRAY(SELECT h.attempt FROM unnest(made) AS h)) WITH ORDINALITY
                   AS m (pool, task, attempt, token, message, control, n);
    END LOOP;
    IF NOT granted THEN
        PERFORM hler_core.may_be_lost();
    END IF;
END $$;

-- Pools where an offer has lain for longer than age_ms and was not published again since:
-- the dispatcher asks the broker whether their queues are empty.
CREATE FUNCTION hler_core.pools_to_check(age_ms int) RETURNS TABLE (pool text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT p.name FROM hler.pool AS p
     WHERE EXISTS (SELECT FROM hler.attempt AS a
                    WHERE a.phase = 'offered' AND a.pool = p.name
                      AND a.offered_at < clock_timestamp() - hler_core.ms(age_ms)
                      AND coalesce(a.reoffered_at, a.offered_at) < clock_timestamp() - hler_core.ms(age_ms)
                   OFFSET 0); -- as in offer_due()
END $$;

-- The same attempts under the same tokens again, where the broker may have lost them.  One
-- that is still queued somewhere costs a refused claim, no more.
CREATE FUNCTION hler_core.reoffer_due(age_ms int, empty_pools text[], max int)
RETURNS TABLE (pool text, task uuid, attempt int, token text, message text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old_before timestamptz := clock_timestamp() - hler_core.ms(age_ms);
    tasks      uuid[];
    numbers    int[];
BEGIN
    PERFORM hler_core.may_be_lost();
    WITH late AS MATERIALIZED (
        SELECT a.task, a.attempt FROM hler.pool AS p
          JOIN hler.attempt AS a ON a.pool = p.name AND a.phase = 'offered'
         WHERE a.offered_at < old_before AND coalesce(a.reoffered_at, a.offered_at) < old_before
           AND (p.name = ANY (empty_pools) OR a.offered_at < p.granted_upto)
         ORDER BY a.offered_at LIMIT reoffer_due.max
           FOR NO KEY UPDATE OF a SKIP LOCKED),
    again AS (
        UPDATE hler.attempt AS a SET reoffered_at = clock_timestamp()
          FROM late WHERE a.task = late.task AND a.attempt = late.attempt AND a.state = 'offered'
        RETURNING a.task, a.attempt, a.offered_at)
    SELECT array_agg(again.task ORDER BY again.offered_at), array_agg(again.attempt ORDER BY again.offered_at)
      INTO tasks, numbers FROM again;
    RETURN QUERY SELECT m.pool, m.task, m.attempt, m.token, m.message FROM hler_core.offer_messages(tasks, numbers) AS m;
END $$;

GRANT EXECUTE ON FUNCTION hler_core.offer_due(text, int), hler_core.pools_to_check(int),
    hler_core.reoffer_due(int, text[], int), hler_core.listen_to_grants(text, bytea, bytea), hler_core.ignore_grants(text) TO hler_dispatcher;
