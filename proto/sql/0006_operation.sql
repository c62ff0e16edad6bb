-- What a front end does: insert, submit, cancel, retry.  And how tasks come to be.
--
-- Order of locks everywhere: operations by id, then tasks, then attempts by (task, attempt).
-- Who takes a row with SKIP LOCKED waits for nobody and stands outside of that order.
SET LOCAL ROLE hler_owner;

-- An operation moves with its tasks; see hler_core.roll_up.
CREATE FUNCTION hler_core.make_tasks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    any_row   boolean;
    any_needs boolean;
    any_retry boolean;
    any_limit boolean;
BEGIN
    -- What most front ends never ask for is not even planned, in each of their new connections.
    SELECT count(*) > 0, bool_or(o.retry_of IS NOT NULL), bool_or(o.start_by IS NOT NULL),
           bool_or(EXISTS (SELECT FROM hler.task_type AS d WHERE d.type = o.type AND d.version = o.version AND d.needs <> '{}'))
      INTO any_row, any_retry, any_limit, any_needs FROM new_rows AS o;
    IF NOT any_row THEN
        RETURN NULL;
    END IF;
    INSERT INTO hler.task (id, operation, task_type, no, priority, state, pool, key, cause, reused, created_at,
                           ready_at, finished_at)
    SELECT hler.uuid7(), o.id, d.id, d.no, o.priority,
           CASE WHEN prior.id IS NOT NULL THEN 'succeeded'
                WHEN EXISTS (SELECT FROM unnest(d.needs) AS n WHERE n <> ALL (coalesce(gone.nos, '{}'))) THEN 'blocked'
                WHEN o.run_at > o.created_at THEN 'waiting' ELSE 'ready' END,
           d.pool, d.name, prior.cause, prior.id IS NOT NULL, o.created_at,
           CASE WHEN prior.id IS NULL THEN greatest(o.run_at, o.created_at) END,
           CASE WHEN prior.id IS NOT NULL THEN o.created_at END
      FROM new_rows AS o
      JOIN hler.task_type AS d ON d.type = o.type AND d.version = o.version
      LEFT JOIN hler.task AS prior ON prior.operation = o.retry_of AND prior.no = d.no AND prior.state = 'succeeded'
      LEFT JOIN LATERAL (SELECT array_agg(s.no) AS nos FROM hler.task AS s
                          WHERE s.operation = o.retry_of AND s.state = 'succeeded') AS gone ON o.retry_of IS NOT NULL;
    IF any_needs THEN
        INSERT INTO hler.task_need (task, needs)
        SELECT t.id, before.id
          FROM new_rows AS o
          JOIN hler.task AS t ON t.operation = o.id
          JOIN hler.task_type AS d ON d.id = t.task_type AND d.needs <> '{}'
          JOIN hler.task AS before ON before.operation = o.id AND before.no = ANY (d.needs);
    END IF;
    IF any_retry THEN
        INSERT INTO hler.task_output (task, outputs)
        SELECT t.id, out.outputs
          FROM new_rows AS o
          JOIN hler.task AS t ON t.operation = o.id AND t.reused
          JOIN hler.task AS prior ON prior.operation = o.retry_of AND prior.no = t.no
          JOIN hler.task_output AS out ON out.task = prior.id
         WHERE o.retry_of IS NOT NULL;
    END IF;
    IF any_limit THEN
        INSERT INTO hler.start_limit (operation, start_by)
        SELECT o.id, o.start_by FROM new_rows AS o WHERE o.start_by IS NOT NULL;
    END IF;
    PERFORM pg_notify('hler', ''); -- constant payload, once per transaction however many rows: a hint, no more
    RETURN NULL;
END $$;
CREATE TRIGGER make_tasks AFTER INSERT ON hler.operation
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hler_core.make_tasks();

-- Who runs the new tasks: at the commit, so that nobody waits for a front end that takes its time, and what it has cancelled
-- meanwhile is no task any more.  An idle worker that has claimed ahead is granted them here; what is left is the dispatchers',
-- for all of the transaction.
--   In a new connection the plans of this would cost more than the dispatchers' way, so its first tasks take that one.  And
-- under a stricter isolation a claim that was renewed since the snapshot would fail the commit, as would any in a transaction
-- that is read only by then.
CREATE FUNCTION hler_core.hand_over_new() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this_one CONSTANT text := pg_current_xact_id();
BEGIN
    IF current_setting('hler.left', true) = this_one THEN
        RETURN NULL;
    END IF;
    IF current_setting('hler.kept', true) IS DISTINCT FROM 'on' THEN
        PERFORM set_config('hler.kept', 'on', false);
    ELSIF current_setting('transaction_isolation') = 'read committed' AND current_setting('transaction_read_only') = 'off'
          AND hler_core.has_claims() AND hler_core.grant_new(NEW.id) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify('hler_work', ''), set_config('hler.left', this_one, true);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER hand_over_new AFTER INSERT ON hler.operation DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hler_core.hand_over_new();

-- Row security: a front end sees its own, whatever else is granted later.
ALTER TABLE hler.operation ENABLE ROW LEVEL SECURITY;
ALTER TABLE hler.operation FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON hler.operation TO hler_owner USING (true) WITH CHECK (true);
CREATE POLICY see ON hler.operation FOR SELECT TO hler_frontend, hler_operator
    USING (requester = session_user OR (SELECT hler_core.is_operator()));
CREATE POLICY ask ON hler.operation FOR INSERT TO hler_frontend, hler_operator
    WITH CHECK (requester = session_user);
GRANT SELECT, INSERT (id, type, version, inputs, target, priority, run_at, start_by, idempotency_key, labels,
                      traceparent, actor)
    ON hler.operation TO hler_frontend, hler_operator;

-- The same as an INSERT, with the rights of the caller; a key that is there gives its operation.
CREATE FUNCTION hler.submit(type text, inputs json, target uuid DEFAULT NULL, id uuid DEFAULT NULL,
    priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, start_by timestamptz DEFAULT NULL,
    idempotency_key text DEFAULT NULL, labels jsonb DEFAULT '{}', traceparent text DEFAULT NULL,
    actor text DEFAULT NULL, version int DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    made uuid;
BEGIN
    -- ON CONFLICT waits for another one's uncommitted twin; that one may still roll back.
    WHILE made IS NULL LOOP
        INSERT INTO hler.operation AS o (id, type, version, inputs, target, priority, run_at, start_by,
                                    idempotency_key, labels, traceparent, actor)
        VALUES (submit.id, submit.type, submit.version, submit.inputs, submit.target, submit.priority, submit.run_at,
                submit.start_by, submit.idempotency_key, submit.labels, submit.traceparent, submit.actor)
        ON CONFLICT (requester, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING o.id INTO made;
        IF made IS NULL THEN
            SELECT o.id INTO made FROM hler.operation AS o
             WHERE o.requester = session_user AND o.idempotency_key = submit.idempotency_key;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- For jsonb_build_object() and for untyped literals (which PostgreSQL takes for text).
CREATE FUNCTION hler.submit(type text, inputs jsonb, target uuid DEFAULT NULL, id uuid DEFAULT NULL,
    priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, start_by timestamptz DEFAULT NULL,
    idempotency_key text DEFAULT NULL, labels jsonb DEFAULT '{}', traceparent text DEFAULT NULL,
    actor text DEFAULT NULL, version int DEFAULT NULL) RETURNS uuid
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT hler.submit($1, $2::json, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
$$;

CREATE FUNCTION hler.submit(type text, inputs text DEFAULT '{}', target uuid DEFAULT NULL, id uuid DEFAULT NULL,
    priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, start_by timestamptz DEFAULT NULL,
    idempotency_key text DEFAULT NULL, labels jsonb DEFAULT '{}', traceparent text DEFAULT NULL,
    actor text DEFAULT NULL, version int DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body json;
BEGIN
    BEGIN
        body := inputs::json;
    EXCEPTION WHEN data_exception OR statement_too_complex THEN
        RAISE EXCEPTION 'operation refused: inputs are no JSON' USING ERRCODE = 'HL001',
            DETAIL = jsonb_build_array(jsonb_build_object('field', 'inputs', 'rule', 'type', 'message', 'must be JSON'))::text;
    END;
    RETURN hler.submit($1, body, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);
END $$;

-- The operation, locked, if the caller may touch it; HL404 for every other.
CREATE FUNCTION hler_core.lock_own(operation uuid) RETURNS hler.operation
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    o hler.operation;
BEGIN
    SELECT * INTO o FROM hler.operation AS x
     WHERE x.id = lock_own.operation AND (x.requester = session_user OR hler_core.is_operator())
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no operation %', coalesce(operation::text, '(null)') USING ERRCODE = 'HL404';
    END IF;
    RETURN o;
END $$;

-- Stop what has not ended of a locked operation: at once what no worker has, by a request
-- what one may have.  Held tasks are given up: their attempt is fenced off for good.
CREATE FUNCTION hler_core.stop_tasks(op uuid, why text, note text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz;
    asked  bigint;
BEGIN
    -- Waits for offers in the making; the statements below then see their attempts.
    PERFORM FROM hler.task AS t WHERE t.operation = op ORDER BY t.id FOR NO KEY UPDATE;
    PERFORM FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task
      WHERE t.operation = op AND a.attempt = t.attempt ORDER BY a.task, a.attempt FOR NO KEY UPDATE OF a;
    moment := clock_timestamp(); -- after the waiting: nothing ends before it was offered
    UPDATE hler.attempt AS a
       SET stop_requested_at = coalesce(a.stop_requested_at, moment), stop_cause = coalesce(a.stop_cause, 'cancelled')
      FROM hler.task AS t
     WHERE t.operation = op AND a.task = t.id AND a.attempt = t.attempt AND a.state IN ('granted', 'started', 'lost');
    GET DIAGNOSTICS asked = ROW_COUNT;
    UPDATE hler.attempt AS a SET state = 'void', finished_at = moment, cause = why
      FROM hler.task AS t
     WHERE t.operation = op AND a.task = t.id AND a.attempt = t.attempt AND a.state IN ('offered', 'lost');
    IF FOUND THEN
        PERFORM hler_core.miss_events(array_agg(t.id), array_agg(t.attempt)) FROM hler.task AS t WHERE t.operation = op;
    END IF;
    UPDATE hler.task AS t SET state = 'cancelled', cause = why, message = note, finished_at = moment
     WHERE t.operation = op
       AND (t.state IN ('blocked', 'waiting', 'ready', 'held')
            OR t.state = 'queued' AND NOT EXISTS (SELECT FROM hler.attempt AS a
                WHERE a.task = t.id AND a.attempt = t.attempt AND a.state = 'granted'));
    PERFORM hler_core.roll_up(ARRAY[op]);
    IF asked > 0 THEN
        PERFORM pg_notify('hler_work', '');
    END IF;
END $$;

-- Returns the operation's state afterwards.  Asking again, or too late, is no error.
CREATE FUNCTION hler.cancel(operation uuid, reason text DEFAULT NULL, actor text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    o hler.operation := hler_core.lock_own(operation);
BEGIN
    IF o.finished_at IS NULL AND o.cancel_requested_at IS NULL THEN
        UPDATE hler.operation AS x
           SET cancel_requested_at = clock_timestamp(), cancel_actor = left(cancel.actor, 200), cancel_reason = left(reason, 1000)
         WHERE x.id = o.id;
    END IF;
    IF o.finished_at IS NULL THEN
        PERFORM hler_core.stop_tasks(o.id, 'cancelled', left(reason, 1000));
    END IF;
    RETURN (SELECT x.state FROM hler.operation AS x WHERE x.id = o.id);
END $$;

-- A new operation with the same inputs, in which what succeeded stands.
CREATE FUNCTION hler.retry(operation uuid, reason text DEFAULT NULL, actor text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    o    hler.operation := hler_core.lock_own(operation);
    made uuid;
BEGIN
    IF o.state NOT IN ('failed', 'cancelled') THEN
        RAISE EXCEPTION 'operation % is %: only failed and cancelled ones are tried again', o.id, o.state
            USING ERRCODE = 'HL409',
                  HINT = CASE o.state WHEN 'held' THEN
                      'look at the hosts whether its run is over; then `hler retry --lost` runs it again, `hler cancel` gives it up'
                      WHEN 'succeeded' THEN 'submit another' ELSE 'cancel it, or wait for its end' END;
    END IF;
    -- Asked twice, or again after a lost answer: the retry that goes on.
    SELECT x.id INTO made FROM hler.operation AS x WHERE x.retry_of = o.id AND x.finished_at IS NULL;
    IF FOUND THEN
        RETURN made;
    END IF;
    INSERT INTO hler.operation (type, version, inputs, target, priority, requester, labels, traceparent, actor,
                                retry_of, retry_reason)
    VALUES (o.type, o.version, o.inputs, o.target, o.priority, o.requester, o.labels, o.traceparent,
            coalesce(left(retry.actor, 200), o.actor), o.id, left(reason, 1000))
    RETURNING id INTO made;
    RETURN made;
END $$;

-- A person's word that what is held may run again: the lost attempts are fenced off for good,
-- and their tasks are ready.  Whoever says so has seen that the old run is over, or that two
-- do no harm.
CREATE FUNCTION hler.retry_lost(operation uuid, reason text DEFAULT NULL, actor text DEFAULT NULL)
RETURNS TABLE (task uuid, name text, attempt int, worker text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    o      hler.operation := hler_core.lock_own(operation);
    moment timestamptz := clock_timestamp();
    held   uuid[];
BEGIN
    PERFORM FROM hler.task AS t WHERE t.operation = o.id ORDER BY t.id FOR NO KEY UPDATE;
    SELECT array_agg(l.task) INTO held
      FROM (SELECT a.task FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task
             WHERE t.operation = o.id AND t.state = 'held' AND a.attempt = t.attempt AND a.state = 'lost'
             ORDER BY a.task, a.attempt FOR NO KEY UPDATE OF a) AS l;
    IF held IS NULL THEN
        RAISE EXCEPTION 'operation % is %: no task of it is held after a lost attempt', o.id, o.state
            USING ERRCODE = 'HL409', HINT = CASE
                WHEN o.state IN ('failed', 'cancelled') THEN 'what has ended is tried again by a plain retry'
                WHEN o.state = 'succeeded' THEN 'it is done: another one is a new operation' ELSE 'its tasks say what they wait for' END;
    END IF;
    UPDATE hler.attempt AS a
       SET state = 'void', finished_at = moment, cause = 'superseded',
           message = left(concat_ws(' ', 'given up for lost by', session_user, '(' || retry_lost.actor || ')',
                                    '- ' || reason), 1000)
      FROM hler.task AS t WHERE t.id = ANY (held) AND a.task = t.id AND a.attempt = t.attempt;
    PERFORM hler_core.miss_events(array_agg(t.id), array_agg(t.attempt)) FROM hler.task AS t WHERE t.id = ANY (held);
    UPDATE hler.task AS t SET state = 'ready', ready_at = moment, cause = NULL, message = NULL WHERE t.id = ANY (held);
    PERFORM hler_core.roll_up(ARRAY[o.id]);
    RETURN QUERY SELECT t.id, t.key, a.attempt, a.worker
                   FROM hler.task AS t JOIN hler.attempt AS a ON a.task = t.id AND a.attempt = t.attempt
                  WHERE t.id = ANY (held) ORDER BY t.no;
END $$;

GRANT EXECUTE ON FUNCTION hler.retry_lost(uuid, text, text),
    hler.submit(text, json, uuid, uuid, int, timestamptz, timestamptz, text, jsonb, text, text, int),
    hler.submit(text, jsonb, uuid, uuid, int, timestamptz, timestamptz, text, jsonb, text, text, int),
    hler.submit(text, text, uuid, uuid, int, timestamptz, timestamptz, text, jsonb, text, text, int),
    hler.cancel(uuid, text, text), hler.retry(uuid, text, text)
    TO hler_frontend, hler_operator;
