"""The runner: deaths, refused requests, full disks, memory."""
import os
import pathlib
import resource
import signal
import subprocess

import pytest

from runner_harness import EMIT, pack, RUNNER, Spawner, spawner, spool, wait_for  # noqa: F401 (fixtures)


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


def test_an_empty_journal_is_begun_once(spawner):
    attempt = spawner.prepare()
    attempt.journal.touch(0o600)
    inode = attempt.journal.stat().st_ino
    assert spawner.ask(pack(attempt.name, ["/bin/true"])) == (attempt.name, 0)
    assert attempt.end().cause == "done"
    assert attempt.journal.stat().st_ino == inode


def test_nothing_starts_with_a_journal_of_another(spawner):
    attempt = spawner.prepare()
    attempt.journal.write_bytes(b"of another")
    assert spawner.ask(pack(attempt.name, ["/bin/true"])) == (attempt.name, 17)  # EEXIST
    assert sorted(p.name for p in attempt.dir.iterdir()) == ["journal", "work"]
    assert attempt.journal.read_bytes() == b"of another"


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
    os.mkfifo(spool / "go")
    attempt = spawner.sh(f"echo ready; read x <{spool}/go; exit 3")
    attempt.said(b"ready")
    runner = attempt.runner_pid()
    size = attempt.journal.stat().st_size
    resource.prlimit(runner, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    (spool / "go").write_text("x\n")
    wait_for(lambda: not (attempt.dir / "emit").exists(), what="first try")
    assert attempt.held() and attempt.of("end") == []
    resource.prlimit(runner, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    end = attempt.end()
    assert (end.cause, end.exit_code) == ("exit", 3)
    assert spawner.close() == 0


@pytest.fixture
def small_disk(tmp_path, request):
    """Of 256 KiB, or of its parameter."""
    path = tmp_path / "small"
    path.mkdir()
    options = f"size={getattr(request, 'param', '256k')},mode=700"
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


@pytest.mark.parametrize("small_disk", ["192k"], indirect=True)
def test_a_record_takes_the_room_that_more_at_once_does_not_find(small_disk):
    spawner = Spawner(small_disk)
    end = spawner.sh("head -c 1000000 /dev/zero | tr '\\0' y; sleep 1000").end()
    assert (end.cause, end.output_bytes) == ("journal_full", 4096 + 2 * 65536) # a flood's first record, and two
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
    assert not attempt.journal.exists() or attempt.journal.stat().st_size == 0
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
