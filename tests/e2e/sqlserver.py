"""A private PostgreSQL for the tests of proto/sql: its own directory and port, ended at exit."""

import atexit
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

import psycopg2
import psycopg2.extensions

SQL = pathlib.Path(__file__).resolve().parents[2] / "proto" / "sql"


def bin_dir():
    """Where initdb lies: Debian keeps it out of PATH."""
    found = shutil.which("initdb")
    if found:
        return pathlib.Path(found).parent
    return sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]


def as_postgres(argv):
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *map(str, argv)] if os.geteuid() == 0 else list(map(str, argv))


class SqlServer:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hler-sql-"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.dir, owner.pw_uid, owner.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.databases = 0
        atexit.register(self.stop)
        self.run("initdb", "-D", self.dir / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                 "--no-sync")
        self.run("pg_ctl", "-D", self.dir / "data", "-w", "-l", self.dir / "log", "-o",
                 f"-k {self.dir} -p {self.port} -h '' -c fsync=off -c max_connections=60", "start")

    def run(self, program, *args):
        done = subprocess.run(as_postgres([bin_dir() / program, *args]), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self):
        if self.dir.exists():
            subprocess.run(as_postgres([bin_dir() / "pg_ctl", "-D", self.dir / "data", "-w", "-m", "immediate", "stop"]),
                           capture_output=True, check=False)
            shutil.rmtree(self.dir, ignore_errors=True)

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
        """A new database with every migration applied, each in one transaction."""
        if self.databases == 0:
            self.make_template()
        self.databases += 1
        name = f"t{self.databases}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE migrated")
        return Database(self, name)

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
            return cursor.fetchall() if cursor.description else []

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
