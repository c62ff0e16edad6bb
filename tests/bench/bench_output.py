"""What jobs say: lines, bytes, and structured events, from the program to committed rows."""
import json
import time

import load
import peers
import process
from report import Result, least, most
from stack import say

LINE_BYTES = 100
ONE_JOB = 200_000
MANY, MANY_LINES = 50, 10_000
LONG_BYTES, LONG_LINES = 8192, 12_800
CELERY_LINES = 1500
EVENTS = 20_000
WARM_EVENTS = 100_000 # fill PostgreSQL's shared buffers once: a page that it never used before costs it a page fault
CALLBACK_EVENTS = 10_000
REST_S = 1 # between jobs: the start of the next would hold up a flood at another worker
LOOK_S, MANY_LOOK_S = 0.004, 0.02 # the second costs the database fifty times as much
VIEWED = 3 # of fifty jobs' whole line views, at the end
FIRST = """
SELECT t.operation::text, split_part(e.text, ' ', 1)::bigint FROM hler.task AS t, LATERAL (
    SELECT x.text FROM hler.output_event AS x WHERE x.task = t.id ORDER BY x.attempt, x.seq LIMIT 1) AS e
 WHERE t.operation = ANY(%s::uuid[])"""


def first_lines_ms(stack, ids):
    """Age of each operation's first line when a reader first finds it committed.  Asked of the table below the line view, by an
    index: fifty reads of the whole view at that pace would be the load."""
    waiting, ages = {str(i) for i in ids}, []
    end = time.monotonic() + load.PATIENCE_S
    while waiting and time.monotonic() < end:
        for operation, stamp in stack.query(FIRST, list(waiting)):
            ages.append(time.time() * 1e3 - stamp / 1e3)
            waiting.discard(operation)
        time.sleep(LOOK_S if len(ids) == 1 else MANY_LOOK_S)
    return ages


def complete(stack, ids, size):
    """Waits for all output; seconds from the first start to the last recorded event."""
    load.wait(stack, ids)
    process.until(lambda: stack.one("SELECT count(*) FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task WHERE t.operation = "
                                    "ANY(%s::uuid[]) AND (a.end_state IS NULL OR a.events_recorded < a.last_seq)", ids) == 0,
                  load.PATIENCE_S, "all output")
    seconds, found = stack.query("SELECT extract(epoch FROM max(e.recorded_at) - min(a.started_at))::float8, sum(octet_length(e.text)) "
                                 "FROM hler.task AS t JOIN hler.attempt AS a ON a.task = t.id JOIN hler.output_event AS e ON e.task = "
                                 "a.task AND e.attempt = a.attempt WHERE t.operation = ANY(%s::uuid[])", ids)[0]
    if found != size:
        raise SystemExit(f"bench: {found} bytes of output are recorded, not {size}")
    return seconds


def jobs(stack, count, lines, size):
    """(seconds, ages of first lines in ms, ids) of so many jobs at once."""
    ids, _ = load.submit(stack, "bench.lines", count, json.dumps({"count": lines, "bytes": size}))
    ages = first_lines_ms(stack, ids)
    return complete(stack, ids, count * lines * size), ages, ids


def view_is_whole(stack, ids, lines):
    """The line view of some of them has each line once."""
    for i in ids[:VIEWED]:
        c, k = stack.front_end()
        k.execute("SELECT count(*), max(line) FROM hler.output_lines WHERE operation = %s", (i,))
        found = k.fetchone()
        c.close()
        if found != (lines, lines):
            raise SystemExit(f"bench: the line view has {found} lines, not {lines}")


def lines_round(stack, result):
    seconds, ages, _ = jobs(stack, 1, ONE_JOB, LINE_BYTES)
    result.add("hler: one job", ONE_JOB / seconds)
    result.add("hler: one job, first line readable", max(ages))
    seconds, ages, ids = jobs(stack, MANY, MANY_LINES, LINE_BYTES)
    result.add(f"hler: {MANY} jobs in sum", MANY * MANY_LINES / seconds)
    result.add(f"hler: {MANY} jobs, first line readable, median", load.percentile(ages, .5))
    result.add(f"hler: {MANY} jobs, first line readable, worst", max(ages))
    view_is_whole(stack, ids, MANY_LINES)
    if peers.celery_missing():
        result.note(f"Celery not measured: {peers.celery_missing()}")
        return
    stack.reset_peers(0)
    with peers.Celery(stack) as celery:
        result.add("celery: one job", celery.client("lines", CELERY_LINES)["rate"])


def lines(context):
    stack, result = context.stack(), Result(
        "lines", f"Jobs print {LINE_BYTES}-byte lines as fast as they can, {ONE_JOB:,} of one job and {MANY_LINES:,} of each of {MANY} at "
        "once: lines a second from the first start to the last one committed; and how old a job's first line is when a reader first "
        "finds it committed.  Celery: one task a line.")
    result.row("hler: one job", "lines/s", least(150_000))
    result.row(f"hler: {MANY} jobs in sum", "lines/s", least(100_000))
    result.row("hler: one job, first line readable", "ms", most(150))
    result.row(f"hler: {MANY} jobs, first line readable, median", "ms")
    result.row(f"hler: {MANY} jobs, first line readable, worst", "ms", most(150))
    result.row("celery: one job", "lines/s")
    jobs(stack, 1, ONE_JOB // 10, LINE_BYTES)
    for i in range(context.rounds):
        say(f"lines: round {i + 1} of {context.rounds}")
        lines_round(stack, result)
    result.ratio("one job hler/celery", "hler: one job", "celery: one job")
    return result


def bytes_of_one_job(context):
    stack, result = context.stack(), Result(
        "bytes", f"One job prints {LONG_LINES:,} lines of {LONG_BYTES} bytes: MB (10⁶ bytes) a second, committed.")
    result.row("hler", "MB/s", least(60))
    jobs(stack, 1, LONG_LINES // 10, LONG_BYTES)
    for i in range(context.rounds):
        say(f"bytes: round {i + 1} of {context.rounds}")
        seconds, _, _ = jobs(stack, 1, LONG_LINES, LONG_BYTES)
        result.add("hler", LONG_LINES * LONG_BYTES / seconds / 1e6)
    return result


def events_rate(stack, kind, count):
    """Progress events a second: from the start of the job to the last committed row."""
    time.sleep(REST_S)
    ids, _ = load.submit(stack, kind, 1, json.dumps({"count": count}))
    load.wait(stack, ids)
    # What is recorded, as the attempt's row says it: a look at the events themselves would be a load of its own.
    process.until(lambda: stack.one("SELECT a.events_recorded >= a.last_seq AND a.end_state IS NOT NULL FROM hler.attempt AS a JOIN hler.task "
                                    "AS t ON t.id = a.task WHERE t.operation = ANY(%s::uuid[])", ids), load.PATIENCE_S, "all events", 0.1)
    seconds, found = stack.query("SELECT extract(epoch FROM max(e.recorded_at) - min(a.started_at))::float8, count(*) FROM hler.task AS t "
                                 "JOIN hler.attempt AS a ON a.task = t.id JOIN hler.event AS e ON e.task = a.task AND e.attempt = "
                                 "a.attempt WHERE t.operation = ANY(%s::uuid[]) AND e.kind = 'progress'", ids)[0]
    if found < count:
        raise SystemExit(f"bench: {found} events are recorded, not {count}")
    return count / seconds


def structured(context):
    stack, result = context.stack(), Result(
        "structured", "One job emits structured events of 1 KB over HLER_SOCKET as the Ansible callback does, each answered before the "
        "next: events a second, from the job's start to the last committed row.")
    result.row("hler: client in C", "events/s", least(20_000))
    result.row("hler: the collection's own client, Python", "events/s")
    events_rate(stack, "bench.progress", WARM_EVENTS)
    for i in range(context.rounds):
        say(f"structured: round {i + 1} of {context.rounds}")
        result.add("hler: client in C", events_rate(stack, "bench.progress", EVENTS))
        result.add("hler: the collection's own client, Python", events_rate(stack, "bench.callback", CALLBACK_EVENTS))
    result.note("The second row has Python's own time in it: the modules of the collection describe, encode and send each event.")
    return result
