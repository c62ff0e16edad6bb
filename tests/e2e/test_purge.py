"""Confirmed messages that the broker loses: the workers still have them."""
import json
import os

from stack import events_of, wait_for

ENDS = 100


def read_all(channel):
    """The events that wait, which nobody gets any more."""
    for method, _, body in channel.consume("hler.state", auto_ack=True, inactivity_timeout=1):
        if method is None:
            channel.cancel()
            return
        yield from events_of(json.loads(body))


def test_a_purged_state_queue_with_a_hundred_ends(make_stack):
    stack = make_stack("--workers", "1", "--slots", str(ENDS), "--lost-after-ms", "5000")
    go = stack.path("go")
    os.mkfifo(go) # a hundred that look for a file would take the machine
    operations = [stack.shell(f": <{go}; hler-emit done yes", target="0190b3a4-0000-7000-8000-000000000001")
                  for _ in range(ENDS)]
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.operations WHERE state = 'running'") == ENDS, timeout=60,
             what="a hundred running")
    stack.kill("dispatcher-1")
    channel = stack.amqp("dispatcher")
    channel.queue_purge("hler.state")
    both_ends = os.open(go, os.O_RDWR) # for as long as one may come to it
    try:
        wait_for(lambda: len(os.listdir(stack.path("spool/worker-1/done"))) == ENDS, timeout=120, what="the ends to be confirmed")
    finally:
        os.close(both_ends)
    lost = [e["type"] for e in read_all(channel)]
    assert [lost.count(f"aegir.hler.attempt.{kind}.v1") for kind in ("result", "finished")] == [ENDS, ENDS]
    stack.restart("dispatcher-1")
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.operations WHERE state = 'succeeded'") == ENDS, timeout=120,
             what="all ends by report")
    for operation in operations:
        stack.assert_complete(operation)
    assert stack.one("SELECT count(*) FROM hler.result_history WHERE field = 'done'") == ENDS
