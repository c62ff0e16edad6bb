"""The points: which calls of which program may fail, and how.  A point's name says all that is needed to replay it:
SCENARIO:PROGRAM:CALL:N:KIND, where N counts the calls of that name, and + after an error is "and for ever after"."""
import collections
import errno
import random
from dataclasses import dataclass

# In `work` the program runs already; in `start` it was killed in the middle of work, and is counted from its exec.
PROGRAMS = {"work": ("dispatcher", "worker", "spawner", "runner", "child", "emit"), "start": ("dispatcher", "worker", "spawner")}
ALLOCATION = "malloc" # of what has the shim (nomem.c)
MAPPINGS = ("brk", "mmap") # memory from the kernel
ALLOCATIONS_MOST = 300 # of the many thousands, evenly spaced

DEATHS = ("kill", "after")
FILES = ("EIO", "EIO+", "ENOSPC", "ENOSPC+", "EINTR", "EINTR+")
SHORT = ("short", "short+")
READS = ("EIO", "EIO+", "EINTR", "EINTR+")
NO_MEMORY = ("ENOMEM", "ENOMEM+")
KINDS = {
    **{c: DEATHS + FILES + SHORT for c in ("write", "pwrite64", "writev", "pwritev")},
    **{c: DEATHS + FILES for c in ("fsync", "fdatasync", "ftruncate", "fallocate", "open", "openat")},
    **{c: DEATHS + ("EIO", "EIO+", "ENOSPC", "ENOSPC+") for c in ("rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat",
                                                               "mknod", "mknodat")},
    **{c: DEATHS + ("EIO", "EIO+") for c in ("unlink", "unlinkat", "rmdir")},
    **{c: DEATHS + READS + SHORT for c in ("read", "pread64", "readv", "recvfrom", "sendto")},
    **{c: DEATHS + READS for c in ("sendmsg", "recvmsg", "connect", "flock")},
    **{c: DEATHS + NO_MEMORY for c in ("fork", "vfork", "clone", "clone3", "socket", "socketpair", "pipe2", "accept4", "pidfd_open")},
    "execve": ("kill", "EIO", "EIO+", "ENOMEM", "ENOMEM+"),
    **{c: DEATHS for c in ("kill", "pidfd_send_signal")},
    "wait4": DEATHS + ("EINTR", "EINTR+"),
    "waitid": DEATHS, # with WNOHANG everywhere: a call that does not wait is never interrupted
    **{c: NO_MEMORY for c in (*MAPPINGS, ALLOCATION)},
}


@dataclass(frozen=True)
class Point:
    scenario: str
    program: str
    call: str
    n: int
    kind: str

    def __str__(self):
        return f"{self.scenario}:{self.program}:{self.call}:{self.n}:{self.kind}"

    @property
    def ever(self):
        return self.kind.endswith("+")

    @property
    def group(self):
        return self.scenario, self.program, self.call, self.kind

    def tracer_kind(self):
        word = self.kind.rstrip("+")
        return word if word in (*DEATHS, "short") else str(getattr(errno, word))


def parse(text):
    """Raises ValueError for what is no point."""
    words = text.split(":")
    if len(words) != 5 or words[0] not in PROGRAMS or words[1] not in PROGRAMS[words[0]] or not words[3].isdigit() \
            or words[4] not in kinds(words[2]):
        raise ValueError(f"{text!r} is no point; one is SCENARIO:PROGRAM:CALL:N:KIND, --list shows them")
    return Point(words[0], words[1], words[2], int(words[3]), words[4])


def kinds(call):
    name, _, what = call.partition("@")
    # Packets are whole, pipes are memory, and nothing interrupts a read for ever that does not wait.
    impossible = {"packet": SHORT, "pipe": ("EIO", "EIO+", "EINTR+"), "ctl": ("EIO", "EIO+")}.get(what, ())
    return [k for k in KINDS.get(name, ()) if k not in impossible]


def of_counts(counts):
    """All points of {(scenario, program): {call: how often}}."""
    return [Point(scenario, program, call, n, kind) for (scenario, program), calls in counts.items()
            for call, count in sorted(calls.items()) for kind in kinds(call) for n in numbers(call, count)]


def numbers(call, count):
    return range(1, count + 1, -(-count // ALLOCATIONS_MOST) if call == ALLOCATION and count else 1)


def sample(found, size, seed):
    """So many of them, in turn from each group (scenario, program, call, kind), so that the rare calls are not lost among the
    frequent ones.  The same seed and the same points are the same sample."""
    rng = random.Random(f"points {seed}")
    groups = collections.defaultdict(list)
    for point in found:
        groups[point.group].append(point)
    order = [groups[g] for g in sorted(groups)]
    rng.shuffle(order)
    for group in order:
        rng.shuffle(group)
    chosen = []
    while len(chosen) < size and any(order):
        chosen += [group.pop() for group in order if group]
    return chosen[:size]
