"""What the measurements run against: a private stack, the processes in it, and the Celery peer."""
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

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
PYTHON = "/usr/bin/python3"              # Debian's, which has Debian's Celery
TICK = os.sysconf("SC_CLK_TCK")
CATALOG = f"""
types = (
  {{ name = "bench.true"; version = 1; tasks = (
      {{ name = "run"; executor = "command"; spec = {{ argv = [ "/bin/true" ]; }}; }} ); }},
  {{ name = "bench.stamp"; version = 1;
    fields = ( {{ name = "path"; type = "string"; required = true; }} );
    tasks = ( {{ name = "run"; executor = "command"; spec = {{ argv = [ "{BUILD}/bench/stamp" ]; }}; }} ); }},
  {{ name = "bench.lines"; version = 1;
    fields = ( {{ name = "count"; type = "integer"; required = true; }} );
    tasks = ( {{ name = "run"; executor = "command"; spec = {{ argv = [ "{HERE}/lines" ]; }}; }} ); }},
  {{ name = "bench.sleep"; version = 1; tasks = (
      {{ name = "run"; executor = "command"; spec = {{ argv = [ "/bin/sleep", "20" ]; }}; }} ); }}
);
"""
PEER_SCHEMA = """
DROP TABLE IF EXISTS ops, events;
CREATE TABLE ops(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state smallint NOT NULL DEFAULT 0,
  payload text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), claimed_at timestamptz, done_at timestamptz);
CREATE INDEX ops_pending ON ops(id) WHERE state = 0;
CREATE TABLE events(op_id bigint NOT NULL, seq int NOT NULL, kind smallint NOT NULL,
  at timestamptz NOT NULL DEFAULT now(), body text, PRIMARY KEY(op_id, seq));
"""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def processes():
    """{pid: (parent, command name, cpu seconds, reaped children's included)}"""
    out = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open(f"/proc/{d}/stat", encoding="utf-8", errors="replace") as f:
                    text = f.read()
            except OSError:
                continue
            name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
            out[int(d)] = (int(rest[1]), name, sum(int(x) for x in rest[11:15]) / TICK)
    return out


def memory_kb(pid):
    """(resident, private) KiB of one process."""
    rss = private = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        for line in f:
            if line.startswith("Rss:"):
                rss = int(line.split()[1])
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                private += int(line.split()[1])
    return rss, private


class Stack:
    """deploy/stack in a directory of its own, and a database and vhost beside it for the peers."""

    def __init__(self, workers=2, slots=64):
        self.dir = tempfile.mkdtemp(prefix="hler-bench.")
        os.rmdir(self.dir)
        say(f"stack up: {workers} workers of {slots} slots, one dispatcher")
        subprocess.run([f"{TOP}/deploy/stack", "up", self.dir, "--workers", str(workers), "--slots", str(slots),
                        "--bin", BUILD, "--set", f"worker.commands=[\"/bin\",\"/usr/bin\",\"{HERE}\",\"{BUILD}/bench\"]"],
                       check=True, stdout=subprocess.DEVNULL)
        with open(f"{self.dir}/env", encoding="utf-8") as f:
            self.env = dict(re.findall(r"^(\w+)='(.*)'$", f.read(), re.M))
        self.environ = dict(os.environ, **self.env)
        self.prepare_types()
        # The peers have no listener; the stack's own would be sent a copy of everything.
        subprocess.run([f"{BUILD}/bin/hler", "listener", "remove", "stack"], check=True, env=self.environ,
                       stdout=subprocess.DEVNULL)
        self.prepare_peers()

    def prepare_types(self):
        path = f"{self.dir}/bench.cfg"
        with open(path, "w", encoding="utf-8") as f:
            f.write(CATALOG)
        subprocess.run([f"{BUILD}/bin/hler", "catalog", "apply", path], check=True, env=self.environ,
                       stdout=subprocess.DEVNULL)

    def prepare_peers(self):
        self.admin = psycopg2.connect(self.env["HLER_MIGRATE_DSN"])
        self.admin.autocommit = True
        self.admin.cursor().execute("CREATE DATABASE bench")
        self.peer_dsn = self.env["HLER_MIGRATE_DSN"] + " dbname=bench"
        self.manage("PUT", "vhosts/bench", {})
        self.manage("PUT", "users/bench", {"password": "bench", "tags": ""})
        self.manage("PUT", "permissions/bench/bench", {"configure": ".*", "write": ".*", "read": ".*"})
        self.port = re.search(r":(\d+)/", self.env["HLER_LISTENER_URL"].split("@")[1]).group(1)

    def manage(self, method, path, body):
        url = self.env["HLER_MANAGEMENT_URL"]
        user, password, base = re.match(r"http://([^:]+):([^@]+)@(.*)", url).groups()
        manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, f"http://{base}", user, password)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
        request = urllib.request.Request(f"http://{base}/api/{path}", json.dumps(body).encode(),
                                         {"content-type": "application/json"}, method=method)
        opener.open(request).close()

    def reset_peers(self, rows):
        c = psycopg2.connect(self.peer_dsn)
        c.autocommit = True
        k = c.cursor()
        k.execute(PEER_SCHEMA)
        k.execute("INSERT INTO ops(payload) SELECT repeat('p', 300) FROM generate_series(1, %s)", (rows,))
        k.execute("VACUUM ANALYZE ops")
        k.execute("CHECKPOINT")
        c.close()

    def front_end(self):
        c = psycopg2.connect(self.env["HLER_FRONTEND_DSN"])
        c.autocommit = True
        return c, c.cursor()

    def pids(self, name):
        """Ours by program name: those whose command line or environment names this stack."""
        found = []
        for pid, (_, command, _) in processes().items():
            if command == name[:15]:
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        if self.dir.encode() in f.read():
                            found.append(pid)
                except OSError:
                    pass
        return found

    def down(self):
        self.admin.close()
        subprocess.run([f"{TOP}/deploy/stack", "down", self.dir], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)


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
        end = time.monotonic() + 30
        while not os.path.exists(ready):
            if p.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"bench: celery {name} did not start: see {self.stack.dir}/celery.log")
            time.sleep(0.02)
        return p

    def client(self, *arguments):
        r = subprocess.run([PYTHON, f"{HERE}/celery_client.py", *map(str, arguments)], cwd=HERE, env=self.env,
                           stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(r.stdout)

    def stop(self):
        for p in self.processes:
            p.send_signal(signal.SIGTERM)
        for p in self.processes:
            p.wait(30)
