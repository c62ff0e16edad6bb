-- record_state and record_output: what the dispatcher calls with its batches.
SET LOCAL ROLE hler_owner;

-- May these outputs be stored?  They travel in later offers, which must fit one message.
CREATE FUNCTION hler_core.outputs_fit(task uuid, outputs text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT octet_length(outputs) <= 65536 AND octet_length(outputs) + (
               SELECT coalesce(sum(octet_length(out.outputs::text)), 0)
                 FROM hler.task AS t JOIN hler.task AS sibling ON sibling.operation = t.operation AND sibling.id <> t.id
                 JOIN hler.task_output AS out ON out.task = sibling.id
                WHERE t.id = outputs_fit.task) <= 524288);
END $$;

CREATE FUNCTION hler_core.add_outputs(facts hler_core.fact[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hler.task_output (task, outputs)
    SELECT f.task, f.data::json -> 'outputs' FROM unnest(facts) AS f
     WHERE f.verdict = 'recorded' AND f.kind = 'finished' AND f.data::json ->> 'state' = 'succeeded'
       AND f.data::json ->> 'outputs' <> '{}' AND hler_core.outputs_fit(f.task, f.data::json ->> 'outputs')
    ON CONFLICT (task) DO UPDATE SET outputs = excluded.outputs;
END $$;

-- What the new events say, on the attempts' rows.  Nothing of that depends on what came before.  The step of the state that
-- follows in nearly all cases is taken by the way, since another update of the row would cost as much as this one; all others
-- are settle()'s, and `settled` says that there are none.
CREATE FUNCTION hler_core.add_facts(facts hler_core.fact[], OUT tasks uuid[], OUT attempts int[], OUT any_started boolean,
                                    OUT ended hler_core.attempt_ref[], OUT settled boolean)
LANGUAGE plpgsql AS $$
BEGIN
    WITH tally AS MATERIALIZED ( -- each of these once, not in every place that names it
        SELECT f.task, f.attempt, min(f.username) AS username, count(*) FILTER (WHERE f.seq > 0) AS numbered,
               coalesce(max(f.seq), 0) AS top, count(*) FILTER (WHERE f.kind = 'result') AS results,
               bool_or(f.kind = 'lost') AS lost, bool_or(f.kind = 'refused') AS refused,
               bool_or(f.kind = 'declined') AS declined, max(f.data) FILTER (WHERE f.seq < 0)::json AS said,
               max(f.data) FILTER (WHERE f.kind = 'finished' AND f.verdict = 'recorded') AS end_text
          FROM unnest(facts) AS f
         WHERE f.verdict = 'recorded' AND f.kind <> 'held' OR f.verdict = 'not_recordable' AND f.seq > 0
         GROUP BY f.task, f.attempt),
    read AS MATERIALIZED (SELECT t.*, t.end_text::jsonb AS fin FROM tally AS t),
    fitted AS MATERIALIZED (
        SELECT r.*, CASE WHEN r.fin ->> 'state' = 'succeeded' AND r.fin ->> 'outputs' <> '{}'
                         THEN NOT hler_core.outputs_fit(r.task, r.end_text::json ->> 'outputs') ELSE false END AS misfit
          FROM read AS r),
    ends AS MATERIALIZED (
        SELECT f.*, CASE WHEN f.misfit THEN 'failed' ELSE f.fin ->> 'state' END AS end_state FROM fitted AS f),
    steps AS MATERIALIZED (
        SELECT e.*, CASE WHEN b.state = 'started' OR b.state = 'granted' AND e.numbered > 0
                               AND NOT (e.lost OR e.declined OR b.lost_said OR b.declined)
                         THEN CASE WHEN b.results_recorded + e.results >= (e.fin ->> 'results')::int THEN e.end_state
                                   WHEN b.state = 'granted' THEN 'started' END END AS step
          FROM ends AS e JOIN hler.attempt AS b ON b.task = e.task AND b.attempt = e.attempt),
    told AS (
        UPDATE hler.attempt AS a
           SET state = coalesce(s.step, a.state),
               finished_at = CASE WHEN s.step = s.end_state THEN clock_timestamp() ELSE a.finished_at END,
               worker = coalesce(a.worker, s.username),
               events_recorded = a.events_recorded + s.numbered,
               last_seq = greatest(a.last_seq, s.top),
               last_event_at = clock_timestamp(),
               results_recorded = a.results_recorded + s.results,
               -- every numbered event proves the start, whichever comes first
               started_at = CASE WHEN s.numbered > 0 THEN coalesce(a.started_at, clock_timestamp()) ELSE a.started_at END,
               lost_said = a.lost_said OR s.lost,
               refused = a.refused OR s.refused,
               declined = a.declined OR s.declined,
               end_state = coalesce(s.end_state, a.end_state),
               cause = CASE WHEN s.misfit THEN 'outputs_invalid' WHEN s.fin IS NOT NULL THEN s.fin ->> 'cause'
                            WHEN a.end_state IS NULL AND s.said IS NOT NULL THEN s.said ->> 'cause' ELSE a.cause END,
               message = left(CASE WHEN s.misfit THEN 'outputs of the task are too large'
                                   WHEN s.fin IS NOT NULL THEN s.fin ->> 'message'
                                   WHEN a.end_state IS NULL AND s.said IS NOT NULL THEN s.said ->> 'message'
                                   ELSE a.message END, 1000),
               exit_code = coalesce((s.fin ->> 'exit_code')::int, a.exit_code),
               signal = coalesce((s.fin ->> 'signal')::int, a.signal),
               retryable = a.retryable OR NOT s.misfit AND coalesce((s.fin ->> 'retryable')::boolean, false),
               results_expected = coalesce((s.fin ->> 'results')::int, a.results_expected),
               output_bytes = coalesce((s.fin ->> 'output_bytes')::bigint, a.output_bytes),
               dropped_bytes = coalesce((s.fin ->> 'dropped_bytes')::bigint, a.dropped_bytes),
               left_behind = CASE WHEN s.fin IS NOT NULL THEN (s.fin ->> 'left_behind')::int
                                  WHEN a.end_state IS NULL THEN coalesce((s.said ->> 'left_behind')::int, a.left_behind)
                                  ELSE a.left_behind END
          FROM steps AS s WHERE a.task = s.task AND a.attempt = s.attempt
        RETURNING a.task, a.attempt, s.step,
                  CASE a.state WHEN 'started' THEN a.end_state IS NULL AND NOT a.lost_said AND NOT a.declined
                               ELSE coalesce(a.state = a.end_state, false) AND a.events_recorded >= a.last_seq END AS settled)
    SELECT array_agg(t.task), array_agg(t.attempt), coalesce(bool_or(t.step = 'started'), false),
           array_agg((t.task, t.attempt)::hler_core.attempt_ref) FILTER (WHERE t.step <> 'started'),
           coalesce(bool_and(t.settled), false)
      INTO tasks, attempts, any_started, ended, settled FROM told AS t;
END $$;

-- Late events of fenced attempts change nothing but the count of what is there.
CREATE FUNCTION hler_core.count_stale(facts hler_core.fact[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hler.attempt AS a SET events_recorded = a.events_recorded + s.n, last_seq = greatest(a.last_seq, s.top)
      FROM (SELECT f.task, f.attempt, count(*) AS n, max(f.seq) AS top FROM unnest(facts) AS f
             WHERE f.verdict = 'stale' AND f.seq > 0 GROUP BY f.task, f.attempt) AS s
     WHERE a.task = s.task AND a.attempt = s.attempt;
END $$;

-- Forget gaps that are filled, or that the attempt's worker cannot fill: it has nothing of it, or
-- no end of it and was asked.
CREATE FUNCTION hler_core.close_gaps(facts hler_core.fact[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM hler.gap) THEN
        RETURN;
    END IF;
    DELETE FROM hler.gap AS g
     USING hler.attempt AS a,
           (SELECT f.task, f.attempt, bool_or(f.kind = 'declined') AS declined, bool_or(f.kind = 'lost') AS lost
              FROM unnest(facts) AS f WHERE f.verdict IN ('recorded', 'duplicate', 'stale')
             GROUP BY f.task, f.attempt) AS said
     WHERE g.task = said.task AND g.attempt = said.attempt AND a.task = said.task AND a.attempt = said.attempt
       AND (said.declined
            OR a.events_recorded >= a.last_seq
               AND (a.end_state IS NOT NULL OR said.lost AND a.reported_at > g.since
                    OR EXISTS (SELECT FROM hler.event AS e
                                WHERE e.task = a.task AND e.attempt = a.attempt AND e.seq = a.last_seq
                                  AND e.offered_on = a.offered_on AND e.kind = 'finished')));
END $$;

CREATE FUNCTION hler_core.record_state(users text[], kinds text[], tasks uuid[], attempts int[], tokens text[],
                                       seqs bigint[], at timestamptz[], data text[])
RETURNS TABLE (i int, verdict text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    judged record;
    moved  record;
    again  record;
BEGIN
    PERFORM hler_core.lock_operations(tasks);
    PERFORM hler_core.lock_attempts(tasks, attempts);
    judged := hler_core.judge(users, kinds, tasks, attempts, tokens, seqs, at, data);
    IF judged.verdicts && ARRAY['unknown', 'foreign', 'not_recordable'] THEN
        PERFORM hler_core.set_aside(judged.facts, 'hler.state');
    END IF;
    PERFORM hler_core.add_events(judged.facts);
    IF 'result' = ANY (kinds) THEN
        PERFORM hler_core.add_results(judged.facts);
    END IF;
    IF 'finished' = ANY (kinds) THEN
        PERFORM hler_core.add_outputs(judged.facts);
    END IF;
    moved := hler_core.add_facts(judged.facts);
    IF moved.settled THEN
        PERFORM hler_core.settle_tasks(moved.tasks, moved.any_started, moved.ended IS NOT NULL, false);
    ELSIF moved.tasks IS NOT NULL THEN
        PERFORM hler_core.settle(moved.tasks, moved.attempts, moved.any_started, moved.ended);
    END IF;
    IF 'duplicate' = ANY (judged.verdicts) AND 'declined' = ANY (kinds) THEN
        -- declined before it was granted (a restored database) and again: only now it counts
        SELECT array_agg(f.task) AS tasks, array_agg(f.attempt) AS attempts INTO again
          FROM unnest(judged.facts) AS f WHERE f.verdict = 'duplicate' AND f.kind = 'declined';
        PERFORM hler_core.settle(again.tasks, again.attempts);
    END IF;
    IF 'stale' = ANY (judged.verdicts) THEN
        PERFORM hler_core.count_stale(judged.facts);
    END IF;
    PERFORM hler_core.close_gaps(judged.facts);
    RETURN QUERY SELECT v.n::int, v.verdict FROM unnest(judged.verdicts) WITH ORDINALITY AS v (verdict, n);
END $$;

-- What a batch of output says of one attempt.
CREATE TYPE hler_core.talk AS (task uuid, attempt int, offered_on date, events bigint, top bigint);

-- By attempt, if nothing is unusual in the batch: each event can be recorded, whoever speaks owns the attempt, which is not
-- fenced (its end may have come before its output), and no number was there before, neither in the tables nor in the batch.
-- Else NULL: judge() must look at each event by itself, which costs more than all else that becomes of it.  The caller has
-- locked the attempts.
CREATE FUNCTION hler_core.usual_talks(users text[], kinds text[], tasks uuid[], attempts int[], tokens text[], seqs bigint[],
                                      data text[])
RETURNS hler_core.talk[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- is_recordable() of these two kinds, for less than jsonb takes: what has a NUL is left to that.  (jsonb would refuse a number
    -- beyond all, or too near to zero.  No dispatcher lets one through, and the column takes it.)
    IF NOT (SELECT bool_and(coalesce(r.seq >= 1 AND (r.kind = 'output' OR r.kind = 'progress' AND json_typeof(r.data::json) = 'object'
                                                                         AND strpos(r.data, '\u0000') = 0), false))
              FROM unnest(kinds, seqs, data) AS r (kind, seq, data)) THEN
        RETURN NULL;
    END IF;
    RETURN (
        -- (seq + 0: a range is looked up once, its rows compared.  By the index each of the numbers would be looked up.)
        SELECT CASE WHEN bool_and(coalesce(
                   s.usual AND a.worker = s.username AND a.token = s.token AND a.state <> 'void'
                   AND NOT EXISTS (SELECT FROM hler.event AS e
                                    WHERE e.task = a.task AND e.attempt = a.attempt AND e.offered_on = a.offered_on
                                      AND e.seq BETWEEN s.first AND s.top AND e.seq + 0 = ANY (s.numbers))
                   AND NOT EXISTS (SELECT FROM hler.output_event AS e
                                    WHERE e.task = a.task AND e.attempt = a.attempt AND e.offered_on = a.offered_on
                                      AND e.seq BETWEEN s.first AND s.top AND e.seq + 0 = ANY (s.numbers)), false))
               THEN array_agg((s.task, s.attempt, a.offered_on, s.events, s.top)::hler_core.talk) END
          FROM (SELECT r.task, r.attempt, min(r.username) AS username, min(r.token) AS token, count(*) AS events,
                       min(r.seq) AS first, max(r.seq) AS top, array_agg(r.seq) AS numbers,
                       min(r.username) = max(r.username) AND min(r.token) = max(r.token) AND count(DISTINCT r.seq) = count(*)
                       AND count(r.username) = count(*) AND count(r.token) = count(*) AS usual
                  FROM unnest(users, tasks, attempts, tokens, seqs) AS r (username, task, attempt, token, seq)
                 GROUP BY r.task, r.attempt) AS s
          LEFT JOIN hler.attempt AS a ON a.task = s.task AND a.attempt = s.attempt);
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;

-- Output and progress: rows and counters, no states.  Locks attempts only.
CREATE FUNCTION hler_core.record_output(users text[], kinds text[], tasks uuid[], attempts int[], tokens text[],
                                        seqs bigint[], at timestamptz[], streams text[], texts text[], raws bytea[],
                                        data text[])
RETURNS TABLE (i int, verdict text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    judged record;
    talks  hler_core.talk[];
BEGIN
    PERFORM hler_core.may_be_lost();
    PERFORM hler_core.lock_attempts(array_agg(x.task), array_agg(x.attempt)) -- each once, not for each of its events
       FROM (SELECT DISTINCT w.task, w.attempt FROM unnest(tasks, attempts) AS w (task, attempt)) AS x;
    talks := hler_core.usual_talks(users, kinds, tasks, attempts, tokens, seqs, data);
    IF talks IS NOT NULL THEN
        IF 'progress' = ANY (kinds) THEN
            INSERT INTO hler.event (task, attempt, seq, offered_on, stale, kind, data, worker_at, recorded_at)
            SELECT r.task, r.attempt, r.seq, t.offered_on, false, r.kind, r.data::json, r.worker_at, clock_timestamp()
              FROM unnest(kinds, tasks, attempts, seqs, at, data) AS r (kind, task, attempt, seq, worker_at, data)
              JOIN unnest(talks) AS t ON t.task = r.task AND t.attempt = r.attempt WHERE r.kind <> 'output';
        END IF;
        IF 'output' = ANY (kinds) THEN
            INSERT INTO hler.output_event (task, attempt, seq, offered_on, stale, stream, text, raw, worker_at, recorded_at)
            SELECT r.task, r.attempt, r.seq, t.offered_on, false, coalesce(r.stream, 'stdout'), coalesce(r.text, ''), r.raw,
                   r.worker_at, clock_timestamp()
              FROM unnest(kinds, tasks, attempts, seqs, at, streams, texts, raws)
                   AS r (kind, task, attempt, seq, worker_at, stream, text, raw)
              JOIN unnest(talks) AS t ON t.task = r.task AND t.attempt = r.attempt WHERE r.kind = 'output';
        END IF;
        WITH told AS (
            UPDATE hler.attempt AS a
               SET events_recorded = a.events_recorded + t.events, last_seq = greatest(a.last_seq, t.top),
                   last_event_at = clock_timestamp()
              FROM unnest(talks) AS t WHERE a.task = t.task AND a.attempt = t.attempt
            RETURNING a.task, a.attempt, a.end_state IS NOT NULL AND a.events_recorded >= a.last_seq AS filled)
        DELETE FROM hler.gap AS g USING told AS t WHERE t.filled AND g.task = t.task AND g.attempt = t.attempt;
        RETURN QUERY SELECT n::int, 'recorded' FROM generate_series(1, cardinality(kinds)) AS n;
        RETURN;
    END IF;
    judged := hler_core.judge(users, kinds, tasks, attempts, tokens, seqs, at, data);
    IF judged.verdicts && ARRAY['unknown', 'foreign', 'not_recordable'] THEN
        PERFORM hler_core.set_aside(judged.facts, 'hler.output');
    END IF;
    IF NOT 'output' = ALL (kinds) THEN
        PERFORM hler_core.add_events(ARRAY(SELECT f FROM unnest(judged.facts) AS f WHERE f.kind <> 'output'));
    END IF;
    INSERT INTO hler.output_event (task, attempt, seq, offered_on, stale, stream, text, raw, worker_at, recorded_at)
    SELECT f.task, f.attempt, f.seq, f.offered_on, f.verdict = 'stale', coalesce(streams[f.i], 'stdout'),
           coalesce(texts[f.i], ''), raws[f.i], f.worker_at, clock_timestamp()
      FROM unnest(judged.facts) AS f WHERE f.verdict IN ('recorded', 'stale') AND f.kind = 'output';
    UPDATE hler.attempt AS a
       SET events_recorded = a.events_recorded + s.n, last_seq = greatest(a.last_seq, s.top),
           last_event_at = clock_timestamp()
      FROM (SELECT f.task, f.attempt, count(*) AS n, max(f.seq) AS top FROM unnest(judged.facts) AS f
             WHERE f.verdict = 'recorded' AND f.seq > 0 GROUP BY f.task, f.attempt) AS s
     WHERE a.task = s.task AND a.attempt = s.attempt;
    IF 'stale' = ANY (judged.verdicts) THEN
        PERFORM hler_core.count_stale(judged.facts);
    END IF;
    PERFORM hler_core.close_gaps(judged.facts);
    RETURN QUERY SELECT v.n::int, v.verdict FROM unnest(judged.verdicts) WITH ORDINALITY AS v (verdict, n);
END $$;

GRANT EXECUTE ON FUNCTION
    hler_core.record_state(text[], text[], uuid[], int[], text[], bigint[], timestamptz[], text[]),
    hler_core.record_output(text[], text[], uuid[], int[], text[], bigint[], timestamptz[], text[], text[], bytea[], text[]),
    hler_core.dead_letter(text, text, text, bytea)
    TO hler_dispatcher;
