"""Drives `hler-runner --spawn` as the worker does: requests over a socket, journals from files."""
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time
import zlib

import pytest

BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
RUNNER = BUILD / "bin" / "hler-runner"
EMIT = BUILD / "bin" / "hler-emit"

MAGIC = b"HLERJN1\n"
HEAD = struct.Struct("=IIQqH6x")
END = struct.Struct("=IiiHHQQQqII")
REQUEST = struct.Struct("=IIIiIIqqqqqqQ")
ANSWER = struct.Struct("=96si")
REQUEST_MAGIC = 0x51524C48
KINDS = {1: "start", 2: "stdout", 3: "stderr", 4: "progress", 5: "result", 6: "end"}
CAUSES = ("done exit signal try_later never_retry not_found not_allowed exec_failed bad_cwd "
          "outputs_invalid journal_full deadline idle cancelled superseded lease").split()


def wait_for(condition, seconds=15, what="condition"):
    """Poll until condition() is true; returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"timeout: {what}"
        time.sleep(0.01)


def pack(directory, argv, env=None, cwd="", deadline=0, idle=0, grace=1000, lease=0, lease_age=0,
         listen=0, output=1 << 30, stop=signal.SIGTERM, group=True):
    env = {"PATH": "/usr/bin:/bin"} if env is None else env
    strings = [directory, str(cwd), *argv, *(f"{k}={v}" for k, v in env.items())]
    lease_from = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - lease_age * 1_000_000
    head = REQUEST.pack(REQUEST_MAGIC, len(argv), len(env), int(stop), int(group), 0,
                        deadline, idle, grace, lease, lease_from, listen, output)
    return head + b"".join(os.fsencode(s) + b"\0" for s in strings)


def parse(data):
    """The whole records of a journal: (seq, kind, payload), checksums verified."""
    return [record[:3] for record in parse_all(data)]


def parse_all(data):
    """The same, each with its time (microseconds of the wall clock)."""
    if not data:
        return []
    assert data[:8] == MAGIC[:len(data)]
    records, at = [], 8
    while at + HEAD.size <= len(data):
        length, crc, seq, wall_us, kind = HEAD.unpack_from(data, at)
        payload = data[at + HEAD.size:at + HEAD.size + length]
        if len(payload) < length:
            break
        assert zlib.crc32(data[at + 8:at + HEAD.size + length]) == crc
        assert seq == len(records) + 1
        records.append((seq, KINDS[kind], payload, wall_us))
        at += HEAD.size + length
    return records


class End:
    def __init__(self, payload):
        (cause, self.exit_code, self.signal, self.left_behind, self.daemons, self.results, self.output_bytes,
         self.dropped_bytes, self.duration_us, message_len, outputs_len) = END.unpack_from(payload)
        self.cause = CAUSES[cause]
        text = payload[END.size:]
        assert len(text) == message_len + outputs_len
        self.message = text[:message_len].decode("utf-8")
        self.outputs = text[message_len:]


class Attempt:
    def __init__(self, spool, name):
        self.name = name
        self.dir = spool / name
        self.journal = self.dir / "journal"

    def records(self):
        return parse(self.journal.read_bytes()) if self.journal.exists() else []

    def of(self, kind):
        return [p for _, k, p in self.records() if k == kind]

    def times(self, kind):
        return [wall_us for _, k, _, wall_us in parse_all(self.journal.read_bytes()) if k == kind]

    def output(self, stream="stdout"):
        return b"".join(self.of(stream))

    def pid(self):
        return int(wait_for(lambda: self.of("start"), what="start record")[0])

    def runner_pid(self):
        status = pathlib.Path(f"/proc/{self.pid()}/status").read_text()
        return int(next(l for l in status.splitlines() if l.startswith("PPid")).split()[1])

    def held(self):
        with open(self.journal, "rb") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def end(self, seconds=20):
        """Wait for the end record and for the runner to be gone."""
        wait_for(lambda: not self.held() and self.of("end"), seconds, "end record") # reading a long journal again and again takes its time
        records = self.records()
        assert records[0][1] == "start" and records[-1][1] == "end"
        assert not (self.dir / "emit").exists()
        return End(records[-1][2])

    def control(self, line):
        fd = os.open(self.dir / "ctl", os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, line.encode() + b"\n")
        os.close(fd)

    def said(self, text, stream="stdout"):
        wait_for(lambda: text in self.output(stream), what=f"output {text!r}")


class Spawner:
    count = 0  # of attempts, over all spawners

    def __init__(self, spool, **popen):
        self.spool = spool
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.settimeout(20)

        def child():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)
            for ignored in (signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGRTMIN + 5): # as a service manager may
                signal.signal(ignored, signal.SIG_IGN)

        self.process = subprocess.Popen([RUNNER, "--spawn", spool], preexec_fn=child,
                                        close_fds=False, **popen)
        theirs.close()

    def ask(self, datagram):
        self.ours.send(datagram)
        name, error = ANSWER.unpack(self.ours.recv(4096))
        return name.rstrip(b"\0").decode(), error

    def prepare(self, name=None):
        Spawner.count += 1
        name = name or f"attempt.{Spawner.count}.{os.getpid()}"
        (self.spool / name / "work").mkdir(parents=True)
        return Attempt(self.spool, name)

    def run(self, *argv, name=None, **options):
        attempt = self.prepare(name)
        env = options.pop("env", None)
        if env is not None:
            env = {"PATH": "/usr/bin:/bin", "HLER_SOCKET": attempt.dir / "emit",
                   "HLER_OUTPUTS": attempt.dir / "outputs", **env}
        assert self.ask(pack(attempt.name, argv, env=env, **options)) == (attempt.name, 0)
        return attempt

    def sh(self, script, **options):
        return self.run("/bin/sh", "-c", script, **options)

    def close(self):
        self.ours.close()
        return self.process.wait(20)


def descendants_marked(mark):
    """Live processes whose environment carries the mark."""
    found = []
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (proc / "environ").read_bytes():
                found.append(int(proc.name))
        except OSError:
            continue
    return found


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
