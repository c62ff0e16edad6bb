-- The arrows of proto/transitions.json (a test compares them) and the guard of each state
-- column.  The guard's own function is made from this table, so that an update costs a
-- comparison and no look-up, and there is one source.
SET LOCAL ROLE hler_owner;

CREATE TABLE hler_core.transition (
    kind       text NOT NULL,
    from_state text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (kind, from_state, to_state)
);

INSERT INTO hler_core.transition
SELECT kind, from_state, to_state
  FROM (VALUES
    ('attempt', 'offered',  'granted void'),
    ('attempt', 'granted',  'started succeeded failed timed_out cancelled void lost'),
    ('attempt', 'started',  'succeeded failed timed_out cancelled lost'),
    ('attempt', 'lost',     'started succeeded failed timed_out cancelled void'),
    ('task', 'blocked',     'ready waiting skipped cancelled'),
    ('task', 'waiting',     'ready cancelled failed'),
    ('task', 'ready',       'queued waiting cancelled failed'),
    ('task', 'queued',      'running succeeded ready waiting held cancelled failed'),
    ('task', 'running',     'succeeded failed cancelled held ready waiting'),
    ('task', 'held',        'running succeeded failed cancelled ready waiting'),
    ('operation', 'pending', 'running waiting held succeeded failed cancelled'),
    ('operation', 'running', 'succeeded failed cancelled held waiting'),
    ('operation', 'waiting', 'running pending cancelled failed'),
    ('operation', 'held',    'running succeeded failed cancelled')
  ) AS arrows (kind, from_state, targets),
  LATERAL pg_catalog.regexp_split_to_table(targets, ' ') AS to_state;

CREATE FUNCTION hler_core.bad_arrow() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a % may not go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
        USING ERRCODE = 'HL500', DETAIL = to_json(NEW)::text;
END $$;

-- PL/pgSQL: the condition of a trigger is made ready anew in each statement, and an SQL function there is parsed each time.
DO $$
DECLARE
    arrows text;
    k      text;
BEGIN
    FOREACH k IN ARRAY ARRAY['attempt', 'task', 'operation'] LOOP
        SELECT pg_catalog.string_agg(pg_catalog.quote_literal(from_state || '>' || to_state), ', ')
          INTO arrows FROM hler_core.transition WHERE kind = k;
        EXECUTE pg_catalog.format(
            'CREATE FUNCTION hler_core.%s_arrow(f text, t text) RETURNS boolean
             LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN f || ''>'' || t IN (%s); END $f$', k, arrows);
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER arrow BEFORE UPDATE OF state ON hler.%s FOR EACH ROW
             WHEN (OLD.state IS DISTINCT FROM NEW.state AND NOT hler_core.%s_arrow(OLD.state, NEW.state))
             EXECUTE FUNCTION hler_core.bad_arrow()', k, k);
    END LOOP;
END $$;
