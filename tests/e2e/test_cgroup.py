"""Control groups: what a program started is ended with its attempt, also what has left its tree and its environment."""
import os
import signal
import subprocess
import uuid

import pytest

from stack import Stack, alive, parent, read, wait_for

UNMARKED = "echo $$; env -i setsid sleep 600 >/dev/null 2>&1 & echo $!; wait"


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory):
    """Where cgroup v2 is mounted; mounted for these tests if it is not."""
    for line in read("/proc/mounts").splitlines():
        if line.split()[2] == "cgroup2":
            yield line.split()[1]
            return
    path = str(tmp_path_factory.mktemp("cgroup"))
    subprocess.run(["mount", "-t", "cgroup2", "none", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.fixture(scope="module")
def group(hierarchy):
    path = f"{hierarchy}/hler-test-{uuid.uuid4()}"
    os.mkdir(path)
    yield path
    with open(f"{path}/cgroup.kill", "w", encoding="ascii") as f:
        f.write("1")
    wait_for(lambda: "populated 0" in read(f"{path}/cgroup.events"), what="an empty group")
    for above, names, _ in os.walk(path, topdown=False):
        for name in names:
            os.rmdir(f"{above}/{name}")
    os.rmdir(path)


@pytest.fixture(scope="module", name="stack")
def stack_with_groups(group):
    stack = Stack("--slots", "4", "--set", f'worker.cgroup="{group}"')
    yield stack
    stack.down()


def groups(group):
    return sorted(n for n in os.listdir(f"{group}/worker-1") if os.path.isdir(f"{group}/worker-1/{n}"))


def pids(stack, operation):
    """The two that the script prints: itself and what it left in the background."""
    wait_for(lambda: len(stack.output(operation).split()) == 2, what="the two pids")
    return [int(p) for p in stack.output(operation).split()]


def test_each_attempt_has_a_group_while_it_runs(stack, group):
    operation = stack.shell(UNMARKED)
    shell, left = pids(stack, operation)
    name, = groups(group)
    assert name.startswith(f"{stack.tasks(operation)[0]['id']}.1.")
    assert {shell, left} <= {int(p) for p in read(f"{group}/worker-1/{name}/cgroup.procs").split()}
    assert parent(shell) not in [int(p) for p in read(f"{group}/worker-1/{name}/cgroup.procs").split()] # its runner
    with subprocess.Popen(["sleep", "600"]) as joined: # in the group, and no descendant of the runner
        with open(f"{group}/worker-1/{name}/cgroup.procs", "w", encoding="ascii") as f:
            f.write(str(joined.pid))
        stack.sql("SELECT hler.cancel(%s)", operation, role="frontend")
        ended = stack.wait(operation)
        joined.terminate() # unless it is gone already
        assert joined.wait() == -signal.SIGKILL
    assert ended["state"] == "cancelled"
    assert not alive(shell) and not alive(left)
    assert stack.attempts(operation)[0]["left_behind"] == 0
    wait_for(lambda: groups(group) == [], what="no group")


def test_what_a_lost_runner_left_is_ended(stack, group):
    operation = stack.shell(UNMARKED)
    shell, left = pids(stack, operation)
    os.kill(parent(shell), signal.SIGKILL)
    wait_for(lambda: stack.attempts(operation)[0]["state"] == "lost", what="the loss")
    assert stack.attempts(operation)[0]["left_behind"] == 0
    assert not alive(shell) and not alive(left)
    wait_for(lambda: groups(group) == [], what="no group")


def test_a_daemon_that_a_good_job_leaves_keeps_running(stack, group):
    operation = stack.shell("env -i setsid sleep 600 >/dev/null 2>&1 & echo $$ $!")
    assert stack.wait(operation)["state"] == "succeeded"
    _, left = pids(stack, operation)
    assert alive(left) and len(groups(group)) == 1
    os.kill(left, signal.SIGKILL)
    wait_for(lambda: not alive(left), what="the daemon's end")
    stack.restart("worker-1")
    wait_for(lambda: groups(group) == [], what="no group")


def test_what_is_no_control_group_is_refused(stack):
    text = read(f"{stack.dir}/etc/worker-1.conf")
    config = stack.path("no-group.conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write(text.replace(text.split('cgroup = "', 1)[1].split('"', 1)[0], stack.dir))
    done = subprocess.run([f"{stack.build}/bin/hler-worker", "--config", config], stderr=subprocess.PIPE, text=True,
                          timeout=30, check=False)
    assert done.returncode == 78
    assert f"worker.cgroup={stack.dir}: no control group (v2) can be made there" in done.stderr
