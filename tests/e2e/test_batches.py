"""Several events in one message: in order, each judged by itself, to listeners as well."""
import datetime
import fcntl
import glob
import json
import os
import signal
import uuid

import pika

from stack import events_of, wait_for
from test_bad_input import event
from test_dead import reject_all

EVENTS = 150
MOST = 64 # events in one message
GATHER_MS = 3
SEVERAL = 3 # with another one as many as there are slots
EMIT = """
import json, os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["HLER_SOCKET"])
for n in range(%d):
    value = json.dumps({"kind": "step", "n": n, "pad": "x" * 100}).encode()
    s.sendall(b"PROGRESS %%d\\n" %% len(value) + value)
    assert s.recv(100) == b"OK\\n"
    if n %% 50 == 49:
        print(n, flush=True)
    time.sleep(float(sys.argv[1]))
""" % EVENTS
KIND = "aegir.hler.attempt.{}.v1"
BATCH = "application/cloudevents-batch+json; charset=utf-8"


def test_what_lies_ready_goes_together_and_in_order(one_worker):
    stack = one_worker
    with open(stack.path("emit.py"), "w", encoding="utf-8") as f:
        f.write(EMIT)
    operation = stack.shell(f"echo up; while [ ! -e {stack.path('go')} ]; do sleep 0.05; done; python3 {stack.path('emit.py')} 0;"
                            f" hler-emit one 1; hler-emit two 2; touch {stack.path('over')}", target=uuid.uuid4())
    wait_for(lambda: stack.output(operation) == b"up\n", what="the start")
    stack.signal("worker-1", signal.SIGSTOP)
    open(stack.path("go"), "w", encoding="utf-8").close()
    wait_for(lambda: os.path.exists(stack.path("over")), what="all to be said")
    stack.signal("worker-1", signal.SIGCONT)
    assert stack.wait(operation)["state"] == "succeeded"
    stack.assert_complete(operation)
    stack.assert_in_order(operation)
    assert [e["data"]["n"] for e in stack.events(operation) if e["type"] == "progress"] == list(range(EVENTS))
    listener = stack.listener()
    wait_for(lambda: sum("seq" in e for e in listener.events(operation)) == stack.attempts(operation)[0]["last_seq"])
    batches = [(p, body) for _, p, body in listener.messages if isinstance(body, list)]
    listener.close()
    assert batches and max(len(body) for _, body in batches) > MOST // 4
    for properties, body in batches:
        seqs, kinds = [e["seq"] for e in body], {e["type"].split(".")[3] for e in body}
        assert 2 <= len(body) <= MOST and seqs == sorted(set(seqs))
        assert properties.content_type == BATCH and properties.message_id == body[0]["id"] and properties.type == body[-1]["type"]
        assert kinds <= {"output", "progress"} or kinds <= {"started", "result", "finished"}
        assert len({e["id"].rsplit(".", 1)[0] for e in body}) == 1
    assert [e["data"]["field"] for _, body in batches for e in body if e["type"] == KIND.format("result")] == ["one", "two"]
    assert stack.one("SELECT count(*) FROM hler.dead_message") == 0


def test_states_of_many_go_together(one_worker):
    """While the worker is stopped three operations of one front end end, and one of another: what a listener gets is of several, but of one
    front end."""
    stack = one_worker
    listener = stack.listener()
    operations = [stack.shell(f"while [ ! -e {stack.path('go')} ]; do sleep 0.05; done") for _ in range(SEVERAL)]
    stranger = stack.one("SELECT hler.submit('test.shell', %s)", json.dumps({"script": f"while [ ! -e {stack.path('go')} ]; do sleep 0.05; done"}),
                         role="operator")
    both = [*operations, stranger]
    wait_for(lambda: [a for o in both for a in stack.attempts(o) if not a["started_at"]] == [] and all(map(stack.attempts, both)), what="the starts")
    stack.signal("worker-1", signal.SIGSTOP)
    open(stack.path("go"), "w", encoding="utf-8").close()
    journals = glob.glob(stack.path("spool/worker-1/*/journal"))
    assert len(journals) == len(both)
    wait_for(lambda: all(is_let_go(journal) for journal in journals), what="the runners' ends")
    stack.signal("worker-1", signal.SIGCONT)
    for operation in both:
        assert stack.wait(operation)["state"] == "succeeded"
        stack.assert_complete(operation)
        stack.assert_in_order(operation)
    for operation in operations:
        wait_for(lambda o=operation: sum("seq" in e for e in listener.events(o)) == stack.attempts(o)[0]["last_seq"])
    mixed = [(key.split("."), body) for key, _, body in listener.messages if isinstance(body, list) and len({e["subject"] for e in body}) > 1]
    listener.close()
    assert mixed, "three ends, and none with another"
    for key, body in mixed:
        assert key[3:] == ["hler_frontend", "-", "-"] and {uuid.UUID(e["operation"]) for e in body} <= {uuid.UUID(str(o)) for o in operations}
        assert {e["type"].split(".")[3] for e in body} <= {"started", "finished"}
    assert stack.one("SELECT count(*) FROM hler.dead_message") == 0


def test_a_talkative_job_is_gathered(one_worker):
    """What comes a thousandth of a second after a message waits for more, by the times that the events have themselves."""
    stack = one_worker
    with open(stack.path("emit.py"), "w", encoding="utf-8") as f:
        f.write(EMIT)
    operation = stack.run("test.shell", {"script": f"python3 {stack.path('emit.py')} 0.001"})["id"]
    stack.assert_complete(operation)
    listener = stack.listener()
    wait_for(lambda: sum("seq" in e for e in listener.events(operation)) == stack.attempts(operation)[0]["last_seq"])
    messages = [events_of(body) for key, _, body in listener.messages if f".progress.hler_frontend.{operation}." in key]
    listener.close()
    first, last = (datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00")) for e in (messages[0][0], messages[-1][-1]))
    assert EVENTS / 3 < sum(map(len, messages)) and len(messages) <= (last - first) / datetime.timedelta(milliseconds=GATHER_MS) + 2


def is_let_go(journal):
    """Its runner holds a lock on it to the end."""
    with open(journal, "rb") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_an_end_that_does_not_fit_in_a_message_goes_in_the_next(one_worker):
    stack = one_worker
    operation = stack.shell(f"while [ ! -e {stack.path('go')} ]; do sleep 0.05; done; hler-emit big \"$(printf '%040000d' 1)\";"
                            f" printf 'v=%060000d\\n' 1 >>$HLER_OUTPUTS", target=uuid.uuid4())
    wait_for(lambda: any(a["started_at"] for a in stack.attempts(operation)), what="the start")
    stack.signal("worker-1", signal.SIGSTOP)
    open(stack.path("go"), "w", encoding="utf-8").close()
    journal, = glob.glob(stack.path("spool/worker-1/*/journal"))
    wait_for(lambda: is_let_go(journal), what="the runner's end")
    stack.signal("worker-1", signal.SIGCONT)
    assert stack.wait(operation)["state"] == "succeeded"
    stack.assert_complete(operation)


class Done:
    """An attempt that has ended, and what its worker may still say of it."""

    def __init__(self, stack):
        self.stack = stack
        self.operation = stack.run("test.true")["id"]
        attempt, = stack.attempts(self.operation)
        self.worker, self.task = attempt["worker"], str(attempt["task"])
        self.token = stack.one("SELECT token FROM hler.attempt WHERE task = %s", self.task, role="migrate")

    def event(self, seq, kind="output", **change):
        return json.loads(event(kind, seq, **{
            "id": f"{change.get('subject', self.task)}.1.{self.token}.{seq}", "subject": self.task, "operation": str(self.operation),
            "source": f"/hler/worker/{self.worker}", **change}))

    def publish(self, body):
        channel = self.stack.amqp(self.worker.replace("-", "_"))
        channel.confirm_delivery()
        channel.basic_publish("hler.results", f"{self.worker}.attempt.output.hler_frontend.{self.operation}.{self.task}",
                              body if isinstance(body, bytes) else json.dumps(body), pika.BasicProperties(
                                  content_type=BATCH, user_id=self.worker, type=KIND.format("output"), delivery_mode=2,
                                  message_id=str(uuid.uuid4())), mandatory=True)

    def texts(self):
        return [(r["seq"], r["text"]) for r in self.stack.sql("SELECT seq, text FROM hler.output WHERE task = %s AND seq > 50 ORDER BY seq",
                                                              self.task)]


def test_a_bad_one_is_set_aside_alone(stack):
    done = Done(stack)
    before = stack.one("SELECT coalesce(max(id), 0) FROM hler.dead_message")
    stranger = str(uuid.uuid4())
    bad = {"bad_schema": done.event(91, data={"stream": "stdin", "text": "x"}),
           "bad_version": done.event(92, type=KIND.format("output").replace("v1", "v2")),
           "foreign": done.event(93, source="/hler/worker/somebody"),
           "unknown_attempt": done.event(94, id=f"{done.task}.7.{done.token}.94", attempt=7),
           "bad_key": done.event(95, subject=stranger)}
    state = done.event(96, "finished")
    done.publish([done.event(90), *bad.values(), state, done.event(97), done.event(97)])
    wait_for(lambda: [s for s, _ in done.texts()] == [90, 97], what="the good ones")
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.dead_message WHERE id > %s", before) == len(bad) + 1)
    rows = stack.sql("SELECT id, reason, body, facts, copies FROM hler.dead_message WHERE id > %s ORDER BY id", before)
    assert sorted(r["reason"] for r in rows) == sorted([*bad, "bad_key"]) and {r["copies"] for r in rows} == {1}
    bodies = {r["reason"]: json.loads(bytes(r["body"])) for r in rows if r["reason"] in ("bad_schema", "bad_version", "foreign")}
    assert all(bodies[reason] == bad[reason] for reason in bodies)
    # Each is an event of its own now: the program of tomorrow reads it.
    number = next(r["id"] for r in rows if r["reason"] == "bad_version")
    stack.sql("UPDATE hler.dead_message SET body = convert_to(replace(convert_from(body, 'UTF8'), '.v2', '.v1'), 'UTF8')"
              " WHERE id = %s", number, role="migrate")
    assert "settled" in stack.hler("dead", "redrive", str(number))
    assert [s for s, _ in done.texts()] == [90, 92, 97]


def test_what_is_no_batch_is_set_aside_as_a_whole(stack):
    done = Done(stack)
    good = json.dumps(done.event(90)).encode()
    for body, reason in ((b"[]", "bad_json"), (b"[[" + good + b"]]", "bad_json"), (b"[" + good + b"," + good[:-1], "bad_json"),
                         (b"[" + b",".join([good] * (MOST + 1)) + b"]", "bad_schema"), (b"[" * 100000, "bad_json")):
        before = stack.one("SELECT coalesce(max(id), 0) FROM hler.dead_message")
        done.publish(body)
        rows = wait_for(lambda b=before: stack.sql("SELECT reason, size FROM hler.dead_message WHERE id > %s", b))
        assert [(r["reason"], r["size"]) for r in rows] == [(reason, len(body))]
    assert done.texts() == []


def test_a_batch_that_the_broker_gave_up(one_worker):
    stack = one_worker
    done = Done(stack)
    stack.kill("dispatcher-1")
    done.publish([done.event(90), done.event(91)])
    channel = stack.amqp("dispatcher")
    wait_for(lambda: reject_all(channel, "hler.output", lambda kind: kind == KIND.format("output")), what="the batch")
    stack.restart("dispatcher-1")
    wait_for(lambda: stack.one("SELECT count(*) FROM hler.dead_message WHERE reason = 'undeliverable'") == 2)
    outcomes = json.loads(stack.hler("dead", "redrive", "--fault", "undeliverable", "--json"))
    assert [o["outcome"] for o in outcomes] == ["settled"] * 2 and [s for s, _ in done.texts()] == [90, 91]
