"""Ten thousand workers that only send heartbeats.  They share one connection, whose user may speak in others' names (the
broker's tag `impersonator`); each has a control queue of its own, which keeps the last answer.  They do not wait for answers."""
import json
import multiprocessing
import random
import time
import uuid

import pika

USER = "swarm"
STEP_S = 0.005 # real ones come evenly spread
LOOKED_AT = 300 # control queues, at the end


def name(i):
    return f"{USER}-{i:05d}"


def make_user(stack):
    stack.manage("PUT", f"users/{USER}", {"password": USER, "tags": "impersonator"})
    stack.manage("PUT", f"permissions/hler/{USER}", {"configure": ".*", "write": ".*", "read": ".*"})
    url = stack.env["HLER_AMQP_URL_OPERATOR"]
    return f"amqp://{USER}:{USER}@{url.split('@')[1]}"


class Swarm:
    """`every_s`: between two heartbeats of one worker."""

    def __init__(self, stack, workers, every_s):
        context = multiprocessing.get_context("spawn")
        self.end, self.ready, self.told = context.Event(), context.Event(), context.Queue()
        self.process = context.Process(target=live, daemon=True,
                                       args=(make_user(stack), workers, every_s, self.ready, self.end, self.told))
        self.process.start()

    def stop(self):
        """{"sent", "answered", "looked_at", "late_s"}"""
        self.end.set()
        told = self.told.get(timeout=120)
        self.process.join()
        return told


def live(url, workers, every_s, ready, end, told):
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    sessions = [str(uuid.uuid4()) for _ in range(workers)]
    for i, session in enumerate(sessions):
        channel.queue_declare(control(i, session), exclusive=True, arguments={"x-max-length": 1})
    ready.set()
    sent, late, began = 0, 0.0, time.monotonic()
    while not end.is_set():
        due = int((time.monotonic() - began) / every_s * workers)
        while sent < due:
            beat(channel, sent % workers, sessions[sent % workers], sent // workers)
            sent += 1
        late = max(late, time.monotonic() - began - sent * every_s / workers)
        channel.connection.process_data_events(time_limit=STEP_S)
    looked = random.sample(range(min(sent, workers)), min(sent, LOOKED_AT))
    answered = sum(channel.queue_declare(control(i, sessions[i]), passive=True).method.message_count for i in looked)
    told.put({"sent": sent, "answered": answered, "looked_at": len(looked), "late_s": late})
    channel.connection.close()


def control(i, session):
    return f"hler.control.{name(i)}.{session}"


def beat(channel, i, session, number):
    worker, kind = name(i), "aegir.hler.worker.heartbeat.v1"
    data = {"session": session, "number": number, "version": "1.0.0", "protocol": 1, "instance": session, "boot_id": session,
            "pool": "default", "slots": 4, "free": 0, "draining": False, "spool_bytes": 0, "oldest_unsent_ms": 0, "note": "",
            "executors": {"ansible": "1", "command": "1", "terraform": "1"}, "control": control(i, session), "held": []}
    event = {"specversion": "1.0", "id": f"{session}.heartbeat.{number}", "source": f"/hler/worker/{worker}", "type": kind,
             "time": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()), "datacontenttype": "application/json", "data": data}
    properties = pika.BasicProperties(content_type="application/cloudevents+json; charset=utf-8", type=kind, message_id=event["id"],
                                      user_id=worker, delivery_mode=1)
    channel.basic_publish("hler.results", f"{worker}.worker.heartbeat.-.-.-", json.dumps(event), properties)
