"""Measures Hlér beside a bare C floor and beside Celery in Aegir's shape, on the same private
PostgreSQL and RabbitMQ, in turn (A B C A B C ...); prints medians [min-max] and ratios.

bench.py [NAME ...] [--rounds N] [--json FILE]     NAME: operations latency lines memory
"""
import argparse
import json
import os
import statistics
import subprocess
import time

from contenders import BUILD, Celery, Stack, memory_kb, processes, say

OPERATIONS = 1000
FLOOR_S = 120  # it has no guard against a lost message
LINES = 200_000
CELERY_LINES = 2000
LATENCY_SAMPLES = 60
IDLE_GAP_S = 0.1  # an idle system: the events of the operation before are recorded
IDLE_S = 5
LINE_BYTES = len("line 000000: 0123456789 the quick brown fox jumps over the lazy dog 0123456789 abcdefghij\n")


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def run_operations(stack, count):
    """Committed rows to the last final state; operations a second, by the database's clock."""
    c, k = stack.front_end()
    k.execute("INSERT INTO hler.operation (type, inputs) SELECT 'bench.true', '{}' FROM generate_series(1, %s) "
              "RETURNING id", (count,))
    ids = [r[0] for r in k.fetchall()]
    k.execute("SELECT clock_timestamp()")
    begin = k.fetchone()[0]
    end = time.monotonic() + 300
    while time.monotonic() < end:
        k.execute("SELECT count(*) FILTER (WHERE state = 'succeeded'), max(finished_at), count(*) FILTER "
                  "(WHERE state IN ('failed', 'cancelled', 'held')) FROM hler.operations WHERE id = ANY(%s::uuid[])", (ids,))
        done, last, bad = k.fetchone()
        if bad:
            raise SystemExit(f"bench: {bad} operations did not succeed")
        if done == count:
            c.close()
            return count / (last - begin).total_seconds()
        time.sleep(0.05)
    raise SystemExit("bench: operations did not end")


def bench_operations(stack, rounds):
    rows = {"hler": [], "floor": [], "celery": []}
    floor = os.path.join(BUILD, "bench", "floor")
    run_operations(stack, 100)
    for i in range(rounds):
        say(f"operations: round {i + 1} of {rounds}")
        rows["hler"].append(run_operations(stack, OPERATIONS))
        stack.reset_peers(OPERATIONS)
        r = subprocess.run([floor, stack.peer_dsn, stack.port, "bench", "bench", "bench", str(OPERATIONS), "2", "64"],
                           check=True, stdout=subprocess.PIPE, text=True, timeout=FLOOR_S)
        rows["floor"].append(json.loads(r.stdout)["rate"])
        stack.reset_peers(OPERATIONS)
        celery = Celery(stack)
        try:
            rows["celery"].append(celery.client("drain", OPERATIONS)["rate"])
        finally:
            celery.stop()
    return {"unit": "operations/s", "rows": rows,
            "ratios": {"hler/floor": ("hler", "floor"), "hler/celery": ("hler", "celery")}}


def one_latency(stack, cursor, path, index, patience_s=10):
    cursor.execute("INSERT INTO hler.operation (type, inputs) VALUES ('bench.stamp', json_build_object('path', %s::text))", (path,))
    committed = time.monotonic_ns()
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                stamps = f.read().split()
            if len(stamps) > index:
                return (int(stamps[index]) - committed) / 1e6
        time.sleep(0.005)
    raise SystemExit("bench: a stamp did not come")


def bench_latency(stack, rounds):
    rows = {"hler p50": [], "hler p99": [], "celery p50": [], "celery p99": []}
    c, k = stack.front_end()
    for i in range(rounds):
        say(f"latency: round {i + 1} of {rounds}")
        path = f"{stack.dir}/stamp.{i}"
        took = []
        for j in range(LATENCY_SAMPLES + 3):
            took.append(one_latency(stack, k, path, j))
            time.sleep(IDLE_GAP_S)
        rows["hler p50"].append(percentile(took[3:], .5))
        rows["hler p99"].append(percentile(took[3:], .99))
        stack.reset_peers(0)
        celery = Celery(stack)
        try:
            took = celery.client("latency", LATENCY_SAMPLES, f"{stack.dir}/celery-stamp.{i}")["ms"]
        finally:
            celery.stop()
        rows["celery p50"].append(percentile(took, .5))
        rows["celery p99"].append(percentile(took, .99))
    c.close()
    return {"unit": "ms, COMMIT answered to program's first line", "rows": rows,
            "ratios": {"p50 hler/celery": ("hler p50", "celery p50"), "p99 hler/celery": ("hler p99", "celery p99")}}


def run_lines(stack, count):
    """One job's lines, from its start to the last one committed and readable."""
    c, k = stack.front_end()
    k.execute("INSERT INTO hler.operation (type, inputs) VALUES ('bench.lines', json_build_object('count', %s)) "
              "RETURNING id", (count,))
    op = k.fetchone()[0]
    end = time.monotonic() + 300
    while time.monotonic() < end:
        k.execute("SELECT output_complete, started_at FROM hler.attempts WHERE operation = %s AND finished_at IS NOT NULL", (op,))
        row = k.fetchone()
        if row and row[0]:
            k.execute("SELECT extract(epoch FROM max(recorded_at) - %s), sum(length(text)) FROM hler.output WHERE operation = %s",
                      (row[1], op))
            seconds, size = k.fetchone()
            if size != count * LINE_BYTES:
                raise SystemExit(f"bench: {size} bytes of output recorded")
            c.close()
            return count / float(seconds)
        time.sleep(0.02)
    raise SystemExit("bench: lines did not arrive")


def bench_lines(stack, rounds):
    rows = {"hler": [], "celery": []}
    for i in range(rounds):
        say(f"lines: round {i + 1} of {rounds}")
        rows["hler"].append(run_lines(stack, LINES))
        stack.reset_peers(0)
        celery = Celery(stack)
        try:
            rows["celery"].append(celery.client("lines", CELERY_LINES)["rate"])
        finally:
            celery.stop()
    return {"unit": "lines/s into PostgreSQL", "rows": rows, "ratios": {"hler/celery": ("hler", "celery")}}


def bench_memory(stack, rounds):
    rows = {"dispatcher rss": [], "worker rss": [], "runner rss": [], "runner private": [],
            "idle cpu dispatcher (% of a core)": [], "idle cpu worker (% of a core)": []}
    c, k = stack.front_end()
    for i in range(rounds):
        say(f"memory: round {i + 1} of {rounds}")
        programs = stack.pids("hler-dispatcher") + stack.pids("hler-worker")
        before = processes()
        time.sleep(IDLE_S)
        after = processes()
        used = {p: (after[p][2] - before[p][2]) / IDLE_S * 100 for p in programs}
        dispatcher, worker = stack.pids("hler-dispatcher")[0], stack.pids("hler-worker")[0]
        rows["idle cpu dispatcher (% of a core)"].append(used[dispatcher])
        rows["idle cpu worker (% of a core)"].append(used[worker])
        k.execute("INSERT INTO hler.operation (type, inputs) SELECT 'bench.sleep', '{}' FROM generate_series(1, 20) RETURNING id")
        ids = [r[0] for r in k.fetchall()]
        k.execute("SELECT 1")
        end = time.monotonic() + 15
        runners = []
        while time.monotonic() < end:
            k.execute("SELECT count(*) FROM hler.attempts WHERE operation = ANY(%s::uuid[]) AND state = 'started'", (ids,))
            if k.fetchone()[0] == 20:
                everything = processes()
                runners = [p for p, (_, name, _) in everything.items() if name == "hler-runner"
                           and any(q[0] == p and q[1] == "sleep" for q in everything.values())]
                break
            time.sleep(0.05)
        if len(runners) < 20:
            raise SystemExit("bench: 20 sleeping jobs did not start")
        rows["runner rss"].append(statistics.median(memory_kb(p)[0] for p in runners))
        rows["runner private"].append(statistics.median(memory_kb(p)[1] for p in runners))
        rows["dispatcher rss"].append(memory_kb(dispatcher)[0])
        rows["worker rss"].append(memory_kb(worker)[0])
        for op in ids:
            k.execute("SELECT hler.cancel(%s)", (op,))
    c.close()
    return {"unit": "KiB (and idle CPU)", "rows": rows, "ratios": {}}


def show(name, result):
    print(f"\n## {name} ({result['unit']})\n\n| | median | min | max |\n| --- | ---: | ---: | ---: |")
    for row, values in result["rows"].items():
        print(f"| {row} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    for ratio, (a, b) in result["ratios"].items():
        values = [x / y for x, y in zip(result["rows"][a], result["rows"][b])]
        print(f"| **{ratio}** | **{statistics.median(values):.2f}** | {min(values):.2f} | {max(values):.2f} |")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), "?")
    return f"{os.cpu_count()} cores, {model}, Linux {os.uname().release}, load {os.getloadavg()[0]:.2f}"


def main():
    benches = {"operations": bench_operations, "latency": bench_latency, "lines": bench_lines, "memory": bench_memory}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", metavar="FILE", help="write the raw values there, too")
    a = p.parse_args()
    unknown = [n for n in a.names if n not in benches]
    if unknown:
        p.error(f"no bench named {unknown[0]}: choose from {', '.join(benches)}")
    stack = Stack()
    results = {}
    try:
        for name in a.names or benches:
            results[name] = benches[name](stack, a.rounds)
    finally:
        stack.down()
    print(f"machine: {machine()}")
    for name, result in results.items():
        show(name, result)
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
