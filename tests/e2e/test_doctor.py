"""`hler doctor` says which part is ill and what to do."""
import re

from stack import wait_for


def ill(stack):
    said = stack.hler("doctor", code=1)
    return set(re.findall(r"^ill +(\w+( \w+)?)  ", said, re.M)), said


def names(found):
    return {name for name, _ in found}


def test_doctor_names_the_part_that_is_ill(make_stack):
    stack = make_stack("--workers", "1", "--lost-after-ms", "3000")
    wait_for(lambda: "ill" not in stack.hler("doctor", code=None), what="the first tick")
    said = stack.hler("doctor")
    assert "round trip" in said and not re.search(r"^ill", said, re.M), said
    stack.kill("worker-1")
    found, said = ill(stack)
    assert "round trip" in names(found) and "->" in said, said
    stack.restart("worker-1")
    stack.kill("dispatcher-1")
    found, said = ill(stack)
    assert "round trip" in names(found), said
    stack.restart("dispatcher-1")
    assert stack.run("test.true")["state"] == "succeeded"
    wait_for(lambda: "ill" not in stack.hler("doctor", code=None), what="health")
    said = stack.hler("--dsn", "host=127.0.0.1 port=1 dbname=hler", "doctor", code=None)
    assert re.search(r"^ill +database", said, re.M), said
