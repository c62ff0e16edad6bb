"""Wrong settings, and parts that are away at the start."""
import os
import re
import subprocess
import time

import pytest

from stack import NOWHERE, read, wait_for


def run(stack, program, config, timeout=20):
    return subprocess.run([f"{stack.build}/bin/{program}", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout, check=False)


def changed(stack, name, *changes):
    """A copy of a configuration; each change is (pattern, replacement), which must match."""
    text = read(stack.path(f"etc/{name}.conf"))
    for pattern, replacement in changes:
        text, n = re.subn(pattern, replacement, text)
        assert n, pattern
    path = stack.path(f"changed.{name}.{time.monotonic_ns()}.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


@pytest.mark.parametrize("program, name", [("hler-worker", "worker-1"), ("hler-dispatcher", "dispatcher-1")])
def test_all_faults_at_once_with_their_lines(stack, program, name):
    config = changed(stack, name, (r"(broker: \{[^}]*port = )\d+", r"\g<1>70000"), (r"vhost = .*", "vhost = 5;\n    nonsense = 1;"))
    done = run(stack, program, config)
    assert done.returncode == 78, done
    text = read(config).split("\n")
    for word in ("port = 70000", "vhost", "nonsense"):
        line = next(i for i, l in enumerate(text, 1) if word in l)
        assert re.search(rf"^{re.escape(config)}:{line}: .*{word.split()[0]}", done.stdout, re.M), (word, done.stdout)


def test_what_cannot_work_is_told_with_all_else(stack):
    said = run(stack, "hler-worker", changed(stack, "worker-1", (r"slots = \d+", "slots = 0"), (r"pool = .*;", 'pool = "x y";'),
                                             (r"roots = \[", 'roots = ["not/absolute", '))).stdout
    assert all(key in said for key in ("worker.slots", "worker.pool", "worker.roots")), said


@pytest.mark.parametrize("program", ["hler-worker", "hler-dispatcher"])
def test_no_such_file_and_bad_syntax(stack, program):
    assert run(stack, program, stack.path("none.conf")).returncode == 78
    with open(stack.path("syntax.conf"), "w", encoding="utf-8") as f:
        f.write("broker: { port = ;")
    done = run(stack, program, stack.path("syntax.conf"))
    assert done.returncode == 78 and "syntax.conf:1" in done.stdout, done


class Started:
    """A program of our own beside the stack, with its log."""

    def __init__(self, stack, program, config):
        self.path = stack.path(f"log/{program}.{time.monotonic_ns()}.log")
        with open(self.path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([f"{stack.build}/bin/{program}", "--config", config], stdout=log, stderr=log,
                                            env=dict(os.environ, HLER_STACK=stack.dir))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(15) == 0, self.log()

    def log(self):
        return read(self.path)

    def stays_quiet(self, seconds=4, most=6):
        """Tries again and again without a line for each try."""
        time.sleep(seconds)
        assert self.process.poll() is None, self.log()
        assert len(self.log().splitlines()) <= most, self.log()

    def says(self, pattern):
        wait_for(lambda: re.search(pattern, self.log()), what=pattern)


def test_broker_away_at_the_start(stack):
    for program, name in (("hler-worker", "worker-2"), ("hler-dispatcher", "dispatcher-1")):
        changes = [(r"(broker: \{[^}]*port = )\d+", r"\g<1>1")]
        if program == "hler-worker":
            changes.append((r"spool/worker-2", "spool/away"))
            os.makedirs(stack.path("spool/away"), mode=0o700, exist_ok=True)
        with Started(stack, program, changed(stack, name, *changes)) as started:
            started.says(r"(?i)refused|cannot|connect")
            started.stays_quiet(most=12)


def test_wrong_broker_password(stack):
    with Started(stack, "hler-dispatcher", changed(stack, "dispatcher-1", (r'(password = )"\w+"(;\s*\})', r'\1"wrong"\2'))) as started:
        started.says(r"(?i)refused|password|login|403")
        started.stays_quiet(most=12)


def test_database_away_at_the_start(stack):
    with Started(stack, "hler-dispatcher", changed(stack, "dispatcher-1", (r"port=\d+", "port=1"))) as started:
        started.says(r"(?i)refused|database")
        started.stays_quiet()


def test_wrong_database_password(stack):
    with Started(stack, "hler-dispatcher", changed(stack, "dispatcher-1", (r"password=\w+", "password=wrong"))) as started:
        started.says(r"(?i)password")
        started.stays_quiet()


def test_missing_schema_is_named_with_its_cure(stack):
    stack.sql("DROP DATABASE IF EXISTS bare", role="migrate")
    stack.sql("CREATE DATABASE bare", role="migrate")
    with Started(stack, "hler-dispatcher", changed(stack, "dispatcher-1", (r"dbname=\w+", "dbname=bare"))) as started:
        started.says(r"hler migrate")
        started.stays_quiet()
    stack.hler("--dsn", stack.env["HLER_OPERATOR_DSN"].replace("dbname=hler", "dbname=bare"), "list", code=3)
    assert "hler migrate" in stack.last_error


def test_migrate_twice_changes_nothing(stack):
    before = stack.sql("SELECT * FROM hler_core.schema_version()")
    stack.hler("migrate")
    assert stack.sql("SELECT * FROM hler_core.schema_version()") == before


def test_a_pool_without_workers_is_seen(stack):
    stack.apply("""types = ( { name = "test.lonely"; version = 1; fields = ();
                   tasks = ( { name = "run"; executor = "command"; pool = "nobody-here"; spec = { argv = [ "/bin/true" ]; }; } ); } );""")
    operation = stack.submit("test.lonely")
    assert stack.operation(operation)["state"] in ("pending", "running")
    pool = wait_for(lambda: stack.sql("SELECT * FROM hler.pools WHERE name = 'nobody-here'"))[0]
    assert pool["workers"] == 0 and pool["note"], pool
    stack.sql("SELECT hler.cancel(%s)", operation)
    assert stack.wait(operation)["state"] == "cancelled"


def test_an_unknown_executor_is_refused_and_said(stack):
    stack.apply(NOWHERE)
    operation = stack.submit("test.nowhere")
    row = wait_for(lambda: (lambda t: t if t["state"] in ("failed", "held") or t["refusals"] else None)(stack.tasks(operation)[0]),
                   what="a refusal")
    assert row["cause"] == "refused" or row["refusals"] >= 1, row
    stack.sql("SELECT hler.cancel(%s)", operation)
