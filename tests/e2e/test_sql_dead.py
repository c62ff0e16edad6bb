"""What was set aside: once, read again without doing anything twice, dropped, and who did it."""
import json

import pytest
from sqlserver import Fault, database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import

RESULT = {"entity": "0190b3a4-0000-7000-8000-000000000001", "field": "url", "mode": "set", "secret": False, "value": 1}


@pytest.fixture(name="started")
def a_started_attempt(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    db.claim([offer])
    db.events([(offer, "started", 1, {})])
    return op, offer


def dead(db):
    return db.rows("SELECT id, reason, copies FROM hler.dead_message ORDER BY id")


def redrive(db, number, user="oper"):
    return db.rows("SELECT * FROM hler_core.dead_redrive(%s, 'jo', 'mended')", [[number]], user)[0][1:]


def acts(db):
    return [r[0] for r in db.rows("SELECT act FROM hler.dead_act ORDER BY no")]


def aside(db, facts, body=b"x", source="hler.state", reason="bad_version"):
    return db.one("SELECT hler_core.dead_letter(%s, %s, %s, %s)", [source, reason, json.dumps(facts), body], "disp")


def event_facts(offer, kind="finished", user="w1"):
    return {"routing_key": f"{user}.attempt.{kind}.front.{offer['operation']}.{offer['task']}", "user_id": user}


def redriven(db, number, offer, kind, seq, data, piece=None):
    return db.one("SELECT hler_core.redriven(%s, %s, %s, %s, %s, %s, now(), 'stdout', %s, NULL, %s)",
                  [number, kind, offer["task"], offer["attempt"], offer["token"], seq, piece, data and json.dumps(data)], "disp")


def test_copies_of_one_message_are_one_row(db, started):
    _, offer = started
    assert aside(db, {"user_id": "w1"}) == aside(db, {"user_id": "w1"})
    assert aside(db, {"user_id": "w1"}) != aside(db, {"user_id": "w2"}) != aside(db, {"user_id": "w1"}, b"y")
    bad = ({**offer, "token": "0" * 16}, "started", 1, {})
    db.events([bad, bad])
    db.events([bad])
    assert [copies for _, _, copies in dead(db)] == [3, 1, 1, 3]


def test_a_tombstone_makes_room_for_its_event(db, started):
    """As after an upgrade that can record what the old tables could not."""
    op, offer = started
    db.events([(offer, "result", 2, {**RESULT, "mode": "odd"}), (offer, "finished", 3, {**finished(results=1), "state": "odd"})])
    (result, end) = [row[0] for row in dead(db)]
    assert redrive(db, result) == ("kept", "still not_recordable"), "nothing was mended yet"
    db.rows("UPDATE hler.dead_message SET body = replace(convert_from(body, 'UTF8'), '\"odd\"',"
            " CASE id WHEN %s THEN '\"set\"' ELSE '\"succeeded\"' END)::bytea", [result])
    assert redrive(db, end)[0] == "settled"
    assert db.states(op) == ("succeeded", ["succeeded"]), "the tombstone of the result counts as one"
    assert redrive(db, result) == ("settled", "recorded")
    assert db.one("SELECT value FROM hler.results") == 1
    assert db.rows("SELECT events_recorded, last_seq, results_recorded FROM hler.attempt") == [(3, 3, 1)]
    assert dead(db) == [] and acts(db) == ["asked", "kept", "asked", "settled", "asked", "settled"]
    with pytest.raises(Fault) as gone:
        redrive(db, end)
    assert gone.value.code == "HL404"


def test_what_is_still_not_recordable_is_not_set_aside_twice(db, started):
    _, offer = started
    db.events([({**offer, "token": "0" * 16}, "started", 1, {}), (offer, "result", 2, {})])
    before = dead(db)
    assert [redrive(db, row[0]) for row in before] == [("kept", "still unknown_attempt"), ("kept", "still not_recordable")]
    assert dead(db) == before
    assert db.rows("SELECT seq, kind FROM hler.event ORDER BY seq") == [(1, "started"), (2, "tombstone")]


def test_a_dispatcher_reads_events_again_and_once(db, started):
    op, offer = started
    number = aside(db, event_facts(offer), b'{"not": "read yet"}')
    assert db.rows("SELECT * FROM hler_core.redrive_due(9)", user="disp") == [], "nobody has asked"
    assert redriven(db, number, offer, "finished", 2, finished()) is None, "nor may a dispatcher of itself"
    assert redrive(db, number) == ("asked", None)
    assert db.rows("SELECT id, username, routing_key FROM hler_core.redrive_due(9)", user="disp") == [
        (number, "w1", event_facts(offer)["routing_key"])]
    assert db.rows("SELECT * FROM hler_core.redrive_due(9)", user="disp") == [], "one at a time"
    db.rows("UPDATE hler.dead_message SET redrive_at = now()")
    assert len(db.rows("SELECT * FROM hler_core.redrive_due(9)", user="disp")) == 1, "the first one died with it"
    assert redriven(db, number, offer, "finished", 2, finished()) == "settled"
    assert db.operation(op) == "succeeded" and dead(db) == []
    assert redriven(db, number, offer, "finished", 2, finished()) is None
    again = aside(db, event_facts(offer), b"another copy")
    redrive(db, again)
    assert redriven(db, again, offer, "finished", 2, finished("failed")) == "settled"
    assert db.operation(op) == "succeeded" and db.one("SELECT note FROM hler.dead_act ORDER BY no DESC") == \
        "it had been recorded meanwhile"


def test_output_comes_to_its_place(db, started):
    _, offer = started
    number = aside(db, event_facts(offer, "output"), source="hler.dead")
    redrive(db, number)
    assert redriven(db, number, offer, "output", 2, None, "hello") == "settled"
    assert db.rows("SELECT seq, text FROM hler.output") == [(2, "hello")]


def test_the_sender_is_whom_the_broker_named(db, started):
    op, offer = started
    number = aside(db, event_facts(offer, user="w2"))
    redrive(db, number)
    assert redriven(db, number, offer, "finished", 2, finished()) == "kept"
    assert db.operation(op) == "running" and db.one("SELECT said FROM hler.dead_message") == "still foreign"
    redrive(db, number)
    db.rows("SELECT hler_core.redrive_failed(%s, 'bad_version: type')", [number], "disp")
    assert db.one("SELECT said FROM hler.dead_message") == "still bad_version: type"


def test_an_offer_is_never_sent_again_from_old_bytes(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    name = f"{offer['task']}.{offer['attempt']}.{offer['token']}"
    open_one = aside(db, {"message_id": name, "routing_key": "w1.worker.rejected.-.-.-"}, source="hler.tasks")
    outcome, note = redrive(db, open_one)
    assert outcome == "settled" and "offer it again by themselves" in note and op in note
    for _ in range(3):
        db.rows("SELECT hler_core.offer_rejected('w1', %s, 'bad_version')", [name], "disp")
        db.rows("SELECT hler_core.offer_rejected('w1', %s, 'bad_version')", [name], "disp")
        name = "".join(f"{o['task']}.{o['attempt']}.{o['token']}" for o in db.offer()) or name
    assert db.rows("SELECT state, cause, attempt, refusals FROM hler.tasks") == [("failed", "refused", 3, 3)], "no endless circle"
    assert "does not understand the offer: bad_version" in db.one("SELECT message FROM hler.tasks")
    assert "hler retry" in redrive(db, aside(db, {"message_id": name, "routing_key": "default"}, source="hler.dead"))[1]
    for odd in ("", "x.1.y", f"{offer['task']}.1.{'0' * 16}"):
        assert redrive(db, aside(db, {"message_id": odd}, source="hler.tasks"))[0] == "kept"
        db.rows("SELECT hler_core.offer_rejected('w1', %s, 'x')", [odd], "disp")


def test_claims_and_what_has_no_bytes_stay(db, started):
    _, offer = started
    assert redrive(db, aside(db, {}, source="hler.claims"))[0] == "kept"
    assert redrive(db, aside(db, {"routing_key": "w1.worker.heartbeat.-.-.-"}))[0] == "kept"
    assert "not kept" in redrive(db, aside(db, event_facts(offer), None))[1]
    db.rows("SELECT hler_core.dead_letter('hler.state', 'x', 'no JSON', NULL)", user="disp")
    assert redrive(db, dead(db)[-1][0])[0] == "kept"


def test_dropping_is_noted(db):
    numbers = [aside(db, {"user_id": "w1"}, bytes([n])) for n in range(3)]
    assert db.one("SELECT hler_core.dead_drop(%s, 'jo', 'junk')", [numbers[:2]], "oper") == 2
    assert [row[0] for row in dead(db)] == numbers[2:]
    assert db.rows("SELECT message, act, login, actor, note, reason FROM hler.dead_act ORDER BY no") == [
        (n, "dropped", "oper", "jo", "junk", "bad_version") for n in numbers[:2]]
    with pytest.raises(Fault) as gone:
        db.one("SELECT hler_core.dead_drop(%s, 'jo', 'junk')", [numbers], "oper")
    assert gone.value.code == "HL404" and len(dead(db)) == 1, "all or none"
    for user in ("front", "disp", "nobody_"):
        with pytest.raises(Fault) as refused:
            db.one("SELECT hler_core.dead_drop(%s, 'jo', 'junk')", [numbers[2:]], user)
        assert refused.value.code == "42501"
