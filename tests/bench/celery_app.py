"""Celery in the shape of Aegir 5's workers: `dispatcherd` runs the operation and reports by sending
tasks to `relayd`, which writes the rows.  Publisher confirms and late acks on.  All that varies
comes from BENCH_* in the environment."""
import os
import subprocess
import time

import psycopg2
from celery import Celery
from celery.signals import worker_ready

app = Celery("celery_app", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_default_queue="bench", task_default_delivery_mode=2, task_ignore_result=True,
    task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=4,
    broker_transport_options={"confirm_publish": True},
)
EVENT = "e" * 240
LINE = "line %06d: 0123456789 the quick brown fox jumps over the lazy dog 0123456789 abcdefghij"
_connection = None


@worker_ready.connect
def ready(**_):
    with open(os.environ["BENCH_READY"], "w", encoding="utf-8") as f:
        f.write("ready")


def database():
    global _connection
    if _connection is None:
        _connection = psycopg2.connect(os.environ["BENCH_DSN"])
    return _connection


@app.task
def relay_state(op, kind):
    """relayd: one status event is the event's row and the operation's state, committed."""
    with database() as c, c.cursor() as k:
        k.execute("INSERT INTO events(op_id, seq, kind, body) VALUES (%s, %s, %s, %s) "
                  "ON CONFLICT DO NOTHING", (op, kind, kind, EVENT))
        k.execute("UPDATE ops SET state = 1 + %s, done_at = CASE WHEN %s = 2 THEN clock_timestamp() END "
                  "WHERE id = %s AND state < 1 + %s", (kind, kind, op, kind))


@app.task
def relay_line(op, seq, line):
    """relayd: one line of output is one row, committed."""
    with database() as c, c.cursor() as k:
        k.execute("INSERT INTO events(op_id, seq, kind, body) VALUES (%s, %s, 3, %s)", (op, seq, line))


@app.task
def run_op(op, _payload):
    """dispatcherd: one operation."""
    relay_state.apply_async((op, 1), queue="relay")
    subprocess.run(["/bin/true"], check=True)
    relay_state.apply_async((op, 2), queue="relay")


@app.task
def run_lines(op, count):
    for i in range(count):
        relay_line.apply_async((op, i, LINE % i), queue="relay")


@app.task
def stamp(path):
    """The first line of a task's body: CLOCK_MONOTONIC in ns."""
    with open(path, "a", encoding="utf-8") as f:
        f.write(f"{time.monotonic_ns()}\n")


@app.task
def start(program, path):
    """A program that stamps by itself."""
    subprocess.run([program], check=True, env={"HLER_INPUT_PATH": path})
