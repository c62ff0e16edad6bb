"""Names, kinds and samples of crash points."""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import points  # noqa: E402 pylint: disable=wrong-import-position

COUNTS = {("work", "worker"): {"sendto@amqp": 500, "sendto@packet": 3, "renameat": 2, points.ALLOCATION: 5000},
          ("work", "runner"): {"pwritev@journal": 4}, ("start", "dispatcher"): {"connect@db": 1}}


def test_name_says_all():
    for point in points.of_counts(COUNTS):
        assert points.parse(str(point)) == point


@pytest.mark.parametrize("text", ("", "work:worker:renameat:1", "work:nobody:renameat:1:kill", "start:runner:unlink:1:kill",
                                  "work:worker:renameat:x:kill", "work:worker:renameat:1:EINTR", "work:worker:getpid:1:kill"))
def test_no_point(text):
    with pytest.raises(ValueError):
        points.parse(text)


def test_packets_have_no_short_counts():
    found = points.of_counts(COUNTS)
    assert not [p for p in found if p.call == "sendto@packet" and p.kind in points.SHORT]
    assert [p for p in found if p.call == "sendto@amqp" and p.kind in points.SHORT]


def test_all_but_allocations_are_walked():
    found = points.of_counts(COUNTS)
    assert {p.n for p in found if p.call == "sendto@amqp" and p.kind == "kill"} == set(range(1, 501))
    assert 200 < len({p.n for p in found if p.call == points.ALLOCATION}) <= points.ALLOCATIONS_MOST


def test_sample_has_the_rare_calls_and_is_the_seed_s():
    found = points.of_counts(COUNTS)
    chosen = points.sample(found, len({p.group for p in found}), 7)
    assert len({p.group for p in chosen}) == len(chosen)
    assert chosen == points.sample(found, len(chosen), 7) != points.sample(found, len(chosen), 8)
    assert sorted(map(str, points.sample(found, 10 ** 6, 7))) == sorted(map(str, found))
