"""Every message that really crosses the broker is valid by the JSON Schemas of proto/schemas, as a third-party
validator sees it.  The broker's own tracing shows all of them, the default exchange included."""
import json
import os
import uuid

import jsonschema
import pika
import pytest

from stack import NOWHERE, TOP, wait_for

SCHEMAS = f"{TOP}/proto/schemas"
BY_TYPE = {"hler.offer.v1": "offer", "hler.claim.v1": "claim", "hler.answer.v1": "answer", "hler.control.v1": "control", "hler.flood.v1": "flood"}


def validators():
    texts = {}
    for name in os.listdir(SCHEMAS):
        with open(f"{SCHEMAS}/{name}", encoding="utf-8") as f:
            texts[name] = json.load(f)
    store = {s["$id"]: s for s in texts.values()}
    made = {}
    for name, schema in texts.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        resolver = jsonschema.RefResolver(schema["$id"], schema, store=store)
        made[name.removesuffix(".json")] = jsonschema.Draft202012Validator(schema, resolver=resolver)
    return made


@pytest.fixture(name="traced")
def tapped_stack(make_stack):
    """A stack and a channel that gets a copy of everything published."""
    stack = make_stack("--workers", "1", "--slots", "4", "--set", "worker.pace_bytes_per_s=65536") # 5 kB a moment are a flood
    stack.manage("PUT", "users/tap", {"password": "tap", "tags": ""})
    stack.manage("PUT", "permissions/hler/tap", {"configure": ".*", "write": ".*", "read": ".*"})
    stack.manage("PUT", "vhosts/hler", {"tracing": True})
    url = "amqp://tap:tap@" + stack.env["HLER_AMQP_URL_DISPATCHER"].split("@")[1]
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare("tap", exclusive=True)
    channel.queue_bind("tap", "amq.rabbitmq.trace", "publish.#")
    return stack, channel


def test_everything_on_the_wire_is_valid(traced):
    stack, channel = traced
    stack.apply(NOWHERE)
    done = [stack.run("test.shell", {"script": "echo hi; hler-emit a 1; printf '\\377'"}, target=uuid.uuid4()),
            stack.run("test.shell", {"script": "exit 75"}),
            stack.run("test.shell", {"script": "for i in 1 2 3 4 5; do yes | head -c 20000; sleep 0.1; done"}),
            stack.run("test.ansible.fails", timeout=90),
            stack.run("test.nowhere", timeout=60)]
    running = stack.shell("echo started; sleep 600")
    wait_for(lambda: stack.output(running) == b"started\n")
    stack.hler("cancel", str(running))
    stack.wait(running)
    assert len(done) == 5
    stack.only_queues() # before this most were granted ahead
    assert stack.run("test.true")["state"] == "succeeded"
    checks, seen, faults = validators(), set(), []

    def all_kinds():
        while True:
            method, properties, body = channel.basic_get("tap", auto_ack=True)
            if method is None:
                return {"hler.offer.v1", "hler.claim.v1", "hler.answer.v1", "hler.control.v1", "hler.flood.v1",
                        "aegir.hler.worker.heartbeat.v1", "aegir.hler.attempt.finished.v1", "aegir.hler.dispatcher.tick.v1", "aegir.hler.operation.failed.v1"} <= seen
            kind = properties.headers["properties"].get("type") or "none"
            seen.add(kind)
            batch = "cloudevents-batch" in (properties.headers["properties"].get("content_type") or "")
            schema = BY_TYPE.get(kind, "event_batch" if batch else "event")
            fault = jsonschema.exceptions.best_match(checks[schema].iter_errors(json.loads(body)))
            if fault:
                faults.append(f"{kind}: {fault.json_path}: {fault.message[:300]}")

    wait_for(all_kinds, timeout=60, what=f"messages of all kinds, so far {seen}")
    assert not faults, "\n".join(sorted(set(faults)))


def test_the_schemas_refuse_what_is_wrong():
    checks = validators()
    for name, message in (("offer", {"v": 1}), ("claim", {"v": 2}), ("answer", {}), ("control", {"v": 1, "kind": 5}), ("flood", {"v": 2}),
                          ("event", {"specversion": "0.3"}), ("event_batch", []), ("event_batch", [{}])):
        assert list(checks[name].iter_errors(message)), name
