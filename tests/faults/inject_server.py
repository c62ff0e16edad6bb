"""Faults of servers and of the way to them."""
import json
import signal
import subprocess
import time

import psycopg2

import broker
import plan
from stack import read
from world import signal_quietly

START_TRIES = 5


# ---- the way ----

def both(world, name):
    """The proxies of a program."""
    return [p for p in (world.broker[name], world.database.get(name)) if p is not None]


def cut(world, fault):
    proxies = both(world, fault.target)
    for proxy in proxies:
        world.proxies.call(proxy.cut(True))
    time.sleep(fault.lasts)
    for proxy in proxies:
        world.proxies.call(proxy.cut(False))
    return True


def held(world, proxies, seconds):
    for proxy in proxies:
        world.proxies.call(proxy.hold(True))
    time.sleep(seconds)
    for proxy in proxies:
        world.proxies.call(proxy.hold(False))
    return True


def half_open(world, fault):
    return held(world, [world.broker[fault.target]], fault.lasts)


def partition_database(world, fault):
    return held(world, [world.database[fault.target]], fault.lasts)


def delay(world, fault):
    for proxy in both(world, fault.target):
        world.proxies.call(proxy.slow(0.02 + 0.2 * fault.dice))
    time.sleep(fault.lasts)
    for proxy in both(world, fault.target):
        world.proxies.call(proxy.slow(0.0))
    return True


def cut_next(world, fault, way):
    """Of the database's statements, each a transaction: done, and the answer is lost; or the question is lost."""
    proxy = world.database[fault.target]
    before = proxy.cuts
    world.proxies.call(proxy.arm(way, True))
    time.sleep(fault.lasts)
    world.proxies.call(proxy.arm(way, False))
    return proxy.cuts > before


def cut_answer(world, fault):
    return cut_next(world, fault, "answer")


def cut_request(world, fault):
    return cut_next(world, fault, "request")


# ---- database ----

def server_down(world, name, process, signo, seconds):
    with world.locks[name]:
        try:
            pid = world.stack.pid(process)
        except OSError:
            return False
        signal_quietly(pid, signo)
        time.sleep(seconds)
        start_server(world, name)
    return True


def start_server(world, name):
    """What a killed server leaves behind (its children, its sockets) may need a moment to go."""
    for again in range(START_TRIES):
        try:
            world.restart(name, timeout=150)
            return
        except subprocess.CalledProcessError:
            if again == START_TRIES - 1:
                raise
            time.sleep(1)


def database_restart(world, fault):
    return server_down(world, "database", "postgres", signal.SIGINT, fault.lasts)


def database_kill(world, fault):
    """The postmaster; its children notice within a moment, and the next one waits for them."""
    return server_down(world, "database", "postgres", signal.SIGKILL, fault.lasts + 1.0)


def backends_end(world, _fault):
    try:
        with world.stack.connect("migrate") as connection, connection.cursor() as cursor:
            cursor.execute("""SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                               WHERE datname = 'hler' AND pid <> pg_backend_pid() AND usename = 'hler_dispatcher'""")
            return cursor.fetchone()[0] > 0
    except psycopg2.Error:
        return False # away just now


# ---- broker ----

def broker_restart(world, fault):
    return server_down(world, "broker", "rabbitmq", signal.SIGTERM, fault.lasts)


def broker_kill(world, fault):
    return server_down(world, "broker", "rabbitmq", signal.SIGKILL, fault.lasts)


def alarm(world, fault, on, off):
    with world.locks["broker"]:
        done = broker.evaluate(world.dir, on)
        time.sleep(fault.lasts)
        broker.evaluate(world.dir, off)
    return done.startswith("{ok, ")


def memory_alarm(world, fault):
    call = "vm_memory_monitor:set_vm_memory_high_watermark"
    return alarm(world, fault, f"{call}(0)", f"{call}(0.4)")


def disk_alarm(world, fault):
    call = "rabbit_disk_monitor:set_disk_free_limit"
    return alarm(world, fault, f'{call}("1000TB")', f'{call}("50MB")')


def purge(world, fault):
    try:
        world.stack.manage("DELETE", f"queues/hler/{fault.target}/contents")
    except OSError:
        return False # the broker is away
    return True


def lose_states(world, fault):
    """What lies in the queue while no dispatcher can read it."""
    proxies = [world.broker[name] for name in plan.DISPATCHERS]
    for proxy in proxies:
        world.proxies.call(proxy.cut(True))
    time.sleep(fault.lasts)
    done = purge(world, fault)
    for proxy in proxies:
        world.proxies.call(proxy.cut(False))
    return done


def delete(world, fault):
    try:
        world.stack.manage("DELETE", f"queues/hler/{fault.target}")
    except OSError:
        return False
    time.sleep(fault.lasts)
    define(world)
    return True


def define(world):
    """Queues and bindings as deploy/ defines them: an operator's cure."""
    with world.locks["broker"]:
        definitions = json.loads(read(f"{world.dir}/rabbitmq/definitions.json"))
        parts = {k: definitions[k] for k in ("queues", "bindings", "exchanges")}
        for _ in range(40):
            try:
                world.stack.manage("POST", "definitions", parts)
                return
            except OSError:
                time.sleep(0.5)
    raise AssertionError("the broker's objects could not be defined again")


KINDS = {"cut": cut, "half-open": half_open, "partition-database": partition_database, "delay": delay, "cut-answer": cut_answer,
         "cut-request": cut_request, "database-restart": database_restart, "database-kill": database_kill,
         "backends-end": backends_end, "broker-restart": broker_restart, "broker-kill": broker_kill,
         "memory-alarm": memory_alarm, "disk-alarm": disk_alarm, "lose-states": lose_states, "purge": purge, "delete": delete}
