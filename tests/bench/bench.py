"""Measures Hlér on private servers, beside a bare C floor, Celery in Aegir's shape, graphile-worker and pg-boss, in turn
(A B A B …): medians [min-max], ratios, targets.  README.md says how each is measured.

A target that is missed is said and no more; a guarantee that is not kept makes the exit status 1."""
import argparse
import json
import os
import signal
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e")) # `broker`
import bench_counts
import bench_growth
import bench_latency
import bench_operations
import bench_output
import bench_idle
import bench_soak
import bench_start
import chart
from stack import BUILD, Stack, say

# In this order, since what the tables hold of earlier ones is not to weigh on memory and idle: (what, rounds).
BENCHES = {
    "idle": (bench_idle.idle, 1),
    "memory": (bench_idle.memory, 2),
    "operations": (bench_operations.operations, 5),
    "noop": (bench_operations.noop, 5),
    "latency": (bench_latency.latency, 2),
    "lines": (bench_output.lines, 3),
    "bytes": (bench_output.bytes_of_one_job, 3),
    "structured": (bench_output.structured, 3),
    "concurrency": (bench_operations.concurrency, 1),
    "backlog": (bench_growth.backlog, 1),
    "start": (bench_start.start, 1),
    "counts": (bench_counts.counts, 1),
}
APART = {"soak": (bench_soak.soak, 1)} # by name only


class Context:
    """What a bench is given.  The stack is made when the first one asks for it, and is the same for all that ask."""

    def __init__(self, options):
        self.options, self.full, self.minutes, self.rounds = options, options.full, options.minutes, 0
        self.shared, self.results = None, {}

    def stack(self):
        if self.shared is None:
            self.shared = Stack(peers=True)
        return self.shared

    def end(self):
        if self.shared is not None:
            self.shared.down()


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), "?")
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.readline().split()[1]) // 1024
    return (f"{os.cpu_count()} cores, {model}, {memory} MiB, Linux {os.uname().release}, load {os.getloadavg()[0]:.2f}, "
            f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}")


def parse():
    names = [*BENCHES, *APART]
    p = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all but soak when none is named")
    p.add_argument("--rounds", type=int, help="of each, instead of its own number of them")
    p.add_argument("--json", metavar="FILE", help="write all values there, too")
    p.add_argument("--svg", metavar="DIR", default=f"{BUILD}/bench", help="where plots are written (default: %(default)s)")
    p.add_argument("--full", action="store_true", help="backlog with a million ready and ten million finished operations: takes an hour")
    p.add_argument("--minutes", type=float, default=10, help="of soak (default: %(default)s)")
    options = p.parse_args()
    for name in options.names:
        if name not in names:
            p.error(f"no bench named {name}: choose from {', '.join(names)}")
    if options.rounds is not None and options.rounds < 1 or options.minutes <= 0:
        p.error("--rounds and --minutes take what is above zero")
    return options


def run(context, names):
    """Each result is shown when it is there: a later failure does not lose it."""
    known, results = {**BENCHES, **APART}, context.results
    for name in names:
        act, rounds = known[name]
        context.rounds = context.options.rounds or rounds
        began = time.monotonic()
        results[name] = act(context)
        results[name].note(f"took {time.monotonic() - began:.0f} s")
        results[name].show()
        plot(context.options.svg, results[name])


def plot(directory, result):
    if result.charts:
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, f"{result.name}.svg")
        if chart.write(path, result.charts):
            say(f"plot: {path}")


def main():
    options = parse()
    context, where = Context(options), machine()
    print(f"machine: {where}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)) # so that the stacks are ended then, too
    try:
        run(context, options.names or BENCHES)
    finally:
        context.end()
        if options.json:
            with open(options.json, "w", encoding="utf-8") as f:
                json.dump({"machine": where, "benches": {name: r.as_json() for name, r in context.results.items()}}, f, indent=1)
    short = [f"{name}: {fault}" for name, r in context.results.items() for fault in r.short]
    for fault in short:
        say(f"SHORT: {fault}")
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    main()
