"""A person's word about what is held, and workers' word about what they will not run."""
import pytest
from sqlserver import Fault, database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import
from test_sql_flow import OTHER, granted


def test_a_person_has_held_tasks_run_again(db):
    db.type(tasks=2)
    op = db.submit()
    db.beat()
    offer = granted(db)
    with pytest.raises(Fault) as early:
        db.rows("SELECT hler.retry_lost(%s)", [op], "front")
    assert early.value.code == "HL409" and "no task of it is held" in str(early.value)
    db.events([(offer, "started", 1, {})])
    db.silence()
    assert db.states(op) == ("held", ["held", "blocked"])
    assert db.rows("SELECT task, name, attempt, worker FROM hler.retry_lost(%s, 'reinstalled', 'jo')", [op], "front") == [
        (offer["task"], "s1", 1, "w1")]
    assert db.states(op) == ("running", ["ready", "blocked"])
    assert db.rows("SELECT state, cause, message FROM hler.attempts") == [
        ("void", "superseded", "given up for lost by front (jo) - reinstalled")]
    with pytest.raises(Fault) as twice:
        db.rows("SELECT hler.retry_lost(%s)", [op], "front")
    assert twice.value.code == "HL409"
    # the old one is back: it is stopped, and what it says changes nothing
    assert ("stop", offer["task"], 1, "superseded", 10000, 1) in db.beat([(offer, "running")])
    assert db.claim([offer]) == ["superseded"]
    assert db.events([(offer, "finished", 2, finished("failed"))]) == ["stale"]
    (second,) = db.offer()
    assert (second["task"], second["attempt"]) == (offer["task"], 2) and second["token"] != offer["token"]
    db.run(second)
    db.run(db.offer()[0])
    assert db.states(op) == ("succeeded", ["succeeded"] * 2)
    with pytest.raises(Fault) as over:
        db.rows("SELECT hler.retry_lost(%s)", [op], "oper")
    assert over.value.code == "HL409"


def test_who_is_back_in_time_is_not_run_again(db):
    """The end came while the person made up their mind."""
    db.type()
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.events([(offer, "started", 1, {})])
    db.silence()
    db.events([(offer, "finished", 2, finished())])
    with pytest.raises(Fault) as late:
        db.rows("SELECT hler.retry_lost(%s)", [op], "front")
    assert late.value.code == "HL409" and db.states(op) == ("succeeded", ["succeeded"])


def refuse(db, cause, worker="w1"):
    (offer,) = db.offer()
    assert db.events([(offer, "refused", None, {"cause": cause, "message": "not here"}, worker)]) == ["recorded"]
    return db.rows("SELECT state, cause, refusals FROM hler.tasks")[0]


def test_a_full_spool_is_no_refusal_of_the_task(db):
    db.type()
    op = db.submit()
    db.beat()
    for _ in range(5):
        assert refuse(db, "spool_full") == ("ready", None, 0)
    db.run(db.offer()[0])
    assert db.states(op) == ("succeeded", ["succeeded"])


def test_what_is_allowed_nowhere_fails_at_once(db):
    """But one worker's word is not that of the others of its pool."""
    db.type()
    db.submit()
    db.beat()
    assert refuse(db, "not_allowed") == ("failed", "not_allowed", 1)
    db.rows("DELETE FROM hler.worker")
    db.rows("UPDATE hler.setting SET value = 9 WHERE name = 'refusals_max'")
    for live in ("w1", "w2", "w3"):
        db.beat(worker=live, instance=OTHER)
    db.beat(worker="w3", instance=OTHER, draining=True)
    db.type("t.two")
    op = db.submit("t.two")

    def state():
        return db.rows("SELECT state, cause, refusals FROM hler.tasks WHERE operation = %s", [op])[0]
    for worker, after in (("w1", ("ready", None, 1)), ("w1", ("ready", None, 2)), ("w2", ("failed", "not_allowed", 3))):
        refuse(db, "not_allowed", worker)
        assert state() == after
