"""What is only run on demand at least starts: each figure's module is read, with all that it imports."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def test_figures_can_be_run():
    done = subprocess.run([sys.executable, "-B", f"{HERE}/figures", "--list"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["flood", "outage", "heartbeats"]
