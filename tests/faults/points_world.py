"""The stack under trial for crash points: one dispatcher, one worker, no proxies.  Programs are started and started again as an
init system does it; one of them is under the tracer."""
import datetime
import os
import select
import signal
import struct
import subprocess
import threading
import time

import guards
from stack import SANITIZERS, read, wait_for
from world import HERE, World, signal_quietly

SETTINGS = ("worker.done_max=4", # so that directories serve again
            "worker.claim_wait_ms=2000", "worker.ack_hold_ms=2000", "worker.heartbeat_ms=250", "dispatcher.offers.offer_wait_ms=1000",
            "dispatcher.leases.tick_ms=200", "dispatcher.database.timeout_ms=2000")
LOST_AFTER_MS = 2500
TABLE_SETTINGS = {"report_after_ms": 1000, "gap_after_ms": 1000, "verdict_again_ms": 1000}
NOMEM = "4Q" # struct nomem: count, at, ever, hit
TEND_S = 0.1
SAY_S = 20 # within which the tracer answers


class Tracer:
    """tests/faults/tracer.c on one program.  `args`: its ROLE AS {PID | COMMAND}."""

    def __init__(self, world, point, args, name=None, stderr=None):
        ports = read(f"{world.dir}/run/ports").split()
        options = ["--db", ports[0], "--amqp", ports[1]]
        if point.call and point.n:
            options += ["--call", point.call, "--at", str(point.n), "--kind", point.tracer_kind()] + ["--ever"] * point.ever
        self.process = subprocess.Popen([f"{world.own}/tracer", *options, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=stderr, env=world.environ(name)) # which is static: no shim in it
        self.text = b""
        self.hits, self.counts = [], {}
        self.pid = None
        end = time.monotonic() + SAY_S
        while self.pid is None and time.monotonic() < end and self.read(0.1):
            pass
        assert self.pid is not None, f"the tracer of {point} said nothing"

    def read(self, timeout):
        """Takes what it said; false at its end."""
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            return True
        chunk = os.read(self.process.stdout.fileno(), 65536)
        *lines, self.text = (self.text + chunk).split(b"\n")
        for line in lines:
            what, *words = line.decode(errors="replace").split(" ", 2)
            if what == "ready":
                self.pid = int(words[0])
            elif what == "hit":
                self.hits.append((int(words[0]), words[1]))
            elif what == "count":
                self.counts[words[0]] = int(words[1])
        return chunk != b""

    def end(self):
        """All lives on without it."""
        end = time.monotonic() + SAY_S
        while time.monotonic() < end:
            self.process.terminate()
            while self.read(0.1):
                if not select.select([self.process.stdout], [], [], 0.1)[0]:
                    break
            if self.process.poll() is not None:
                break
        self.process.kill()
        while self.read(0.1):
            pass
        self.process.stdout.close()
        self.process.wait()


class PointsWorld(World):
    dispatchers, workers = ("dispatcher-1",), ("worker-1",)
    lost_after_ms, settings = LOST_AFTER_MS, SETTINGS

    def __init__(self, guard=None):
        super().__init__(guard)
        self.started = [] # what we started, to take their ends
        self.shim = not sanitized(self.stack.build)
        self.ended = threading.Event()
        self.init = threading.Thread(target=self.tend, daemon=True)

    def up(self):
        for name in ("run", "chaos"):
            os.mkdir(f"{self.dir}/{name}")
        open(f"{self.dir}/run/stack", "w", encoding="utf-8").close()
        self.build()
        self.mount_spools()
        self.stack.up()
        self.stack.apply(read(f"{HERE}/chaos.cfg").replace("@WITNESS@", f"{self.own}/witness.sh"))
        self.prepare_tables()
        guards.switch_off(self.stack, self.guard)
        for name in self.programs:
            self.kill(name)
            self.restart(name)
        self.init.start()

    def build(self):
        with open(f"{self.own}/witness.sh", "w", encoding="utf-8") as f:
            f.write(read(f"{HERE}/witness.sh"))
        for name, options, sources in (("tracer", ["-O2", "-static"], ["tracer.c", "tracer_calls.c", "tracer_place.c", "tracer_roles.c"]),
                                       ("nomem.so", ["-O2", "-shared", "-fPIC"], ["nomem.c"])):
            subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", *options, "-o", f"{self.own}/{name}", *[f"{HERE}/{s}" for s in sources]],
                           check=True)
        for name in self.programs:
            with open(self.nomem(name), "wb") as f:
                f.write(struct.pack(NOMEM, 0, 0, 0, 0))

    def prepare_tables(self):
        for name, value in TABLE_SETTINGS.items():
            self.stack.sql("UPDATE hler.setting SET value = %s WHERE name = %s", value, name, role="migrate")
        self.watch_tables()

    # ---- as an init system ----

    def environ(self, name=None):
        environ = dict(os.environ, HLER_STACK=self.dir, HLER_GUARD_OFF=self.guard or "")
        environ.update({n: self.stack.sanitizer_options(n) for n in SANITIZERS})
        environ["ASAN_OPTIONS"] += ":detect_leaks=0" # cannot be told while traced
        if name is not None and self.shim:
            environ.update(LD_PRELOAD=f"{self.own}/nomem.so", HLER_NOMEM=self.nomem(name))
        return environ

    def command(self, name):
        return [f"{self.stack.build}/bin/hler-{name.split('-')[0]}", "--config", f"{self.dir}/etc/{name}.conf"]

    def remember(self, name, pid):
        try:
            start = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[19]
        except OSError:
            start = "0" # its first call was its last
        with open(f"{self.dir}/run/{name}.pid", "w", encoding="utf-8") as f:
            f.write(f"{pid} {start}\n")

    def restart(self, name, timeout=0):
        with open(f"{self.dir}/log/{name}.log", "ab") as log:
            process = subprocess.Popen(self.command(name), env=self.environ(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)
        self.remember(name, process.pid)
        self.note(f"{name} {process.pid} started")
        for old in [p for p in self.started if p.poll() is not None]:
            self.note(f"{old.args[0]} {old.pid} ended with {old.returncode}")
            self.started.remove(old)
        self.started.append(process)

    def note(self, text):
        with open(f"{self.dir}/log/init.log", "a", encoding="utf-8") as f:
            f.write(f"{datetime.datetime.utcnow().isoformat()}Z {text}\n")

    def restart_traced(self, name, point):
        with open(f"{self.dir}/log/{name}.log", "ab") as log:
            tracer = Tracer(self, point, [point.program, point.program if point.program != "spawner" else "worker", *self.command(name)],
                            name, log)
        self.remember(name, tracer.pid)
        self.note(f"{name} {tracer.pid} started for {point}")
        return tracer

    def kill(self, name):
        pid = self.pid(name)
        if pid is not None:
            signal_quietly(pid, signal.SIGKILL)
            wait_for(lambda: self.pid(name) is None, 10, f"the end of {name}")

    def tend(self):
        """In a thread of its own: starts what is not there, until down()."""
        while not self.ended.wait(TEND_S):
            for name in () if self.away else self.programs:
                self.revive(name)

    def down(self):
        self.ended.set()
        if self.init.is_alive():
            self.init.join()
        super().down()

    # ---- the shim ----

    def nomem(self, name):
        return f"{self.own}/nomem.{name}"

    def arm(self, name, at, ever):
        with open(self.nomem(name), "r+b") as f:
            f.write(struct.pack(NOMEM, 0, at, ever, 0))

    def allocations(self, name):
        """(how many, how many of them failed)"""
        with open(self.nomem(name), "rb") as f:
            count, _, _, hit = struct.unpack(NOMEM, f.read())
        return count, hit


def sanitized(build):
    with open(f"{build}/bin/hler-worker", "rb") as f:
        return b"__asan_init" in f.read()
