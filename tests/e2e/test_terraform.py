"""Real terraform: outputs become results; a failed apply says why."""
import shutil
import uuid

import pytest

pytestmark = pytest.mark.skipif(not (shutil.which("terraform") or shutil.which("tofu")), reason="neither terraform nor tofu here")


def test_outputs_become_results(stack):
    target = uuid.uuid4()
    done = stack.run("test.terraform", {"text": "hello ${path.root}"}, timeout=90, target=target)
    assert done["state"] == "succeeded", (stack.describe(done["id"]), stack.output(done["id"], "stderr"))
    stack.assert_complete(done["id"])
    rows = {r["field"]: r for r in stack.sql("SELECT field, value, secret FROM hler.results WHERE entity = %s", target)}
    assert rows["said"]["value"] == "hello ${path.root}" and not rows["said"]["secret"]
    assert rows["password"]["secret"]


def test_a_failed_apply(stack):
    done = stack.run("test.terraform.bad", timeout=90, target=uuid.uuid4())
    assert done["state"] == "failed", done
    assert done["message"], done
