"""Cancelling: before the start, in mid-run, and down to the last process."""
import os
import uuid

from stack import processes_marked, wait_for

# Starts a child in a session of its own and one that ignores TERM; notes all pids.
STUBBORN = "setsid sleep 600 & (trap '' TERM; sleep 600 & wait) & echo started; wait; sleep 600"


def cancel(stack, operation, reason="typo"):
    stack.sql("SELECT hler.cancel(%s, reason => %s, actor => 'jo')", operation, reason, role="frontend")


def test_cancel_while_running_leaves_no_process(stack):
    operation = stack.shell(STUBBORN)
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    task = str(stack.tasks(operation)[0]["id"])
    assert len(processes_marked(f"HLER_TASK={task}")) >= 3
    cancel(stack, operation)
    done = stack.wait(operation)
    assert (done["state"], done["cause"]) == ("cancelled", "cancelled"), done
    assert (done["cancel_actor"], done["cancel_reason"]) == ("jo", "typo")
    assert processes_marked(f"HLER_TASK={task}") == []
    assert stack.attempts(operation)[0]["left_behind"] == 0
    stack.assert_complete(operation)


def test_cancel_while_queued_never_runs(stack):
    path = stack.path(f"ran.{uuid.uuid4()}")
    operation = stack.submit("test.shell", {"script": f"touch {path}"}, run_at="2099-01-01")
    wait_for(lambda: stack.operation(operation)["state"] in ("waiting", "pending"))
    cancel(stack, operation)
    assert stack.wait(operation)["state"] == "cancelled"
    busy = [stack.shell("sleep 600") for _ in range(8)] # all slots of both workers
    wait_for(lambda: all(stack.operation(b)["state"] == "running" for b in busy), what="full workers")
    queued = stack.shell(f"touch {path}")
    wait_for(lambda: stack.tasks(queued)[0]["state"] == "queued", what="an offer")
    cancel(stack, queued)
    assert stack.wait(queued)["state"] == "cancelled"
    for b in busy:
        cancel(stack, b)
    for b in busy:
        assert stack.wait(b)["state"] == "cancelled"
    after = stack.run("test.true")
    assert after["state"] == "succeeded" and not os.path.exists(path)


def test_deadline_leaves_no_process(stack):
    operation = stack.shell(STUBBORN, kind="test.deadline")
    done = stack.wait(operation)
    assert (done["state"], done["cause"]) == ("failed", "deadline"), done
    attempt, = stack.attempts(operation)
    assert attempt["state"] == "timed_out" and attempt["left_behind"] == 0
    task = stack.tasks(operation)[0]["id"]
    assert processes_marked(f"HLER_TASK={task}") == []


def test_cancel_of_an_ended_operation_is_refused(stack):
    done = stack.run("test.true")
    said = stack.hler("cancel", str(done["id"]), code=None)
    assert stack.operation(done["id"])["state"] == "succeeded", said


def test_hler_cancel(stack):
    operation = stack.shell("echo started; sleep 600")
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    stack.hler("cancel", str(operation))
    assert stack.wait(operation)["state"] == "cancelled"
    stack.hler("watch", str(operation), code=4)


def test_a_program_may_end_well_although_it_was_asked_to_stop(stack):
    operation = stack.shell("trap 'echo tidied; exit 0' TERM; echo started; while :; do sleep 0.1; done")
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    cancel(stack, operation)
    done = stack.wait(operation)
    stack.assert_complete(operation)
    attempt, = stack.attempts(operation)
    assert attempt["exit_code"] == 0 and stack.output(operation) == b"started\ntidied\n", (done, attempt)
