"""What cannot be understood is set aside once, with its reason, and disturbs nothing."""
import base64
import json
import uuid

import pika
import pytest

from stack import wait_for

TASK = "0190b3a4-0000-7000-8000-00000000000f"
OPERATION = "0190b3a4-0000-7000-8000-00000000000e"
TOKEN = "0123456789abcdef"
BOMB = b"[" * 100000 + b"]" * 100000
TOO_LARGE = b'{"v": 1, "pad": "' + b"x" * 1100000 + b'"}'


def offer(**change):
    good = {"v": 1, "operation": OPERATION, "type": "test.true", "requester": "hler_frontend", "target": None, "task": TASK,
            "name": "run", "key": "run", "attempt": 1, "token": TOKEN, "try": 1, "executor": "command",
            "spec": {"argv": ["/bin/true"]}, "inputs": {}, "outputs": {}, "deadline_ms": 0, "idle_ms": 0, "grace_ms": 1000,
            "output_bytes": 65536, "repeatable": False, "lease_ms": 0, "traceparent": None}
    good.update(change)
    return json.dumps(good).encode()


def event(kind="output", seq=2, **change):
    good = {"specversion": "1.0", "id": f"{TASK}.1.{TOKEN}.{seq}", "source": "/hler/worker/worker-1",
            "type": f"aegir.hler.attempt.{kind}.v1", "subject": TASK, "time": "2026-01-02T03:04:05.678901Z",
            "datacontenttype": "application/json", "operation": OPERATION, "attempt": 1, "seq": seq,
            "data": {"stream": "stdout", "text": "x"}}
    good.update(change)
    return json.dumps(good).encode()


def dead(stack):
    return stack.one("SELECT coalesce(max(id), 0) FROM hler.dead_message")


def expect_one(stack, before, reason=None):
    """Exactly one new row, and none after a good operation has passed through the same queues."""
    wait_for(lambda: dead(stack) > before, what=f"a message set aside for {reason}")
    assert stack.run("test.shell", {"script": "echo"})["state"] == "succeeded"
    rows = stack.sql("SELECT source, reason, facts, size FROM hler.dead_message WHERE id > %s", before)
    assert len(rows) == 1, rows
    if reason:
        assert reason in rows[0]["reason"], rows
    return rows[0]


BAD_OFFERS = {
    "not JSON": (b"hello", "bad_json"),
    "empty": (b"", "bad_json"),
    "cut": (offer()[:-1], "bad_json"),
    "two values": (offer() + b"{}", "bad_json"),
    "duplicate key": (offer()[:-1] + b', "task": "x"}', "bad_json"),
    "overlong UTF-8": (offer().replace(b"hler_frontend", b"\xc0\xaf"), "not_utf8"),
    "surrogate": (offer().replace(b"hler_frontend", b"\xed\xa0\x80"), "not_utf8"),
    "NUL": (offer().replace(b"hler_frontend", b"a\\u0000b"), "bad_json"),
    "too deep": (BOMB, "bad_json"),
    "too large": (TOO_LARGE, "too_large"),
    "NaN": (offer().replace(b'"attempt": 1', b'"attempt": NaN'), "bad_json"),
    "wrong type": (offer(attempt="1"), "bad_schema"),
    "negative": (offer(attempt=-1), "bad_schema"),
    "huge number": (offer(attempt=2 ** 60), "bad_"),
    "not a uuid": (offer(task="../../etc"), "bad_schema"),
    "token of another form": (offer(token="../../../etc/pass"), "bad_schema"),
    "no object": (b"[]", "bad_"),
    "another version": (offer(v=2), "bad_version"),
}


@pytest.mark.parametrize("name", BAD_OFFERS)
def test_bad_offers(stack, name):
    body, reason = BAD_OFFERS[name]
    before = dead(stack)
    channel = stack.amqp("dispatcher")
    channel.confirm_delivery()
    channel.basic_publish("hler.tasks", "default", body, pika.BasicProperties(
        content_type="application/json", type="hler.offer.v1", message_id=str(uuid.uuid4()), user_id="dispatcher",
        delivery_mode=2), mandatory=True)
    row = expect_one(stack, before, reason)
    assert json.loads(row["facts"])["size"] == len(body)


KEY = f"worker-1.attempt.output.hler_frontend.{OPERATION}.{TASK}"
BAD_EVENTS = {
    "not JSON": (KEY, b"hello", "bad_json", {}),
    "NUL": (KEY, event(data={"stream": "stdout", "text": "a\0b"}), "bad_json", {}),
    "not UTF-8": (KEY, event().replace(b'"x"', b'"\xff"'), "not_utf8", {}),
    "too large": (KEY, TOO_LARGE, "too_large", {}),
    "no user": (KEY, event(), "no_user", {"user_id": None}),
    "unknown attempt": (KEY, event(), "unknown_attempt", {}),
    "another type's version": (KEY, event(type="aegir.hler.attempt.output.v2"), "bad_version", {}),
    "stream of another name": (KEY, event(data={"stream": "stdin", "text": "x"}), "bad_schema", {}),
    "no seq": (KEY, event(seq=None), "bad_schema", {}),
    "key of another task": (KEY.replace(TASK, OPERATION), event(), "bad_key", {}),
    "key too short": ("worker-1.attempt.output", event(), "bad_key", {}),
    "state event of nobody": (KEY.replace("output", "finished"), event("finished", data={}), "bad_schema", {}),
    "bad base64": (KEY, event(data={"stream": "stdout", "text": "x", "base64": "***"}), "bad_schema", {}),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_bad_events(stack, name):
    key, body, reason, change = BAD_EVENTS[name]
    before = dead(stack)
    channel = stack.amqp("worker_1")
    channel.confirm_delivery()
    properties = {"content_type": "application/cloudevents+json; charset=utf-8", "user_id": "worker-1", "delivery_mode": 2,
                  "type": "aegir.hler.attempt.output.v1", "message_id": str(uuid.uuid4())}
    channel.basic_publish("hler.results", key, body, pika.BasicProperties(**{**properties, **change}), mandatory=True)
    expect_one(stack, before, reason)


def test_an_event_for_the_attempt_of_another(stack):
    done = stack.run("test.true")
    attempt, = stack.attempts(done["id"])
    other = "worker_2" if attempt["worker"] == "worker-1" else "worker_1"
    token = stack.one("SELECT token FROM hler.attempt WHERE task = %s", attempt["task"], role="migrate")
    before = dead(stack)
    name = other.replace("_", "-")
    body = event("finished", 9, id=f"{attempt['task']}.1.{token}.9", subject=str(attempt["task"]), operation=str(done["id"]),
                 source=f"/hler/worker/{name}",
                 data={"state": "failed", "cause": "exit", "message": "forged", "exit_code": 1, "signal": None, "retryable": False,
                       "outputs": {}, "results": 0, "output_bytes": 0, "dropped_bytes": 0, "duration_ms": 1, "left_behind": 0})
    stack.amqp(other).basic_publish("hler.results", f"{name}.attempt.finished.hler_frontend.{done['id']}.{attempt['task']}", body,
                                    pika.BasicProperties(content_type="application/cloudevents+json; charset=utf-8", user_id=name,
                                                         type="aegir.hler.attempt.finished.v1", delivery_mode=2))
    expect_one(stack, before, "foreign")
    assert stack.operation(done["id"])["state"] == "succeeded"


def claim(**change):
    good = {"v": 1, "session": str(uuid.uuid4()), "instance": str(uuid.uuid4()), "claim": 1,
            "attempts": [{"task": TASK, "attempt": 1, "token": TOKEN}]}
    good.update(change)
    return json.dumps(good).encode()


BAD_CLAIMS = {
    "not JSON": (b"hello", "bad_json", {}),
    "too many": (claim(attempts=[{"task": TASK, "attempt": 1, "token": TOKEN}] * 65), "bad_schema", {}),
    "less than no room": (claim(attempts=[], free=-1), "bad_schema", {}),
    "another version": (claim(v=9), "bad_version", {}),
    "no user": (claim(), "no_user", {"user_id": None}),
    "answer to another's queue": (claim(), "bad_key", {"reply_to": f"hler.control.worker-2.{uuid.uuid4()}"}),
    "answer to a queue of ours": (claim(), "bad_key", {"reply_to": "hler.state"}),
    "no answer wanted": (claim(), "bad_key", {"reply_to": None}),
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_bad_claims(stack, name):
    body, reason, change = BAD_CLAIMS[name]
    before = dead(stack)
    properties = {"content_type": "application/json", "type": "hler.claim.v1", "user_id": "worker-1",
                  "reply_to": f"hler.control.worker-1.{uuid.uuid4()}"}
    stack.amqp("worker_1").basic_publish("hler.claims", "claim", body, pika.BasicProperties(**{**properties, **change}))
    expect_one(stack, before, reason)


def test_a_claim_of_what_does_not_exist_is_refused(stack):
    session = str(uuid.uuid4())
    channel = stack.amqp("worker_1")
    queue = f"hler.control.worker-1.{session}"
    channel.queue_declare(queue, exclusive=True, auto_delete=True)
    channel.basic_publish("hler.claims", "claim", claim(session=session), pika.BasicProperties(
        content_type="application/json", type="hler.claim.v1", user_id="worker-1", reply_to=queue))
    _, properties, body = wait_for(lambda: (lambda got: got if got[0] else None)(channel.basic_get(queue, auto_ack=True)))
    answer = json.loads(body)
    assert properties.user_id == "dispatcher" and properties.type == "hler.answer.v1"
    assert answer["session"] == session and answer["claim"] == 1 and answer["granted"] == []
    assert [r["reason"] for r in answer["refused"]] == ["unknown"]


def test_rejected_offers_keep_their_first_bytes(stack):
    before = dead(stack)
    channel = stack.amqp("dispatcher")
    channel.basic_publish("hler.tasks", "default", b"\xff" * 10000, pika.BasicProperties(user_id="dispatcher", delivery_mode=2))
    expect_one(stack, before, "not_utf8")
    body = bytes(stack.one("SELECT body FROM hler.dead_message WHERE id > %s", before))
    assert b"\xff" * 4096 in body or base64.b64encode(b"\xff" * 4095)[:-4] in body


@pytest.mark.parametrize("inputs, faults", [
    ({}, {("script", "required")}),
    ({"script": 7}, {("script", "type")}),
    ({"script": "x" * 5000, "more": 1}, {("script", "max_length"), ("more", "unknown_field")}),
    ({"script": "a\0b"}, {("inputs", "nul")}),
    ({"$ref": "x", "script": "x"}, {("$ref", "reserved")}),
])
def test_requests_are_checked_in_the_insert(stack, inputs, faults):
    import psycopg2 # pylint: disable=import-outside-toplevel
    with pytest.raises(psycopg2.Error) as caught:
        stack.submit("test.shell", inputs)
    if caught.value.pgcode == "HL001":
        said = {(f["field"], f["rule"]) for f in json.loads(caught.value.diag.message_detail)}
        assert {rule for _, rule in said} == {rule for _, rule in faults}, said
    else: # jsonb itself refuses NUL before we see it
        assert faults == {("inputs", "nul")} and caught.value.pgcode in ("22P05", "22P02"), caught.value
