"""The model of proto/model: arrows from the transition table, and one run of the checker."""
import json
import pathlib
import re
import shutil
import subprocess

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
MODEL = PROTO / "model"
SECONDS = 300


def arrows_pml(table):
    """What handover.pml includes: a number for each state, and for each kind the arrows that there are."""
    lines = []
    for kind in ("attempt", "task"):
        states = table[kind]
        lines += [f"#define {kind.upper()}_{state.upper()} {n}" for n, state in enumerate(states, 1)]
        arrows = [f"(from) == {kind.upper()}_{old.upper()} && (to) == {kind.upper()}_{new.upper()}"
                  for old, news in states.items() for new in news]
        lines.append(f"#define {kind}_arrow(from, to) (" + " || ".join(arrows) + ")")
    return "\n".join(lines) + "\n"


def transitions():
    return json.loads((PROTO / "transitions.json").read_text())


class Check:
    """The verdict on one setting of the model's switches."""

    def __init__(self, directory, switches, table=None):
        self.directory = directory
        defines = [f"-D{name}" if value is True else f"-D{name}={value}" for name, value in switches.items()]
        (directory / "arrows.pml").write_text(arrows_pml(table or transitions()))
        for part in MODEL.glob("*.pml"):
            shutil.copy(part, directory)
        self.run("spin", *defines, "-a", "handover.pml")
        # no cycles are looked for: a stack of its own size, no table of acceptance
        self.run("gcc", "-O0", "-w", "-DSAFETY", "-DNOFAIR", "-DMEMLIM=3000", "-DVECTORSZ=512", "-o", "pan", "pan.c")
        self.output = self.run("./pan", "-m2000000", "-w24")
        assert "max search depth too small" not in self.output, self.output
        self.errors = int(re.search(r"errors: (\d+)", self.output)[1])
        self.states = int(float(re.search(r"([\d.e+]+) states, stored", self.output)[1]))

    def run(self, *command):
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def counterexample(self):
        """What was violated, and the steps that lead there."""
        broken = re.search(r"pan:\d+: (.*) \(at depth (\d+)\)", self.output)
        steps = self.run("./pan", "-r", "-n") if broken else ""
        return (broken[1], steps) if broken else None
