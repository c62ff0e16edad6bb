"""What is switched off for tests cannot be switched off elsewhere, and can be switched off there."""
import os

import pytest

from test_chaos import HERE

TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build")))

import guards  # noqa: E402 pylint: disable=wrong-import-position,wrong-import-order


def slurp(path):
    with open(path, "rb") as f:
        return f.read()


@pytest.mark.parametrize("program", ("hler-worker", "hler-runner", "hler-dispatcher"))
def test_programs_have_no_switch(program):
    if os.environ.get("CI") or "guards" not in BUILD:
        assert b"HLER_GUARD_OFF" not in slurp(f"{BUILD}/bin/{program}")


def test_texts_of_guards_are_there():
    sql = b"".join(slurp(f"{TOP}/proto/sql/{n}") for n in sorted(os.listdir(f"{TOP}/proto/sql")) if n.endswith(".sql")).decode()
    for edits in guards.IN_TABLES.values():
        for function, text, _ in edits:
            assert text in sql.split(f"CREATE FUNCTION {function}(", 1)[1].split("$$;", 1)[0], (function, text)
    for name in guards.IN_PROGRAMS:
        found = [p for top in ("common", "worker", "dispatcher") for d, _, files in os.walk(f"{TOP}/{top}") for p in files
                 if p.endswith(".c") and f'guard_is_on("{name}")'.encode() in slurp(f"{d}/{p}")]
        assert len(found) == 1, (name, found)
