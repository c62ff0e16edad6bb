"""The runner, driven directly through `hler-runner --spawn`: ends and output."""
import errno
import json
import os
import signal
import time

import pytest

from runner_harness import ANSWER, pack, spawner, spool  # noqa: F401 (fixtures)


@pytest.mark.parametrize("code,cause", [(0, "done"), (1, "exit"), (3, "exit"), (75, "try_later"),
                                        (78, "never_retry"), (127, "exit")])
def test_exit_codes(spawner, code, cause):
    end = spawner.sh(f"echo trouble >&2; exit {code}").end()
    assert (end.cause, end.exit_code, end.signal) == (cause, code, 0)
    assert end.message == (f"exit code {code}: trouble" if code else "exit code 0")


def test_signal(spawner):
    end = spawner.sh("kill -9 $$").end()
    assert (end.cause, end.exit_code, end.signal) == ("signal", -1, 9)
    assert end.message == "ended by signal 9 (Killed)"


def test_no_signal_is_ignored_or_blocked(spawner):
    attempt = spawner.run("/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    assert attempt.end().cause == "done"
    assert [int(line.split()[1], 16) for line in attempt.output().splitlines()] == [0, 0]


def test_not_found(spawner):
    attempt = spawner.run("/nowhere/program")
    end = attempt.end()
    assert (end.cause, end.exit_code) == ("not_found", -1)
    assert end.message == "/nowhere/program: No such file or directory"


def test_missing_interpreter(spawner, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/nowhere/sh\n")
    script.chmod(0o755)
    end = spawner.run(str(script)).end()
    assert end.cause == "not_found" and "interpreter" in end.message


def test_not_executable(spawner, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    plain.chmod(0o644)
    end = spawner.run(str(plain)).end()
    assert (end.cause, end.message) == ("not_allowed", f"{plain}: Permission denied")


def test_not_a_program(spawner, tmp_path):
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x01\x02\x03")
    junk.chmod(0o755)
    assert spawner.run(str(junk)).end().cause == "exec_failed"


def test_bad_cwd(spawner):
    end = spawner.run("/bin/true", cwd="/nowhere").end()
    assert (end.cause, end.message) == ("bad_cwd", "directory /nowhere: No such file or directory")


def test_surroundings_of_the_program(spawner):
    attempt = spawner.sh(
        "pwd; env; readlink /proc/self/fd/0; ls /proc/self/fd; "
        "grep -E 'Sig(Blk|Ign)' /proc/self/status; ulimit -c; umask; "
        "test $(ps -o sid= -p $$) = $$ && echo own session", env={"ONE": "two"})
    assert attempt.end().cause == "done"
    lines = attempt.output().decode().splitlines()
    assert lines[0] == str(attempt.dir / "work")
    assert "ONE=two" in lines and not any(l.startswith("HOME=") for l in lines)
    assert "/dev/null" in lines and "own session" in lines
    assert {l for l in lines if l.isdigit() and len(l) == 1} == {"0", "1", "2", "3"}  # 3: ls's own
    assert [l.split()[1] for l in lines if l.startswith("Sig")] == ["0" * 16] * 2
    assert "0022" in lines


def test_signal_mask_of_a_program_that_is_no_shell(spawner):
    attempt = spawner.run("/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    attempt.end()
    assert [l.split()[1] for l in attempt.output().splitlines()] == [b"0" * 16] * 2


def test_message_is_the_last_line_of_stderr_made_harmless(spawner):
    end = spawner.sh(r"printf 'first\n  bad \377 \033[1m\302red\n\n  \n' >&2; exit 1").end()
    assert end.message == "exit code 1: bad ? \x20[1m?red"


def test_message_is_cut_at_a_character(spawner):
    end = spawner.sh("/usr/bin/printf 'x'; /usr/bin/printf '\\303\\244%.0s' $(seq 400) >&2; exit 1").end()
    assert end.message == "exit code 1: " + "ä" * 150


def test_binary_output(spawner):
    attempt = spawner.sh(r"printf 'a\000b\377c\n'; printf '\303' >&2")
    assert attempt.end().cause == "done"
    assert attempt.output() == b"a\0b\xffc\n"
    assert attempt.output("stderr") == b"\xc3"


def test_one_long_line(spawner):
    attempt = spawner.sh("head -c 10000000 /dev/zero | tr '\\0' '\\344'")
    end = attempt.end(60)
    assert end.output_bytes == 10_000_000 and end.dropped_bytes == 0
    assert attempt.output() == b"\xe4" * 10_000_000
    # a lone lead byte at the end of a record is kept for the next
    assert 60_000 < max(map(len, attempt.of("stdout"))) <= 65536


def test_many_lines_in_order(spawner):
    attempt = spawner.sh("seq 100000; seq 10 >&2")
    attempt.end(60)
    assert attempt.output() == b"".join(b"%d\n" % i for i in range(1, 100001))
    assert attempt.output("stderr") == b"".join(b"%d\n" % i for i in range(1, 11))
    # only where the other stream speaks may a line be cut: the order of what was read counts more
    kinds = [(k, p) for _, k, p in attempt.records() if k in ("stdout", "stderr")]
    alone = [p for (k, p), (after, _) in zip(kinds, kinds[1:] + [("stdout", b"")]) if k == after == "stdout"]
    assert len(alone) > 5 and all(p.endswith(b"\n") for p in alone)


def test_a_flood_begins_with_a_small_record(spawner):
    attempt = spawner.sh("yes 0123456 | head -c 200000")
    attempt.end()
    sizes = [len(p) for p in attempt.of("stdout")]
    assert sizes[0] <= 4096 and max(sizes) > 60_000


def test_what_is_said_at_once_is_one_record(spawner):
    attempt = spawner.sh("echo one; echo two; echo three")
    attempt.end()
    assert attempt.of("stdout") == [b"one\ntwo\nthree\n"]


def test_characters_are_not_split(spawner):
    attempt = spawner.run("/usr/bin/python3", "-c", "print('ä€𝄞' * 30000, end='')")
    attempt.end()
    for payload in attempt.of("stdout"):
        payload.decode("utf-8")
    assert attempt.output().decode() == "ä€𝄞" * 30000


def test_streams_keep_their_order(spawner):
    attempt = spawner.sh("for i in 1 2 3; do echo o$i; sleep 0.01; echo e$i >&2; sleep 0.01; done")
    attempt.end()
    said = [p for _, k, p in attempt.records() if k in ("stdout", "stderr")]
    assert said == [b"o1\n", b"e1\n", b"o2\n", b"e2\n", b"o3\n", b"e3\n"]


def test_output_comes_while_the_program_runs(spawner):
    attempt = spawner.sh("echo -n Password:; sleep 1000")
    attempt.said(b"Password:")
    attempt.control("stop cancelled 0")
    attempt.end()


def test_grandchild_holding_the_pipe(spawner):
    began = time.monotonic()
    attempt = spawner.sh("sleep 1000 & echo $!; exit 4")
    end = attempt.end()
    assert time.monotonic() - began < 5
    assert (end.cause, end.exit_code, end.left_behind, end.daemons) == ("exit", 4, 0, 1)
    daemon = int(attempt.output())
    os.kill(daemon, signal.SIGKILL)  # alive: a normal end leaves daemons alone


def test_output_limit(spawner):
    attempt = spawner.sh("echo start; head -c 300000 /dev/zero; echo last >&2; exit 1", output=100000)
    end = attempt.end()
    assert (end.output_bytes, end.output_bytes + end.dropped_bytes) == (100000, 300011)
    assert len(attempt.output() + attempt.output("stderr")) == 100000
    assert json.loads(attempt.of("progress")[0]) == {"kind": "output_limit", "kept_bytes": 100000}
    assert len(attempt.of("progress")) == 1
    assert end.message == "exit code 1: last"


def test_a_flood_is_not_kept_faster_than_the_rate(spawner):
    """Both streams together.  The limit is from below: a slow machine takes longer anyhow."""
    attempt = spawner.sh("began=$(date +%s%N); head -c 48M /dev/zero & head -c 48M /dev/zero >&2; wait; "
                         "echo $((($(date +%s%N) - began) / 1000000))")
    end = attempt.end(60)
    said = attempt.output()[48 << 20:]
    assert (end.output_bytes, end.dropped_bytes) == ((96 << 20) + len(said), 0)
    assert int(said) > 1300 # ms of 1500


def test_a_flood_waits_after_its_first_words(spawner):
    attempt = spawner.sh("yes | head -c 400000", listen=300)
    attempt.end()
    first, second = attempt.times("stdout")[:2]
    assert len(attempt.of("stdout")[0]) == 4096 and second - first >= 290_000 # a little before the record


def test_a_program_that_has_to_wait_is_not_silent(spawner):
    """Its runner does not listen for a moment, and stands still in it for longer than the program may be silent."""
    attempt = spawner.sh("sleep 0.3; yes | head -c 100M", idle=1000)
    runner = attempt.runner_pid()
    for _ in range(3):
        time.sleep(0.1)
        os.kill(runner, signal.SIGSTOP)
        time.sleep(1.2)
        os.kill(runner, signal.SIGCONT)
    assert attempt.end(60).cause == "done"


def test_nothing_to_run(spawner):
    """Several at once, between programs: each is answered with its whole journal, which nobody holds then."""
    names = [spawner.prepare() for _ in range(6)]
    sleeper, nothing = names[3], names[:3] + names[4:]
    for attempt in names:
        spawner.ours.send(pack(attempt.name, ["/bin/sleep", "20"] if attempt is sleeper else []))
    answers = [ANSWER.unpack(spawner.ours.recv(4096)) for _ in names]
    assert {(name.rstrip(b"\0").decode(), error) for name, error in answers} == {(a.name, 0) for a in names}
    for attempt in nothing:
        assert not attempt.held() and attempt.of("start") == [b"0"]
        assert attempt.end().cause == "done"
    assert spawner.ask(pack(nothing[0].name, [])) == (nothing[0].name, errno.EEXIST)
    assert sleeper.held()
    os.kill(sleeper.pid(), signal.SIGKILL)
    assert sleeper.end().cause == "signal"


def test_nothing_to_run_too_late(spawner):
    attempt = spawner.run(lease=1000, lease_age=1500)
    assert attempt.end().cause == "lease"
