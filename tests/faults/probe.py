"""The time from COMMIT to the first line of the started program, as one front end sees it again and again."""
import os
import subprocess
import time

from stack import BUILD, TOP, Stack, wait_for

GAP_S = 0.05
WARM_UP = 10
PATIENCE_S = 120
STAMP = f"{BUILD}/bench/stamp" # appends the monotonic clock to a file
CATALOG = f"""types = ( {{ name = "probe.stamp"; version = 1;
    fields = ( {{ name = "path"; type = "string"; required = true; }} );
    tasks = ( {{ name = "run"; executor = "command"; spec = {{ argv = [ "{STAMP}" ]; }}; }} ); }} );"""


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def make_stack(*options):
    """With the type that the probe submits."""
    os.makedirs(f"{BUILD}/bench", exist_ok=True)
    subprocess.run(["cc", "-O2", "-std=c17", "-D_GNU_SOURCE", "-o", STAMP, f"{TOP}/tests/bench/stamp.c"], check=True)
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

    def stamp(self):
        """Of the operation that was submitted last."""
        if not os.path.exists(self.path):
            return None
        with open(self.path, encoding="utf-8") as f:
            return f.read().split()[self.n:]

    def one(self):
        self.cursor.execute("INSERT INTO hler.operation (type, inputs) VALUES ('probe.stamp', json_build_object('path', %s::text))",
                            (self.path,))
        committed = time.monotonic_ns()
        took = (int(wait_for(self.stamp, timeout=PATIENCE_S, what="the stamp of an operation")[0]) - committed) / 1e6
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
