"""What happened, as data that invariants are checked on: the witness's file, the clients' memory, the tables, a stranger's
feed, the broker, the processes.  `History` is plain (lists, dictionaries, text), so that it can be kept and changed."""
import collections
import json
import os
import re
import sys
import time

import broker
from stack import read

SPARE = "new.spare." # directories of attempts that are made ahead
SOCKETS = "sockets" # each called by the pid of a runner that waits
SAY_EVERY_S = 5
QUIET_S = 10 # a transaction that is under way on a full machine is over by then

# A task that may never move again by itself: its worker has said that it is lost, and it is not one that is tried again.
UNFINISHED = """
SELECT t.id::text || ' ' || t.state || ' ' || coalesce(a.state, '-')
  FROM hler.tasks t LEFT JOIN hler.attempt a ON a.task = t.id AND a.attempt = t.attempt
 WHERE t.state NOT IN ('succeeded', 'failed', 'cancelled', 'skipped')
   AND NOT (t.state = 'held' AND a.state = 'lost' AND a.lost_said AND (NOT t.repeatable OR t.tries >= 3)) -- lost_tries_max
   AND NOT (t.state = 'blocked' AND EXISTS (SELECT FROM hler.task_need n JOIN hler.task h ON h.id = n.needs
                                             WHERE n.task = t.id AND h.state IN ('held')))"""
INCOMPLETE = """
SELECT task::text || '.' || attempt FROM hler.attempts
 WHERE state IN ('succeeded', 'failed', 'timed_out', 'cancelled') AND NOT output_complete"""

GAPS = "SELECT task::text || '.' || attempt || ' of ' || worker || ' may have more events' FROM hler.gap"


def witness_lines(world):
    """(what, task, attempt, detail) in the order in which they happened."""
    found = []
    for line in read(f"{world.own}/witness").splitlines():
        what, task, attempt, detail = line.split(" ")
        found.append((what, task, int(attempt), int(detail)))
    return found


def rows(world, query):
    return [{k: v if isinstance(v, (int, float, bool, type(None), list, dict)) else str(v) for k, v in r.items()}
            for r in world.stack.sql(query, role="migrate")]


def tables(world):
    """Of the operations since world.since."""
    new = f"IN (SELECT id FROM hler.operation WHERE created_at > '{world.since}')"
    of_new = f"IN (SELECT id FROM hler.task WHERE operation {new})"
    events = rows(world, f"""
        SELECT task, attempt, seq, kind, stale, recorded_at, worker_at FROM hler.event WHERE seq > 0 AND task {of_new}
         UNION ALL SELECT task, attempt, seq, 'output', stale, recorded_at, worker_at FROM hler.output_event WHERE task {of_new} ORDER BY 1, 2, 3""")
    return {
        "operations": rows(world, f"SELECT id, type, state, cause, created_at, finished_at FROM hler.operations WHERE id {new}"),
        "tasks": rows(world, f"""SELECT t.id, t.operation, t.name, t.state, t.cause, t.attempt, t.tries, t.repeatable, o.type, t.outputs::text
                                  FROM hler.tasks t JOIN hler.operations o ON o.id = t.operation WHERE t.operation {new}"""),
        "attempts": rows(world, f"""SELECT v.*, a.lost_said,
                                     coalesce(v.granted_at, v.offered_at) + s.lost_after_ms * interval '1 ms' AS lease_until
                                      FROM hler.silence s, hler.attempts v
                                      JOIN hler.attempt a ON a.task = v.task AND a.attempt = v.attempt WHERE v.operation {new}"""),
        "events": events,
        "results": rows(world, f"""SELECT entity, operation, task, attempt, seq, field, value::text, stale, recorded_at FROM hler.result
                                    WHERE task {of_new} ORDER BY task, attempt, seq"""),
        "audit": rows(world, "SELECT no, kind, id, old, new, cause FROM chaos.audit ORDER BY no"),
        "dead": rows(world, "SELECT id, source, reason, facts, encode(substr(body, 1, 300), 'escape') AS body FROM hler.dead_message"),
        "stdout": stdout(world, of_new),
    }


def stdout(world, of_new):
    """task.attempt -> text, joined by seq (what the tables hold of programs that write plain text)."""
    found = collections.defaultdict(str)
    for row in world.stack.sql(f"""SELECT task, attempt, text FROM hler.output_event WHERE stream = 'stdout' AND NOT stale
                                      AND task {of_new} ORDER BY task, attempt, seq""", role="migrate"):
        found[f"{row['task']}.{row['attempt']}"] += row["text"]
    return dict(found)


class Feed:
    """A stranger on the stack's listener queue; read after the run, since a broker's restart would cut it off."""

    def verdicts(self, world):
        stranger = world.stack.listener()
        found = []
        for _, _, event in stranger.read():
            kind = event.get("type", "") if isinstance(event, dict) else "" # forgeries come here too
            match = re.fullmatch(r"aegir\.hler\.(operation|task)\.(\w+)\.v1", kind)
            if match:
                found.append((match[1], event["subject"], match[2], event["id"]))
        stranger.close()
        return found


QUEUES = """[{element(4, proplists:get_value(name, Q)), proplists:get_value(messages_ready, Q),
              proplists:get_value(messages_unacknowledged, Q)}
             || Q <- rabbit_amqqueue:info_all(<<"hler">>, [name, messages_ready, messages_unacknowledged])]"""
LINES = 'lists:flatten([io_lib:format("~s ~b ~b ", tuple_to_list(Q)) || Q <- %s])' % QUEUES


def broker_queues(world):
    """name -> [ready, unacknowledged]"""
    text = broker.evaluate(world.dir, LINES)
    found = re.findall(r"(\S+) (\d+) (\d+) ", text.removeprefix('{ok, "'))
    assert text.startswith("{ok, ") and found, text
    return {name: [int(ready), int(unacknowledged)] for name, ready, unacknowledged in found}


def spool_files(world):
    """What lies in the spools beside what always lies there: attempts that are not over, and sockets of runners that are no more."""
    found = []
    for worker in world.workers:
        spool = f"{world.dir}/spool/{worker}"
        with os.scandir(spool) as entries:
            found += [f"{worker}/{e.name}" for e in entries
                      if e.name not in ("done", SOCKETS) and not e.name.startswith(SPARE) and (e.is_dir() or ".tmp" in e.name)]
        if os.path.isdir(f"{spool}/{SOCKETS}"):
            living = [str(pid) for pid in world.processes(worker, "hler-idle", "hler-runner")]
            found += [f"{worker}/{SOCKETS}/{pid}" for pid in os.listdir(f"{spool}/{SOCKETS}") if pid not in living]
    return sorted(found)


def leaks(world):
    """Secrets of results in any log."""
    return sorted(name for name in os.listdir(f"{world.dir}/log") if "canary-" in read(f"{world.dir}/log/{name}"))


def figures(world):
    """program -> [open descriptors, resident KiB]; a sanitizer's own memory does not count (0 KiB)."""
    found = {}
    for name in world.programs:
        pid = world.pid(name)
        if pid is None:
            found[name] = [0, 0]
            continue
        rss = re.search(r"^VmRSS:\s+(\d+)", read(f"/proc/{pid}/status"), re.M)
        sanitized = re.search(r"/lib[at]san", read(f"/proc/{pid}/maps"))
        found[name] = [len(os.listdir(f"/proc/{pid}/fd")), 0 if sanitized else int(rss[1])]
    return found


def wait_quiet(world, timeout):
    """Until all tasks are over, all events recorded, all spools and queues empty.  What is not over then stays in the
    history, for the invariants to find."""
    looks = (lambda: world.stack.sql(UNFINISHED, role="migrate"), lambda: world.stack.sql(INCOMPLETE, role="migrate"),
             lambda: world.stack.sql(GAPS, role="migrate"), lambda: spool_files(world), lambda: world.stack.sql("SELECT id::text FROM hler.verdict", role="migrate"))
    def left():
        return [str(list(r.values())[0]) if isinstance(r, dict) else r for look in looks for r in look()]
    end, said = time.monotonic() + timeout, time.monotonic()
    while True:
        seen = left()
        if not seen or time.monotonic() > end:
            return seen
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            print(f"chaos: not over: {seen[:4]}{'' if len(seen) <= 4 else f' and {len(seen) - 4} more'}", file=sys.stderr, flush=True)
        time.sleep(0.1)


def queues_quiet(world):
    """The least of some seconds' looks: what the last operation said, heartbeats and ticks pass through all the time."""
    least, end = broker_queues(world), time.monotonic() + QUIET_S
    while busy_queues(least) and time.monotonic() < end:
        time.sleep(0.1)
        now = broker_queues(world)
        least = {q: [min(a, b) for a, b in zip(n, now.get(q, n))] for q, n in least.items()}
    return least


def busy_queues(queues):
    """Listeners' queues are full on purpose, control queues and claims are for a moment's use."""
    return {q: n for q, n in queues.items() if any(n) and q in ("hler.tasks.default", "hler.state", "hler.output", "hler.dead")}


def collect(world, load, before, late, new_ms):
    """`late`: what wait_quiet() gave; `new_ms`: how long a new operation took after healing, None = it never ended."""
    history = tables(world)
    history.update(submits=load.history, witness=witness_lines(world), verdicts=Feed().verdicts(world),
                   queues=queues_quiet(world), spool=spool_files(world), leaks=leaks(world), before=before, after=figures(world),
                   killed=world.killed, left=[f"{w} {pid}" for w in world.workers
                                              for pid in world.children(w) + world.processes(w, "hler-runner")],
                   late=late, new_ms=new_ms)
    return history


def save(history, path):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(history, f, indent=1, default=str)
