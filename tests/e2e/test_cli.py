"""`hler` as a person meets it: what is refused is said so that one can go on."""
import json
import re
import subprocess
import threading
import time
import uuid

import pytest

from stack import TOP, read, wait_for

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def test_states_are_named(stack):
    stack.hler("list", "--state", "bogus", code=2)
    said = stack.last_error
    for state in json.loads(read(f"{TOP}/proto/transitions.json"))["operation"]:
        assert f" {state}" in said
        stack.hler("list", "--state", state)


def test_a_group_of_commands_names_them(stack):
    stack.hler("listener", code=2)
    assert stack.last_error.startswith("hler: listener what?\n") and "hler listener add NAME" in stack.last_error
    stack.hler("dead", "bury", code=2)
    assert 'no command "dead bury"' in stack.last_error and "hler dead drop MESSAGE" in stack.last_error


def test_faults_are_ours_and_json(stack):
    stack.hler("submit", "site.deploy", "nonsense=1", code=2)
    lines = stack.last_error.splitlines()
    assert len(lines) >= 2 and all(l.startswith("hler: ") for l in lines), lines
    faults = json.loads(stack.hler("submit", "site.deploy", "nonsense=1", "--json", code=2))["faults"]
    assert {(f["field"], f["rule"]) for f in faults} >= {("nonsense", "unknown_field"), ("title", "required")}
    assert json.loads(stack.hler("submit", "site.deploy", "title", "--json", code=2))["faults"] == [
        {"field": "title", "rule": "form", "message": "expected field=value"}]


def times(value, key=""):
    """Every value of a key that is a time."""
    if isinstance(value, dict):
        return [t for k, v in value.items() if k != "inputs" for t in times(v, k)]
    if isinstance(value, list):
        return [t for v in value for t in times(v, key)]
    return [value] if value is not None and re.search(r"_at$|^start_by$", key) else []


def test_times_are_all_of_one_form(stack):
    own = "2026-01-02T03:04:05+00:00" # a front end's text stays as it is
    operation = stack.run("test.shell", {"script": f"echo {own}"}, start_by="2100-01-01")["id"]
    wait_for(lambda: stack.output(operation), what="the output")
    shown = json.loads(stack.hler("show", str(operation), "--json"))
    for seen in (shown, json.loads(stack.hler("list", "--json")), json.loads(stack.hler("workers", "--json")),
                 json.loads(stack.hler("log", str(operation), "--json")), json.loads(stack.hler("submit", "test.true", "--wait", "--json"))):
        found = times(seen)
        assert found and all(TIME.fullmatch(t) for t in found), found
    assert own in json.dumps(shown["operation"]["inputs"])
    assert list(shown["operation"])[:3] == ["id", "type", "version"], "in the order of the columns"


def test_lines_are_in_order(stack):
    operation = stack.run("test.shell", {"script": "printf open; sleep 0.3; echo first >&2; sleep 0.3; echo second >&2"})["id"]
    wait_for(lambda: stack.output(operation, "stderr").count(b"\n") == 2 and stack.output(operation), what="all of it")
    assert stack.hler("log", str(operation)) == "open\nfirst\nsecond\n"


def test_following_is_prompt(stack):
    gate = stack.path(str(uuid.uuid4()))
    operation = stack.shell(f"echo ready; while [ ! -e {gate} ]; do sleep 0.01; done; date +%s.%N; sleep 3")
    with subprocess.Popen([f"{stack.build}/bin/hler", "log", str(operation), "--follow"], env=stack.environ(),
                          stdout=subprocess.PIPE, text=True) as follower:
        end = threading.Timer(30, follower.kill)
        end.start()
        assert follower.stdout.readline() == "ready\n"
        open(gate, "w", encoding="utf-8").close()
        said = float(follower.stdout.readline())
        lag = time.time() - said
        follower.kill()
        end.cancel()
    stack.hler("cancel", str(operation))
    assert lag < 0.9, "a look a second is too slow"


def test_who_follows_hears_how_it_ended(stack):
    for script, code in (("echo said", 0), ("echo said; exit 3", 1)):
        operation = stack.submit("test.shell", {"script": script})
        assert stack.hler("log", str(operation), "--follow", code=code) == "said\n"
        assert stack.hler("log", str(operation)) == "said\n"


def test_an_attempt_that_never_ran_has_no_output_to_wait_for(stack):
    began = time.monotonic()
    stack.hler("submit", "test.forbidden", "--follow", code=None)
    assert "not_allowed" in stack.last_error and "not complete" not in stack.last_error, stack.last_error
    assert time.monotonic() - began < 30


def test_the_last_one_is_this_login_s_own(stack):
    operation = stack.submit("test.true") # by the front end
    assert stack.wait(operation)["state"] == "succeeded"
    stack.hler("show", str(operation))
    own = stack.hler("submit", "test.true").split()[0]
    assert own in stack.hler("show", "last") and str(operation) not in stack.hler("show", "last")
    stack.sql("UPDATE hler.operation SET requester = 'hler_frontend' WHERE requester = 'hler_operator'", role="migrate")
    stack.hler("show", "last", code=7)
    assert "this login has submitted nothing" in stack.last_error


def test_cancel_says_what_it_met(stack):
    operation = stack.run("test.true")["id"]
    assert "had ended already, nothing to stop: it is succeeded" in stack.hler("cancel", str(operation))
    assert json.loads(stack.hler("cancel", str(operation), "--json")) == {
        "id": str(operation), "was": "succeeded", "state": "succeeded"}
    operation = stack.shell("sleep 60")
    stack.wait(operation, ["running"])
    assert "asked to stop" in stack.hler("cancel", str(operation))


def test_doctor_waits_for_the_first_tick(stack):
    """As right after the start: no tick was ever seen, and one comes in a moment."""
    old = stack.one("UPDATE hler.silence SET last_tick_at = NULL RETURNING now()::text AS old", role="migrate")
    assert old
    said = stack.hler("doctor", code=None)
    assert re.search(r"^ok +dispatcher +last tick \d+ ms ago$", said, re.M), said
    assert " ms ms" not in said


@pytest.mark.parametrize("script, argument", [("deploy/quickstart", "--bogus"), ("deploy/stack", "--bogus")])
def test_scripts_name_what_they_do_not_know(script, argument):
    done = subprocess.run([f"{TOP}/{script}", argument], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"unknown option {argument}" in done.stderr
