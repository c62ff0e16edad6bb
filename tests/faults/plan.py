"""The plan of a run: seed -> timed faults and operations.  Nothing here looks at a clock or a stack, so the same seed
is the same plan on every machine."""
import random
from dataclasses import asdict, dataclass

DISPATCHERS = ("dispatcher-1", "dispatcher-2")
WORKERS = ("worker-1", "worker-2", "worker-3")
PROGRAMS = DISPATCHERS + WORKERS
SERVERS = ("broker", "database")
BEGIN_S = 2 # the first operations meet no fault
QUIET = 0.22 # the last part of a run is for healing


@dataclass(frozen=True)
class Kind:
    """weight: how often; most: at most so many in a run (0 = no limit); low, high: seconds it lasts."""
    weight: int
    most: int
    low: float
    high: float
    targets: tuple


# What lasts no time has 0, 0.  What is slow to heal (a broker needs some six seconds) is rare.
KINDS = {
    "kill": Kind(14, 0, 0.0, 3.0, PROGRAMS),
    "freeze": Kind(8, 0, 0.5, 7.0, PROGRAMS),
    "terminate": Kind(3, 0, 0.0, 1.0, PROGRAMS),
    "kill-spawner": Kind(4, 0, 0, 0, WORKERS),
    "freeze-spawner": Kind(2, 0, 0.5, 4.0, WORKERS),
    "kill-runner": Kind(4, 8, 0, 0, WORKERS),
    "freeze-runner": Kind(4, 0, 0.5, 6.0, WORKERS),
    "kill-child": Kind(5, 0, 0, 0, WORKERS),
    "freeze-child": Kind(4, 0, 0.5, 4.0, WORKERS),
    "cut": Kind(6, 0, 0.0, 2.0, PROGRAMS),
    "half-open": Kind(5, 0, 1.0, 6.0, PROGRAMS),
    "delay": Kind(5, 0, 2.0, 6.0, PROGRAMS),
    "cut-answer": Kind(8, 0, 1.0, 2.0, DISPATCHERS),
    "cut-request": Kind(4, 0, 1.0, 2.0, DISPATCHERS),
    "partition-database": Kind(3, 0, 1.0, 4.0, DISPATCHERS),
    "database-restart": Kind(2, 2, 0.0, 1.0, ("database",)),
    "database-kill": Kind(2, 2, 0.0, 2.0, ("database",)),
    "backends-end": Kind(4, 0, 0, 0, ("database",)),
    "broker-restart": Kind(1, 1, 0.0, 2.0, ("broker",)),
    "broker-kill": Kind(2, 1, 0.0, 2.0, ("broker",)),
    "memory-alarm": Kind(1, 1, 3.0, 5.0, ("broker",)),
    "disk-alarm": Kind(1, 1, 3.0, 5.0, ("broker",)),
    "away": Kind(1, 2, 14.0, 16.0, WORKERS),
    "late-grant": Kind(1, 2, 2.0, 3.0, WORKERS),
    "clone": Kind(2, 2, 2.0, 4.0, WORKERS),
    "lose-states": Kind(2, 3, 1.0, 2.0, ("hler.state",)),
    "forge-ends": Kind(3, 0, 0, 0, WORKERS),
    "purge": Kind(4, 0, 0, 0, ("hler.tasks.default", "hler.claims", "hler.state", "hler.life")),
    "delete": Kind(2, 2, 0.5, 3.0, ("hler.tasks.default", "hler.claims", "hler.state", "hler.life", "hler.output")),
    "disk-full": Kind(3, 3, 0.5, 3.0, WORKERS),
    "clock": Kind(5, 0, 2.0, 6.0, PROGRAMS),
    "duplicate-offers": Kind(4, 0, 0, 0, ("broker",)),
    "duplicate-events": Kind(3, 0, 0, 0, ("broker",)),
    "replay-claims": Kind(3, 0, 0, 0, ("broker",)),
    "shuffle-events": Kind(3, 0, 0, 0, ("broker",)),
    "forge-events": Kind(3, 0, 0, 0, WORKERS),
    "forge-claims": Kind(3, 0, 0, 0, WORKERS),
    "forge-control": Kind(2, 0, 0, 0, WORKERS),
    "garbage": Kind(2, 0, 0, 0, ("broker",)),
}

# In every plan, however the dice fall: what the guards are for (guards.py).
SURE = ("clone", "clone", "lose-states", "lose-states", "forge-ends", "duplicate-offers")
SURE_UNTIL = 0.65
AIMED = ("away", "late-grant", "late-grant") # one after another, as long as each lasts
AIMED_EVERY_S = 15


@dataclass(frozen=True)
class Fault:
    """`dice` in [0, 1) is for what the injector has to choose when the moment has come (which runner, which message)."""
    no: int
    at: float
    kind: str
    target: str
    lasts: float
    dice: float


@dataclass(frozen=True)
class Request:
    """One operation; cancel_after < 0 = never."""
    no: int
    at: float
    type: str
    inputs: tuple # of (name, value)
    cancel_after: float
    again_on_unknown: bool


def make_fault(rng, no, at, names, used):
    name = rng.choices(names, [KINDS[n].weight for n in names])[0]
    kind = KINDS[name]
    used[name] = used.get(name, 0) + 1
    return Fault(no, round(at, 3), name, rng.choice(kind.targets), round(rng.uniform(kind.low, kind.high), 3), rng.random())


def make_faults(rng, seconds, kinds):
    """A third of them come close upon the one before: faults while something recovers."""
    faults, used, at = [], {}, float(BEGIN_S)
    while at < seconds * (1 - QUIET):
        names = [n for n in kinds if not KINDS[n].most or used.get(n, 0) < KINDS[n].most]
        if not names:
            break
        faults.append(make_fault(rng, len(faults), at, names, used))
        at += rng.uniform(0.1, 0.5) if rng.random() < 0.35 else rng.uniform(0.4, 2.4)
    faults += [make_fault(rng, len(faults) + n, rng.uniform(BEGIN_S, seconds * SURE_UNTIL), [name], {})
               for n, name in enumerate(n for n in SURE if n in kinds)]
    faults += [make_fault(rng, len(faults) + n, BEGIN_S + n * AIMED_EVERY_S + rng.random(), [name], {})
               for n, name in enumerate(n for n in AIMED if n in kinds)]
    return sorted(faults, key=lambda f: f.at)


TYPES = ("chaos.once", "chaos.again", "chaos.pair", "chaos.brief")
# (steps, pause in seconds): short; some seconds; longer than two leases.
LENGTHS = (lambda rng: (rng.randint(1, 3), rng.uniform(0.0, 0.1)), lambda rng: (rng.randint(3, 12), rng.uniform(0.2, 0.7)),
           lambda rng: (rng.randint(16, 24), rng.uniform(0.6, 0.8))) # mostly repeatable: what leases are for


def make_request(rng, no, at):
    length = rng.choices(LENGTHS, (78, 16, 6))[0]
    steps, pause = length(rng)
    kind = rng.choices(TYPES, (10, 90, 0, 0) if length is LENGTHS[-1] else (50, 30, 12, 8))[0]
    code = rng.choices((0, 3, 75), (90, 6, 4))[0]
    inputs = (("steps", steps), ("pause", f"{pause:.2f}"), ("bulk", rng.choice((0, 0, 0, 0, 20, 20000))), ("code", code))
    cancel = rng.uniform(0, 3) if rng.random() < 0.1 else -1.0
    return Request(no, round(at, 3), kind, inputs, round(cancel, 3), rng.random() < 0.5)


REAL = (("test.ansible", (("text", "chaos"), ("other", "0190b3a4-0000-7000-8000-000000000001"))),
        ("test.terraform", (("text", "chaos"),)))


def make_requests(rng, seconds, rate, real):
    count = int(seconds * (1 - QUIET) * rate)
    requests = [make_request(rng, no, rng.uniform(0, seconds * (1 - QUIET))) for no in range(count)]
    for no in range(count, count + real):
        kind, inputs = REAL[0] if rng.random() < 0.7 else REAL[1]
        requests.append(Request(no, round(rng.uniform(0, seconds * (1 - QUIET)), 3), kind, inputs, -1.0, True))
    return sorted(requests, key=lambda r: r.at)


def make(seed, seconds, kinds=None, rate=4.5, real=5):
    """(faults, requests) of a seed.  `kinds`: names of KINDS, all when None."""
    chosen = list(KINDS) if kinds is None else kinds
    return (make_faults(random.Random(f"faults {seed}"), seconds, chosen),
            make_requests(random.Random(f"requests {seed}"), seconds, rate, real))


def text(faults, requests):
    """One line a fault and a request, in order of time."""
    lines = [(f.at, f"{f.at:8.3f}  fault {f.no:3}  {f.kind} {f.target} for {f.lasts} s, dice {f.dice:.6f}") for f in faults]
    lines += [(r.at, f"{r.at:8.3f}  request {r.no:3}  {r.type} {dict(r.inputs)} cancel after {r.cancel_after}") for r in requests]
    return "".join(f"{line}\n" for _, line in sorted(lines))


def data(faults, requests):
    return {"faults": [asdict(f) for f in faults], "requests": [asdict(r) for r in requests]}
