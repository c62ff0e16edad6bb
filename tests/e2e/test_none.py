"""Executor "none": the whole way of an attempt, without a process."""
import signal

from stack import wait_for


def test_a_task_that_runs_nothing(stack):
    done = stack.run("test.none")
    assert done["state"] == "succeeded"
    stack.assert_complete(done["id"])
    for attempt in stack.attempts(done["id"]):
        assert (attempt["state"], attempt["cause"]) == ("succeeded", "done")
    none = [e for e in stack.events(done["id"]) if e["type"] == "started" and e["data"]["pid"] == 0]
    assert len(none) == 2


def test_it_takes_no_specification(stack):
    done = stack.run("test.none-spec")
    assert done["state"] == "failed"
    for attempt in stack.attempts(done["id"]):
        assert (attempt["state"], attempt["cause"]) == ("void", "spec_invalid")
        assert attempt["message"] == "argv: executor none takes no specification"


def test_no_restart_loses_one(make_stack):
    stack = make_stack("--workers", "2")
    ids = [stack.submit("test.none") for _ in range(60)]
    for i in range(4):
        stack.signal(f"worker-{1 + i % 2}", signal.SIGKILL)
        stack.restart(f"worker-{1 + i % 2}")
    for i in ids:
        assert stack.wait(i)["state"] == "succeeded"
        runs = [a for a in stack.attempts(i) if a["state"] == "succeeded"]
        assert len(runs) == 3 and all(a["last_seq"] == 2 for a in runs)
        wait_for(lambda i=i: len(stack.events(i)) == 6, what="each event, once")
