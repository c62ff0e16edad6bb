"""Messages sent again, late, in another order, or forged, with the rights of whoever might send them."""
import json
import random
import threading
import time
import uuid

import pika

import inject_clone
import plan
from stack import events_of

TAPS = (("hler.tasks", "default"), ("hler.results", "#"), ("hler.claims", "claim"))
OURS = "chaos-" # forgeries are known by their message id
KEPT = 4000 # of each exchange
COPIES = 3
SAMPLE = 40
NEWEST = 20
START_S = 0.7 # after which a burst runs


class Tap:
    """Copies of all that goes through the exchanges: what a thief could have kept of yesterday."""

    def __init__(self, world):
        self.world = world
        self.kept = {exchange: [] for exchange, _ in TAPS} # of (routing key, properties, body)
        self.lock = threading.Lock()
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.running:
            try:
                self.listen()
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.5)

    def listen(self):
        channel = self.world.admin()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for exchange, key in TAPS:
            channel.queue_bind(queue, exchange, key)
        for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=0.2):
            if method is not None and not str(properties.message_id).startswith(OURS):
                with self.lock:
                    kept = self.kept[method.exchange]
                    kept.append((method.routing_key, properties, body))
                    del kept[:-KEPT]
            if not self.running:
                break
        channel.connection.close()

    def sample(self, exchange, rng, want=lambda message: True):
        """Some of what was kept, in the order in which it came."""
        with self.lock:
            found = [m for m in self.kept[exchange] if want(m)]
        return [found[n] for n in sorted(rng.sample(range(len(found)), min(SAMPLE, len(found))))]

    def newest(self, exchange, want):
        with self.lock:
            return [m for m in self.kept[exchange] if want(m)][-NEWEST:]

    def end(self):
        self.running = False
        self.thread.join(10)


def is_event(message):
    """Of an attempt, from a worker."""
    return ".attempt." in message[0]


def is_claim(message):
    """And not a question of a worker whose output floods."""
    return message[1].type == "hler.claim.v1"


def publish(world, exchange, messages):
    """With the user_id that each message has.  False when the broker is away."""
    try:
        channel = world.admin()
        for key, properties, body in messages:
            channel.basic_publish(exchange, key, body, properties)
        channel.connection.close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return bool(messages)


def again(world, fault, exchange, want=lambda message: True, shuffled=False):
    rng = random.Random(fault.dice)
    messages = world.tap.sample(exchange, rng, want) * (1 if shuffled else COPIES)
    if shuffled:
        rng.shuffle(messages)
    return publish(world, exchange, messages)


def duplicate_offers(world, fault):
    return again(world, fault, "hler.tasks")


def duplicate_events(world, fault):
    return again(world, fault, "hler.results", is_event)


def replay_claims(world, fault):
    return again(world, fault, "hler.claims")


def shuffle_events(world, fault):
    return again(world, fault, "hler.results", is_event, shuffled=True)


def forged(message, user, change):
    """The same message, sent by `user`, its body changed by change(body), marked so that I7 knows it again."""
    key, old, body = message
    body = json.loads(body)
    for one in events_of(body):
        change(one)
        for place in (one, one.get("data")):
            if isinstance(place, dict):
                place["chaos"] = "forged" # what is set aside may hold either
    properties = pika.BasicProperties(content_type=old.content_type, type=old.type, message_id=f"{OURS}{uuid.uuid4()}",
                                      user_id=user, delivery_mode=2, reply_to=old.reply_to)
    return (".".join([user] + key.split(".")[1:]) if "." in key else key, properties, json.dumps(body).encode())


def forge_events(world, fault):
    """Events of others' attempts, ends that never were, wrong tokens, numbers beyond the end."""
    rng = random.Random(fault.dice)

    def change(body):
        kind = rng.randrange(3)
        task, attempt, token, seq = (body["id"].split(".") + ["1"])[:4]
        if kind == 0: # another's attempt as it is: only the sender is wrong
            return
        if kind == 1:
            token = f"{rng.getrandbits(64):016x}"
        else:
            task = body["subject"] = str(uuid.UUID(int=rng.getrandbits(128)))
        body["id"] = ".".join((task, attempt, token, seq))

    def of_others(message):
        return is_event(message) and not message[0].startswith(fault.target + ".")

    return publish(world, "hler.results", [forged(m, fault.target, change) for m in world.tap.sample("hler.results", rng, of_others)])


def forge_claims(world, fault):
    """Claims of others' attempts by a worker that never got the offers: refused or, if they are still free, its own."""
    rng = random.Random(fault.dice)

    def change(body):
        for attempt in body["attempts"]:
            if rng.random() < 0.5:
                attempt["token"] = f"{rng.getrandbits(64):016x}"
            else:
                attempt["attempt"] += 1

    claims = world.tap.sample("hler.claims", rng, is_claim)
    return publish(world, "hler.claims", [forged(m, m[1].user_id, change) for m in claims])


def forge_control(world, fault):
    """Grants, granted offers and stops from another worker, straight into a worker's control queue."""
    rng = random.Random(fault.dice)
    other = {"worker-1": "worker-2", "worker-2": "worker-3", "worker-3": "worker-1"}[fault.target]
    claims = world.tap.sample("hler.claims", rng, lambda m: is_claim(m) and m[1].user_id == fault.target)
    messages = []
    for _, properties, body in claims:
        claim = json.loads(body)
        if not claim["attempts"]: # made ahead: an offer answers it
            messages += [(properties.reply_to, pika.BasicProperties(type="hler.offer.v1", user_id=other, content_type="application/json",
                                                                    correlation_id=f"{claim['session']}.{claim['claim']}"), offer)
                         for _, _, offer in world.tap.sample("hler.tasks", rng)[:1]]
            continue
        grant = {"v": 1, "session": claim["session"], "claim": claim["claim"], "granted": claim["attempts"], "refused": []}
        stop = dict(claim["attempts"][0], v=1, kind="stop", cause="cancelled", grace_ms=100)
        for kind, content in (("answer", grant), ("control", stop)):
            messages.append((properties.reply_to, pika.BasicProperties(type=f"hler.{kind}.v1", user_id=other,
                                                                       content_type="application/json"),
                             json.dumps(content).encode()))
    return publish(world, "", messages)


END = {"state": "succeeded", "cause": "done", "message": "chaos", "exit_code": 0, "signal": None, "retryable": False, "outputs": {},
       "results": 0, "output_bytes": 0, "dropped_bytes": 0, "duration_ms": 1, "left_behind": 0}


def starts_in(message):
    """Each start that it holds, as a message of its own."""
    key, properties, body = message
    for one in events_of(json.loads(body)):
        if one["type"] == "aegir.hler.attempt.started.v1":
            yield ".".join([*key.split(".")[:4], one["operation"], one["subject"]]), properties, json.dumps(one).encode()


def forge_ends(world, fault):
    """Ends of what runs just now: with another token by its own worker, with the right one by another."""
    rng = random.Random(fault.dice)
    world.load.burst(f"forge {fault.no}")
    time.sleep(START_S)
    ends = []

    def change(body):
        task, attempt, token, _ = body["id"].split(".")
        if rng.random() < 0.5:
            token = f"{rng.getrandbits(64):016x}"
        body.update(id=f"{task}.{attempt}.{token}.2", type="aegir.hler.attempt.finished.v1", seq=2, data=END)

    told = world.tap.newest("hler.results", lambda m: ".attempt.started." in m[0])
    for message in [one for m in told for one in starts_in(m)][-NEWEST:]:
        owner = message[1].user_id
        _, properties, body = forged(message, owner, change)
        right = json.loads(body)["id"].split(".")[2] == json.loads(message[2])["id"].split(".")[2]
        user = next(w for w in plan.WORKERS if w != owner) if right else owner
        properties.user_id, properties.type = user, "aegir.hler.attempt.finished.v1"
        key = message[0].replace(".started.", ".finished.").replace(owner + ".", user + ".", 1)
        ends.append((key, properties, body))
    return publish(world, "hler.results", ends)


GARBAGE = (b"", b"{", b"null", b"[" * 1000, b"\xff\xfe\x00", b'{"v":1,"v":2}', b'{"v":9999999999999999999999}', b'{"v":2,"attempts":[]}',
           b"x" * (1 << 20), b'{"v":1,"task":"\\u0000"}')
PLACES = (("hler.tasks", "default", "dispatcher", "hler.offer.v1"), ("hler.claims", "claim", "worker-1", "hler.claim.v1"),
          ("hler.results", "worker-1.attempt.started.-.-.-", "worker-1", "aegir.hler.attempt.started.v1"),
          ("hler.results", "worker-1.attempt.output.-.-.-", "worker-1", "aegir.hler.attempt.output.v1"))


def garbage(world, fault):
    rng = random.Random(fault.dice)
    done = True
    for exchange, key, user, kind in PLACES:
        properties = pika.BasicProperties(type=kind, user_id=user, message_id=f"{OURS}{uuid.uuid4()}", delivery_mode=2,
                                          content_type="application/json")
        done &= publish(world, exchange, [(key, properties, rng.choice(GARBAGE)) for _ in range(3)])
    return done


KINDS = {"forge-ends": forge_ends, "clone": inject_clone.clone, "duplicate-offers": duplicate_offers,
         "duplicate-events": duplicate_events, "replay-claims": replay_claims,
         "shuffle-events": shuffle_events, "forge-events": forge_events, "forge-claims": forge_claims,
         "forge-control": forge_control, "garbage": garbage}
