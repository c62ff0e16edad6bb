"""Cancelling: before the start, in mid-run, and down to the last process."""
import json
import os
import random
import shutil
import time
import uuid

import pytest

from stack import cmdline, processes_marked, read, wait_for

# Starts a child in a session of its own and one that ignores TERM; notes all pids.
STUBBORN = "setsid sleep 600 & (trap '' TERM; sleep 600 & wait) & echo started; wait; sleep 600"

SHELL_GRACE_S = 2 # of test.shell
EXECUTOR_GRACE_S = 30 # that the ansible and terraform executors ask for


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


def sleepers(seconds):
    """Processes that sleep for so long: their command line is all that is sure to be left of them."""
    return [pid for pid in filter(str.isdigit, os.listdir("/proc")) if cmdline(pid) == f"sleep {seconds}"]


def cancel_and_count(stack, operation, seconds, processes, grace_s):
    """Cancels what runs so many sleepers; none is left within grace and two seconds, and the event says so."""
    wait_for(lambda: len(sleepers(seconds)) >= processes, what="all its processes")
    task = str(stack.tasks(operation)[0]["id"])
    asked = time.monotonic()
    cancel(stack, operation)
    wait_for(lambda: not sleepers(seconds) and not processes_marked(f"HLER_TASK={task}"), timeout=grace_s + 2,
             what="the end of all processes")
    print(f"\nnone left {time.monotonic() - asked:.2f} s after the cancel (grace {grace_s} s)")
    done = stack.wait(operation)
    assert (done["state"], done["cause"]) == ("cancelled", "cancelled"), stack.describe(operation)
    assert stack.attempts(operation)[0]["left_behind"] == 0
    stack.assert_complete(operation)


@pytest.fixture(name="seconds")
def unique_seconds():
    """A number of seconds that nobody else sleeps for."""
    return str(random.randint(100_000_000, 999_999_999))


@pytest.mark.parametrize("script, processes", [
    ("trap '' TERM; sleep @; sleep @; sleep @", 1),
    ("setsid sh -c 'sleep @ & exit' & wait; sleep @", 2),
    ("(trap '' TERM; setsid env -i sh -c 'sleep @ & sleep @ & exit' &); sleep @", 3),
    ("trap '' TERM; while :; do (setsid env -i sleep @ &); sleep 0.01; done", 20)],
    ids=["ignores", "daemon", "daemon-that-ignores", "breeds"])
def test_cancel_of_shells(stack, seconds, script, processes):
    cancel_and_count(stack, stack.shell(script.replace("@", seconds)), seconds, processes, SHELL_GRACE_S)


def test_cancel_of_a_playbook_with_an_async_task(stack, seconds):
    operation = stack.submit("test.ansible.async", {"seconds": seconds}, target=uuid.uuid4())
    wait_for(lambda: [e for e in stack.events(operation) if e["type"] == "result"], timeout=60, what="the task after the async one")
    cancel_and_count(stack, operation, seconds, 1, EXECUTOR_GRACE_S)


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_cancel_of_a_terraform_apply(stack, seconds):
    target = str(uuid.uuid4())
    operation = stack.submit("test.terraform.slow", {"seconds": seconds}, target=target)
    wait_for(lambda: len(sleepers(seconds)) == 2, timeout=60, what="the start of the provisioner")
    cancel_and_count(stack, operation, seconds, 2, EXECUTOR_GRACE_S)
    folder = stack.path(f"state/terraform/{target}")
    state = json.loads(read(f"{folder}/terraform+slow.tfstate"))
    assert {r["name"]: r["instances"][0].get("status") for r in state["resources"]} == {"first": None, "second": "tainted"}
    assert sorted(os.listdir(folder)) == ["terraform+slow.tfstate"], "no lock is left"
    again = stack.run("test.terraform.slow", {"seconds": "0"}, timeout=60, target=target)
    assert again["state"] == "succeeded", stack.describe(again["id"])
