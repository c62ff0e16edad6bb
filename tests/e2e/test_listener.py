"""Listeners that never read, or reject everything: nobody else notices."""
import json

import pika

from stack import events_of, wait_for


def test_a_listener_that_never_reads_and_one_that_rejects(make_stack):
    stack = make_stack("--workers", "1", "--slots", "4")
    made = {name: json.loads(stack.hler("--json", "listener", "add", name)) for name in ("deaf", "rude", "fine")}
    deaf = pika.BlockingConnection(pika.URLParameters(made["deaf"]["url"]))
    # Delivered to it without bound, and never taken from its socket.
    deaf.channel().basic_consume(made["deaf"]["queue"], lambda *a: None)
    rude = pika.BlockingConnection(pika.URLParameters(made["rude"]["url"])).channel()
    fine = pika.BlockingConnection(pika.URLParameters(made["fine"]["url"])).channel()
    operations = [stack.shell("seq 200") for _ in range(30)]
    heard = set()
    rejected = 0

    def all_ended():
        nonlocal rejected
        for _ in range(200):
            method, _, _ = rude.basic_get(made["rude"]["queue"])
            if method is None:
                break
            rude.basic_reject(method.delivery_tag, requeue=rejected % 2 == 0)
            rejected += 1
        while True:
            method, _, body = fine.basic_get(made["fine"]["queue"], auto_ack=True)
            if method is None:
                break
            heard.update(e["operation"] for e in events_of(json.loads(body)) if e["type"] == "aegir.hler.attempt.finished.v1")
        return len(heard) == len(operations)

    wait_for(all_ended, timeout=60, what="all ends at the listener that reads")
    for operation in operations:
        assert stack.wait(operation)["state"] == "succeeded"
        stack.assert_complete(operation)
    assert rejected > 0
    assert stack.one("SELECT count(*) FROM hler.dead_message") == 0


def test_the_queue_of_a_listener_is_bounded(stack):
    policy = stack.manage("GET", "policies/hler/hler-listen")["definition"]
    assert policy["overflow"] == "drop-head"
    assert all(policy[k] > 0 for k in ("max-length", "max-length-bytes", "expires", "message-ttl"))


def test_listeners_are_listed_and_removed(stack):
    stack.hler("listener", "add", "gone")
    assert "gone" in stack.hler("listener", "list")
    stack.hler("listener", "remove", "gone")
    assert "gone" not in stack.hler("listener", "list")


def test_a_listener_of_one_requester_hears_nobody_else(stack):
    mine = json.loads(stack.hler("--json", "listener", "add", "mine", "--requester", "hler_frontend"))
    other = json.loads(stack.hler("--json", "listener", "add", "another", "--requester", "somebody"))
    done = stack.run("test.true")
    channel = pika.BlockingConnection(pika.URLParameters(mine["url"])).channel()
    wait_for(lambda: channel.queue_declare(mine["queue"], passive=True).method.message_count >= 3)
    assert done["requester"] == "hler_frontend"
    assert channel.queue_declare(other["queue"], passive=True).method.message_count == 0
    for name in ("mine", "another"):
        stack.hler("listener", "remove", name)
