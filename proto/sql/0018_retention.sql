-- What is old goes, if an operator wants that: events and output by whole days, operations one by
-- one, messages that were set aside.  In small steps, by a transaction of its own, waiting for
-- nobody: what cannot be had now is left to the next step.
SET LOCAL ROLE hler_owner;

INSERT INTO hler.setting VALUES
    ('output_keep_days', 90, 'days after which events and output of ended attempts go; 0 = never'),
    ('operation_keep_days', 0, 'days after which ended operations without results go; 0 = never'),
    ('dead_keep_days', 90, 'days after which messages that were set aside go; 0 = never'),
    ('dead_keep_most', 100000, 'and at most so many of them, the newest; 0 = no limit');

-- The first day that a setting in days keeps; NULL = all.
CREATE FUNCTION hler_core.kept_from(setting text) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date - least(s.value, 100000)::int
              FROM hler.setting AS s WHERE s.name = kept_from.setting AND s.value > 0);
END $$;

-- One partition of a day all of whose attempts have ended.  Its parent is locked for the moment
-- of the drop only, and not waited for: whoever came behind us would wait with us.  True: gone;
-- false: there is none; NULL: it cannot be had now.
CREATE FUNCTION hler_core.drop_day() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    part text;
BEGIN
    SELECT p.name INTO part
      FROM (SELECT c.relname AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
              FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
             WHERE i.inhparent IN ('hler.event'::regclass, 'hler.output_event'::regclass)
               AND c.relname ~ '^(event|output_event)_[0-9]{8}$') AS p
     WHERE p.day < hler_core.kept_from('output_keep_days')
       AND NOT EXISTS (SELECT FROM hler.attempt AS a
                        WHERE a.phase = 'taken' AND a.offered_on = p.day)
       AND NOT EXISTS (SELECT FROM hler.attempt AS a WHERE a.phase = 'offered' AND a.offered_on = p.day)
     ORDER BY p.day, p.name LIMIT 1;
    IF part IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE hler.%I', part);
    RETURN true;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN NULL;
END $$;

-- Ended operations, up to `most`.  Those with results stay, since the entities of the front end
-- have their values there; and those that a retry refers to, until that goes.
CREATE FUNCTION hler_core.drop_operations(most int) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ops   uuid[];
    tasks uuid[];
BEGIN
    SELECT array_agg(old.id) INTO ops
      FROM (SELECT o.id FROM hler.operation AS o
             WHERE o.finished_at < hler_core.kept_from('operation_keep_days')
               AND o.created_at < hler_core.kept_from('operation_keep_days') -- follows, and has an index
               AND NOT EXISTS (SELECT FROM hler.result AS r WHERE r.operation = o.id)
               AND NOT EXISTS (SELECT FROM hler.operation AS again WHERE again.retry_of = o.id)
               AND NOT EXISTS (SELECT FROM hler.verdict AS v WHERE v.operation = o.id)
             ORDER BY o.id LIMIT most FOR UPDATE SKIP LOCKED) AS old;
    IF ops IS NULL THEN
        RETURN 0;
    END IF;
    tasks := ARRAY(SELECT t.id FROM hler.task AS t WHERE t.operation = ANY (ops) ORDER BY t.id FOR UPDATE);
    DELETE FROM hler.event AS e USING hler.attempt AS a
     WHERE a.task = ANY (tasks) AND e.task = a.task AND e.attempt = a.attempt AND e.offered_on = a.offered_on;
    DELETE FROM hler.output_event AS e USING hler.attempt AS a
     WHERE a.task = ANY (tasks) AND e.task = a.task AND e.attempt = a.attempt AND e.offered_on = a.offered_on;
    DELETE FROM hler.gap AS g WHERE g.task = ANY (tasks);
    DELETE FROM hler.attempt AS a WHERE a.task = ANY (tasks);
    DELETE FROM hler.task_need AS n WHERE n.task = ANY (tasks);
    DELETE FROM hler.task_output AS out WHERE out.task = ANY (tasks);
    DELETE FROM hler.task AS t WHERE t.id = ANY (tasks);
    DELETE FROM hler.start_limit AS l WHERE l.operation = ANY (ops);
    DELETE FROM hler.operation AS o WHERE o.id = ANY (ops);
    RETURN cardinality(ops);
END $$;
-- Small, and of a column that never changes: one of finished_at would make each end of an operation an entry in every index.
CREATE INDEX operation_created ON hler.operation USING brin (created_at);

CREATE FUNCTION hler_core.drop_dead(most int) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n int;
BEGIN
    DELETE FROM hler.dead_message AS d
     WHERE d.id IN (SELECT x.id FROM hler.dead_message AS x
                     WHERE x.last_at < hler_core.kept_from('dead_keep_days')
                        OR x.id < (SELECT y.id FROM hler.dead_message AS y
                                    WHERE hler_core.setting('dead_keep_most') > 0 ORDER BY y.id DESC
                                   OFFSET greatest(hler_core.setting('dead_keep_most') - 1, 0) LIMIT 1)
                     ORDER BY x.id LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Workers that are gone.  Not at each tick: there may be ten thousand to look at.
CREATE FUNCTION hler_core.drop_workers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keep CONSTANT interval := hler_core.ms(hler_core.setting('worker_keep_ms')); -- once, not for each of them
BEGIN
    DELETE FROM hler.worker AS w
     WHERE w.last_seen_at < clock_timestamp() - keep
       AND NOT hler_core.is_live(w)
       AND NOT EXISTS (SELECT FROM hler.attempt AS a
                        WHERE a.worker = w.id AND a.phase = 'taken');
END $$;

-- One step, for a dispatcher.  True: there may be more; NULL: no, but a day could not be had now,
-- which held up nothing else.  One at a time is enough.
CREATE FUNCTION hler_core.retain() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    most CONSTANT int := 200;
    gone boolean;
BEGIN
    PERFORM hler_core.may_be_lost();
    IF NOT pg_try_advisory_xact_lock(hashtext('hler.retain')) THEN
        RETURN false;
    END IF;
    PERFORM hler_core.drop_workers();
    gone := hler_core.drop_day();
    IF gone THEN
        RETURN true;
    END IF;
    RETURN hler_core.drop_dead(most) = most OR hler_core.drop_operations(most) = most OR gone;
END $$;

-- An operator's word; the figures take effect at once.
CREATE FUNCTION hler_core.setting_set(name text, value bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was  bigint;
    low  bigint;
    rule text;
BEGIN
    SELECT s.value, s.lowest INTO was, low FROM hler.setting AS s WHERE s.name = setting_set.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no setting %', name USING ERRCODE = 'HL404';
    END IF;
    IF value IS NULL OR value < low THEN
        rule := 'a whole number from ' || low;
        RAISE EXCEPTION 'setting % refused: %', name, rule USING ERRCODE = 'HL001',
            DETAIL = json_build_array(json_build_object('field', name, 'rule', 'min', 'message', rule))::text;
    END IF;
    UPDATE hler.setting AS s SET value = setting_set.value WHERE s.name = setting_set.name;
    RETURN was;
END $$;

GRANT EXECUTE ON FUNCTION hler_core.retain() TO hler_dispatcher;
GRANT EXECUTE ON FUNCTION hler_core.setting_set(text, bigint) TO hler_operator;
