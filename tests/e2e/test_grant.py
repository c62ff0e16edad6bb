"""Tasks that are granted with the row that asks for them: who must be there for that, and who need not."""
import os
import signal
import time
import uuid

import pytest

from stack import read, wait_for
from test_standing import ready

SOON_S = 8    # report_after_ms is 10 s: nothing waited for that
AT_ONCE_S = 3 # nor for a heartbeat (5 s) or a poll (10 s)


class FrontEnd:
    """A connection that has submitted before, with a transaction of its own."""

    def __init__(self, stack):
        self.stack = stack
        self.witness = stack.path(f"witness.{uuid.uuid4()}")
        self.connection = stack.connect("frontend")
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET hler.kept = on")
        self.connection.autocommit = False

    def submit(self, granted=True):
        """The operation, about to be committed."""
        self.cursor.execute("INSERT INTO hler.operation (type, inputs) VALUES ('test.shell', json_build_object('script', %s)) RETURNING id",
                            (f"echo ran >>{self.witness}",))
        operation = self.cursor.fetchone()[0]
        self.cursor.execute("SET CONSTRAINTS ALL IMMEDIATE") # what a commit does first
        self.cursor.execute("SELECT state FROM hler.attempts WHERE operation = %s", (operation,))
        assert self.cursor.fetchall() == [("granted",)] * granted
        return operation

    def commit(self):
        self.connection.commit()

    def check(self, operation, states=("succeeded",), timeout=SOON_S):
        done = self.stack.wait(operation, timeout=timeout)
        assert done["state"] == "succeeded", self.stack.describe(operation)
        assert sorted(a["state"] for a in self.stack.attempts(operation)) == sorted(states)
        assert read(self.witness) == "ran\n"


def idle(make_stack, *options):
    stack = make_stack("--workers", "1", "--slots", "2", *options)
    ready(stack)
    return stack


def test_it_runs_when_its_front_end_commits_and_not_before(make_stack):
    stack = idle(make_stack)
    front = FrontEnd(stack)
    dropped = front.submit()
    front.connection.rollback()
    operation = front.submit()
    assert stack.run("test.true")["state"] == "succeeded"
    with pytest.raises(FileNotFoundError):
        read(front.witness)
    front.commit()
    front.check(operation)
    assert stack.sql("SELECT FROM hler.operations WHERE id = %s", dropped) == []


def test_nothing_is_granted_to_be_told_to_nobody(make_stack):
    """A dispatcher that was killed listens no more, and its successor offers what came meanwhile."""
    stack = idle(make_stack)
    front = FrontEnd(stack)
    stack.kill("dispatcher-1")
    operation = front.submit(granted=False)
    front.commit()
    stack.restart("dispatcher-1")
    front.check(operation)


def test_a_dispatcher_that_dies_with_a_grant_in_its_hands_delays_it(make_stack):
    """The worker is asked for it, and has never had it."""
    stack = idle(make_stack)
    front = FrontEnd(stack)
    operation = front.submit()
    stack.kill("dispatcher-1")
    front.commit()
    stack.restart("dispatcher-1")
    front.check(operation, states=("succeeded", "void"), timeout=60)


def test_one_dispatcher_will_do_and_two_are_not_two_starts(make_stack):
    stack = idle(make_stack, "--dispatchers", "2")
    for name in (None, "dispatcher-1"):
        if name:
            stack.kill(name)
        for _ in range(3):
            ready(stack)
            front = FrontEnd(stack)
            operation = front.submit()
            front.commit()
            front.check(operation)


def test_a_dispatcher_that_ends_hears_what_is_committed_meanwhile(make_stack):
    stack = idle(make_stack)
    front = FrontEnd(stack)
    operation = front.submit()
    stack.signal("dispatcher-1", signal.SIGTERM)
    while stack.one("SELECT count(*) FROM hler.grant_listener", role="migrate") > 0:
        pass # it waits for a moment only
    front.commit()
    wait_for(lambda: os.path.exists(front.witness), timeout=SOON_S, what="the start")
    stack.restart("dispatcher-1")
    front.check(operation)


def test_a_grant_that_comes_back_is_offered_at_once(make_stack):
    """Its worker was killed, and its claim still stands."""
    stack = make_stack("--workers", "2", "--slots", "2")
    ready(stack, 2)
    stack.kill("worker-1")
    times = []
    for _ in range(2): # each of the two claims
        front = FrontEnd(stack)
        operation = front.submit()
        front.commit()
        began = time.monotonic()
        wait_for(lambda path=front.witness: os.path.exists(path), what="the start")
        times.append(time.monotonic() - began)
        assert stack.wait(operation)["state"] == "succeeded"
    assert stack.one("SELECT count(*) FROM hler.attempt WHERE state = 'void' AND worker = 'worker-1'", role="migrate") == 1
    assert max(times) < AT_ONCE_S, times


def test_after_the_database_was_away_grants_are_told_again(make_stack):
    """In the new connection, whose channel is another one."""
    stack = idle(make_stack)
    before = stack.one("SELECT channel FROM hler.grant_listener", role="migrate")
    stack.restart("database")
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.grant_listener WHERE channel <> %s", before, role="migrate") == 1,
             what="the dispatcher's word")
    stack.sql("DELETE FROM hler.standing_claim", role="migrate")
    ready(stack) # with the next heartbeat: the worker is there
    front = FrontEnd(stack)
    operation = front.submit()
    front.commit()
    front.check(operation)


def test_a_stop_that_reaches_nobody_is_no_matter_of_pools(make_stack):
    """The worker's queue is gone; that a pool's were missing is not what an operator should read."""
    stack = idle(make_stack)
    operation = stack.shell("sleep 600")
    wait_for(lambda: stack.operation(operation)["state"] == "running", what="the start")
    stack.kill("worker-1")
    stack.hler("cancel", str(operation))
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.attempt WHERE stop_sent_at IS NOT NULL", role="migrate") == 1, what="the stop")
    stack.restart("worker-1")
    assert stack.wait(operation)["state"] == "cancelled"
    assert "no queue" not in stack.log("dispatcher-1")


def test_while_the_broker_is_away_nothing_is_granted(make_stack):
    stack = idle(make_stack)
    front = FrontEnd(stack)
    granted = front.submit()
    ready_again = FrontEnd(stack)
    stack.signal("rabbitmq", signal.SIGKILL)
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.grant_listener", role="migrate") == 0, timeout=AT_ONCE_S,
             what="the dispatcher's word")
    front.commit()
    later = ready_again.submit(granted=False)
    ready_again.commit()
    stack.restart("broker")
    ready_again.check(later, timeout=60)
    front.check(granted, states=("succeeded", "void"), timeout=60)


def test_what_others_say_where_grants_are_told_starts_nothing(make_stack):
    """Nobody learns the channel; and who did could not seal what they say there."""
    stack = idle(make_stack)
    front = FrontEnd(stack)
    session = stack.one("SELECT session FROM hler.worker", role="migrate")
    channel = stack.one("SELECT channel FROM hler.grant_listener", role="migrate")
    token, task = "0123456789abcdef", uuid.uuid4()
    note = f"hler.control.worker-1.{session} {session}.1 {task}.1.{token} {{}}"
    for forged in (note, f"{'0' * 64} {note}", f"{'0' * 63} {note}", "", " ", "x" * 7000):
        front.cursor.execute("SELECT pg_notify(%s, %s), pg_notify('hler_work', %s)", (channel, forged, forged))
    front.commit()
    wait_for(lambda: stack.log("dispatcher-1").count("somebody else speaks") == 6, what="the dispatcher's word")
    operation = front.submit()
    front.commit()
    front.check(operation)
    assert stack.one("SELECT count(*) FROM hler.dead_message") == 0 # a worker would have complained
    assert str(task) not in stack.log("worker-1")
