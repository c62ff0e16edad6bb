"""Copies of offers and events change nothing."""
import json
import os
import uuid

import pika

from stack import read, wait_for


def catch_offer(stack):
    """Takes one offer away from the workers, which are not there."""
    channel = stack.amqp("worker_1")
    return wait_for(lambda: (lambda got: got if got[0] else None)(channel.basic_get("hler.tasks.default", auto_ack=True)),
                    what="an offer")


def test_copies_of_an_offer_run_once(one_worker):
    stack = one_worker
    stack.only_queues()
    stack.kill("worker-1")
    witness = stack.path("witness")
    operation = stack.shell(f"echo ran >>{witness}")
    _, properties, body = catch_offer(stack)
    dispatcher = stack.amqp("dispatcher")
    dispatcher.confirm_delivery()
    for _ in range(5):
        dispatcher.basic_publish("hler.tasks", "default", body, properties, mandatory=True)
    stack.restart("worker-1")
    assert stack.wait(operation)["state"] == "succeeded"
    for _ in range(5): # and replayed after the end
        dispatcher.basic_publish("hler.tasks", "default", body, properties, mandatory=True)
    wait_for(lambda: dispatcher.queue_declare("hler.tasks.default", passive=True).method.message_count == 0)
    for _ in range(5): # those behind them in the queue have run: the copies were decided on
        assert stack.run("test.true")["state"] == "succeeded"
    assert read(witness) == "ran\n"
    assert [a["state"] for a in stack.attempts(operation)] == ["succeeded"]


def test_an_offer_of_another_token_is_refused(one_worker):
    stack = one_worker
    stack.only_queues()
    stack.kill("worker-1")
    witness = stack.path("witness")
    operation = stack.shell(f"echo ran >>{witness}")
    _, properties, body = catch_offer(stack)
    token = stack.one("SELECT token FROM hler.attempt WHERE task = %s",
                      stack.tasks(operation)[0]["id"], role="migrate")
    dispatcher = stack.amqp("dispatcher")
    forged = body.decode().replace(str(token), "0123456789abcdef")
    assert forged.encode() != body
    dispatcher.basic_publish("hler.tasks", "default", forged, properties)
    stack.restart("worker-1")
    assert stack.run("test.true")["state"] == "succeeded"
    assert not os.path.exists(witness)
    dispatcher.basic_publish("hler.tasks", "default", body, properties)
    assert stack.wait(operation)["state"] == "succeeded"
    assert read(witness) == "ran\n"


def test_what_a_worker_declined_never_runs_there_not_even_after_its_restart(one_worker):
    """The tables may hear of it only after the copy was granted: the task would run a second time."""
    stack = one_worker
    stack.only_queues()
    sessions = "SELECT id, session FROM hler.worker WHERE session::text <> %s"
    before = wait_for(lambda: stack.sql(sessions, "", role="migrate"))[0]["session"]
    stack.kill("worker-1")
    witness = stack.path("witness")
    operation = stack.shell(f"echo ran >>{witness}")
    _, properties, body = catch_offer(stack)
    stack.restart("worker-1")
    offer = json.loads(body)
    row = wait_for(lambda: stack.sql(sessions, str(before), role="migrate"))[0]
    dispatcher = stack.amqp("dispatcher")
    dispatcher.confirm_delivery()
    report = {"v": 1, "kind": "report", "task": offer["task"], "attempt": 1, "token": offer["token"]}
    dispatcher.basic_publish("", f"hler.control.{row['id']}.{row['session']}", json.dumps(report), pika.BasicProperties(
        content_type="application/json", type="hler.control.v1", user_id="dispatcher"), mandatory=True)
    wait_for(lambda: stack.one("SELECT declined FROM hler.attempt WHERE task = %s AND attempt = 1", offer["task"], role="migrate"))
    stack.kill("worker-1")
    stack.restart("worker-1")
    assert stack.run("test.shell", {"script": "sleep 2"})["state"] == "succeeded" # its chores have been done since
    dispatcher.basic_publish("hler.tasks", "default", body, properties, mandatory=True)
    assert stack.wait(operation)["state"] == "succeeded"
    assert [a["state"] for a in stack.attempts(operation)] == ["void", "succeeded"]
    assert read(witness) == "ran\n"


def test_copies_of_events_change_nothing(stack, listener):
    target = uuid.uuid4()
    done = stack.run("test.shell", {"script": "echo one; hler-emit a 1; sleep 0.2; echo two"}, target=target)
    stack.assert_complete(done["id"])
    heard = wait_for(lambda: (lambda e: e if any("finished" in x["type"] for x in e) else None)(listener.events(done["id"])))
    assert heard
    before = [stack.recorded(done["id"]), stack.events(done["id"]), stack.output(done["id"]),
              stack.sql("SELECT * FROM hler.result_history WHERE entity = %s", target)]
    worker = stack.attempts(done["id"])[0]["worker"]
    channel = stack.amqp(worker.replace("-", "_"))
    channel.confirm_delivery()
    mine = [m for m in listener.messages if m[0].startswith(worker + ".") and m[0].split(".")[4:5] == [str(done["id"])]]
    for key, properties, _ in mine + mine[::-1]:
        body = next(b for k, p, b in listener.raw if p is properties)
        channel.basic_publish("hler.results", key, body, pika.BasicProperties(
            content_type=properties.content_type, type=properties.type, message_id=properties.message_id,
            user_id=worker, delivery_mode=2), mandatory=True)
    for queue in ("hler.state", "hler.output"):
        wait_for(lambda q=queue: channel.queue_declare(q, passive=True).method.message_count == 0)
    assert stack.run("test.true")["state"] == "succeeded"
    assert before == [stack.recorded(done["id"]), stack.events(done["id"]), stack.output(done["id"]),
                      stack.sql("SELECT * FROM hler.result_history WHERE entity = %s", target)]
