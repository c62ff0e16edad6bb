-- Claims and grants: one compare-and-set per attempt.  Whoever has the row is granted; all
-- others are told why not.
SET LOCAL ROLE hler_owner;

-- Attempts locked in the one order that all batch functions keep.
CREATE FUNCTION hler_core.lock_attempts(tasks uuid[], attempts int[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM unnest(tasks, attempts) AS want (task, attempt)
       JOIN hler.attempt AS a ON a.task = want.task AND a.attempt = want.attempt
      ORDER BY a.task, a.attempt FOR NO KEY UPDATE OF a;
END $$;

-- The answer to a claim that reads the attempt as it is after all grants of the batch.
CREATE FUNCTION hler_core.claim_verdict(a hler.attempt, claimant text, claimed_by uuid, claimed_token text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN a.task IS NULL OR a.token <> claimed_token THEN 'unknown'
        WHEN a.state = 'void' THEN CASE WHEN a.cause IN ('cancelled', 'start_by') THEN 'cancelled' ELSE 'superseded' END
        WHEN a.state = 'offered' OR a.worker <> claimant OR a.instance <> claimed_by THEN 'taken'
        WHEN a.state = 'granted' THEN 'granted'
        WHEN a.state = 'started' THEN 'started'
        WHEN a.state = 'lost' THEN 'superseded'
        ELSE 'ended' END
$$;

-- A second program under a live worker's name gets nothing: `taken`.
CREATE FUNCTION hler_core.grant_claims(numbers int[], users text[], instances uuid[], sessions uuid[],
                                       tasks uuid[], attempts int[], tokens text[])
RETURNS TABLE (n int, task uuid, attempt int, token text, verdict text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    -- A claim may come before the first heartbeat; silence needs a row to be measured on.
    INSERT INTO hler.worker (id, instance, session, heard_ms, started_at, last_seen_at)
    SELECT DISTINCT ON (c.username) c.username, c.instance, c.session, s.elapsed_ms, moment, moment
      FROM unnest(users, instances, sessions) AS c (username, instance, session), hler.silence AS s
     WHERE NOT EXISTS (SELECT FROM hler.worker AS w WHERE w.id = c.username)
     ORDER BY c.username
    ON CONFLICT DO NOTHING;
    PERFORM hler_core.lock_attempts(tasks, attempts);
    -- The rows are locked: a state read here stays.
    WITH claim AS MATERIALIZED (
        SELECT DISTINCT ON (c.task, c.attempt) c.*, x.state
          FROM unnest(users, instances, sessions, tasks, attempts, tokens) WITH ORDINALITY
               AS c (username, instance, session, task, attempt, token, i)
          JOIN hler.worker AS w ON w.id = c.username AND (w.instance = c.instance OR NOT hler_core.is_live(w))
          JOIN hler.attempt AS x ON x.task = c.task AND x.attempt = c.attempt AND x.token = c.token
         ORDER BY c.task, c.attempt, c.i),
    granted AS (
        UPDATE hler.attempt AS a
           SET state = 'granted', worker = claim.username, instance = claim.instance, session = claim.session,
               granted_at = moment
          FROM claim WHERE a.task = claim.task AND a.attempt = claim.attempt AND claim.state = 'offered'
        RETURNING a.pool, a.offered_at)
    -- At most about once a second and pool, to leave the row in peace.
    UPDATE hler.pool AS p SET granted_upto = g.upto
      FROM (SELECT granted.pool, max(granted.offered_at) AS upto FROM granted GROUP BY granted.pool) AS g
     WHERE p.name = g.pool AND coalesce(p.granted_upto, '-infinity') < g.upto - interval '1 second';
    RETURN QUERY
        SELECT c.n, c.task, c.attempt, c.token, hler_core.claim_verdict(a, c.username, c.instance, c.token)
          FROM unnest(numbers, users, instances, tasks, attempts, tokens) WITH ORDINALITY
               AS c (n, username, instance, task, attempt, token, i)
          LEFT JOIN hler.attempt AS a ON a.task = c.task AND a.attempt = c.attempt
         ORDER BY c.i;
END $$;

-- Claims made ahead.  Only the session that the tables know may: nobody else is heard.  Where the last one is being used up,
-- which a front end's transaction may take its time to end, the new one is not noted: the next heartbeat brings another.
CREATE FUNCTION hler_core.stand(users text[], instances uuid[], sessions uuid[], claims bigint[], free int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM hler_core.may_be_lost();
    INSERT INTO hler.standing_claim AS x (worker, pool, free, instance, session, claim, claimed_at)
    SELECT DISTINCT ON (w.id) w.id, w.pool, c.free, c.instance, c.session, c.claim, clock_timestamp()
      FROM unnest(users, instances, sessions, claims, stand.free) AS c (username, instance, session, claim, free),
           -- OFFSET: each looks for its worker, never a plan made for few workers through all of them
           LATERAL (SELECT * FROM hler.worker AS x WHERE x.id = c.username OFFSET 0) AS w
     WHERE w.instance = c.instance AND w.session = c.session AND w.pool IS NOT NULL AND NOT w.draining
       AND (EXISTS (SELECT FROM hler.standing_claim AS last WHERE last.worker = w.id FOR UPDATE SKIP LOCKED)
            OR NOT EXISTS (SELECT FROM hler.standing_claim AS last WHERE last.worker = w.id))
     ORDER BY w.id, c.claim DESC
    ON CONFLICT (worker) DO UPDATE SET pool = excluded.pool, free = excluded.free, instance = excluded.instance,
        session = excluded.session, claim = excluded.claim, claimed_at = excluded.claimed_at
     WHERE x.session <> excluded.session OR x.claim < excluded.claim;
END $$;

-- A grant that the broker gave back: no queue has had it, so it is as good as declined.
CREATE FUNCTION hler_core.undelivered(task uuid, attempt int, token text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM hler_core.lock_operations(ARRAY[undelivered.task]);
    PERFORM hler_core.lock_attempts(ARRAY[undelivered.task], ARRAY[undelivered.attempt]);
    UPDATE hler.attempt AS a SET declined = true, message = 'its worker''s session was gone: the grant reached nobody'
     WHERE a.task = undelivered.task AND a.attempt = undelivered.attempt AND a.token = undelivered.token
       AND (a.state = 'granted' OR a.state = 'lost' AND a.started_at IS NULL AND NOT a.lost_said);
    PERFORM hler_core.settle(ARRAY[undelivered.task], ARRAY[undelivered.attempt]);
END $$;

GRANT EXECUTE ON FUNCTION hler_core.grant_claims(int[], text[], uuid[], uuid[], uuid[], int[], text[]),
    hler_core.stand(text[], uuid[], uuid[], bigint[], int[]), hler_core.undelivered(uuid, int, text) TO hler_dispatcher;
