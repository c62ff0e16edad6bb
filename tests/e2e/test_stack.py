"""deploy/stack ends its own processes, always, and nothing else."""
import os
import re
import subprocess
import tempfile

import pytest

from stack import BUILD, TOP, Stack, alive, read, wait_for


@pytest.fixture(name="stack")
def stack_in_an_awkward_directory():
    """A long name with spaces."""
    stack = Stack("--workers", "1", start=False)
    base = stack.dir
    stack.dir = f"{base}/a place with spaces {'x' * 60}"
    os.mkdir(stack.dir, 0o711)
    stack.up()
    yield stack
    stack.down()
    subprocess.run(["rm", "-rf", base], check=True)


def test_down_ends_daemons_of_jobs_and_no_bystander_and_up_goes_on(stack):
    pid_file = stack.path("daemon.pid")
    done = stack.run("test.shell", {"script": f"setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $! >'{pid_file}'"})
    assert done["state"] == "succeeded", done
    daemon = int(wait_for(lambda: os.path.exists(pid_file) and read(pid_file)))
    assert alive(daemon)
    bystanders = [subprocess.Popen(["tail", "-f", stack.path("log/worker-1.log")], stdout=subprocess.DEVNULL),
                  subprocess.Popen(["sleep", "600"], cwd=stack.dir, env=stack.environ())]
    ended = stack.one("SELECT clock_timestamp() AS at")
    stack.kill("dispatcher-1") # what the worker says at its end waits in the broker, and its row still says "live"
    try:
        subprocess.run([f"{TOP}/deploy/stack", "down", stack.dir], check=True)
        assert not alive(daemon)
        assert all(b.poll() is None for b in bystanders)
    finally:
        for b in bystanders:
            b.kill()
            b.wait()
    stack.connections = {}
    stack.up() # the same data, the same ports
    assert stack.one("SELECT state, started_at > %s AS anew FROM hler.workers", ended) == {"state": "live", "anew": True}
    assert stack.operation(done["id"])["state"] == "succeeded"
    assert stack.run("test.true")["state"] == "succeeded"


def test_a_used_pid_is_not_ended():
    """A record whose process has another start time is somebody else's."""
    with tempfile.TemporaryDirectory() as directory, subprocess.Popen(["sleep", "600"]) as other:
        os.makedirs(f"{directory}/run")
        open(f"{directory}/run/stack", "w", encoding="utf-8").close()
        for name in ("worker-1", "postgres", "rabbitmq"):
            with open(f"{directory}/run/{name}.pid", "w", encoding="utf-8") as f:
                f.write(f"{other.pid} 12345\n")
        subprocess.run([f"{TOP}/deploy/stack", "down", directory], check=True)
        assert other.poll() is None
        other.kill()


def test_a_failed_up_says_which_part_and_leaves_nothing():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o711)
        done = subprocess.run([f"{TOP}/deploy/stack", "up", f"{directory}/s", "--bin", BUILD, "--set", "worker.nonsense=1"],
                              stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode != 0
        assert re.search(r"^stack: worker-1: ", done.stderr, re.M) and "nonsense" in done.stderr, done.stderr
        status = subprocess.run([f"{TOP}/deploy/stack", "status", f"{directory}/s"], stdout=subprocess.PIPE, text=True, check=False)
        assert re.search(r"^processes +0$", status.stdout, re.M), status.stdout


def test_another_directory_is_left_alone():
    with tempfile.TemporaryDirectory() as directory:
        open(f"{directory}/precious", "w", encoding="utf-8").close()
        done = subprocess.run([f"{TOP}/deploy/stack", "up", directory, "--bin", BUILD], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode != 0 and "not a stack" in done.stderr
        assert os.listdir(directory) == ["precious"]


def for_others(directory):
    """The files below it that others than its owner can open, if only they guess the names."""
    for entry in os.scandir(directory):
        mode = entry.stat(follow_symlinks=False).st_mode
        if entry.is_dir(follow_symlinks=False) and mode & 0o011:
            yield from for_others(entry.path)
        elif entry.is_file(follow_symlinks=False) and mode & 0o044:
            yield entry.path


def test_no_secret_is_for_everybody(make_stack):
    """A stack lives below /tmp as a rule: nobody else of the machine may become its operator."""
    stack = make_stack("--workers", "1")
    secrets = {s for f in os.scandir(stack.path("secrets")) for s in [read(f.path).strip()] if s}
    assert len(secrets) > 3
    control = stack.path("log/control") # the search finds what is for everybody
    with open(control, "w", encoding="utf-8") as f:
        f.write(min(secrets))
    os.chmod(control, 0o644)
    assert [path for path in for_others(stack.dir) if any(s in read(path) for s in secrets)] == [control]


def test_quickstart_leaves_alone_what_it_did_not_make(tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    tried = subprocess.run([f"{TOP}/deploy/quickstart", "--dir", tmp_path], capture_output=True, text=True, check=False)
    assert tried.returncode != 0 and "not empty" in tried.stderr, tried
    assert mine.read_text() == "mine"
