-- Plans of the functions on the busy path.  They are PL/pgSQL throughout: its plans live as
-- long as the connection, where an SQL function that is not inlined is planned in every call.
--  They touch few rows of tables that grow from
-- empty to millions within the life of one connection and its cached plans; statistics of
-- the empty table would choose sequential scans, hash and merge joins, which then read it
-- all.  Index look-ups are right at every size.
SET LOCAL ROLE hler_owner;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN
        SELECT p.oid::regprocedure AS name
          FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
         WHERE n.nspname = 'hler_core' AND p.proname IN ('offer_due', 'reoffer_due', 'pools_to_check', 'grant_claims', 'grant_new', 'stand', 'undelivered',
             'record_state', 'record_output', 'heartbeat', 'stops_due', 'tick', 'clock_step', 'next_due_ms', 'verdicts_take')
            OR n.nspname = 'hler' AND p.proname = 'cancel'
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET enable_seqscan = off', f.name);
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET enable_hashjoin = off', f.name);
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET enable_mergejoin = off', f.name);
        -- The best plan is the one that touches fewest rows, whatever their pages.
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET seq_page_cost = 0', f.name);
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET random_page_cost = 0', f.name);
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET cpu_tuple_cost = 1', f.name);
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET cpu_index_tuple_cost = 1', f.name);
        -- A plan that has no other choice is given a huge cost: no reason to compile it.
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET jit = off', f.name);
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', f.name);
    END LOOP;
END $$;
-- Joins two transition tables, which have no index.
ALTER FUNCTION hler_core.tell() SET enable_hashjoin = on;
