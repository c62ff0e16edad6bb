"""The runner and hler-emit: results, progress, outputs."""
import contextlib
import json
import os
import pathlib
import socket

import pytest

from runner_harness import EMIT, spawner, spool, wait_for  # noqa: F401 (fixtures)


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
    (f"--json field '{'[' * 15}{']' * 15}'", 65, "nested too deep"),
    ("--progress '%s'" % ('{"a":' * 15 + "{}" + "}" * 15), 65, "nested too deep"),
    ("field", 2, "expected options, then FIELD and VALUE"),
    ("count --json 5", 2, "expected options, then FIELD and VALUE"),
    ("--progress {} {}", 2, "expected options, then one JSON text"),
    ("--nonsense field v", 2, "nonsense"),
])
def test_emit_refusals(spawner, arguments, code, reason):
    attempt = spawner.sh(f"{EMIT} {arguments}; echo code $?", env={"HLER_TARGET": TARGET})
    assert attempt.end().results == 0
    assert attempt.output() == b"code %d\n" % code
    assert reason in attempt.output("stderr").decode()
    assert attempt.of("result") == []


def test_the_deepest_value_that_fits_into_its_event(spawner):
    deepest = "[" * 14 + "]" * 14
    attempt = spawner.sh(f"{EMIT} --json field '{deepest}'", env={"HLER_TARGET": TARGET})
    assert attempt.end().results == 1 and attempt.of("result")[0].endswith(deepest.encode()), attempt.of("result")


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
