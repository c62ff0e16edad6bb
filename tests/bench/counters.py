"""What the broker and the database count themselves, and how often which program syncs."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from broker import evaluate
from process import processes, tree

SYNCS = ("fsync", "fdatasync", "sync", "syncfs") # sync_file_range makes nothing durable
FLUSH_S = 1.3 # PostgreSQL's backends tell their counts once a second at most
ATTACH_S = 0.7


def broker(stack):
    """RabbitMQ's own counters (since 3.9), sums over all protocols and kinds of queue."""
    text = evaluate(stack.dir, "rabbit_global_counters:overview()")
    assert text.startswith("{ok, "), text
    counts = {}
    for name, value in re.findall(r"(\w+) =>\s*(\d+)", text):
        counts[name.removesuffix("_total")] = counts.get(name.removesuffix("_total"), 0) + int(value)
    return counts


def database(stack):
    time.sleep(FLUSH_S)
    names = ("xact_commit", "xact_rollback", "tup_inserted", "tup_updated", "tup_deleted")
    row = stack.query(f"SELECT {', '.join(names)} FROM pg_stat_database WHERE datname = 'hler'")[0]
    wal = ("wal_records", "wal_bytes", "wal_write", "wal_sync")
    more = stack.query(f"SELECT {', '.join(wal)} FROM pg_stat_wal")[0]
    return {**dict(zip(names, map(int, row))), **dict(zip(wal, map(int, more)))}


def tables(stack):
    """Rows written, by table."""
    time.sleep(FLUSH_S)
    rows = stack.query("SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'hler'")
    return {name: (ins, upd, gone) for name, ins, upd, gone in rows}


def difference(after, before):
    return {name: after[name] - before.get(name, 0) for name in after}


def tool():
    """Which program can count system calls here: perf needs the kernel's tracepoints, strace the right to trace."""
    if shutil.which("perf"):
        r = subprocess.run(["perf", "stat", "-e", "syscalls:sys_enter_fsync", "true"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
        if r.returncode == 0:
            return "perf"
    return "strace" if shutil.which("strace") else None


class Syncs:
    """Counts the calls that make something durable, by program, between start and stop.  Children that are born meanwhile count
    with their parent.  `groups` is {name: [pid, …]}; without a tool to count, stop() returns None."""

    def __init__(self, groups):
        self.tool, self.running = tool(), []
        for name, pids in groups.items():
            if self.tool and pids:
                self.running.append((name, *self.attach(pids)))
        time.sleep(ATTACH_S)

    def attach(self, pids):
        fd, path = tempfile.mkstemp(prefix="hler-bench-syncs.")
        os.close(fd)
        if self.tool == "perf":
            events = ",".join(f"syscalls:sys_enter_{s}" for s in SYNCS)
            command = ["perf", "stat", "-x", ",", "-e", events, "-o", path, "-p", ",".join(map(str, pids))]
        else:
            command = ["strace", "-f", "-qq", "-c", "-e", f"trace={','.join(SYNCS)}", "-o", path]
            command += [word for p in pids for word in ("-p", str(p))]
        return path, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.tool is None:
            return None
        counts = {}
        for name, path, running in self.running:
            running.send_signal(signal.SIGINT)
            running.wait(30)
            with open(path, encoding="utf-8") as f:
                counts[name] = self.total(f.read())
            os.unlink(path)
        return counts

    def total(self, text):
        if self.tool == "perf":
            return sum(int(n) for n in re.findall(r"^(\d+),,syscalls:", text, re.M))
        calls = "|".join(SYNCS)
        return sum(int(n) for n in re.findall(rf"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*?\b(?:{calls})$", text, re.M))


def sync_groups(stack):
    everything = processes()
    groups = {"spawner and runners": stack.with_runners(), "worker": stack.pids("hler-worker"), "dispatcher": stack.pids("hler-dispatcher")}
    for name, record in (("broker", "rabbitmq"), ("PostgreSQL", "postgres")):
        groups[name] = [p.pid for p in tree(stack.pid_on_record(record), everything)]
    return groups
