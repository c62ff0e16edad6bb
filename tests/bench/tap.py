"""Copies of all that goes through Hlér's exchanges, to be counted by kind.  What goes through the default exchange (grants and
answers to a worker's own queue) cannot be copied: it is what the broker received and the tap did not see."""
import collections

NAME = "bench.tap"
BINDINGS = (("hler.results", "#"), ("hler.tasks", "default"), ("hler.claims", "claim"))
PAGE = 5000
CLASS = slice(1, 3) # of a routing key of hler.results: <user>.<class>.<type>.…


class Tap:
    def __init__(self, stack):
        self.stack = stack

    def __enter__(self):
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self.stack.manage("PUT", f"permissions/hler/{self.user()}", rights)
        self.stack.manage("PUT", f"queues/hler/{NAME}", {"durable": False, "auto_delete": False})
        for exchange, key in BINDINGS:
            self.stack.manage("POST", f"bindings/hler/e/{exchange}/q/{NAME}", {"routing_key": key})
        return self

    def user(self):
        return self.stack.env["HLER_MANAGEMENT_URL"].split("//")[1].split(":")[0]

    def kinds(self):
        """{kind: messages} since the last call."""
        counts = collections.Counter()
        while True:
            got = self.stack.manage("POST", f"queues/hler/{NAME}/get", {"count": PAGE, "ackmode": "ack_requeue_false", "encoding": "base64",
                                                                         "truncate": 1})
            for message in got:
                counts[kind(message)] += 1
            if len(got) < PAGE:
                return dict(counts)

    def __exit__(self, *_):
        self.stack.manage("DELETE", f"queues/hler/{NAME}")


def kind(message):
    if message["exchange"] == "hler.results":
        return ".".join(message["routing_key"].split(".")[CLASS])
    if message["exchange"] == "hler.claims":
        return "question" if message["properties"].get("type") == "hler.flood.v1" else "claim"
    return {"hler.tasks": "offer"}.get(message["exchange"], message["exchange"])
