-- The catalogue: operation types with their fields and tasks, checked as a whole when they
-- are applied (every fault at once) and never changed afterwards.
SET LOCAL ROLE hler_owner;

CREATE FUNCTION hler_core.immutable() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'operation types do not change: apply a new version'
        USING ERRCODE = 'HL409';
END $$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON hler.operation_type
    FOR EACH STATEMENT EXECUTE FUNCTION hler_core.immutable();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON hler.field
    FOR EACH STATEMENT EXECUTE FUNCTION hler_core.immutable();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON hler.task_type
    FOR EACH STATEMENT EXECUTE FUNCTION hler_core.immutable();

CREATE FUNCTION hler_core.fault(field text, rule text, message text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_catalog.jsonb_build_object('field', field, 'rule', rule, 'message', message)
$$;

-- Raise all faults as one error, the texts in its DETAIL; none = nothing.
CREATE FUNCTION hler_core.raise_faults(code text, subject text, faults jsonb[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cardinality(faults) > 0 THEN
        RAISE EXCEPTION '%: %', subject,
            (SELECT string_agg(coalesce(f ->> 'field', '') || ': ' || (f ->> 'message'), '; ') FROM unnest(faults) AS f)
            USING ERRCODE = code, DETAIL = to_jsonb(faults)::text;
    END IF;
END $$;

-- Is it a regular expression that PostgreSQL can compile?
CREATE FUNCTION hler_core.is_pattern(pattern text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM '' ~ pattern;
    RETURN true;
EXCEPTION WHEN invalid_regular_expression THEN
    RETURN false;
END $$;

-- What is wrong with a member that must be a whole number from low to high; NULL = nothing.
CREATE FUNCTION hler_core.integer_fault(path text, value jsonb, low numeric, high numeric) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN value IS NULL OR jsonb_typeof(value) = 'null' THEN NULL
        WHEN jsonb_typeof(value) <> 'number' THEN hler_core.fault(path, 'type', 'must be a whole number')
        WHEN value::numeric <> trunc(value::numeric) THEN hler_core.fault(path, 'type', 'must be a whole number')
        WHEN value::numeric NOT BETWEEN low AND high THEN
            hler_core.fault(path, 'range', 'must be from ' || low || ' to ' || high)
        END
$$;

-- Member that must be text of a grammar; absent only if optional.
CREATE FUNCTION hler_core.word_fault(path text, value jsonb, grammar text) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN value IS NULL OR jsonb_typeof(value) = 'null' THEN hler_core.fault(path, 'required', 'is missing')
        WHEN jsonb_typeof(value) <> 'string' THEN hler_core.fault(path, 'type', 'must be text')
        WHEN value #>> '{}' !~ grammar THEN hler_core.fault(path, 'pattern', 'must match ' || grammar)
        END
$$;

CREATE FUNCTION hler_core.unknown_members(path text, value jsonb, known text[]) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT hler_core.fault(path || k, 'unknown_field', 'is not known here')
      FROM jsonb_object_keys(value) AS k WHERE k <> ALL (known)
$$;

-- Faults of one field's declaration.
CREATE FUNCTION hler_core.field_faults(path text, f jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := f ->> 'type';
BEGIN
    IF jsonb_typeof(f) <> 'object' THEN
        RETURN NEXT hler_core.fault(path, 'type', 'must be an object');
        RETURN;
    END IF;
    RETURN QUERY SELECT hler_core.unknown_members(path || '.', f, ARRAY['name', 'type', 'required', 'default',
        'min', 'max', 'enum', 'max_length', 'pattern', 'description']);
    RETURN NEXT hler_core.word_fault(path || '.name', f -> 'name', '^[a-z][a-z0-9_]{0,62}$');
    RETURN NEXT hler_core.word_fault(path || '.type', f -> 'type',
        '^(string|integer|number|boolean|uuid|object|array)$');
    RETURN NEXT hler_core.integer_fault(path || '.max_length', f -> 'max_length', 0, 262144);
    IF jsonb_typeof(coalesce(f -> 'required', 'false')) NOT IN ('boolean', 'null') THEN
        RETURN NEXT hler_core.fault(path || '.required', 'type', 'must be true or false');
    END IF;
    IF jsonb_typeof(coalesce(f -> 'min', 'null')) NOT IN ('number', 'null')
       OR jsonb_typeof(coalesce(f -> 'max', 'null')) NOT IN ('number', 'null') THEN
        RETURN NEXT hler_core.fault(path || '.min', 'type', 'min and max must be numbers');
    ELSIF kind NOT IN ('integer', 'number') AND (f ->> 'min' IS NOT NULL OR f ->> 'max' IS NOT NULL) THEN
        RETURN NEXT hler_core.fault(path || '.min', 'type', 'min and max are for numbers');
    ELSIF (f ->> 'min')::numeric > (f ->> 'max')::numeric THEN
        RETURN NEXT hler_core.fault(path || '.min', 'range', 'min is above max');
    END IF;
    IF f ->> 'max_length' IS NOT NULL AND kind NOT IN ('string', 'array') THEN
        RETURN NEXT hler_core.fault(path || '.max_length', 'type', 'max_length is for string and array');
    END IF;
    IF jsonb_typeof(coalesce(f -> 'enum', 'null')) NOT IN ('array', 'null') OR f -> 'enum' = '[]' THEN
        RETURN NEXT hler_core.fault(path || '.enum', 'type', 'must be a list with something in it');
    END IF;
    IF f ->> 'pattern' IS NOT NULL
       AND (kind <> 'string' OR jsonb_typeof(f -> 'pattern') <> 'string' OR NOT hler_core.is_pattern(f ->> 'pattern')) THEN
        RETURN NEXT hler_core.fault(path || '.pattern', 'pattern', 'must be a regular expression, for a string');
    END IF;
END $$;

-- Faults of one task's declaration.
CREATE FUNCTION hler_core.task_faults(path text, t jsonb, names text[]) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forever CONSTANT bigint := 366 * 86400000::bigint;
BEGIN
    IF jsonb_typeof(t) <> 'object' THEN
        RETURN NEXT hler_core.fault(path, 'type', 'must be an object');
        RETURN;
    END IF;
    RETURN QUERY SELECT hler_core.unknown_members(path || '.', t, ARRAY['name', 'executor', 'pool', 'spec',
        'deadline_ms', 'idle_ms', 'grace_ms', 'output_bytes', 'repeatable', 'max_tries', 'retry_delay_ms',
        'needs', 'description']);
    RETURN QUERY SELECT hler_core.word_fault(path || '.' || k, t -> k, '^[a-z0-9-]{1,40}$')
                   FROM unnest(ARRAY['name', 'executor']) AS k;
    RETURN NEXT hler_core.word_fault(path || '.pool', coalesce(t -> 'pool', '"default"'), '^[a-z0-9-]{1,40}$');
    RETURN QUERY SELECT hler_core.integer_fault(path || '.' || k, t -> k, 0, forever)
                   FROM unnest(ARRAY['deadline_ms', 'idle_ms', 'grace_ms', 'retry_delay_ms']) AS k;
    RETURN NEXT hler_core.integer_fault(path || '.output_bytes', t -> 'output_bytes', 0, 1::bigint << 50);
    RETURN NEXT hler_core.integer_fault(path || '.max_tries', t -> 'max_tries', 1, 1000);
    IF jsonb_typeof(coalesce(t -> 'repeatable', 'false')) NOT IN ('boolean', 'null') THEN
        RETURN NEXT hler_core.fault(path || '.repeatable', 'type', 'must be true or false');
    END IF;
    IF jsonb_typeof(coalesce(t -> 'spec', '{}')) <> 'object' THEN
        RETURN NEXT hler_core.fault(path || '.spec', 'type', 'must be an object');
    ELSIF octet_length((t -> 'spec')::text) > 65536 THEN
        RETURN NEXT hler_core.fault(path || '.spec', 'size', 'must be at most 64 KiB');
    END IF;
    IF jsonb_typeof(coalesce(t -> 'needs', 'null')) NOT IN ('array', 'null') THEN
        RETURN NEXT hler_core.fault(path || '.needs', 'type', 'must be a list of task names');
    ELSIF jsonb_typeof(t -> 'needs') = 'array' THEN
        RETURN QUERY SELECT hler_core.fault(path || '.needs', 'unknown_field', 'no other task is named ' || n::text)
                       FROM jsonb_array_elements(t -> 'needs') AS n
                      WHERE jsonb_typeof(n) <> 'string' OR n #>> '{}' <> ALL (names) OR n #>> '{}' = t ->> 'name';
    END IF;
END $$;

-- (name, needs) of each task; `needs` left out = the task before it.
CREATE FUNCTION hler_core.task_edges(tasks jsonb) RETURNS TABLE (no smallint, name text, needs_no smallint)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH t AS (
        SELECT n::smallint AS no, task ->> 'name' AS name, task -> 'needs' AS needs
          FROM jsonb_array_elements(tasks) WITH ORDINALITY AS e (task, n))
    SELECT t.no, t.name, before.no
      FROM t JOIN t AS before
        ON CASE WHEN jsonb_typeof(t.needs) = 'array' THEN t.needs ? before.name
                ELSE before.no = t.no - 1 END
$$;

-- Does some task need itself in the end?  Take away tasks that need nothing until none is left.
CREATE FUNCTION hler_core.has_cycle(tasks jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    done  smallint[] := '{}';
    more  smallint[];
    total int := jsonb_array_length(tasks);
BEGIN
    LOOP
        SELECT array_agg(i) INTO more
          FROM generate_series(1, total) AS i
         WHERE i <> ALL (done)
           AND NOT EXISTS (SELECT FROM hler_core.task_edges(tasks) AS e
                            WHERE e.no = i AND e.needs_no <> ALL (done));
        IF more IS NULL THEN
            RETURN cardinality(done) < total;
        END IF;
        done := done || more;
    END LOOP;
END $$;

CREATE FUNCTION hler_core.list_faults(path text, list jsonb, low int, high int) RETURNS SETOF jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(coalesce(list, '[]')) <> 'array' THEN
        RETURN NEXT hler_core.fault(path, 'type', 'must be a list');
    ELSIF jsonb_array_length(coalesce(list, '[]')) NOT BETWEEN low AND high THEN
        RETURN NEXT hler_core.fault(path, 'size', 'must have ' || low || ' to ' || high || ' members');
    ELSE
        RETURN QUERY SELECT hler_core.fault(path, 'duplicate', 'more than one is named ' || (m ->> 'name'))
                       FROM jsonb_array_elements(list) AS m
                      WHERE m ->> 'name' IS NOT NULL GROUP BY m ->> 'name' HAVING count(*) > 1;
    END IF;
END $$;

-- Everything that is wrong with a definition.
CREATE FUNCTION hler_core.definition_faults(d jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names text[];
    bad   int;
BEGIN
    IF jsonb_typeof(d) <> 'object' THEN
        RETURN NEXT hler_core.fault('', 'type', 'must be an object');
        RETURN;
    END IF;
    IF octet_length(d::text) > 262144 THEN
        RETURN NEXT hler_core.fault('', 'size', 'must be at most 256 KiB');
    END IF;
    RETURN QUERY SELECT hler_core.unknown_members('', d, ARRAY['name', 'version', 'description', 'fields', 'tasks']);
    RETURN NEXT hler_core.word_fault('name', d -> 'name', '^(?=.{1,80}$)[a-z0-9-]+(\.[a-z0-9-]+)*$');
    RETURN NEXT hler_core.integer_fault('version', coalesce(nullif(d -> 'version', 'null'), '""'), 1, 1000000);
    IF jsonb_typeof(coalesce(d -> 'description', '""')) NOT IN ('string', 'null') THEN
        RETURN NEXT hler_core.fault('description', 'type', 'must be text');
    END IF;
    RETURN QUERY SELECT hler_core.list_faults('fields', d -> 'fields', 0, 1000);
    RETURN QUERY SELECT hler_core.list_faults('tasks', d -> 'tasks', 1, 100);
    IF jsonb_typeof(d -> 'fields') = 'array' THEN
        RETURN QUERY SELECT hler_core.field_faults('fields[' || n - 1 || ']', f)
                       FROM jsonb_array_elements(d -> 'fields') WITH ORDINALITY AS e (f, n);
    END IF;
    IF jsonb_typeof(d -> 'tasks') = 'array' THEN
        SELECT array_agg(t ->> 'name') INTO names FROM jsonb_array_elements(d -> 'tasks') AS t;
        RETURN QUERY SELECT hler_core.task_faults('tasks[' || n - 1 || ']', t, names)
                       FROM jsonb_array_elements(d -> 'tasks') WITH ORDINALITY AS e (t, n);
        IF hler_core.has_cycle(d -> 'tasks') THEN
            RETURN NEXT hler_core.fault('tasks', 'cycle', 'a task needs itself in the end');
        END IF;
    END IF;
END $$;

CREATE FUNCTION hler_core.catalog_insert(d jsonb, verbatim json) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    type text := d ->> 'name';
    ver  int := d ->> 'version';
BEGIN
    INSERT INTO hler.operation_type (name, version, description, definition)
    VALUES (type, ver, coalesce(d ->> 'description', ''), verbatim);
    INSERT INTO hler.field (type, version, name, kind, required, default_value, min, max, one_of, max_length, pattern)
    SELECT type, ver, f ->> 'name', f ->> 'type', coalesce((f ->> 'required')::boolean, false),
           CASE WHEN f ->> 'default' IS NOT NULL THEN (f -> 'default')::json END,
           (f ->> 'min')::numeric, (f ->> 'max')::numeric,
           CASE WHEN jsonb_typeof(f -> 'enum') = 'array' THEN f -> 'enum' END,
           (f ->> 'max_length')::int, f ->> 'pattern'
      FROM jsonb_array_elements(coalesce(d -> 'fields', '[]')) AS f;
    INSERT INTO hler.pool (name)
    SELECT DISTINCT coalesce(t ->> 'pool', 'default') FROM jsonb_array_elements(d -> 'tasks') AS t
    ON CONFLICT DO NOTHING;
    INSERT INTO hler.task_type (type, version, no, name, executor, pool, spec, deadline_ms, idle_ms, grace_ms,
                                output_bytes, repeatable, max_tries, retry_delay_ms, needs)
    SELECT type, ver, n, t ->> 'name', t ->> 'executor', coalesce(t ->> 'pool', 'default'),
           -- the executor's part as it was written, not as jsonb would write it
           coalesce((verbatim -> 'tasks' -> (n - 1)::int) -> 'spec', '{}'),
           coalesce((t ->> 'deadline_ms')::bigint, 3600000), coalesce((t ->> 'idle_ms')::bigint, 0),
           coalesce((t ->> 'grace_ms')::bigint, 10000), coalesce((t ->> 'output_bytes')::bigint, 1073741824),
           coalesce((t ->> 'repeatable')::boolean, false), coalesce((t ->> 'max_tries')::int, 1),
           coalesce((t ->> 'retry_delay_ms')::bigint, 10000),
           coalesce((SELECT array_agg(e.needs_no ORDER BY e.needs_no)
                       FROM hler_core.task_edges(d -> 'tasks') AS e WHERE e.no = n), '{}')
      FROM jsonb_array_elements(d -> 'tasks') WITH ORDINALITY AS e (t, n);
END $$;
