"""Faults of processes: killed, frozen, ended; their clocks and disks."""
import os
import signal
import time

from stack import wait_for
from world import signal_quietly

FULL = "ballast"
JUMPS = (-864000, -3600, -30, 30, 3600, 864000) # seconds


def kill(world, fault):
    pid = world.pid(fault.target)
    if pid is None:
        return False
    signal_quietly(pid, signal.SIGKILL)
    time.sleep(fault.lasts)
    world.revive(fault.target)
    return True


def terminate(world, fault):
    pid = world.pid(fault.target)
    if pid is None:
        return False
    signal_quietly(pid, signal.SIGTERM)
    wait_for(lambda: world.pid(fault.target) != pid, 10, f"{fault.target} ends on request")
    time.sleep(fault.lasts)
    world.revive(fault.target)
    return True


def freeze(world, fault):
    return freeze_pid(world.pid(fault.target), fault.lasts)


def freeze_pid(pid, seconds):
    if pid is None:
        return False
    signal_quietly(pid, signal.SIGSTOP)
    time.sleep(seconds)
    signal_quietly(pid, signal.SIGCONT)
    return True


def choose(pids, dice):
    return pids[int(dice * len(pids))] if pids else None


def kill_chosen(pids, fault):
    pid = choose(pids, fault.dice)
    if pid is None:
        return False
    signal_quietly(pid, signal.SIGKILL)
    return True


def kill_spawner(world, fault):
    return kill_chosen(world.processes("hler-spawner", fault.target), fault)


def freeze_spawner(world, fault):
    return freeze_pid(choose(world.processes("hler-spawner", fault.target), fault.dice), fault.lasts)


def kill_runner(world, fault):
    return kill_chosen(world.processes("hler-runner", fault.target), fault)


def freeze_runner(world, fault):
    return freeze_pid(choose(world.processes("hler-runner", fault.target), fault.dice), fault.lasts)


def kill_child(world, fault):
    return kill_chosen(world.children(fault.target), fault)


def freeze_child(world, fault):
    return freeze_pid(choose(world.children(fault.target), fault.dice), fault.lasts)


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


KINDS = {"kill": kill, "terminate": terminate, "freeze": freeze, "kill-spawner": kill_spawner, "freeze-spawner": freeze_spawner,
         "kill-runner": kill_runner, "freeze-runner": freeze_runner, "kill-child": kill_child, "freeze-child": freeze_child,
         "clock": clock, "disk-full": disk_full}
