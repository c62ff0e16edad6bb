"""One job says a gigabyte: who else feels it, on its worker and on another, and if its own sees no other start."""
import json
import time

import probe
from stack import wait_for

LIMIT = 1 << 30 # output_bytes when a type says nothing
BEYOND = 10_000_001
LINE = "x" * 99
IDLE_SAMPLES = 300
TIMEOUT_S = 900
MIB = 1 << 20


def attempt(stack, operation):
    rows = stack.attempts(operation)
    return rows[0] if rows else {"finished_at": None, "output_complete": False}


def check_kept(stack, operation):
    """To the byte: what the tables have, and what they say is missing."""
    done = attempt(stack, operation)
    kept = stack.one("SELECT sum(octet_length(text)) FROM hler.output WHERE operation = %s", operation)
    marks = [e["data"] for e in stack.events(operation) if e["type"] == "progress"]
    assert (done["state"], done["output_bytes"], done["dropped_bytes"]) == ("succeeded", LIMIT, BEYOND), done
    assert kept == LIMIT, kept
    assert [m["kind"] for m in marks] == ["output_limit"] and marks[0]["kept_bytes"] == LIMIT, json.dumps(marks)
    said = stack.hler("show", str(operation))
    assert f"{BEYOND} dropped" in said, said


def run():
    found = {}
    for slots in ("8", "1"):
        told = probe.on_stack(trial, "--workers", "2", "--slots", slots)
        found.update({f"{key}, slots {slots}": value for key, value in told.items()})
    return found


def trial(stack):
    prober = probe.Probe(stack)
    idle = prober.idle(IDLE_SAMPLES)
    began = time.monotonic()
    operation = stack.shell(f"yes {LINE} | head -c {LIMIT + BEYOND}")
    ended = []

    def is_over():
        now = attempt(stack, operation)
        if now["finished_at"] and not ended:
            ended.append(time.monotonic() - began)
        assert time.monotonic() - began < TIMEOUT_S, now
        return now["output_complete"]

    loaded = prober.until(is_over)
    took = time.monotonic() - began
    wait_for(lambda: stack.operation(operation)["state"] == "succeeded", what="the end")
    check_kept(stack, operation)
    worker = stack.pid(stack.attempts(operation)[0]["worker"])
    return {"others idle": probe.text(idle), "others during the flood": probe.text(loaded), "p99 ratio": probe.ratio(loaded, idle),
            "job ended after": f"{ended[0]:.1f} s", "all recorded after": f"{took:.1f} s ({LIMIT / MIB / took:.1f} MiB/s)",
            "worker's memory": f"most {probe.memory_mib(worker, 'VmHWM'):.1f} MiB",
            "kept, dropped": f"{LIMIT} bytes, {BEYOND} bytes: exact"}
