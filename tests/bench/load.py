"""What a front end does in the measurements: submits, and waits for ends.  Times are the database's own clock."""
import process

PATIENCE_S = 300
POLL_S = 0.1


def submit(stack, kind, count, inputs="{}", priority=0):
    """Commits `count` operations in one statement; their ids and the time of the commit's answer."""
    c, k = stack.front_end()
    k.execute("INSERT INTO hler.operation (type, inputs, priority) SELECT %s, %s, %s FROM generate_series(1, %s) RETURNING id",
              (kind, inputs, priority, count))
    ids = [r[0] for r in k.fetchall()]
    k.execute("SELECT clock_timestamp()")
    began = k.fetchone()[0]
    c.close()
    return ids, began


def wait(stack, ids):
    """Until all of them have succeeded; when the last one did.  Asks for one at a time, the last that is left: a look at all of them
    over and over would be a load of its own."""
    waiting = list(ids)

    def look():
        while waiting and stack.one("SELECT finished_at FROM hler.operation WHERE id = %s", waiting[-1]) is not None:
            waiting[:] = [str(r[0]) for r in stack.query("SELECT id FROM hler.operation WHERE id = ANY(%s::uuid[]) "
                                                         "AND finished_at IS NULL", waiting)]
        return not waiting
    process.until(look, PATIENCE_S, "the end of all operations", POLL_S)
    states, last = stack.query("SELECT array_agg(DISTINCT state), max(finished_at) FROM hler.operation WHERE id = ANY(%s::uuid[])", ids)[0]
    if states != ["succeeded"]:
        raise SystemExit(f"bench: an operation did not succeed: {states}")
    return last


def run(stack, kind, count, inputs="{}"):
    """Committed rows to the last final state: (operations a second, ids)."""
    ids, began = submit(stack, kind, count, inputs)
    last = wait(stack, ids)
    return count / (last - began).total_seconds(), ids


def spent(stack, act):
    """What act() returned, and the CPU seconds by program meanwhile."""
    before = stack.cpu()
    out = act()
    after = stack.cpu()
    return out, {name: after[name] - before[name] for name in after}


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def delays_ms(stack, ids, upto="started_at"):
    """Of each operation, from its creation to the moment that a column of its task tells."""
    column = {"started_at": "t.started_at", "finished_at": "t.finished_at"}[upto]
    return [r[0] for r in stack.query(f"SELECT extract(epoch FROM {column} - o.created_at)::float8 * 1000 FROM hler.operation AS o "
                                      "JOIN hler.task AS t ON t.operation = o.id WHERE o.id = ANY(%s::uuid[])", ids)]
