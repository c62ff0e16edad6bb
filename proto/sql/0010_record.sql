-- Intake: events become rows and facts, each once, whatever the order and number of copies.
SET LOCAL ROLE hler_owner;

-- Partitions of events and output, one a day, for today and the three days after.  A day
-- that already has rows in the default partition stays there.
CREATE FUNCTION hler_core.make_partitions() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    want record;
    used boolean;
BEGIN
    FOR want IN
        SELECT p.parent, d.day, p.parent || to_char(d.day, '"_"YYYYMMDD') AS part
          FROM unnest(ARRAY['event', 'output_event']) AS p (parent),
               LATERAL (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date + i AS day
                          FROM generate_series(0, 3) AS i) AS d
         WHERE to_regclass('hler.' || p.parent || to_char(d.day, '"_"YYYYMMDD')) IS NULL
    LOOP
        -- One maker at a time; another may have been here while we waited.
        PERFORM pg_advisory_xact_lock(hashtext('hler.partitions'));
        EXECUTE format('SELECT EXISTS (SELECT FROM hler.%I WHERE offered_on = %L)', want.parent || '_default', want.day)
           INTO used;
        IF NOT used AND to_regclass('hler.' || want.part) IS NULL THEN
            EXECUTE format('CREATE TABLE hler.%I PARTITION OF hler.%I FOR VALUES FROM (%L) TO (%L)',
                           want.part, want.parent, want.day, want.day + 1);
        END IF;
    END LOOP;
END $$;
SELECT hler_core.make_partitions();

CREATE FUNCTION hler_core.dead_letter(source text, reason text, facts text, body bytea) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO hler.dead_message (source, reason, facts, body, size)
    VALUES (source, reason, coalesce(facts, ''), substr(body, 1, 1048576), coalesce(octet_length(body), 0))
    ON CONFLICT (digest) DO UPDATE SET copies = dead_message.copies + 1, last_at = clock_timestamp()
    RETURNING id
$$;

-- Place of an event in its attempt.  What a worker says about an attempt has no number: each
-- kind has one place below 1.
CREATE FUNCTION hler_core.kind_seq(kind text, seq bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind WHEN 'refused' THEN -1 WHEN 'declined' THEN -2 WHEN 'lost' THEN -3 WHEN 'held' THEN -4
                     ELSE CASE WHEN seq >= 1 THEN seq END END
$$;

-- Can this event be recorded?  Where it is not even JSON, or has a number that is none, this fails: num_nulls() is here to read
-- the numbers, within one expression, since a statement would cost several times as much.
CREATE FUNCTION hler_core.is_fit(kind text, seq bigint, data text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    d CONSTANT jsonb := data::jsonb;
BEGIN
    IF jsonb_typeof(d) IS DISTINCT FROM 'object' OR hler_core.kind_seq(kind, seq) IS NULL THEN
        RETURN false;
    END IF;
    IF kind = 'result' THEN
        RETURN coalesce(num_nulls((d ->> 'entity')::uuid, (d ->> 'secret')::boolean) < 3
                        AND d ->> 'field' ~ '^[a-z][a-z0-9_]{0,62}$' AND d ->> 'mode' IN ('set', 'append')
                        AND d ->> 'entity' IS NOT NULL AND d ? 'value', false);
    ELSIF kind = 'finished' THEN
        RETURN coalesce(num_nulls((d ->> 'exit_code')::int, (d ->> 'signal')::int, (d ->> 'left_behind')::int,
                                  (d ->> 'output_bytes')::bigint, (d ->> 'dropped_bytes')::bigint, (d ->> 'retryable')::boolean) < 7
                        AND d ->> 'state' IN ('succeeded', 'failed', 'timed_out', 'cancelled')
                        AND (d ->> 'results')::int >= 0
                        AND jsonb_typeof(coalesce(d -> 'outputs', '{}')) IN ('object', 'null'), false);
    ELSIF kind = 'lost' THEN
        RETURN num_nulls((d ->> 'left_behind')::int) < 2;
    END IF;
    RETURN kind IN ('started', 'progress', 'refused', 'declined', 'held');
END $$;

-- The dispatcher has checked it already; this is the last defence, since one row that fails would fail the
-- whole batch, for ever.
CREATE FUNCTION hler_core.is_recordable(kind text, seq bigint, data text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN hler_core.is_fit(kind, seq, data);
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN false;
END $$;

-- All of a batch?  One handler for all costs less than one for each (it is a subtransaction).
CREATE FUNCTION hler_core.are_recordable(kinds text[], seqs bigint[], data text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (SELECT bool_and(CASE r.kind WHEN 'output' THEN coalesce(r.seq >= 1, false) ELSE hler_core.is_fit(r.kind, r.seq, r.data) END)
              FROM unnest(kinds, seqs, data) AS r (kind, seq, data));
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN false;
END $$;

-- One event of a batch and what becomes of it.
CREATE TYPE hler_core.fact AS (
    i int, username text, kind text, task uuid, attempt int, token text, seq bigint, worker_at timestamptz,
    data text, verdict text, offered_on date, offered_at timestamptz, operation uuid
);

-- Judge a batch against the attempts, which the caller has locked: nobody else can record
-- for them meanwhile, so looking is enough to know a duplicate.
CREATE FUNCTION hler_core.judge(users text[], kinds text[], tasks uuid[], attempts int[], tokens text[],
                                seqs bigint[], at timestamptz[], data text[],
                                OUT facts hler_core.fact[], OUT verdicts text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    all_fit CONSTANT boolean := coalesce(hler_core.are_recordable(kinds, seqs, data), false);
    -- All have numbers, and no two of an attempt the same, as nearly always: then nothing is to be counted.
    apart   CONSTANT boolean := (SELECT count(d.seq) = cardinality(tasks)
                                   FROM (SELECT DISTINCT r.task, r.attempt, r.seq FROM unnest(tasks, attempts, seqs) AS r (task, attempt, seq)) AS d);
BEGIN
    SELECT array_agg((v.n, v.username, v.kind, v.task, v.attempt, v.token,
                      CASE WHEN v.fits OR NOT v.has_readable THEN v.place END, v.worker_at, v.data, v.verdict,
                      v.offered_on, v.offered_at, v.operation)::hler_core.fact),
           array_agg(v.verdict)
      INTO facts, verdicts
      FROM (SELECT e.*, a.offered_on, a.offered_at, t.operation,
        CASE WHEN a.task IS NULL OR a.token <> e.token THEN 'unknown'
             WHEN a.worker <> e.username THEN CASE e.kind WHEN 'refused' THEN 'stale' ELSE 'foreign' END
             WHEN e.copy > 1 OR EXISTS (
                 SELECT FROM hler.event AS v WHERE v.task = a.task AND v.attempt = a.attempt AND v.seq = e.place
                    AND v.offered_on = a.offered_on AND e.kind <> 'output'
                 UNION ALL
                 SELECT FROM hler.output_event AS v WHERE v.task = a.task AND v.attempt = a.attempt
                    AND v.seq = e.place AND v.offered_on = a.offered_on AND e.kind = 'output') THEN 'duplicate'
             WHEN NOT e.fits THEN 'not_recordable'
             WHEN a.state = 'void' THEN 'stale'
             ELSE 'recorded' END AS verdict
      FROM (SELECT r.*, hler_core.kind_seq(r.kind, r.seq) AS place, true AS fits, 1 AS copy, true AS has_readable
              FROM unnest(users, kinds, tasks, attempts, tokens, seqs, at, data) WITH ORDINALITY
                   AS r (username, kind, task, attempt, token, seq, worker_at, data, n) WHERE all_fit AND apart
            UNION ALL
            -- an unreadable event is no copy of a readable one, and leaves it the number
            SELECT c.*, row_number() OVER (PARTITION BY c.username, c.task, c.attempt, c.token, c.place, c.fits ORDER BY c.n),
                   bool_or(c.fits) OVER (PARTITION BY c.username, c.task, c.attempt, c.token, c.place)
              FROM (SELECT r.*, hler_core.kind_seq(r.kind, r.seq) AS place,
                           all_fit OR r.kind = 'output' AND r.seq >= 1 OR hler_core.is_recordable(r.kind, r.seq, r.data) AS fits
                      FROM unnest(users, kinds, tasks, attempts, tokens, seqs, at, data) WITH ORDINALITY
                           AS r (username, kind, task, attempt, token, seq, worker_at, data, n)
                     WHERE NOT (all_fit AND apart)) AS c) AS e
      LEFT JOIN hler.attempt AS a ON a.task = e.task AND a.attempt = e.attempt
      LEFT JOIN hler.task AS t ON t.id = a.task
     ORDER BY e.n) AS v; -- what is aggregated keeps that order
END $$;

CREATE FUNCTION hler_core.set_aside(facts hler_core.fact[], source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('hler.redriving', true) = 'on' THEN
        RETURN; -- it lies there already (0016)
    END IF;
    INSERT INTO hler.dead_message AS m (source, reason, facts, body, size, copies)
    SELECT set_aside.source, v.reason, v.facts, v.body, coalesce(octet_length(v.body), 0), count(*)
      FROM (SELECT f.i, CASE f.verdict WHEN 'unknown' THEN 'unknown_attempt' ELSE f.verdict END AS reason,
                   json_build_object('user', f.username, 'kind', f.kind, 'task', f.task, 'attempt', f.attempt,
                                     'token', f.token, 'seq', f.seq, 'time', f.worker_at)::text AS facts,
                   convert_to(f.data, 'UTF8') AS body
              FROM unnest(set_aside.facts) AS f WHERE f.verdict IN ('unknown', 'foreign', 'not_recordable')) AS v
     GROUP BY v.reason, v.facts, v.body ORDER BY min(v.i)
    ON CONFLICT (digest) DO UPDATE SET copies = m.copies + excluded.copies, last_at = clock_timestamp();
END $$;

-- Rows of hler.event for what is new.  What cannot be recorded has been set aside, and a tombstone
-- takes its number, so that it is set aside once and leaves no gap to ask for.  Of stale ones the journal's records only: another
-- worker's word about an attempt must not take the place of its owner's.
CREATE FUNCTION hler_core.add_events(facts hler_core.fact[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hler.event (task, attempt, seq, offered_on, stale, kind, data, worker_at, recorded_at)
    SELECT f.task, f.attempt, f.seq, f.offered_on, f.verdict = 'stale',
           CASE f.verdict WHEN 'not_recordable' THEN 'tombstone' ELSE f.kind END,
           CASE f.verdict WHEN 'not_recordable' THEN '{}' ELSE f.data END::json, f.worker_at, clock_timestamp()
      FROM unnest(facts) AS f
     WHERE f.verdict = 'recorded' AND f.kind <> 'held' OR f.verdict IN ('stale', 'not_recordable') AND f.seq > 0
    ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION hler_core.add_results(facts hler_core.fact[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hler.result (entity, field, offered_at, task, attempt, seq, operation, mode, secret, stale, value,
                             recorded_at)
    SELECT (f.data::json ->> 'entity')::uuid, f.data::json ->> 'field', f.offered_at, f.task, f.attempt, f.seq,
           f.operation, f.data::json ->> 'mode', coalesce((f.data::json ->> 'secret')::boolean, false),
           f.verdict = 'stale', f.data::json -> 'value', clock_timestamp()
      FROM unnest(facts) AS f WHERE f.verdict IN ('recorded', 'stale') AND f.kind = 'result'
    ON CONFLICT DO NOTHING;
END $$;
