"""The runner, driven directly through `hler-runner --spawn`."""
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import time
import uuid

import pytest

from runner_harness import (EMIT, RUNNER, Spawner, descendants_marked, pack, wait_for)


@pytest.fixture
def spool(tmp_path):
    path = tmp_path / "spool"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def spawner(spool):
    s = Spawner(spool)
    yield s
    assert s.close() == 0


# --- ends ---

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


# --- output ---

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
    assert all(p.endswith(b"\n") for p in attempt.of("stdout"))


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
    assert (end.cause, end.exit_code, end.left_behind) == ("exit", 4, 0)
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


# --- stops ---

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


def test_lease(spawner):
    attempt = spawner.sh("sleep 1000", lease=600)
    attempt.pid()
    attempt.control("lease 1200")
    end = attempt.end()
    assert end.cause == "lease" and end.duration_us >= 1_100_000


def test_lease_is_not_enforced_unless_asked_for(spawner):
    attempt = spawner.sh("echo ready; sleep 0.3")
    attempt.said(b"ready")
    attempt.control("lease 1")
    assert attempt.end().cause == "done"


# --- emit ---

TARGET = "018f3b1e-0000-7000-8000-000000000001"
OTHER = "018f3b1e-0000-7000-8000-000000000002"


def test_emit(spawner):
    attempt = spawner.sh(
        f"""set -e
        {EMIT} site_url 'https://example.org/ä "quoted" \\'
        {EMIT} --uuid {OTHER} --append --secret --json keys '{{"a": [1, 2]}}'
        printf 'two\\nlines\\n' | {EMIT} note -
        {EMIT} count -5; {EMIT} empty ''
        {EMIT} --progress '{{"kind": "step", "number": 1}}'""", env={"HLER_TARGET": TARGET})
    end = attempt.end()
    assert (end.cause, end.results, attempt.output("stderr")) == ("done", 5, b"")
    results = [p.decode().split("\n", 1) for p in attempt.of("result")]
    assert [(line, json.loads(value)) for line, value in results] == [
        (f"{TARGET} site_url set plain", 'https://example.org/ä "quoted" \\'),
        (f"{OTHER} keys append secret", {"a": [1, 2]}),
        (f"{TARGET} note set plain", "two\nlines"),
        (f"{TARGET} count set plain", "-5"),
        (f"{TARGET} empty set plain", "")]
    assert json.loads(attempt.of("progress")[0]) == {"kind": "step", "number": 1}


@pytest.mark.parametrize("arguments,code,reason", [
    ("--uuid nonsense field v", 65, "bad uuid"),
    (f"--uuid {TARGET.upper().replace('0', 'A')} field v", 65, "bad uuid"),
    ("Field v", 65, "bad field name"),
    ("f$(printf '%063d' 0 | tr 0 a) v", 65, "bad field name"),
    ("--json field '{\"a\": 1, \"a\": 2}'", 65, "duplicate"),
    ("--json field '\"\\u0000\"'", 65, ""),
    ("field \"$(head -c 65537 /dev/zero | tr '\\0' x)\"", 65, "longer"),
    ("field \"$(printf '\\377')\"", 65, "UTF-8"),
    ("--progress 5", 65, "not a JSON object"),
    ("field", 2, "usage"),
    ("--nonsense field v", 2, "nonsense"),
])
def test_emit_refusals(spawner, arguments, code, reason):
    attempt = spawner.sh(f"{EMIT} {arguments}; echo code $?", env={"HLER_TARGET": TARGET})
    assert attempt.end().results == 0
    assert attempt.output() == b"code %d\n" % code
    assert reason in attempt.output("stderr").decode()
    assert attempt.of("result") == []


def test_emit_without_target_or_runner(spawner):
    attempt = spawner.sh(f"{EMIT} field v; echo $?; {EMIT} --uuid {OTHER} field v; echo $?; "
                         f"HLER_SOCKET=/nowhere/emit {EMIT} field v; echo $?; "
                         f"unset HLER_SOCKET; {EMIT} field v; echo $?", env={})
    assert attempt.end().results == 1
    assert attempt.output() == b"65\n0\n69\n69\n"
    assert b"no target: name a uuid" in attempt.output("stderr")


def dialogue(attempt, *requests):
    """Send requests on one connection; returns all that was answered before its end."""
    with socket.socket(socket.AF_UNIX) as s:
        directory = os.open(attempt.dir, os.O_PATH)
        s.connect(f"/proc/self/fd/{directory}/emit")
        os.close(directory)
        s.settimeout(10)
        answer = b""
        with contextlib.suppress(BrokenPipeError):  # it may have closed: what it said counts
            for request in requests:
                s.sendall(request)
            s.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while chunk := s.recv(4096):
                answer += chunk
        return answer.decode()


@pytest.fixture
def sleeper(spawner):
    attempt = spawner.sh("echo ready; sleep 1000", env={"HLER_TARGET": TARGET}, output=100000)
    attempt.said(b"ready")
    yield attempt
    attempt.control("stop cancelled 100")
    attempt.end()


def test_emit_many_on_one_connection(sleeper):
    one = b"RESULT - f append plain 3\n" + b"123"
    assert dialogue(sleeper, one * 500) == "OK\n" * 500
    assert len(sleeper.of("result")) == 500


def test_emit_goes_on_after_a_framed_refusal(sleeper):
    big = b"RESULT - f set plain 100000\n" + b"x" * 100000
    bad = b"RESULT - F set plain 5\nab\ncd"
    good = b"RESULT - f set plain 65536\n\"" + b"x" * 65534 + b'"'
    answers = dialogue(sleeper, big, bad, b"RESULT - f set plain 1\n}", good).splitlines()
    assert [a[:3] for a in answers] == ["ERR", "ERR", "ERR", "OK"]
    assert "65536" in answers[0] and answers[1] == "ERR bad field name"
    assert len(sleeper.of("result")) == 1


@pytest.mark.parametrize("request_line", [
    b"NONSENSE\n", b"RESULT - f set plain x\n", b"RESULT - f set plain -1\n", b"RESULT\n", b"\n",
    b"RESULT - f set plain 999999999999999999999\n", b"R" * 300, b"RESULT - f set plain 1 1\n",
    b"PROGRESS \n"])
def test_emit_closes_when_framing_is_lost(sleeper, request_line):
    answer = dialogue(sleeper, request_line, b"RESULT - f set plain 1\n1")
    assert answer.startswith("ERR ") and answer.count("\n") == 1
    assert sleeper.of("result") == []


def test_progress_has_a_limit(sleeper):
    text = b'{"kind": "x", "t": "' + b"y" * 39978 + b'"}'
    answers = dialogue(sleeper, *[b"PROGRESS %d\n" % len(text) + text] * 3).splitlines()
    assert answers == ["OK", "OK", "ERR output limit reached"]


def listens(runner):
    """Does the runner's epoll set ask for input (bit 0) on its listener (source 5)?"""
    for fd in pathlib.Path(f"/proc/{runner}/fdinfo").iterdir():
        for line in fd.read_text().splitlines():
            words = line.split()
            if words and words[0] == "tfd:" and words[5] == "5":
                return bool(int(words[3], 16) & 1)
    raise AssertionError("no epoll set with a listener")


def test_more_connections_than_places(sleeper):
    idle = []
    for _ in range(8):
        s = socket.socket(socket.AF_UNIX)
        directory = os.open(sleeper.dir, os.O_PATH)
        s.connect(f"/proc/self/fd/{directory}/emit")
        os.close(directory)
        idle.append(s)
    late = socket.socket(socket.AF_UNIX)
    directory = os.open(sleeper.dir, os.O_PATH)
    late.connect(f"/proc/self/fd/{directory}/emit")
    os.close(directory)
    late.sendall(b"RESULT - f set plain 1\n1")
    wait_for(lambda: not listens(sleeper.runner_pid()), what="listener set aside")
    idle[3].close()
    late.settimeout(10)
    assert late.recv(10) == b"OK\n"
    for s in [late, *idle]:
        s.close()


def test_many_at_once(spawner):
    attempt = spawner.sh(f"for i in $(seq 40); do {EMIT} --append f $i & done; wait",
                         env={"HLER_TARGET": TARGET})
    assert attempt.end(60).results == 40
    values = sorted(int(json.loads(p.split(b"\n", 1)[1])) for p in attempt.of("result"))
    assert values == list(range(1, 41))


# --- outputs ---

def test_outputs(spawner):
    attempt = spawner.sh(
        f"""echo one=1 >>$HLER_OUTPUTS; {EMIT} --output two 'a=b'
        printf 'x\\ny' | {EMIT} --output three -
        {EMIT} --json --output four '{{"k":
        [1]}}'; {EMIT} --output Bad x""", env={})
    end = attempt.end()
    lines = end.outputs.decode().splitlines()
    assert end.cause == "exit" and lines[:2] == ["one=1", "two=a=b"]
    assert [json.loads(l) for l in lines[2:]] == [{"field": "three", "value": "x\ny"},
                                                 {"field": "four", "value": {"k": [1]}}]


def test_outputs_of_full_size(spawner):
    end = spawner.sh("head -c 65536 /dev/zero | tr '\\0' x >$HLER_OUTPUTS", env={}).end()
    assert (end.cause, end.outputs) == ("done", b"x" * 65536)


@pytest.mark.parametrize("script", ["head -c 65537 /dev/zero >$HLER_OUTPUTS", "mkdir $HLER_OUTPUTS",
                                    "ln -s /etc/passwd $HLER_OUTPUTS", "mkfifo $HLER_OUTPUTS"])
def test_outputs_invalid(spawner, script):
    end = spawner.sh(script, env={}).end()
    assert (end.cause, end.outputs) == ("outputs_invalid", b"")


# --- deaths, refusals, limits ---

def test_runner_outlives_its_spawner(spool):
    spawner = Spawner(spool)
    os.mkfifo(spool / "go")
    attempt = spawner.sh(f"echo ready; read x <{spool}/go; echo after; exit 5")
    attempt.said(b"ready")
    spawner.process.kill()
    spawner.process.wait()
    assert attempt.held()
    with_new = Spawner(spool)
    assert with_new.sh("exit 6").end().exit_code == 6  # it has the lock, the old runner lives
    (spool / "go").write_text("x\n")
    assert attempt.end().exit_code == 5 and attempt.output() == b"ready\nafter\n"
    assert with_new.close() == 0


def test_killed_runner_leaves_no_end(spawner):
    attempt = spawner.sh("echo ready; sleep 1000")
    attempt.said(b"ready")
    program = attempt.pid()
    assert attempt.held()
    os.kill(attempt.runner_pid(), signal.SIGKILL)
    wait_for(lambda: not attempt.held(), what="lock free")
    wait_for(lambda: not pathlib.Path(f"/proc/{program}/cmdline").exists() or
             not pathlib.Path(f"/proc/{program}/cmdline").read_bytes(), what="program dead")
    assert attempt.of("end") == [] and len(attempt.of("start")) == 1


def test_same_attempt_starts_once(spawner):
    attempt = spawner.sh("exit 0")
    attempt.end()
    before = attempt.journal.read_bytes()
    assert spawner.ask(pack(attempt.name, ["/bin/true"])) == (attempt.name, 17)  # EEXIST
    assert attempt.journal.read_bytes() == before


def test_missing_directory(spawner):
    assert spawner.ask(pack("nothing", ["/bin/true"])) == ("nothing", 2)  # ENOENT


@pytest.mark.parametrize("spoil", [
    lambda d: d[:-1], lambda d: d + b"\0", lambda d: d[:40], lambda d: b"\0" + d[1:],
    lambda d: d[:4] + b"\xff\xff\xff\xff" + d[8:], lambda d: d[:4] + b"\0\0\0\0" + d[8:],
    lambda d: d[:12] + b"\0\0\0\0" + d[16:]])
def test_request_that_does_not_unpack(spawner, spoil):
    attempt = spawner.prepare()
    assert spawner.ask(spoil(pack(attempt.name, ["/bin/true", "x"]))) == ("", 74)  # EBADMSG
    assert not attempt.journal.exists()
    assert spawner.sh("exit 0").end().cause == "done"


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/tmp", "", "x" * 96])
def test_directory_names_that_escape(spawner, name):
    assert spawner.ask(pack(name, ["/bin/true"])) == ("", 74)


def test_worker_gone_with_requests_queued(spool):
    spawner = Spawner(spool)
    attempts = [spawner.prepare() for _ in range(5)]
    spawner.process.send_signal(signal.SIGSTOP)
    for attempt in attempts:
        spawner.ours.send(pack(attempt.name, ["/bin/sh", "-c", "exit 7"]))
    spawner.ours.close()
    spawner.process.send_signal(signal.SIGCONT)
    assert spawner.process.wait(10) == 0
    assert [a.end().exit_code for a in attempts] == [7] * 5


def test_one_spawner_at_a_time(spool):
    first = Spawner(spool)
    assert first.sh("exit 0").end().cause == "done"
    second = Spawner(spool, stderr=subprocess.PIPE)
    assert second.process.wait(20) == 75
    assert b"another spawner" in second.process.stderr.read()
    assert first.close() == 0


def test_usage():
    assert subprocess.run([RUNNER], capture_output=True).returncode == 2
    assert subprocess.run([RUNNER, "--help"], capture_output=True).returncode == 0
    assert subprocess.run([EMIT, "--help"], capture_output=True).returncode == 0
    missing = subprocess.run([RUNNER, "--spawn", "/nowhere"], capture_output=True)
    assert missing.returncode == 2 and b"descriptor 3" in missing.stderr


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


def test_journal_that_cannot_grow(spool):
    """RLIMIT_FSIZE stands for the full disk; the end record has its reserve below it."""
    spawner = Spawner(spool)
    os.mkfifo(spool / "go")
    attempt = spawner.sh(f"echo ready; read x <{spool}/go; head -c 400000 /dev/zero; sleep 1000")
    attempt.said(b"ready")
    runner = attempt.runner_pid()
    resource.prlimit(runner, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    (spool / "go").write_text("x\n")
    end = attempt.end()
    assert end.cause == "journal_full" and "File too large" in end.message
    assert end.dropped_bytes > 0 and end.output_bytes == len(attempt.output())
    assert attempt.journal.stat().st_size <= 100_000
    assert spawner.close() == 0


def test_end_is_written_once_there_is_room(spool):
    spawner = Spawner(spool)
    attempt = spawner.sh(f"echo ready; read x <{spool}/go; exit 3")
    os.mkfifo(spool / "go")
    attempt.said(b"ready")
    runner = attempt.runner_pid()
    size = attempt.journal.stat().st_size
    resource.prlimit(runner, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    (spool / "go").write_text("x\n")
    wait_for(lambda: not (attempt.dir / "reserve").exists(), what="first try")
    assert attempt.held() and attempt.of("end") == []
    resource.prlimit(runner, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    end = attempt.end()
    assert (end.cause, end.exit_code) == ("exit", 3)
    assert spawner.close() == 0


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    options = "size=256k,mode=700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path]).returncode:
        pytest.skip("mounting is not allowed here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_disk_filled_by_output(small_disk):
    spawner = Spawner(small_disk)
    attempt = spawner.sh("head -c 1000000 /dev/zero | tr '\\0' y; sleep 1000")
    end = attempt.end()
    assert end.cause == "journal_full" and "No space left" in end.message
    assert end.output_bytes == len(attempt.output()) and end.dropped_bytes > 0
    assert spawner.close() == 0


def test_end_has_its_reserve(small_disk):
    """Its outputs need pages of the disk that only the reserve can give."""
    spawner = Spawner(small_disk)
    attempt = spawner.sh(f"head -c 6000 /dev/zero | tr '\\0' x >$HLER_OUTPUTS; "
                         f"cat /dev/zero >{small_disk}/fill; exit 0", env={})
    end = attempt.end()
    assert (end.cause, end.outputs) == ("done", b"x" * 6000)
    assert spawner.close() == 0


@pytest.mark.parametrize("pages_left", [0, 1, 2])
def test_start_on_a_full_disk(small_disk, pages_left):
    spawner = Spawner(small_disk)
    attempt = spawner.prepare()
    with pytest.raises(OSError), open(small_disk / "fill", "wb", buffering=0) as fill:
        while fill.write(b"x" * 4096):
            pass
    os.truncate(small_disk / "fill", (small_disk / "fill").stat().st_size - 4096 * pages_left)
    assert spawner.ask(pack(attempt.name, ["/bin/true"])) == (attempt.name, 28)  # ENOSPC
    assert sorted(p.name for p in attempt.dir.iterdir()) == ["work"]
    (small_disk / "fill").unlink()
    assert spawner.ask(pack(attempt.name, ["/bin/true"])) == (attempt.name, 0)
    assert attempt.end().cause == "done"
    assert spawner.close() == 0


def test_memory_of_a_runner(spawner):
    attempt = spawner.sh("echo ready; sleep 1000")
    attempt.said(b"ready")
    lines = pathlib.Path(f"/proc/{attempt.runner_pid()}/smaps_rollup").read_text().splitlines()
    kb = {l.split()[0]: int(l.split()[1]) for l in lines[1:]}
    print("one runner, kB:", {k: kb[k] for k in ("Rss:", "Pss:", "Private_Dirty:")})
    attempt.control("stop cancelled 0")
    attempt.end()
    if not os.environ.get("HLER_SANITIZED"):
        assert kb["Private_Dirty:"] < 700
