"""I12: the checker is checked.  A small history in which all is well, and one change of it for each thing that an invariant
must see."""
import copy
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import invariants  # noqa: E402 pylint: disable=wrong-import-position

INPUTS = {"steps": 2, "pause": "0", "bulk": 0, "code": 0}
QUEUES = {q: [0, 0] for q in invariants.QUIET_QUEUES}


def attempt(op, task, number, state, **more):
    row = {"operation": op, "task": task, "attempt": number, "state": state, "cause": "done", "exit_code": 0, "lost_said": False,
           "results_expected": 2, "results_recorded": 2, "last_seq": 6, "dropped_bytes": 0, "offered_at": "1", "granted_at": "2",
           "started_at": "3", "finished_at": "6", "lease_until": "5"}
    return dict(row, **more)


def events(task, number, kinds):
    return [{"task": task, "attempt": number, "seq": n + 1, "kind": k, "stale": False, "recorded_at": "4", "worker_at": "3"}
            for n, k in enumerate(kinds)]


def results(op, task, number):
    return [{"entity": op, "operation": op, "task": task, "attempt": number, "seq": n, "field": "step", "value": str(n), "stale": False,
             "recorded_at": "5"} for n in (1, 2)]


def witness(task, number, end=True):
    lines = [["start", task, number, 7], ["line", task, number, 1], ["result", task, number, 1], ["line", task, number, 2],
             ["result", task, number, 2]]
    return lines + ([["end", task, number, 0]] if end else [])


def healthy():
    """o1: one try; o2: a repeatable one whose first attempt was lost."""
    whole = ["started", "output", "result", "output", "result", "finished"]
    return {
        "submits": {o: {"submit": "ok", "inputs": INPUTS, "type": t} for o, t in (("o1", "chaos.once"), ("o2", "chaos.again"))},
        "operations": [{"id": o, "type": t, "state": "succeeded"} for o, t in (("o1", "chaos.once"), ("o2", "chaos.again"))],
        "tasks": [{"id": "t1", "operation": "o1", "type": "chaos.once", "repeatable": False, "state": "succeeded"},
                  {"id": "t2", "operation": "o2", "type": "chaos.again", "repeatable": True, "state": "succeeded"}],
        "attempts": [attempt("o1", "t1", 1, "succeeded"),
                     attempt("o2", "t2", 1, "void", lost_said=True, cause="runner_died", results_expected=None),
                     attempt("o2", "t2", 2, "succeeded")],
        "events": events("t1", 1, whole) + events("t2", 1, whole[:-1]) + events("t2", 2, whole),
        "results": results("o1", "t1", 1) + results("o2", "t2", 1) + results("o2", "t2", 2),
        "audit": [{"no": 1, "kind": "operation", "id": "o1", "old": "running", "new": "succeeded", "cause": None}],
        "verdicts": [["operation", "o1", "succeeded", "m1"], ["operation", "o2", "succeeded", "m2"]],
        "stdout": {f"{t}.{n}": invariants.expected_output(f"{t}.{n}", 2, 0) for t, n in (("t1", 1), ("t2", 1), ("t2", 2))},
        "witness": witness("t1", 1) + witness("t2", 1, end=False) + witness("t2", 2),
        "killed": ["t2.1.0123456789abcdef"], "dead": [{"source": "hler.state", "reason": "foreign", "facts": "chaos", "body": ""}],
        "queues": QUEUES, "spool": [], "left": [], "leaks": [], "late": [], "new_ms": 100,
        "before": {"worker-1": [20, 5000]}, "after": {"worker-1": [21, 6000]},
    }


def put(name, index, **more):
    return lambda h: h[name].__setitem__(index, dict(h[name][index], **more))


def drop(name, index):
    return lambda h: h[name].pop(index)


def add(name, *rows):
    return lambda h: h[name].extend(rows)


def value(name, new):
    return lambda h: h.__setitem__(name, new)


CHANGES = [
    ("I1", drop("operations", 0)),
    ("I1", put("operations", 0, state="running")),
    ("I1", put("operations", 0, state="held")),
    ("I1", add("operations", {"id": "o9", "type": "chaos.once", "state": "succeeded"})),
    ("I2", add("witness", ["start", "t1", 1, 8])),
    ("I2", add("witness", *witness("t1", 2))),
    ("I2", add("witness", ["line", "t2", 1, 3])), # the first still runs after the second began
    ("I2", add("witness", ["start", "t9", 1, 8])),
    ("I3", drop("witness", 5)), # the end of t1
    ("I3", put("attempts", 0, state="failed", cause="exit", exit_code=3)),
    ("I3", put("attempts", 1, started_at=None)),
    ("I3", value("killed", [])),
    ("I4", drop("events", 2)),
    ("I4", drop("events", 7)), # of the attempt that was given up: no message was lost in this run
    ("I4", drop("events", 5)), # `finished` of t1
    ("I4", put("events", 1, kind="finished")),
    ("I4", put("events", 1, kind="started")),
    ("I4", put("attempts", 0, results_recorded=1)),
    ("I4", put("results", 0, recorded_at="7")),
    ("I4", put("attempts", 1, state="succeeded")),
    ("I5", lambda h: h["stdout"].__setitem__("t1.1", "line 1 of t1.1\n")),
    ("I5", lambda h: h["stdout"].__setitem__("t1.1", "another\n")),
    ("I5", drop("results", 1)),
    ("I5", add("results", results("o1", "t1", 1)[0])),
    ("I6", add("audit", {"no": 2, "kind": "operation", "id": "o1", "old": "succeeded", "new": "failed", "cause": None})),
    ("I6", add("audit", {"no": 2, "kind": "attempt", "id": "t1.1", "old": "void", "new": "started", "cause": None})),
    ("I6", drop("verdicts", 0)),
    ("I6", add("verdicts", ["operation", "o1", "failed", "m3"])),
    ("I6", put("attempts", 0, granted_at="9")),
    ("I7", value("queues", dict(QUEUES, **{"hler.state": [1, 0]}))),
    ("I7", value("queues", {})),
    ("I7", value("spool", ["worker-1/t1.1.0123456789abcdef"])),
    ("I7", put("dead", 0, facts="")),
    ("I8", value("left", ["worker-1 77"])),
    ("I9", value("after", {"worker-1": [200, 6000]})),
    ("I9", value("after", {"worker-1": [20, 60000]})),
    ("I10", value("leaks", ["worker-1.log"])),
    ("I11", value("late", ["t1 running"])),
    ("I11", value("new_ms", None)),
]


def test_healthy():
    assert not invariants.check(healthy())


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_change_is_seen(number):
    name, change = CHANGES[number]
    history = copy.deepcopy(healthy())
    change(history)
    found = invariants.check(history)
    assert name in {n for n, _ in found}, found


def test_gap_of_a_fenced_attempt():
    history = healthy()
    event = history["events"].pop(7)
    assert any(a["state"] == "void" and a["task"] == event["task"] and a["attempt"] == event["attempt"] for a in history["attempts"])
    assert "I4" in {n for n, _ in invariants.check(history)}


def test_every_invariant_is_tested():
    assert {name for name, _ in CHANGES} == set(invariants.ALL)


def unheard(began):
    """The first attempt of t2 was given up before its start was heard of."""
    history = healthy()
    history["attempts"][1]["started_at"] = None
    history["audit"].append({"no": 2, "kind": "attempt", "id": "t2.1", "old": "granted", "new": "lost", "cause": None})
    start = next(e for e in history["events"] if invariants.key(e) == "t2.1" and e["kind"] == "started")
    start["worker_at"] = began
    return history


def test_what_ran_unheard_is_no_try(monkeypatch):
    monkeypatch.setitem(invariants.TRIES, "chaos.again", 1)
    assert "I2" in {name for name, _ in invariants.check(healthy())}
    assert "I2" not in {name for name, _ in invariants.check(unheard("5"))}


@pytest.mark.parametrize("began, lease, seen", [("5", "5", False), ("7", "5", True), ("7", "8", False), ("9", "8", True)])
def test_what_ran_unheard_began_before_it_was_given_up_or_within_its_lease(began, lease, seen):
    history = unheard(began)
    history["attempts"][1]["lease_until"] = lease
    assert ("I3" in {name for name, _ in invariants.check(history)}) == seen
