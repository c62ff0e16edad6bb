"""Runners that serve one attempt after the other, driven through `hler-runner --spawn`."""
import contextlib
import errno
import os
import pathlib
import resource
import shutil
import signal
import socket
import time

import pytest

from runner_harness import EMIT, Spawner, pack, spawner, spool, wait_for  # noqa: F401 (fixtures)

WHO = "echo $PPID"
SEATS = 256 # CREW_SEATS
IDLE = 32 # CREW_IDLE
CONNECTIONS = 8 # RUN_EMIT_CONNECTIONS
TARGET = "0b0e7a4c-0000-4000-8000-000000000001"
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
    # /dev/null twice, the log, its seat, the bell; its own socket, and the directory in which that lies; its loop, signals, and lease
    assert len(before) == 10 and before.count("socket") >= 3


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


def test_one_that_could_not_start_its_program_serves_no_more(spawner):
    """It may have what it opened for it."""
    pid = idle_runner(spawner)
    # beside what it has: the attempt's journal and FIFO, one pipe, and half of another
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(open_files(pid)) + 2 + 2 + 1,) * 2)
    assert spawner.sh(WHO).end().cause == "exec_failed"
    wait_for(lambda: is_gone(pid), 3, "the runner's end")
    assert idle_runner(spawner) != pid


def test_a_request_of_full_size_is_handed_over(spawner):
    pid = idle_runner(spawner)
    env = {f"V{i}": "x" * 99_000 for i in range(2)}
    attempt = spawner.sh(f"echo ${{#V1}}; {WHO}", env=env)
    attempt.end()
    assert attempt.output().decode().split() == ["99000", str(pid)]


def test_what_was_handed_over_outlives_the_spawner(spool):
    """It starts once, and its journal is held all the time."""
    old = Spawner(spool)
    pid = idle_runner(old)
    os.kill(pid, signal.SIGSTOP)
    attempt = old.sh(WHO)
    old.process.kill()
    old.close()
    new = Spawner(spool)
    assert attempt.held() and attempt.records() == []
    assert new.ask(pack(attempt.name, ["/bin/true"]))[1] == errno.EEXIST
    os.kill(pid, signal.SIGCONT)
    assert runner_of(attempt) == pid
    wait_for(lambda: is_gone(pid), what="the runner's end")
    assert idle_runner(new) != pid
    new.close()


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


def test_no_more_wait_than_may(spawner):
    attempts = [spawner.sh(f"{WHO}; sleep 0.5") for _ in range(IDLE + 8)]
    pids = {runner_of(a) for a in attempts}
    assert len(pids) == len(attempts)
    wait_for(lambda: all(map(waits, pids)), what="runners that wait")
    assert runner_of(spawner.sh(WHO)) in pids # with which the spawner hears of them
    wait_for(lambda: len([p for p in pids if not is_gone(p)]) == IDLE, what="as many as may wait")
    assert {runner_of(spawner.sh(WHO)) for _ in range(3)} <= pids


def test_long_ones_take_no_place_from_short_ones(spawner):
    long = [spawner.sh("sleep 20") for _ in range(IDLE + 8)]
    assert idle_runner(spawner) == idle_runner(spawner)
    for attempt in long:
        attempt.control("stop cancelled 0")


def test_they_go_after_a_quiet_time(spawner):
    pid = idle_runner(spawner)
    busy = spawner.sh(f"{WHO}; sleep {QUIET_S + 2}")
    busy.said(b"\n")
    assert int(busy.output()) == pid
    other = idle_runner(spawner)
    wait_for(lambda: is_gone(other), QUIET_S + 5, "the end of one that waits")
    assert busy.end().cause == "done"
    wait_for(lambda: waits(pid), what="a runner that waits")


EMIT_ENV = {"HLER_TARGET": TARGET}
LOOK = "stat -c '%i %a %h' $HLER_SOCKET; echo $PPID"
MADE = " 700 1" # mode and links of a new one


def look(spawner, more="true"):
    """An attempt that looks at its socket: inode, mode and links, and its runner, which waits then."""
    attempt = spawner.sh(f"{LOOK}; {more}", env=EMIT_ENV)
    attempt.end()
    socket_text, pid = attempt.output().decode().split("\n")[:2]
    wait_for(lambda: waits(int(pid)), what="a runner that waits")
    return socket_text, int(pid)


def says_x(spawner):
    attempt = spawner.sh(f"{EMIT} x 1", env=EMIT_ENV)
    return attempt.end().results == 1


def test_a_socket_serves_again(spawner):
    first = look(spawner, f"{EMIT} x 1")
    assert first[0].endswith(MADE) and look(spawner) == first and says_x(spawner)
    assert [f.name for f in (spawner.spool / "sockets").iterdir()] == [str(first[1])]


@pytest.mark.parametrize("spoil", ("chmod 666 $HLER_SOCKET", "ln $HLER_SOCKET other", "rm $HLER_SOCKET",
                                   "rm $HLER_SOCKET; echo no socket >$HLER_SOCKET", "mv $HLER_SOCKET other"))
def test_a_socket_that_was_touched_does_not(spawner, spoil):
    pid = look(spawner, spoil)[1]
    again = look(spawner)
    assert again[1] == pid and again[0].endswith(MADE) and says_x(spawner)


def test_a_socket_that_was_removed_while_it_lay_idle(spawner):
    pid = look(spawner)[1]
    (spawner.spool / "sockets" / str(pid)).unlink()
    assert says_x(spawner) and look(spawner)[1] == pid


def test_who_was_not_accepted_is_not_taken_for_the_next(spawner):
    attempt = spawner.sh(f"{WHO}; sleep 0.5", env=EMIT_ENV)
    attempt.said(b"\n")
    late = []
    for _ in range(CONNECTIONS + 3):
        late.append(socket.socket(socket.AF_UNIX))
        late[-1].connect(str(attempt.dir / "emit"))
    late[-1].send(f"RESULT {TARGET} x set plain 1\n1".encode())
    pid = runner_of(attempt)
    wait_for(lambda: waits(pid), what="a runner that waits")
    assert says_x(spawner) and idle_runner(spawner) == pid
    for connection in late:
        connection.settimeout(5)
        with pytest.raises(ConnectionResetError) if connection is late[-1] else contextlib.nullcontext():
            assert connection.recv(1) == b""


def test_who_connects_while_it_lies_idle_is_not_taken_for_the_next(spawner):
    pid = look(spawner)[1]
    stranger = socket.socket(socket.AF_UNIX)
    stranger.connect(str(spawner.spool / "sockets" / str(pid)))
    stranger.send(f"RESULT {TARGET} x set plain 1\n1".encode())
    attempt = spawner.sh(f"sleep 0.2; {WHO}", env=EMIT_ENV)
    assert attempt.end().results == 0 and int(attempt.output()) == pid
    with pytest.raises(ConnectionResetError):
        stranger.recv(1)


@pytest.mark.parametrize("when", ("idle", "idle, then quiet", "at work"))
def test_the_socket_of_one_that_died_is_removed(spawner, when):
    pid = look(spawner)[1]
    if when.startswith("idle"):
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: is_gone(pid), what="the runner's end")
    else: # as if it had died just after it put its socket away
        attempt = spawner.sh(f"ln $HLER_SOCKET {spawner.spool}/sockets/{pid}; kill -9 $PPID", env=EMIT_ENV)
        wait_for(lambda: not attempt.held(), what="the runner's end")
    assert (spawner.spool / "sockets" / str(pid)).exists()
    if when != "idle, then quiet":
        assert says_x(spawner)
    wait_for(lambda: not (spawner.spool / "sockets" / str(pid)).exists(), QUIET_S + 5, "no more of it")


def test_idle_sockets_of_an_earlier_spawner_are_removed(spool):
    old = Spawner(spool)
    pid = idle_runner(old)
    os.kill(pid, signal.SIGKILL)
    old.close()
    assert (spool / "sockets" / str(pid)).exists()
    new = Spawner(spool)
    assert says_x(new) and not (spool / "sockets" / str(pid)).exists()
    new.close()
    wait_for(lambda: not list((spool / "sockets").iterdir()), what="no sockets")


def test_without_a_place_for_idle_sockets(spawner):
    pid = look(spawner)[1]
    shutil.rmtree(spawner.spool / "sockets")
    assert says_x(spawner) and look(spawner)[1] == pid and says_x(spawner)


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
