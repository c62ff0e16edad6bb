"""One run: up, faults and work, heal, look, check, down."""
import json
import shutil
import signal
import sys
import time

import history
import invariants
import plan
from injectors import Injector
from load import Load
from world import LOST_AFTER_MS, World

HEAL_S = 2 * LOST_AFTER_MS / 1000 + 140 # within which all must be over, on a busy machine too
QUIET_S = 20 # for what the last operation left to do


def say(text):
    print(f"chaos: {text}", file=sys.stderr, flush=True)


def new_operation(world):
    """Milliseconds that an operation takes once all is well, None = too long."""
    begin = time.monotonic()
    try:
        world.stack.run("test.true", timeout=30)
    except AssertionError:
        return None
    took_ms = int((time.monotonic() - begin) * 1000)
    history.wait_quiet(world, QUIET_S) # its verdict is on its way to the stranger, its journal to done/
    return took_ms


def trial(world, seed, faults, requests):
    """(history, injector, load)"""
    world.stack.run("test.true")
    before = history.figures(world)
    injector, load = Injector(world, faults), Load(world.stack, seed, requests)
    world.load = load
    began = time.monotonic()
    load.start(began)
    injector.run(began)
    load.join()
    say(f"{len(injector.log)} faults in {time.monotonic() - began:.0f} s; healing")
    injector.heal()
    world.stack.connections.clear() # none of them outlived it
    healed = time.monotonic()
    late = history.wait_quiet(world, HEAL_S)
    say(f"{'all over' if not late else 'not all over'} {time.monotonic() - healed:.1f} s after healing")
    seen = history.collect(world, load, before, late, new_operation(world))
    return seen, injector


def keep_evidence(world, made, seen, injector):
    with open(f"{world.dir}/plan", "w", encoding="utf-8") as f:
        f.write(plan.text(*made))
    with open(f"{world.dir}/faults.json", "w", encoding="utf-8") as f:
        json.dump(injector.log, f, indent=1)
    history.save(seen, f"{world.dir}/history.json")


def end_on_signals():
    """Also a script's background job, which ignores SIGINT, ends its stack when it is told to end."""
    for signo in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signo, lambda *_: sys.exit(130))


def run(seed, faults, requests, keep=False, guard=None):
    world = World(guard)
    report = {"seed": seed, "directory": world.dir, "violations": [], "problems": []}
    try:
        world.up()
        seen, injector = trial(world, seed, faults, requests)
        keep_evidence(world, (faults, requests), seen, injector)
        report.update(faults=dict(sorted(injector.done.items())), void=dict(sorted(injector.void.items())),
                      problems=injector.problems, operations=len(seen["operations"]), attempts=len(seen["attempts"]),
                      events=len(seen["events"]), new_ms=seen["new_ms"], states=count_states(seen),
                      violations=[f"{name}: {what}" for name, what in invariants.check(seen)])
    except BaseException:
        say(f"broken off; logs: {world.dir}")
        raise
    finally:
        world.down()
    report["violations"] += [f"sanitizer: {r}" for r in world.stack.sanitizer_reports()]
    if not (keep or report["violations"] or report["problems"]):
        shutil.rmtree(world.dir)
        report["directory"] = None
    return report


def count_states(seen):
    found = {}
    for row in seen["operations"]:
        found[row["state"]] = found.get(row["state"], 0) + 1
    return found


def text(report):
    done = report["faults"]
    lines = [f"seed {report['seed']}: {sum(done.values())} faults, {report['operations']} operations {report['states']}, "
             f"{report['attempts']} attempts, {report['events']} events, a new one in {report['new_ms']} ms"]
    lines.append("faults: " + ", ".join(f"{k} {n}" for k, n in done.items()))
    if report["void"]:
        lines.append("with nothing to hit: " + ", ".join(f"{k} {n}" for k, n in report["void"].items()))
    lines += [f"HARNESS: {p}" for p in report["problems"]]
    lines += [f"VIOLATION (seed {report['seed']}) {v}" for v in report["violations"]]
    if report["directory"]:
        lines.append(f"logs, plan and history: {report['directory']}")
    lines.append("no violation" if not report["violations"] else f"{len(report['violations'])} violations")
    return "".join(f"{line}\n" for line in lines)
