"""Fixtures: one shared stack for quick tests, and special ones made by the test."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from stack import Stack  # noqa: E402 pylint: disable=wrong-import-position


@pytest.fixture(scope="session", name="stack")
def shared_stack():
    """Two workers of four slots.  Tests that stop or kill parts make a stack of their own."""
    stack = Stack("--workers", "2", "--slots", "4")
    yield stack
    stack.down()


@pytest.fixture
def make_stack():
    """make_stack("--workers", "3", …): a stack for this test alone."""
    made = []

    def make(*options, **more):
        stack = Stack(*options, start=False, **more)
        made.append(stack)
        stack.up()
        return stack

    yield make
    for stack in made:
        stack.down()


@pytest.fixture(scope="session", name="lent")
def stack_to_lend():
    """One for each process of pytest: to start servers costs more than most tests."""
    made = []
    yield made
    for stack in made:
        stack.down()


@pytest.fixture
def one_worker(lent):
    """A worker and a dispatcher in a state like new: a test may kill them, forge, and set what it likes, but lets the
    servers be as they were."""
    if lent:
        lent[0].renew()
    else:
        lent.append(Stack("--workers", "1"))
    yield lent[0]
    if lent[0].sanitizer_reports():
        lent.pop().down() # which fails for them


@pytest.fixture
def listener(stack):
    """A stranger on the shared stack's listener queue, with nothing old in it."""
    stranger = stack.listener()
    stranger.forget()
    yield stranger
    stranger.close()
