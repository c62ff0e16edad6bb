"""Idle system: from the answered COMMIT to the first line of what runs."""
import os
import time

import load
import peers
import process
from report import Result, most
from stack import BUILD, say

CELERY_PROGRAM = "celery that starts the program"
INSERT_ROW = "hler INSERT with its COMMIT, p50" # the grant is a part of it
SAMPLES = 60
NODE_SAMPLES = 15
WARM = 3
IDLE_GAP_S = 0.1 # the events of the operation before are recorded by then


def stamps(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return f.read().split()


def one(cursor, path, index):
    """(from the answered COMMIT to the start, the INSERT with its COMMIT)"""
    began = time.monotonic_ns()
    cursor.execute("INSERT INTO hler.operation (type, inputs) VALUES ('bench.stamp', json_build_object('path', %s::text))", (path,))
    committed = time.monotonic_ns()
    found = process.until(lambda: stamps(path)[index:], 10, "the stamp of an operation", 0.005)
    time.sleep(IDLE_GAP_S)
    return (int(found[0]) - committed) / 1e6, (committed - began) / 1e6


def hler(stack, path, result):
    c, k = stack.front_end()
    took = [one(k, path, i) for i in range(SAMPLES + WARM)][WARM:]
    c.close()
    result.add(INSERT_ROW, load.percentile([insert for _, insert in took], .5))
    return [start for start, _ in took]


def celery(stack, path, *program):
    stack.reset_peers(0)
    with peers.Celery(stack) as peer:
        return peer.client("latency", SAMPLES, path, *program)["ms"]


def celery_program(stack, path):
    return celery(stack, path, f"{BUILD}/bench/stamp")


def node(stack, program, path):
    stack.reset_peers(0)
    return peers.node(stack, program, "latency", NODE_SAMPLES, path)[0]["ms"]


def latency(context):
    stack, result = context.stack(), Result(
        "latency", f"One operation at a time on an idle system, {SAMPLES} a round: ms from the answered COMMIT to the first line of the "
        "program (Celery, Node: of the task's body; pg-boss polls every 0.5 s).")
    contenders = {"hler": lambda s, path: hler(s, path, result), "celery": celery, CELERY_PROGRAM: celery_program}
    contenders.update({name: lambda s, path, program=program: node(s, program, path) for name, program in peers.NODE_PEERS.items()})
    for names, missing in ((["celery", CELERY_PROGRAM], peers.celery_missing()), (peers.NODE_PEERS, peers.node_missing())):
        for name in names:
            if missing:
                result.note(f"{name} not measured: {missing}")
                del contenders[name]
    for name in contenders:
        result.row(f"{name} p50", "ms")
        result.row(f"{name} p99", "ms")
    result.row(INSERT_ROW, "ms")
    for i in range(context.rounds):
        say(f"latency: round {i + 1} of {context.rounds}")
        for name, measure in contenders.items():
            took = measure(stack, f"{stack.dir}/stamp.{name}.{i}")
            result.add(f"{name} p50", load.percentile(took, .5))
            result.add(f"{name} p99", load.percentile(took, .99))
    for q, target in (("p50", most(1.0)), ("p99", most(1.5))):
        result.ratio(f"{q} hler/celery", f"hler {q}", f"celery {q}", target)
        result.ratio(f"{q} hler/{CELERY_PROGRAM}", f"hler {q}", f"{CELERY_PROGRAM} {q}")
    for name in peers.NODE_PEERS:
        result.ratio(f"p50 hler/{name}", "hler p50", f"{name} p50")
    result.note("Hlér's program is a process of its own, started and stamped by itself; the peers' handlers run inside of a warm worker, "
                "but for the row in which a Celery task starts the same program.")
    return result
