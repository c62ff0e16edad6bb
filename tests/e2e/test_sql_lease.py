"""Silence, leases, and what follows from them."""
import threading

import pytest
from sqlserver import database_of_its_own, finished, until  # noqa: F401 pylint: disable=unused-import
from test_sql_flow import granted

STEP_S = 240 # for so much more, at most, counts the tick under way: twice what silence() takes for the pause between ticks


def passed(db, seconds, clock=True, ticks=True):
    """So much later, by the database's clock or by ticks or by both.  How many lost attempts were given up."""
    if clock:
        db.rows("UPDATE hler.attempt SET lost_at = lost_at - %s * interval '1 s'", [seconds])
    if ticks:
        db.rows("UPDATE hler.silence SET elapsed_ms = elapsed_ms + %s * 1000", [seconds])
    return db.rows("SELECT * FROM hler_core.clock_step()", user="disp")[0][1]


def test_silence_is_neither_failure_nor_licence_to_run_again(db):
    db.type()
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.events([(offer, "started", 1, {})])
    assert db.silence() == 1
    assert db.states(op) == ("held", ["held"])
    assert db.rows("SELECT state FROM hler.attempts") == [("lost",)]
    assert db.rows("SELECT state FROM hler.workers", user="front") == [("silent",)]
    assert not db.offer() and db.rows("SELECT * FROM hler_core.clock_step()", user="disp") == [(0, 0)]
    assert [r[0] for r in db.beat([(offer, "running")])] == ["beat"]
    assert db.states(op) == ("running", ["running"])
    db.silence()
    db.events([(offer, "finished", 2, finished())])
    assert db.states(op) == ("succeeded", ["succeeded"])


@pytest.mark.parametrize("began", [True, False])
def test_what_was_lost_and_ends_is_tried_again_like_any_other(db, began):
    db.type(max_tries=2)
    op = db.submit()
    db.beat()
    offer = granted(db)
    if began:
        db.events([(offer, "started", 1, {})])
    db.silence()
    assert db.states(op) == ("held", ["held"])
    db.events([(offer, "started", 1, {}), (offer, "finished", 2, finished("failed", retryable=True))])
    assert db.rows("SELECT state, tries, started_at IS NULL, finished_at IS NULL FROM hler.tasks") == [("waiting", 1, False, True)]
    assert db.rows("SELECT state, lost_at IS NULL, lost_ms IS NULL FROM hler.attempt") == [("failed", True, True)]
    db.later(op)
    db.run(db.offer()[0], "failed", retryable=True)
    assert db.rows("SELECT state, tries, cause FROM hler.tasks") == [("failed", 2, "retry_limit")]


def test_a_grant_that_never_arrived_comes_back(db):
    db.type()
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.silence()
    assert db.states(op) == ("held", ["held"])
    db.rows("UPDATE hler.attempt SET granted_at = granted_at - interval '1 min'")
    assert ("report", offer["task"], 1, None, None, 1) in db.beat()
    assert ("report", offer["task"], 1, None, None, 1) not in db.beat(), "not with every heartbeat"
    db.events([(offer, "declined", None, {})])
    assert db.states(op) == ("running", ["ready"])


def test_repeatable_tasks_run_again_once_the_lease_is_over(db):
    db.type(repeatable=True)
    op = db.submit()
    for number in (1, 2, 3):
        db.beat()
        offer = granted(db)
        assert offer["attempt"] == number
        db.events([(offer, "started", 1, {})])
        db.silence()
        assert db.states(op) == ("held", ["held"])
        for seconds in (STEP_S, 61, 28): # a lease, and half of it in which the runner ends its tree
            assert passed(db, seconds) == 0, "the runner may still have it"
        assert passed(db, 2) == 1
        if number == 1:
            assert ("stop", offer["task"], 1, "superseded", 10000, 1) in db.beat([(offer, "running")])
            assert db.events([(offer, "finished", 2, finished())]) == ["stale"]
    assert db.states(op) == ("failed", ["failed"])
    assert db.one("SELECT cause FROM hler.operations") == "lost"


def test_a_heartbeat_renews_the_lease_of_what_has_started_unrecorded(db):
    db.type(repeatable=True)
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.silence()
    db.rows("UPDATE hler.attempt SET granted_at = granted_at - interval '3 min'")
    assert passed(db, STEP_S + 89) == 0
    assert ("report", offer["task"], 1, None, None, 1) in db.beat([(offer, "running")]), "its start is missing"
    assert passed(db, STEP_S + 89) == 0, "its worker has just renewed it"
    assert db.states(op) == ("held", ["held"])
    db.events([(offer, "started", 1, {})])
    assert db.states(op) == ("running", ["running"])


def test_our_own_silence_is_not_the_workers(db):
    db.type()
    db.submit()
    db.beat()
    granted(db)
    sql = "SELECT hler_core.tick(now() + %s * interval '1 s', 60000, 5000)"
    for seconds in (0, 3600, 3600, 3500, 3605):
        assert db.one(sql, [seconds], "disp") == 0
    assert db.one("SELECT elapsed_ms FROM hler.silence") in range(14000, 15100)


def test_neither_a_clock_that_is_set_nor_a_queue_of_ticks_ends_a_lease(db):
    db.type(repeatable=True)
    op = db.submit()
    db.beat()
    db.events([(granted(db), "started", 1, {})])
    db.silence()
    assert passed(db, 3600, ticks=False) == 0, "the clock was set forward"
    db.rows("UPDATE hler.attempt SET lost_at = now()")
    assert passed(db, 3600, clock=False) == 0, "ticks that had queued up"
    db.rows("UPDATE hler.attempt SET lost_at = now() + interval '1 day'")
    assert passed(db, 1) == 1, "the clock was set back, and ticks enough have passed"
    assert db.states(op) == ("running", ["ready"])


def test_ticks_follow_a_clock_that_is_set_back(db):
    began = db.one("SELECT now()")
    for seconds in (0, 5, 86400, 10, 15, 20):
        db.one("SELECT hler_core.tick(%s + %s * interval '1 s', 60000, 5000)", [began, seconds], "disp")
    assert db.one("SELECT elapsed_ms FROM hler.silence") == 25000


def test_who_comes_back_while_leases_are_ended_keeps_it(db):
    db.type(repeatable=True)
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.silence()
    db.rows("UPDATE hler.attempt SET lost_at = lost_at - interval '1 h'")
    db.rows("UPDATE hler.silence SET elapsed_ms = elapsed_ms + 3600000")
    back = db.server.connect(db.name, autocommit=False)
    step = threading.Thread(target=lambda: passed(db, 0, clock=False, ticks=False), daemon=True)
    try:
        back.cursor().execute("SELECT hler_core.lock_operations(ARRAY[%s]::uuid[])", [offer["task"]])
        back.cursor().execute("UPDATE hler.attempt SET lost_at = now(), lost_ms = hler_core.elapsed_at_most()")
        db.users["watch"] = db.server.connect(db.name)
        step.start()
        assert until(lambda: db.one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                    " AND wait_event_type = 'Lock'", user="watch"))
        back.commit()
    finally:
        back.close()
    step.join(10)
    assert db.states(op) == ("held", ["held"])


def test_what_has_ended_is_not_run_again_for_results_that_are_missing(db):
    db.type(repeatable=True)
    op = db.submit()
    db.beat()
    db.events([(granted(db), "finished", 3, finished(results=1))])
    db.silence()
    assert passed(db, 3600) == 0
    assert db.states(op) == ("held", ["held"])
    db.rows("SELECT hler.retry_lost(%s)", [op], "front")
    assert db.states(op) == ("running", ["ready"]), "but by a person's word"


@pytest.mark.parametrize("repeatable", [False, True])
@pytest.mark.parametrize("word", [[], ["lost", None, {"cause": "runner_died", "message": "x", "left_behind": 1}],
                                  ["finished", 3, finished(results=1)]], ids=["silent", "lost", "ended"])
def test_a_cancelled_attempt_whose_worker_never_comes_back_is_given_up(db, repeatable, word):
    """Until the lease is over the worker may bring the end itself; then it is as if the person asked again."""
    db.type(repeatable=repeatable, tasks=2)
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.rows("UPDATE hler.task SET tries = 9 WHERE id = %s", [offer["task"]])
    db.events([(offer, "started", 1, {})])
    assert db.one("SELECT hler.cancel(%s, 'enough')", [op], "front") == "running"
    if word:
        db.events([(offer, *word)])
    db.silence()
    assert db.states(op) == ("held", ["held", "cancelled"])
    assert passed(db, STEP_S + 89) == (word[:1] == ["lost"]), "its worker's word came before the silence"
    passed(db, 2)
    assert db.states(op) == ("cancelled", ["cancelled", "cancelled"])
    assert db.rows("SELECT cause, message FROM hler.tasks WHERE name = 's1'") == [("cancelled", "enough")]
    assert ("stop", offer["task"], 1, "cancelled", 10000, 1) in db.beat([(offer, "running")])
    assert db.claim([offer]) == ["cancelled"]
    assert db.events([(offer, "finished", 2, finished("cancelled"))]) == ["stale"]


def asked(db, offer, held=()):
    """Is its worker asked for it now?"""
    db.rows("UPDATE hler.attempt SET reported_at = reported_at - interval '1 h'")
    return any(r[:2] == ("report", offer["task"]) for r in db.beat(held))


def test_what_the_broker_lost_of_a_lost_attempt_is_asked_for(db):
    db.type()
    db.submit()
    db.beat()
    offer = granted(db)
    lost = (offer, "lost", None, {"cause": "runner_died", "message": "x"})
    result = {"entity": "0195fe5a-0000-7000-8000-00000000000b", "field": "f", "mode": "set", "secret": False, "value": 1}
    db.events([(offer, "started", 1, {}), lost])
    assert not asked(db, offer), "not at once"
    db.rows("UPDATE hler.gap SET since = since - interval '1 min'")
    assert asked(db, offer)
    assert db.events([lost, (offer, "started", 1, {}), (offer, "result", 2, result)]) == ["duplicate"] * 2 + ["recorded"]
    assert not asked(db, offer)
    assert db.one("SELECT state FROM hler.attempts") == "lost" and db.one("SELECT value FROM hler.results") == 1


@pytest.mark.parametrize("how", ["SELECT hler.retry_lost(%s)", "SELECT hler.cancel(%s)", "SELECT 1 FROM hler_core.clock_step() WHERE %s <> ''"])
@pytest.mark.parametrize("answer", ["all", "declined", "lost"])
def test_what_the_broker_lost_of_a_fenced_attempt_is_asked_for(db, how, answer):
    db.type(repeatable="clock" in how)
    op = db.submit()
    db.beat()
    offer = granted(db)
    db.events([(offer, "started", 1, {})])
    db.silence()
    db.rows("UPDATE hler.attempt SET lost_at = lost_at - interval '1 h'")
    db.rows("UPDATE hler.silence SET elapsed_ms = elapsed_ms + 3600000")
    db.rows(how, [op], "disp" if "clock" in how else "front")
    assert db.rows("SELECT state FROM hler.attempts") == [("void",)]
    assert not asked(db, offer), "not at once"
    db.rows("UPDATE hler.gap SET since = since - interval '1 min'")
    assert not asked(db, offer, [(offer, "running")]), "it has not ended yet"
    assert asked(db, offer)
    if answer == "declined":
        assert db.events([(offer, "declined", None, {})]) == ["stale"]
    elif answer == "lost":
        assert db.events([(offer, "lost", None, {"cause": "runner_died", "message": "x"})]) == ["stale"]
    else:
        assert db.events([(offer, "finished", 3, finished())]) == ["stale"]
        assert asked(db, offer), "a number is missing"
        assert db.output(offer, [(2, "stdout", "late")]) == ["stale"]
    assert not asked(db, offer)
    assert db.one("SELECT count(*) FROM hler.gap") == 0
