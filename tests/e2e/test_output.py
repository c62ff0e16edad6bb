"""What a program prints arrives as it was: any bytes, any length, in order."""
import hashlib
import json
import os
import time

from stack import wait_for

LIMIT = 1_000_000 # of test.limited


def output_of(stack, script, timeout=60):
    done = stack.run("test.shell", {"script": script}, timeout=timeout)
    assert done["state"] == "succeeded", done
    stack.assert_complete(done["id"])
    return done["id"], stack.output(done["id"])


def test_invalid_utf8_and_nul(stack):
    operation, said = output_of(stack, r"printf 'ok \377\300\200 \000 end\n'")
    assert said == b"ok \xff\xc0\x80 \x00 end\n"
    text = "".join(r["text"] for r in stack.sql("SELECT text FROM hler.output WHERE operation = %s ORDER BY seq", operation))
    assert text == "ok \ufffd\ufffd\ufffd \ufffd end\n"


def test_utf8_is_never_cut_in_a_character(stack):
    script = "for i in $(seq 40000); do printf 'h\\303\\251\\342\\202\\254'; done"
    operation, said = output_of(stack, script)
    assert said == "h\u00e9\u20ac".encode() * 40000
    assert stack.one("SELECT count(*) FROM hler.output WHERE operation = %s AND raw IS NOT NULL", operation) == 0


def test_one_line_of_ten_megabytes(stack):
    operation, said = output_of(stack, "head -c 10000000 /dev/zero | tr '\\0' x; echo")
    assert len(said) == 10000001
    assert hashlib.sha256(said).digest() == hashlib.sha256(b"x" * 10000000 + b"\n").digest()
    assert stack.one("SELECT count(*) FROM hler.output_lines WHERE operation = %s", operation) == 1


def test_a_hundred_thousand_lines_in_order(stack):
    operation, said = output_of(stack, "seq 100000")
    assert said == b"".join(b"%d\n" % i for i in range(1, 100001))
    lines = stack.sql("SELECT line, text FROM hler.output_lines WHERE operation = %s AND line IN (1, 50000, 100000) ORDER BY line",
                      operation)
    assert [(r["line"], r["text"]) for r in lines] == [(1, "1"), (50000, "50000"), (100000, "100000")]


def test_no_output_at_all(stack):
    _, said = output_of(stack, ":")
    assert said == b""


def test_streams_are_kept_apart(stack):
    operation, said = output_of(stack, "echo a; echo b >&2; echo c")
    assert said == b"a\nc\n" and stack.output(operation, "stderr") == b"b\n"


def test_output_written_after_the_program_ended_is_still_read(stack):
    _, said = output_of(stack, "(sleep 0.2; echo late) & echo early")
    assert said in (b"early\nlate\n", b"early\n")
    assert said.startswith(b"early\n")


def test_a_flood_is_kept_to_its_limit_and_counted_beyond(stack):
    """A gigabyte, and what it costs the others: tests/faults/figures flood."""
    beyond = 20_000_003
    done = stack.run("test.limited", {"script": f"yes | head -c {LIMIT + beyond}; echo sorry >&2"}, timeout=60)
    assert done["state"] == "succeeded", done
    stack.assert_complete(done["id"])
    beyond += len("sorry\n")
    attempt, = stack.attempts(done["id"])
    assert (attempt["output_bytes"], attempt["dropped_bytes"]) == (LIMIT, beyond)
    assert stack.output(done["id"]) == b"y\n" * (LIMIT // 2) and not stack.output(done["id"], "stderr")
    mark, = [e for e in stack.events(done["id"]) if e["type"] == "progress"]
    assert mark["data"] == {"kind": "output_limit", "kept_bytes": LIMIT}
    assert stack.hler("log", str(done["id"])) == "y\n" * (LIMIT // 2)
    assert f"task run: {LIMIT} bytes of output were kept and {beyond} dropped" in stack.last_error


def test_a_flood_goes_at_a_pace_while_others_start(make_stack):
    """At the pace it would take a minute: it takes it while tasks start beside it, and no longer."""
    stack = make_stack("--workers", "1", "--set", "worker.pace_bytes_per_s=65536")
    gate = stack.path("gate")
    flood = stack.shell(f"while [ ! -e {gate} ]; do sleep 0.05; done; yes 0123456 | head -c 4000000")
    stack.wait(flood, ["running"])

    def recorded():
        return stack.one("SELECT coalesce(sum(octet_length(text)), 0) FROM hler.output WHERE operation = %s", flood)
    assert stack.run("test.true")["state"] == "succeeded"
    open(gate, "w", encoding="utf-8").close()
    began = time.monotonic()
    while time.monotonic() < began + 3 or not recorded():
        assert stack.run("test.true")["state"] == "succeeded"
    assert recorded() < 1000000
    wait_for(lambda: recorded() == 4000000, what="all of it")

    def is_early():
        """Of a job that nobody is beside: more in the first second than the pace would let through."""
        alone = stack.shell("yes 0123456 | head -c 4000000")
        stack.assert_complete(alone)
        return stack.one("""SELECT sum(octet_length(o.text)) FROM hler.output AS o JOIN hler.attempts AS a USING (operation)
                             WHERE operation = %s AND o.recorded_at < a.started_at + interval '1 second'""", alone) > 400000
    assert any(is_early() for _ in range(3)) # what was before it may not have all its confirms


def test_a_flood_goes_at_a_pace_while_others_start_elsewhere(make_stack):
    """Its own worker has one slot and sees no start: the dispatchers tell it.  At the pace it would take a quarter of an hour."""
    stack = make_stack("--dispatchers", "2", "--workers", "2", "--slots", "1", "--set", "worker.pace_bytes_per_s=65536")
    gate = stack.path("gate")
    flood = stack.shell(f"while [ ! -e {gate} ]; do sleep 0.05; done; yes 0123456 | head -c 60000000; "
                        f"while [ -e {gate} ]; do sleep 0.05; done")
    stack.wait(flood, ["running"])

    def recorded():
        return stack.one("SELECT coalesce(sum(octet_length(text)), 0) FROM hler.output WHERE operation = %s", flood)

    def start_for(seconds):
        """The longest time that one took."""
        began, longest = time.monotonic(), 0
        while time.monotonic() < began + seconds:
            one = time.monotonic()
            assert stack.run("test.true")["state"] == "succeeded"
            longest = max(longest, time.monotonic() - one)
        return longest
    start_for(1)
    open(gate, "w", encoding="utf-8").close()
    wait_for(recorded, what="the flood")
    start_for(2) # what it had sent before it was told
    for _ in range(3):
        before = recorded()
        # Else it went on at full speed in between, or what it had sent earlier was recorded only now.
        if start_for(2) < 0.9 and recorded() - before < 1000000:
            break
    assert recorded() - before < 1000000 and recorded() < 50000000
    os.remove(gate) # it held its slot until now
    wait_for(lambda: recorded() == 60000000, what="all of it")


def test_of_many_that_begin_at_once_none_floods_before_others_have_spoken(one_worker):
    """Each knows of others but the first, which may have begun before they came."""
    stack = one_worker
    many = [r["id"] for r in stack.sql("INSERT INTO hler.operation (type, inputs) SELECT 'test.shell', %s FROM generate_series(1, 6) "
                                       "RETURNING id", json.dumps({"script": "yes | head -c 400000"}), role="frontend")]
    for operation in many:
        assert stack.wait(operation)["state"] == "succeeded"
        stack.assert_complete(operation)
    pauses = [stack.one("""SELECT extract(epoch FROM max(worker_at) - min(worker_at))::float8 FROM (
                               SELECT worker_at FROM hler.output WHERE operation = %s ORDER BY seq LIMIT 2) AS o""", operation)
              for operation in many]
    assert len([p for p in pauses if p >= 0.09]) >= len(many) - 1, pauses


def test_first_words_pass_a_backlog(one_worker):
    """Output waits for a row, and a flood piles up behind it; what another job says then is recorded before most of that."""
    stack = one_worker
    gate = stack.path("gate")

    def is_published(operation):
        task = str(stack.tasks(operation)[0]["id"])
        return any(task in name for name in os.listdir(stack.path("spool/worker-1/done")))

    talker = stack.shell(f"while [ ! -e {gate} ]; do sleep 0.05; done; echo; while [ -e {gate} ]; do sleep 0.05; done")
    stack.wait(talker, ["running"])
    lock = stack.connect("migrate")
    lock.autocommit = False
    lock.cursor().execute("SELECT FROM hler.attempt WHERE task IN (SELECT id FROM hler.task WHERE operation = %s) FOR UPDATE", (talker,))
    open(gate, "w", encoding="utf-8").close()
    wait_for(lambda: stack.one("SELECT count(*) FROM pg_locks WHERE NOT granted", role="migrate"), what="output that waits")
    flood = stack.shell("yes 0123456 | head -c 6000000")
    wait_for(lambda: is_published(flood), what="the flood in the queue")
    other = stack.shell("echo hello")
    wait_for(lambda: is_published(other), what="a word behind it")
    lock.close()
    os.remove(gate)
    for operation in (talker, flood, other):
        stack.assert_complete(operation)
        stack.assert_in_order(operation)
    before, behind = (stack.one(f"""SELECT count(*) FROM hler.output WHERE operation = %s AND recorded_at {than}
                                    (SELECT recorded_at FROM hler.output WHERE operation = %s)""", flood, other) for than in "<>")
    assert before < behind, (before, behind)
