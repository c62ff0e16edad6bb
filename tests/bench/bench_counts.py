"""What one operation costs the servers in messages, transactions and syncs, each with the reason for it."""
import time

import counters
import guarantee
import load
import tap
from report import Result
from stack import Stack, say

OPERATIONS = 500
FLUSH_S = 11 # a server process of PostgreSQL tells what it has counted when it was idle for ten seconds
REASONS = {
    "offer": "the task with all that a worker needs; confirmed, so that the outbox may forget it",
    "claim": "one for up to 64 offers: nothing runs without a grant; transient, since losing one costs a repeat",
    "attempt.started": "a fact that a front end waits for; it waits for no more than another one's confirm, and goes with all that is there then",
    "attempt.finished": "the end; the task moves by it alone",
    "attempt.output": "what the job said; /bin/true says nothing",
    "attempt.declined": "an offer that was claimed and not granted in time goes back; none when workers keep up",
    "worker.heartbeat": "by time, not by operation",
    "dispatcher.tick": "by time, not by operation",
}
DATABASE = {
    "xact_commit": "a batch is one transaction: the fewer of them the busier it is; at least the front end's own, the offer, the grant, the "
                   "events",
    "tup_inserted": "operation, task, attempt, two events, and what goes through an outbox",
    "tup_updated": "task and attempt along their states, the operation at its start and end",
    "tup_deleted": "outbox rows that are sent",
    "wal_sync": "one for each commit that must not be lost, shared by all that commit at the same moment",
    "wal_bytes": "rows, indexes, and whole pages after a checkpoint",
}
STATEMENTS = """
SELECT coalesce(substring(s.query FROM 'hler_core\\.\\w+'), left(s.query, 60)), s.calls, s.total_exec_time
  FROM pg_stat_statements AS s JOIN pg_roles AS r ON r.oid = s.userid
 WHERE r.rolname = 'hler_dispatcher' AND s.calls > 0 ORDER BY s.total_exec_time DESC LIMIT 12"""
SYNCS = {
    "spawner and runners": "the end record of each attempt's journal; with results, one more for each group of them",
    "worker": "the mark of journals that are done, grouped",
    "dispatcher": "it keeps nothing: all is in the tables",
    "broker": "its write-ahead log, shared by all quorum queues",
    "PostgreSQL": "its write-ahead log, and data files at checkpoints",
}


def count_messages(stack, result):
    with tap.Tap(stack) as listening:
        before = counters.broker(stack)
        load.run(stack, "bench.true", OPERATIONS)
        kinds, sent = listening.kinds(), counters.difference(counters.broker(stack), before)
    tapped = sum(kinds.values())
    for kind, n in sorted(kinds.items(), key=lambda item: -item[1]):
        result.add(f"published: {kind}", n / OPERATIONS, "an operation")
        result.note(f"{kind}: {REASONS.get(kind, 'no reason is written down for this kind')}")
    result.note("verdicts (task.*, operation.*) are published for listeners, and there is none")
    result.add("published: grants and answers", (sent["messages_received"] - tapped) / OPERATIONS, "an operation")
    result.note("grants and answers: through the default exchange to the workers' own queues; one message for many claims")


def count_broker(stack, result, before, after):
    sent = counters.difference(after, before)
    for name, what in (("messages_received", "published"), ("messages_confirmed", "confirmed"), ("messages_delivered", "delivered"),
                       ("messages_acknowledged", "acknowledged"), ("messages_redelivered", "delivered again")):
        result.add(f"messages {what}, all kinds", sent.get(name, 0) / OPERATIONS, "an operation")
    result.note(f"a confirm covers many messages when the broker is busy; this counts messages confirmed, not confirm frames ({stack.workers} "
                "workers)")


def count_pass(stack, result):
    """Servers' counters and syncs over the same operations."""
    time.sleep(FLUSH_S)
    broker, database = counters.broker(stack), counters.database(stack)
    syncs = counters.Syncs(counters.sync_groups(stack))
    load.run(stack, "bench.true", OPERATIONS)
    counted = syncs.stop()
    count_broker(stack, result, broker, counters.broker(stack))
    time.sleep(FLUSH_S)
    database = counters.difference(counters.database(stack), database)
    for name, why in DATABASE.items():
        result.add(f"database: {name}", database[name] / OPERATIONS, "an operation")
        result.note(f"{name}: {why}")
    if counted is None:
        result.note("syncs not measured: there is neither perf with tracepoints nor strace here")
    for name, n in (counted or {}).items():
        result.add(f"syncs (fsync, fdatasync, …): {name}", n / OPERATIONS, "an operation")
        result.note(f"syncs of {name} (by {syncs.tool}): {SYNCS[name]}")


def prepare_statements(stack):
    """pg_stat_statements must be loaded when the server starts."""
    if not stack.query("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_stat_statements'"):
        return False
    stack.query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    stack.restart_database()
    stack.query("CREATE EXTENSION pg_stat_statements")
    return True


def count_statements(stack, result):
    stack.query("SELECT pg_stat_statements_reset()")
    load.run(stack, "bench.true", OPERATIONS)
    rows = stack.query(STATEMENTS)
    for query, calls, ms in rows:
        name = query.replace("|", "¦")
        result.add(f"`{name}`: calls", calls / OPERATIONS, "an operation")
        result.add(f"`{name}`: time", ms * 1000 / OPERATIONS, "µs an operation")


def counts(_context):
    result = Result("counts", f"{OPERATIONS} operations of /bin/true at once, on a stack of their own: what the servers count themselves, by "
                    "operation.  The heartbeats of the seconds that it takes are in it.")
    stack = Stack()
    try:
        say("counts")
        load.run(stack, "bench.true", 200)
        count_messages(stack, result)
        count_pass(stack, result)
        if prepare_statements(stack):
            load.run(stack, "bench.true", 50)
            count_statements(stack, result)
        else:
            result.note("statements not counted: PostgreSQL has no pg_stat_statements here (postgresql-contrib)")
        guarantee.check(stack, result)
    finally:
        stack.down()
    return result
