"""A row becomes a run, and its events and results come back: into the tables, to a stranger, to a person."""
import json
import uuid

from stack import wait_for


def kinds(events):
    return [e["type"].split(".")[3] if "." in e["type"] else e["type"] for e in events]


def test_success_in_the_tables(stack):
    target = uuid.uuid4()
    done = stack.run("test.shell", {"script": "echo one; hler-emit greeting hello; echo two >&2; echo answer=42 >>$HLER_OUTPUTS"},
                     target=target)
    assert (done["state"], done["cause"]) == ("succeeded", "done"), done
    stack.assert_complete(done["id"])
    task, = stack.tasks(done["id"])
    assert (task["state"], task["tries"], task["outputs"]) == ("succeeded", 1, {"answer": "42"})
    attempt, = stack.attempts(done["id"])
    assert attempt["exit_code"] == 0 and attempt["signal"] is None and attempt["results_recorded"] == 1
    assert attempt["offered_at"] <= attempt["granted_at"] <= attempt["started_at"] <= attempt["finished_at"]
    events = stack.events(done["id"])
    assert events[0]["type"] == "started" and events[-1]["type"] == "finished"
    assert stack.output(done["id"]) == b"one\n"
    assert stack.output(done["id"], "stderr") == b"two\n"
    result = stack.one("SELECT field, value, secret, operation FROM hler.results WHERE entity = %s", target, role="frontend")
    assert result == {"field": "greeting", "value": "hello", "secret": False, "operation": done["id"]}


def test_a_stranger_sees_the_same(stack, listener):
    done = stack.run("test.shell", {"script": "echo one; hler-emit greeting hello"}, target=uuid.uuid4())
    stack.assert_complete(done["id"])
    recorded = stack.events(done["id"])
    heard = wait_for(lambda: (lambda e: e if "aegir.hler.operation.succeeded.v1" in [x["type"] for x in e] else None)(
        listener.events(done["id"])), what="the verdict at the listener")
    numbered = sorted((e for e in heard if "seq" in e), key=lambda e: e["seq"])
    assert [(e["seq"], e["type"].split(".")[3]) for e in numbered] == [(e["seq"], e["type"]) for e in recorded]
    assert [e["data"] for e in numbered if "output" in e["type"]] == [e["data"] for e in recorded if e["type"] == "output"]
    for event in heard:
        assert event["specversion"] == "1.0" and event["operation"] == str(done["id"])
    verdicts = [e["type"] for e in heard if "seq" not in e]
    assert "aegir.hler.task.succeeded.v1" in verdicts and "aegir.hler.operation.succeeded.v1" in verdicts


def test_a_person_sees_the_same(stack):
    target = str(uuid.uuid4())
    said = stack.hler("--json", "submit", "test.shell", "script=echo hello; hler-emit greeting hi", "--target", target, "--wait")
    assert "succeeded" in said, said
    operation = stack.one("SELECT id FROM hler.operations WHERE target = %s", target)
    stack.assert_complete(operation)
    assert stack.hler("log", str(operation)).splitlines()[-1].endswith("hello")
    assert "greeting" in stack.hler("results", target) and "hi" in stack.hler("results", target)
    shown = stack.hler("--json", "show", str(operation))
    assert json.loads(shown)["operation"]["state"] == "succeeded", shown


def test_tasks_run_in_order_and_pass_outputs_on(stack):
    done = stack.run("test.two", {"first": "echo word=$((6 * 7)) >>$HLER_OUTPUTS",
                                  "second": """grep -o '"42"' "$HLER_VARS\""""})
    assert done["state"] == "succeeded", done
    first, second = stack.tasks(done["id"])
    assert first["finished_at"] <= second["started_at"]
    stack.assert_complete(done["id"])
    assert stack.output(done["id"]) == b'"42"\n'


def test_a_failed_task_ends_the_operation(stack):
    done = stack.run("test.two", {"first": "echo broken >&2; exit 3", "second": "true"})
    assert (done["state"], done["cause"]) == ("failed", "exit"), done
    first, second = stack.tasks(done["id"])
    assert (first["state"], second["state"]) == ("failed", "skipped")
    assert stack.attempts(done["id"])[0]["exit_code"] == 3


def test_ends_name_their_cause(stack):
    for kind, script, state, cause in (("test.shell", "kill -SEGV $$", "failed", "signal"),
                                       ("test.shell", "exit 75", "failed", "try_later"),
                                       ("test.shell", "exit 78", "failed", "never_retry"),
                                       ("test.shell", "echo 'No Name=1' >>$HLER_OUTPUTS", "failed", "outputs_invalid"),
                                       ("test.deadline", "sleep 60", "failed", "deadline"),
                                       ("test.idle", "echo; sleep 60", "failed", "idle")):
        done = stack.run(kind, {"script": script})
        assert (done["state"], done["cause"]) == (state, cause), (script, done)
    done = stack.run("test.missing")
    assert (done["state"], done["cause"]) == ("failed", "not_found") and done["message"], done


def test_what_no_worker_may_run_is_refused(stack):
    done = stack.run("test.forbidden", timeout=60)
    assert (done["state"], done["cause"]) == ("failed", "not_allowed"), done
    assert "/sbin/init" in done["message"], done


def test_exit_codes_of_submit(stack):
    stack.hler("submit", "test.true", "--wait", code=0)
    stack.hler("submit", "test.shell", "script=false", "--wait", code=1)
    stack.hler("submit", "test.shell", "--wait", code=2)
    stack.hler("submit", "no.such.type", "--wait", code=2)
    stack.hler("--dsn", "host=127.0.0.1 port=1 dbname=hler", "list", code=3)


def test_a_repeatable_task_is_tried_again(stack):
    path = stack.path(f"tries.{uuid.uuid4()}")
    done = stack.run("test.repeatable", {"script": f"echo x >>{path}; [ $(wc -l <{path}) -ge 3 ] || exit 75"})
    assert done["state"] == "succeeded", done
    assert [a["attempt"] for a in stack.attempts(done["id"])] == [1, 2, 3]


def test_retry_reuses_what_succeeded(stack):
    path = stack.path(f"retry.{uuid.uuid4()}")
    done = stack.run("test.two", {"first": f"echo x >>{path}; echo word=kept >>$HLER_OUTPUTS",
                                  "second": f"grep -q kept $HLER_VARS || exit 9; test -e {path}.ok"})
    assert done["state"] == "failed", done
    open(f"{path}.ok", "w", encoding="utf-8").close()
    again = stack.one("SELECT hler.retry(%s, reason => 'ready now', actor => 'jo')", done["id"], role="frontend")
    row = stack.wait(again)
    assert (row["state"], row["retry_of"]) == ("succeeded", done["id"]), row
    assert [t["reused"] for t in stack.tasks(again)] == [True, False]
    with open(path, encoding="utf-8") as f:
        assert f.read() == "x\n"


def test_a_hint_that_comes_with_an_answer(make_stack):
    """Committed while the outbox asks for something else: nothing but the hint tells of it before the next poll, 10 s later."""
    stack = make_stack("--workers", "1", "--set", "dispatcher.offers.offer_wait_ms=400")
    with stack.connect("migrate") as holder, holder.cursor() as cursor:
        holder.autocommit = False
        cursor.execute("LOCK TABLE hler.attempt")
        wait_for(lambda: stack.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                   " AND query LIKE '%%pools_to_check%%'", role="migrate"), what="the outbox to look for old offers")
        operation = stack.shell("true")
        holder.rollback()
    assert stack.wait(operation, timeout=8)["state"] == "succeeded"
