"""What Hlér promises for its figures, looked at while it works: a figure that was had by letting go of one of these is no figure.
Everything is asked of the servers, the kernel and the spool, not of Hlér's own configuration."""
import glob

import counters
import load

OPERATIONS = 200
RECENT = 20 # runners that wait go ten seconds after the last operation, and shall not go while they are counted
SYNCS_PROMISED = 1 # per attempt: the journal is on disk before its end is told
# Both say again by themselves what a restart of the broker loses: a heartbeat, a tick, a claim.
TRANSIENT = {"hler.life", "hler.claims"}
WATCH = """
CREATE TABLE public.bench_commit(state text, setting text);
CREATE FUNCTION public.bench_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.bench_commit VALUES (NEW.state, current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER bench_commit AFTER INSERT OR UPDATE ON hler.attempt DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.bench_commit();
"""
UNWATCH = "DROP TRIGGER bench_commit ON hler.attempt; DROP FUNCTION public.bench_commit; DROP TABLE public.bench_commit"


def check(stack, result, kind="bench.true"):
    """Runs some operations and adds what was in force to the result, as notes, and what fell short."""
    before = counters.broker(stack)
    stack.query(WATCH)
    try:
        load.run(stack, kind, RECENT)
        syncs = counters.Syncs({"runners": stack.with_runners()})
        _, ids = load.run(stack, kind, OPERATIONS)
        counted = syncs.stop()
        check_commits(stack, result)
    finally:
        stack.query(UNWATCH)
    check_server(stack, result)
    check_queues(stack, result)
    check_confirms(counters.difference(counters.broker(stack), before), result)
    check_syncs(syncs.tool, counted, result)
    check_journals(stack, ids, result)


def say(result, fine, text):
    result.note(f"guarantee: {text}")
    if not fine:
        result.short.append(text)


def check_commits(stack, result):
    """synchronous_commit as it was when each transaction committed: a deferred trigger reads it then."""
    rows = stack.query("SELECT state, setting, count(*) FROM public.bench_commit GROUP BY 1, 2 ORDER BY 1, 2")
    for name, states in (("grants", ("granted",)), ("ends", ("succeeded", "failed", "timed_out", "cancelled"))):
        found = {}
        for state, setting, count in rows:
            if state in states:
                found[setting] = found.get(setting, 0) + count
        words = ", ".join(f"{setting} ({count} rows)" for setting, count in found.items()) or "none seen"
        say(result, set(found) == {"on"}, f"synchronous_commit of {name}: {words}")


def check_server(stack, result):
    for name in ("fsync", "full_page_writes"):
        value = stack.one("SELECT current_setting(%s)", name)
        say(result, value == "on", f"PostgreSQL's {name}: {value}")


def check_queues(stack, result):
    kinds = {q["name"]: q["type"] for q in stack.manage("GET", "queues/hler")
             if q["name"].startswith("hler.") and not q["name"].startswith(("hler.control.", "hler.listen."))}
    wrong = sorted(name for name, kind in kinds.items() if kind != "quorum" and name not in TRANSIENT)
    quorum = sorted(name for name, kind in kinds.items() if kind == "quorum")
    transient = sorted(f"{name} {kinds[name]}" for name in TRANSIENT & set(kinds))
    say(result, bool(quorum) and not wrong, f"quorum queues: {', '.join(quorum)}; said again anyhow: {', '.join(transient)}" +
        (f"; NOT quorum: {', '.join(wrong)}" if wrong else ""))


def check_confirms(sent, result):
    published, asked, confirmed = (sent.get(n, 0) for n in ("messages_received", "messages_received_confirm", "messages_confirmed"))
    say(result, published > 0 and published == asked and confirmed >= asked,
        f"publisher confirms: of {published} messages {asked} were published with confirms on, {confirmed} were confirmed")


def check_syncs(tool, counted, result):
    if counted is None:
        result.note("guarantee: syncs per attempt could not be counted: there is neither perf with tracepoints nor strace")
        return
    each = counted.get("runners", 0) / OPERATIONS
    say(result, each >= SYNCS_PROMISED, f"syncs of the runners: {each:.2f} per attempt (by {tool}; promised: {SYNCS_PROMISED})")


def check_journals(stack, ids, result):
    """A confirmed journal stays in the spool: confirmed is not yet recorded."""
    tasks = {str(r[0]) for r in stack.query("SELECT id FROM hler.task WHERE operation = ANY(%s::uuid[])", ids)}
    kept = {path.split("/")[-2].split(".")[0] for pattern in ("*/journal", "done/*/journal")
            for path in glob.glob(f"{stack.env['HLER_SPOOLS']}/*/{pattern}")}
    say(result, tasks <= kept, f"journals kept in the spools: {len(tasks & kept)} of {len(tasks)} attempts")
