"""Real ansible-playbook: what comes back, and that success is never said of a play that reached no host."""
import uuid

EVIL = "{{ lookup('pipe', 'id') }} {% raw %} !unsafe ' \" \\ \u00e9"


def play(stack, kind, inputs=None, **columns):
    done = stack.run(kind, inputs, timeout=90, **columns)
    stack.assert_complete(done["id"])
    return done


def results(stack, entity):
    return {r["field"]: r["value"] for r in stack.sql("SELECT field, value FROM hler.results WHERE entity = %s", entity)}


def test_results_come_back_and_inputs_are_text(stack):
    target, other = uuid.uuid4(), uuid.uuid4()
    done = play(stack, "test.ansible", {"text": EVIL, "other": str(other)}, target=target)
    assert (done["state"], done["cause"]) == ("succeeded", "done"), stack.describe(done["id"])
    assert results(stack, target)["text"] == EVIL
    assert results(stack, target)["harvested"] == 42
    assert results(stack, other) == {"list": [1, 2]}
    assert b"uid=" not in stack.output(done["id"])
    kinds = [e["data"]["kind"] for e in stack.events(done["id"]) if e["type"] == "progress"]
    assert kinds, "the callback sent no event"


def test_a_failed_task(stack):
    done = play(stack, "test.ansible.fails")
    assert (done["state"], done["cause"]) == ("failed", "exit"), done
    assert "this is the reason" in done["message"], done


def test_an_unreachable_host(stack):
    done = play(stack, "test.ansible.unreachable")
    assert (done["state"], done["cause"]) == ("failed", "unreachable"), done


def test_no_host_matched_is_no_success(stack):
    done = play(stack, "test.ansible.nohosts")
    assert (done["state"], done["cause"]) == ("failed", "no_hosts"), done


def test_what_cannot_be_emitted_fails_that_task_with_the_reason(stack):
    done = play(stack, "test.ansible.bademit", target=uuid.uuid4())
    assert done["state"] == "succeeded", stack.output(done["id"])


def test_a_playbook_outside_the_roots(stack):
    done = play(stack, "test.ansible.outside")
    assert done["state"] == "failed" and done["cause"] in ("not_allowed", "refused", "never_retry", "spec_invalid"), done
