"""States follow from facts: any order, any number of copies, the same rows."""
import itertools
import json
import os
import pathlib
import random

import pytest
from sqlserver import Fault, database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import

ENTITY = "0195fe5a-0000-7000-8000-00000000000b"
TRANSITIONS = json.loads((pathlib.Path(__file__).resolve().parents[2] / "proto" / "transitions.json").read_text())


def result(offer, seq, value, mode="append", field="f"):
    return (offer, "result", seq, {"entity": ENTITY, "field": field, "mode": mode, "secret": False, "value": value})


def test_the_tables_have_the_arrows_of_the_protocol(db):
    arrows = {(k, f, t) for k, states in TRANSITIONS.items() for f, targets in states.items() for t in targets}
    assert set(db.rows("SELECT kind, from_state, to_state FROM hler_core.transition")) == arrows
    for kind, states in TRANSITIONS.items():
        for old, new in itertools.product(states, states):
            assert db.one(f"SELECT hler_core.{kind}_arrow(%s, %s)", [old, new]) == ((kind, old, new) in arrows)


def test_no_index_goes_by_what_each_move_changes(db):
    """Or each move would be an entry in all indexes of the table; they go by the phase, which follows from the state."""
    assert db.rows("SELECT indexname FROM pg_indexes WHERE schemaname = 'hler' AND tablename IN ('task', 'attempt', 'operation') "
                   r"AND indexdef ~ '\m(state|finished_at|last_event_at|events_recorded)\M'") == []
    phase = "SELECT from_state, hler_core.%s_phase(from_state) FROM hler_core.transition WHERE kind = '%s'"
    assert {r for r in db.rows(phase % ("task", "task")) if r[1]} == {(s, s) for s in ("ready", "waiting", "held")}
    assert dict(db.rows(phase % ("attempt", "attempt"))) == {"offered": "offered", "granted": "taken", "started": "taken", "lost": "taken"}


@pytest.mark.parametrize("table, start, wrong", [("operation", "pending", "offered"), ("task", "ready", "succeeded"),
                                                 ("attempt", "offered", "started")])
def test_a_wrong_arrow_is_an_internal_error(db, table, start, wrong):
    db.type()
    db.submit()
    if table == "attempt":
        db.offer()
    assert db.one(f"SELECT state FROM hler.{table}") == start
    with pytest.raises(Fault) as refused:
        db.rows(f"UPDATE hler.{table} SET state = %s", [wrong])
    assert refused.value.code == "HL500"


FACTS = """SELECT json_agg(x) FROM (
    SELECT a.state, a.results_recorded, a.results_expected, a.last_seq, a.events_recorded, a.end_state, a.cause, a.message,
           a.exit_code, a.lost_said, a.refused, a.declined, a.worker, a.left_behind, a.started_at IS NULL AS s,
           a.finished_at IS NULL AS f, t.state AS task, t.tries, t.refusals, t.cause AS tc, t.message AS tm,
           t.started_at IS NULL AS ts, t.finished_at IS NULL AS tf, o.state AS op, o.cause AS oc, o.message AS om,
           o.started_at IS NULL AS os, o.finished_at IS NULL AS of,
           (SELECT json_agg(json_build_array(e.seq, e.kind, e.stale, e.data) ORDER BY e.seq) FROM hler.event AS e
             WHERE e.task = t.id) AS events,
           (SELECT json_agg(json_build_array(r.seq, r.value) ORDER BY r.seq) FROM hler.result AS r WHERE r.task = t.id) AS results,
           (SELECT u.outputs FROM hler.task_output AS u WHERE u.task = t.id) AS outputs,
           (SELECT v.value FROM hler.results AS v WHERE v.operation = o.id) AS latest
      FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task JOIN hler.operation AS o ON o.id = t.operation
     WHERE o.id = %s ORDER BY t.no, a.attempt) AS x"""

STREAMS = {
    "succeeded": lambda o: [(o, "started", 1, {}), result(o, 2, 1, "set"), result(o, 3, 2), result(o, 4, 3),
                            (o, "finished", 5, finished(results=3, outputs={"k": "v"}))],
    "failed": lambda o: [(o, "started", 1, {}), result(o, 2, 1), (o, "finished", 3, finished("failed", 1))],
    "timed_out": lambda o: [(o, "started", 1, {}), (o, "finished", 2, finished("timed_out"))],
    "cancelled": lambda o: [(o, "started", 1, {}), (o, "finished", 2, finished("cancelled"))],
    "lost": lambda o: [(o, "started", 1, {}), result(o, 2, 1),
                       (o, "lost", None, {"cause": "runner_died", "message": "died", "left_behind": 2})],
    "lost but ended": lambda o: [(o, "started", 1, {}), (o, "finished", 2, finished()),
                                 (o, "lost", None, {"cause": "runner_died", "message": "died"})],
    "gap": lambda o: [(o, "started", 1, {}), (o, "finished", 3, finished(results=1))],
    "no start": lambda o: [(o, "finished", 2, finished())],
}


@pytest.mark.parametrize("name", STREAMS)
def test_events_commute(db, name):
    db.type(tasks=2)
    seed = os.environ.get("HLER_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"HLER_SEED={seed}") # shown by pytest when this fails
    chance = random.Random(seed)
    seen = set()
    for turn in range(12):
        op = db.submit()
        offer = db.offer()[0]
        assert db.claim([offer]) == ["granted"]
        stream = STREAMS[name](offer)
        if turn:
            stream = stream + chance.choices(stream, k=3)
            chance.shuffle(stream)
        while stream:  # batches of any size
            cut = chance.randint(1, len(stream))
            assert set(db.events(stream[:cut])) <= {"recorded", "duplicate"}
            stream = stream[cut:]
        seen.add(json.dumps(db.one(FACTS, [op])))
        db.rows("DELETE FROM hler.result")
        if db.operation(op) not in ("succeeded", "failed", "cancelled"):
            db.one("SELECT hler.cancel(%s)", [op])
        else:
            db.one("UPDATE hler.task SET state = 'cancelled' WHERE state = 'ready' RETURNING 1")
    assert len(seen) == 1, "\n".join([f"HLER_SEED={seed} shows it again", *seen])


FATES = {
    "starts": lambda o: [(o, "started", 1, {})],
    "runs": lambda o: [(o, "started", 1, {}), (o, "finished", 2, finished())],
    "fails": lambda o: [(o, "started", 1, {}), (o, "finished", 2, finished("failed"))],
    "ends with a gap": lambda o: [(o, "started", 1, {}), (o, "finished", 9, finished())],
    "ends before its result": lambda o: [(o, "started", 1, {}), (o, "finished", 3, finished(results=1))],
    "ends after its result": lambda o: [(o, "started", 1, {}), result(o, 2, 1), (o, "finished", 3, finished(results=1))],
    "says too much": lambda o: [(o, "started", 1, {}), (o, "finished", 2, finished(outputs={"x": "y" * 70000}))],
    "is declined": lambda o: [(o, "declined", None, {"message": "draining"})],
    "starts and is declined": lambda o: [(o, "started", 1, {}), (o, "declined", None, {"message": "nothing of it"})],
    "is refused": lambda o: [(o, "refused", None, {"cause": "executor_unknown", "message": "no such"})],
    "is lost": lambda o: [(o, "started", 1, {}), (o, "lost", None, {"cause": "runner_died", "message": "gone", "left_behind": 0})],
    "cannot be read": lambda o: [(o, "finished", 2, {"state": "odd"})],
    "is told twice": lambda o: [(o, "started", 1, {}), (o, "started", 1, {}), (o, "finished", 2, finished()), (o, "finished", 2, finished())],
}


def test_a_batch_is_as_good_as_its_events_one_by_one(db):
    """What each attempt comes to does not depend on what else is in the batch."""
    db.type()

    def come_to(record, fates=tuple(FATES)):
        ops = [db.submit() for _ in fates]
        offers = {o["operation"]: o for o in db.offer()}
        assert set(db.claim([offers[op] for op in ops])) == {"granted"}
        events = [FATES[fate](offers[op]) for fate, op in zip(fates, ops)]
        record([e for one in itertools.zip_longest(*events) for e in one if e]) # all first events, all second ones, ...
        return {fate: db.rows("SELECT o.state, t.state, t.cause, t.tries, a.state, a.end_state, a.events_recorded, a.results_recorded, "
                              "EXISTS (SELECT FROM hler.gap AS g WHERE g.task = t.id) FROM hler.operation AS o JOIN hler.task AS t ON "
                              "t.operation = o.id JOIN hler.attempt AS a ON a.task = t.id WHERE o.id = %s ORDER BY a.attempt", [op])
                for fate, op in zip(fates, ops)}

    apart = come_to(lambda events: [db.events([e]) for e in events])
    assert {fate: (rows[0][0], rows[0][1]) for fate, rows in apart.items()} == {
        "starts": ("running", "running"), "runs": ("succeeded", "succeeded"), "fails": ("failed", "failed"),
        "ends with a gap": ("succeeded", "succeeded"), "ends before its result": ("running", "running"),
        "ends after its result": ("succeeded", "succeeded"), "says too much": ("failed", "failed"), "is declined": ("pending", "ready"),
        "starts and is declined": ("held", "held"), "is refused": ("pending", "ready"), "is lost": ("held", "held"),
        "cannot be read": ("running", "running"), "is told twice": ("succeeded", "succeeded")}
    assert come_to(db.events) == apart
    for fate in FATES: # beside others of which nothing more is to be done, too
        for beside in ("starts", "runs"):
            together = come_to(db.events, (fate, beside))
            assert together == {name: apart[name] for name in together}, fate


def test_ends_wait_for_all_results(db):
    db.type()
    op = db.submit()
    offer = db.offer()[0]
    db.claim([offer])
    assert db.events([(offer, "finished", 4, finished(results=2)), (offer, "started", 1, {})]) == ["recorded"] * 2
    assert db.states(op) == ("running", ["running"])
    db.events([result(offer, 2, "a")])
    assert db.states(op) == ("running", ["running"])
    db.events([result(offer, 3, "b")])
    assert db.states(op) == ("succeeded", ["succeeded"])
    assert db.one("SELECT output_complete FROM hler.attempts") is True


def test_tasks_run_in_order_with_outputs(db):
    db.type(tasks=3)
    op = db.submit()
    for n in range(3):
        assert db.states(op)[1][n:] == ["ready"] + ["blocked"] * (2 - n)
        (offer,) = db.offer()
        assert offer["outputs"] == {f"s{i + 1}": {"n": i} for i in range(n)}
        db.run(offer, outputs={"n": n})
    assert db.states(op) == ("succeeded", ["succeeded"] * 3)
    assert db.rows("SELECT cause FROM hler.operations") == [("done",)]


def test_a_failed_task_skips_the_later_ones(db):
    db.type(tasks=3)
    op = db.submit()
    db.run(db.offer()[0])
    db.run(db.offer()[0], "failed", message="boom")
    assert db.states(op) == ("failed", ["succeeded", "failed", "skipped"])
    assert db.rows("SELECT cause, message FROM hler.operations") == [("exit", "boom")]
    assert db.rows("SELECT cause, message FROM hler.tasks WHERE no = 3") == [("upstream", "task s2 failed")]


def test_graphs_run_side_by_side_and_join(db):
    db.catalog({"name": "t.graph", "version": 1, "tasks": [
        {"name": "a", "executor": "command", "needs": []}, {"name": "b", "executor": "command", "needs": []},
        {"name": "c", "executor": "command", "needs": ["a", "b"]}]})
    op = db.submit("t.graph")
    first, second = sorted(db.offer(), key=lambda offer: offer["name"])
    db.run(first)
    assert db.states(op) == ("running", ["succeeded", "queued", "blocked"])
    db.run(second, "failed")
    assert db.states(op) == ("failed", ["succeeded", "failed", "skipped"])


def test_retryable_ends_are_tried_again_with_a_pause(db):
    db.type(max_tries=2, retry_delay_ms=1000)
    op = db.submit()
    db.run(db.offer()[0], "failed", cause="try_later", retryable=True)
    assert db.states(op) == ("running", ["waiting"])
    assert db.one("SELECT ready_at - now() BETWEEN '0.5 s' AND '1.3 s' FROM hler.tasks")
    assert not db.offer()
    assert 0 < db.one("SELECT hler_core.next_due_ms()", user="disp") <= 1300, "when the clock has to look"
    assert db.later(op) == [(1, 0)]
    assert db.one("SELECT hler_core.next_due_ms()", user="disp") is None
    (offer,) = db.offer()
    assert (offer["attempt"], offer["try"]) == (2, 2)
    db.run(offer, "failed", cause="try_later", retryable=True)
    assert db.states(op) == ("failed", ["failed"])
    assert db.rows("SELECT cause, tries FROM hler.tasks") == [("retry_limit", 2)]


def test_outputs_that_are_too_large_fail_the_task(db):
    db.type()
    op = db.submit()
    db.run(db.offer()[0], outputs={"x": "y" * 70000})
    assert db.states(op) == ("failed", ["failed"])
    assert db.rows("SELECT cause, state FROM hler.attempts") == [("outputs_invalid", "failed")]


def test_refused_three_times_fails(db):
    db.type()
    op = db.submit()
    for n in range(3):
        (offer,) = db.offer()
        assert offer["attempt"] == n + 1 and offer["try"] == 1
        assert db.events([(offer, "refused", None, {"cause": "executor_unknown", "message": "no such"})]) == ["recorded"]
        assert db.claim([offer]) == ["superseded"]
    assert db.states(op) == ("failed", ["failed"])
    assert db.rows("SELECT cause, message, refusals, tries FROM hler.tasks") == [("refused", "no such", 3, 0)]


def test_declined_goes_back(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    db.claim([offer])
    db.events([(offer, "declined", None, {"message": "draining"})])
    assert db.states(op) == ("pending", ["ready"])
    (again,) = db.offer()
    assert (again["attempt"], again["try"]) == (2, 1) and again["token"] != offer["token"]


def test_declined_before_the_grant_counts_after_it(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    assert db.events([(offer, "declined", None, {"message": "never had it"})]) == ["recorded"]
    assert db.states(op) == ("pending", ["queued"])
    assert db.claim([offer]) == ["granted"]
    assert db.events([(offer, "declined", None, {"message": "as I said"})]) == ["duplicate"]
    assert db.states(op) == ("pending", ["ready"])


def test_unknown_foreign_and_broken_events_are_set_aside_once(db):
    db.type()
    op = db.submit()
    (offer,) = db.offer()
    db.claim([offer])
    verdicts = db.events([
        ({**offer, "token": "0" * 16}, "started", 1, {}), ({**offer, "attempt": 9}, "started", 1, {}),
        (offer, "started", 1, {}, "w2"), (offer, "result", 2, {"entity": "x"}), (offer, "finished", 3, {"state": "odd"}),
        (offer, "started", 1, '{"x": "\\u0000"}'), (offer, "started", 1, {}), (offer, "started", 1, {})])
    assert verdicts == ["unknown", "unknown", "foreign", "not_recordable", "not_recordable", "not_recordable", "recorded",
                        "duplicate"]
    assert [r[0] for r in db.rows("SELECT reason FROM hler.dead_message ORDER BY id")] == [
        "unknown_attempt", "unknown_attempt", "foreign"] + ["not_recordable"] * 3
    assert db.states(op) == ("running", ["running"])
    # their numbers are taken: sent again they are copies, and they leave no gap
    assert db.events([(offer, "result", 2, {"entity": "x"}), (offer, "finished", 3, {"state": "odd"})]) == ["duplicate"] * 2
    assert db.rows("SELECT seq, kind FROM hler.event ORDER BY seq") == [(1, "started"), (2, "tombstone"), (3, "tombstone")]
    assert db.rows("SELECT events_recorded, last_seq, results_recorded FROM hler.attempt") == [(3, 3, 1)]


def test_output_becomes_lines_in_the_order_they_began(db):
    db.type()
    db.submit()
    (offer,) = db.offer()
    db.claim([offer])
    pieces = [(2, "stdout", "one\ntw"), (3, "stderr", "err"), (4, "stdout", "o\n\nth"), (5, "stderr", "or\n"),
              (6, "stdout", "ree\n"), (7, "stdout", "last")]
    assert db.output(offer, pieces[3:] + pieces[:3]) == ["recorded"] * 6
    assert db.output(offer, pieces) == ["duplicate"] * 6
    assert db.rows("SELECT line, stream, text FROM hler.output_lines ORDER BY line", user="front") == [
        (1, "stdout", "one"), (2, "stdout", "two"), (3, "stderr", "error"), (4, "stdout", ""), (5, "stdout", "three"),
        (6, "stdout", "last")]
    assert db.output(offer, [(8, "stdout", "x")], worker="w2") == ["foreign"]


def test_results_are_the_latest_set_and_what_was_appended(db):
    db.type()
    for _ in range(2):
        db.submit()
        (offer,) = db.offer()
        db.claim([offer])
        stream = [result(offer, 2, "old", "set", "a"), result(offer, 3, "new", "set", "a"), result(offer, 4, 1, field="b"),
                  result(offer, 5, 2, field="b"), result(offer, 6, [1], "set", "c"), result(offer, 7, 2, field="c")]
        random.Random(2).shuffle(stream)
        db.events(stream)
    assert db.rows("SELECT field, value FROM hler.results ORDER BY field", user="front") == [
        ("a", "new"), ("b", [1, 2, 1, 2]), ("c", [1, 2])]
    assert db.one("SELECT count(*) FROM hler.result_history", user="front") == 12


def hinted(db, act):
    """Do dispatchers get a hint by this?"""
    listening = db.connection("disp")
    db.rows("LISTEN hler_work", user="disp")
    listening.notifies.clear()
    act()
    db.rows("SELECT 1", user="disp") # brings what has come
    return [n.channel for n in listening.notifies].count("hler_work") > 0


def test_verdicts_are_written_only_for_listeners(db):
    db.type()
    db.submit()
    offer = db.offer()[0]
    assert not hinted(db, lambda: db.run(offer))
    assert db.one("SELECT count(*) FROM hler.verdict") == 0
    db.rows("SELECT hler_core.listener_register('aegir', 'front')", user="oper")
    op = db.submit()
    offer = db.offer()[0]
    assert hinted(db, lambda: db.run(offer)), "a dispatcher is told that there are verdicts"
    taken = db.rows("SELECT * FROM hler_core.verdicts_take('d1', 100, false)", user="disp")
    # what ran between two looks at it has not been seen to run
    assert {json.loads(r[2])["type"] for r in taken} == {"aegir.hler.task.succeeded.v1", "aegir.hler.operation.succeeded.v1"}
    last = [r for r in taken if ".operation.succeeded." in r[1]][0]
    assert last[1] == f"dispatcher.operation.succeeded.front.{op}.-"
    assert json.loads(last[2])["data"] == {"state": "succeeded", "cause": "done", "message": None,
                                           "type": "t.one", "target": None}
    for who, began, seen in (("d2", True, 0), ("d1", False, 0), ("d1", True, len(taken))): # what an earlier process of d1 took
        assert len(db.rows("SELECT * FROM hler_core.verdicts_take(%s, 100, %s)", [who, began], "disp")) == seen
    db.rows("SELECT hler_core.verdicts_done(%s::uuid[])", [[r[0] for r in taken]], "disp")
    assert db.one("SELECT count(*) FROM hler.verdict") == 0
    db.submit()
    offer = db.offer()[0]
    db.claim([offer])
    db.events([(offer, "started", 1, {})])
    assert set(db.rows("SELECT class, state FROM hler.verdict")) == {("task", "running"), ("operation", "running")}
