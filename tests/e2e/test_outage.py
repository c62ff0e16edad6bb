"""The broker is away while jobs end: everything arrives when it is back.  Longer, and with figures: tests/faults/figures outage."""
from outage import JOBS, Outage

AWAY_S = 6
KNOCKS_A_SECOND = 100 # of some ten connections, at most: far from what a loop without a pause does


def test_fifty_jobs_end_while_the_broker_is_away(make_stack):
    stack = make_stack("--workers", "1", "--slots", str(JOBS))
    outage = Outage(stack)
    keeper = outage.have(AWAY_S)
    assert keeper.knocks and keeper.busiest_second() <= KNOCKS_A_SECOND, keeper.knocks
    outage.mend(timeout=90)
    outage.check()
    assert stack.one("SELECT count(*) FROM hler.dead_message") == 0
    assert stack.run("test.true")["state"] == "succeeded"
