-- What people read.  The views belong to hler_owner and filter by requester themselves;
-- security_barrier keeps a reader's own functions from seeing rows before the filter.
SET LOCAL ROLE hler_owner;

CREATE VIEW hler.operations WITH (security_barrier) AS
SELECT o.id, o.type, o.version, o.state, o.cause, o.message, o.inputs, o.target, o.priority, o.requester, o.actor,
       o.labels, o.retry_of, o.retry_reason, o.run_at, o.start_by, o.idempotency_key, o.traceparent, o.cancel_requested_at,
       o.cancel_actor, o.cancel_reason, o.created_at, o.started_at, o.finished_at
  FROM hler.operation AS o
 WHERE o.requester = session_user OR (SELECT hler_core.is_operator());

CREATE VIEW hler.tasks WITH (security_barrier) AS
SELECT t.id, t.operation, t.no, d.name, t.key, d.executor, t.pool, t.state, t.reused, t.cause, t.message, t.attempt,
       t.tries, t.refusals, t.priority, d.repeatable,
       CASE WHEN t.state = 'succeeded' THEN coalesce(out.outputs, '{}') END AS outputs,
       t.created_at, t.ready_at, t.started_at, t.finished_at
  FROM hler.task AS t
  JOIN hler.operation AS o ON o.id = t.operation
  JOIN hler.task_type AS d ON d.id = t.task_type
  LEFT JOIN hler.task_output AS out ON out.task = t.id
 WHERE o.requester = session_user OR (SELECT hler_core.is_operator());

CREATE VIEW hler.attempts WITH (security_barrier) AS
SELECT t.operation, a.task, d.name, a.attempt, a.state, a.worker, a.cause, a.message, a.exit_code, a.signal,
       a.results_expected, a.results_recorded, a.last_seq, a.events_recorded,
       -- of what no worker ever began nothing is to come
       (a.end_state IS NOT NULL OR a.state = 'void' AND (a.worker IS NULL OR a.refused OR a.declined) AND a.started_at IS NULL)
           AND a.events_recorded >= a.last_seq AS output_complete,
       a.output_bytes, a.dropped_bytes, a.left_behind, a.offered_at, a.granted_at, a.started_at, a.finished_at
  FROM hler.attempt AS a
  JOIN hler.task AS t ON t.id = a.task
  JOIN hler.operation AS o ON o.id = t.operation
  JOIN hler.task_type AS d ON d.id = t.task_type
 WHERE o.requester = session_user OR (SELECT hler_core.is_operator());

-- The join with the attempt gives the partition: a reader of one task touches one.
CREATE VIEW hler.events WITH (security_barrier) AS
SELECT t.operation, e.task, e.attempt, CASE WHEN e.seq > 0 THEN e.seq END AS seq, e.kind AS type, e.stale, e.data,
       e.worker_at, e.recorded_at
  FROM hler.task AS t
  JOIN hler.operation AS o ON o.id = t.operation
  JOIN hler.attempt AS a ON a.task = t.id
  JOIN hler.event AS e ON e.task = a.task AND e.attempt = a.attempt AND e.offered_on = a.offered_on
 WHERE o.requester = session_user OR (SELECT hler_core.is_operator());

CREATE VIEW hler.output WITH (security_barrier) AS
SELECT t.operation, e.task, e.attempt, e.seq, e.stream, e.text, e.raw, e.stale, e.worker_at, e.recorded_at
  FROM hler.task AS t
  JOIN hler.operation AS o ON o.id = t.operation
  JOIN hler.attempt AS a ON a.task = t.id
  JOIN hler.output_event AS e ON e.task = a.task AND e.attempt = a.attempt AND e.offered_on = a.offered_on
 WHERE o.requester = session_user OR (SELECT hler_core.is_operator());

-- A line may lie in several events, and an event hold several lines; each stream is read on
-- its own.  `before` counts the line ends of the stream before an event, so that before + k
-- names a line; lines are numbered in the order in which their first byte was said.
CREATE VIEW hler.output_lines WITH (security_barrier) AS
SELECT l.operation, l.task, l.attempt,
       row_number() OVER (PARTITION BY l.operation, l.task, l.attempt ORDER BY l.seq, l.k) AS line,
       l.stream, l.text, l.worker_at
  FROM (SELECT p.operation, p.task, p.attempt, p.stream, p.before + p.k AS of_stream, min(p.seq) AS seq,
               (array_agg(p.k ORDER BY p.seq))[1] AS k, (array_agg(p.worker_at ORDER BY p.seq))[1] AS worker_at,
               string_agg(p.piece, '' ORDER BY p.seq) AS text
          FROM (SELECT e.*, cut.piece, cut.k
                  FROM (SELECT v.operation, v.task, v.attempt, v.stream, v.seq, v.text, v.worker_at, ends.n,
                               sum(ends.n) OVER (PARTITION BY v.operation, v.task, v.attempt, v.stream
                                                 ORDER BY v.seq) - ends.n AS before
                          FROM hler.output AS v,
                               LATERAL (SELECT length(v.text) - length(replace(v.text, E'\n', '')) AS n) AS ends) AS e,
                       LATERAL string_to_table(e.text, E'\n') WITH ORDINALITY AS cut (piece, k)
                 -- after the last line end nothing has begun yet
                 WHERE cut.piece <> '' OR cut.k <= e.n) AS p
         GROUP BY p.operation, p.task, p.attempt, p.stream, p.before + p.k) AS l;

CREATE VIEW hler.result_history WITH (security_barrier) AS
SELECT r.entity, r.field, r.mode, r.value, r.secret, r.stale, r.operation, r.task, r.attempt, r.seq, r.recorded_at
  FROM hler.result AS r
  JOIN hler.operation AS o ON o.id = r.operation
 WHERE o.requester = session_user OR (SELECT hler_core.is_operator());

-- The last `set`, and what was appended after it: an array then, which begins with what was
-- set (its elements, if that was an array).
CREATE VIEW hler.results WITH (security_barrier) AS
SELECT l.entity, l.field,
       CASE WHEN l.appended IS NULL THEN l.base
            ELSE (CASE WHEN l.base IS NULL THEN '[]' WHEN json_typeof(l.base) = 'array' THEN l.base::jsonb
                       ELSE jsonb_build_array(l.base) END || l.appended)::json END AS value,
       l.secret, l.operation, l.task, l.attempt, l.seq, l.recorded_at
  FROM (SELECT r.entity, r.field,
               (array_agg(r.value) FILTER (WHERE r.mode = 'set'))[1] AS base,
               jsonb_agg(r.value ORDER BY r.place) FILTER (WHERE r.mode = 'append') AS appended,
               bool_or(r.secret) AS secret,
               (array_agg(r.operation ORDER BY r.place DESC))[1] AS operation,
               (array_agg(r.task ORDER BY r.place DESC))[1] AS task,
               (array_agg(r.attempt ORDER BY r.place DESC))[1] AS attempt,
               (array_agg(r.seq ORDER BY r.place DESC))[1] AS seq,
               (array_agg(r.recorded_at ORDER BY r.place DESC))[1] AS recorded_at
          FROM (SELECT h.*,
                       row_number() OVER own AS place,
                       -- 0 from the last `set` on
                       count(*) FILTER (WHERE h.mode = 'set') OVER (own ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
                           AS sets_after
                  FROM hler.result AS h JOIN hler.operation AS o ON o.id = h.operation
                 WHERE NOT h.stale AND (o.requester = session_user OR (SELECT hler_core.is_operator()))
                WINDOW own AS (PARTITION BY h.entity, h.field ORDER BY h.offered_at, h.task, h.attempt, h.seq)) AS r
         WHERE r.sets_after = 0
         GROUP BY r.entity, r.field) AS l;

CREATE VIEW hler.workers AS
SELECT w.id,
       CASE WHEN w.stopped THEN 'stopped' WHEN NOT hler_core.is_live(w, s) THEN 'silent'
            WHEN w.draining THEN 'draining' ELSE 'live' END AS state,
       w.pool, w.slots, w.free,
       (SELECT count(*) FROM hler.attempt AS a WHERE a.worker = w.id AND a.phase = 'taken' AND a.state <> 'lost') AS running,
       w.version, w.executors, w.instance, w.spool_bytes, w.oldest_unsent_ms,
       CASE WHEN d.name IS NULL THEN NULL
            WHEN EXISTS (SELECT FROM hler.attempt AS a WHERE a.worker = w.id AND a.phase = 'taken')
                 OR hler_core.is_live(w, s) AND NOT (w.draining AND w.held = 0)
            THEN CASE WHEN w.draining THEN 'draining' ELSE 'asked' END
            ELSE 'quiet' END AS drain,
       concat_ws('; ', nullif(w.conflict, ''), nullif(w.note, ''),
                 'drain of the ' || d.kind || ' asked by ' || concat_ws(', ', coalesce(d.actor, d.login), d.reason)) AS note,
       w.started_at, w.last_seen_at, s.elapsed_ms - w.heard_ms AS silent_ms
  FROM hler.silence AS s, hler.worker AS w
  LEFT JOIN LATERAL (SELECT x.* FROM hler.drain AS x
                      WHERE x.kind = 'worker' AND x.name = w.id OR x.kind = 'pool' AND x.name = w.pool
                      ORDER BY x.kind DESC LIMIT 1) AS d ON true;

-- Those that matter: with workers, a drain or work, or named by the newest version of a type.  Of work that is blocked behind other
-- tasks it tells when these are over.  One phase each: an index has one.
CREATE VIEW hler.pools AS
SELECT p.name,
       (SELECT count(*) FROM hler.task AS t WHERE t.phase = 'ready' AND t.pool = p.name) AS ready,
       (SELECT count(*) FROM hler.attempt AS a WHERE a.phase = 'offered' AND a.pool = p.name) AS offered,
       (SELECT count(*) FROM hler.attempt AS a WHERE a.phase = 'taken' AND a.state <> 'lost' AND a.pool = p.name) AS running,
       (SELECT count(*) FROM hler.task AS t WHERE t.phase = 'held' AND t.pool = p.name) AS held,
       w.workers, w.slots, w.free,
       concat_ws('; ', (SELECT 'drained by ' || coalesce(d.actor, d.login) FROM hler.drain AS d WHERE d.kind = 'pool' AND d.name = p.name),
           CASE WHEN w.workers = 0 THEN CASE WHEN w.draining > 0 THEN 'all live workers are draining' ELSE 'no live worker' END END,
           (SELECT 'no live worker has executor ' || string_agg(DISTINCT d.executor, ', ') FROM hler.task_type AS d
             WHERE d.pool = p.name AND w.workers > 0 AND NOT EXISTS (
                   SELECT FROM hler.worker AS x WHERE x.pool = p.name AND hler_core.is_live(x, s)
                      AND coalesce(x.executors::jsonb ? d.executor, true))
               -- An older version is asked for no more, unless something of it still waits.
               AND (NOT EXISTS (SELECT FROM hler.operation_type AS n WHERE n.name = d.type AND n.version > d.version)
                    OR EXISTS (SELECT FROM hler.task AS t
                                WHERE t.phase = 'ready' AND t.pool = p.name AND t.task_type = d.id)))) AS note
  FROM hler.silence AS s, (SELECT name FROM hler.pool UNION SELECT pool FROM hler.worker) AS p,
       LATERAL (SELECT count(*) FILTER (WHERE NOT x.draining) AS workers, count(*) FILTER (WHERE x.draining) AS draining,
                       coalesce(sum(x.slots) FILTER (WHERE NOT x.draining), 0) AS slots,
                       coalesce(sum(x.free) FILTER (WHERE NOT x.draining), 0) AS free
                  FROM hler.worker AS x WHERE x.pool = p.name AND hler_core.is_live(x, s)) AS w
 WHERE w.workers > 0 OR w.draining > 0
    OR EXISTS (SELECT FROM hler.drain AS d WHERE d.kind = 'pool' AND d.name = p.name)
    OR EXISTS (SELECT FROM hler.task_type AS d WHERE d.pool = p.name AND NOT EXISTS (
               SELECT FROM hler.operation_type AS n WHERE n.name = d.type AND n.version > d.version))
    OR EXISTS (SELECT FROM hler.task AS t WHERE t.phase = 'ready' AND t.pool = p.name)
    OR EXISTS (SELECT FROM hler.task AS t WHERE t.phase = 'waiting' AND t.pool = p.name)
    OR EXISTS (SELECT FROM hler.task AS t WHERE t.phase = 'held' AND t.pool = p.name)
    OR EXISTS (SELECT FROM hler.attempt AS a WHERE a.phase = 'offered' AND a.pool = p.name)
    OR EXISTS (SELECT FROM hler.attempt AS a WHERE a.phase = 'taken' AND a.pool = p.name);

CREATE VIEW hler.catalog AS
SELECT t.name, t.version, t.version = max(t.version) OVER (PARTITION BY t.name) AS newest, t.description,
       t.definition, t.created_at
  FROM hler.operation_type AS t;

CREATE VIEW hler_core.listeners AS
SELECT l.name, l.requester, l.created_at FROM hler.listener AS l;

GRANT SELECT ON hler.operations, hler.tasks, hler.attempts, hler.events, hler.output, hler.output_lines,
    hler.results, hler.result_history TO hler_frontend, hler_operator;
GRANT SELECT ON hler.workers, hler.pools, hler.catalog TO hler_frontend, hler_operator, hler_dispatcher;
GRANT SELECT ON hler_core.listeners TO hler_operator;
