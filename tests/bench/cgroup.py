"""CPU of processes and of all that comes of them, ended ones included, by a control group of their own (cgroup v2).  Runners need it:
their spawner lets the kernel reap them, and then no parent's account has what they used."""
import os
import time

END_S = 5


def hierarchy():
    with open("/proc/mounts", encoding="utf-8") as f:
        return next((line.split()[1] for line in f if line.split()[2] == "cgroup2"), None)


class Account:
    """`seconds()` is None where no group can be made: without the right to, or without cgroup v2."""

    def __init__(self, name, pids):
        root = hierarchy()
        self.path = root and os.path.join(root, name)
        try:
            os.mkdir(self.path or "")
            for pid in pids:
                with open(f"{self.path}/cgroup.procs", "w", encoding="ascii") as f:
                    f.write(str(pid))
            self.seconds()
        except OSError:
            self.end()

    def seconds(self):
        if self.path is None:
            return None
        with open(f"{self.path}/cpu.stat", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("usage_usec")) / 1e6

    def end(self):
        """Its processes have ended; the kernel may need a moment to see that."""
        till = time.monotonic() + END_S
        while self.path is not None and os.path.isdir(self.path) and time.monotonic() < till:
            try:
                os.rmdir(self.path)
            except OSError:
                time.sleep(0.05)
        self.path = None
