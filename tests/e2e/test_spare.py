"""Directories of attempts that serve again: the next attempt finds nothing of the one before."""
import glob
import pathlib

from stack import wait_for

ROUNDS = 8
SCRIPT = 'ls -A "$HOME"; stat -c %i "$HOME/.."; cat "$HLER_OUTPUTS" 2>/dev/null; echo "v=$1" >>"$HLER_OUTPUTS"'


def test_a_directory_that_serves_again_is_as_if_it_were_new(make_stack):
    stack = make_stack("--workers", "1", "--slots", "1", "--set", "worker.done_max=2")
    spool, places = stack.path("spool/worker-1"), []
    for i in range(ROUNDS):
        leaves = '; touch "$HOME/left"' if i % 2 else ""
        done = stack.run("test.shell", {"script": f"set -- {i}; {SCRIPT}{leaves}"})
        assert done["state"] == "succeeded", stack.describe(done["id"])
        stack.assert_complete(done["id"])
        stack.assert_in_order(done["id"])
        places.append(stack.output(done["id"]).decode())
        assert places[-1].strip().isdigit(), "an empty directory, no outputs"
        assert stack.sql("SELECT outputs FROM hler.tasks WHERE operation = %s", done["id"])[0]["outputs"] == {"v": str(i)}
        if i > 1: # the next directory may be made ready before this one is moved
            wait_for(lambda: glob.glob(f"{spool}/new.spare.*/journal"), what="a directory that serves again")
    assert len(set(places)) < ROUNDS, "each had a directory of its own"
    stack.kill("worker-1")
    for spare in glob.glob(f"{spool}/new.spare.*"):
        (pathlib.Path(spare) / "of-before").touch()
    stack.restart("worker-1")
    assert stack.run("test.shell", {"script": "true"})["state"] == "succeeded"
    assert not glob.glob(f"{spool}/*/of-before"), "what an earlier worker had ready is not trusted"
