"""Several dispatchers and front ends at once, and plans that hold at every size."""
import itertools
import json
import random
import threading

import psycopg2
from sqlserver import INSTANCE, SESSION, Plumbing, database_of_its_own, finished  # noqa: F401 pylint: disable=unused-import


def in_threads(*works):
    """Run the works side by side; the first failure is the test's."""
    failed = []

    def guarded(work):
        try:
            work()
        except Exception as error:  # pylint: disable=broad-except
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if failed:
        raise failed[0]


def test_two_dispatchers_never_take_the_same_task(db):
    db.type()
    db.rows("INSERT INTO hler.operation (type) SELECT 't.one' FROM generate_series(1, 400)", user="front")
    db.rows("UPDATE hler.setting SET value = 400 WHERE name = 'window_min'")
    taken = [[], []]

    def take(mine):
        own = Plumbing(db.server, db.name)
        while offers := own.offer(7):
            mine.extend(offers)
        own.close()

    in_threads(*(lambda mine=mine: take(mine) for mine in taken))
    assert len({o["task"] for o in taken[0] + taken[1]}) == len(taken[0] + taken[1]) == 400


def test_a_claim_waits_for_the_other_and_loses(db):
    db.type()
    db.submit()
    (offer,) = db.offer()
    first = db.server.connect(db.name, "disp", autocommit=False)
    first.cursor().execute("SELECT * FROM hler_core.grant_claims('{1}', '{w2}', %s::uuid[], %s::uuid[], %s::uuid[], '{1}', %s)",
                           [["33333333-3333-4333-8333-333333333333"], [SESSION], [offer["task"]], [offer["token"]]])
    verdicts = []
    second = threading.Thread(target=lambda: verdicts.extend(db.claim([offer])))
    second.start()
    first.commit()
    second.join(30)
    first.close()
    assert verdicts == ["taken"]


def test_nothing_ends_before_it_was_offered(db):
    """A cancel that waits for an offer in the making."""
    db.type()
    op = db.submit()
    offering = db.server.connect(db.name, autocommit=False)
    offering.cursor().execute("SELECT FROM hler.task FOR NO KEY UPDATE")
    cancelling = threading.Thread(target=lambda: Plumbing(db.server, db.name).one("SELECT hler.cancel(%s)", [op], "oper"))
    cancelling.start()
    while not db.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
        pass
    offering.cursor().execute("SELECT * FROM hler_core.offer_due('d', 10)")
    offering.commit()
    cancelling.join(30)
    offering.close()
    assert db.one("SELECT state = 'void' AND offered_at <= finished_at FROM hler.attempts WHERE operation = %s", [op]) is True


def test_a_crowd_without_deadlock_and_every_operation_ends_once(db):
    """Front ends submit and cancel, dispatchers offer, grant and record in batches of any order."""
    db.type("t.two", tasks=2)
    db.type("t.one")
    stop = threading.Event()
    chance = random.Random(3)
    ops = []

    def front(name):
        own = Plumbing(db.server, db.name)
        for n in range(60):
            op = own.submit(chance.choice(["t.one", "t.two"]), user=name)
            ops.append(op)
            if n % 4 == 0:
                own.one("SELECT hler.cancel(%s)", [chance.choice(ops[-5:])], "oper")
        own.close()

    def dispatcher(worker):
        own = Plumbing(db.server, db.name)
        instance = INSTANCE.replace("1", worker[-1])
        while not stop.is_set():
            offers = own.offer(10)
            chance.shuffle(offers)
            mine = [o for o, v in zip(offers, own.claim(offers, worker, instance)) if v == "granted"]
            events = list(itertools.chain(*([(o, "started", 1, {}, worker), (o, "finished", 3, finished(), worker)]
                                            for o in mine)))
            chance.shuffle(events)
            for cut in (events[::2], events[1::2], events[:3]):
                if cut:
                    own.events(cut)
            chance.shuffle(mine)
            for offer in mine:
                own.output(offer, [(2, "stdout", "x")], worker)
            own.beat([(o, "running") for o in mine], worker, instance)
            own.rows("SELECT * FROM hler_core.stops_due()", user="disp")
            own.rows("SELECT hler_core.tick(now(), 60000, 1000)", user="disp")
            own.rows("SELECT * FROM hler_core.clock_step()", user="disp")
        own.close()

    def until_all_ended():
        fronts = [threading.Thread(target=front, args=[name]) for name in ("front", "other")]
        for thread in fronts:
            thread.start()
        for thread in fronts:
            thread.join(60)
        for _ in range(3000):
            if db.one("SELECT count(*) FROM hler.operation WHERE finished_at IS NULL") == 0:
                break
            stop.wait(0.02)
        stop.set()

    in_threads(until_all_ended, lambda: dispatcher("w4"), lambda: dispatcher("w5"), lambda: dispatcher("w6"))
    assert len(ops) == 120
    assert db.rows("SELECT DISTINCT state FROM hler.operation ORDER BY 1") == [("cancelled",), ("succeeded",)]
    assert db.one("SELECT count(*) FROM hler.attempt WHERE state = 'succeeded'") == db.one(
        "SELECT count(*) FROM hler.task WHERE state = 'succeeded'")
    assert db.one("SELECT bool_and(events_recorded = 3) FROM hler.attempt WHERE state = 'succeeded'")


def test_an_uncommitted_idempotency_key_is_waited_for(db):
    db.type()
    sql = "SELECT hler.submit('t.one', '{}', idempotency_key => 'k')"
    first = db.server.connect(db.name, "front", autocommit=False)
    cursor = first.cursor()
    cursor.execute(sql)
    made = str(cursor.fetchone()[0])
    answers = []
    second = threading.Thread(target=lambda: answers.append(db.one(sql, user="front")))
    second.start()
    first.commit()
    second.join(30)
    first.close()
    assert answers == [made]


def plan_of(db, sql):
    """EXPLAIN ANALYZE of a statement inside a function, as auto_explain would log it."""
    return json.dumps(db.one("EXPLAIN (ANALYZE, FORMAT JSON) " + sql))


def test_the_claim_reads_only_what_it_takes_among_a_million(db):
    db.type()
    db.rows("ALTER TABLE hler.operation DISABLE TRIGGER ALL; ALTER TABLE hler.task DISABLE TRIGGER ALL;"
            "INSERT INTO hler.operation (id, type, version, state, requester, created_at)"
            " VALUES ('0195fe5a-0000-7000-8000-000000000000', 't.one', 1, 'pending', 'front', now());"
            "INSERT INTO hler.task (id, operation, task_type, no, priority, state, pool, key, created_at, ready_at)"
            " SELECT ('0195fe5a-0001-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '0195fe5a-0000-7000-8000-000000000000', 1, 1, n %% 5, 'ready', 'default', 'k' || n,"
            " now(), now() + n * interval '1 ms' FROM generate_series(1, 1000000) AS n".replace("%%", "%") + ";"
            "ALTER TABLE hler.operation ENABLE TRIGGER ALL; ALTER TABLE hler.task ENABLE TRIGGER ALL")
    read = ("SELECT sum(t.seq_scan), (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relname = 'task')"
            " FROM pg_stat_user_tables AS t WHERE t.relname = 'task'")
    for analyzed in (False, True):
        if analyzed:
            db.rows("ANALYZE hler.task")
        # what hler_core.take_ready takes, as its planner sees it
        body = db.one("SELECT prosrc FROM pg_proc WHERE proname = 'take_ready'")
        body = body[body.index("WITH due"):body.index("claim AS")].rstrip().rstrip(",") + " SELECT count(*) FROM taken"
        body = body.replace("take_ready.pool", "'default'").replace("LIMIT most", "LIMIT 50")
        body = body.replace("= still", "= (SELECT 'ready')")
        plan = plan_of(db, body)
        assert "task_ready" in plan and '"Seq Scan"' not in plan
        db.rows("SELECT pg_stat_force_next_flush()")
        (scans, entries), = db.rows(read)
        db.rows("SELECT pg_stat_force_next_flush()", user="disp")
        db.rows("SELECT task FROM hler_core.offer_due('d', 5)", user="disp")
        (scans_after, entries_after), = db.rows(read)
        assert scans_after == scans, "the function itself read the whole table"
        assert entries_after - entries < 1000, "or the whole index"


def test_connections_are_not_left_in_a_transaction(db):
    """The fixture's own promise: nothing of a failed statement stays open."""
    try:
        db.rows("SELECT 1 / 0", user="front")
    except Exception:  # pylint: disable=broad-except
        pass
    assert db.connection("front").info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE
