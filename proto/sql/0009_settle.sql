-- From facts to states.  Events only leave facts on the attempt's row (0010); here the states
-- of attempts, tasks and operations follow from the facts.  That is why events commute.
-- Callers hold the locks of the operations and of the attempts.
SET LOCAL ROLE hler_owner;

-- State of whole operations from their tasks.
CREATE FUNCTION hler_core.roll_up(ops uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hler.operation AS o
       SET state = s.state,
           started_at = coalesce(o.started_at, s.started_at),
           finished_at = CASE WHEN s.is_over THEN clock_timestamp() END,
           cause = CASE WHEN s.state = 'succeeded' THEN 'done' ELSE s.cause END,
           message = s.message
      FROM (SELECT x.id, t.*, w.cause, w.message,
                   CASE WHEN t.is_over THEN CASE WHEN t.failed THEN 'failed' WHEN t.stopped THEN 'cancelled'
                                                 ELSE 'succeeded' END
                        WHEN t.held THEN 'held'
                        WHEN x.state = 'held' OR t.started_at IS NOT NULL THEN 'running'
                        ELSE x.state END AS state
              FROM hler.operation AS x, LATERAL (
                   SELECT bool_and(k.state IN ('succeeded', 'failed', 'cancelled', 'skipped')) AS is_over,
                          bool_or(k.state = 'failed') AS failed,
                          bool_or(k.state IN ('cancelled', 'skipped')) AS stopped,
                          bool_or(k.state = 'held') AS held,
                          min(k.started_at) AS started_at
                     FROM hler.task AS k WHERE k.operation = x.id) AS t
              LEFT JOIN LATERAL ( -- the first failed task speaks, else the first cancelled, else the first held
                   SELECT k.cause, k.message FROM hler.task AS k
                    WHERE (t.failed OR t.stopped OR t.held) AND k.operation = x.id AND k.state IN ('failed', 'cancelled', 'held')
                    ORDER BY array_position(ARRAY['failed', 'cancelled', 'held'], k.state), k.no LIMIT 1) AS w ON true
             WHERE x.id = ANY (ops) AND x.finished_at IS NULL) AS s
     WHERE o.id = s.id AND (o.state <> s.state OR o.started_at IS NULL AND s.started_at IS NOT NULL);
END $$;

-- Now, for what is to be waited for from now on by ticks: as if the next one were due at once,
-- so that no wait by it is shorter than it says.
CREATE FUNCTION hler_core.elapsed_at_most() RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT s.elapsed_ms + s.step_ms FROM hler.silence AS s);
END $$;

CREATE TYPE hler_core.attempt_ref AS (task uuid, attempt int);

-- One step of many attempts; new_state NULL: to the end that each has told of.  No condition on the state here: it would lead the planner to
-- the index of all running ones.
CREATE FUNCTION hler_core.move_attempts(refs hler_core.attempt_ref[], new_state text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    IF refs IS NOT NULL THEN
        UPDATE hler.attempt AS a
           SET state = coalesce(new_state, a.end_state),
               granted_at = CASE WHEN new_state = 'granted' THEN moment ELSE a.granted_at END,
               lost_at = CASE coalesce(new_state, 'started') WHEN 'lost' THEN moment WHEN 'started' THEN NULL ELSE a.lost_at END,
               lost_ms = CASE coalesce(new_state, 'started') WHEN 'lost' THEN hler_core.elapsed_at_most() WHEN 'started' THEN NULL
                                                             ELSE a.lost_ms END,
               finished_at = CASE WHEN new_state IS NULL OR new_state = 'void' THEN moment ELSE a.finished_at END
          FROM unnest(refs) AS w WHERE a.task = w.task AND a.attempt = w.attempt;
    END IF;
END $$;

-- Fenced attempts that a worker may have run: what it says of them is kept, and so asked for.
CREATE FUNCTION hler_core.miss_events(tasks uuid[], attempts int[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hler.gap (task, attempt, worker, since)
    SELECT a.task, a.attempt, a.worker, clock_timestamp()
      FROM unnest(tasks, attempts) AS w (task, attempt)
      JOIN hler.attempt AS a ON a.task = w.task AND a.attempt = w.attempt AND a.state = 'void'
     WHERE a.worker IS NOT NULL AND NOT a.declined
    ON CONFLICT DO NOTHING;
END $$;

-- The attempts' own states.  `moved` has ended already, by facts that were just added.  Says what moved, since nothing follows for
-- a task whose attempt did not.
CREATE FUNCTION hler_core.settle_attempts(tasks uuid[], attempts int[], moved hler_core.attempt_ref[], OUT any_live boolean, OUT any_over boolean,
                                          OUT any_void boolean)
LANGUAGE plpgsql AS $$
DECLARE
    adopted hler_core.attempt_ref[]; -- events of an attempt that the tables hold for unclaimed:
                                     -- the database was restored to before the grant.  What
                                     -- runs is adopted, never run twice.
    started hler_core.attempt_ref[];
    lost    hler_core.attempt_ref[];
    ended   hler_core.attempt_ref[];
    gone    hler_core.attempt_ref[]; -- never started, and never will be under this token
    ending  boolean; -- some were lost by their worker's word
BEGIN
    SELECT array_agg(f.ref) FILTER (WHERE f.state = 'offered' AND (f.ran OR f.lost_said)),
           array_agg(f.ref) FILTER (WHERE f.state IN ('offered', 'granted', 'lost') AND f.ran AND NOT f.lost_said AND NOT f.over),
           array_agg(f.ref) FILTER (WHERE f.state IN ('offered', 'granted', 'started') AND f.lost_said AND NOT f.over),
           array_agg(f.ref) FILTER (WHERE f.state IN ('offered', 'granted', 'started', 'lost') AND f.over),
           array_agg(f.ref) FILTER (WHERE NOT f.ran AND (f.state IN ('offered', 'granted')
                                                         OR f.state = 'lost' AND NOT f.lost_said)
                                      AND (f.refused OR f.declined AND f.state <> 'offered')),
           coalesce(bool_or(f.state = 'lost'), false), bool_or(f.lost_said AND NOT f.over)
      INTO adopted, started, lost, ended, gone, any_live, ending
      FROM (SELECT (a.task, a.attempt)::hler_core.attempt_ref AS ref, a.state, a.refused, a.declined,
                   -- a worker that has nothing of what did start has lost it
                   a.lost_said OR a.declined AND a.started_at IS NOT NULL AS lost_said,
                   a.started_at IS NOT NULL AS ran,
                   a.end_state IS NOT NULL AND a.results_recorded >= a.results_expected AS over
              FROM unnest(tasks, attempts) AS w (task, attempt)
              JOIN hler.attempt AS a ON a.task = w.task AND a.attempt = w.attempt) AS f;
    PERFORM hler_core.move_attempts(adopted, 'granted');
    PERFORM hler_core.move_attempts(started, 'started');
    PERFORM hler_core.move_attempts(lost, 'lost');
    PERFORM hler_core.move_attempts(ended, NULL);
    PERFORM hler_core.move_attempts(gone, 'void');
    ended := ended || moved;
    INSERT INTO hler.gap (task, attempt, worker, since)
    SELECT a.task, a.attempt, a.worker, clock_timestamp()
      FROM unnest(ended) AS w JOIN hler.attempt AS a ON a.task = w.task AND a.attempt = w.attempt
     WHERE a.events_recorded < a.last_seq
    ON CONFLICT DO NOTHING;
    IF ending THEN -- nobody says how many events those have: their worker is asked once anyhow
        INSERT INTO hler.gap (task, attempt, worker, since)
        SELECT a.task, a.attempt, a.worker, clock_timestamp()
          FROM unnest(tasks, attempts) AS w (task, attempt)
          JOIN hler.attempt AS a ON a.task = w.task AND a.attempt = w.attempt AND a.state = 'lost' AND a.lost_said
        ON CONFLICT DO NOTHING;
    END IF;
    -- one that is lost already may have said why
    any_live := any_live OR started IS NOT NULL OR lost IS NOT NULL;
    any_over := ended IS NOT NULL;
    any_void := gone IS NOT NULL;
END $$;

-- Pause before the next try: doubled with each, and spread so that a herd does not return
-- at once.
CREATE FUNCTION hler_core.retry_at(delay_ms bigint, tries int) RETURNS timestamptz
LANGUAGE sql VOLATILE AS $$
    SELECT clock_timestamp() + hler_core.ms((least(delay_ms * 2::numeric ^ least(tries - 1, 40),
               hler_core.setting('retry_delay_max_ms')) * (0.75 + random() / 2)::numeric)::bigint)
$$;

-- Tasks whose newest attempt is running or lost.
CREATE FUNCTION hler_core.settle_living(tasks uuid[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE hler.task AS t
       SET state = CASE WHEN a.state = 'lost' THEN 'held' ELSE 'running' END,
           cause = CASE WHEN a.state = 'lost' THEN 'lost' END,
           message = CASE WHEN a.state = 'lost' THEN coalesce(a.message, 'nothing is heard of worker ' || a.worker) END,
           started_at = CASE WHEN a.started_at IS NULL THEN t.started_at ELSE coalesce(t.started_at, clock_timestamp()) END,
           tries = (SELECT count(*) FROM hler.attempt AS x WHERE x.task = t.id AND x.started_at IS NOT NULL)
      FROM hler.attempt AS a
     WHERE t.id = ANY (tasks) AND a.task = t.id AND a.attempt = t.attempt
       AND (a.state = 'lost' AND t.state IN ('queued', 'running', 'held')
            OR a.state = 'started' AND t.state IN ('queued', 'held'));
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END $$;

-- Tasks whose newest attempt has ended: the end, or another try.  One that was queued or held has run meanwhile: an update of the row
-- for that would tell nobody anything that is still true.
CREATE FUNCTION hler_core.settle_ended(tasks uuid[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE hler.task AS t
       SET state = CASE WHEN v.again THEN 'waiting' WHEN a.state = 'timed_out' THEN 'failed' ELSE a.state END,
           ready_at = CASE WHEN v.again THEN hler_core.retry_at(d.retry_delay_ms, r.tries) ELSE t.ready_at END,
           started_at = coalesce(t.started_at, clock_timestamp()),
           tries = r.tries,
           finished_at = CASE WHEN v.again THEN NULL ELSE clock_timestamp() END,
           cause = CASE WHEN v.again OR NOT v.worn_out THEN a.cause ELSE 'retry_limit' END,
           message = CASE WHEN v.again OR NOT v.worn_out THEN a.message
                          ELSE left(concat_ws(', ', r.tries || ' tries', a.cause, a.message), 1000) END
      FROM hler.task AS own, hler.attempt AS a, hler.task_type AS d, hler.operation AS o,
           LATERAL (SELECT CASE WHEN own.state = 'running' THEN own.tries WHEN a.attempt = 1 THEN 1
                                ELSE (SELECT count(*)::int FROM hler.attempt AS x WHERE x.task = own.id AND x.started_at IS NOT NULL)
                           END AS tries) AS r,
           LATERAL (SELECT CASE WHEN d.repeatable AND a.cause = 'lease'
                                THEN greatest(d.max_tries, hler_core.setting('lost_tries_max'))
                                WHEN a.retryable THEN d.max_tries ELSE 1 END AS most) AS m,
           LATERAL (SELECT a.state = 'failed' AND r.tries < m.most AND o.cancel_requested_at IS NULL AS again,
                           a.state = 'failed' AND m.most > 1 AND r.tries >= m.most AS worn_out) AS v
     WHERE own.id = ANY (tasks) AND own.state IN ('queued', 'running', 'held') AND a.task = own.id AND a.attempt = own.attempt
       AND a.state IN ('succeeded', 'failed', 'timed_out', 'cancelled')
       AND d.id = own.task_type AND o.id = own.operation AND t.id = own.id;
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END $$;

-- Has every worker that could take the task refused it as not allowed there?  Workers of a pool
-- may be configured differently: one's word is not the others'.
CREATE FUNCTION hler_core.allowed_nowhere(task uuid, pool text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM hler.worker AS w
         WHERE w.pool = allowed_nowhere.pool AND hler_core.is_live(w) AND NOT w.draining
           AND NOT EXISTS (SELECT FROM hler.attempt AS a
                            WHERE a.task = allowed_nowhere.task AND a.worker = w.id AND a.refused AND a.cause = 'not_allowed'));
END $$;

-- Tasks whose newest attempt came to nothing: refused, declined or given up.  A full spool is the
-- worker's trouble and counts for nothing; it takes no more offers until it has room.
CREATE FUNCTION hler_core.settle_void(tasks uuid[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE hler.task AS t
       SET state = v.state, refusals = t.refusals + v.counts::int,
           ready_at = CASE WHEN v.state = 'ready' THEN clock_timestamp() ELSE t.ready_at END,
           finished_at = CASE WHEN v.state <> 'ready' THEN clock_timestamp() END,
           cause = CASE v.state WHEN 'failed' THEN CASE a.cause WHEN 'not_allowed' THEN a.cause ELSE 'refused' END WHEN 'cancelled' THEN coalesce(a.stop_cause, 'cancelled') END,
           message = CASE v.state WHEN 'failed' THEN a.message WHEN 'cancelled' THEN o.cancel_reason END
      FROM hler.task AS own, hler.attempt AS a, hler.operation AS o,
           LATERAL (SELECT a.refused AND a.cause IS DISTINCT FROM 'spool_full' AS counts,
                           a.refused AND a.cause = 'not_allowed' AND hler_core.allowed_nowhere(own.id, own.pool) AS nowhere) AS r,
           LATERAL (SELECT r.*, CASE WHEN a.stop_requested_at IS NOT NULL OR o.cancel_requested_at IS NOT NULL THEN 'cancelled'
                                WHEN r.nowhere OR r.counts AND own.refusals + 1 >= hler_core.setting('refusals_max') THEN 'failed'
                                ELSE 'ready' END AS state) AS v
     WHERE own.id = ANY (tasks) AND own.state IN ('queued', 'held') AND a.task = own.id AND a.attempt = own.attempt
       AND a.state = 'void' AND o.id = own.operation AND t.id = own.id;
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END $$;

-- What follows for the tasks that wait for ended ones.
CREATE FUNCTION hler_core.settle_next(tasks uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hler.task AS t SET state = 'ready', ready_at = clock_timestamp()
      FROM (SELECT DISTINCT n.task FROM hler.task_need AS n JOIN hler.task AS done ON done.id = n.needs
             WHERE n.needs = ANY (tasks) AND done.state = 'succeeded') AS next
     WHERE t.id = next.task AND t.state = 'blocked'
       AND NOT EXISTS (SELECT FROM hler.task_need AS n JOIN hler.task AS before ON before.id = n.needs
                        WHERE n.task = t.id AND before.state <> 'succeeded');
    WITH RECURSIVE below (id, state, cause) AS (
        SELECT t.id, t.state, t.key FROM hler.task AS t
         WHERE t.id = ANY (tasks) AND t.state IN ('failed', 'cancelled')
        UNION
        SELECT n.task, below.state, below.cause FROM below JOIN hler.task_need AS n ON n.needs = below.id)
    UPDATE hler.task AS t
       SET state = CASE below.state WHEN 'failed' THEN 'skipped' ELSE 'cancelled' END, cause = 'upstream',
           message = 'task ' || below.cause || CASE below.state WHEN 'failed' THEN ' failed' ELSE ' was cancelled' END,
           finished_at = clock_timestamp()
      FROM below WHERE t.id = below.id AND t.state = 'blocked';
END $$;

-- What follows for tasks some of whose attempts are live, over or void now.
CREATE FUNCTION hler_core.settle_tasks(tasks uuid[], any_live boolean, any_over boolean, any_void boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    living bigint := 0;
    over   bigint := 0;
BEGIN
    IF any_live THEN
        living := hler_core.settle_living(tasks);
    END IF;
    IF any_over THEN
        over := hler_core.settle_ended(tasks);
    END IF;
    IF any_void THEN
        over := over + hler_core.settle_void(tasks);
    END IF;
    IF over > 0 AND EXISTS (SELECT FROM hler.task_need AS n WHERE n.needs = ANY (tasks)) THEN
        PERFORM hler_core.settle_next(tasks);
    END IF;
    IF living + over > 0 THEN
        PERFORM hler_core.roll_up(ARRAY(SELECT DISTINCT t.operation FROM hler.task AS t WHERE t.id = ANY (tasks)));
    END IF;
END $$;

CREATE FUNCTION hler_core.settle(tasks uuid[], attempts int[], any_started boolean DEFAULT false,
                                 ended hler_core.attempt_ref[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    seen record;
BEGIN
    seen := hler_core.settle_attempts(tasks, attempts, ended);
    PERFORM hler_core.settle_tasks(tasks, seen.any_live OR any_started, seen.any_over, seen.any_void);
END $$;

-- Operations of these tasks, locked in the one order that all keep.
CREATE FUNCTION hler_core.lock_operations(tasks uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM hler.operation AS o
      WHERE o.id IN (SELECT t.operation FROM hler.task AS t WHERE t.id = ANY (tasks))
      ORDER BY o.id FOR NO KEY UPDATE;
END $$;

-- After each statement that moves tasks or operations: verdicts for listeners, hints for
-- whoever waits.  Statement level, constant payload (traps 3.3).  All questions and hints in one statement, since each
-- costs more than what it does here.
CREATE FUNCTION hler_core.tell() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_task CONSTANT boolean := TG_TABLE_NAME = 'task';
    heard   boolean;
    hints   text;
BEGIN
    -- What is queued was handed over by ourselves, and what is ready is news for dispatchers only; so are verdicts.
    SELECT s.news AND s.listened,
           concat(CASE WHEN s.ready AND is_task OR s.news AND s.listened THEN pg_notify('hler_work', '')::text END,
                  CASE WHEN s.news THEN pg_notify('hler', '')::text END)
      INTO heard, hints
      FROM (SELECT bool_or(n.state = 'ready') AS ready, bool_or(n.state NOT IN ('ready', 'queued')) AS news,
                   EXISTS (SELECT FROM hler.listener) AS listened
              FROM new_rows AS n) AS s;
    IF heard THEN
        -- to_jsonb(): the two tables have not all columns in common.
        INSERT INTO hler.verdict (class, state, operation, task, cause, message)
        SELECT TG_TABLE_NAME, n.state, CASE WHEN is_task THEN (to_jsonb(n) ->> 'operation')::uuid ELSE n.id END,
               CASE WHEN is_task THEN n.id END, n.cause, n.message
          FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
         WHERE n.state <> o.state AND n.state NOT IN ('ready', 'queued');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER UPDATE ON hler.task REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hler_core.tell();
CREATE TRIGGER tell AFTER UPDATE ON hler.operation REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION hler_core.tell();
