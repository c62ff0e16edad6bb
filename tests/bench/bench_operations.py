"""Throughput: operations that run /bin/true, and operations that run nothing."""
import guarantee
import load
import peers
import process
from report import Result, least
from stack import say

COUNTS = {"hler": 3000, "floor": 3000, "celery": 500, "graphile-worker": 500, "pg-boss": 500}
NODE_ROUNDS = 2 # they have no target, and take their time
WARM = 200
CELERY_WARM = 40
BURSTS = (1, 4, 16, 64, 256, 1024)


def split_child(spent, operations, child_us):
    """The runners' account, where there is one, holds what their children used; that is measured apart."""
    out = {name: spent[name] for name in ("dispatcher", "worker")}
    if "runner and child" in spent:
        out["child"] = min(child_us * operations / 1e6, spent["runner and child"])
        out["runner, spawner"] = spent["runner and child"] - out["child"]
    out.update(broker=spent["broker"], PostgreSQL=spent["PostgreSQL"])
    return out


def hler_round(stack, result, kind, child_us):
    (rate, _), spent = load.spent(stack, lambda: load.run(stack, kind, COUNTS["hler"]))
    result.add("hler", rate)
    result.spend("hler", split_child(spent, COUNTS["hler"], child_us), COUNTS["hler"])


def floor_round(stack, result, mode):
    rate, spent = peers.floor(stack, COUNTS["floor"], mode)
    result.add("floor", rate)
    result.spend("floor", spent, COUNTS["floor"])


def celery_round(stack, result):
    missing = peers.celery_missing()
    if missing:
        result.note(f"Celery not measured: {missing}")
        return
    with peers.Celery(stack) as celery:
        celery.drain(CELERY_WARM)
        rate, spent = celery.drain(COUNTS["celery"])
    result.add("celery", rate)
    result.spend("celery", spent, COUNTS["celery"])


def node_rounds(stack, result, mode):
    missing = peers.node_missing()
    if missing:
        result.note(f"graphile-worker and pg-boss not measured: {missing}")
        return
    for name, program in peers.NODE_PEERS.items():
        rate, spent = peers.node_drain(stack, program, COUNTS[name], mode)
        result.add(name, rate)
        result.spend(name, spent, COUNTS[name])


def warm_up(stack, kind, mode):
    load.run(stack, kind, WARM)
    peers.floor(stack, WARM, mode)


def operations(context):
    stack, result = context.stack(), Result(
        "operations", f"Committed rows to the last final state, each operation running /bin/true, {COUNTS['hler']} at once (Celery "
        f"{COUNTS['celery']}, Node {COUNTS['pg-boss']}); 2 workers of 64 slots; operations a second.  Celery: publisher confirms and late acks.")
    for name in COUNTS:
        result.row(name, "operations/s")
    warm_up(stack, "bench.true", "true")
    child_us = process.child_us()
    for i in range(context.rounds):
        say(f"operations: round {i + 1} of {context.rounds}")
        hler_round(stack, result, "bench.true", child_us)
        floor_round(stack, result, "true")
        celery_round(stack, result)
        if i < NODE_ROUNDS:
            node_rounds(stack, result, "true")
    result.ratio("hler/floor", "hler", "floor", least(0.65))
    result.ratio("hler/celery", "hler", "celery", least(5))
    for name in peers.NODE_PEERS:
        result.ratio(f"hler/{name}", "hler", name)
    result.note(f"child: one run of /bin/true, measured apart ({child_us:.0f} µs); runner, spawner: the rest of their control group (without "
                "cgroup v2 both are missing). A peer's own programs, its children and its producer are one figure.")
    guarantee.check(stack, result)
    return result


def noop(context):
    stack, result = context.stack(), Result(
        "noop", f"The same with executor `none`: an attempt's whole way without a process, {COUNTS['hler']} at once; the floor's worker "
        "starts none either.")
    for name in ("hler", "floor"):
        result.row(name, "operations/s")
    warm_up(stack, "bench.none", "none")
    for i in range(context.rounds):
        say(f"noop: round {i + 1} of {context.rounds}")
        hler_round(stack, result, "bench.none", 0)
        floor_round(stack, result, "none")
    result.ratio("hler/floor", "hler", "floor", least(0.6))
    guarantee.check(stack, result, "bench.none")
    return result


def concurrency(context):
    """How throughput and latency grow with the number of operations that are submitted at once."""
    stack, result = context.stack(), Result(
        "concurrency", "Operations of /bin/true submitted in one commit, 2 workers of 64 slots: throughput of the burst, and the time of "
        "each from its creation to its final state.")
    rates, middle, late = [], [], []
    for count in BURSTS:
        say(f"concurrency: {count} at once")
        name = f"{count} at once"
        delays = []
        for _ in range(max(2, min(15, 128 // count))):
            rate, ids = load.run(stack, "bench.true", count)
            result.add(f"{name}: throughput", rate, "operations/s")
            delays += load.delays_ms(stack, ids, "finished_at")
        result.add(f"{name}: p50", load.percentile(delays, .5), "ms")
        result.add(f"{name}: p99", load.percentile(delays, .99), "ms")
        rates.append([count, result.row(f"{name}: throughput").median()])
        middle.append([count, load.percentile(delays, .5)])
        late.append([count, load.percentile(delays, .99)])
    result.chart(title="Throughput over concurrency", x="operations submitted at once", y="operations/s", log_x=True, series=[["hler", rates]])
    result.chart(title="Latency over concurrency", x="operations submitted at once", y="ms to the final state", log_x=True,
                 series=[["p50", middle], ["p99", late]])
    return result
