"""Offers, grants, cancel at each stage, retry, workers, silence, time."""
import json
import uuid

import pytest
from sqlserver import INSTANCE, SESSION, Fault, database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import

OTHER = "33333333-3333-4333-8333-333333333333"


def cancel(db, op, user="front"):
    return db.one("SELECT hler.cancel(%s, reason => 'typo', actor => 'jo')", [op], user)


def granted(db):
    (offer,) = db.offer()
    assert db.claim([offer]) == ["granted"]
    return offer


def test_the_window_bounds_what_lies_in_a_pool(db):
    db.type()
    ops = [db.submit(priority=n // 10) for n in range(30)]
    first = db.offer()
    assert len(first) == 16 and not db.offer()
    assert [o["operation"] for o in first] == ops[20:] + ops[10:16], "highest priority first, then the oldest"
    db.beat(slots=10)
    assert len(db.offer()) == 4, "twice the slots of live workers"
    db.claim(first[:5])
    assert len(db.offer(3)) == 3 and len(db.offer()) == 2
    db.beat(slots=10, draining=True)
    db.claim(first[5:8])
    assert not db.offer()


def test_claims_get_one_owner_and_everybody_else_the_reason(db):
    db.type()
    for _ in range(3):
        db.submit()
    one, two, three = db.offer()
    assert db.claim([one, one, two]) == ["granted"] * 3
    assert db.claim([one]) == ["granted"], "the answer was lost: the same again"
    assert db.claim([one, three], worker="w2", instance=OTHER) == ["taken", "granted"]
    assert db.claim([{**one, "token": "f" * 16}, {**one, "attempt": 5}]) == ["unknown"] * 2
    db.events([(one, "started", 1, {})])
    assert db.claim([one]) == ["started"]
    assert db.claim([one], worker="w2", instance=OTHER) == ["taken"]
    db.events([(one, "finished", 2, finished())])
    assert db.claim([one]) == ["ended"]
    cancel(db, three["operation"])


def test_a_second_instance_of_a_live_id_gets_nothing(db):
    db.type()
    db.submit()
    (offer,) = db.offer()
    assert [r[0] for r in db.beat()] == ["beat"]
    assert db.beat(instance=OTHER) == []
    assert db.claim([offer], instance=OTHER) == ["taken"]
    assert "second instance" in db.one("SELECT note FROM hler.workers")
    assert db.one("SELECT instance FROM hler.workers") == INSTANCE
    db.silence()
    assert [r[0] for r in db.beat(instance=OTHER)] == ["beat"], "once the first is silent the id is free"
    assert db.claim([offer], instance=OTHER) == ["granted"]


def test_heartbeats_of_one_batch(db):
    """After a backlog several are of one worker; of two instances the first has the id; one that cannot be read is set aside alone."""
    bodies = [("w2", db.beat_body(number=7)), ("w1", db.beat_body(number=3)), ("w1", db.beat_body(number=4, free=1)),
              ("w2", db.beat_body(instance=OTHER, number=8))]
    for batch in (bodies, [*bodies, ("w3", db.beat_body(number="many"))]):
        assert sorted(db.beats(batch)) == [("w1", "beat", 3), ("w1", "beat", 4), ("w2", "beat", 7)]
        assert db.rows("SELECT id, number, free FROM hler.worker ORDER BY id") == [("w1", 4, 1), ("w2", 7, 4)]
        assert "second instance" in db.one("SELECT note FROM hler.workers WHERE id = 'w2'")
    assert db.rows("SELECT source, reason FROM hler.dead_message") == [("hler.life", "not_recordable")]


def test_a_heartbeat_says_all_that_is_wanted_of_busy_workers_alone(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    db.claim([offer])
    db.events([(offer, "started", 1, {})])
    db.rows("SELECT hler.cancel(%s)", [op], "front")
    said = db.beats([("w2", db.beat_body()), ("w1", db.beat_body([(offer, "running")])), ("w3", db.beat_body(claim=1))])
    assert sorted(said) == [("w1", "beat", 1), ("w1", "stop", 1), ("w2", "beat", 1), ("w3", "beat", 1)]
    assert db.rows("SELECT worker FROM hler.standing_claim") == [("w3",)]
    db.beats([("w3", db.beat_body(number=2))])
    assert db.rows("SELECT worker FROM hler.standing_claim") == [], "who carries none has none"


def test_offers_are_published_again_only_where_they_may_be_lost(db):
    db.type()
    for _ in range(2):
        db.submit()
    one, two = db.offer()
    again = "SELECT task, token FROM hler_core.reoffer_due(%s, %s, 10)"
    assert db.rows(again, [60000, ["default"]], "disp") == []
    db.rows("UPDATE hler.attempt SET offered_at = offered_at - interval '2 min'")
    assert db.rows("SELECT * FROM hler_core.pools_to_check(60000)", user="disp") == [("default",)]
    assert db.rows(again, [60000, []], "disp") == [], "the queue is not empty and nothing later was claimed"
    assert sorted(db.rows(again, [60000, ["default"]], "disp")) == sorted(
        [(one["task"], one["token"]), (two["task"], two["token"])])
    assert db.rows(again, [60000, ["default"]], "disp") == [], "not so soon again"
    db.rows("UPDATE hler.attempt SET reoffered_at = NULL")
    db.submit()
    db.claim(db.offer())
    assert len(db.rows(again, [60000, []], "disp")) == 2, "a later offer was claimed"


def test_cancel_before_anything_has_it(db):
    db.type(tasks=2)
    op = db.submit()
    assert cancel(db, op) == "cancelled" == cancel(db, op)
    assert db.states(op) == ("cancelled", ["cancelled"] * 2)
    assert db.rows("SELECT cause, message, cancel_actor, cancel_reason FROM hler.operations") == [
        ("cancelled", "typo", "jo", "typo")]
    assert not db.offer()


def test_cancel_of_an_offer(db):
    db.type(tasks=2)
    op = db.submit()
    (offer,) = db.offer()
    assert cancel(db, op) == "cancelled"
    assert db.claim([offer]) == ["cancelled"]


def test_cancel_of_a_grant_that_is_declined(db):
    db.type(tasks=2)
    op = db.submit()
    offer = granted(db)
    assert cancel(db, op) == "pending"
    assert db.states(op)[1] == ["queued", "cancelled"]
    due = db.rows("SELECT * FROM hler_core.stops_due()", user="disp")
    assert due == [(f"hler.control.w1.{SESSION}", offer["task"], 1, offer["token"], "cancelled", 10000)]
    assert db.rows("SELECT * FROM hler_core.stops_due()", user="disp") == []
    db.events([(offer, "declined", None, {})])
    assert db.states(op) == ("cancelled", ["cancelled"] * 2)


def test_cancel_of_a_running_task(db):
    db.type(tasks=2, max_tries=5)
    op = db.submit()
    offer = granted(db)
    db.events([(offer, "started", 1, {})])
    assert cancel(db, op) == "running"
    assert ("stop", offer["task"], 1, "cancelled", 10000, 1) in db.beat([(offer, "running")])
    db.events([(offer, "finished", 2, finished("cancelled"))])
    assert db.states(op) == ("cancelled", ["cancelled"] * 2)
    assert cancel(db, op) == "cancelled"


def test_cancel_comes_too_late(db):
    db.type()
    op = db.submit()
    offer = granted(db)
    cancel(db, op)
    db.events([(offer, "started", 1, {}), (offer, "finished", 2, finished())])
    assert db.states(op) == ("succeeded", ["succeeded"])


def test_a_retryable_end_after_a_cancel_is_not_tried_again(db):
    db.type(max_tries=5)
    op = db.submit()
    offer = granted(db)
    cancel(db, op)
    db.events([(offer, "started", 1, {}), (offer, "finished", 2, finished("failed", retryable=True))])
    assert db.states(op) == ("failed", ["failed"])


def test_cancel_gives_up_what_is_held(db):
    db.type()
    op = db.submit()
    offer = granted(db)
    db.events([(offer, "started", 1, {}), (offer, "lost", None, {"cause": "runner_died", "message": "x"})])
    assert db.states(op) == ("held", ["held"])
    assert cancel(db, op) == "cancelled"
    assert ("stop", offer["task"], 1, "cancelled", 10000, 1) in db.beat([(offer, "running")])
    assert db.events([(offer, "finished", 2, finished())]) == ["stale"]
    assert db.states(op) == ("cancelled", ["cancelled"])
    assert db.one("SELECT count(*) FROM hler.events WHERE stale") == 1


def test_what_the_tables_do_not_know_is_never_stopped(db):
    stray = {"task": str(uuid.uuid4()), "attempt": 1, "token": "a" * 16}
    assert [r[0] for r in db.beat([(stray, "running")])] == ["beat"]
    assert "1 attempts that the tables do not know" in db.one("SELECT note FROM hler.workers")


def test_events_of_an_attempt_from_before_a_restore_are_adopted(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    assert db.events([(offer, "started", 1, {})]) == ["recorded"]
    assert db.states(op) == ("running", ["running"])
    assert db.claim([offer], worker="w2", instance=OTHER) == ["taken"]


def test_a_gap_is_reported_until_it_is_filled(db):
    db.type()
    db.submit()
    offer = granted(db)
    db.events([(offer, "started", 1, {}), (offer, "finished", 3, finished())])
    assert db.one("SELECT output_complete FROM hler.attempts") is False
    assert [r[0] for r in db.beat()] == ["beat"]
    db.rows("UPDATE hler.gap SET since = since - interval '1 min'")
    assert [r[0] for r in db.beat()] == ["beat", "report"]
    db.output(offer, [(2, "stdout", "late")])
    assert db.one("SELECT output_complete FROM hler.attempts") is True
    assert db.one("SELECT count(*) FROM hler.gap") == 0


def test_a_broken_heartbeat_does_not_hold_up_the_others(db):
    body = {"session": SESSION, "number": 4, "instance": INSTANCE, "pool": "default", "slots": 1, "free": 1, "held": []}
    rows = db.rows("SELECT worker, kind, number FROM hler_core.heartbeat(%s, %s, %s)",
                   [["a", "b", "c"], ["q"] * 3, ["{", json.dumps({**body, "slots": "x"}), json.dumps(body)]], "disp")
    assert rows == [("c", "beat", 4)]
    assert db.one("SELECT count(*) FROM hler.dead_message") == 2


def test_a_worker_that_says_goodbye(db):
    db.type()
    db.beat()
    db.rows("SELECT hler_core.worker_gone('w1', %s, 'draining')", [SESSION], "disp")
    assert db.one("SELECT state FROM hler.workers") == "draining"
    db.rows("SELECT hler_core.worker_gone('w1', %s, 'stopped')", [OTHER], "disp")
    assert db.one("SELECT state FROM hler.workers") == "draining", "another session's word"
    db.rows("SELECT hler_core.worker_gone('w1', %s, 'stopped')", [SESSION], "disp")
    assert db.one("SELECT state FROM hler.workers") == "stopped"
    assert db.one("SELECT note FROM hler.pools") == "no live worker"


def test_pools_are_those_that_matter(db):
    def pools():
        return [name for name, in db.rows("SELECT name FROM hler.pools ORDER BY name")]
    assert not pools()
    db.beat()
    assert pools() == ["default"], "before any type is there"
    db.type(pool="web")
    op = db.submit()
    db.type(version=2)
    assert pools() == ["default", "web"], "by what is ready there"
    db.offer()
    assert pools() == ["default", "web"], "by what is offered"
    db.one("SELECT hler.cancel(%s)", [op], "front")
    assert pools() == ["default"]
    later = db.submit(version=1, run_at="2999-01-01")
    assert pools() == ["default", "web"], "by what waits for its time"
    db.one("SELECT hler.cancel(%s)", [later], "front")
    assert pools() == ["default"]
    db.one("SELECT hler_core.drain('pool', 'web', 'jo', NULL)", user="oper")
    assert pools() == ["default", "web"], "by its drain"


def test_run_at_and_start_by(db):
    db.type()
    op = db.submit(run_at="2100-01-01")
    assert db.states(op) == ("pending", ["waiting"]) and not db.offer()
    assert db.later(op) == [(1, 0)]
    assert len(db.offer()) == 1
    late = db.submit(start_by="2020-01-01")
    (offer,) = db.offer()
    assert db.rows("SELECT * FROM hler_core.clock_step()", user="disp") == [(0, 1)]
    assert db.states(late) == ("cancelled", ["cancelled"])
    assert db.one("SELECT cause FROM hler.operations WHERE id = %s", [late]) == "start_by"
    assert db.claim([offer]) == ["cancelled"]
    assert db.rows("SELECT * FROM hler_core.clock_step()", user="disp") == [(0, 0)]


def test_retry_makes_a_new_operation_in_which_success_stands(db):
    db.type(tasks=3)
    op = db.submit(inputs={}, priority=7)
    with pytest.raises(Fault) as early:
        db.one("SELECT hler.retry(%s)", [op], "front")
    assert early.value.code == "HL409"
    db.run(db.offer()[0], outputs={"n": 1})
    db.run(db.offer()[0], "failed")
    again = db.one("SELECT hler.retry(%s, reason => 'disk was full', actor => 'jo')", [op], "front")
    assert db.states(op) == ("failed", ["succeeded", "failed", "skipped"])
    assert db.states(again) == ("pending", ["succeeded", "ready", "blocked"])
    assert db.rows("SELECT reused, outputs FROM hler.tasks WHERE operation = %s ORDER BY no", [again]) == [
        (True, {"n": 1}), (False, None), (False, None)]
    (offer,) = db.offer()
    assert (offer["name"], offer["outputs"]) == ("s2", {"s1": {"n": 1}})
    db.run(offer)
    db.run(db.offer()[0])
    assert db.states(again) == ("succeeded", ["succeeded"] * 3)
    assert db.rows("SELECT retry_of, retry_reason, priority, actor FROM hler.operations WHERE id = %s", [again]) == [
        (op, "disk was full", 7, "jo")]
    with pytest.raises(Fault) as over:
        db.one("SELECT hler.retry(%s)", [again], "front")
    assert over.value.code == "HL409"


@pytest.mark.parametrize("call", ["hler.cancel(%s)", "hler.retry(%s)", "hler.retry_lost(%s)"])
def test_no_such_operation(db, call):
    for op in (str(uuid.uuid4()), None):
        with pytest.raises(Fault) as unknown:
            db.one(f"SELECT {call}", [op], "front")
        assert unknown.value.code == "HL404"


def test_front_ends_and_dispatchers_are_told(db):
    db.type()
    listener = db.server.connect(db.name, "front")
    listener.cursor().execute("LISTEN hler; LISTEN hler_work")

    def heard():
        listener.poll()
        listener.cursor().execute("SELECT 1")
        found = sorted({(n.channel, n.payload) for n in listener.notifies})
        listener.notifies.clear()
        return found

    db.submit()
    assert heard() == [("hler", ""), ("hler_work", "")]
    db.run(db.offer()[0])
    assert heard() == [("hler", "")]
    listener.close()


def test_partitions_are_there_for_the_days_to_come(db):
    names = {r[0] for r in db.rows("SELECT to_char(now() AT TIME ZONE 'UTC' + n * interval '1 day', 'YYYYMMDD')"
                                   " FROM generate_series(0, 3) AS n")}
    for parent in ("event", "output_event"):
        have = {r[0] for r in db.rows("SELECT replace(relname, %s, '') FROM pg_class WHERE relname ~ %s AND relkind = 'r'",
                                      [parent + "_", f"^{parent}_[0-9]+$"])}
        assert have == names
    db.rows("DROP TABLE hler.event_" + sorted(names)[-1])
    db.rows("SELECT hler_core.clock_step()", user="disp")
    assert db.one("SELECT to_regclass(%s) IS NOT NULL", ["hler.event_" + sorted(names)[-1]])
