-- Time: silence of workers, waits that are over, leases, start_by, partitions.  And the
-- outbox of verdicts.
SET LOCAL ROLE hler_owner;

-- Workers silent for longer than the lease: what they had is lost, which is neither failed
-- nor free to run again.
CREATE FUNCTION hler_core.lose_silent() RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    tasks   uuid[];
    numbers int[];
    lost    int;
BEGIN
    SELECT array_agg(a.task), array_agg(a.attempt) INTO tasks, numbers
      FROM hler.silence AS s, hler.attempt AS a,
           -- OFFSET: from attempts to their workers, never through ten thousand workers
           LATERAL (SELECT * FROM hler.worker AS x WHERE x.id = a.worker OFFSET 0) AS w
     WHERE a.phase = 'taken' AND a.state <> 'lost'
       -- another instance: the worker came back with another spool, and has none of these
       AND (s.elapsed_ms - w.heard_ms > s.lost_after_ms OR a.instance <> w.instance);
    IF tasks IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM hler_core.lock_operations(tasks);
    PERFORM hler_core.lock_attempts(tasks, numbers);
    UPDATE hler.attempt AS a SET state = 'lost', lost_at = clock_timestamp(), lost_ms = hler_core.elapsed_at_most()
      FROM unnest(tasks, numbers) AS l (task, attempt)
     WHERE a.task = l.task AND a.attempt = l.attempt AND a.state IN ('granted', 'started');
    GET DIAGNOSTICS lost = ROW_COUNT;
    PERFORM hler_core.settle_living(tasks);
    PERFORM hler_core.roll_up(ARRAY(SELECT DISTINCT t.operation FROM hler.task AS t WHERE t.id = ANY (tasks)));
    RETURN lost;
END $$;

-- A tick went through the queue of the heartbeats: so much time has passed in which they
-- would have been heard.  A longer gap between ticks was our own silence and counts as two.
CREATE FUNCTION hler_core.tick(sent_at timestamptz, lost_after_ms int, tick_ms int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hler_core.may_be_lost();
    UPDATE hler.silence AS s
       SET elapsed_ms = s.elapsed_ms + least(2 * tick_ms, greatest(0, coalesce(
                            EXTRACT(epoch FROM tick.sent_at - s.last_tick_at) * 1000, 0)))::bigint,
           -- a tick that was behind others changes nothing; a clock that was set back is followed
           last_tick_at = CASE WHEN tick.sent_at < s.last_tick_at - 2 * hler_core.ms(tick.lost_after_ms) THEN tick.sent_at
                               ELSE greatest(s.last_tick_at, tick.sent_at) END,
           lost_after_ms = tick.lost_after_ms, step_ms = 2 * tick_ms;
    RETURN hler_core.lose_silent();
END $$;

-- Is a lost attempt given up now?  Its lease, which the runner of a repeatable task enforces, must
-- be over.  It may have been renewed just before the loss (its worker came back with another spool,
-- or was granted it while silent), and its runner takes up to half of it more to end its tree.
-- Neither measure of that time is enough by itself: a clock may be set, and ticks that queued up
-- pass all at once.
CREATE FUNCTION hler_core.is_given_up(a hler.attempt) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
BEGIN
    RETURN (SELECT a.state = 'lost' AND s.elapsed_ms - a.lost_ms > w.ms
                   AND NOT a.lost_at BETWEEN moment - hler_core.ms(w.ms) AND moment
                   -- a person wants no more of it, whatever task it is: as if they asked now
                   AND (a.stop_requested_at IS NOT NULL
                        -- what is known to live on is not over; and of what has ended only results are missing
                        OR d.repeatable AND coalesce(a.left_behind, 0) = 0 AND a.end_state IS NULL)
              FROM hler.silence AS s CROSS JOIN LATERAL (SELECT s.lost_after_ms * 3 / 2 AS ms) AS w,
                   hler.task AS t JOIN hler.task_type AS d ON d.id = t.task_type
             WHERE t.id = a.task);
END $$;

-- Those are fenced off; a task is ready again, has been lost too often, or is cancelled.
CREATE FUNCTION hler_core.end_leases() RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    tasks   uuid[];
    numbers int[];
BEGIN
    SELECT array_agg(a.task), array_agg(a.attempt) INTO tasks, numbers
      FROM hler.attempt AS a WHERE a.phase = 'taken' AND a.lost_at IS NOT NULL AND hler_core.is_given_up(a);
    IF tasks IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM hler_core.lock_operations(tasks);
    PERFORM hler_core.lock_attempts(tasks, numbers);
    UPDATE hler.attempt AS a
       SET state = 'void', finished_at = clock_timestamp(),
           cause = CASE WHEN a.stop_requested_at IS NULL THEN a.cause ELSE 'cancelled' END
      FROM unnest(tasks, numbers) AS l (task, attempt)
     WHERE a.task = l.task AND a.attempt = l.attempt
       AND hler_core.is_given_up(a); -- its worker may have come back before the lock
    PERFORM hler_core.miss_events(tasks, numbers);
    UPDATE hler.task AS t SET state = 'failed', finished_at = clock_timestamp(), cause = 'lost',
           message = t.tries || ' tries, the last was lost'
      FROM hler.attempt AS a, hler.task_type AS d
     WHERE t.id = ANY (tasks) AND t.state = 'held' AND a.task = t.id AND a.attempt = t.attempt AND a.state = 'void'
       AND a.stop_requested_at IS NULL
       AND d.id = t.task_type AND t.tries >= greatest(d.max_tries, hler_core.setting('lost_tries_max'));
    PERFORM hler_core.settle_void(tasks);
    PERFORM hler_core.settle_next(tasks);
    PERFORM hler_core.roll_up(ARRAY(SELECT DISTINCT t.operation FROM hler.task AS t WHERE t.id = ANY (tasks)));
    RETURN cardinality(tasks);
END $$;

-- Operations of which nothing has started by start_by.
CREATE FUNCTION hler_core.end_start_by() RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    ops  uuid[];
    op   uuid;
    late int := 0;
BEGIN
    -- Operations are locked in order first, as everywhere.
    SELECT array_agg(l.operation ORDER BY l.operation) INTO ops
      FROM hler.start_limit AS l WHERE l.start_by <= clock_timestamp();
    IF ops IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM FROM hler.operation AS o WHERE o.id = ANY (ops) ORDER BY o.id FOR NO KEY UPDATE;
    FOREACH op IN ARRAY ops LOOP
        IF EXISTS (SELECT FROM hler.operation AS o WHERE o.id = op AND o.started_at IS NULL AND o.finished_at IS NULL) THEN
            PERFORM hler_core.stop_tasks(op, 'start_by', 'nothing had started by then');
            late := late + 1;
        END IF;
    END LOOP;
    DELETE FROM hler.start_limit AS l WHERE l.operation = ANY (ops);
    RETURN late;
END $$;

CREATE FUNCTION hler_core.clock_step() RETURNS TABLE (promoted int, expired int)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hler_core.may_be_lost();
    PERFORM hler_core.make_partitions();
    WITH due AS MATERIALIZED (
        SELECT t.id FROM hler.task AS t
         WHERE t.phase = 'waiting' AND t.ready_at <= clock_timestamp()
         ORDER BY t.ready_at LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE hler.task AS t SET state = 'ready' FROM due WHERE t.id = due.id AND t.state = 'waiting';
    GET DIAGNOSTICS promoted = ROW_COUNT;
    -- Each takes operations in order; the second may not hold what the first took.  One call
    -- at a time keeps several dispatchers from meeting here.
    IF pg_try_advisory_xact_lock(hashtext('hler.clock')) THEN
        expired := hler_core.end_start_by() + hler_core.end_leases();
    END IF;
    -- What can no longer be sent again is a gap for good.
    DELETE FROM hler.gap AS g WHERE g.since < clock_timestamp() - interval '1 day';
    expired := coalesce(expired, 0);
    RETURN NEXT;
END $$;

-- Until the next waiting task is due, 0 or less when it is; NULL = none waits.  VOLATILE, so as to see what a step before it in the same statement
-- has moved.
CREATE FUNCTION hler_core.next_due_ms() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT ceil(extract(epoch FROM min(t.ready_at) - clock_timestamp()) * 1000)::bigint
              FROM hler.task AS t WHERE t.phase = 'waiting');
END $$;

-- The outbox: taken by one dispatcher at a time, deleted once the broker has confirmed; what
-- a dead dispatcher took is taken again after verdict_again_ms, or at once by the next process of
-- that name, which says so (`began`).
CREATE FUNCTION hler_core.verdicts_take(dispatcher text, max int, began boolean)
RETURNS TABLE (id uuid, routing_key text, message text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM hler_core.may_be_lost();
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT v.no FROM hler.verdict AS v
         WHERE v.taken_at IS NULL OR v.taken_at < clock_timestamp() - hler_core.ms(hler_core.setting('verdict_again_ms'))
            OR began AND v.taken_by = dispatcher
         ORDER BY v.no LIMIT max FOR NO KEY UPDATE SKIP LOCKED),
    taken AS (
        UPDATE hler.verdict AS v SET taken_at = clock_timestamp(), taken_by = dispatcher
          FROM due WHERE v.no = due.no
        RETURNING v.*)
    SELECT v.id,
           concat_ws('.', 'dispatcher', v.class, v.state, o.requester, v.operation, coalesce(v.task::text, '-')),
           (jsonb_build_object('specversion', '1.0', 'id', v.id, 'source', '/hler/dispatcher/' || dispatcher,
               'type', concat_ws('.', 'aegir.hler', v.class, v.state, 'v1'), 'subject', coalesce(v.task, v.operation),
               'time', to_char(v.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'datacontenttype', 'application/json', 'operation', v.operation,
               'data', jsonb_build_object('state', v.state, 'cause', v.cause, 'message', v.message,
                                         'type', o.type, 'target', o.target))
            -- a CloudEvents attribute is there or not, never null
            || CASE WHEN o.traceparent IS NULL THEN '{}' ELSE jsonb_build_object('traceparent', o.traceparent) END)::text
      FROM taken AS v JOIN hler.operation AS o ON o.id = v.operation
     ORDER BY v.no;
END $$;

CREATE FUNCTION hler_core.verdicts_done(ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hler_core.may_be_lost();
    DELETE FROM hler.verdict AS v WHERE v.id = ANY (ids);
END $$;

CREATE FUNCTION hler_core.listener_register(name text, requester text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name !~ '^[a-z0-9-]{1,40}$' OR requester !~ '^[a-z0-9_-]{1,40}$' THEN
        RAISE EXCEPTION 'listener refused: its name must match [a-z0-9-]{1,40}, its requester [a-z0-9_-]{1,40}'
            USING ERRCODE = 'HL001', DETAIL = '[{"field":"name","rule":"pattern","message":"name or requester"}]';
    END IF;
    INSERT INTO hler.listener AS l (name, requester) VALUES (listener_register.name, listener_register.requester)
    ON CONFLICT ON CONSTRAINT listener_pkey DO UPDATE SET requester = excluded.requester;
END $$;

CREATE FUNCTION hler_core.listener_forget(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM hler.listener AS l WHERE l.name = listener_forget.name;
    RETURN FOUND;
END $$;

GRANT EXECUTE ON FUNCTION hler_core.tick(timestamptz, int, int), hler_core.clock_step(), hler_core.next_due_ms(),
    hler_core.verdicts_take(text, int, boolean), hler_core.verdicts_done(uuid[]) TO hler_dispatcher;
GRANT EXECUTE ON FUNCTION hler_core.listener_register(text, text), hler_core.listener_forget(text) TO hler_operator;
