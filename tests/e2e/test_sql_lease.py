"""Silence, leases, and what follows from them."""
from sqlserver import database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import
from test_sql_flow import granted


def test_silence_is_neither_failure_nor_licence_to_run_again(db):
    db.type()
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.events([(offer, "started", 1, {})])
    assert db.silence() == 1
    assert db.states(op) == ("held", ["held"])
    assert db.rows("SELECT state FROM hler.attempts") == [("lost",)]
    assert db.rows("SELECT state FROM hler.workers", user="front") == [("silent",)]
    assert not db.offer() and db.rows("SELECT * FROM hler_core.clock_step()", user="disp") == [(0, 0)]
    assert [r[0] for r in db.beat([(offer, "running")])] == ["beat"]
    assert db.states(op) == ("running", ["running"])
    db.silence()
    db.events([(offer, "finished", 2, finished())])
    assert db.states(op) == ("succeeded", ["succeeded"])


def test_a_grant_that_never_arrived_comes_back(db):
    db.type()
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.silence()
    assert db.states(op) == ("held", ["held"])
    db.rows("UPDATE hler.attempt SET granted_at = granted_at - interval '1 min'")
    assert ("report", offer["task"], 1, None, None, 1) in db.beat()
    assert ("report", offer["task"], 1, None, None, 1) not in db.beat(), "not with every heartbeat"
    db.events([(offer, "declined", None, {})])
    assert db.states(op) == ("running", ["ready"])


def test_repeatable_tasks_run_again_once_the_lease_is_over(db):
    db.type(repeatable=True)
    op = db.submit()
    for number in (1, 2, 3):
        db.beat()
        offer = granted(db)
        assert offer["attempt"] == number
        db.events([(offer, "started", 1, {})])
        db.silence()
        assert db.states(op) == ("held", ["held"])
        for seconds in (0, 61, 28): # a lease, and half of it in which the runner ends its tree
            db.rows("UPDATE hler.attempt SET lost_at = lost_at - %s * interval '1 s'", [seconds])
            assert db.rows("SELECT * FROM hler_core.clock_step()", user="disp") == [(0, 0)], "the runner may still have it"
        db.rows("UPDATE hler.attempt SET lost_at = lost_at - interval '2 s'")
        assert db.rows("SELECT * FROM hler_core.clock_step()", user="disp") == [(0, 1)]
        if number == 1:
            assert ("stop", offer["task"], 1, "superseded", 10000, 1) in db.beat([(offer, "running")])
            assert db.events([(offer, "finished", 2, finished())]) == ["stale"]
    assert db.states(op) == ("failed", ["failed"])
    assert db.one("SELECT cause FROM hler.operations") == "lost"


def test_a_heartbeat_renews_the_lease_of_what_has_started_unrecorded(db):
    db.type(repeatable=True)
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.silence()
    db.rows("UPDATE hler.attempt SET lost_at = lost_at - interval '91 s', granted_at = granted_at - interval '3 min'")
    assert ("report", offer["task"], 1, None, None, 1) in db.beat([(offer, "running")]), "its start is missing"
    assert db.rows("SELECT * FROM hler_core.clock_step()", user="disp") == [(0, 0)], "its worker has just renewed it"
    assert db.states(op) == ("held", ["held"])
    db.events([(offer, "started", 1, {})])
    assert db.states(op) == ("running", ["running"])


def test_our_own_silence_is_not_the_workers(db):
    db.type()
    db.submit()
    db.beat()
    granted(db)
    sql = "SELECT hler_core.tick(now() + %s * interval '1 s', 60000, 5000)"
    for seconds in (0, 3600, 3600, 3500, 3605):
        assert db.one(sql, [seconds], "disp") == 0
    assert db.one("SELECT elapsed_ms FROM hler.silence") in range(14000, 15100)
