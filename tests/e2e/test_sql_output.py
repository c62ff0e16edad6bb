"""Output and progress in bulk: what is usual is recorded without a look at each event, with the same outcome as one by one."""
import json

import pytest
from sqlserver import database_of_its_own  # noqa: F401 pylint: disable=unused-import

ATTEMPTS = 2
COLUMNS = """%s::text[], %s::text[], %s::uuid[], %s::int[], %s::text[], %s::bigint[]"""


def arrays(events):
    return [[e.get("worker", "w1") for e in events], [e["kind"] for e in events], [e["of"]["task"] for e in events],
            [e["of"]["attempt"] for e in events], [e.get("token", e["of"]["token"]) for e in events], [e["seq"] for e in events]]


def record(db, events):
    rows = db.rows(f"SELECT verdict FROM hler_core.record_output({COLUMNS}, %s::timestamptz[], %s::text[], %s::text[], %s::bytea[],"
                   " %s::text[]) ORDER BY i",
                   arrays(events) + [["2026-01-02T03:04:05Z"] * len(events), ["stderr"] * len(events), [e.get("text") for e in events],
                                     [None] * len(events), [e.get("data") for e in events]], "disp")
    return [row[0] for row in rows]


def is_usual(db, events):
    return db.one(f"SELECT hler_core.usual_talks({COLUMNS}, %s::text[]) IS NOT NULL", arrays(events) + [[e.get("data") for e in events]])


def progress(offer, seq, data='{"kind": "step"}', **more):
    return {"of": offer, "kind": "progress", "seq": seq, "data": data, **more}


def output(offer, seq, **more):
    return {"of": offer, "kind": "output", "seq": seq, "text": f"line {seq}\n", **more}


def usual(offers):
    return [one(o, seq) for o in offers for seq, one in ((2, output), (3, progress), (4, progress), (5, output))]


def fenced(db, o):
    db.rows("UPDATE hler.attempt SET state = 'void' WHERE task = %s", [o["task"]])


def gap(db, o):
    db.rows("INSERT INTO hler.gap (task, attempt, worker, since) VALUES (%s, %s, 'w1', now())", [o["task"], o["attempt"]])


def end_with_a_gap(db, o):
    gap(db, o)
    db.rows("UPDATE hler.attempt SET end_state = 'succeeded' WHERE task = %s", [o["task"]])


# What is odd in the last batch: events, and what is done before.
ODD = {
    "an output twice": lambda o: [output(o, 5)],
    "a progress twice": lambda o: [progress(o, 4, '{"kind": "other"}')],
    "an output that is there": lambda o: [output(o, 1)],
    "a progress that is there": lambda o: [progress(o, 6)],
    "no JSON": lambda o: [progress(o, 7, "{")],
    "no object": lambda o: [progress(o, 7, "[1]")],
    "no data": lambda o: [progress(o, 7, None)],
    "a NUL": lambda o: [progress(o, 7, '{"kind": "\\u0000"}')],
    "number 0": lambda o: [progress(o, 0)],
    "another token": lambda o: [output(o, 7, token="f" * 16)],
    "another attempt": lambda o: [output({**o, "attempt": 9}, 7)],
    "another worker": lambda o: [output(o, 7, worker="w2")],
}
BEFORE = {"fenced": fenced, "a gap that stays": gap, "a gap that is filled": end_with_a_gap}


def attempts(db):
    made = []
    for _ in range(ATTEMPTS):
        db.submit()
        (offer,) = db.offer()
        db.claim([offer])
        made.append(offer)
        assert record(db, [output(offer, 1), progress(offer, 6)]) == ["recorded"] * 2
    return made


def outcome(db, offers):
    """All that the tables hold of these attempts, without the names of tasks."""
    found = []
    for o in offers:
        key = [o["task"]]
        found.append([
            db.rows("SELECT seq, kind, stale, data::text, worker_at FROM hler.event WHERE task = %s ORDER BY seq", key),
            db.rows("SELECT seq, stream, text, raw, stale, worker_at FROM hler.output_event WHERE task = %s ORDER BY seq", key),
            db.rows("SELECT state, events_recorded, last_seq FROM hler.attempt WHERE task = %s", key),
            db.rows("SELECT attempt FROM hler.gap WHERE task = %s", key),
            db.rows("SELECT reason FROM hler.dead_message WHERE facts LIKE %s ORDER BY reason", [f"%{o['task']}%"])])
    return found


@pytest.fixture(name="twins")
def attempts_twice(db):
    db.type()
    return attempts(db), attempts(db)


def test_the_usual_is_recorded_as_one_by_one(db, twins):
    one, other = twins
    assert is_usual(db, usual(one)) and record(db, usual(one)) == ["recorded"] * 8
    assert [record(db, [e]) for e in usual(other)] == [["recorded"]] * 8
    assert outcome(db, one) == outcome(db, other)
    assert not is_usual(db, usual(one)) and record(db, usual(one)) == ["duplicate"] * 8
    assert outcome(db, one) == outcome(db, other)
    assert [json.loads(r[3]) for r in outcome(db, one)[0][0]] == [{"kind": "step"}] * 3


@pytest.mark.parametrize("what", ODD)
def test_an_odd_one_is_judged(db, twins, what):
    one, other = twins
    assert is_usual(db, usual(one))
    events = [usual(offers) + ODD[what](offers[0]) for offers in twins]
    assert not is_usual(db, events[0])
    verdicts = record(db, events[0])
    assert verdicts == [record(db, [e])[0] for e in events[1]] and verdicts[:-1] == ["recorded"] * 8 and verdicts[-1] != "recorded"
    assert outcome(db, one) == outcome(db, other)


@pytest.mark.parametrize("what", BEFORE)
def test_a_batch_of_an_odd_attempt(db, twins, what):
    one, other = twins
    for offers in twins:
        BEFORE[what](db, offers[0])
        assert is_usual(db, usual(offers)) == (what != "fenced") # most of a flood comes after the end, and fills a gap
    assert record(db, usual(one)) == [record(db, [e])[0] for e in usual(other)]
    assert outcome(db, one) == outcome(db, other)
    assert bool(outcome(db, one)[0][3]) == (what == "a gap that stays")


def test_a_batch_of_nothing(db, twins):
    assert record(db, []) == [] and twins
