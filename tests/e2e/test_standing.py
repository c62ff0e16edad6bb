"""Claims made ahead: the short way of a task to an idle worker, and what may happen on it."""
import ctypes
import errno
import json
import os
import signal
import socket
import uuid

import pika
import pytest

from stack import read, wait_for
from test_duplicates import catch_offer

SYS_PIDFD_GETFD = 438 # no name in Python


def ready(stack, workers=1):
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.standing_claim", role="migrate") == workers, what="claims made ahead")


def short_way(stack, operation):
    return [a["offered_at"] == a["granted_at"] for a in stack.attempts(operation)]


def grant(stack, body, answers):
    """As a dispatcher would."""
    row = stack.sql("SELECT id, session FROM hler.worker", role="migrate")[0]
    channel = stack.amqp("dispatcher")
    channel.confirm_delivery()
    channel.basic_publish("", f"hler.control.{row['id']}.{row['session']}", body, pika.BasicProperties(
        content_type="application/json", type="hler.offer.v1", user_id="dispatcher",
        correlation_id=answers.format(session=row["session"])), mandatory=True)


@pytest.fixture(name="idle")
def idle_stack(make_stack):
    stack = make_stack("--workers", "1", "--slots", "2")
    ready(stack)
    return stack


def test_a_task_of_an_idle_pool_is_granted_with_its_offer(idle):
    for _ in range(3):
        ready(idle)
        done = idle.run("test.true")
        assert done["state"] == "succeeded"
        assert short_way(idle, done["id"]) == [True]


def corks(pid):
    """Of each TCP connection of a process: does the kernel wait for more before it sends?"""
    process, found, libc = os.pidfd_open(pid), [], ctypes.CDLL(None, use_errno=True)
    for fd in os.listdir(f"/proc/{pid}/fd"):
        ours = libc.syscall(SYS_PIDFD_GETFD, process, int(fd), 0)
        if ours == -1 and ctypes.get_errno() == errno.EPERM:
            pytest.skip("may not look into another process")
        if ours == -1:
            continue # closed meanwhile
        if not os.readlink(f"/proc/self/fd/{ours}").startswith("socket:"):
            os.close(ours)
            continue
        with socket.socket(fileno=ours) as s:
            if s.family in (socket.AF_INET, socket.AF_INET6):
                found.append(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK))
    os.close(process)
    return found


def test_a_claim_is_not_held_back_in_the_kernel(idle):
    """Nothing comes behind it that would take it along; but a heartbeat may, so each look is shorter than one."""
    for _ in range(3):
        assert idle.run("test.true")["state"] == "succeeded"
        ready(idle)
        seen = wait_for(lambda: [c for c in [corks(idle.pid("worker-1"))] if not any(c)], timeout=0.4, what="what the kernel keeps")
        assert len(seen[0]) >= 3 # consumer, state, output


def test_a_burst_goes_both_ways_and_each_runs_once(idle):
    witness = idle.path("witness")
    operations = [idle.shell(f"echo {n} >>{witness}") for n in range(20)]
    for operation in operations:
        assert idle.wait(operation)["state"] == "succeeded"
        assert [a["state"] for a in idle.attempts(operation) if a["state"] != "void"] == ["succeeded"]
    assert sorted(read(witness).split(), key=int) == [str(n) for n in range(20)]


def test_a_worker_that_died_holds_nothing_up(make_stack):
    """Its claim stands, but its queue is gone: the broker gives the grant back."""
    stack = make_stack("--workers", "2", "--slots", "1")
    ready(stack, 2)
    stack.kill("worker-1")
    for _ in range(4):
        done = stack.run("test.true", timeout=8) # report_after_ms is 10 s
        assert done["state"] == "succeeded"
    assert stack.one("SELECT count(*) FROM hler.attempt WHERE state = 'void' AND worker = 'worker-1'", role="migrate") == 1


def held_back(stack):
    """An offer as its worker has not seen it."""
    stack.only_queues()
    stack.kill("worker-1")
    witness = stack.path("witness")
    operation = stack.shell(f"echo ran >>{witness}")
    _, _, body = catch_offer(stack)
    before = stack.one("SELECT session FROM hler.worker", role="migrate")
    stack.restart("worker-1")
    wait_for(lambda: stack.one("SELECT session FROM hler.worker", role="migrate") != before)
    return operation, witness, body


def test_an_answer_to_no_claim_is_claimed_by_name(idle):
    operation, witness, body = held_back(idle)
    for _ in range(3):
        grant(idle, body, "{session}.999999")
    assert idle.wait(operation)["state"] == "succeeded"
    grant(idle, body, "{session}.999999")
    assert idle.run("test.true")["state"] == "succeeded"
    assert read(witness) == "ran\n"
    assert [a["state"] for a in idle.attempts(operation)] == ["succeeded"]


def test_an_answer_of_another_session_or_form_is_no_grant(idle):
    _, witness, body = held_back(idle)
    forged = json.dumps({**json.loads(body), "token": "0123456789abcdef"}).encode()
    ready(idle)
    number = 1 + idle.one("SELECT max(claim) FROM hler.standing_claim", role="migrate") # at most that is open
    for claim in range(1, number + 1):
        grant(idle, forged, f"{uuid.uuid4()}.{claim}")
        grant(idle, forged, f"{{session}}.{claim}x")
    assert idle.run("test.true")["state"] == "succeeded"
    grant(idle, b"{", "{session}.1")
    assert idle.run("test.true")["state"] == "succeeded"
    with pytest.raises(FileNotFoundError):
        read(witness)


def test_the_short_way_is_open_again_after_a_long_job(idle):
    long = idle.shell("sleep 2")
    wait_for(lambda: idle.operation(long)["state"] == "running")
    ready(idle) # the second slot
    assert short_way(idle, idle.run("test.true")["id"]) == [True]
    assert idle.wait(long)["state"] == "succeeded"
    ready(idle)
    assert short_way(idle, idle.run("test.true")["id"]) == [True]


def test_what_finds_its_slot_taken_goes_to_another_worker(make_stack):
    """A grant and an offer cross on the way to a worker with one slot; neither may wait there for the other's end."""
    stack = make_stack("--workers", "2", "--slots", "1")
    ready(stack, 2)
    stack.kill("worker-2")
    for _ in range(2): # ticks come behind its last heartbeat, which brings a claim
        tick = stack.one("SELECT elapsed_ms FROM hler.silence")
        wait_for(lambda t=tick: stack.one("SELECT elapsed_ms FROM hler.silence") != t, what="a tick")
    stack.sql("DELETE FROM hler.standing_claim WHERE worker = 'worker-2'", role="migrate")
    ready(stack)
    stack.signal("worker-1", signal.SIGSTOP)
    busy = [stack.shell("sleep 600") for _ in range(2)]
    wait_for(lambda: sorted(a["state"] for b in busy for a in stack.attempts(b)) == ["granted", "offered"], what="one of each")
    queue = stack.amqp("dispatcher")
    wait_for(lambda: queue.queue_declare("hler.tasks.default", passive=True).method.message_count == 0, what="the delivery")
    stack.signal("worker-1", signal.SIGCONT)
    stack.restart("worker-2")
    wait_for(lambda: all(stack.operation(b)["state"] == "running" for b in busy), what="both")
    for operation in busy:
        stack.hler("cancel", str(operation))
        assert stack.wait(operation)["state"] == "cancelled"
