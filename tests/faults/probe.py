"""The time from COMMIT to the first line of the started program, as one front end sees it again and again."""
import os
import subprocess
import time

from bench import one_latency, percentile
from contenders import CATALOG
from stack import BUILD, TOP, Stack

GAP_S = 0.05
WARM_UP = 10
PATIENCE_S = 120


def make_stack(*options):
    """With the type that the probe submits."""
    os.makedirs(f"{BUILD}/bench", exist_ok=True)
    subprocess.run(["cc", "-O2", "-std=c17", "-D_GNU_SOURCE", "-o", f"{BUILD}/bench/stamp", f"{TOP}/tests/bench/stamp.c"], check=True)
    stack = Stack("--set", f'worker.commands=["/bin", "/usr/bin", "{BUILD}/bench"]', *options)
    stack.apply(CATALOG)
    return stack


def on_stack(trial, *options):
    """What trial(stack) says of a stack of its own."""
    stack = make_stack(*options)
    try:
        return trial(stack)
    finally:
        stack.down()


class Probe:
    def __init__(self, stack):
        self.stack = stack
        self.cursor = stack.connect("frontend").cursor()
        self.path, self.n = stack.path("stamps"), 0

    def one(self):
        took = one_latency(self.stack, self.cursor, self.path, self.n, PATIENCE_S)
        self.n += 1
        time.sleep(GAP_S)
        return took

    def idle(self, samples):
        for _ in range(WARM_UP):
            self.one()
        return [self.one() for _ in range(samples)]

    def until(self, is_over):
        took = []
        while not is_over():
            took.append(self.one())
        return took


def text(took):
    return (f"p50 {percentile(took, .5):.2f} ms, p99 {percentile(took, .99):.2f} ms, most {max(took):.2f} ms "
            f"({len(took)} samples)")


def ratio(loaded, idle):
    return f"{percentile(loaded, .99) / percentile(idle, .99):.2f}"


def memory_mib(pid, what):
    """Of /proc/PID/status: VmHWM (most ever), VmRSS (now)."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(what)) / 1024
