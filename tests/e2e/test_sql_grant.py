"""Grants made in the front end's own transaction, to who has claimed ahead."""
import hmac
import json

import pytest

import sqlserver
from sqlserver import INSTANCE, SESSION, Fault, new_database

CLAIM = 7
KEY = b"k" * 64


def listen(db, name="d", user="disp"):
    pads = [bytes(k ^ pad for k in KEY) for pad in (0x36, 0x5c)]
    db.rows("SELECT hler_core.listen_to_grants(%s, %s, %s)", [name, *pads], user)


@pytest.fixture(name="db")
def fresh():
    """With a front end that has submitted before, and a dispatcher that listens."""
    database = new_database()
    database.type()
    database.rows("SELECT set_config('hler.kept', 'on', false)", user="front")
    listen(database)
    database.rows("LISTEN hler_work", user="disp")
    yield database
    database.close()


def due(db):
    """What is left to the dispatcher."""
    return db.rows("SELECT task, attempt, control FROM hler_core.offer_due('d', 100)", user="disp")


def heard(db):
    """([hints], [notes without their seals]) that the dispatcher has got since it was asked last."""
    connection = db.connection("disp")
    db.rows("SELECT 1", user="disp")
    got, connection.notifies[:] = list(connection.notifies), []
    notes = [n.payload.split(" ", 1) for n in got if n.channel != "hler_work"]
    assert all(seal == hmac.new(KEY, note.encode(), "sha256").hexdigest() for seal, note in notes)
    return [n.payload for n in got if n.channel == "hler_work"], [note for _, note in notes]


def clear(db):
    """No task is ready."""
    db.rows("UPDATE hler.task SET state = 'cancelled' WHERE state = 'ready'")


def states(db):
    return db.rows("SELECT a.state, t.state FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task ORDER BY t.id, a.attempt")


def claims(db):
    return db.one("SELECT count(*) FROM hler.standing_claim")


def test_a_new_task_is_granted_to_who_has_claimed_ahead_and_told_to_a_dispatcher(db):
    db.beat(claim=CLAIM)
    operation = db.submit(inputs={})
    assert states(db) == [("granted", "queued")]
    assert db.rows("SELECT a.worker, a.instance::text, a.session::text, a.granted_at = a.offered_at FROM hler.attempt AS a") \
        == [("w1", INSTANCE, SESSION, True)]
    hints, [note] = heard(db)
    control, answers, name, message = note.split(" ", 3)
    assert (control, answers, hints) == (f"hler.control.w1.{SESSION}", f"{SESSION}.{CLAIM}", [])
    offer = json.loads(message)
    assert name == f"{offer['task']}.{offer['attempt']}.{offer['token']}"
    assert (offer["operation"], offer["attempt"]) == (operation, 1)
    assert due(db) == []
    assert claims(db) == 0
    assert db.claim([offer]) == ["granted"] # asked for by name, as after a late grant
    assert db.events([(offer, "started", 1, {})]) == ["recorded"]


def test_what_has_no_claim_is_left_to_the_dispatcher(db):
    db.submit()
    assert heard(db) == ([""], [])
    assert [row[2] for row in due(db)] == [None]


def test_a_claim_of_another_pool_is_let_be(db):
    db.type("t.other", pool="other")
    db.beat(claim=CLAIM)
    db.submit("t.other")
    assert (claims(db), heard(db)) == (1, ([""], []))
    assert [row[2] for row in due(db)] == [None]


def test_tasks_of_one_operation_go_to_those_with_most_room_as_far_as_there_are_claims(db):
    db.type("t.wide", tasks=3, needs=[])
    db.beat(claim=CLAIM)
    db.beat(worker="w2", claim=CLAIM, free=9)
    db.submit("t.wide")
    hints, notes = heard(db)
    assert (hints, sorted(note.split(".")[2] for note in notes)) == ([""], ["w1", "w2"])
    assert [row[2] for row in due(db)] == [None]


def test_many_at_once_are_the_dispatchers_matter(db):
    """Their order counts: higher first."""
    db.beat(claim=CLAIM)
    db.rows("INSERT INTO hler.operation (type, inputs, priority) SELECT 't.one', '{}', n FROM generate_series(0, 2) AS n", user="front")
    assert (heard(db), claims(db)) == (([""], []), 1)
    assert db.rows("""SELECT t.priority FROM hler_core.offer_due('d', 1) AS d JOIN hler.task AS t ON t.id = d.task""", user="postgres") == [(2,)]


def test_nobody_jumps_a_queue(db):
    db.submit(priority=5)
    heard(db)
    db.beat(claim=CLAIM)
    db.submit(priority=9)
    assert (heard(db), claims(db)) == (([""], []), 1)
    assert len(due(db)) == 2
    db.beat(claim=CLAIM + 1)
    db.submit()
    assert len(heard(db)[1]) == 1


def test_what_is_cancelled_before_its_commit_never_starts(db):
    db.beat(claim=CLAIM)
    front = db.connection("front")
    front.autocommit = False
    operation = db.submit()
    db.rows("SELECT hler.cancel(%s)", [operation], "front")
    front.commit()
    assert (db.operation(operation), claims(db), heard(db)[1], states(db)) == ("cancelled", 1, [], [])


def test_a_commit_that_is_asked_for_early_leaves_all_to_the_dispatcher(db):
    """SET CONSTRAINTS … IMMEDIATE: there are no tasks yet then."""
    db.beat(claim=CLAIM)
    front = db.connection("front")
    front.autocommit = False
    db.rows("SET CONSTRAINTS ALL IMMEDIATE", user="front")
    db.submit()
    front.commit()
    assert (heard(db), claims(db), states(db)) == (([""], []), 1, [])


def test_row_security_that_is_off_fails_nothing(db):
    """As for a backup; who is above it all may submit, too."""
    db.beat(claim=CLAIM)
    db.rows("SET row_security = off; SET hler.kept = on", user="postgres")
    db.submit(user="postgres")
    assert len(heard(db)[1]) == 1


def test_who_traces_notifications_does_not_see_the_channel(db):
    db.beat(claim=CLAIM)
    front = db.connection("front")
    db.rows("SET trace_notify = on; SET client_min_messages = debug1", user="front")
    db.submit()
    assert len(heard(db)[1]) == 1
    said = "\n".join(front.notices)
    assert "Async_Notify(hler)" in said and "hler_grant_" not in said


def test_tasks_that_wait_for_others_or_for_a_time_are_not_granted(db):
    db.catalog({"name": "t.chain", "version": 1, "fields": [], "tasks": [
        {"name": "a", "executor": "command", "spec": {"argv": ["true"]}},
        {"name": "b", "executor": "command", "spec": {"argv": ["true"]}, "needs": ["a"]}]})
    db.beat(claim=CLAIM)
    db.beat(worker="w2", claim=CLAIM)
    db.submit(run_at="2999-01-01")
    assert (claims(db), heard(db)) == (2, ([""], []))
    db.submit("t.chain")
    assert claims(db) == 1
    assert sorted(r[0] for r in db.rows("SELECT state FROM hler.task")) == ["blocked", "queued", "waiting"]


def test_a_new_connection_leaves_its_first_to_the_dispatcher(db):
    db.beat(claim=CLAIM)
    db.rows("RESET hler.kept", user="front")
    db.submit()
    assert (heard(db), claims(db)) == (([""], []), 1)
    clear(db)
    db.submit()
    hints, notes = heard(db)
    assert (hints, len(notes), claims(db)) == ([], 1, 0)


def test_what_is_rolled_back_has_used_no_claim_up(db):
    db.beat(claim=CLAIM)
    front = db.connection("front")
    front.autocommit = False
    db.submit()
    front.rollback()
    assert (claims(db), heard(db), states(db)) == (1, ([], []), [])


@pytest.mark.parametrize("act", [
    lambda db: db.beat(claim=CLAIM + 1),
    lambda db: db.beat(),
    lambda db: db.rows("SELECT hler_core.stand(%s, %s::uuid[], %s::uuid[], %s, %s)", [["w1"], [INSTANCE], [SESSION], [CLAIM + 1], [3]], "disp"),
    lambda db: db.rows("SELECT hler_core.worker_gone('w1', %s, 'stopped')", [SESSION], "disp"),
    lambda db: db.submit(user="other"),
    lambda db: db.rows("SELECT hler_core.tick(now(), 60000, 3000)", user="disp"),
    lambda db: db.rows("SELECT * FROM hler_core.clock_step()", user="disp"),
    lambda db: db.rows("SELECT hler_core.retain()", user="disp"),
    lambda db: listen(db, "another"),
    due,
])
@pytest.mark.parametrize("early", [False, True])
def test_a_front_end_that_does_not_commit_holds_up_nobody(db, act, early):
    """Nor does what happened meanwhile harm what it commits in the end; not even of one that asks for the grant before."""
    db.beat(claim=CLAIM)
    for user in ("disp", "other"):
        db.rows("SET lock_timeout = '100ms'", user=user)
    db.rows("SELECT set_config('hler.kept', 'on', false)", user="other")
    front = db.connection("front")
    front.autocommit = False
    operation = db.submit()
    if early:
        db.rows("SET CONSTRAINTS ALL IMMEDIATE", user="front")
    act(db)
    front.commit()
    granted = db.rows("SELECT state FROM hler.attempts WHERE operation = %s", [operation]) == [("granted",)]
    assert granted or not early
    heard_of = [note.split(" ")[2].split(".")[0] for note in heard(db)[1]]
    assert (db.one("SELECT id FROM hler.task WHERE operation = %s", [operation]) in heard_of) == granted


def test_under_a_stricter_isolation_a_renewed_claim_fails_nothing(db):
    db.beat(claim=CLAIM)
    front = db.connection("front")
    front.set_session(isolation_level="REPEATABLE READ", autocommit=False)
    db.rows("SELECT 1", user="front")
    db.beat(claim=CLAIM + 1)
    db.submit()
    front.commit()
    assert (claims(db), heard(db)) == (1, ([""], []))


def test_a_transaction_that_has_become_read_only_commits(db):
    db.beat(claim=CLAIM)
    front = db.connection("front")
    front.autocommit = False
    db.submit()
    db.rows("SET TRANSACTION READ ONLY", user="front")
    front.commit()
    assert (heard(db), claims(db)) == (([""], []), 1)


@pytest.mark.parametrize("was", ["off", "local", "remote_write"])
def test_no_grant_may_be_forgotten(db, was):
    """A front end may think so little of its row that a crash may take it; not so of one that is granted with it."""
    db.rows(f"SET synchronous_commit = {was}", user="front")
    front = db.connection("front")
    front.autocommit = False
    db.submit()
    assert db.one("SHOW synchronous_commit", user="front") == was
    front.commit()
    due(db)
    db.beat(claim=CLAIM)
    db.submit()
    db.rows("SET CONSTRAINTS ALL IMMEDIATE", user="front") # as the commit does
    assert db.one("SHOW synchronous_commit", user="front") == "on"
    front.commit()
    assert db.one("SHOW synchronous_commit", user="front") == was
    front.rollback()


@pytest.mark.parametrize("size, default, granted", [(5700, 0, True), (7000, 0, False), (3000, 2700, True), (3000, 3100, False)])
def test_what_is_too_long_for_a_note_is_left_to_the_dispatcher(db, size, default, granted):
    db.type("t.large", fields=[{"name": "text", "type": "string"}, {"name": "more", "type": "string", "default": "y" * default}])
    db.beat(claim=CLAIM)
    db.submit("t.large", inputs={"text": "x" * size})
    _, notes = heard(db)
    assert (len(notes), claims(db)) == ((1, 0) if granted else (0, 1))


def test_many_small_inputs_grow_on_their_way(db):
    """Where a field has a default all are written anew, with more space between them."""
    names = [f"f{n}" for n in range(520)]
    db.type("t.many", fields=[{"name": name, "type": "integer"} for name in names] + [{"name": "more", "type": "integer", "default": 1}])
    db.beat(claim=CLAIM)
    operation = db.submit("t.many", inputs={name: 1 for name in names})
    assert db.one("SELECT octet_length(inputs::text) FROM hler.operation WHERE id = %s", [operation]) < 6000
    assert (len(heard(db)[1]), claims(db)) == (0, 1)


def test_who_has_gone_or_cannot_publish_is_not_told(db):
    db.beat(claim=CLAIM)
    db.rows("SELECT hler_core.ignore_grants('d')", user="disp")
    db.submit()
    assert claims(db) == 1
    clear(db)
    listen(db)
    assert db.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 1 # however often it listens
    db.users.pop("disp").close() # as a process that was killed
    sqlserver.until(lambda: db.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'disp'") == 0)
    db.submit()
    assert claims(db) == 1
    clear(db)
    listen(db, "another")
    db.submit()
    assert (claims(db), len(heard(db)[1])) == (0, 1)
    assert db.rows("SELECT dispatcher FROM hler.grant_listener") == [("another",)]


def test_who_ends_takes_no_word_from_its_successor(db):
    db.rows("GRANT hler_dispatcher TO other", user="postgres")
    listen(db, user="other") # of the same name
    db.rows("SELECT hler_core.ignore_grants('d')", user="disp")
    assert db.one("SELECT count(*) FROM hler.grant_listener") == 1
    db.rows("SELECT hler_core.ignore_grants('d')", user="other")
    assert db.one("SELECT count(*) FROM hler.grant_listener") == 0


def test_a_grant_that_reached_nobody_holds_no_task(db):
    """Whether its worker was found to be silent before the broker gave it back, or after."""
    db.beat(claim=CLAIM)
    db.submit()
    [note] = heard(db)[1]
    task, attempt, token = note.split(" ")[2].split(".")
    db.silence()
    assert states(db) == [("lost", "held")]
    db.rows("SELECT hler_core.undelivered(%s, %s, %s)", [task, attempt, token], "disp")
    assert states(db) == [("void", "ready")]


@pytest.mark.parametrize("fact, then", [("started_at = now()", ("started", "running")), ("lost_said = true", ("lost", "held"))])
def test_what_somebody_had_is_not_given_back(db, fact, then):
    db.beat(claim=CLAIM)
    db.submit()
    task, attempt, token = heard(db)[1][0].split(" ")[2].split(".")
    db.silence()
    db.rows(f"UPDATE hler.attempt SET {fact}")
    db.rows("SELECT hler_core.undelivered(%s, %s, %s)", [task, attempt, token], "disp")
    assert (states(db), db.one("SELECT declined FROM hler.attempt")) == ([then], False)


def test_one_of_two_dispatchers_is_told_and_a_new_connection_takes_the_place_of_the_old(db):
    db.rows("GRANT hler_dispatcher TO other", user="postgres")
    listen(db, "second", user="other")
    db.users["before"] = db.users.pop("disp") # a connection whose end nobody has noticed yet
    listen(db)
    for worker in ("w1", "w2"):
        db.beat(worker=worker, claim=CLAIM)
        db.submit()
    db.rows("SELECT 1", user="disp")
    db.rows("SELECT 1", user="other")
    told = [[n.payload for n in db.connection(user).notifies if n.channel.startswith("hler_grant_")] for user in ("disp", "other")]
    assert len(told[0]) + len(told[1]) == 2 == len(set(told[0] + told[1]))


@pytest.mark.parametrize("call", ["SELECT channel FROM hler.grant_listener", "SELECT hler_core.listen_to_grants('x', '', '')",
                                  "SELECT hler_core.ignore_grants('d')", "SELECT hler_core.grant_new(NULL)",
                                  "SELECT hler_core.tell_grants(NULL, NULL, NULL, NULL)"])
@pytest.mark.parametrize("who", ["front", "oper"])
def test_nobody_else_learns_where_grants_are_told(db, who, call):
    with pytest.raises(Fault) as fault:
        db.rows(call, user=who)
    assert fault.value.code == "42501"
