"""The runner: cancel, deadlines, lease; nothing is left behind."""
import os
import pathlib
import signal
import time
import uuid

from runner_harness import descendants_marked, spawner, spool, wait_for  # noqa: F401 (fixtures)


def test_cancel(spawner):
    attempt = spawner.run("/bin/sleep", "1000")
    attempt.pid()
    attempt.control("stop cancelled 5000")
    end = attempt.end()
    assert (end.cause, end.signal) == ("cancelled", signal.SIGTERM)
    assert end.message == "cancelled, ended by signal 15 (Terminated)"
    assert end.duration_us < 4_000_000


def test_cancel_at_once(spawner):
    """A stop between fork and exec must not get lost and wait for its grace."""
    for _ in range(40):
        attempt = spawner.run("/bin/sleep", "1000")
        attempt.control("stop cancelled 60000")
        assert attempt.end(10).cause == "cancelled"


def test_signals_to_the_runner_are_left_to_the_program(spawner):
    attempt = spawner.sh("echo ready; sleep 0.3; exit 3")
    attempt.said(b"ready")
    for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(attempt.runner_pid(), signo)
    assert attempt.end().exit_code == 3


def test_cancel_of_one_that_ignores_it(spawner):
    attempt = spawner.sh("trap '' TERM; echo ready; sleep 1000; sleep 1000; sleep 1000")
    attempt.said(b"ready")
    attempt.control("stop superseded 300")
    end = attempt.end()
    assert (end.cause, end.signal, end.left_behind) == ("superseded", signal.SIGKILL, 0)
    assert 250_000 < end.duration_us < 4_000_000


def test_cancel_ends_daemons(spawner):
    mark = f"HLER_MARK={uuid.uuid4()}"
    key, value = mark.split("=")
    attempt = spawner.sh(
        "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM; setsid sleep 1000 & sleep 1000' &) ; done; "
        "echo ready; sleep 1000", env={key: value})
    attempt.said(b"ready")
    wait_for(lambda: len(descendants_marked(mark)) >= 8, what="daemons")
    attempt.control("stop cancelled 200")
    end = attempt.end()
    assert (end.cause, end.left_behind) == ("cancelled", 0)
    assert descendants_marked(mark) == []


def test_grace_is_for_the_whole_group(spawner):
    attempt = spawner.sh("sh -c 'trap \"sleep 0.3; echo unlocked; exit 1\" TERM; echo ready; "
                         "while :; do sleep 0.05; done' & wait")
    attempt.said(b"ready")
    attempt.control("stop cancelled 5000")
    assert attempt.end().cause == "cancelled"
    assert b"unlocked" in attempt.output()


def test_a_cancel_gives_no_less_than_the_request(spawner):
    """Which has the executor's grace, too: a tool that needs it to save what it knows."""
    attempt = spawner.sh("trap 'sleep 0.7; echo saved; exit 1' TERM; echo ready; while :; do sleep 0.05; done", grace=5000)
    attempt.said(b"ready")
    attempt.control("stop cancelled 100")
    assert attempt.end().cause == "cancelled"
    assert b"saved" in attempt.output()


def test_leader_only_and_own_signal(spawner):
    attempt = spawner.sh("trap 'echo got; exit 9' INT; sh -c 'trap \"echo child got\" INT; sleep 1' & "
                         "echo ready; while :; do sleep 0.05; done", stop=signal.SIGINT, group=False)
    attempt.said(b"ready")
    attempt.control("stop cancelled 100")
    end = attempt.end()
    assert (end.cause, end.exit_code) == ("cancelled", 9)
    assert attempt.output() == b"ready\ngot\n"


def test_second_stop_shortens(spawner):
    attempt = spawner.sh("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    attempt.said(b"ready")
    attempt.control("stop cancelled 600000")
    attempt.control("stop superseded 100")
    assert attempt.end(10).cause == "cancelled"


def test_done_although_stopped(spawner):
    attempt = spawner.sh("trap 'echo finishing' TERM; echo ready; sleep 0.3; exit 0", group=False)
    attempt.said(b"ready")
    attempt.control("stop cancelled 5000")
    end = attempt.end()
    assert (end.cause, end.message) == ("done", "exit code 0, although stopped (cancelled)")


def test_nonsense_on_the_control_fifo(spawner):
    attempt = spawner.sh("echo ready; sleep 1000")
    attempt.said(b"ready")
    for line in ["", "stop", "stop done 5", "stop cancelled", "stop cancelled -1", "stop cancelled 5x",
                 "lease", "x" * 1000]:
        attempt.control(line)
    attempt.control("stop superseded 50")
    assert attempt.end().cause == "superseded"


def test_deadline(spawner):
    end = spawner.sh("echo going >&2; sleep 1000", deadline=300).end()
    assert (end.cause, end.message) == (
        "deadline", "deadline of 300 ms passed, ended by signal 15 (Terminated): going")
    assert end.duration_us >= 300_000


def test_idle(spawner):
    attempt = spawner.sh("for i in 1 2 3 4; do echo $i; sleep 0.2; done; sleep 1000", idle=500)
    end = attempt.end()
    assert end.cause == "idle" and end.message.startswith("no output for 500 ms")
    assert attempt.output() == b"1\n2\n3\n4\n" and end.duration_us >= 1_000_000


def boot_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def test_lease(spawner):
    attempt = spawner.sh("sleep 1000", lease=600)
    attempt.pid()
    attempt.control(f"lease {boot_ms() + 1200}")
    end = attempt.end()
    assert end.cause == "lease" and end.duration_us >= 1_100_000


def test_nothing_starts_after_the_lease(spawner, tmp_path):
    """A machine that stood still between grant and start: the task may be another's by now."""
    attempt = spawner.sh(f"touch {tmp_path}/ran", lease=5000, lease_age=6000)
    assert attempt.end().cause == "lease"
    assert not (tmp_path / "ran").exists()


def test_a_frozen_runner_takes_no_new_lease_from_an_old_line(spawner):
    attempt = spawner.sh("echo ready; sleep 1000", lease=1500)
    attempt.said(b"ready")
    runner = attempt.runner_pid()
    os.kill(runner, signal.SIGSTOP)
    attempt.control(f"lease {boot_ms() + 1600}")
    time.sleep(2)
    os.kill(runner, signal.SIGCONT)
    assert attempt.end(1).cause == "lease"


def test_lease_is_not_enforced_unless_asked_for(spawner):
    attempt = spawner.sh("echo ready; sleep 0.3")
    attempt.said(b"ready")
    attempt.control("lease 1")
    assert attempt.end().cause == "done"


def test_program_that_breeds(spawner):
    mark = f"HLER_MARK={uuid.uuid4()}"
    key, value = mark.split("=")
    attempt = spawner.sh("trap '' TERM; echo ready; while :; do (setsid sleep 1000 &); sleep 0.001; done",
                         env={key: value})
    attempt.said(b"ready")
    wait_for(lambda: len(descendants_marked(mark)) > 30, what="a brood")
    attempt.control("stop cancelled 0")
    assert attempt.end().left_behind == 0
    assert descendants_marked(mark) == []


def test_adopted_zombies_are_reaped(spawner):
    attempt = spawner.sh("for i in 1 2 3; do (sleep 0.01 &); done; echo ready; sleep 1000")
    attempt.said(b"ready")
    runner = attempt.runner_pid()
    children = pathlib.Path(f"/proc/{runner}/task/{runner}/children")
    wait_for(lambda: children.read_text().split() == [str(attempt.pid())], what="zombies reaped")
    attempt.control("stop cancelled 0")
    attempt.end()
