"""How the cost of an operation grows with many that wait, and with many that are over.  Two stacks stand side by side, one small and
one large, and are measured in turn: the other's programs are stopped (SIGSTOP) or have nothing to do meanwhile."""
import time

import load
from report import Result, most
from stack import DONE_MAX, Stack, say

READY = {False: 100_000, True: 1_000_000} # without and with --full
FINISHED = {False: 200_000, True: 10_000_000}
BASE_LEAST = 1000 # ready rows of the small stack; more if it would run out of them meanwhile
WARM_S, WINDOW_S = 1, 3
TRIAL = 600
PROBES = 8
FIRST = 10 # priority of what is to come before the backlog
CHUNK = 100_000 # operations committed at once
READY_ROWS = "SELECT FROM hler.task WHERE phase = 'ready' AND pool = 'default'" # as its index has them
HISTORY = """
WITH made AS (
    SELECT hler.uuid7() AS operation, hler.uuid7() AS task, clock_timestamp() - n * interval '1 second' / %(rate)s AS at
      FROM generate_series(1, %(count)s) AS n),
o AS (INSERT INTO hler.operation (id, type, version, state, cause, inputs, requester, created_at, started_at, finished_at)
      SELECT operation, 'bench.true', 1, 'succeeded', 'done', '{}', 'hler_frontend', at, at, at FROM made),
t AS (INSERT INTO hler.task (id, operation, task_type, no, priority, attempt, tries, state, pool, key, cause, message, created_at,
                             ready_at, started_at, finished_at)
      SELECT task, operation, d.id, 1, 0, 1, 1, 'succeeded', 'default', 'run', 'done', 'exit code 0', at, at, at, at
        FROM made, hler.task_type AS d WHERE d.type = 'bench.true'),
a AS (INSERT INTO hler.attempt (task, attempt, results_recorded, results_expected, offered_on, offered_at, granted_at, started_at,
                                finished_at, last_event_at, last_seq, events_recorded, exit_code, token, state, pool, worker, end_state,
                                cause, message)
      SELECT task, 1, 0, 0, current_date, at, at, at, at, at, 2, 2, 0, substr(md5(task::text), 1, 16), 'succeeded', 'default',
             'worker-1', 'succeeded', 'done', 'exit code 0' FROM made)
INSERT INTO hler.event (task, attempt, seq, offered_on, stale, kind, data, worker_at, recorded_at)
SELECT task, 1, s, current_date, false, CASE s WHEN 1 THEN 'started' ELSE 'finished' END, '{"worker": "worker-1"}', at, at
  FROM made, generate_series(1, 2) AS s
"""


def fill_ready(stack, count):
    """Until so many are ready; meanwhile no worker takes any."""
    stack.drain(True)
    missing = count - stack.one(f"SELECT count(*) FROM ({READY_ROWS}) AS ready")
    for begin in range(0, missing, CHUNK):
        load.submit(stack, "bench.true", min(CHUNK, missing - begin))
    stack.query("VACUUM ANALYZE hler.operation, hler.task")
    stack.query("CHECKPOINT")
    stack.drain(False)
    probes(stack) # they run when a worker has heard of it


def fill_finished(stack, count):
    """As operations that ended one after another; triggers of the tables' owner stay out of it."""
    for begin in range(0, count, CHUNK):
        k = stack.admin.cursor()
        k.execute("SET session_replication_role = replica")
        k.execute(HISTORY, {"count": min(CHUNK, count - begin), "rate": 100})
        k.execute("RESET session_replication_role")
    stack.query("VACUUM ANALYZE hler.operation, hler.task, hler.attempt, hler.event")


def steady():
    """A stack whose workers have as many journals as they keep."""
    stack = Stack()
    load.run(stack, "bench.true", stack.workers * DONE_MAX * 3 // 2) # each has enough, however they are shared
    return stack


class Dry(Exception):
    """Nothing was left to do before the window closed."""


def window(stack):
    """Of a stack that is busy throughout: (operations a second, CPU µs of all programs an operation, CPU seconds by program,
    operations).  What ended is counted afterwards, so that nothing is asked of the database meanwhile."""
    time.sleep(WARM_S)
    begin = stack.one("SELECT clock_timestamp()")
    _, spent = load.spent(stack, lambda: time.sleep(WINDOW_S))
    till, is_busy = stack.query(f"SELECT clock_timestamp(), EXISTS ({READY_ROWS})")[0]
    if not is_busy:
        raise Dry
    ended = stack.one("SELECT count(*) FROM hler.operation WHERE finished_at BETWEEN %s AND %s", begin, till)
    if not ended:
        raise SystemExit("bench: no operation of a backlog ended")
    seconds = (till - begin).total_seconds()
    return ended / seconds, sum(spent.values()) / ended * 1e6, spent, ended


def probes(stack):
    """ms from the creation to the start of operations that come before all that waits."""
    ids, _ = load.submit(stack, "bench.true", PROBES, priority=FIRST)
    load.wait(stack, ids)
    return load.delays_ms(stack, ids)


def measure(stack, result, name):
    rate, cpu, spent, ended = window(stack)
    result.add(f"{name}: time", 1e6 / rate, "µs/operation")
    result.add(f"{name}: CPU", cpu, "µs/operation")
    result.spend(name, spent, ended)
    delays = probes(stack)
    result.add(f"{name}: an urgent one starts, p50", load.percentile(delays, .5), "ms")
    result.add(f"{name}: an urgent one starts, worst", max(delays), "ms")


def base_of(stack):
    """So many that the small stack is busy until its window closes."""
    rate, _ = load.run(stack, "bench.true", TRIAL)
    return max(BASE_LEAST, int(rate * (WARM_S + WINDOW_S) * 1.4) + 256)


def measure_small(stack, trial, name):
    """With so many as the base says, which are over at the end; with twice as many when they did not last."""
    while True:
        ids, _ = load.submit(stack, "bench.true", trial.base)
        try:
            measure(stack, trial.result, name)
            return
        except Dry:
            trial.base *= 2
            say(f"backlog: {trial.base:,} ready from now on: fewer do not last")
        finally:
            load.wait(stack, ids)


def pairs(trial, rounds, large, name, measure_large):
    for i in range(rounds):
        say(f"backlog: {name}, pair {i + 1} of {rounds}")
        large.freeze(True)
        measure_small(trial.small, trial, f"beside {name}")
        large.freeze(False)
        say(f"backlog: {name}, the small one of the pair is measured")
        measure_large()
        say(f"backlog: {name}, the large one is measured")
    for what in ("time", "CPU"):
        trial.result.ratio(f"{name}: {what}", f"{name}: {what}", f"beside {name}: {what}", most(1.1))


class Trial:
    """The small stack, how many are ready in it, and where results go."""

    def __init__(self, small, result):
        self.small, self.result = small, result
        self.base = base_of(small)


def with_ready(context, trial):
    large = steady()
    try:
        sizes = [n for n in (10_000, 100_000, 1_000_000) if n <= READY[context.full]]
        for size in sizes:
            say(f"backlog: filling up to {size:,} ready operations")
            fill_ready(large, size)
            name = f"{size:,} ready"
            pairs(trial, context.rounds if size == sizes[-1] else 1, large, name, lambda name=name: measure(large, trial.result, name))
    finally:
        large.freeze(False)
        large.down()


def with_finished(context, trial):
    large, count = steady(), FINISHED[context.full]
    try:
        say(f"backlog: filling {count:,} finished operations")
        fill_finished(large, count)
        name = f"{count:,} finished"
        pairs(trial, context.rounds, large, name, lambda: measure_small(large, trial, name))
    finally:
        large.freeze(False)
        large.down()


def chart(result, base):
    sizes = [(int(name.split(" ")[0].replace(",", "")), name.removesuffix(": time")) for name in result.rows
             if name.endswith("ready: time") and not name.startswith("beside")]
    first = f"beside {sizes[0][1]}"
    points = [(base, first), *sizes]
    result.chart(title="Throughput over backlog", x="ready operations", y="operations/s", log_x=True,
                 series=[["hler", [[n, 1e6 / result.row(f"{name}: time").median()] for n, name in points]]])
    result.chart(title="CPU of an operation over backlog", x="ready operations", y="µs, all programs", log_x=True,
                 series=[["hler", [[n, result.row(f"{name}: CPU").median()] for n, name in points]]])
    result.chart(title="Latency of an urgent operation over backlog", x="ready operations", y="ms to its start", log_x=True,
                 series=[[q, [[n, result.row(f"{name}: an urgent one starts, {q}").median()] for n, name in points]]
                         for q in ("p50", "worst")])


def backlog(context):
    small = steady()
    try:
        return side_by_side(context, small)
    finally:
        small.down()


def side_by_side(context, small):
    trial = Trial(small, Result(
        "backlog", f"Cost of an operation (/bin/true) while N others are ready, and after N are over, beside a stack with some thousand "
        f"ready and nothing else, in turn; {WINDOW_S} s each.  Urgent: {PROBES} operations of higher priority, from their creation to "
        "their start."))
    with_ready(context, trial)
    with_finished(context, trial)
    trial.result.note(f"the small stack has {trial.base:,} ready, so that it is busy throughout")
    chart(trial.result, trial.base)
    if not context.full:
        trial.result.note("The targets are for 1,000,000 ready and after 10,000,000 finished: --full measures these.")
    return trial.result
