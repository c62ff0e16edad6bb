"""Producer beside celery_app.py; prints one JSON object.
celery_client.py drain N | lines N | latency N STAMPFILE [PROGRAM]"""
import json
import os
import sys
import time

import psycopg2

import celery_app


IDLE_GAP_S = 0.1  # as in bench.py: what the last task left to do is over


def connect():
    c = psycopg2.connect(os.environ["BENCH_DSN"])
    return c, c.cursor()


def wait_for(cursor, sql, count, limit_s):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        cursor.execute(sql)
        if cursor.fetchone()[0] >= count:
            return
        time.sleep(0.02)
    raise SystemExit(f"celery: not {count} in {limit_s} s: {sql}")


def drain(count):
    """`count` committed rows to their final state; claims 16 at a time, so that relayd does not
    wait long for the row locks."""
    c, k = connect()
    begin = time.monotonic()
    done = 0
    while done < count:
        k.execute("UPDATE ops SET state = 1, claimed_at = clock_timestamp() WHERE id = ANY (ARRAY(SELECT id "
                  "FROM ops WHERE state = 0 ORDER BY id LIMIT 16 FOR NO KEY UPDATE SKIP LOCKED)) "
                  "RETURNING id, payload")
        rows = k.fetchall()
        for op, payload in rows:
            celery_app.run_op.delay(op, payload)
        c.commit()
        done += len(rows)
    c.autocommit = True
    wait_for(k, "SELECT count(*) FROM ops WHERE state = 3", count, 300)
    seconds = time.monotonic() - begin
    return {"operations": count, "seconds": seconds, "rate": count / seconds}


def lines(count):
    c, k = connect()
    c.autocommit = True
    celery_app.relay_line.apply_async((0, 0, "warm"), queue="relay")
    wait_for(k, "SELECT count(*) FROM events WHERE op_id = 0", 1, 30)
    begin = time.monotonic()
    celery_app.run_lines.delay(1, count)
    wait_for(k, "SELECT count(*) FROM events WHERE op_id = 1", count, 300)
    seconds = time.monotonic() - begin
    return {"lines": count, "seconds": seconds, "rate": count / seconds}


def latency(count, path, *program):
    """Row committed, then delay(): ms from the answered COMMIT to the first line of the task, or of the program that it starts."""
    c, k = connect()
    took = []
    for i in range(count + 3):
        k.execute("INSERT INTO ops(payload) VALUES (repeat('p', 300))")
        c.commit()
        committed = time.monotonic_ns()
        (celery_app.start if program else celery_app.stamp).delay(*program, path)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as f:
                    stamps = f.read().split()
                if len(stamps) > i:
                    break
            time.sleep(0.005)
        if i >= 3:                       # the first ones warm the connection
            took.append((int(stamps[i]) - committed) / 1e6)
        time.sleep(IDLE_GAP_S)
    return {"ms": took}


def main():
    what, count, *rest = sys.argv[1:]
    print(json.dumps({"drain": drain, "lines": lines, "latency": latency}[what](int(count), *rest)))


if __name__ == "__main__":
    main()
