"""Runs the faults of a plan at their times, each in a thread of its own, and heals all at the end."""
import collections
import os
import signal
import threading
import time
import traceback

import inject_message
import inject_process
import inject_server
import plan
from world import signal_quietly

KINDS = {**inject_process.KINDS, **inject_server.KINDS, **inject_message.KINDS}


class Injector:
    def __init__(self, world, faults):
        self.world, self.faults = world, faults
        self.done, self.void = collections.Counter(), collections.Counter()
        self.problems = [] # what the harness itself could not do
        self.log = []
        self.lock = threading.Lock()

    def run(self, began):
        """Until all faults have begun and ended."""
        threads = []
        for fault in self.faults:
            time.sleep(max(0.0, began + fault.at - time.monotonic()))
            thread = threading.Thread(target=self.one, args=(began, fault))
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()

    def one(self, began, fault):
        start = time.monotonic() - began
        try:
            done = KINDS[fault.kind](self.world, fault)
        except Exception: # pylint: disable=broad-except
            self.problems.append(f"fault {fault.no} {fault.kind} {fault.target}: {traceback.format_exc()}")
            return
        with self.lock:
            (self.done if done else self.void)[fault.kind] += 1
            self.log.append((round(start, 3), round(time.monotonic() - began, 3), fault.no, fault.kind, fault.target, done))

    def heal(self):
        """All as it should be, whatever the faults left."""
        world = self.world
        for name in plan.PROGRAMS:
            for proxy in inject_server.both(world, name):
                for step in (proxy.hold(False), proxy.slow(0.0), proxy.arm("answer", False), proxy.arm("request", False)):
                    world.proxies.call(step)
                proxy.refuse = False
            world.set_clock(name, 0)
        for server, process in (("database", "postgres"), ("broker", "rabbitmq")):
            if world.pid(process) is None:
                inject_server.start_server(world, server)
        inject_server.define(world)
        for worker in plan.WORKERS:
            ballast = f"{world.dir}/spool/{worker}/{inject_process.FULL}"
            if os.path.exists(ballast):
                os.unlink(ballast)
            for pid in world.processes(worker, "hler-spawner", "hler-runner", "hler-idle") + world.children(worker):
                signal_quietly(pid, signal.SIGCONT)
        for name in plan.PROGRAMS:
            pid = world.pid(name)
            if pid is not None:
                signal_quietly(pid, signal.SIGCONT)
            world.revive(name)
