"""Draining in the tables: level-triggered by heartbeats, durable, and when a worker is quiet."""
import pytest
from sqlserver import SESSION, Fault, database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import


def drain(db, kind, name, user="oper"):
    db.rows("SELECT hler_core.drain(%s, %s, 'jo', 'disk')", [kind, name], user)


def beat(db, held=(), draining=False, worker="w1"):
    return [r[0] for r in db.beat(held, worker, draining=draining)]


def said(db):
    return db.one("SELECT drain FROM hler.workers WHERE id = 'w1'")


@pytest.mark.parametrize("kind, name", [("worker", "w1"), ("pool", "default")])
def test_a_worker_is_told_until_it_obeys(db, kind, name):
    db.type()
    assert beat(db) == ["beat"] and said(db) is None
    drain(db, kind, name)
    drain(db, kind, name)
    assert said(db) == "asked"
    assert beat(db) == ["drain", "beat"] == beat(db), "before the beat, and again"
    assert beat(db, draining=True) == ["beat"] and said(db) == "quiet"
    assert beat(db, draining=False) == ["drain", "beat"], "it was started again"
    assert beat(db, worker="w2") == (["drain", "beat"] if kind == "pool" else ["beat"])
    assert db.one("SELECT hler_core.undrain(%s, %s)", [kind, name], "oper") is True
    assert db.one("SELECT hler_core.undrain(%s, %s)", [kind, name], "oper") is False
    assert beat(db, draining=True) == ["resume", "beat"] and beat(db) == ["beat"] and said(db) is None


def test_quiet_is_when_nothing_is_left(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    beat(db)
    drain(db, "worker", "w1")
    assert beat(db, [(offer, "claimed")], draining=True) == ["beat"] and said(db) == "draining", "a claim may be granted"
    db.claim([offer])
    assert beat(db, draining=True) == ["beat"] and said(db) == "draining", "granted, whatever the heartbeat lists"
    db.events([(offer, "started", 1, {})])
    db.rows("SELECT hler_core.worker_gone('w1', %s, 'stopped')", [SESSION], "disp")
    assert said(db) == "draining", "its runner goes on"
    db.silence()
    assert db.operation(op) == "held" and said(db) == "draining"
    db.events([(offer, "finished", 2, finished())])
    assert said(db) == "quiet"
    assert beat(db, [(offer, "sending")], draining=True) == ["beat"] and said(db) == "draining", "not all is sent"
    assert beat(db, draining=True) == ["beat"] and said(db) == "quiet"


def test_who_may_and_what_is_there(db):
    db.type()
    beat(db)
    for kind, name in (("worker", "w9"), ("pool", "nowhere")):
        with pytest.raises(Fault) as unknown:
            drain(db, kind, name)
        assert unknown.value.code == "HL404"
    for user in ("front", "disp"):
        with pytest.raises(Fault) as denied:
            drain(db, "worker", "w1", user)
        assert denied.value.code == "42501"
    drain(db, "pool", "default")
    assert "drained by jo" in db.one("SELECT note FROM hler.pools")
    assert "drain of the pool asked by jo, disk" in db.one("SELECT note FROM hler.workers")
