-- What a front end's row must fulfil: all faults are found at once, in its own INSERT.
SET LOCAL ROLE hler_owner;

-- Faults of one value against its field's declaration.  A JSON null counts as left out.
CREATE FUNCTION hler_core.value_faults(f hler.field, v jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := jsonb_typeof(v);
    word text := CASE WHEN jsonb_typeof(v) = 'string' THEN v #>> '{}' END;
    num  numeric := CASE WHEN jsonb_typeof(v) = 'number' THEN v::numeric END;
BEGIN
    IF v IS NULL OR kind = 'null' THEN
        IF f.required AND f.default_value IS NULL THEN
            RETURN NEXT hler_core.fault(f.name, 'required', 'is missing');
        END IF;
        RETURN;
    END IF;
    IF NOT (CASE f.kind
                WHEN 'integer' THEN kind = 'number' AND num = trunc(num)
                WHEN 'uuid' THEN (word ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') IS TRUE
                ELSE kind = f.kind END) THEN
        RETURN NEXT hler_core.fault(f.name, 'type', 'must be of type ' || f.kind);
        RETURN;
    END IF;
    IF num < f.min THEN
        RETURN NEXT hler_core.fault(f.name, 'min', 'must be at least ' || f.min);
    END IF;
    IF num > f.max THEN
        RETURN NEXT hler_core.fault(f.name, 'max', 'must be at most ' || f.max);
    END IF;
    IF f.one_of IS NOT NULL AND NOT f.one_of @> jsonb_build_array(v) THEN
        RETURN NEXT hler_core.fault(f.name, 'enum', 'must be one of ' || f.one_of::text);
    END IF;
    IF (CASE kind WHEN 'array' THEN jsonb_array_length(v) ELSE char_length(word) END) > f.max_length THEN
        RETURN NEXT hler_core.fault(f.name, 'max_length', 'must be no longer than ' || f.max_length);
    END IF;
    IF f.pattern IS NOT NULL AND word !~ f.pattern THEN
        RETURN NEXT hler_core.fault(f.name, 'pattern', 'must match ' || f.pattern);
    END IF;
END $$;

-- Can every receiver take this number?  Whole ones within 2^53, others within a double.
-- Looks at the text first: 1e131071 would be 131,072 digits as a numeric.
CREATE FUNCTION hler_core.number_fits(number text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN length(number) > 400 THEN false
        WHEN number ~ '^-?[0-9]+$' THEN abs(number::numeric) <= 9007199254740992
        WHEN number ~ '[eE][+-]?0*[0-9]{4}' THEN false
        WHEN number ~ '[eE]' THEN abs(number::numeric) <= 1.797693134862315e308
        ELSE true END
$$;

-- Faults of the form of a JSON value, at any depth: what another hop's strict decoder would
-- refuse must not be queued.  left_levels: nesting still allowed.
CREATE FUNCTION hler_core.form_faults(path text, v json, left_levels int) RETURNS SETOF jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := json_typeof(v);
BEGIN
    IF kind = 'number' AND NOT hler_core.number_fits(v::text) THEN
        RETURN NEXT hler_core.fault(path, 'range', 'is a number too large for every receiver');
    ELSIF kind IN ('object', 'array') AND left_levels = 0 THEN
        RETURN NEXT hler_core.fault(path, 'size', 'is nested too deeply');
    ELSIF kind = 'object' THEN
        RETURN QUERY SELECT hler_core.fault(concat_ws('.', path, m.key), 'duplicate', 'is there more than once')
                       FROM json_each(v) AS m GROUP BY m.key HAVING count(*) > 1;
        IF (SELECT count(*) FROM json_object_keys(v)) > 1024 THEN
            RETURN NEXT hler_core.fault(path, 'size', 'has more than 1,024 keys');
        END IF;
        RETURN QUERY SELECT hler_core.form_faults(concat_ws('.', path, m.key), m.value, left_levels - 1)
                       FROM json_each(v) AS m WHERE json_typeof(m.value) IN ('number', 'object', 'array');
    ELSIF kind = 'array' THEN
        RETURN QUERY SELECT hler_core.form_faults(path || '[' || n - 1 || ']', e, left_levels - 1)
                       FROM json_array_elements(v) WITH ORDINALITY AS m (e, n)
                      WHERE json_typeof(e) IN ('number', 'object', 'array');
    END IF;
END $$;

-- jsonb of a text, or NULL where jsonb refuses it (no JSON, \u0000, half a surrogate pair).
CREATE FUNCTION hler_core.to_jsonb_or_null(value text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN value::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;

-- Faults of an operation's inputs: first of the text, then of the form, then of each field.
CREATE FUNCTION hler_core.input_faults(type text, version int, inputs json) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body   jsonb;
    faults jsonb[];
BEGIN
    IF octet_length(inputs::text) > 262144 THEN
        RETURN NEXT hler_core.fault('inputs', 'size', 'are larger than 256 KiB');
        RETURN;
    END IF;
    IF inputs::text ~ '(^|[^\\])(\\\\)*\\u0000' THEN
        RETURN NEXT hler_core.fault('inputs', 'nul', 'hold a NUL character');
        RETURN;
    END IF;
    IF json_typeof(inputs) <> 'object' THEN
        RETURN NEXT hler_core.fault('inputs', 'type', 'must be a JSON object');
        RETURN;
    END IF;
    -- Looked at only if there can be a fault.  14 levels here are 15 in the offer.
    IF inputs::text ~ ',|[0-9]{5}|[0-9][eE]|[\[{].*[\[{]' THEN
        SELECT array_agg(f) INTO faults FROM hler_core.form_faults(NULL, inputs, 14) AS f;
    END IF;
    IF faults IS NOT NULL THEN
        RETURN QUERY SELECT unnest(faults);
        RETURN;
    END IF;
    body := hler_core.to_jsonb_or_null(inputs::text);
    IF body IS NULL THEN
        RETURN NEXT hler_core.fault('inputs', 'type', 'hold text that is no Unicode');
        RETURN;
    END IF;
    RETURN QUERY
        SELECT CASE WHEN left(m.key, 1) = '$' THEN hler_core.fault(m.key, 'reserved', 'names with $ are reserved')
                    ELSE hler_core.fault(m.key, 'unknown_field', 'is no field of ' || input_faults.type) END
          FROM jsonb_object_keys(body) AS m (key)
         WHERE NOT EXISTS (SELECT FROM hler.field AS f WHERE f.type = input_faults.type
                             AND f.version = input_faults.version AND f.name = m.key)
        UNION ALL
        SELECT v FROM hler.field AS f, LATERAL hler_core.value_faults(f, body -> f.name) AS v
         WHERE f.type = input_faults.type AND f.version = input_faults.version;
END $$;

-- Faults of the columns other than type and inputs.
CREATE FUNCTION hler_core.column_faults(o hler.operation) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF o.requester !~ '^[a-z0-9_-]{1,40}$' THEN
        RETURN NEXT hler_core.fault('requester', 'requester', 'a login that submits must match [a-z0-9_-]{1,40}');
    END IF;
    IF o.priority NOT BETWEEN -100 AND 100 THEN
        RETURN NEXT hler_core.fault('priority', 'range', 'must be from -100 to 100');
    END IF;
    IF o.start_by < o.run_at THEN
        RETURN NEXT hler_core.fault('start_by', 'range', 'is before run_at');
    END IF;
    IF NOT isfinite(o.run_at) OR NOT isfinite(o.start_by) THEN
        RETURN NEXT hler_core.fault('run_at', 'range', 'run_at and start_by must be real times');
    END IF;
    IF char_length(o.idempotency_key) NOT BETWEEN 1 AND 200 THEN
        RETURN NEXT hler_core.fault('idempotency_key', 'key', 'must have 1 to 200 characters');
    END IF;
    IF char_length(o.actor) > 200 THEN
        RETURN NEXT hler_core.fault('actor', 'max_length', 'must be no longer than 200');
    END IF;
    IF o.traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' THEN
        RETURN NEXT hler_core.fault('traceparent', 'pattern', 'must be a W3C traceparent');
    END IF;
    IF jsonb_typeof(o.labels) <> 'object' OR jsonb_path_exists(o.labels, '$.* ? (@.type() != "string")') THEN
        RETURN NEXT hler_core.fault('labels', 'type', 'must be a JSON object of strings');
    ELSIF octet_length(o.labels::text) > 8192 THEN
        RETURN NEXT hler_core.fault('labels', 'size', 'are larger than 8 KiB');
    END IF;
END $$;

-- BEFORE INSERT: what the front end may not choose is set here, then all is checked.
CREATE FUNCTION hler_core.operation_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest int;
    faults jsonb[];
BEGIN
    NEW.id := coalesce(NEW.id, hler.uuid7());
    NEW.inputs := coalesce(NEW.inputs, '{}');
    NEW.labels := coalesce(NEW.labels, '{}');
    NEW.priority := coalesce(NEW.priority, 0);
    NEW.state := 'pending';
    NEW.created_at := clock_timestamp();
    -- Only hler.retry can name retry_of; the new operation stays its requester's.
    IF NEW.retry_of IS NULL THEN
        NEW.requester := session_user;
    END IF;
    faults := ARRAY(SELECT hler_core.column_faults(NEW));
    SELECT max(t.version) INTO newest FROM hler.operation_type AS t
     WHERE t.name = NEW.type AND t.version = coalesce(NEW.version, t.version);
    IF newest IS NULL THEN
        faults := faults || hler_core.fault('type', 'unknown_type', 'no operation type '
            || coalesce(NEW.type, '(null)') || coalesce(' version ' || NEW.version, ''));
    ELSE
        NEW.version := newest;
        faults := faults || ARRAY(SELECT hler_core.input_faults(NEW.type, NEW.version, NEW.inputs));
    END IF;
    faults := array_remove(faults, NULL);
    IF faults <> '{}' THEN
        PERFORM hler_core.raise_faults('HL001', 'operation refused', faults);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_row BEFORE INSERT ON hler.operation
    FOR EACH ROW EXECUTE FUNCTION hler_core.operation_check();

-- Defaults that their own field would refuse.
CREATE FUNCTION hler_core.default_faults(type text, version int) RETURNS SETOF jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_set(v, '{message}', to_jsonb('default ' || (v ->> 'message')))
      FROM hler.field AS f, LATERAL hler_core.value_faults(f, f.default_value::jsonb) AS v
     WHERE f.type = default_faults.type AND f.version = default_faults.version AND f.default_value IS NOT NULL
$$;

-- Apply one definition (a row of the catalogue).  The same content again changes nothing.
CREATE FUNCTION hler_core.catalog_apply(definition json)
RETURNS TABLE (name text, version int, created boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d     jsonb := hler_core.to_jsonb_or_null(definition::text);
    known jsonb;
BEGIN
    PERFORM hler_core.raise_faults('HL002', 'operation type refused', array_remove(
        ARRAY(SELECT hler_core.form_faults(NULL, definition, 14))
        || CASE WHEN d IS NULL THEN ARRAY[hler_core.fault('', 'nul', 'text that PostgreSQL cannot hold')]
                ELSE ARRAY(SELECT hler_core.definition_faults(d)) END, NULL));
    name := d ->> 'name';
    version := d ->> 'version';
    PERFORM pg_advisory_xact_lock(hashtext('hler.catalog'), hashtext(name));
    SELECT t.definition::jsonb INTO known FROM hler.operation_type AS t
     WHERE t.name = catalog_apply.name AND t.version = catalog_apply.version;
    IF known IS NOT NULL AND known <> d THEN
        PERFORM hler_core.raise_faults('HL002', 'operation type refused', ARRAY[hler_core.fault('version', 'duplicate',
            name || ' version ' || version || ' is there with other content: give it a new version')]);
    END IF;
    created := known IS NULL;
    IF created THEN
        PERFORM hler_core.catalog_insert(d, definition);
        PERFORM hler_core.raise_faults('HL002', 'operation type refused',
            ARRAY(SELECT hler_core.default_faults(name, version)));
    END IF;
    RETURN NEXT;
END $$;
GRANT EXECUTE ON FUNCTION hler_core.catalog_apply(json) TO hler_operator;
