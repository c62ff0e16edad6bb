"""Walks points: for each the scenario is played while the point's fault is in wait; what died is started again, and when all is
over the invariants are checked."""
import collections
import json
import os
import re
import shutil
import sys
import time

import history
import invariants
import plan
from injectors import signal_quietly
from load import Load
from points import ALLOCATION, MAPPINGS, Point
from points_world import PointsWorld, Tracer
from run import new_operation
from stack import wait_for

WORK_S = 8.0 # within which the scenario is over without a fault, on a busy machine too
EVER_S = 1.2 # how long "for ever after" is
HEAL_S = 30
START_S = 0.35 # of work before the `start` scenario's kill
NAME = re.compile(r"[0-9a-f-]{36}\.\d+\.[0-9a-f]{16}")
# type, steps, pause, bulk, code, cancel after (s): a good one, a failing one, one that is cancelled, one that is tried again, a
# pair of tasks.
SCENARIO = (("chaos.once", 2, "0.02", 0, 0, -1.0), ("chaos.once", 1, "0", 0, 3, -1.0), ("chaos.once", 60, "0.1", 0, 0, 0.3),
            ("chaos.again", 1, "0", 0, 75, -1.0), ("chaos.pair", 1, "0", 40, 0, -1.0))


def requests(tag):
    return [plan.Request(f"{tag}.{no}", 0.0, kind, (("steps", steps), ("pause", pause), ("bulk", bulk), ("code", code)), cancel, True)
            for no, (kind, steps, pause, bulk, code, cancel) in enumerate(SCENARIO)]


def program_of(point):
    return "dispatcher-1" if point.program == "dispatcher" else "worker-1"


class Shim:
    """As a Tracer, for allocations."""

    def __init__(self, world, point):
        self.world, self.name = world, program_of(point)
        self.hits, self.counts = [], {}
        world.arm(self.name, point.n if point.kind else 0, point.ever)

    def read(self, _timeout):
        time.sleep(0.02)
        if self.world.allocations(self.name)[1]:
            self.hits = [(self.world.pid(self.name) or 0, "")]
        return True

    def end(self):
        self.read(0)
        self.counts = {ALLOCATION: self.world.allocations(self.name)[0]}
        self.world.arm(self.name, 0, 0)


class Trial:
    """One point on a world in which all is quiet."""

    def __init__(self, world, point, tag):
        self.world, self.point, self.tag = world, point, tag
        self.name = program_of(point)
        self.load = Load(world.stack, tag, requests(tag))
        self.tracer = None

    def run(self):
        """{hit, violations, counts, seconds}"""
        world, began = self.world, time.monotonic()
        world.note(str(self.point))
        world.killed.clear()
        open(f"{world.own}/witness", "w", encoding="utf-8").close()
        world.stack.sql("TRUNCATE chaos.audit", role="migrate")
        world.since = str(world.stack.one("SELECT clock_timestamp()", role="migrate"))
        before = history.figures(world)
        try:
            self.play()
        finally:
            if self.tracer is not None:
                self.tracer.end()
        self.note_deaths()
        world.away.clear()
        late = history.wait_quiet(world, HEAL_S)
        seen = self.collect(before, late)
        found = [f"{name}: {what}" for name, what in invariants.check(seen)]
        if found:
            history.save(seen, f"{world.dir}/{self.tag}.json")
        return {"hit": bool(self.tracer.hits), "violations": found, "counts": self.tracer.counts,
                "seconds": round(time.monotonic() - began, 2)}

    def play(self):
        """Nothing is started again before the tracer is gone: a program that comes back meets no fault."""
        self.world.away.add(self.name)
        began = time.monotonic()
        if self.point.scenario == "work":
            self.begin()
        self.load.start(began)
        if self.point.scenario == "start":
            time.sleep(START_S)
            self.world.kill(self.name)
            self.begin(started=True)
        self.watch(began + WORK_S)
        self.load.join()

    def begin(self, started=False):
        world, point = self.world, self.point
        if point.call == ALLOCATION:
            self.tracer = Shim(world, point)
            if started:
                world.restart(self.name)
        elif started:
            self.tracer = world.restart_traced(self.name, point)
        else:
            role = point.program if point.program in ("dispatcher", "worker") else "spawner"
            self.tracer = Tracer(world, point, [point.program, role, str(self.pid(role))])

    def pid(self, role):
        if role != "spawner":
            return self.world.pid(self.name)
        return wait_for(lambda: self.world.processes(self.name, "hler-spawner"), 10, "a spawner")[0]

    def watch(self, end):
        """Until the fault has come (and lasted), the program is dead, or all is over."""
        victim, hit_at = self.world.pid(self.name), None
        while time.monotonic() < end and self.tracer.read(0.02):
            if self.tracer.hits and hit_at is None:
                hit_at = time.monotonic()
            if hit_at is not None and (not self.point.ever or time.monotonic() > hit_at + EVER_S):
                break
            if victim is None or self.world.pid(self.name) != victim or (hit_at is None and self.over()):
                break

    def over(self):
        """Looked at rarely enough to disturb nobody."""
        done = [e for e in self.load.history.values() if e["submit"] == "ok"]
        return len(done) == len(SCENARIO) and not self.world.stack.sql(history.UNFINISHED, role="migrate")

    def note_deaths(self):
        """An attempt may be lost whose runner met a fault, and no other."""
        for _, place in self.tracer.hits:
            if self.point.program in ("runner", "child"):
                self.world.killed.extend(NAME.findall(place))

    def collect(self, before, late):
        world = self.world
        new_ms = new_operation(world)
        seen = history.tables(world)
        seen.update(submits=self.load.history, witness=history.witness_lines(world), verdicts=history.Feed().verdicts(world),
                    queues={q: [0, 0] for q in invariants.QUIET_QUEUES}, spool=history.spool_files(world), leaks=[], before=before,
                    after=history.figures(world), killed=world.killed, late=late, new_ms=new_ms,
                    left=[f"{w} {pid}" for w in world.workers for pid in world.children(w) + world.processes(w, "hler-runner")])
        return seen


def say(text):
    print(f"points: {text}", file=sys.stderr, flush=True)


class Walker:
    """A stack for many points; a new one after a violation."""

    def __init__(self, guard=None, keep=False):
        self.guard, self.keep = guard, keep
        self.world, self.ran = None, 0
        self.directories = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down(self.keep)

    def up(self):
        if self.world is None:
            self.world = PointsWorld(self.guard)
            self.world.up()
            new_operation(self.world)
        return self.world

    def down(self, keep):
        """What the logs and queues say at the end."""
        if self.world is None:
            return []
        world, self.world = self.world, None
        found = []
        try:
            if not keep:
                found = [f"I7: queue {q}: {n} (ready, unacknowledged)" for q, n in history.busy_queues(history.queues_quiet(world)).items()]
                found += [f"I10: log {name} holds a secret" for name in history.leaks(world)]
        finally:
            world.down()
        found += [f"sanitizer: {r}" for r in world.stack.sanitizer_reports()]
        if keep or found:
            self.directories.append(world.dir)
        else:
            shutil.rmtree(world.dir)
        return found

    def one(self, point):
        self.ran += 1
        result = Trial(self.up(), point, f"p{self.ran}").run()
        if result["violations"]:
            self.down(keep=True)
            result["directory"] = self.directories[-1]
        return result

    def count(self, scenario, program):
        """{call: how often} in one play of the scenario."""
        result = self.one(Point(scenario, program, "", 0, ""))
        assert not result["violations"], f"{scenario} {program} without a fault: {result['violations']}; logs: {self.directories}"
        counts = dict(result["counts"])
        if not self.world.shim: # a sanitizer's own allocator gives up at once where malloc() would say so
            counts = {call: n for call, n in counts.items() if call.partition("@")[0] not in MAPPINGS}
        if program in ("dispatcher", "worker") and self.world.shim:
            counts.update(self.one(Point(scenario, program, ALLOCATION, 0, ""))["counts"])
        return counts
