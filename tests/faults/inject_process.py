"""Faults of processes: killed, frozen, ended; their clocks and disks."""
import os
import signal
import time

import plan
from stack import wait_for
from world import all_pids, signal_quietly, slurp

FULL = "ballast"
LONG_STEPS = 60 # half a second each: longer than it takes until the task is given to another
# How long is waited for what makes a fault hit; not how long it takes: that depends on the machine.
BURST_S = 20 # some of a burst is where it should be
AIM_S = 60 # one that is under way is over
WAIT_S = 3 # for something to hit
IN_LINE_S = 20 # for a worker with a claim made ahead
JUMPS = (-864000, -3600, -30, 30, 3600, 864000) # seconds


def kill(world, fault):
    pid = world.pid(fault.target)
    if pid is None or fault.target in world.away:
        return False
    signal_quietly(pid, signal.SIGKILL)
    time.sleep(fault.lasts)
    world.revive(fault.target)
    return True


def terminate(world, fault):
    pid = world.pid(fault.target)
    if pid is None or fault.target in world.away:
        return False
    signal_quietly(pid, signal.SIGTERM)
    wait_for(lambda: world.pid(fault.target) != pid, 10, f"{fault.target} ends on request")
    time.sleep(fault.lasts)
    world.revive(fault.target)
    return True


def freeze(world, fault):
    return fault.target not in world.away and freeze_pid(world.pid(fault.target), fault.lasts)


def freeze_pid(pid, seconds):
    if pid is None:
        return False
    signal_quietly(pid, signal.SIGSTOP)
    time.sleep(seconds)
    signal_quietly(pid, signal.SIGCONT)
    return True


def living(world, worker):
    """That worker, or another one if it does not live now."""
    return next((w for w in (worker, *plan.WORKERS) if world.pid(w) is not None), worker)


def await_one(look):
    """The first of what look() finds, in order; None = it took too long."""
    end = time.monotonic() + BURST_S
    while time.monotonic() < end:
        found = look()
        if found:
            return sorted(found)[0]
        time.sleep(0.2)
    return None


def await_worker(world, requests, state, wanted):
    """A living worker, of those that are wanted, that has an attempt of a burst in that state."""
    return await_one(lambda: [w for w in world.load.workers_of(requests, state) if w in wanted and world.pid(w) is not None])


def aimed(inject):
    """One of them at a time, since each takes a worker away: too few would be left to take its tasks."""
    def one(world, fault):
        if not world.aim.acquire(timeout=AIM_S):
            return False
        try:
            return inject(world, fault)
        finally:
            world.away.clear()
            for worker in plan.WORKERS:
                world.revive(worker)
            world.aim.release()
    return one


@aimed
def away(world, fault):
    """At least until a repeatable task runs at another."""
    burst = world.load.burst(f"away {fault.no}", count=4, steps=LONG_STEPS)
    target = await_worker(world, burst, "started", plan.WORKERS)
    if target is None:
        return False
    world.away.add(target)
    pid = world.pid(target)
    if pid is not None:
        signal_quietly(pid, signal.SIGKILL)
    time.sleep(fault.lasts)
    return pid is not None and await_one(lambda: world.load.moved(burst, target)) is not None


def frozen_in_line(world, worker):
    """The pid of the worker, stopped while its claim made ahead is in the tables; None = there was none in time."""
    end = time.monotonic() + IN_LINE_S
    while time.monotonic() < end:
        pid = world.pid(worker)
        if pid is not None and world.load.claims_ahead(worker):
            signal_quietly(pid, signal.SIGSTOP)
            if world.load.claims_ahead(worker):
                return pid
            signal_quietly(pid, signal.SIGCONT)
        time.sleep(0.02)
    return None


@aimed
def late_grant(world, fault):
    """A task is granted to a worker that is frozen while it is first in line; by the time it reads that, the task was held
    and given up, and what tells it so is still on its way."""
    target = living(world, fault.target)
    dispatchers = [world.broker[name] for name in plan.DISPATCHERS]
    world.away.add(target)
    pid = frozen_in_line(world, target)
    if pid is None:
        return False
    try:
        burst = world.load.commit_together(f"once {fault.no}", 8, "chaos.once")
        if not await_worker(world, burst, "granted", (target,)) or not await_worker(world, burst, "lost", (target,)):
            return False
        for proxy in dispatchers:
            world.proxies.call(proxy.hold(True, "request"))
        world.load.cancel_all(burst)
        signal_quietly(pid, signal.SIGCONT)
        time.sleep(fault.lasts)
    finally:
        signal_quietly(pid, signal.SIGCONT)
        for proxy in dispatchers:
            world.proxies.call(proxy.hold(False, "request"))
    return True


def choose(look, dice):
    """One of the pids that look() finds; waits a moment for the first."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        pids = look()
        if pids:
            return pids[int(dice * len(pids))]
        time.sleep(0.02)
    return None


def kill_one(look):
    def inject(world, fault):
        pid = choose(lambda: look(world, fault.target), fault.dice)
        if pid is not None:
            signal_quietly(pid, signal.SIGKILL)
        return pid is not None
    return inject


def stands_still(pid):
    """Or is gone."""
    return slurp(f"/proc/{pid}/stat").rpartition(")")[2][1:2] in ("T", "Z", "")


def kill_runner(world, fault):
    """And remembers whose: an attempt is lost by such a death alone.  It stands still meanwhile, since it may go from one attempt to
    the next."""
    pid = choose(lambda: runners(world, fault.target), fault.dice)
    if pid is None:
        return False
    signal_quietly(pid, signal.SIGSTOP)
    wait_for(lambda: stands_still(pid), 5, "a runner that stands still")
    try:
        attempt = os.path.basename(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return False
    if attempt == "": # it has none any more
        signal_quietly(pid, signal.SIGCONT)
        return False
    world.killed.append(attempt)
    signal_quietly(pid, signal.SIGKILL)
    return True


def freeze_one(look):
    return lambda world, fault: freeze_pid(choose(lambda: look(world, fault.target), fault.dice), fault.lasts)


def spawners(world, worker):
    """Not what one has just forked, which is a runner: it leads a session only under a name of its own.  So the name is
    looked at last."""
    return sorted(set(filter(leads_session, all_pids())).intersection(world.processes(worker, "hler-spawner")))


def leads_session(pid):
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def runners(world, worker):
    return world.processes(worker, "hler-runner")


def runners_and_idle(world, worker):
    """One that waits may be given an attempt while it stands still."""
    return world.processes(worker, "hler-runner", "hler-idle")


def children(world, worker):
    return world.children(worker)


def clock(world, fault):
    world.set_clock(fault.target, JUMPS[int(fault.dice * len(JUMPS))])
    time.sleep(fault.lasts)
    world.set_clock(fault.target, 0)
    return True


def disk_full(world, fault):
    spool = f"{world.dir}/spool/{fault.target}"
    if not os.path.ismount(spool):
        return False # no root: no small disk
    path = f"{spool}/{FULL}"
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(65536))
        except OSError:
            pass
    time.sleep(fault.lasts)
    os.unlink(path)
    return True


KINDS = {"away": away, "late-grant": late_grant, "kill": kill, "terminate": terminate, "freeze": freeze, "kill-spawner": kill_one(spawners),
         "freeze-spawner": freeze_one(spawners), "kill-runner": kill_runner, "freeze-runner": freeze_one(runners_and_idle),
         "kill-child": kill_one(children), "freeze-child": freeze_one(children),
         "clock": clock, "disk-full": disk_full}
