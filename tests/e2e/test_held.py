"""What is held after a lost attempt: a worker that comes back settles it, or a person has it run again."""
import os
import signal

from stack import alive, read, wait_for

LOST_AFTER_MS = 2000


def held(stack, script):
    """An operation whose worker is frozen until it is held."""
    operation = stack.shell(script)
    stack.wait(operation, ["running"])
    stack.signal("worker-1", signal.SIGSTOP)
    stack.wait(operation, ["held"])
    return operation


def test_a_worker_that_comes_back_settles_it(make_stack):
    stack = make_stack("--workers", "1", "--lost-after-ms", str(LOST_AFTER_MS))
    go = stack.path("go")
    operation = held(stack, f"while [ ! -e {go} ]; do sleep 0.05; done; echo done")
    stack.hler("show", str(operation), "--json")
    stack.hler("log", str(operation), "--follow", code=5) # and does not wait for a worker that may never come back
    assert "the output is not complete" in stack.last_error
    stack.hler("retry", str(operation), code=2)
    assert "hler retry --lost" in stack.last_error
    open(go, "w", encoding="utf-8").close() # the program ends while its worker is away
    stack.signal("worker-1", signal.SIGCONT)
    assert stack.wait(operation, ["succeeded"])["state"] == "succeeded"
    stack.assert_complete(operation)
    assert [a["attempt"] for a in stack.attempts(operation)] == [1]
    stack.hler("retry", str(operation), "--lost", code=2)
    assert "succeeded" in stack.last_error and "no task of it is held" in stack.last_error

    # a person runs it again while the first worker is away; both programs write their pid
    pids = stack.path("pids")
    go = stack.path("go2")
    operation = stack.shell(f"echo $$ >>{pids}; while [ ! -e {go} ]; do sleep 0.05; done")
    wait_for(lambda: os.path.exists(pids), what="the program")
    stack.hler("retry", str(operation), "--lost", code=2)
    assert "is running: no task of it is held" in stack.last_error
    stack.signal("worker-1", signal.SIGSTOP)
    stack.wait(operation, ["held"])
    stack.hler("retry", str(operation), "--lost", "--reason", "its host is gone", "--actor", "jo")
    assert "runs again" in stack.last_error and "worker-1" in stack.last_error
    first, = map(int, read(pids).split())
    assert alive(first)
    stack.signal("worker-1", signal.SIGCONT) # it is back after all: it stops the old run, and takes the new one
    wait_for(lambda: not alive(first), what="the end of the run that counts no more")
    wait_for(lambda: len(read(pids).split()) == 2, what="the second run")
    open(go, "w", encoding="utf-8").close()
    assert stack.wait(operation)["state"] == "succeeded"
    old, new = stack.attempts(operation)
    assert (old["state"], old["cause"], new["state"]) == ("void", "superseded", "succeeded")
    assert old["message"] == "given up for lost by hler_operator (jo) - its host is gone"

    # cancel says what it met
    assert "had ended already" in stack.hler("cancel", str(operation))
    operation = held(stack, "sleep 600")
    assert "was held" in stack.hler("cancel", str(operation))
    stack.signal("worker-1", signal.SIGCONT)
