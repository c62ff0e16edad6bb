"""proto/model: the whole hand-over passes, and each guard taken out is found out."""
import concurrent.futures
import os

import pytest
from spin import Check, transitions

ALWAYS = {"REPEATABLE": 0, "CANCEL": 0, "HANG": 0, "FAULTS": 1}
WHOLE = {
    "once": {},
    "once, cancelled": {"CANCEL": 1},
    "repeatable": {"REPEATABLE": 1},
    "a copied spool": {"CLONE": True},
    "ends": {"TERMINATION": True, "FAULTS": 2},
    "ends, repeatable": {"TERMINATION": True, "FAULTS": 2, "REPEATABLE": 1},
    "ends, cancelled": {"TERMINATION": True, "CANCEL": 1},
    "ends, hanging": {"TERMINATION": True, "HANG": 1, "FAULTS": 2},
}
OVERLAP = "alive[0]"
TWICE = "starts["
STUCK = "horizon>0"
WITHOUT = { # switches, and what then goes wrong
    "grant": ({"NO_CAS": True}, TWICE),
    "token": ({"NO_TOKEN": True}, TWICE),
    "instance": ({"NO_INSTANCE": True, "CLONE": True}, TWICE),
    "mark of what was declined": ({"NO_MARK": True, "FAULTS": 2}, TWICE),
    "lease": ({"NO_LEASE": True, "REPEATABLE": 1}, OVERLAP),
    "lease from the claim": ({"NO_START_AGE": True, "REPEATABLE": 1}, OVERLAP),
    "lease renewed by a heartbeat": ({"NO_LEASE_HEARD": True, "REPEATABLE": 1}, OVERLAP),
    "wait for the lease's grace": ({"NO_GRACE_WAIT": True, "REPEATABLE": 1}, OVERLAP),
    "one answer to a claim made ahead": ({"NO_ONCE": True, "REPEATABLE": 1}, OVERLAP),
    "stop": ({"NO_STOP": True, "TERMINATION": True, "HANG": 1}, STUCK),
    "report of a start": ({"NO_REPORT": True, "TERMINATION": True, "HANG": 1}, STUCK),
}


@pytest.fixture(scope="module", name="checks")
def all_checks(tmp_path_factory):
    """They use one core each, so all of them are begun at once."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        settings = {**WHOLE, **{f"without {name}": switches for name, (switches, _) in WITHOUT.items()}}
        yield {name: pool.submit(Check, tmp_path_factory.mktemp("model"), {**ALWAYS, **switches})
               for name, switches in settings.items()}


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_runs_twice_and_all_ends(checks, name):
    check = checks[name].result()
    assert check.errors == 0, check.counterexample()
    assert check.states > 400, "the model does nothing"


@pytest.mark.parametrize("name", WITHOUT)
def test_without_this_guard_something_is_violated(checks, name):
    check = checks[f"without {name}"].result()
    assert check.errors == 1
    assert WITHOUT[name][1] in check.counterexample()[0]


@pytest.mark.parametrize("kind, old, new", [("attempt", "lost", "started"), ("attempt", "granted", "void"),
                                            ("attempt", "granted", "succeeded"), ("task", "queued", "succeeded"),
                                            ("task", "held", "running")])
def test_the_arrows_are_those_of_the_table(tmp_path, kind, old, new):
    table = transitions()
    table[kind][old].remove(new)
    check = Check(tmp_path, ALWAYS, table)
    assert check.errors == 1
    assert f"=={list(table[kind]).index(old) + 1})" in check.counterexample()[0].replace(" ", "")
