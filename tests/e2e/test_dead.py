"""Messages that were set aside, as an operator meets them: list, show, redrive, drop."""
import json
import uuid

import pika
import pytest

from stack import wait_for
from test_bad_input import event

BAD = b'{"v": 99, "\x1b[2J": 1}'


@pytest.fixture(name="one")
def one_bad_claim(stack):
    """The number of a message that no program of ours understands."""
    number = stack.one("SELECT coalesce(max(id), 0) FROM hler.dead_message")
    stack.amqp("worker_1").basic_publish("hler.claims", "claim", BAD, pika.BasicProperties(
        type="hler.claim.v1", user_id="worker-1", message_id=str(uuid.uuid4())))
    wait_for(lambda: stack.one("SELECT coalesce(max(id), 0) FROM hler.dead_message") > number, what="the message to be set aside")
    return str(stack.one("SELECT max(id) FROM hler.dead_message"))


def test_looking_at_them(stack, one):
    assert one in stack.hler("dead", "list")
    row = next(r for r in json.loads(stack.hler("dead", "list", "--source", "hler.claims", "--json")) if str(r["id"]) == one)
    assert row["sender"] == "worker-1" and row["what"] == "hler.claim.v1" and row["size"] == len(BAD) and row["copies"] == 1
    assert row["received_at"].endswith("Z") or "+00:00" in row["received_at"]
    assert stack.hler("dead", "list", "--fault", "no_such_reason") == ""
    shown = stack.hler("dead", "show", one)
    assert "\x1b" not in shown and "^[[2J" in shown and "worker-1" in shown and row["reason"] in shown
    assert stack.hler("dead", "show", one, "--raw") == BAD.decode()
    assert json.loads(stack.hler("dead", "show", one, "--json"))["acts"] is None


def test_what_cannot_be_used_is_kept_and_can_be_dropped(stack, one):
    outcome, = json.loads(stack.hler("dead", "redrive", one, "--json", code=1))
    assert outcome["outcome"] == "kept" and "drop it" in outcome["note"]
    assert "dropped 1" in stack.hler("dead", "drop", one, "--reason", "junk", "--actor", "jo")
    act = stack.sql("SELECT act, login, actor, note FROM hler.dead_act WHERE message = %s ORDER BY no DESC LIMIT 1", int(one))
    assert [dict(a) for a in act] == [{"act": "dropped", "login": "hler_operator", "actor": "jo", "note": "junk"}]
    for command in (["show", one], ["drop", one], ["redrive", one], ["drop", "--fault", "no_such_reason"]):
        stack.hler("dead", *command, code=7)
        assert "set aside" in stack.last_error
    for command in (["drop"], ["redrive", one, "--fault", "bad_json"], ["show", "x"], ["drop", "0"]):
        stack.hler("dead", *command, code=2)
        assert "hler dead list" in stack.last_error
    stack.hler("dead", "list", "--dsn", stack.env["HLER_FRONTEND_DSN"], code=2)
    assert "hler_operator" in stack.last_error


def test_another_version_stays_until_it_is_understood(stack):
    done = stack.run("test.true")
    attempt, = stack.attempts(done["id"])
    worker, task = attempt["worker"], str(attempt["task"])
    token = stack.one("SELECT token FROM hler.attempt WHERE task = %s", task, role="migrate")
    body = event("output", 99, id=f"{task}.1.{token}.99", subject=task, operation=str(done["id"]), type="aegir.hler.attempt.output.v2",
                 source=f"/hler/worker/{worker}")
    stack.amqp(worker.replace("-", "_")).basic_publish(
        "hler.results", f"{worker}.attempt.output.hler_frontend.{done['id']}.{task}", body, pika.BasicProperties(
            content_type="application/cloudevents+json; charset=utf-8", user_id=worker, type="aegir.hler.attempt.output.v2",
            delivery_mode=2))
    number = wait_for(lambda: stack.sql("SELECT id FROM hler.dead_message WHERE reason = 'bad_version' AND facts LIKE %s",
                                        f"%{task}%"))[0]["id"]
    assert "bad_version" in stack.hler("dead", "redrive", str(number), code=1)
    # the program of tomorrow
    stack.sql("UPDATE hler.dead_message SET body = convert_to(replace(convert_from(body, 'UTF8'), '.v2', '.v1'), 'UTF8')"
              " WHERE id = %s", number, role="migrate")
    assert "settled" in stack.hler("dead", "redrive", str(number), "--reason", "upgraded")
    assert [r["text"] for r in stack.sql("SELECT text FROM hler.output WHERE task = %s AND seq = 99", task)] == ["x"]


def reject_all(channel, queue, wanted):
    """Gives every message that is wanted back for good, as too many deliveries would; drops the others."""
    n = 0
    for method, properties, _ in channel.consume(queue, inactivity_timeout=0.5):
        if method is None:
            break
        if wanted(properties.type):
            channel.basic_reject(method.delivery_tag, requeue=False)
            n += 1
        else:
            channel.basic_ack(method.delivery_tag)
    channel.cancel()
    return n


def test_what_the_broker_gave_up(make_stack):
    """Events and an offer on the way through hler.dead: read again, they end the operation, and nothing ran twice."""
    stack = make_stack("--workers", "1", "--set", "dispatcher.offers.offer_wait_ms=1000")
    go = stack.path("go")
    witness = stack.path("witness")
    operation = stack.shell(f"echo run >>{witness}; while [ ! -e {go} ]; do sleep 0.05; done; seq 100")
    wait_for(lambda: stack.operation(operation)["state"] == "running", what="the start")
    stack.kill("dispatcher-1")
    open(go, "w", encoding="utf-8").close()
    channel = stack.amqp("dispatcher")
    given_up = []

    def both():
        given_up.extend([q for q in ("hler.state", "hler.output")
                         for _ in range(reject_all(channel, q, lambda kind: ".attempt." in kind))])
        return set(given_up) == {"hler.state", "hler.output"}
    wait_for(both, what="the end and the output to be on their way")
    stack.restart("dispatcher-1")
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.dead_message WHERE reason = 'undeliverable'") >= len(given_up))
    outcomes = json.loads(stack.hler("dead", "redrive", "--fault", "undeliverable", "--json"))
    assert {o["outcome"] for o in outcomes} == {"settled"}, outcomes
    assert stack.wait(operation, timeout=5)["state"] == "succeeded"
    stack.assert_complete(operation)
    assert stack.output(operation) == b"".join(b"%d\n" % i for i in range(1, 101))

    stack.signal("worker-1", 15)
    wait_for(lambda: stack.one("SELECT state FROM hler.workers") == "stopped")
    operation = stack.shell(f"echo run >>{witness}")
    worker = stack.amqp("worker_1")
    wait_for(lambda: reject_all(worker, "hler.tasks.default", lambda _: True), what="the offer")
    row = wait_for(lambda: stack.sql("SELECT id FROM hler.dead_message WHERE reason = 'undeliverable'"))[0]
    assert "the tables offer it again" in stack.hler("dead", "redrive", str(row["id"]))
    stack.restart("worker-1")
    assert stack.wait(operation)["state"] == "succeeded"
    with open(witness, encoding="utf-8") as f:
        assert f.read() == "run\n" * 2
