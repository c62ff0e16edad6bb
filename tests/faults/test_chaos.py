"""The chaos runs of CI: three seeds.  One seed alone, longer, with its report: tests/faults/chaos SEED SECONDS."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import plan  # noqa: E402 pylint: disable=wrong-import-position
import run  # noqa: E402 pylint: disable=wrong-import-position
from seeds import SECONDS, SEEDS  # noqa: E402 pylint: disable=wrong-import-position


# Two groups of about the same time, which may run side by side: the walk over crash points is in "even".
@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.xdist_group("odd" if s % 2 else "even")) for s in SEEDS])
def test_no_violation(seed):
    report = run.run(seed, *plan.make(seed, SECONDS))
    print(run.text(report))
    assert not report["problems"] and not report["violations"], run.text(report)


def test_same_seed_same_plan():
    assert plan.text(*plan.make(7, SECONDS)) == plan.text(*plan.make(7, SECONDS))
    assert plan.text(*plan.make(7, SECONDS)) != plan.text(*plan.make(8, SECONDS))


def test_a_plan_of_one_rare_kind_ends():
    faults, _ = plan.make(7, SECONDS, ["late-grant"])
    most, sure = plan.KINDS["late-grant"].most, plan.AIMED.count("late-grant")
    assert sure < len(faults) <= most + sure and {f.kind for f in faults} == {"late-grant"}
