"""`hler doctor` says which part is ill and what to do."""
import re

from stack import NOWHERE, wait_for


def ill(stack):
    """The names of steps that are ill, which the last line repeats."""
    said = stack.hler("doctor", code=1)
    found = dict.fromkeys(re.findall(r"^ill +(\w+(?: \w+)?)  ", said, re.M))
    assert stack.last_error.splitlines()[-1] == "hler: ill: " + ", ".join(found), (said, stack.last_error)
    return set(found), said


def test_doctor_names_the_part_that_is_ill(make_stack):
    stack = make_stack("--workers", "1", "--lost-after-ms", "3000")
    wait_for(lambda: "ill" not in stack.hler("doctor", code=None), what="the first tick")
    said = stack.hler("doctor")
    assert "round trip" in said and not re.search(r"^ill", said, re.M), said
    assert stack.sql("SELECT DISTINCT priority FROM hler.operations WHERE type = 'hler.ping'") == [{"priority": 100}] # a backlog is no illness
    stack.kill("worker-1")
    found, said = ill(stack)
    assert "round trip" in found and "->" in said, said
    stack.restart("worker-1")
    stack.kill("dispatcher-1")
    found, said = ill(stack)
    assert "round trip" in found, said
    stack.restart("dispatcher-1")
    assert stack.run("test.true")["state"] == "succeeded"
    wait_for(lambda: "ill" not in stack.hler("doctor", code=None), what="health")
    said = stack.hler("--dsn", "host=127.0.0.1 port=1 dbname=hler", "doctor", code=None)
    assert re.search(r"^ill +database", said, re.M), said


def test_what_a_person_asked_for_is_not_ill(make_stack):
    """A drained pool, an executor that only an old version of a type wants; and `last` is what the person did last."""
    stack = make_stack("--workers", "1")
    stack.hler("submit", "test.shell", "script=true", "--follow")
    operation = str(stack.one("SELECT id FROM hler.operations"))
    stack.apply(NOWHERE)
    noted = stack.hler("doctor")
    assert re.search(r"^note +pools +.*no-such-executor.*", noted, re.M), noted
    assert operation in stack.hler("show", "last")
    stack.apply(NOWHERE.replace("version = 1", "version = 2").replace("no-such-executor", "none"))
    assert "no-such-executor" not in stack.hler("doctor")
    stack.hler("drain", "--pool", "default", "--wait")
    found, said = ill(stack)
    assert found == {"round trip"}, said
    assert "hler drain --pool NAME --undo" in said and "start hler-worker" not in said, said
    stack.hler("drain", "--pool", "default", "--undo")
    stack.hler("drain", "worker-1", "--wait")
    found, said = ill(stack) # the round trip waits in that pool
    assert found == {"round trip"} and re.search(r"^note +pools +default: all live workers are draining", said, re.M), said
    assert "hler drain WORKER --undo" in said, said
