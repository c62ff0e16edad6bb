-- Roles, schemas and the small functions that everything else stands on.
-- Roles belong to the whole cluster: they may be there already.

DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['hler_owner', 'hler_frontend', 'hler_operator', 'hler_dispatcher'] LOOP
        BEGIN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r);
        EXCEPTION WHEN duplicate_object THEN
            NULL; -- made by another database of this cluster
        END;
    END LOOP;
    -- One who is no superuser must become the owner to make things that belong to it.
    IF NOT pg_catalog.pg_has_role(current_user, 'hler_owner', 'member') THEN
        EXECUTE pg_catalog.format('GRANT hler_owner TO %I', current_user);
    END IF;
END $$;

CREATE SCHEMA hler AUTHORIZATION hler_owner;
CREATE SCHEMA hler_core AUTHORIZATION hler_owner;

SET LOCAL ROLE hler_owner;

-- PostgreSQL lets PUBLIC execute every new function: not ours.
ALTER DEFAULT PRIVILEGES FOR ROLE hler_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA hler TO hler_frontend, hler_operator, hler_dispatcher;
-- To PUBLIC for schema_version(): any login may ask how old the schema is.
GRANT USAGE ON SCHEMA hler_core TO PUBLIC;

-- Written by the program that applies the migrations, in the migration's transaction.
CREATE TABLE hler.schema_migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
GRANT SELECT ON hler.schema_migration TO hler_operator;

CREATE FUNCTION hler_core.schema_version() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(max(version), 0) FROM hler.schema_migration
$$;
GRANT EXECUTE ON FUNCTION hler_core.schema_version() TO PUBLIC;

-- RFC 9562 version 7: 48 bits of milliseconds, then random.  Time-ordered ids keep the
-- indexes small and their pages warm.  set_bit() turns version 4 into 7.
CREATE FUNCTION hler.uuid7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT pg_catalog.encode(
        pg_catalog.set_bit(pg_catalog.set_bit(
            pg_catalog.overlay(
                pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
                pg_catalog.substr(pg_catalog.int8send(
                    (EXTRACT(epoch FROM pg_catalog.clock_timestamp())
                     OPERATOR(pg_catalog.*) 1000)::bigint), 3), 1, 6),
            52, 1), 53, 1), 'hex')::uuid
$$;
GRANT EXECUTE ON FUNCTION hler.uuid7() TO hler_frontend, hler_operator, hler_dispatcher;

-- 64 random bits as 16 hexadecimal digits: the first 8 of a version 4 UUID are wholly random.  An
-- expression, so that it becomes part of the query; with a FROM it would be planned in each call.
CREATE FUNCTION hler_core.token() RETURNS text
LANGUAGE sql VOLATILE AS $$
    SELECT pg_catalog.concat(pg_catalog.left(pg_catalog.gen_random_uuid()::text, 8),
                             pg_catalog.left(pg_catalog.gen_random_uuid()::text, 8))
$$;

-- Figures an operator may change without a new program.
CREATE TABLE hler.setting (
    name        text PRIMARY KEY,
    value       bigint NOT NULL CHECK (value >= 0),
    description text NOT NULL,
    lowest      bigint NOT NULL DEFAULT 0,
    CHECK (value >= lowest)
);
INSERT INTO hler.setting VALUES
    ('window_min', 16, 'fewest offers that may lie unclaimed in a pool', 1),
    ('window_per_slot', 2, 'offers that may lie unclaimed for each slot of a live worker', 0),
    ('refusals_max', 3, 'refusals by workers after which a task fails', 1),
    ('lost_tries_max', 3, 'tries of a repeatable task whose attempts get lost', 1),
    ('retry_delay_max_ms', 3600000, 'longest pause between two tries', 0),
    ('standing_claim_ms', 20000, 'age up to which a claim that a worker made ahead is used; below the worker''s claim_wait', 0),
    ('report_after_ms', 10000, 'age of a grant before a worker is asked for an attempt it does not list', 0),
    ('gap_after_ms', 30000, 'age of a gap in the events before the worker is asked to send again', 0),
    ('verdict_again_ms', 60000, 'time after which a verdict that a dispatcher took and never confirmed is sent by another', 0),
    ('worker_keep_ms', 86400000, 'time after which a worker that is gone is forgotten', 0);
GRANT SELECT ON hler.setting TO hler_operator;

CREATE FUNCTION hler_core.setting(name text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT s.value FROM hler.setting AS s WHERE s.name = setting.name);
END $$;

-- This transaction need not wait for the disk: after a crash of the server what it did is found
-- missing and done again (offers, output, ticks; never grants, results and ends).
CREATE FUNCTION hler_core.may_be_lost() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
END $$;

CREATE FUNCTION hler_core.ms(value bigint) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
    SELECT value * interval '1 millisecond'
$$;

-- Who may see and touch everybody's operations (a superuser may).
CREATE FUNCTION hler_core.is_operator() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.pg_has_role(session_user, 'hler_operator', 'member')
$$;
GRANT EXECUTE ON FUNCTION hler_core.is_operator() TO hler_frontend, hler_operator;
