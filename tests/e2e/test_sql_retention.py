"""What is old goes when an operator wants that, by small steps, and nothing that is alive."""
import json
import threading

import pytest
from sqlserver import Fault, database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import

RESULT = {"entity": "0190b3a4-0000-7000-8000-000000000001", "field": "f", "mode": "set", "value": 1}


def setting(db, name, value):
    return db.one("SELECT hler_core.setting_set(%s, %s)", [name, value], "oper")


def retain(db):
    """All steps; how many said there is more."""
    n = 0
    while db.one("SELECT hler_core.retain()", user="disp"):
        n += 1
    return n


def partitions(db, days):
    """Partitions for the days so long ago, as a dispatcher made them then."""
    for ago in days:
        name, day, after = db.rows("SELECT to_char(d, 'YYYYMMDD'), d::text, (d + 1)::text FROM"
                                   " (SELECT (now() AT TIME ZONE 'UTC')::date - %s AS d) AS x", [ago])[0]
        for parent in ("event", "output_event"):
            db.rows(f"CREATE TABLE hler.{parent}_{name} PARTITION OF hler.{parent} FOR VALUES FROM ('{day}') TO ('{after}')")
            db.rows(f"ALTER TABLE hler.{parent}_{name} OWNER TO hler_owner")


def old_days(db):
    return db.one("SELECT count(*) FROM pg_class WHERE relname ~ '^(output_)?event_[0-9]{8}$'"
                  " AND to_date(right(relname, 8), 'YYYYMMDD') < (now() AT TIME ZONE 'UTC')::date")


def ended(db, state="succeeded", results=0):
    op = db.submit()
    (offer,) = db.offer()
    db.claim([offer])
    events = [(offer, "started", 1, {})] + [(offer, "result", 2, RESULT)] * results
    db.output(offer, [(2 + results, "stdout", "said\n")])
    db.events(events + [(offer, "finished", 3 + results, finished(state, results=results))])
    return op


def test_days_go_when_all_of_them_has_ended(db):
    db.type()
    partitions(db, [10, 20, 30])
    db.submit()
    (offer,) = db.offer()
    db.claim([offer])
    db.rows("UPDATE hler.attempt SET offered_on = (now() AT TIME ZONE 'UTC')::date - 20")
    db.events([(offer, "started", 1, {})])
    assert setting(db, "output_keep_days", 0) == 90
    assert retain(db) == 0 and old_days(db) == 6, "for ever"
    setting(db, "output_keep_days", 15)
    assert retain(db) == 2 and old_days(db) == 4, "an attempt of the second day still runs"
    db.events([(offer, "finished", 2, finished())])
    assert db.one("SELECT count(*) FROM hler.events") == 2
    assert retain(db) == 2 and old_days(db) == 2, "the third is not old enough"
    assert db.one("SELECT count(*) FROM hler.events") == 0 and db.one("SELECT count(*) FROM hler.attempts") == 1
    ended(db)


def test_nobody_waits_behind_a_day_that_is_in_use(db):
    partitions(db, [30])
    setting(db, "output_keep_days", 15)
    reader = db.server.connect(db.name, autocommit=False)
    reader.cursor().execute("SELECT count(*) FROM hler.event")
    said = []
    step = threading.Thread(target=lambda: said.append(db.one("SELECT hler_core.retain()", user="disp")))
    step.start()
    step.join(5)
    assert said == [None] and old_days(db) == 2, "soon again, but not at once"
    reader.rollback()
    assert retain(db) == 2 and old_days(db) == 0
    reader.close()


def test_operations_go_whole_but_not_with_what_they_found(db):
    db.type()
    plain, found = ended(db), ended(db, results=1)
    failed = ended(db, "failed")
    again = db.one("SELECT hler.retry(%s)", [failed], "front")
    running = db.submit()
    old = "UPDATE hler.operation SET finished_at = finished_at - interval '40 days', created_at = created_at - interval '40 days'"
    db.rows(old)
    assert retain(db) == 0 and db.one("SELECT count(*) FROM hler.operations") == 5, "for ever, if nobody says otherwise"
    setting(db, "operation_keep_days", 30)
    retain(db)
    assert {r[0] for r in db.rows("SELECT id FROM hler.operations")} == {found, failed, again, running}
    assert db.one("SELECT value FROM hler.results") == 1
    assert plain not in json.dumps(db.rows("SELECT task::text FROM hler.attempt"))
    assert db.one("SELECT count(*) FROM hler.output_event AS e WHERE NOT EXISTS"
                  " (SELECT FROM hler.attempt AS a WHERE a.task = e.task)") == 0
    (first, _) = db.offer()
    db.run(first)
    db.rows(old + " WHERE id = %s", [again])
    retain(db)
    retain(db)
    assert {r[0] for r in db.rows("SELECT id FROM hler.operations")} == {found, running}


def test_what_was_set_aside_goes_by_age_and_number(db):
    for n in range(10):
        db.rows("SELECT hler_core.dead_letter('q', 'bad_json', '{}', %s)", [bytes([n])], "disp")
    db.rows("UPDATE hler.dead_message SET last_at = now() - interval '100 days' WHERE id <= 2")
    retain(db)
    assert db.one("SELECT min(id) FROM hler.dead_message") == 3
    setting(db, "dead_keep_most", 4)
    retain(db)
    assert [r[0] for r in db.rows("SELECT id FROM hler.dead_message ORDER BY id")] == [7, 8, 9, 10]


def test_settings_are_the_operators(db):
    for args, code in ((["nothing", 1], "HL404"), (["dead_keep_most", -1], "HL001"), (["window_min", 0], "HL001")):
        with pytest.raises(Fault) as refused:
            setting(db, *args)
        assert refused.value.code == code
    with pytest.raises(Fault) as denied:
        db.one("SELECT hler_core.setting_set('dead_keep_most', 1)", user="front")
    assert denied.value.code == "42501"


def test_workers_that_are_gone_go(db):
    for worker in ("w1", "w2", "w3"):
        db.beat(worker=worker)
    db.rows("UPDATE hler.worker SET last_seen_at = now() - interval '2 days', stopped = id <> 'w2' WHERE id <> 'w1'")
    retain(db)
    assert db.rows("SELECT id FROM hler.worker ORDER BY id") == [("w1",), ("w2",)], "only who is away, and for long"
