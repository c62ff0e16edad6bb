"""Ten thousand workers' heartbeats, at the pace of their default setting, beside one worker that works."""
import time

import probe
from stack import wait_for
from swarm import Swarm

WORKERS = 10_000
EVERY_S = 10 # worker.heartbeat_ms
LOADED_S = 180
IDLE_SAMPLES = 300
TABLE = """SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot, pg_total_relation_size('hler.worker') / 1024 AS kib
             FROM pg_stat_user_tables WHERE relid = 'hler.worker'::regclass"""


def run():
    return probe.on_stack(trial, "--workers", "1", "--slots", "8")


def backlog(channel):
    return channel.queue_declare("hler.life", passive=True).method.message_count


def trial(stack):
    prober = probe.Probe(stack)
    idle = prober.idle(IDLE_SAMPLES)
    swarm = Swarm(stack, WORKERS, EVERY_S)
    assert swarm.ready.wait(300), "control queues"
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.workers WHERE state = 'live'") > WORKERS, timeout=120, what="ten thousand live workers")
    before = stack.one(TABLE, role="migrate")
    began = time.monotonic()
    loaded = prober.until(lambda: time.monotonic() - began > LOADED_S)
    waiting = backlog(stack.amqp("dispatcher"))
    after = stack.one(TABLE, role="migrate")
    lost = stack.one("SELECT count(*) FROM hler.workers WHERE state <> 'live'")
    told = swarm.stop()
    assert not lost and told["answered"] == told["looked_at"], (lost, told)
    assert stack.one("SELECT count(*) FROM hler.dead_message") == 0
    return {"heartbeats": f"{WORKERS / EVERY_S:.0f} a second for {LOADED_S} s, {told['sent']} in all, {waiting} waiting at the end, "
                          f"the swarm itself late by {told['late_s']:.1f} s at most",
            "dispatch idle": probe.text(idle), "dispatch beside them": probe.text(loaded), "p99 ratio": probe.ratio(loaded, idle),
            "their table": f"{before['kib']} KiB, then {after['kib']} KiB after {after['updates'] - before['updates']} updates, "
                           f"{100 * after['hot'] // max(1, after['updates'])} % of all within their page"}
