"""Two dispatchers and three workers, one of each frozen for twice `lost_after` in mid-work: every operation
runs exactly once, and a witness file says so."""
import collections
import os
import signal
import time

from stack import read, wait_for

LOST_AFTER_MS = 3000
OPERATIONS = 500
PINGS = 1500
PAUSE_S = 2.5  # the least that a worker slept then


def test_five_hundred_operations_with_a_frozen_pair(make_stack):
    stack = make_stack("--dispatchers", "2", "--workers", "3", "--slots", "4", "--lost-after-ms", str(LOST_AFTER_MS))
    witness = stack.path("witness")
    operations = [stack.shell(f"echo $HLER_OPERATION >>{witness}; sleep 0.05") for _ in range(OPERATIONS)]
    wait_for(lambda: os.path.exists(witness) and len(read(witness).split()) >= 50, what="the first fifty")
    for name in ("dispatcher-1", "worker-2"):
        stack.signal(name, signal.SIGSTOP)
    time.sleep(2 * LOST_AFTER_MS / 1000)
    for name in ("dispatcher-1", "worker-2"):
        stack.signal(name, signal.SIGCONT)
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.operations WHERE state IN ('succeeded', 'failed', 'cancelled')")
             >= OPERATIONS, timeout=180, what="the end of all")
    states = {r["state"]: r["n"] for r in stack.sql("SELECT state, count(*) AS n FROM hler.operations GROUP BY state")}
    assert states == {"succeeded": OPERATIONS}
    ran = collections.Counter(read(witness).split())
    assert set(ran) == {str(o) for o in operations}
    assert set(ran.values()) == {1}, [o for o, n in ran.items() if n != 1]
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.attempts WHERE state = 'succeeded' AND NOT output_complete") == 0,
             what="all events")


def test_work_goes_on_without_heartbeats(make_stack):
    """What arrived while the worker waited for an answer of the broker is handled at once, not with whatever the
    broker says next: nothing else wakes these workers within PAUSE_S."""
    stack = make_stack("--workers", "2", "--slots", "16", "--heartbeat-ms", "60000", "--lost-after-ms", "600000",
                       "--set", "worker.broker.heartbeat_s=120")
    with stack.connect("frontend") as c:
        c.cursor().execute("INSERT INTO hler.operation (type, inputs) SELECT 'hler.ping', '{}' FROM generate_series(1, %s)",
                           (PINGS,))
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.operations WHERE state = 'succeeded'") == PINGS,
             timeout=180, what="the end of all")
    pause_s = stack.one("SELECT extract(epoch FROM max(gap)) FROM (SELECT started_at - lag(started_at) OVER (ORDER BY "
                        "started_at) AS gap FROM hler.attempts WHERE state = 'succeeded') AS starts")
    assert pause_s < PAUSE_S
