"""What Hlér takes when it does little: memory with fifty running jobs, and everything while it is idle."""
import statistics
import time

import counters
import load
import process
import tap
from report import Result, most
from stack import say

JOBS = 50
IDLE_S = 12
SETTLE_S = 11 # PostgreSQL counts what a connection has written ten seconds after it fell idle, if nothing else has it count
# Heartbeats and ticks write these, and nothing else.
BEATING = {"worker", "silence", "standing_claim"}
BEATS = ("worker.heartbeat", "dispatcher.tick")


def running(stack, ids):
    return stack.one("SELECT count(*) FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task WHERE t.operation = "
                     "ANY(%s::uuid[]) AND a.state = 'started'", ids) == len(ids)


def runners(stack):
    """Processes of running attempts: children of the spawners that have a child of their own."""
    everything, spawners = process.processes(), stack.spawners()
    parents = {p.parent for p in everything.values()}
    return [p.pid for p in everything.values() if p.parent in spawners and p.pid in parents]


def memory(context):
    """With all jobs on one worker: the other one is drained meanwhile."""
    stack, result = context.stack(), Result(
        "memory", f"{JOBS} running jobs (/bin/sleep) on one worker.  rss counts shared pages whole, pss by share, private not at all.")
    for program, targets in (("dispatcher", {"rss": most(10 * 1024)}), (f"worker with {JOBS} jobs", {"rss": most(8 * 1024)}),
                             ("runner", {"private": most(700)}), ("spawner", {})):
        for kind in process.MEMORY:
            result.row(f"{program} {kind}", "KiB", targets.get(kind))
    stack.hler("drain", "worker-2")
    try:
        for i in range(context.rounds):
            say(f"memory: round {i + 1} of {context.rounds}")
            memory_round(stack, result)
    finally:
        stack.hler("drain", "worker-2", "--undo")
    return result


def memory_round(stack, result):
    ids, _ = load.submit(stack, "bench.sleep", JOBS)
    process.until(lambda: running(stack, ids), 18, f"{JOBS} jobs started")
    found = runners(stack)
    if len(found) < JOBS:
        raise SystemExit(f"bench: {len(found)} runners, not {JOBS}")
    for kind in process.MEMORY:
        result.add(f"runner {kind}", statistics.median(process.memory_kib(p)[kind] for p in found))
        result.add(f"dispatcher {kind}", process.memory_kib(stack.pids("hler-dispatcher")[0])[kind])
        result.add(f"worker with {JOBS} jobs {kind}", process.memory_kib(stack.pid_on_record("worker-1"))[kind])
        result.add(f"spawner {kind}", max(process.memory_kib(p)[kind] for p in stack.spawners()))
    c, k = stack.front_end()
    for op in ids:
        k.execute("SELECT hler.cancel(%s)", (op,))
    c.close()
    process.until(lambda: not running_any(stack, ids), 30, "the end of the cancelled jobs")


def running_any(stack, ids):
    return stack.one("SELECT count(*) FROM hler.operation WHERE id = ANY(%s::uuid[]) AND finished_at IS NULL", ids)


def programs(stack):
    found = {f"dispatcher {i + 1}": p for i, p in enumerate(stack.pids("hler-dispatcher"))}
    found.update({f"worker {i + 1}": p for i, p in enumerate(sorted(stack.pids("hler-worker")))})
    found.update({f"spawner {i + 1}": p for i, p in enumerate(sorted(stack.spawners()))})
    return found


def beats(stack):
    """Heartbeats so far: each has a number, counted from the start of its worker."""
    return stack.one("SELECT coalesce(sum(number), 0)::bigint FROM hler.worker WHERE NOT stopped")


def idle(context):
    stack, result = context.stack(), Result(
        "idle", f"Nothing to do for {IDLE_S} s: wake-ups a second (voluntary context switches of all threads), CPU, rows written and "
        "messages published, and what of these is more than heartbeats and ticks.")
    time.sleep(SETTLE_S)
    watched = programs(stack)
    for name in watched:
        result.row(f"{name}: wake-ups", "1/s", most(5))
    for i in range(context.rounds):
        say(f"idle: round {i + 1} of {context.rounds}")
        idle_round(stack, result, watched)
    return result


def idle_round(stack, result, watched):
    with tap.Tap(stack) as listening:
        tables, sent, beaten = counters.tables(stack), counters.broker(stack), beats(stack)
        woken, everything, began = {n: process.switches(p) for n, p in watched.items()}, process.processes(), time.monotonic()
        time.sleep(IDLE_S)
        seconds, now = time.monotonic() - began, process.processes()
        for name, pid in watched.items():
            result.add(f"{name}: wake-ups", (process.switches(pid) - woken[name]) / seconds)
            result.add(f"{name}: CPU", (now[pid].own_s - everything[pid].own_s) / seconds * 100, "% of a core")
        published = counters.difference(counters.broker(stack), sent)["messages_received"]
        beaten, tables = beats(stack) - beaten, differences(counters.tables(stack), tables)
        kinds = listening.kinds()
    result.add("heartbeats", beaten, "a round")
    result.add("messages published, answers of heartbeats included", published, "a round")
    other = {kind: n for kind, n in kinds.items() if not kind.endswith(BEATS)}
    result.add("messages published beyond heartbeats", sum(other.values()), "messages", most(0))
    say_rows(result, tables)
    if other:
        result.note(f"messages beyond heartbeats: {other}")


def differences(after, before):
    return {table: [a - b for a, b in zip(counts, before.get(table, (0, 0, 0)))] for table, counts in after.items()}


def say_rows(result, tables):
    other = {}
    for table, counts in tables.items():
        for kind, n in zip(("inserted", "updated", "deleted"), counts):
            if n and table in BEATING:
                result.add(f"rows {kind} in {table}", n, "a round")
            elif n:
                other[f"{n} {kind} in {table}"] = n
    result.add("rows written beyond heartbeats", sum(other.values()), "rows", most(0))
    if other:
        result.note(f"rows beyond heartbeats: {', '.join(other)}")
