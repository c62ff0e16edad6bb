-- Operators have workers take nothing new: for good, until they say otherwise.  Heartbeats bring
-- it to the workers (hler_core.drain_for).
SET LOCAL ROLE hler_owner;

-- kind: worker or pool.  Asking again keeps who asked first.
CREATE FUNCTION hler_core.drain(kind text, name text, actor text, reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF kind = 'worker' AND NOT EXISTS (SELECT FROM hler.worker AS w WHERE w.id = drain.name)
       OR kind = 'pool' AND NOT EXISTS (SELECT FROM hler.pool AS p WHERE p.name = drain.name)
                          AND NOT EXISTS (SELECT FROM hler.worker AS w WHERE w.pool = drain.name) THEN
        RAISE EXCEPTION 'no % %', kind, name USING ERRCODE = 'HL404';
    END IF;
    INSERT INTO hler.drain AS d (kind, name, login, actor, reason)
    VALUES (drain.kind, drain.name, session_user, left(drain.actor, 200), left(drain.reason, 1000))
    ON CONFLICT ON CONSTRAINT drain_pkey DO NOTHING;
END $$;

-- False: nobody had asked for it.
CREATE FUNCTION hler_core.undrain(kind text, name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM hler.drain AS d WHERE d.kind = undrain.kind AND d.name = undrain.name;
    RETURN FOUND;
END $$;

GRANT EXECUTE ON FUNCTION hler_core.drain(text, text, text, text), hler_core.undrain(text, text) TO hler_operator;
