"""Claims made ahead, in the tables: used once, of the right worker, while they are young; here by dispatchers."""
import uuid

import pytest

from sqlserver import INSTANCE, SESSION, finished, new_database

OTHER = str(uuid.uuid4())


@pytest.fixture(name="db")
def fresh():
    database = new_database()
    database.type()
    yield database
    database.close()


def submit(db):
    """As the first of a new connection, which leaves its tasks to a dispatcher (test_sql_grant.py: others)."""
    db.rows("RESET hler.kept", user="front")
    return db.submit()


def due(db, most=10):
    return db.rows("SELECT task::text, attempt, token, control, answers FROM hler_core.offer_due('d', %s)", [most], "disp")


def stand(db, claim, worker="w1", free=4, instance=INSTANCE, session=SESSION):
    db.rows("SELECT hler_core.stand(%s, %s::uuid[], %s::uuid[], %s, %s)", [[worker], [instance], [session], [claim], [free]], "disp")


def states(db):
    return [row[0] for row in db.rows("SELECT state FROM hler.attempt ORDER BY attempt")]


def test_a_task_goes_to_who_has_claimed_ahead_and_only_one(db):
    db.beat(claim=7)
    submit(db)
    submit(db)
    (_, _, _, control, answers), (_, _, _, none, unanswered) = due(db)
    assert (control, answers) == (f"hler.control.w1.{SESSION}", f"{SESSION}.7")
    assert (none, unanswered) == (None, None)
    assert sorted(states(db)) == ["granted", "offered"]
    assert db.rows("SELECT worker, instance::text, session::text, granted_at = offered_at FROM hler.attempt WHERE state = 'granted'") \
        == [("w1", INSTANCE, SESSION, True)]
    submit(db)
    assert due(db)[0][3] is None # used up


def test_its_events_are_those_of_any_granted_attempt(db):
    db.beat(claim=1)
    operation = submit(db)
    [(task, attempt, token, _, _)] = due(db)
    offer = {"task": task, "attempt": attempt, "token": token}
    assert db.claim([offer]) == ["granted"] # asked for by name, as after a late grant
    assert db.claim([offer], worker="w2", instance=OTHER) == ["taken"]
    assert db.events([(offer, "started", 1, {}), (offer, "finished", 2, finished())]) == ["recorded", "recorded"]
    assert db.states(operation) == ("succeeded", ["succeeded"])


def test_who_has_most_room_is_preferred(db):
    for worker, free in (("w1", 1), ("w2", 3), ("w3", 2)):
        db.beat(worker=worker, free=free, claim=1)
    for _ in range(3):
        submit(db)
    assert [row[3].split(".")[2] for row in due(db)] == ["w2", "w3", "w1"]


def test_a_newer_claim_takes_the_place_of_an_older_and_none_of_an_older(db):
    db.beat(claim=3)
    stand(db, 5)
    stand(db, 4)
    submit(db)
    assert due(db)[0][4] == f"{SESSION}.5"


@pytest.mark.parametrize("change", [
    lambda db: db.beat(), # a heartbeat without one
    lambda db: db.beat(claim=2, draining=True),
    lambda db: db.rows("SELECT hler_core.worker_gone('w1', %s, 'stopped')", [SESSION], "disp"),
    lambda db: db.rows("UPDATE hler.standing_claim SET claimed_at = now() - interval '16 s'"),
    lambda db: db.rows("UPDATE hler.setting SET value = 0 WHERE name = 'standing_claim_ms'"),
    lambda db: db.silence(),
    lambda db: db.rows("UPDATE hler.worker SET session = %s", [OTHER]),
    lambda db: db.rows("UPDATE hler.worker SET instance = %s", [OTHER]),
    lambda db: db.rows("UPDATE hler.standing_claim SET pool = 'other'"),
])
def test_what_ends_a_claim(db, change):
    db.beat(claim=1)
    change(db)
    submit(db)
    assert due(db)[0][3] is None
    assert states(db) == ["offered"]


def test_it_is_used_while_most_of_a_lease_is_left(db):
    db.beat(claim=1)
    db.rows("UPDATE hler.standing_claim SET claimed_at = now() - interval '14 s'") # lost_after is 60 s
    submit(db)
    assert due(db)[0][3] is not None


@pytest.mark.parametrize("who", [{"session": OTHER}, {"instance": OTHER}, {"worker": "nobody"}])
def test_only_the_session_that_is_heard_may(db, who):
    db.beat()
    stand(db, 1, **who)
    assert db.rows("SELECT * FROM hler.standing_claim") == []


def test_a_grant_that_was_given_back_is_offered_again(db):
    db.beat(claim=1)
    operation = submit(db)
    [(task, attempt, token, _, _)] = due(db)
    db.rows("SELECT hler_core.undelivered(%s, %s, %s)", [task, attempt, "0123456789abcdef"], "disp")
    assert states(db) == ["granted"] # another token says nothing
    db.rows("SELECT hler_core.undelivered(%s, %s, %s)", [task, attempt, token], "disp")
    assert due(db)[0][1] == attempt + 1
    assert states(db) == ["void", "offered"]
    assert db.rows("SELECT output_complete, message LIKE '%session%' FROM hler.attempts WHERE state = 'void'") == [(True, True)]
    assert db.operation(operation) == "pending"
    assert db.one("SELECT refusals FROM hler.task") == 0


def test_nor_is_one_that_has_started_given_back(db):
    db.beat(claim=1)
    submit(db)
    [(task, attempt, token, _, _)] = due(db)
    db.events([({"task": task, "attempt": attempt, "token": token}, "started", 1, {})])
    db.rows("SELECT hler_core.undelivered(%s, %s, %s)", [task, attempt, token], "disp")
    assert states(db) == ["started"]
