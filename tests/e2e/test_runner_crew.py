"""Runners that serve one attempt after the other, driven through `hler-runner --spawn`."""
import os
import pathlib
import signal
import time

import pytest

from runner_harness import Spawner, spawner, spool, wait_for  # noqa: F401 (fixtures)

WHO = "echo $PPID"
SEATS = 32 # CREW_MOST
QUIET_S = 10


def runner_of(attempt):
    """Of one whose script was WHO."""
    attempt.end()
    return int(attempt.output())


def comm(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def is_gone(pid):
    return comm(pid) is None


def waits(pid):
    """It waits for its next attempt: has no journal, stands nowhere, and sleeps."""
    return comm(pid) == "hler-idle" and os.readlink(f"/proc/{pid}/cwd") == "/" and \
        "\nState:\tS" in pathlib.Path(f"/proc/{pid}/status").read_text()


def idle_runner(spawner, script=WHO, **options):
    pid = runner_of(spawner.sh(script, **options))
    wait_for(lambda: waits(pid), what="a runner that waits")
    return pid


def open_files(pid):
    return sorted(os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{pid}/fd"))


def test_a_runner_serves_again(spawner):
    first = idle_runner(spawner)
    assert idle_runner(spawner) == first


def test_nothing_of_one_attempt_is_in_the_next(spawner, tmp_path):
    """Environment, directory, umask, limits, lease, stop, output and outputs."""
    talk = "echo said >&2; echo '{\"x\":1}' >$HLER_OUTPUTS; ulimit -n 99; umask 0; echo $PPID"
    first = idle_runner(spawner, talk, env={"SECRET": "s"}, cwd=tmp_path, lease=600, deadline=700, idle=800, output=1 << 20)
    attempt = spawner.sh("sleep 1; umask; ulimit -n; pwd; env; echo $PPID; exit 3")
    end = attempt.end()
    assert (end.cause, end.exit_code, end.outputs, end.results) == ("exit", 3, b"", 0)
    lines = attempt.output().decode().split("\n")
    assert lines[0] == "0022" and lines[1] != "99" and lines[2] == str(attempt.dir / "work")
    assert lines[-2] == str(first) and not [l for l in lines if "SECRET" in l]
    assert end.output_bytes == len(attempt.output()) and "said" not in end.message and attempt.of("stderr") == []


def test_a_stop_is_of_one_attempt(spawner):
    attempt = spawner.sh("trap 'exit 9' TERM; echo $PPID; while :; do sleep 0.05; done")
    attempt.said(b"\n")
    attempt.control("stop cancelled 5000")
    assert attempt.end().cause == "cancelled"
    first = int(attempt.output())
    wait_for(lambda: waits(first), what="a runner that waits")
    again = spawner.sh("echo $PPID; kill -9 $$")
    assert again.end().cause == "signal" and int(again.output()) == first


def test_one_that_waits_has_nothing_open(spawner):
    pid = idle_runner(spawner)
    before = open_files(pid)
    for _ in range(5):
        assert idle_runner(spawner, "echo to the other stream >&2; echo $PPID") == pid
    assert open_files(pid) == before
    # /dev/null twice, the log, its seat
    assert len(before) == 4 and before.count("socket") >= 1


def test_one_that_left_something_serves_no_more(spawner):
    pid = runner_of(spawner.sh(f"setsid sleep 5 >/dev/null 2>&1 & {WHO}"))
    wait_for(lambda: is_gone(pid), 3, "the runner's end, long before it would go anyway")
    assert idle_runner(spawner) != pid


def test_one_that_died_is_replaced(spawner):
    first = idle_runner(spawner)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: is_gone(first), what="the runner's end")
    assert idle_runner(spawner) != first


def test_the_seat_of_one_that_died_at_work_is_taken_again(spawner):
    for _ in range(SEATS + 1):
        attempt = spawner.sh("kill -9 $PPID")
        wait_for(lambda: attempt.records() and not attempt.held(), what="the runner's end")
    assert idle_runner(spawner) == idle_runner(spawner)


def test_one_that_dies_with_an_attempt_that_it_has_not_read(spawner):
    """The lock goes with it: the attempt is lost, as with any runner that is killed."""
    first = idle_runner(spawner)
    os.kill(first, signal.SIGSTOP)
    attempt = spawner.sh(WHO)
    assert attempt.held() and attempt.records() == []
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not attempt.held(), what="a free journal")
    assert attempt.records() == [] and idle_runner(spawner) != first


def test_a_frozen_one_keeps_to_its_lease(spawner):
    first = idle_runner(spawner)
    os.kill(first, signal.SIGSTOP)
    attempt = spawner.sh(WHO, lease=200)
    time.sleep(0.4)
    os.kill(first, signal.SIGCONT)
    assert attempt.end().cause == "lease" and attempt.output() == b""


def test_more_at_once_than_seats(spawner):
    attempts = [spawner.sh(f"{WHO}; sleep 0.5") for _ in range(SEATS + 8)]
    pids = {runner_of(a) for a in attempts}
    assert len(pids) == len(attempts)
    wait_for(lambda: len([p for p in pids if not is_gone(p)]) == SEATS and all(waits(p) for p in pids if not is_gone(p)),
             what="as many as have a seat")
    assert {runner_of(spawner.sh(WHO)) for _ in range(3)} <= pids


def test_they_go_after_a_quiet_time(spawner):
    pid = idle_runner(spawner)
    busy = spawner.sh(f"{WHO}; sleep {QUIET_S + 2}")
    busy.said(b"\n")
    assert int(busy.output()) == pid
    other = idle_runner(spawner)
    wait_for(lambda: is_gone(other), QUIET_S + 5, "the end of one that waits")
    assert busy.end().cause == "done"
    wait_for(lambda: waits(pid), what="a runner that waits")


@pytest.mark.parametrize("how", ("close", "kill"))
def test_they_go_with_their_spawner(spool, how):
    spawner = Spawner(spool)
    attempts = [spawner.sh(f"{WHO}; sleep 0.2") for _ in range(3)] # each has copies of what the earlier ones are spoken to by
    pids = [runner_of(a) for a in attempts]
    for pid in pids:
        wait_for(lambda: waits(pid), what="a runner that waits")
    if how == "kill":
        spawner.process.kill()
    spawner.close()
    wait_for(lambda: all(map(is_gone, pids)), what="the runners' end")
