"""A steady load for as long as is asked: does anything grow?  Samples every few seconds; at the end the last third is compared with
the middle one, since the first third fills what is bounded."""
import glob
import json
import os
import statistics
import threading
import time

import load
import process
from report import Result, most
from stack import Stack, say

RATE = 50 # operations a second, committed in ten portions
PORTIONS = 10
LINES_EVERY_S, LINES, LINE_BYTES = 2, 1000, 100
SAMPLE_S = 10
LATE_S = 2 # operations of the last moments may still run
SIZES = """
SELECT sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint, (SELECT sum(n_dead_tup) FROM pg_stat_user_tables
       WHERE schemaname = 'hler')::bigint, (SELECT count(*) FROM hler.operation WHERE finished_at IS NOT NULL)
  FROM pg_class AS c WHERE c.relnamespace = 'hler'::regnamespace AND c.relkind = 'r'"""
LATENCY = """
SELECT extract(epoch FROM t.started_at - o.created_at)::float8 * 1000 FROM hler.operation AS o JOIN hler.task AS t ON t.operation = o.id
 WHERE o.created_at BETWEEN %s::timestamptz - %s * interval '1 second' AND %s AND t.started_at IS NOT NULL"""
# Growth of the median from the middle third to the last one that is still called level: (factor, or so much in absolute terms).
# Latency is a shared machine's most fickle figure.
TOLERANCE = {"rss": (1.05, 512), "files": (1.0, 2), "bytes": (1.10, 0), "dead": (1.5, 5000), "latency": (1.5, 20), "waiting": (1.5, 100),
             "spool": (1.10, 4096), "server": (1.25, 48 * 1024)} # Erlang's collector and shared buffers let a server's swing


class Load(threading.Thread):
    """Commits the load until stop(): RATE operations a second, and now and then a job with lines."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.ending, self.sent, self.fault = stack, threading.Event(), 0, None

    def run(self):
        try:
            self.send()
        except Exception as why: # pylint: disable=broad-except # said by whoever asks, in the main thread
            self.fault = why

    def send(self):
        c, k = self.stack.front_end()
        began, portion = time.monotonic(), 0
        while not self.ending.wait(max(0, began + portion / PORTIONS - time.monotonic())):
            k.execute("INSERT INTO hler.operation (type, inputs) SELECT 'bench.true', '{}' FROM generate_series(1, %s)", (RATE // PORTIONS,))
            self.sent += RATE // PORTIONS
            portion += 1
            if portion % (LINES_EVERY_S * PORTIONS) == 0:
                k.execute("INSERT INTO hler.operation (type, inputs) VALUES ('bench.lines', %s)",
                          (json.dumps({"count": LINES, "bytes": LINE_BYTES}),))
                self.sent += 1
        c.close()

    def stop(self):
        self.ending.set()
        self.join()
        if self.fault:
            raise SystemExit(f"bench: the load ended early: {self.fault}")


def spool_kib(stack):
    return sum(os.path.getsize(p) for p in glob.glob(f"{stack.env['HLER_SPOOLS']}/*/done/*/journal") if os.path.exists(p)) / 1024


def postgres_kib(stack):
    total = 0
    for p in process.tree(stack.pid_on_record("postgres"), process.processes()):
        try:
            total += process.memory_kib(p.pid)["pss"]
        except OSError:
            pass # a vacuum worker that has ended meanwhile
    return total


def programs(stack):
    """{name: pid} of all that may grow; a server's own children come and go."""
    found = {"dispatcher": stack.pids("hler-dispatcher")[0], "broker": stack.pid_on_record("rabbitmq")}
    found.update({f"worker {i + 1}": p for i, p in enumerate(sorted(stack.pids("hler-worker")))})
    found.update({f"spawner {i + 1}": p for i, p in enumerate(sorted(stack.spawners()))})
    return found


def sample(stack, result, watched, sent):
    def add(name, value, unit, kind):
        result.add(name, value, unit)
        result.row(name).kind = kind
    for name, pid in watched.items():
        add(f"{name}: rss", process.memory_kib(pid)["rss"], "KiB", "server" if name == "broker" else "rss")
        add(f"{name}: open files", process.open_files(pid), "", "files")
    add("PostgreSQL: pss of all its processes", postgres_kib(stack), "KiB", "server")
    tables, indexes, dead, ended = stack.query(SIZES)[0]
    add("tables, by ended operation", tables / max(1, ended), "bytes", "bytes")
    add("indexes, by ended operation", indexes / max(1, ended), "bytes", "bytes")
    add("dead rows", dead, "rows", "dead")
    add("operations not ended", sent - ended, "", "waiting")
    add("journals kept in the spools", spool_kib(stack), "KiB", "spool")
    now = stack.one("SELECT clock_timestamp() - %s * interval '1 second'", LATE_S)
    took = [r[0] for r in stack.query(LATENCY, now, SAMPLE_S, now)]
    if took:
        add("creation to start, p50", load.percentile(took, .5), "ms", "latency")
        add("creation to start, p99", load.percentile(took, .99), "ms", "latency")


def thirds(values):
    """Medians of the middle and the last third."""
    n = len(values)
    return statistics.median(values[n // 3:2 * n // 3]), statistics.median(values[2 * n // 3:])


def judge(result):
    """A note for each row; what has grown beyond its tolerance is short."""
    for name, row in list(result.rows.items()):
        if len(row.values) < 6:
            result.note(f"{name}: too few samples to judge; ask for more minutes")
            continue
        middle, last = thirds(row.values)
        factor, absolute = TOLERANCE[row.kind]
        grows = last > max(middle * factor, middle + absolute)
        result.note(f"{name}: {'**growing**' if grows else 'level'} ({middle:,.1f} → {last:,.1f} {row.unit}; tolerated: "
                    f"{factor:g} times or {absolute:g} more)")
        if grows:
            result.short.append(f"{name} grows: {middle:,.1f} → {last:,.1f} {row.unit}")


def plot(result, times):
    charts = {"Resident memory of Hlér": ("KiB", [n for n in result.rows if n.endswith("rss") and not n.startswith("broker")]),
              "Memory of the servers": ("KiB", [n for n in result.rows if n == "broker: rss" or n.startswith("PostgreSQL")]),
              "Latency": ("ms to the start", [n for n in result.rows if n.startswith("creation")]),
              "Tables and indexes": ("bytes by ended operation", [n for n in result.rows if n.endswith("ended operation")]),
              "Dead rows": ("rows", ["dead rows"]), "Open files": ("files", [n for n in result.rows if n.endswith("files")])}
    for title, (label, names) in charts.items():
        result.chart(title=title, x="seconds", y=label, series=[[n, [list(p) for p in zip(times, result.row(n).values)]] for n in names])


def soak(context):
    result = Result("soak", f"{RATE} operations a second and a job of {LINES:,} lines every {LINES_EVERY_S} s for {context.minutes:g} "
                    f"minutes; a sample every {SAMPLE_S} s; the last third beside the middle one.")
    stack, times = Stack(), []
    front = Load(stack)
    try:
        load.run(stack, "bench.true", 100)
        watched, began = programs(stack), time.monotonic()
        before = stack.one("SELECT count(*) FROM hler.operation")
        front.start()
        while time.monotonic() - began < context.minutes * 60:
            time.sleep(SAMPLE_S)
            times.append(time.monotonic() - began)
            sample(stack, result, watched, before + front.sent)
            say(f"soak: {times[-1]:.0f} s")
        front.stop()
        process.until(lambda: not stack.one("SELECT count(*) FROM hler.operation WHERE finished_at IS NULL"), load.PATIENCE_S,
                      "the end of all", 0.5)
        bad = stack.one("SELECT count(*) FROM hler.operation WHERE state <> 'succeeded'")
        result.add("operations that did not succeed", bad, "", most(0))
        result.row("operations that did not succeed").kind = "once"
    finally:
        stack.down()
    finish(result, times)
    return result


def finish(result, times):
    once = {n: result.rows.pop(n) for n in [n for n, r in result.rows.items() if r.kind == "once"]}
    judge(result)
    plot(result, times)
    result.rows.update(once)
    if any(r.median() for r in once.values()):
        result.short.append("some operations did not succeed")
