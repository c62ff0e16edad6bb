"""Draining by an operator, and an upgrade under load: nothing is lost, runs twice, or is stopped."""
import json
import os
import signal
import uuid

import pytest

from stack import Stack, alive, read, wait_for

OPERATIONS = 100


@pytest.fixture(scope="module", name="pair")
def two_of_each():
    stack = Stack("--dispatchers", "2", "--workers", "2", "--slots", "4")
    yield stack
    stack.down()


def gate(stack):
    """A file that a test makes to let programs go on, and the shell that waits for it."""
    path = stack.path(f"gate-{uuid.uuid4()}")
    return path, f"while [ ! -e {path} ]; do sleep 0.05; done"


def touch(path):
    open(path, "w", encoding="utf-8").close()


def worker_of(stack, operation):
    return stack.attempts(operation)[0]["worker"]


def drain_of(stack):
    return {r["id"]: r["drain"] for r in stack.sql("SELECT id, drain FROM hler.workers")}


def test_drain_of_workers_and_pools(pair):
    stack = pair
    path, script = gate(stack)
    running = [stack.shell(script) for _ in range(8)]
    for operation in running:
        stack.wait(operation, ["running"])
    assert "worker-1" in stack.hler("drain", "worker-1", "--reason", "new disk", "--actor", "jo")
    wait_for(lambda: drain_of(stack) == {"worker-1": "draining", "worker-2": None}, what="the worker to hear of it")
    assert "draining" in stack.hler("workers") and "drain of the worker asked by jo, new disk" in stack.hler("workers")
    stack.hler("drain", "worker-1", "--wait", "--timeout", "1", code=6)
    assert "4 running" in stack.last_error
    touch(path)
    for operation in running:
        assert stack.wait(operation)["state"] == "succeeded"
    seen, = json.loads(stack.hler("drain", "worker-1", "--wait", "--json"))
    assert (seen["drain"], seen["running"]) == ("quiet", 0)
    assert {worker_of(stack, stack.run("test.true")["id"]) for _ in range(8)} == {"worker-2"}

    # it lasts, and reaches one that was away
    stack.kill("worker-1")
    stack.restart("worker-1")
    stack.signal("worker-2", signal.SIGTERM)
    wait_for(lambda: stack.one("SELECT state FROM hler.workers WHERE id = 'worker-2'") == "stopped")
    wait_for(lambda: stack.one("SELECT state FROM hler.workers WHERE id = 'worker-1'") == "draining")
    stack.hler("drain", "--pool", "default", "--wait")
    assert "drained by hler_operator" in stack.hler("pools")
    stack.restart("worker-2")
    wait_for(lambda: stack.one("SELECT state FROM hler.workers WHERE id = 'worker-2'") == "draining")
    stack.hler("drain", "worker-1", "--undo")
    operation = stack.submit("test.true")
    for _ in range(4): # heartbeats of both
        number = stack.one("SELECT min(number) FROM hler.worker", role="migrate")
        wait_for(lambda n=number: stack.one("SELECT min(number) FROM hler.worker", role="migrate") > n)
    assert stack.operation(operation)["state"] == "pending" and drain_of(stack) == {"worker-1": "quiet", "worker-2": "quiet"}
    stack.hler("drain", "--pool", "default", "--undo")
    assert stack.wait(operation)["state"] == "succeeded"
    wait_for(lambda: {w["state"] for w in stack.sql("SELECT state FROM hler.workers")} == {"live"})
    assert drain_of(stack) == {"worker-1": None, "worker-2": None}

    for arguments, code in ((["nobody"], 7), (["--pool", "nowhere"], 7), (["worker-1", "--undo"], 7), ([], 2),
                            (["worker-1", "--pool", "default"], 2)):
        stack.hler("drain", *arguments, code=code)
        assert "worker" in stack.last_error or "no pool nowhere" in stack.last_error


def test_upgrade_under_load(pair):
    """Each program ends on SIGTERM and starts again while a hundred operations run."""
    stack = pair
    witness = stack.path("witness")
    script = f"echo start $HLER_TASK $$ >>{witness}; sleep 1; echo end $HLER_TASK $$ >>{witness}; echo said"
    operations = [stack.shell(script) for _ in range(OPERATIONS)]
    adopted = []
    wait_for(lambda: os.path.exists(witness), what="the first start")
    for name in ("worker-1", "dispatcher-1", "worker-2", "dispatcher-2", "worker-1", "worker-2"):
        pid = stack.pid(name)
        adopted += stack.sql("SELECT task FROM hler.attempts WHERE worker = %s AND state = 'started'", name)
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda p=pid: not alive(p), timeout=10, what=f"the end of {name}")
        stack.restart(name)
    assert stack.one("SELECT count(*) FROM hler.operations WHERE finished_at IS NULL") and len(adopted) >= 4, "no load to speak of"
    for operation in operations:
        assert stack.wait(operation, timeout=90)["state"] == "succeeded", stack.describe(operation)
    lines = read(witness).splitlines()
    starts = sorted(l.split(" ", 1)[1] for l in lines if l.startswith("start"))
    ends = sorted(l.split(" ", 1)[1] for l in lines if l.startswith("end"))
    assert len(starts) == OPERATIONS and len({s.split()[0] for s in starts}) == OPERATIONS, "each ran once"
    assert starts == ends, "the same process from start to end"
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.attempts WHERE state = 'succeeded' AND NOT output_complete") == 0,
             what="all events")
    assert stack.one("SELECT count(*) FROM hler.output WHERE text = E'said\\n'") == OPERATIONS
