"""The stack under trial, with a proxy between each program and each server, a small disk for each spool, and a wall
clock for each program that can be set."""
import os
import re
import shutil
import signal
import struct
import subprocess
import threading

import pika

import guards
import plan
from inject_message import Tap
from proxy import Proxies
from stack import SANITIZERS, TOP, Stack, alive, read, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ADMIN = "chaos"
LOST_AFTER_MS = 4000
SPOOL_MIB = 64
FLOWS = 4 # of a dispatcher, each with its connection to the database
SETTINGS = ("worker.claim_wait_ms=3000", "worker.ack_hold_ms=3000", "worker.broker.heartbeat_s=15", # outlives a frozen worker
            "dispatcher.offers.offer_wait_ms=2000", "dispatcher.leases.tick_ms=250", "dispatcher.broker.heartbeat_s=2",
            "dispatcher.database.timeout_ms=2000")
TABLE_SETTINGS = {"report_after_ms": 3000, "gap_after_ms": 3000, "verdict_again_ms": 3000}
AUDIT = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.audit (no bigint GENERATED ALWAYS AS IDENTITY, kind text, id text, old text, new text, cause text,
                          at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION chaos.watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO chaos.audit (kind, id, old, new, cause) VALUES (TG_TABLE_NAME,
        CASE TG_TABLE_NAME WHEN 'attempt' THEN to_jsonb(NEW)->>'task' || '.' || (to_jsonb(NEW)->>'attempt')
                           ELSE to_jsonb(NEW)->>'id' END, OLD.state, NEW.state, NEW.cause);
    RETURN NULL;
END $$;
"""
WATCH = "CREATE TRIGGER chaos AFTER UPDATE ON hler.{0} FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION chaos.watch();"


class World:
    """`guard`: name of the guard that is switched off (guards.py), or None."""
    dispatchers, workers = plan.DISPATCHERS, plan.WORKERS
    lost_after_ms, settings = LOST_AFTER_MS, SETTINGS

    def __init__(self, guard=None):
        self.guard = guard
        self.programs = self.dispatchers + self.workers
        self.stack = Stack("--workers", str(len(self.workers)), "--dispatchers", str(len(self.dispatchers)), "--slots", "10",
                           "--lost-after-ms", str(self.lost_after_ms), *[w for s in self.settings for w in ("--set", s)], start=False)
        self.dir = self.stack.dir
        self.own = os.path.join(self.dir, "chaos") # ours: the witness, the clocks
        self.proxies = Proxies()
        self.broker, self.database = {}, {} # program -> proxy
        self.locks = {name: threading.RLock() for name in self.programs + plan.SERVERS}
        self.tap = None
        self.load = None
        self.away = set() # programs that are not to be revived now, nor hit by another fault
        self.aim = threading.Lock() # one fault at a time takes a worker away
        self.since = "-infinity" # whose operations the history is of
        self.killed = [] # names of attempts whose runner was killed

    # ---- up and down ----

    def up(self):
        for name in ("run", "chaos"):
            os.mkdir(f"{self.dir}/{name}")
        open(f"{self.dir}/run/stack", "w", encoding="utf-8").close() # so that it takes a directory with disks in it
        open(f"{self.own}/witness", "w", encoding="utf-8").close()
        shutil.copy(f"{HERE}/witness.sh", f"{self.own}/witness.sh")
        self.mount_spools()
        self.make_clocks()
        self.stack.up()
        self.stack.apply(read(f"{HERE}/chaos.cfg").replace("@WITNESS@", f"{self.own}/witness.sh"))
        self.prepare_tables()
        guards.switch_off(self.stack, self.guard)
        self.make_admin()
        self.tap = Tap(self)
        self.go_through_proxies()

    def mount_spools(self):
        """As root each spool is a small disk of its own."""
        for name in self.workers:
            os.makedirs(f"{self.dir}/spool/{name}")
            if os.geteuid() == 0:
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SPOOL_MIB}m,mode=0700", "hler-chaos", f"{self.dir}/spool/{name}"],
                               check=True)

    def make_clocks(self):
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", f"{self.own}/clockjump.so", f"{HERE}/clockjump.c",
                        "-ldl"], check=True)
        for name in self.programs:
            with open(self.clock(name), "wb") as f:
                f.write(struct.pack("q", 0))

    def prepare_tables(self):
        """Faster menders, and an audit of all moves that the product knows nothing of."""
        for name, value in TABLE_SETTINGS.items():
            self.stack.sql("UPDATE hler.setting SET value = %s WHERE name = %s", value, name, role="migrate")
        self.watch_tables()

    def watch_tables(self):
        self.stack.sql(AUDIT + "".join(WATCH.format(t) for t in ("operation", "task", "attempt")), role="migrate")

    def make_admin(self):
        """A user of the broker who may do all, also speak in others' names."""
        url = self.stack.env["HLER_MANAGEMENT_URL"]
        self.stack.manage("PUT", f"users/{ADMIN}", {"password": ADMIN, "tags": "administrator,impersonator"})
        self.stack.manage("PUT", f"permissions/hler/{ADMIN}", {"configure": ".*", "write": ".*", "read": ".*"})
        self.stack.env["HLER_MANAGEMENT_URL"] = re.sub(r"//.*@", f"//{ADMIN}:{ADMIN}@", url)

    def admin(self):
        """A new channel of that user's, past all proxies."""
        port = read(f"{self.dir}/run/ports").split()[1]
        return pika.BlockingConnection(pika.URLParameters(f"amqp://{ADMIN}:{ADMIN}@127.0.0.1:{port}/hler")).channel()

    def sessions(self):
        return {r["id"]: r["session"] for r in self.stack.sql("SELECT id, session FROM hler.worker", role="migrate")}

    def connected_flows(self):
        return self.stack.one("SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE usename = 'hler_dispatcher'",
                              role="migrate")

    def go_through_proxies(self):
        before = self.sessions()
        ports = read(f"{self.dir}/run/ports").split()
        for name in self.programs:
            path = f"{self.dir}/etc/{name}.conf"
            text = read(path)
            self.broker[name] = self.proxies.add(int(ports[1]))
            text = re.sub(r"(\bport = )\d+", rf"\g<1>{self.broker[name].port}", text)
            if name in self.dispatchers:
                self.database[name] = self.proxies.add(int(ports[0]))
                text = re.sub(r"(\bport=)\d+", rf"\g<1>{self.database[name].port}", text)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            self.restart(name)
        # Or what they have open before a run would be what a start has.
        wait_for(lambda: all(self.sessions().get(w) not in (None, before.get(w)) for w in self.workers)
                 and self.connected_flows() == FLOWS * len(self.dispatchers), timeout=60, what="all programs, anew")

    def down(self):
        """Ends all; the files stay."""
        for name in self.workers:
            for pid in self.processes(name, "hler-spawner"):
                signal_quietly(pid, signal.SIGCONT)
        if self.tap is not None:
            self.tap.end()
        try:
            subprocess.run([f"{TOP}/deploy/stack", "down", self.dir], check=True, stderr=subprocess.DEVNULL)
        finally:
            for name in self.workers:
                subprocess.run(["umount", "-l", f"{self.dir}/spool/{name}"], check=False, stderr=subprocess.DEVNULL)
            self.proxies.end()

    # ---- programs ----

    def restart(self, name, timeout=60):
        """A program of ours with its clock, or a server; whatever is left of it is ended first."""
        environ = dict(os.environ)
        if name in self.programs:
            environ.update(HLER_GUARD_OFF=self.guard or "", LD_PRELOAD=f"{self.own}/clockjump.so", HLER_CLOCK=self.clock(name))
            environ.update({n: self.stack.sanitizer_options(n) for n in SANITIZERS})
            environ["ASAN_OPTIONS"] += ":verify_asan_link_order=0" # the clock's library comes first
        subprocess.run([f"{TOP}/deploy/stack", "restart", self.dir, name], check=True, env=environ, timeout=timeout,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def revive(self, name):
        with self.locks[name]:
            if self.pid(name) is None and name not in self.away:
                self.restart(name)

    def clock(self, name):
        return f"{self.own}/clock.{name}"

    def set_clock(self, name, seconds):
        with open(self.clock(name), "r+b") as f:
            f.write(struct.pack("q", seconds))

    def pid(self, name):
        """Of a program that lives, else None."""
        try:
            pid = self.stack.pid(name)
        except (OSError, IndexError, ValueError):
            return None
        return pid if alive(pid) else None

    def processes(self, worker, *names):
        """Pids of hler-spawner, hler-runner or hler-idle of a worker, in order."""
        return [pid for pid in all_pids() if slurp(f"/proc/{pid}/comm").strip() in names and
                f"{self.dir}/spool/{worker}" in slurp(f"/proc/{pid}/cmdline") and alive(pid)]

    def children(self, worker):
        """Pids of what runners run: all that carries an attempt's mark."""
        mark = f"HLER_VARS={self.dir}/spool/{worker}/"
        return [pid for pid in all_pids() if mark in slurp(f"/proc/{pid}/environ") and alive(pid)]


def all_pids():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def slurp(path):
    try:
        return read(path)
    except OSError:
        return ""


def signal_quietly(pid, signo):
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        pass
