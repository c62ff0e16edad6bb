"""A private stack for the measurements: deploy/stack in a directory of its own, and a database and a vhost for the peers."""
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import psycopg2

import cgroup
import process

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build")))
BEGAN = time.monotonic()
DONE_MAX = 200 # journals that a worker keeps: from then on each new one costs the end of an old one, as it does for ever after the first days
PROGRAMS = ("hler-dispatcher", "hler-worker", "hler-spawner", "hler-runner", "hler-idle")
PEER_SCHEMA = """
DROP TABLE IF EXISTS ops, events;
CREATE TABLE ops(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state smallint NOT NULL DEFAULT 0,
  payload text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), claimed_at timestamptz, done_at timestamptz);
CREATE INDEX ops_pending ON ops(id) WHERE state = 0;
CREATE TABLE events(op_id bigint NOT NULL, seq int NOT NULL, kind smallint NOT NULL,
  at timestamptz NOT NULL DEFAULT now(), body text, PRIMARY KEY(op_id, seq));
"""


def say(text):
    print(f"bench: [{time.monotonic() - BEGAN:3.0f} s] {text}", file=sys.stderr, flush=True)


def connect(dsn):
    c = psycopg2.connect(dsn)
    c.autocommit = True
    return c


class Stack:
    """Started at once.  `peers` makes the database and the vhost `bench` beside Hlér's."""

    def __init__(self, workers=2, slots=64, peers=False, options=()):
        self.dir = tempfile.mkdtemp(prefix="hler-bench.")
        os.rmdir(self.dir)
        self.workers = workers
        say(f"stack up: {workers} workers of {slots} slots, one dispatcher")
        self.deploy("up", "--workers", str(workers), "--slots", str(slots), "--bin", BUILD,
                    "--heartbeat-ms", "10000", # the worker's own default
                    "--set", f"worker.done_max={DONE_MAX}", "--set",
                    f'worker.commands=["/bin","/usr/bin","{HERE}","{BUILD}/bench"]', *options)
        self.read_environment()
        self.apply_catalog()
        self.admin = connect(self.env["HLER_MIGRATE_DSN"])
        self.account = cgroup.Account(os.path.basename(self.dir), self.spawners())
        # The peers have no listener; the stack's own would be sent a copy of everything.
        self.hler("listener", "remove", "stack")
        if peers:
            self.prepare_peers()

    def deploy(self, command, *options):
        subprocess.run([f"{TOP}/deploy/stack", command, self.dir, *options], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL if command == "up" else None)

    def hler(self, *arguments):
        subprocess.run([f"{BUILD}/bin/hler", *arguments], check=True, env=dict(os.environ, **self.env), stdout=subprocess.DEVNULL)

    def read_environment(self):
        with open(f"{self.dir}/env", encoding="utf-8") as f:
            self.env = dict(re.findall(r"^(\w+)='(.*)'$", f.read(), re.M))
        self.port = re.search(r":(\d+)/", self.env["HLER_AMQP_URL_OPERATOR"].split("@")[1]).group(1)

    def apply_catalog(self):
        with open(f"{HERE}/catalog.cfg", encoding="utf-8") as f:
            text = f.read().replace("@BUILD@", BUILD).replace("@HERE@", HERE)
        with open(f"{self.dir}/bench.cfg", "w", encoding="utf-8") as f:
            f.write(text)
        self.hler("catalog", "apply", f"{self.dir}/bench.cfg")

    def prepare_peers(self):
        self.admin.cursor().execute("CREATE DATABASE bench")
        self.peer_dsn = self.env["HLER_MIGRATE_DSN"].replace("dbname=hler", "dbname=bench")
        self.manage("PUT", "vhosts/bench", {})
        self.manage("PUT", "users/bench", {"password": "bench", "tags": ""})
        self.manage("PUT", "permissions/bench/bench", {"configure": ".*", "write": ".*", "read": ".*"})

    def manage(self, method, path, body=None):
        """A request to the broker's management API; what it answers, or None."""
        user, password, base = re.match(r"http://([^:]+):([^@]+)@(.*)", self.env["HLER_MANAGEMENT_URL"]).groups()
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        request = urllib.request.Request(f"http://{base}/api/{path}", None if body is None else json.dumps(body).encode(),
                                         {"content-type": "application/json", "authorization": f"Basic {secret}"}, method=method)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def reset_peers(self, rows):
        c = connect(self.peer_dsn)
        k = c.cursor()
        k.execute(PEER_SCHEMA)
        k.execute("INSERT INTO ops(payload) SELECT repeat('p', 300) FROM generate_series(1, %s)", (rows,))
        k.execute("VACUUM ANALYZE ops")
        k.execute("CHECKPOINT")
        c.close()

    def front_end(self):
        c = connect(self.env["HLER_FRONTEND_DSN"])
        return c, c.cursor()

    def query(self, sql, *values):
        """All rows, as a superuser, who sees what a front end may not."""
        k = self.admin.cursor()
        k.execute(sql, values)
        return k.fetchall() if k.description else []

    def one(self, sql, *values):
        return self.query(sql, *values)[0][0]

    def restart_database(self):
        self.admin.close()
        self.deploy("restart", "database")
        self.admin = connect(self.env["HLER_MIGRATE_DSN"])

    def pids(self, name):
        """Of one of our programs: those whose environment names this stack."""
        return [p.pid for p in process.processes().values() if p.name == name[:15] and self.owns(p.pid)]

    def owns(self, pid):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                return f"HLER_STACK={self.dir}\0".encode() in f.read()
        except OSError:
            return False

    def pid_on_record(self, name):
        with open(f"{self.dir}/run/{name}.pid", encoding="utf-8") as f:
            return int(f.read().split()[0])

    def spawners(self):
        """One for each worker; the runner of an attempt is a child of one of them."""
        return self.pids("hler-spawner")

    def with_runners(self):
        """The spawners, and all runners that live: those that wait for their next attempt, too."""
        spawners = self.spawners()
        return spawners + [p.pid for p in process.processes().values() if p.parent in spawners]

    def cpu(self):
        """CPU seconds by program; of spawners with runners and their children since the stack was made, where that can be counted."""
        everything = process.processes()
        own = {short: sum(everything[p].own_s for p in self.pids(name) if p in everything)
               for short, name in (("dispatcher", "hler-dispatcher"), ("worker", "hler-worker"))}
        if self.account.seconds() is not None:
            own["runner and child"] = self.account.seconds()
        own.update(self.server_cpu(everything))
        return own

    def server_cpu(self, everything=None):
        everything = everything or process.processes()
        return {"broker": process.tree_seconds(self.pid_on_record("rabbitmq"), everything),
                "PostgreSQL": process.tree_seconds(self.pid_on_record("postgres"), everything)}

    def freeze(self, frozen):
        """Stops or continues all of Hlér's own programs here, so that another stack has the machine."""
        for name in PROGRAMS:
            for pid in self.pids(name):
                with contextlib.suppress(ProcessLookupError): # a runner may be over
                    os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def drain(self, drained):
        """No worker takes a task any more and nothing runs; or all do again, from their next heartbeat on."""
        self.hler("drain", "--pool", "default", "--wait" if drained else "--undo")

    def down(self):
        self.admin.close()
        self.deploy("down")
        self.account.end()
        shutil.rmtree(self.dir, ignore_errors=True)
