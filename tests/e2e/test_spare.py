"""Directories of attempts that serve again: the next attempt finds nothing of the one before."""
import glob
import os
import pathlib

from stack import events_of, wait_for

ROUNDS = 8
SCRIPT = 'ls -A "$HOME"; stat -c %i "$HOME/.."; cat "$HLER_OUTPUTS" 2>/dev/null; echo "v=$1" >>"$HLER_OUTPUTS"'


def ends_heard(listener):
    return sum(".attempt.finished." in e["type"] for _, _, body in listener.read() for e in events_of(body))


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


def test_a_directory_with_a_process_in_it_serves_nobody_else(make_stack):
    """What it leaves there would lie among the next job's files, and it could read those."""
    stack = make_stack("--workers", "1", "--slots", "4", "--set", "worker.done_max=8")

    def places(script):
        done = stack.run("test.shell", {"script": f'stat -c %i "$HOME" "$HOME/.."; {script}'})
        assert done["state"] == "succeeded", stack.describe(done["id"])
        stack.assert_complete(done["id"])
        return set(stack.output(done["id"]).split())

    taken = places('sleep 600 >/dev/null 2>&1 & (cd ..; exec sleep 600 >/dev/null 2>&1) &')
    others = []

    def serve_again():
        others.append(places("true"))
        return len(set.union(*others)) < 2 * (len(others) - 2)
    wait_for(serve_again, timeout=60, what="directories that serve again")
    assert not any(taken & places for places in others)


def test_what_is_sent_again_leaves_no_trace(make_stack):
    """The next attempt in that directory would begin behind what the one before has said."""
    stack = make_stack("--workers", "1", "--slots", "1")
    listener = stack.listener()
    done = stack.run("test.shell", {"script": "head -c 1000000 /dev/zero | tr '\\0' x | fold -w 100"})
    stack.assert_complete(done["id"])
    kept = wait_for(lambda: glob.glob(stack.path("spool/worker-1/done/*.1.*")), what="the move to done/")[0]
    before, heard = set(os.listdir(kept)), wait_for(lambda: ends_heard(listener), what="its end")
    stack.ask_for(os.path.basename(kept))
    wait_for(lambda: ends_heard(listener) > heard, what="its end again")
    assert stack.run("test.shell", {"script": "sleep 1"})["state"] == "succeeded" # its output has been sent, too
    assert set(os.listdir(kept)) == before
