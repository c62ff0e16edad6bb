"""What /proc tells of processes: CPU by program, memory, wake-ups, open files."""
import glob
import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")
MEMORY = {"rss": ("Rss:",), "pss": ("Pss:",), "private": ("Private_Clean:", "Private_Dirty:")}
SPAWNS = 300 # enough for a mean of the child's cost


class Process:
    """One line of /proc/PID/stat: parent, name, seconds of its own and of the children it has reaped."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            text = f.read()
        rest = text[text.rindex(")") + 2:].split()
        self.pid, self.name, self.parent = pid, text[text.index("(") + 1:text.rindex(")")], int(rest[1])
        self.own_s = (int(rest[11]) + int(rest[12])) / TICK
        self.reaped_s = (int(rest[13]) + int(rest[14])) / TICK


def processes():
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found[int(entry)] = Process(int(entry))
            except (OSError, ValueError):
                pass # it has ended meanwhile
    return found


def tree(root, everything):
    """A process and all its live descendants."""
    inside = {root}
    for p in sorted(everything.values(), key=lambda p: p.pid):
        if p.parent in inside:
            inside.add(p.pid)
    while True:
        more = {p.pid for p in everything.values() if p.parent in inside} - inside
        if not more:
            return [everything[p] for p in inside if p in everything]
        inside |= more


def tree_seconds(root, everything=None):
    """CPU of a tree, its ended members included."""
    return sum(p.own_s + p.reaped_s for p in tree(root, everything or processes()))


def memory_kib(pid):
    """{"rss": …, "pss": …, "private": …} of one process."""
    sizes = dict.fromkeys(MEMORY, 0)
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        for line in f:
            for kind, heads in MEMORY.items():
                if line.startswith(heads):
                    sizes[kind] += int(line.split()[1])
    return sizes


def switches(pid):
    """How often the process's threads have gone to sleep by themselves: each is one wake-up."""
    count = 0
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path, encoding="utf-8", errors="replace") as f:
            count += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
    return count


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def child_us(argv=("/bin/true",)):
    """CPU microseconds of one run of a program, from its fork to its end, by the kernel's account."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(SPAWNS):
        os.waitpid(os.posix_spawn(argv[0], argv, os.environ), 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / SPAWNS * 1e6


class Reaped:
    """CPU of the children that this process reaps between two moments."""

    def __init__(self):
        self.began = self.seconds()

    @staticmethod
    def seconds():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def used_s(self):
        return self.seconds() - self.began


def until(look, patience_s, what, pause_s=0.02):
    """Polls look() until it is true, and returns what it said; without that in time, the bench ends."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(pause_s)
    raise SystemExit(f"bench: not within {patience_s} s: {what}")
