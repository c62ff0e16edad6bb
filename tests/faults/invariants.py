"""I1 to I11 on a History (history.py): each function yields what is wrong, one line each, with operation and attempt."""
import collections
import json

ENDED = ("succeeded", "failed", "cancelled")
ENDED_ATTEMPTS = ("succeeded", "failed", "timed_out", "cancelled")
TRIES = {"chaos.once": 1, "chaos.brief": 1, "chaos.again": 3, "chaos.pair": 3} # lost_tries_max is 3
NEW_MS = 10000 # an operation after healing
FDS_MORE, RSS_TIMES = 10, 3.0
QUIET_QUEUES = ("hler.tasks.default", "hler.state", "hler.output", "hler.dead")


def key(row):
    return f"{row['task']}.{row['attempt']}"


def witnessed(history):
    """task.attempt -> its lines (position in the whole file, what, detail)"""
    found = collections.defaultdict(list)
    for at, (what, task, attempt, detail) in enumerate(history["witness"]):
        found[f"{task}.{attempt}"].append((at, what, detail))
    return found


def i1_one_end(h):
    """Each operation whose submit was heard ok is over, or held because its worker said that it is lost; nothing else exists."""
    states = {o["id"]: o for o in h["operations"]}
    lost = {a["operation"] for a in h["attempts"] if a["state"] == "lost" and a["lost_said"]}
    for op, entry in h["submits"].items():
        row = states.get(op)
        if row is None:
            if entry["submit"] == "ok":
                yield f"operation {op}: submitted, and not there"
        elif row["state"] not in ENDED and not (row["state"] == "held" and op in lost):
            yield f"operation {op}: {row['state']}"
    for op in states:
        if op not in h["submits"] and states[op]["type"] not in ("test.true",):
            yield f"operation {op}: nobody asked for it"


def ran_unheard(h):
    """Attempts that ran while their worker was silent, and were given up before their start was heard of.  They began
    before that, or, if a person gave them up early, while the worker's lease still held; their events came later."""
    lost = {row["id"] for row in h["audit"] if row["kind"] == "attempt" and row["new"] == "lost"}
    began = {key(e): e["worker_at"] for e in h["events"] if e["kind"] == "started"} # the runner's clock is never set
    return {key(a) for a in h["attempts"] if a["state"] == "void" and a["started_at"] is None and key(a) in lost
            and began.get(key(a), a["finished_at"]) < max(a["finished_at"], a["lease_until"])}


def i2_no_second_run(h):
    """At most one start an attempt, no more tries than the policy (whose tries are starts that were heard of before the
    next), no two attempts of a task at the same time."""
    lines, unheard = witnessed(h), ran_unheard(h)
    types = {t["id"]: t for t in h["tasks"]}
    attempts = collections.defaultdict(dict)
    for name, said in lines.items():
        task, attempt = name.rsplit(".", 1)
        starts = [s for s in said if s[1] == "start"]
        if len(starts) != 1:
            yield f"attempt {name}: {len(starts)} starts"
        attempts[task][int(attempt)] = (said[0][0], said[-1][0])
    for task, spans in attempts.items():
        row = types.get(task)
        if row is None:
            yield f"task {task}: ran, and is not in the tables"
            continue
        limit = TRIES.get(row["type"], 1) if row["repeatable"] else 1
        heard = [n for n in spans if f"{task}.{n}" not in unheard]
        if len(heard) > limit:
            yield f"task {task}: {len(heard)} runs, at most {limit} allowed"
        in_order = [spans[n] for n in sorted(spans)]
        for one, two in zip(in_order, in_order[1:]):
            if two[0] < one[1]:
                yield f"task {task}: two attempts at the same time (witness lines {one} and {two})"


def i3_ends_are_true(h):
    """succeeded = the witness reached its end with code 0; what never started has no start."""
    lines = witnessed(h)
    ours = {t["id"] for t in h["tasks"] if t["type"].startswith("chaos.")}
    unheard = ran_unheard(h)
    for a in h["attempts"]:
        if a["task"] not in ours:
            continue
        said = lines.get(key(a), [])
        ends = [d for _, what, d in said if what == "end"]
        if a["state"] == "succeeded" and ends != [0]:
            yield f"attempt {key(a)}: succeeded, and the witness ended with {ends}"
        if a["state"] == "failed" and a["cause"] == "exit" and ends != [a["exit_code"]]:
            yield f"attempt {key(a)}: exit {a['exit_code']}, and the witness ended with {ends}"
        if a["state"] == "void" and a["started_at"] is None and said and key(a) not in unheard:
            yield f"attempt {key(a)}: never started by the tables, and the witness ran"
    killed = {".".join(name.split(".")[:2]) for name in h["killed"]}
    for a in h["attempts"]:
        if a["lost_said"] and key(a) not in killed:
            yield f"attempt {key(a)}: lost ({a['cause']}), and nobody killed its runner"
    for name in lines:
        if name not in {key(a) for a in h["attempts"]}:
            yield f"attempt {name}: the witness ran it, and the tables know nothing of it"


def i4_events_whole(h):
    """Numbers 1..n without a gap, `started` first, `finished` last and only there."""
    events = collections.defaultdict(list)
    for e in h["events"]:
        events[key(e)].append((e["seq"], e["kind"]))
    for a in h["attempts"]:
        seen = events[key(a)]
        if [s for s, _ in seen] != list(range(1, len(seen) + 1)):
            yield f"attempt {key(a)} ({a['state']}): events {[s for s, _ in seen]}"
        kinds = [k for _, k in seen]
        if kinds and kinds[0] != "started" or "started" in kinds[1:]:
            yield f"attempt {key(a)}: begins with {kinds[:2]}"
        if a["state"] in ENDED_ATTEMPTS and kinds[-1:] != ["finished"] or "finished" in kinds[:-1]:
            yield f"attempt {key(a)} ({a['state']}): ends with {kinds[-2:]}"
        if a["state"] in ENDED_ATTEMPTS and a["results_expected"] is not None and a["results_expected"] != a["results_recorded"]:
            yield f"attempt {key(a)}: {a['results_recorded']} of {a['results_expected']} results"
    ended = {key(a): a["finished_at"] for a in h["attempts"] if a["state"] in ENDED_ATTEMPTS}
    for r in h["results"]:
        if not r["stale"] and r["recorded_at"] > ended.get(key(r), r["recorded_at"]):
            yield f"attempt {key(r)}: ended before its result {r['seq']} was recorded"
    ends = collections.Counter(a["task"] for a in h["attempts"] if a["state"] == "succeeded")
    for task, count in ends.items():
        if count > 1:
            yield f"task {task}: succeeded {count} times"


def expected_output(name, steps, bulk):
    """What the witness writes in so many steps."""
    text = ""
    for step in range(1, steps + 1):
        text += f"line {step} of {name}\n"
        if step == 1 and bulk:
            text += "".join(f"{n}\n" for n in range(1, bulk + 1))
    return text


def i5_output_true(h):
    """Lines and results are what the witness says: all of them when its supervisor lived to the end, else a beginning
    with no result missing that was acknowledged."""
    lines = witnessed(h)
    inputs = {op: entry["inputs"] for op, entry in h["submits"].items()}
    results = collections.defaultdict(list)
    for r in h["results"]:
        if r["field"] == "step":
            results[key(r)].append(json.loads(r["value"]))
    for a in h["attempts"]:
        said, given = lines.get(key(a)), inputs.get(a["operation"], {})
        if said is None or "steps" not in given: # a playbook: what a clone says to have run of it is for I2 and I3
            continue
        text = h["stdout"].get(key(a), "")
        if a["state"] != "void" and not expected_output(key(a), given["steps"], given["bulk"]).startswith(text):
            yield f"attempt {key(a)}: output that the witness never wrote: …{text[-80:]!r}"
        steps = max([d for _, what, d in said if what == "line"], default=0)
        whole = expected_output(key(a), steps, given["bulk"] if steps > 1 or a["state"] == "succeeded" else 0)
        if a["state"] in ENDED_ATTEMPTS and not a["dropped_bytes"] and not text.startswith(whole):
            yield f"attempt {key(a)} ({a['state']}): output ends after {len(text)} of at least {len(whole)} bytes"
        got = results[key(a)]
        if got != sorted(set(got)):
            yield f"attempt {key(a)}: results {got}"
        missing = {d for _, what, d in said if what == "result"} - set(got)
        if missing:
            yield f"attempt {key(a)} ({a['state']}): results {sorted(missing)} were acknowledged and are not there"


def i6_ends_stay(h):
    """No move after an end, by the audit; one last verdict for each operation, which agrees with the tables; times in order."""
    for row in h["audit"]:
        ended = ENDED_ATTEMPTS + ("void",) if row["kind"] == "attempt" else ENDED + ("skipped",)
        if row["old"] in ended:
            yield f"{row['kind']} {row['id']}: {row['old']} became {row['new']}"
    states = {o["id"]: o["state"] for o in h["operations"]}
    verdicts = collections.defaultdict(set)
    for kind, subject, state, message in h["verdicts"]:
        if kind == "operation" and state in ENDED:
            verdicts[subject].add((state, message))
    for op, state in states.items():
        if {s for s, _ in verdicts[op]} != ({state} if state in ENDED else set()) or len(verdicts[op]) > 1:
            yield f"operation {op}: {state}, and the stranger heard {sorted(verdicts[op])}"
    for a in h["attempts"]:
        times = [a[c] for c in ("offered_at", "granted_at", "started_at", "finished_at") if a[c] is not None]
        if times != sorted(times):
            yield f"attempt {key(a)}: times go back: {times}"


def i7_nothing_in_between(h):
    """Queues and spools are empty; nothing was set aside but what was forged."""
    for queue in QUIET_QUEUES:
        if any(h["queues"].get(queue, [0, 0])):
            yield f"queue {queue}: {h['queues'][queue]} (ready, unacknowledged)"
    for queue in QUIET_QUEUES:
        if queue not in h["queues"]:
            yield f"queue {queue}: is not there"
    for name in h["spool"]:
        yield f"spool: {name} is left"
    for row in h["dead"]:
        if "chaos" not in row["facts"] and "chaos" not in (row["body"] or ""):
            yield f"set aside: {row['source']} {row['reason']} {row['facts']} {(row['body'] or '')[:200]}"


def i8_no_process(h):
    for name in h["left"]:
        yield f"process of a task: {name}"


def i9_no_growth(h):
    for name, (fds, rss) in h["after"].items():
        before = h["before"][name]
        if fds > before[0] + FDS_MORE:
            yield f"{name}: {fds} open descriptors, {before[0]} before"
        if rss > before[1] * RSS_TIMES:
            yield f"{name}: {rss} KiB resident, {before[1]} before"


def i10_no_leak(h):
    for name in h["leaks"]:
        yield f"log {name}: holds a secret"


def i11_alive(h):
    for what in h["late"]:
        yield f"not over in time after healing: {what}"
    if h["new_ms"] is None or h["new_ms"] > NEW_MS:
        yield f"a new operation after healing took {h['new_ms']} ms"


ALL = {"I1": i1_one_end, "I2": i2_no_second_run, "I3": i3_ends_are_true, "I4": i4_events_whole, "I5": i5_output_true,
       "I6": i6_ends_stay, "I7": i7_nothing_in_between, "I8": i8_no_process, "I9": i9_no_growth, "I10": i10_no_leak,
       "I11": i11_alive}


def check(history):
    """[(invariant, what)]"""
    return [(name, what) for name, look in ALL.items() for what in look(history)]
