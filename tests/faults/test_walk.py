"""A walk over a few sampled crash points.  More of them, or one again: tests/faults/points --help."""
import json
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = 30
SEED = 1
FOUND = ("work:spawner:sendto@packet:2:EIO", "start:worker:renameat:5:ENOSPC+", "work:worker:unlinkat:12:EIO+",
         "work:worker:pread64@journal:47:EIO+") # violations once


pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root"), pytest.mark.xdist_group("even")]


def walk(*args):
    """The report, of a walk without violation."""
    done = subprocess.run([sys.executable, "-B", f"{HERE}/points", *args, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    report = json.loads(done.stdout or "{}")
    assert done.returncode == 0 and not report["violations"], report
    return report


def test_sample():
    assert walk("--sample", str(SIZE), "--seed", str(SEED))["hit"] >= SIZE * 3 // 4 # a point that no run reaches shows nothing


def test_found_ones():
    assert walk(*[w for p in FOUND for w in ("--only", p)])["hit"]
