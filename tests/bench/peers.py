"""What Hlér is measured beside: the bare floor, Celery in Aegir's shape, graphile-worker and pg-boss."""
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import process
from stack import BUILD, HERE, connect

PYTHON = sys.executable # Debian's (tests/bench/run), which has Debian's Celery
FLOOR_S = 120 # the floor has no guard against a lost message
NODE_S = 120
NODE = f"{BUILD}/bench/node"
NODE_PEERS = {"graphile-worker": "graphile", "pg-boss": "pgboss"}


class Spent:
    """CPU seconds of a peer's own programs and of both servers, from its making to read()."""

    def __init__(self, stack):
        self.stack, self.own, self.servers = stack, process.Reaped(), stack.server_cpu()

    def read(self, own_s=None):
        now = self.stack.server_cpu()
        return {"peer and child": self.own.used_s() if own_s is None else own_s,
                **{name: now[name] - self.servers[name] for name in now}}


def floor(stack, operations, mode):
    """Operations a second, and CPU seconds by program.  mode: true or none."""
    stack.reset_peers(operations)
    spent = Spent(stack)
    r = subprocess.run([f"{BUILD}/bench/floor", stack.peer_dsn, stack.port, "bench", "bench", "bench", str(operations), "2", "64", mode],
                       check=True, stdout=subprocess.PIPE, text=True, timeout=FLOOR_S)
    return json.loads(r.stdout)["rate"], spent.read()


def celery_missing():
    return "" if importlib.util.find_spec("celery") else "python3-celery is not installed"


class Celery:
    """dispatcherd and relayd, warm."""

    def __init__(self, stack):
        self.stack = stack
        self.env = dict(os.environ, BENCH_BROKER=f"amqp://bench:bench@127.0.0.1:{stack.port}/bench",
                        BENCH_DSN=stack.peer_dsn, PYTHONDONTWRITEBYTECODE="1")
        self.processes = [self.start("dispatcherd", "bench", 2), self.start("relayd", "relay", 1)]

    def start(self, name, queue, concurrency):
        ready = f"{self.stack.dir}/ready.{name}.{time.monotonic_ns()}"
        with open(f"{self.stack.dir}/celery.log", "a", encoding="utf-8") as log:
            p = subprocess.Popen([PYTHON, "-m", "celery", "-A", "celery_app", "worker", "-c", str(concurrency),
                                  "-Q", queue, "-n", f"{name}@bench", "--loglevel", "WARNING"], cwd=HERE,
                                 stdout=log, stderr=log, env=dict(self.env, BENCH_READY=ready))
        process.until(lambda: os.path.exists(ready) or p.poll() is not None, 30, f"celery {name}: see {self.stack.dir}/celery.log")
        return p

    def client(self, *arguments):
        r = subprocess.run([PYTHON, f"{HERE}/celery_client.py", *map(str, arguments)], cwd=HERE, env=self.env,
                           stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(r.stdout)

    def cpu(self):
        everything = process.processes()
        return sum(process.tree_seconds(p.pid, everything) for p in self.processes)

    def drain(self, operations):
        """Operations a second, and CPU seconds; its producer, whose end we reap, counts as part of it."""
        self.stack.reset_peers(operations)
        before, spent = self.cpu(), Spent(self.stack)
        rate = self.client("drain", operations)["rate"]
        return rate, spent.read(self.cpu() - before + spent.own.used_s())

    def stop(self):
        for p in self.processes:
            p.send_signal(signal.SIGTERM)
        for p in self.processes:
            p.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def node_missing():
    """Why the Node peers cannot be measured; empty when they can."""
    try:
        with open(f"{NODE}/missing", encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return "" if os.path.isdir(f"{NODE}/node_modules") else f"{NODE} was not made"


def node(stack, peer, *arguments):
    """The JSON that a Node peer prints, and CPU seconds by program."""
    spent = Spent(stack)
    r = subprocess.run(["node", f"{NODE}/{peer}.cjs", arguments[0], node_url(stack), *map(str, arguments[1:])], check=True,
                       stdout=subprocess.PIPE, text=True, timeout=NODE_S)
    return json.loads(r.stdout), spent.read()


def node_url(stack):
    words = dict(word.split("=", 1) for word in stack.peer_dsn.split())
    return f"postgresql://{words['user']}:{words['password']}@{words['host']}:{words['port']}/{words['dbname']}"


def node_drain(stack, peer, operations, mode):
    stack.reset_peers(operations)
    out, spent = node(stack, peer, "drain", operations, mode)
    done = final_rows(stack)
    if done != operations:
        raise SystemExit(f"bench: {peer}: {done} of {operations} operations are final")
    return out["rate"], spent


def final_rows(stack):
    c = connect(stack.peer_dsn)
    k = c.cursor()
    k.execute("SELECT count(*) FROM ops WHERE state = 3")
    done = k.fetchone()[0]
    c.close()
    return done
