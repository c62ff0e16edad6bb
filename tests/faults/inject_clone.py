"""A clone of a worker and a greedy neighbour, both with copies of the offers: they claim what a worker claims, and run
what they are granted, which their lines in the witness's file show."""
import json
import time
import uuid

import pika
import psycopg2

import plan

OURS = "chaos-"
RUN = "start {task} {attempt} 0\n"


class Claimant:
    """One of the two: a worker's user, an instance of its own."""

    def __init__(self, channel, user):
        self.channel, self.user = channel, user
        self.session, self.instance = str(uuid.uuid4()), str(uuid.uuid4())
        self.queue = f"hler.control.{user}.{self.session}"
        self.number = 0
        channel.queue_declare(self.queue, exclusive=True, auto_delete=True)

    def claim(self, original):
        """What a worker claims, by name or ahead, in its own name."""
        self.number += 1
        body = {**original, "session": self.session, "instance": self.instance, "claim": self.number}
        self.channel.basic_publish("hler.claims", "claim", json.dumps(body), pika.BasicProperties(
            content_type="application/json", type="hler.claim.v1", user_id=self.user, reply_to=self.queue,
            message_id=f"{OURS}{uuid.uuid4()}"))

    def granted(self):
        while True:
            method, _, body = self.channel.basic_get(self.queue, auto_ack=True)
            if method is None:
                return
            answer = json.loads(body)
            yield from [answer] if "executor" in answer else answer.get("granted", []) # an offer to who claimed ahead is a grant

    def decline(self, name):
        """As a worker that is stopped before it has started something."""
        body = {"specversion": "1.0", "id": f"{name['task']}.{name['attempt']}.{name['token']}.declined",
                "source": f"/hler/worker/{self.user}", "type": "aegir.hler.attempt.declined.v1", "subject": name["task"],
                "time": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()), "datacontenttype": "application/json",
                "attempt": name["attempt"], "data": {"message": "chaos"}}
        self.channel.basic_publish("hler.results", f"{self.user}.attempt.declined.-.-.{name['task']}", json.dumps(body),
                                   pika.BasicProperties(content_type="application/cloudevents+json; charset=utf-8",
                                                        type=body["type"], message_id=body["id"], user_id=self.user, delivery_mode=2))


def is_owner(world, claimant, name):
    """True when the tables gave it to this very instance (the worker was silent then): that is no fault."""
    try:
        with world.stack.connect("migrate") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT instance::text FROM hler.attempt WHERE task = %s AND attempt = %s", (name["task"], name["attempt"]))
            return cursor.fetchone()[0] == claimant.instance
    except psycopg2.OperationalError:
        return True # nobody knows: it does not run


def act(world, claimants):
    for claimant in claimants:
        for name in claimant.granted():
            if is_owner(world, claimant, name):
                claimant.decline(name)
                continue
            with open(f"{world.own}/witness", "a", encoding="utf-8") as f:
                f.write(RUN.format(**name))


def clone(world, fault):
    end = time.monotonic() + fault.lasts
    other = plan.WORKERS[(plan.WORKERS.index(fault.target) + 1) % len(plan.WORKERS)]
    seen = 0
    try:
        channel = world.admin()
        claimants = (Claimant(channel, fault.target), Claimant(channel, other))
        heard = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(heard, "hler.claims", "claim")
        while time.monotonic() < end:
            method, properties, body = channel.basic_get(heard, auto_ack=True)
            if (method is not None and properties.user_id == fault.target and properties.type == "hler.claim.v1"
                    and not str(properties.message_id).startswith(OURS)):
                seen += 1
                for claimant in claimants:
                    claimant.claim(json.loads(body))
            act(world, claimants)
            if method is None:
                time.sleep(0.002)
        time.sleep(1)
        act(world, claimants)
        channel.connection.close()
    except (pika.exceptions.AMQPError, OSError):
        pass # the broker went away
    return seen > 0
