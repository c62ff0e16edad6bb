"""The broker is away while jobs end: everything arrives when it is back.  Longer, and with figures: tests/faults/figures outage."""
import re
import signal
import time

from outage import JOBS, Outage
from stack import wait_for

AWAY_S = 6
HEARTBEAT_S = 2 # the least
KNOCKS_A_SECOND = 100 # of some ten connections, at most: far from what a loop without a pause does


def test_fifty_jobs_end_while_the_broker_is_away(make_stack):
    stack = make_stack("--workers", "1", "--slots", str(JOBS))
    outage = Outage(stack)
    keeper = outage.have(AWAY_S)
    assert keeper.knocks and keeper.busiest_second() <= KNOCKS_A_SECOND, keeper.knocks
    outage.mend(timeout=90)
    outage.check()
    assert stack.one("SELECT count(*) FROM hler.dead_message") == 0
    assert stack.run("test.true")["state"] == "succeeded"


def missed(stack, name):
    """Connections of a program whose broker says nothing any more."""
    return len(set(re.findall(r"connection=(.*): down: .*heartbeat", stack.log(name))))


def test_a_broker_that_says_nothing_is_missed(make_stack):
    """Its machine still takes all bytes, so only heartbeats tell: after 2.2 times the time that was agreed."""
    stack = make_stack("--set", f"dispatcher.broker.heartbeat_s={HEARTBEAT_S}", "--set", f"worker.broker.heartbeat_s={HEARTBEAT_S}")
    time.sleep(2 * HEARTBEAT_S) # its own heartbeats are on their way
    stack.signal("rabbitmq", signal.SIGSTOP)
    try:
        wait_for(lambda: missed(stack, "dispatcher-1") == 5 and missed(stack, "worker-1") == 3, timeout=60,
                 what="the end of all connections") # a login that is not answered holds a worker's loop for ten seconds
    finally:
        stack.signal("rabbitmq", signal.SIGCONT)
    assert stack.run("test.true")["state"] == "succeeded"
