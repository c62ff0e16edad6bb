"""A hundred workers start at once, as after a restart of their machines."""
import glob
import os
import re
import signal
import subprocess
import time

import process
from report import Result, most
from stack import BUILD, Stack, say

WORKERS = 100
SLOTS = 2
PATIENCE_S = 60
REFUSED = re.compile(r"refused|cannot (?:connect|log ?in)|connection (?:lost|closed|reset)|ACCESS_REFUSED|timed? ?out", re.I)
READY = """SELECT count(*) FROM hler.workers AS w JOIN hler.worker AS x ON x.id = w.id
            WHERE w.state = 'live' AND x.session::text <> ALL (%s)"""


def stop_workers(stack):
    """SIGTERM to all of them; a new session of each is then what tells that it has started."""
    pids = stack.pids("hler-worker")
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    process.until(lambda: not stack.pids("hler-worker"), PATIENCE_S, "the end of all workers", 0.1)
    return [r[0] for r in stack.query("SELECT session::text FROM hler.worker WHERE session IS NOT NULL")]


def start_workers(stack):
    """The processes, and each one's log."""
    logs, started = [], []
    environment = dict(os.environ, HLER_STACK=stack.dir) # deploy/stack ends what carries this
    for k in range(1, WORKERS + 1):
        path = f"{stack.dir}/log/start-{time.monotonic_ns()}-{k}.log"
        with open(path, "w", encoding="utf-8") as log:
            started.append(subprocess.Popen([f"{BUILD}/bin/hler-worker", "--config", f"{stack.dir}/etc/worker-{k}.conf"],
                                            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))
        logs.append(path)
    return started, logs


def complaints(paths):
    found = []
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as f:
            found += [line.strip() for line in f if REFUSED.search(line)]
    return found


def start_round(stack, result):
    old = stop_workers(stack)
    broker_logs = glob.glob(f"{stack.dir}/rabbitmq/*.log")
    before = {path: os.path.getsize(path) for path in broker_logs}
    began = time.monotonic()
    started, logs = start_workers(stack)
    forked_s = time.monotonic() - began
    process.until(lambda: stack.one(READY, old) >= 1, PATIENCE_S, "the first worker")
    result.add("first worker ready", time.monotonic() - began)
    process.until(lambda: stack.one(READY, old) >= WORKERS, PATIENCE_S, "all workers")
    result.add(f"all {WORKERS} workers ready", time.monotonic() - began)
    result.add("starting their processes took", forked_s, "s")
    said = complaints(logs)
    result.add("connections refused or lost, by the workers' logs", len(said))
    result.add("lines in the broker's log (warnings and worse)", sum(new_lines(path, before.get(path, 0)) for path in broker_logs))
    result.add("ended processes", sum(p.poll() is not None for p in started))
    for line in said[:3]:
        result.note(f"a worker said: {line}")


def new_lines(path, offset):
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read().count(b"\n")


def start(context):
    result = Result("start", f"{WORKERS} hler-worker processes start at once on this machine: seconds until the tables show them live, and "
                    "what they had to complain of.")
    result.row(f"all {WORKERS} workers ready", "s", most(5))
    result.row("first worker ready", "s")
    result.row("connections refused or lost, by the workers' logs", "lines", most(0))
    result.row("ended processes", "", most(0))
    stack = Stack(workers=WORKERS, slots=SLOTS)
    try:
        for i in range(context.rounds):
            say(f"start: round {i + 1} of {context.rounds}")
            start_round(stack, result)
    finally:
        stack.down()
    return result
