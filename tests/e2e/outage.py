"""Fifty jobs that end while the broker is away, and a door-keeper in its place who counts the knocks."""
import os
import signal
import socket
import threading
import time
import uuid

from stack import read, wait_for

JOBS = 50
LINES = 200
GATE_POLL_S = 0.2


class DoorKeeper(threading.Thread):
    """Takes the broker's port while it is away; answers nobody.  `knocks`: when somebody came."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.knocks = []
        self.began = time.monotonic()
        self.ended = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", port), backlog=JOBS)
        self.socket.settimeout(GATE_POLL_S)
        self.start()

    def run(self):
        while not self.ended.is_set():
            try:
                self.socket.accept()[0].close()
                self.knocks.append(time.monotonic() - self.began)
            except socket.timeout:
                pass
        self.socket.close()

    def close(self):
        self.ended.set()
        self.join()

    def busiest_second(self):
        seconds = [int(k) for k in self.knocks]
        return max((seconds.count(s) for s in seconds), default=0)


class Outage:
    """`stack`: one worker with JOBS slots."""

    def __init__(self, stack):
        self.stack = stack
        self.gate, self.ended = stack.path("gate"), stack.path("ended")
        self.target = uuid.uuid4()
        script = (f"echo begin; while [ ! -e {self.gate} ]; do sleep {GATE_POLL_S}; done; seq {LINES}; "
                  f"for i in 1 2 3; do hler-emit --append --json step $i; done; echo . >>{self.ended}")
        self.operations = [stack.shell(script, target=self.target) for _ in range(JOBS)]
        wait_for(lambda: self.count("running") == JOBS, timeout=90, what="fifty running")

    def count(self, state):
        return self.stack.one("SELECT count(*) FROM hler.operations WHERE state = %s AND target = %s", state, self.target)

    def have(self, seconds):
        """The broker dies, the jobs end, so many seconds pass; returns the door-keeper."""
        self.stack.signal("rabbitmq", signal.SIGKILL)
        port = int(read(self.stack.path("run/ports")).split()[1])
        keeper = wait_for(lambda: take_port(port), what="the broker's port")
        with open(self.gate, "w", encoding="utf-8"):
            pass
        wait_for(lambda: os.path.exists(self.ended) and len(read(self.ended).split()) == JOBS, timeout=60, what="the end of all programs")
        time.sleep(max(0, keeper.began + seconds - time.monotonic()))
        keeper.close()
        return keeper

    def mend(self, timeout):
        """The broker is back; returns seconds until everything was recorded."""
        self.stack.restart("broker")
        back = time.monotonic()
        wait_for(lambda: self.count("succeeded") == JOBS, timeout=timeout, what="all ends")
        for operation in self.operations:
            self.stack.assert_complete(operation, timeout) # over a connection of its own
        return time.monotonic() - back

    def check(self):
        """Each event once, in order, of one attempt each."""
        said = b"begin\n" + b"".join(b"%d\n" % i for i in range(1, LINES + 1))
        for operation in self.operations:
            assert len([a for a in self.stack.attempts(operation) if a["state"] != "void"]) == 1
            assert self.stack.output(operation) == said
            steps = self.stack.sql("SELECT value FROM hler.result_history WHERE operation = %s ORDER BY seq", operation)
            assert [s["value"] for s in steps] == [1, 2, 3]
            self.stack.assert_in_order(operation)


def take_port(port):
    try:
        return DoorKeeper(port)
    except OSError:
        return None # its last owner's connections are still there
