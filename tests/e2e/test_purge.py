"""Confirmed messages that the broker loses: the workers still have them."""
from stack import wait_for

ENDS = 100


def test_a_purged_state_queue_with_a_hundred_ends(make_stack):
    stack = make_stack("--workers", "1", "--slots", str(ENDS), "--lost-after-ms", "5000")
    go = stack.path("go")
    operations = [stack.shell(f"while [ ! -e {go} ]; do sleep 0.5; done; hler-emit done yes", target="0190b3a4-0000-7000-8000-000000000001")
                  for _ in range(ENDS)]
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.operations WHERE state = 'running'") == ENDS, timeout=60,
             what="a hundred running")
    stack.kill("dispatcher-1")
    channel = stack.amqp("dispatcher")
    channel.queue_purge("hler.state")
    open(go, "w", encoding="utf-8").close()
    # One result and one end each, heartbeats beside.
    wait_for(lambda: channel.queue_declare("hler.state", passive=True).method.message_count >= 2 * ENDS, timeout=60,
             what="the ends in the queue")
    assert channel.queue_purge("hler.state").method.message_count >= 2 * ENDS
    stack.restart("dispatcher-1")
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.operations WHERE state = 'succeeded'") == ENDS, timeout=120,
             what="all ends by report")
    for operation in operations:
        stack.assert_complete(operation)
    assert stack.one("SELECT count(*) FROM hler.result_history WHERE field = 'done'") == ENDS
