"""What a worker finds in its spool and cannot read: nobody may say that it did not run."""
import glob
import json
import os
import signal
import time
import uuid

import pytest

from stack import read, runs_in, wait_for

STRANGER = "01890a5d-ac96-774b-bcce-b302099a8057.1.0123456789abcdef" # an attempt that nobody ever had


def test_an_attempt_that_cannot_be_read_is_not_denied(make_stack):
    """Its program runs: "this worker does not have it" would let the task run a second time."""
    stack = make_stack("--workers", "1", "--lost-after-ms", "4000")
    path = stack.path("go")
    operation = stack.shell(f"echo started; while [ ! -e {path} ]; do sleep 0.1; done")
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    attempt = next(d for d in os.listdir(stack.path("spool/worker-1")) if d.count(".") == 2 and not d.startswith("new."))
    offer = stack.path(f"spool/worker-1/{attempt}/offer")
    stack.kill("worker-1")
    os.rename(offer, f"{offer}.away")
    stack.restart("worker-1")
    asked = "SELECT reported_at FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task WHERE t.operation = %s"
    wait_for(lambda: stack.one(asked, operation, role="migrate"), timeout=60, what="the question for it")
    time.sleep(1)
    assert stack.one("SELECT count(*) FROM hler.events WHERE type = 'declined'") == 0
    assert [a["attempt"] for a in stack.attempts(operation)] == [1]
    os.rename(f"{offer}.away", offer)
    open(path, "w", encoding="utf-8").close()
    assert stack.wait(operation, timeout=60)["state"] == "succeeded", stack.describe(operation)
    stack.assert_complete(operation)
    assert [a["attempt"] for a in stack.attempts(operation)] == [1]


def test_an_offer_that_comes_again_for_what_cannot_be_read_is_not_needed(make_stack):
    """It runs, and its delivery was not acknowledged when its worker died: claimed again, it would run twice."""
    stack = make_stack("--workers", "1", "--slots", "2", "--lost-after-ms", "4000")
    path = stack.path("go")
    script = json.dumps({"script": f"echo started; while [ ! -e {path} ]; do sleep 0.1; done"})
    both = [r["id"] for r in stack.sql("INSERT INTO hler.operation (type, inputs) SELECT 'test.shell', %s FROM generate_series(1, 2) "
                                       "RETURNING id", script, role="frontend")] # one by a claim, the other by the queue
    for operation in both:
        wait_for(lambda operation=operation: stack.output(operation) == b"started\n", what="the start")
    spool = stack.path("spool/worker-1")
    offers = [f"{spool}/{d}/offer" for d in os.listdir(spool) if d.count(".") == 2 and not d.startswith("new.")]
    stack.kill("worker-1")
    for offer in offers:
        os.rename(offer, f"{offer}.away")
    stack.restart("worker-1")
    asked = "SELECT count(*) FROM hler.attempt WHERE reported_at IS NOT NULL"
    wait_for(lambda: stack.one(asked, role="migrate") == 2, timeout=60, what="the question for both")
    for offer in offers:
        os.rename(f"{offer}.away", offer)
    open(path, "w", encoding="utf-8").close()
    for operation in both:
        assert stack.wait(operation, timeout=60)["state"] == "succeeded", stack.describe(operation)
        stack.assert_complete(operation)
        assert [a["attempt"] for a in stack.attempts(operation)] == [1]


def cut_off(attempt):
    os.truncate(f"{attempt}/offer", 0)


def without_journal(attempt):
    """Of another boot: of this one it never began."""
    offer = read(f"{attempt}/offer").split("\n", 1)[1]
    with open(f"{attempt}/offer", "w", encoding="utf-8") as f:
        f.write(f"{uuid.uuid4()}\n{offer}")
    os.rename(f"{attempt}/journal", f"{attempt}/lost.journal")


@pytest.mark.parametrize("take", [cut_off, without_journal])
def test_what_a_power_cut_has_taken_is_lost(one_worker, take):
    """Nothing but the name is left: who waits for more would wait for ever, and "it never began" would run it again."""
    stack = one_worker
    operation = stack.shell("echo started; sleep 600")
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    spool = stack.path("spool/worker-1")
    attempt = next(d for d in os.listdir(spool) if d.count(".") == 2 and not d.startswith("new."))
    stack.kill("worker-1")
    runner = next(p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if runs_in(p, f"{spool}/{attempt}"))
    os.kill(runner, signal.SIGKILL)
    wait_for(lambda: not runs_in(runner, f"{spool}/{attempt}"), what="the runner's end")
    take(f"{spool}/{attempt}")
    stack.restart("worker-1")
    lost = wait_for(lambda: stack.sql("SELECT data ->> 'cause' AS cause FROM hler.events WHERE type = 'lost'"), what="its loss")
    assert [e["cause"] for e in lost] == ["other_boot"]
    stack.wait(operation, ["held"])
    assert stack.one("SELECT count(*) FROM hler.events WHERE type = 'declined'") == 0
    assert os.path.exists(f"{spool}/done/{attempt}/offer"), "for whoever wants to look"


def test_what_was_done_and_cannot_be_read_is_not_denied(one_worker):
    """Asked for it, "this worker does not have it" would let the task run a second time."""
    stack = one_worker
    operation = stack.shell("echo once")
    stack.assert_complete(operation)
    spool = stack.path("spool/worker-1")
    kept = wait_for(lambda: glob.glob(f"{spool}/done/*.1.*/offer"), what="the move to done/")[0]
    os.rename(kept, f"{kept}.away")
    os.symlink("offer", kept) # no file that could be opened
    name = os.path.basename(os.path.dirname(kept))
    stack.ask_for(name)
    stack.ask_for(STRANGER) # to know when it has read this
    wait_for(lambda: os.path.isdir(f"{spool}/done/{STRANGER}"), what="its answer")
    assert os.path.islink(kept)
    assert stack.one("SELECT count(*) FROM hler.events WHERE type = 'declined'") == 0
