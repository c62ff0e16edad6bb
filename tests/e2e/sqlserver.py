"""A private PostgreSQL for the tests of proto/sql: its own directory and port, ended at exit."""

import atexit
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import uuid

import psycopg2
import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SQL = TOP / "proto" / "sql"
ROOT = os.path.realpath(os.environ["HLER_SERVERS_ROOT"]) if os.environ.get("HLER_SERVERS_ROOT") else ""


def bin_dir():
    """Where initdb lies: Debian keeps it out of PATH."""
    found = None if ROOT else shutil.which("initdb")
    if found:
        return pathlib.Path(found).parent
    newest = sorted(pathlib.Path(f"{ROOT}/usr/lib/postgresql").glob("*/bin"))[-1]
    return pathlib.Path(str(newest).removeprefix(ROOT))


class SqlServer:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hler-sql-"))
        if os.geteuid() == 0:
            subprocess.run([*self.in_root(), "chown", "postgres:postgres", self.dir], check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.databases = 0
        atexit.register(self.stop)
        self.run("initdb", "-D", self.dir / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                 "--no-sync")
        self.run("pg_ctl", "-D", self.dir / "data", "-w", "-l", self.dir / "log", "-o",
                 f"-k {self.dir} -p {self.port} -h '' -c fsync=off -c max_connections=60", "start")

    def in_root(self):
        """What stands before each command of the server's system."""
        return [TOP / "deploy/lib/in-root", ROOT, self.dir] if ROOT else []

    def as_postgres(self, argv):
        """PostgreSQL refuses to run as root."""
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        return list(map(str, [*self.in_root(), *user, *argv]))

    def run(self, program, *args):
        done = subprocess.run(self.as_postgres([bin_dir() / program, *args]), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self):
        if self.dir.exists():
            subprocess.run(self.as_postgres([bin_dir() / "pg_ctl", "-D", self.dir / "data", "-w", "-m", "immediate", "stop"]),
                           capture_output=True, check=False)
            shutil.rmtree(self.dir, ignore_errors=True)
            if ROOT:
                os.rmdir(ROOT + str(self.dir)) # on which in-root showed it

    def connect(self, database, user="postgres", autocommit=True):
        connection = psycopg2.connect(host=str(self.dir), port=self.port, dbname=database, user=user)
        connection.autocommit = autocommit
        return connection

    def admin(self, sql):
        connection = self.connect("postgres")
        with connection.cursor() as cursor:
            cursor.execute(sql)
        connection.close()

    def database(self):
        """Name of a new database with every migration applied, each in one transaction."""
        if self.databases == 0:
            self.make_template()
        self.databases += 1
        name = f"t{self.databases}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE migrated")
        return name

    def make_template(self):
        self.admin("CREATE DATABASE migrated")
        for path in sorted(SQL.glob("[0-9]*.sql")):
            version, name = path.stem.split("_", 1)
            note = f"INSERT INTO hler.schema_migration VALUES ({int(version)}, '{name}', '')"
            done = subprocess.run(["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-h", str(self.dir), "-p",
                                   str(self.port), "-U", "postgres", "-d", "migrated", "-f", str(path), "-c", note],
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{path.name}: {done.stderr}"
        for login, role in [("front", "hler_frontend"), ("other", "hler_frontend"), ("oper", "hler_operator"),
                            ("disp", "hler_dispatcher"), ("nobody_", None)]:
            self.admin(f"CREATE ROLE {login} LOGIN" + (f" IN ROLE {role}" if role else ""))


class Fault(Exception):
    """A refusal of ours: .code is the SQLSTATE, .faults the DETAIL."""

    def __init__(self, error):
        super().__init__(str(error))
        self.code = error.pgcode
        try:
            self.faults = json.loads(error.diag.message_detail or "null")
        except ValueError:
            self.faults = None

    @property
    def rules(self):
        return sorted((f["field"], f["rule"]) for f in self.faults or [])


class Database:
    def __init__(self, server, name):
        self.server, self.name, self.users = server, name, {}

    def connection(self, user="postgres"):
        if user not in self.users:
            self.users[user] = self.server.connect(self.name, user)
        return self.users[user]

    def rows(self, sql, args=None, user="postgres"):
        with self.connection(user).cursor() as cursor:
            try:
                cursor.execute(sql, args)
            except psycopg2.Error as error:
                raise Fault(error) from error
            found = cursor.fetchall() if cursor.description else []
        # other tests of this process may have taught psycopg2 to make UUID objects
        return [tuple(str(value) if isinstance(value, uuid.UUID) else value for value in row) for row in found]

    def one(self, sql, args=None, user="postgres"):
        rows = self.rows(sql, args, user)
        return rows[0][0] if rows else None

    def catalog(self, definition):
        return self.rows("SELECT * FROM hler_core.catalog_apply(%s)", [json.dumps(definition)], "oper")[0]

    def close(self):
        for connection in self.users.values():
            connection.close()


def until(check, seconds=10):
    """Poll for a true answer."""
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.02)


INSTANCE = "11111111-1111-4111-8111-111111111111"
SESSION = "22222222-2222-4222-8222-222222222222"


class Plumbing(Database):
    """A database and the dispatcher's and the workers' part in it, as short words."""

    def type(self, name="t.one", tasks=1, fields=(), version=1, **task):
        self.catalog({"name": name, "version": version, "fields": list(fields),
                      "tasks": [{"name": f"s{n}", "executor": "command", "spec": {"argv": ["true"]}, **task}
                                for n in range(1, tasks + 1)]})
        return name

    def submit(self, name="t.one", inputs=None, user="front", **more):
        columns = {"type": name, "inputs": json.dumps(inputs or {}), **more}
        return self.one(f"INSERT INTO hler.operation ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
                        " RETURNING id", list(columns.values()), user)

    def offer(self, most=100):
        """Offers as dicts (their messages), with the pool."""
        return [{**json.loads(message), "pool": pool} for pool, message in
                self.rows("SELECT pool, message FROM hler_core.offer_due('d', %s)", [most], "disp")]

    def claim(self, offers, worker="w1", instance=INSTANCE):
        rows = self.rows("SELECT * FROM hler_core.grant_claims(%s, %s, %s::uuid[], %s::uuid[], %s::uuid[], %s, %s)",
                         [list(range(len(offers))), [worker] * len(offers), [instance] * len(offers),
                          [SESSION] * len(offers), [o["task"] for o in offers], [o["attempt"] for o in offers],
                          [o["token"] for o in offers]], "disp")
        return [row[4] for row in rows]

    def events(self, events):
        """[(offer, kind, seq, data)] or with a worker as fifth; the verdicts."""
        rows = self.rows(
            "SELECT * FROM hler_core.record_state(%s, %s, %s::uuid[], %s, %s, %s::bigint[], %s::timestamptz[], %s)",
            [[e[4] if len(e) > 4 else "w1" for e in events], [e[1] for e in events], [e[0]["task"] for e in events],
             [e[0]["attempt"] for e in events], [e[0]["token"] for e in events], [e[2] for e in events],
             ["2026-01-02T03:04:05Z"] * len(events),
             [e[3] if isinstance(e[3], str) else json.dumps(e[3]) for e in events]], "disp")
        return [row[1] for row in rows]

    def output(self, offer, pieces, worker="w1"):
        """[(seq, stream, text)]"""
        n = len(pieces)
        rows = self.rows(
            "SELECT * FROM hler_core.record_output(%s, %s, %s::uuid[], %s, %s, %s, %s::timestamptz[], %s, %s,"
            " %s::bytea[], %s::text[])",
            [[worker] * n, ["output"] * n, [offer["task"]] * n, [offer["attempt"]] * n, [offer["token"]] * n,
             [p[0] for p in pieces], ["2026-01-02T03:04:05Z"] * n, [p[1] for p in pieces], [p[2] for p in pieces],
             [None] * n, [None] * n], "disp")
        return [row[1] for row in rows]

    def beat_body(self, held=(), instance=INSTANCE, **more):
        return json.dumps({"session": SESSION, "number": 1, "instance": instance, "pool": "default", "slots": 4, "free": 4,
                           "held": [{"task": o["task"], "attempt": o["attempt"], "token": o["token"], "state": state}
                                    for o, state in held], **more})

    def beats(self, bodies):
        """Heartbeats of one batch: [(worker, text)]; (worker, kind, number) of what is to be said."""
        return self.rows("SELECT worker, kind, number FROM hler_core.heartbeat(%s, %s, %s)",
                         [[w for w, _ in bodies], [f"hler.control.{w}.{SESSION}" for w, _ in bodies], [b for _, b in bodies]], "disp")

    def beat(self, held=(), worker="w1", instance=INSTANCE, **more):
        return self.rows("SELECT kind, task, attempt, cause, grace_ms, number FROM hler_core.heartbeat(%s, %s, %s)",
                         [[worker], [f"hler.control.{worker}.{SESSION}"], [self.beat_body(held, instance, **more)]], "disp")

    def silence(self, ms=120000):
        """Ticks that pass so much time."""
        self.rows("SELECT hler_core.tick(coalesce(last_tick_at, now()), 60000, %s) FROM hler.silence", [ms])
        return self.one("SELECT hler_core.tick(last_tick_at + %s * interval '1 ms', 60000, %s) FROM hler.silence",
                        [ms, ms])

    def run(self, offer, state="succeeded", **end):
        """Claim and go through the whole of an attempt."""
        assert self.claim([offer]) == ["granted"]
        return self.events([(offer, "started", 1, {}), (offer, "finished", 2, finished(state, **end))])

    def operation(self, op):
        return self.one("SELECT state FROM hler.operations WHERE id = %s", [op])

    def states(self, op):
        """(operation, [tasks])"""
        return (self.operation(op), [r[0] for r in self.rows(
            "SELECT state FROM hler.tasks WHERE operation = %s ORDER BY no", [op])])

    def later(self, op):
        """Bring forward what waits, as time would."""
        self.rows("UPDATE hler.task SET ready_at = now() WHERE state = 'waiting' AND operation = %s", [op])
        return self.rows("SELECT * FROM hler_core.clock_step()", user="disp")


def finished(state="succeeded", results=0, cause=None, **more):
    cause = cause or {"succeeded": "done", "failed": "exit", "cancelled": "cancelled", "timed_out": "deadline"}[state]
    return {"state": state, "cause": cause, "message": f"it {state}", "exit_code": 0, "signal": None,
            "retryable": False, "outputs": {}, "results": results, "output_bytes": 0, "dropped_bytes": 0,
            "duration_ms": 1, "left_behind": 0, **more}


SERVERS = []


def shared_server():
    """One server for all tests of this process."""
    if not SERVERS:
        SERVERS.append(SqlServer())
    return SERVERS[0]


def new_database():
    server = shared_server()
    return Plumbing(server, server.database())


@pytest.fixture(name="db")
def database_of_its_own():
    database = new_database()
    yield database
    database.close()
