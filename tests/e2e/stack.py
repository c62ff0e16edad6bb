"""A stack of deploy/stack for tests, and what one asks of it: as a front end (psycopg2), as a stranger on
a listener's queue (pika), as a person (hler), and as whoever kills and stops processes."""
import base64
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request
import uuid

import pika
import psycopg2
import psycopg2.extras

import broker

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build")))
SANITIZERS = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
ENDS = ("succeeded", "failed", "cancelled")
KEPT = ("field", "listener", "operation_type", "pool", "schema_migration", "silence", "task_type", "transition") # tables that `renew` leaves alone
READ_BY = {"dispatcher": ("hler.claims", "hler.state", "hler.life", "hler.output"), "worker_1": ("hler.tasks.default",)}
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error: ).*")

psycopg2.extras.register_uuid()


def wait_for(look, timeout=30, what="it"):
    """Polls look() until it is true and returns that; fails with what look() said last."""
    end = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s; last seen: {seen!r}")
        time.sleep(0.05)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


# Applied by the tests that use it: `hler doctor` rightly finds a pool ill whose workers lack an executor.
NOWHERE = """types = ( { name = "test.nowhere"; version = 1; fields = ();
  tasks = ( { name = "run"; executor = "no-such-executor"; spec = { }; } ); } );"""


def events_of(body):
    """The events of a message's parsed body."""
    return body if isinstance(body, list) else [body]


class Listener:
    """A stranger: reads one queue with pika and nothing else."""

    def __init__(self, url, queue):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.queue = queue
        self.messages = [] # (routing key, properties, parsed body: an event, or a list of them)
        self.raw = [] # the same with the bytes

    def read(self):
        """Takes what is there."""
        while True:
            method, properties, body = self.channel.basic_get(self.queue, auto_ack=True)
            if method is None:
                return self.messages
            try:
                self.messages.append((method.routing_key, properties, json.loads(body)))
                self.raw.append((method.routing_key, properties, body))
            except (ValueError, RecursionError):
                pass # what another test published on purpose

    def forget(self):
        """Throws away what is there, which may be no JSON: tests of bad input use the same exchange."""
        self.channel.queue_purge(self.queue)
        self.messages, self.raw = [], []

    def events(self, operation):
        """The events of one operation, as they came.  Verdicts name it in their key; of what workers say it is in the event."""
        return [e for key, _, body in self.read() for e in events_of(body)
                if isinstance(e, dict) and str(operation) in (e.get("operation"), key.split(".")[4:5][0])]

    def close(self):
        self.connection.close()


class Stack:
    """`options` are those of `deploy/stack up`."""

    def __init__(self, *options, build=BUILD, start=True):
        self.dir = tempfile.mkdtemp(prefix="hler-e2e.")
        os.chmod(self.dir, 0o711)
        self.build = build
        self.options = ["--bin", build, "--heartbeat-ms", "500",
                        "--set", f'worker.roots=["{HERE}/playbooks", "{TOP}/deploy/examples/playbooks"]', *options]
        self.env = {}
        self.connections = {}
        self.settings, self.files = [], set() # after `up`
        if start:
            self.up()

    def up(self):
        environ = dict(os.environ)
        for name in SANITIZERS:
            environ[name] = self.sanitizer_options(name)
        subprocess.run([f"{TOP}/deploy/stack", "up", self.dir, *self.options], check=True, env=environ)
        self.env = dict(re.findall(r"^(\w+)='(.*)'$", read(f"{self.dir}/env"), re.M))
        self.apply(read(f"{HERE}/catalog.cfg"))
        self.settings = self.sql("SELECT * FROM hler.setting", role="migrate")
        self.files = set(os.listdir(self.dir))

    def sanitizer_options(self, name):
        log = f"log_path='{self.dir}/log/sanitizer'"  # quoted: the directory may have spaces
        return ":".join(filter(None, [os.environ.get(name), log]))

    def down(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}
        subprocess.run([f"{TOP}/deploy/stack", "down", self.dir], check=True)
        left = subprocess.run([f"{TOP}/deploy/stack", "status", self.dir], stdout=subprocess.PIPE, text=True, check=False)
        assert re.search(r"^processes +0$", left.stdout, re.M), left.stdout
        reports = self.sanitizer_reports()
        assert not reports, "\n".join(reports)
        if not os.environ.get("HLER_KEEP"):
            subprocess.run(["rm", "-rf", self.dir], check=True)

    def renew(self):
        """As after `up`, but for the servers, which go on: no operation, no message, empty spools, settings as they were."""
        programs = [name.removesuffix(".pid") for name in os.listdir(f"{self.dir}/run") if name.startswith(("dispatcher-", "worker-"))]
        for pid in [self.pid(name) for name in programs] + processes_marked(f"{self.dir}/spool/"):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda p=pid: not alive(p), what=f"the end of {pid}")
        # The servers go on with what was sent to them before: one heartbeat of the old worker, and the new one is a second instance.
        wait_for(lambda: broker.programs_are_gone(self.dir), what="the end of their connections")
        wait_for(lambda: self.one("SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, 'hler-')", role="migrate") == 0,
                 what="the end of their sessions")
        for user, queues in READ_BY.items():
            channel = self.amqp(user)
            for queue in queues:
                wait_for(lambda q=queue, c=channel: c.queue_declare(q, passive=True).method.consumer_count == 0, what="the end of consumers")
                channel.queue_purge(queue)
            channel.connection.close()
        stranger = self.listener()
        stranger.forget()
        stranger.close()
        tables = [r["relname"] for r in self.sql("""SELECT relname FROM pg_class WHERE relnamespace = 'hler'::regnamespace
                      AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> ALL (%s)""", list(KEPT), role="migrate")]
        self.sql("TRUNCATE " + ", ".join(f"hler.{t}" for t in tables), role="migrate")
        self.sql("INSERT INTO hler.setting SELECT * FROM json_populate_recordset(NULL::hler.setting, %s)", json.dumps(self.settings),
                 role="migrate")
        for name in set(os.listdir(self.dir)) - self.files | {"spool"}:
            subprocess.run(["rm", "-rf", f"{self.dir}/{name}"], check=True)
        os.mkdir(self.path("spool"), 0o700)
        for name in programs:
            if name.startswith("worker-"):
                os.mkdir(self.path(f"spool/{name}"), 0o700)
            os.truncate(self.path(f"log/{name}.log"), 0)
            self.restart(name)
        wait_for(lambda: self.one("SELECT count(*) FROM hler.workers WHERE state = 'live'") == sum(n.startswith("worker-") for n in programs),
                 what="its workers")

    def sanitizer_reports(self):
        found = []
        for name in sorted(os.listdir(f"{self.dir}/log")):
            text = read(f"{self.dir}/log/{name}")
            found += [f"{name}: {text[m.start():m.start() + 4000]}" for m in [SANITIZER.search(text)] if m]
        return found

    def restart(self, name):
        if name == "database":
            self.connections = {} # they will not outlive it
        subprocess.run([f"{TOP}/deploy/stack", "restart", self.dir, name], check=True)

    # ---- database ----

    def connect(self, role="operator"):
        """A new connection of a role: frontend, operator, dispatcher or migrate (the superuser)."""
        connection = psycopg2.connect(self.env[f"HLER_{role.upper()}_DSN"])
        connection.autocommit = True
        return connection

    def sql(self, query, *args, role="operator"):
        """The rows, as dictionaries; nothing for a statement without rows."""
        if role not in self.connections or self.connections[role].closed:
            self.connections[role] = self.connect(role)
        with self.connections[role].cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(query, args)
            return [dict(r) for r in cursor.fetchall()] if cursor.description else []

    def one(self, query, *args, role="operator"):
        rows = self.sql(query, *args, role=role)
        assert len(rows) == 1, rows
        row = rows[0]
        return next(iter(row.values())) if len(row) == 1 else row

    # ---- the main job ----

    def submit(self, kind, inputs=None, **columns):
        """A plain INSERT, as a front end does it; returns the operation's id."""
        columns = dict(columns, type=kind, inputs=json.dumps(inputs or {}))
        names = ", ".join(columns)
        marks = ", ".join(["%s"] * len(columns))
        return self.one(f"INSERT INTO hler.operation ({names}) VALUES ({marks}) RETURNING id",
                        *columns.values(), role="frontend")

    def shell(self, script, kind="test.shell", **columns):
        return self.submit(kind, {"script": script}, **columns)

    def ask_for(self, name):
        """Asks worker-1 for an attempt, as a dispatcher does that misses something of it."""
        task, attempt, token = name.split(".")
        row, channel = self.sql("SELECT id, session FROM hler.worker", role="migrate")[0], self.amqp("dispatcher")
        channel.confirm_delivery()
        channel.basic_publish("", f"hler.control.{row['id']}.{row['session']}", json.dumps(
            {"v": 1, "kind": "report", "task": task, "attempt": int(attempt), "token": token}), pika.BasicProperties(
                content_type="application/json", type="hler.control.v1", user_id="dispatcher"), mandatory=True)

    def operation(self, operation):
        return self.one("SELECT * FROM hler.operations WHERE id = %s", operation)

    def wait(self, operation, states=ENDS, timeout=30):
        """Waits for a state and returns the operation's row."""
        def look():
            row = self.operation(operation)
            return row if row["state"] in states else None
        try:
            return wait_for(look, timeout)
        except AssertionError:
            raise AssertionError(f"operation {operation} is not {states} after {timeout} s: "
                                 f"{self.describe(operation)}") from None

    def run(self, kind, inputs=None, timeout=30, **columns):
        """Submits and waits for the end; returns the operation's row."""
        return self.wait(self.submit(kind, inputs, **columns), timeout=timeout)

    def recorded(self, operation):
        """The rows of an operation: what stays as it is once it has ended."""
        return {"operations": self.sql("SELECT * FROM hler.operations WHERE id = %s", operation),
                "tasks": self.tasks(operation), "attempts": self.attempts(operation)}

    def describe(self, operation):
        """For the message of a failing test: the operation and who could run it."""
        found = self.recorded(operation)
        found["workers"] = self.sql("SELECT id, state, note, instance, silent_ms FROM hler.workers")
        return json.dumps(found, default=str, indent=1)

    def tasks(self, operation):
        return self.sql("SELECT * FROM hler.tasks WHERE operation = %s ORDER BY no", operation)

    def attempts(self, operation):
        return self.sql("SELECT * FROM hler.attempts WHERE operation = %s ORDER BY task, attempt", operation)

    def events(self, operation):
        """All numbered events of an operation, output and the others, in order."""
        return self.sql("""SELECT task, attempt, seq, type, data FROM hler.events WHERE operation = %s AND seq IS NOT NULL
                           UNION ALL
                           SELECT task, attempt, seq, 'output', json_build_object('stream', stream, 'text', text)
                             FROM hler.output WHERE operation = %s ORDER BY task, attempt, seq""", operation, operation)

    def output(self, operation, stream="stdout"):
        """The bytes of a stream."""
        rows = self.sql("SELECT text, raw FROM hler.output WHERE operation = %s AND stream = %s ORDER BY task, attempt, seq",
                        operation, stream)
        return b"".join(bytes(r["raw"]) if r["raw"] is not None else r["text"].encode() for r in rows)

    def assert_complete(self, operation, timeout=30):
        """Every event of every attempt arrived, once, without a gap."""
        for row in wait_for(lambda: [a for a in self.attempts(operation) if a["finished_at"]], what="an ended attempt"):
            key = (row["task"], row["attempt"])
            wait_for(lambda k=key: self.one("""SELECT output_complete FROM hler.attempts
                                              WHERE task = %s AND attempt = %s""", *k), timeout, f"all output of {key}")
            seqs = [e["seq"] for e in self.events(operation) if (e["task"], e["attempt"]) == key and e["seq"] is not None]
            assert seqs == list(range(1, row["last_seq"] + 1)), seqs

    def assert_in_order(self, operation):
        """Of an attempt's states, of its progress and of its output, none was recorded before one with a lower number."""
        for what in ("hler.events WHERE type <> 'progress'", "hler.events WHERE type = 'progress'", "hler.output WHERE true"):
            rows = self.sql(f"""SELECT task, attempt, seq FROM {what} AND operation = %s AND seq IS NOT NULL
                                 ORDER BY task, attempt, recorded_at, seq""", operation)
            assert rows == sorted(rows, key=lambda r: (str(r["task"]), r["attempt"], r["seq"])), (what, rows)

    # ---- people, strangers, and processes ----

    def environ(self, **more):
        return dict(os.environ, PATH=f"{self.build}/bin:{os.environ['PATH']}", **self.env, **more)

    def hler(self, *args, code=0, **more):
        """Runs `hler`; returns its stdout."""
        done = subprocess.run([f"{self.build}/bin/hler", *args], env=self.environ(**more), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert code is None or done.returncode == code, f"hler {args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        self.last_error = done.stderr
        return done.stdout

    def apply(self, text):
        path = f"{self.dir}/{uuid.uuid4()}.cfg"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("@TOP@", TOP))
        return self.hler("catalog", "apply", path)

    def only_queues(self):
        """Claims that workers make ahead are not used: all offers go through the pools' queues."""
        self.hler("setting", "set", "standing_claim_ms", "0")

    def listener(self):
        return Listener(self.env["HLER_LISTENER_URL"], self.env["HLER_LISTENER_QUEUE"])

    def amqp(self, user):
        """A channel of a broker user: dispatcher, operator, worker_1."""
        connection = pika.BlockingConnection(pika.URLParameters(self.env[f"HLER_AMQP_URL_{user.upper()}"]))
        return connection.channel()

    def manage(self, method, path, body=None):
        """The broker's management API, as its administrator."""
        user, password, base = re.fullmatch(r"http://([^:]+):([^@]+)@(.*)", self.env["HLER_MANAGEMENT_URL"]).groups()
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request = urllib.request.Request(f"http://{base}/api/{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"content-type": "application/json", "authorization": f"Basic {token}"})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or "null")

    def pid(self, name):
        return int(read(f"{self.dir}/run/{name}.pid").split()[0])

    def signal(self, name, signo):
        os.kill(self.pid(name), signo)

    def kill(self, name):
        """kill -9, and waits until it is gone."""
        pid = self.pid(name)
        assert alive(pid), f"{name} had ended by itself: {self.log(name)[-4000:]}"
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), what=f"the end of {name}")

    def log(self, name):
        return read(f"{self.dir}/log/{name}.log")

    def servers_root(self):
        """Where the servers come from: "" is this system."""
        return read(f"{self.dir}/run/servers-root").strip()

    def path(self, name):
        return os.path.join(self.dir, name)


def alive(pid):
    try:
        return read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def parent(pid):
    """Of a process; 0 when it is gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def cmdline(pid):
    try:
        return read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    except OSError:
        return ""


def processes_marked(text):
    """Pids of living processes whose command line or environment has this text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f, open(f"/proc/{pid}/environ", "rb") as g:
                if text.encode() in f.read() + g.read() and int(pid) != os.getpid() and alive(pid):
                    found.append(int(pid))
        except OSError:
            pass
    return found


def runs_in(pid, path):
    try:
        return read(f"/proc/{pid}/comm").strip() == "hler-runner" and os.readlink(f"/proc/{pid}/cwd") == path
    except OSError:
        return False
