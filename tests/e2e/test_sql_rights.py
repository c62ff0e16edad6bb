"""Least rights: what each role may not do, one by one, and functions that cannot be misled."""
import pytest
from sqlserver import Fault, database_of_its_own, finished, new_database  # noqa: F401 pylint: disable=unused-import

PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
ROLES = ["front", "oper", "disp", "nobody_"]
OWN_VIEWS = {"hler." + v for v in ["operations", "tasks", "attempts", "events", "output", "output_lines", "results",
                                   "result_history"]}
OPEN_VIEWS = {"hler.workers", "hler.pools", "hler.catalog"}
READS = {
    "front": {"hler.operation"} | OWN_VIEWS | OPEN_VIEWS,
    "oper": {"hler.operation", "hler.schema_migration", "hler.setting", "hler.dead_message", "hler.dead_act", "hler.drain", "hler.silence",
             "hler_core.listeners"} | OWN_VIEWS | OPEN_VIEWS,
    "disp": OPEN_VIEWS,
    "nobody_": set(),
}
WRITABLE = {"id", "type", "version", "inputs", "target", "priority", "run_at", "start_by", "idempotency_key", "labels",
            "traceparent", "actor"}
FRONT_CALLS = {"submit", "cancel", "retry", "retry_lost", "uuid7", "is_operator", "is_live"}
DISPATCHER_CALLS = {"offer_due", "pools_to_check", "reoffer_due", "grant_claims", "stand", "undelivered", "record_state", "record_output",
                    "heartbeat", "worker_gone", "stops_due", "tick", "clock_step", "next_due_ms", "verdicts_take", "verdicts_done",
                    "dead_letter", "redrive_due", "redriven", "redrive_failed", "offer_rejected", "retain", "listen_to_grants", "ignore_grants", "is_live", "uuid7"}
CALLS = {"front": FRONT_CALLS, "oper": FRONT_CALLS | {"catalog_apply", "listener_register", "listener_forget", "dead_redrive", "dead_drop",
                                  "dead_fact", "drain", "undrain", "setting_set"},
         "disp": DISPATCHER_CALLS, "nobody_": set()}
LOGIN_CALLS = {"schema_version"}


@pytest.fixture(name="plain", scope="module")
def read_only():
    database = new_database()
    yield database
    database.close()


@pytest.mark.parametrize("role", ROLES)
def test_no_privilege_beyond_the_contract(plain, role):
    relations = plain.rows("SELECT c.oid, n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n"
                           " ON n.oid = c.relnamespace WHERE n.nspname LIKE 'hler%%' AND c.relkind IN ('r', 'p', 'v')")
    assert len(relations) > 30
    for oid, name in relations:
        for privilege in PRIVILEGES:
            allowed = privilege == "SELECT" and name in READS[role]
            has = plain.one("SELECT has_table_privilege(%s, %s::oid, %s)", [role, oid, privilege])
            assert has == allowed, f"{role} {privilege} {name}"
    columns = {r[0] for r in plain.rows("SELECT attname FROM pg_attribute WHERE attrelid = 'hler.operation'::regclass"
                                        " AND attnum > 0 AND has_column_privilege(%s, attrelid, attnum, 'INSERT')", [role])}
    assert columns == (WRITABLE if role in ("front", "oper") else set())


@pytest.mark.parametrize("role", ROLES)
def test_no_function_beyond_the_contract(plain, role):
    functions = plain.rows("SELECT p.proname, has_function_privilege(%s, p.oid, 'EXECUTE') FROM pg_proc AS p"
                           " JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname LIKE 'hler%%'", [role])
    assert {name for name, may in functions if may} == CALLS[role] | LOGIN_CALLS


def test_security_definer_functions_pin_their_search_path(plain):
    loose = plain.rows("SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
                       " WHERE n.nspname LIKE 'hler%%' AND p.prosecdef"
                       " AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)")
    assert loose == []
    owners = plain.rows("SELECT DISTINCT r.rolname, r.rolsuper, r.rolcanlogin FROM pg_proc AS p"
                        " JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_roles AS r ON r.oid = p.proowner"
                        " WHERE n.nspname LIKE 'hler%%'")
    assert owners == [("hler_owner", False, False)]


@pytest.mark.parametrize("sql", [
    "UPDATE hler.operation SET state = 'succeeded'",
    "DELETE FROM hler.operation",
    "INSERT INTO hler.operation (type, requester) VALUES ('t.one', 'other')",
    "INSERT INTO hler.operation (type, state) VALUES ('t.one', 'succeeded')",
    "INSERT INTO hler.operation (type, retry_of) VALUES ('t.one', NULL)",
    "INSERT INTO hler.task (id) VALUES (NULL)",
    "SELECT * FROM hler.task",
    "UPDATE hler.operations SET state = 'failed'",
    "DELETE FROM hler.tasks",
    "SELECT hler_core.offer_due('d', 1)",
    "SELECT hler_core.catalog_apply('{}')",
    "SELECT hler_core.settle('{}', '{}')",
    "TRUNCATE hler.operation",
    "ALTER TABLE hler.operation DISABLE ROW LEVEL SECURITY",
    "CREATE TABLE hler.mine ()",
    "SET ROLE hler_owner",
])
def test_a_front_end_is_denied(db, sql):
    db.type()
    db.submit()
    with pytest.raises(Fault) as denied:
        db.rows(sql, user="front")
    assert denied.value.code in ("42501", "55000"), "no privilege, or a view that cannot be written"
    assert db.states(db.one("SELECT id FROM hler.operation")) == ("pending", ["ready"])


def test_each_front_end_sees_its_own_only(db):
    db.type()
    entity = "0195fe5a-0000-7000-8000-00000000000a"
    ops = {user: db.submit(user=user) for user in ("front", "other")}
    for offer in db.offer():
        db.claim([offer])
        db.events([(offer, "started", 1, {}),
                   (offer, "result", 2, {"entity": entity, "field": "f", "mode": "append", "value": offer["requester"]}),
                   (offer, "finished", 4, finished(results=1))])
        db.output(offer, [(3, "stdout", offer["requester"] + "\n")])
    for view in sorted(OWN_VIEWS):
        column = "id" if view == "hler.operations" else "operation"
        for user, op in ops.items():
            assert {r[0] for r in db.rows(f"SELECT {column} FROM {view}", user=user)} == {op}, view
        if view != "hler.results":
            assert {r[0] for r in db.rows(f"SELECT {column} FROM {view}", user="oper")} == set(ops.values()), view
    assert db.one("SELECT value FROM hler.results", user="front") == ["front"]
    assert db.one("SELECT value FROM hler.results", user="oper") == ["front", "other"]
    assert db.rows("SELECT id FROM hler.operation", user="other") == [(ops["other"],)]
    for call in ["hler.cancel(%s)", "hler.retry(%s)", "hler.retry_lost(%s)"]:
        with pytest.raises(Fault) as denied:
            db.rows(f"SELECT {call}", [ops["front"]], "other")
        assert denied.value.code == "HL404"


def test_a_leaky_function_sees_no_foreign_row(db):
    """The planner must not run a reader's cheap function before the view's filter."""
    db.type()
    db.submit(user="front")
    db.rows("GRANT CREATE, TEMPORARY ON DATABASE " + db.name + " TO other")
    db.rows("CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS"
            " $$BEGIN RAISE EXCEPTION 'saw %', $1; END$$", user="other")
    for view in ["hler.operations", "hler.operation"]:
        assert db.rows(f"SELECT * FROM {view} WHERE pg_temp.leak(requester)", user="other") == []


def test_a_temporary_table_shadows_nothing(db):
    db.type()
    db.rows("CREATE TEMPORARY TABLE operation_type (name text, version int);"
            "CREATE TEMPORARY TABLE field (type text, version int);"
            "CREATE TEMPORARY TABLE now (x int);"
            "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$SELECT '1999-01-01'::timestamptz$$;"
            "CREATE FUNCTION pg_temp.is_operator() RETURNS boolean LANGUAGE sql AS $$SELECT true$$;"
            "SET search_path = pg_temp, hler, hler_core, pg_catalog", user="front")
    op = db.submit()
    assert db.one("SELECT created_at > '2020-01-01' FROM hler.operations WHERE id = %s", [op], "front")
    foreign = db.submit(user="other")
    with pytest.raises(Fault) as denied:
        db.rows("SELECT hler.cancel(%s)", [foreign], "front")
    assert denied.value.code == "HL404"
    assert db.rows("SELECT id FROM hler.operations", user="front") == [(op,)]


def test_any_login_may_ask_for_the_schema_version(db):
    assert db.one("SELECT hler_core.schema_version()", user="nobody_") >= 15


def test_an_operator_acts_for_anybody(db):
    db.type()
    op = db.submit(user="front")
    assert db.one("SELECT hler.cancel(%s, reason => 'no', actor => 'op')", [op], "oper") == "cancelled"
    again = db.one("SELECT hler.retry(%s)", [op], "oper")
    assert db.one("SELECT requester FROM hler.operations WHERE id = %s", [again], "front") == "front"
