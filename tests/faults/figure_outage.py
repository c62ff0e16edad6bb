"""The broker is away while fifty jobs end."""
from outage import JOBS, Outage
from stack import Stack

AWAY_S = 120
LATER_S = 60 # by then every pause has grown to its most


def run():
    stack = Stack("--workers", "1", "--slots", str(JOBS))
    try:
        outage = Outage(stack)
        keeper = outage.have(AWAY_S)
        took = outage.mend(timeout=120)
        outage.check()
        later = [k for k in keeper.knocks if k > LATER_S]
        return {"away": f"{AWAY_S} s", "all recorded, in order, after the return": f"{took:.1f} s",
                "connection attempts": f"{len(keeper.knocks)}, most in one second {keeper.busiest_second()}, "
                                       f"after the first minute {len(later) / (AWAY_S - LATER_S):.2f} a second"}
    finally:
        stack.down()
