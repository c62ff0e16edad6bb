"""Every part may die at any moment: the job goes on, and each event arrives once."""
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time
import uuid

from stack import cmdline, parent, processes_marked, read, runs_in, wait_for

DEATHS = 10
DEATH_EVERY_S = 1.5


def steps(stack, operation):
    return stack.one("""SELECT count(*) FROM hler.result_history WHERE operation = %s AND field = 'step'""", operation)


def start_slow(stack, count=12):
    target = uuid.uuid4()
    operation = stack.submit("test.ansible.slow", {"steps": count}, target=target)
    wait_for(lambda: steps(stack, operation) >= 2, timeout=60, what="the first steps of the playbook")
    return operation, target, count


def finish_slow(stack, operation, target, count):
    done = stack.wait(operation, timeout=90)
    assert done["state"] == "succeeded", stack.describe(operation)
    stack.assert_complete(operation)
    said = stack.one("SELECT value FROM hler.results WHERE entity = %s AND field = 'step'", target)
    assert said == list(range(1, count + 1))
    assert [a["attempt"] for a in stack.attempts(operation)] == [1]


def test_each_part_dies_in_mid_playbook(one_worker):
    stack = one_worker
    for part in ("worker-1", "dispatcher-1"):
        running = start_slow(stack)
        stack.kill(part)
        before = time.monotonic()
        while time.monotonic() - before < 1: # the playbook goes on meanwhile
            time.sleep(0.1)
        stack.restart(part)
        finish_slow(stack, *running)


def playbooks(stack, operation):
    """Pids of ansible-playbook of an operation: not of what it starts or is forked to."""
    marked = processes_marked(f"HLER_OPERATION={operation}")
    ours = [pid for pid in marked if "ansible-playbook" in cmdline(pid)]
    return [pid for pid in ours if parent(pid) not in ours]


def test_worker_dies_ten_times_in_mid_playbook(one_worker):
    stack = one_worker
    steps_of_it = 60
    target = uuid.uuid4()
    operation = stack.submit("test.ansible.slow", {"steps": steps_of_it}, target=target)
    wait_for(lambda: steps(stack, operation) >= 1, timeout=60, what="the first step of the playbook")
    playbook = playbooks(stack, operation)
    assert len(playbook) == 1, playbook
    for _ in range(DEATHS):
        killed = time.monotonic()
        stack.kill("worker-1")
        assert playbooks(stack, operation) == playbook
        stack.restart("worker-1")
        time.sleep(max(0, killed + DEATH_EVERY_S - time.monotonic()))
    assert playbooks(stack, operation) == playbook, "the playbook was over too early to show anything"
    finish_slow(stack, operation, target, steps_of_it)
    stack.assert_in_order(operation)


def test_worker_is_away_until_after_the_end(one_worker):
    stack = one_worker
    path = stack.path("ended")
    operation = stack.shell(f"echo started; while [ ! -e {path}.go ]; do sleep 0.1; done; seq 1000; touch {path}")
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    stack.kill("worker-1")
    open(f"{path}.go", "w", encoding="utf-8").close()
    wait_for(lambda: os.path.exists(path), what="the end of the program")
    stack.restart("worker-1")
    assert stack.wait(operation)["state"] == "succeeded"
    stack.assert_complete(operation)
    assert stack.output(operation) == b"started\n" + b"".join(b"%d\n" % i for i in range(1, 1001))


def test_what_was_prepared_but_not_granted_is_forgotten(one_worker):
    """The directory of a claim that was never answered: nobody may take it for an attempt."""
    stack = one_worker
    assert stack.wait(stack.shell("true"))["state"] == "succeeded"
    spool = stack.path("spool/worker-1")
    kept = next(d for d in os.listdir(f"{spool}/done"))
    stack.kill("worker-1")
    shutil.copytree(f"{spool}/done/{kept}", f"{spool}/new.{kept}", ignore=shutil.ignore_patterns("ctl"))
    os.remove(f"{spool}/new.{kept}/journal")
    stack.restart("worker-1")
    assert stack.wait(stack.shell("true"))["state"] == "succeeded"
    assert not [d for d in os.listdir(spool) if d.startswith("new.") and not d.startswith("new.spare.")]
    assert stack.one("SELECT count(*) FROM hler.events WHERE type = 'declined'") == 0


def test_an_empty_journal_of_another_boot_may_have_run(one_worker):
    """A power cut takes what was not synced: "it never began" would let the task run a second time."""
    stack = one_worker
    operation = stack.shell("echo started; sleep 600")
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    spool = stack.path("spool/worker-1")
    attempt = next(d for d in os.listdir(spool) if d.count(".") == 2 and not d.startswith("new."))
    stack.kill("worker-1")
    runner = next(p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if runs_in(p, f"{spool}/{attempt}"))
    os.kill(runner, signal.SIGKILL)
    wait_for(lambda: not runs_in(runner, f"{spool}/{attempt}"), what="the runner's end")
    os.truncate(f"{spool}/{attempt}/journal", 0)
    offer = read(f"{spool}/{attempt}/offer").split("\n", 1)
    with open(f"{spool}/{attempt}/offer", "w", encoding="utf-8") as f:
        f.write(f"{uuid.uuid4()}\n{offer[1]}")
    stack.restart("worker-1")
    lost = wait_for(lambda: stack.sql("SELECT data ->> 'cause' AS cause FROM hler.events WHERE type = 'lost'"), what="its loss")
    assert [e["cause"] for e in lost] == ["other_boot"]
    assert stack.one("SELECT count(*) FROM hler.events WHERE type = 'declined'") == 0


def test_a_journal_that_was_all_confirmed_is_not_lost(one_worker):
    """Killed between the last confirm and the move to done/: the end lies before all that is unsent."""
    stack = one_worker
    operation = stack.shell("echo one")
    assert stack.wait(operation)["state"] == "succeeded"
    spool = stack.path("spool/worker-1")
    wait_for(lambda: os.listdir(f"{spool}/done"), what="the move to done/")
    stack.kill("worker-1")
    name = os.listdir(f"{spool}/done")[0]
    os.rename(f"{spool}/done/{name}", f"{spool}/{name}")
    size = os.stat(f"{spool}/{name}/journal").st_size
    with open(f"{spool}/{name}/sent", "wb") as f:
        f.write(struct.pack("=QQ", size, size))
    stack.restart("worker-1")
    wait_for(lambda: os.path.exists(f"{spool}/done/{name}"), what="the move to done/")
    assert stack.wait(stack.shell("true"))["state"] == "succeeded"
    assert stack.one("SELECT count(*) FROM hler.events WHERE type = 'lost'") == 0
    stack.assert_complete(operation)


def test_broker_and_database_restart_in_mid_run(one_worker):
    stack = one_worker
    for part in ("broker", "database"):
        path = stack.path(part)
        operation = stack.shell(f"i=0; until [ -e {path} ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo last $i")
        wait_for(lambda o=operation: stack.output(o), what="output")
        stack.restart(part)
        time.sleep(0.5) # some more lines
        open(path, "w", encoding="utf-8").close()
        done = stack.wait(operation, timeout=60)
        assert done["state"] == "succeeded", stack.describe(operation)
        stack.assert_complete(operation, timeout=90) # output has a connection of its own, which may be at its third try
        lines = stack.output(operation).decode().split("\n")
        last = int(lines[-2].split()[1])
        assert lines[:-2] == [str(i) for i in range(1, last + 1)]
    assert stack.run("test.true")["state"] == "succeeded"


def test_a_backlog_of_heartbeats_is_not_silence(make_stack):
    """While a row is locked heartbeats and ticks pile up; together they say that all is well."""
    stack = make_stack("--workers", "1", "--lost-after-ms", "4000")
    path = stack.path("go")
    operation = stack.shell(f"echo started; while [ ! -e {path} ]; do sleep 0.1; done")
    wait_for(lambda: stack.output(operation) == b"started\n", what="the start")
    lock = stack.connect("migrate")
    lock.autocommit = False
    lock.cursor().execute("SELECT FROM hler.worker FOR UPDATE")
    time.sleep(10)
    lock.rollback()
    lock.close()
    open(path, "w", encoding="utf-8").close()
    assert stack.wait(operation)["state"] == "succeeded"
    assert "silent for too long" not in read(stack.path("log/dispatcher-1.log"))


def second_worker(stack, change):
    """Starts a worker with a changed copy of worker-1's configuration."""
    config = stack.path("second.conf")
    with open(config, "w", encoding="utf-8") as f:
        f.write(change(read(stack.path("etc/worker-1.conf"))))
    os.chmod(config, 0o600)
    with open(stack.path("log/second.log"), "a", encoding="utf-8") as log:
        return subprocess.Popen([f"{stack.build}/bin/hler-worker", "--config", config], stdout=log, stderr=log,
                                env=dict(os.environ, HLER_STACK=stack.dir))


def test_two_workers_on_one_spool(one_worker):
    stack = one_worker
    witness = stack.path("witness")
    second = second_worker(stack, lambda text: text)
    assert second.wait(15) == os.EX_TEMPFAIL
    assert f"spool/worker-1 is in use by pid {stack.pid('worker-1')}" in stack.log("second"), stack.log("second")
    operations = [stack.shell(f"echo $HLER_TASK >>{witness}") for _ in range(20)]
    for operation in operations:
        assert stack.wait(operation)["state"] == "succeeded"
    assert len(set(read(witness).split())) == len(read(witness).split()) == 20


def test_a_lock_that_outlives_its_worker_for_a_moment(one_worker):
    """A killed worker's lock goes with the last thread or child of it: the next one waits for that."""
    stack = one_worker
    stack.kill("worker-1")
    with open(stack.path("spool/worker-1/lock"), "r+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        next_one = second_worker(stack, lambda text: text)
        time.sleep(0.5)
        assert next_one.poll() is None, stack.log("second")
    try:
        assert stack.run("test.true")["state"] == "succeeded"
    finally:
        next_one.terminate()
        next_one.wait(15)


def test_two_workers_of_one_id(one_worker):
    """The second has a spool of its own: the dispatcher tells the instances apart."""
    stack = one_worker
    witness = stack.path("witness")
    os.mkdir(stack.path("spool/other"), 0o700)
    second = second_worker(stack, lambda text: text.replace("spool/worker-1", "spool/other"))
    try:
        operations = [stack.shell(f"echo $HLER_TASK >>{witness}; sleep 0.1") for _ in range(30)]
        for operation in operations:
            assert stack.wait(operation, timeout=90)["state"] == "succeeded", stack.describe(operation)
        assert len(set(read(witness).split())) == len(read(witness).split()) == 30
    finally:
        if second.poll() is None:
            second.send_signal(signal.SIGTERM)
        second.wait(15)
