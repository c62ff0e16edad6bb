"""What a front end may ask: every rule of the INSERT, all faults at once."""
import json

import psycopg2.extras
import pytest
from sqlserver import Fault, INSTANCE, SESSION, database_of_its_own, new_database  # noqa: F401 pylint: disable=unused-import

FIELDS = [
    {"name": "title", "type": "string", "required": True, "max_length": 10, "pattern": "^[A-Z]"},
    {"name": "count", "type": "integer", "min": 1, "max": 9, "default": 3},
    {"name": "ratio", "type": "number", "min": 0.5},
    {"name": "on", "type": "boolean"},
    {"name": "site", "type": "uuid"},
    {"name": "tree", "type": "object"},
    {"name": "list", "type": "array", "max_length": 2},
    {"name": "size", "type": "string", "enum": ["s", "m"]},
]
DEEP = "[" * 14 + "]" * 14

BAD_INPUTS = [
    ('{}', [("title", "required")]),
    ('{"title": null}', [("title", "required")]),
    ('{"title": 1}', [("title", "type")]),
    ('{"title": "toolongtitle"}', [("title", "max_length"), ("title", "pattern")]),
    ('{"title": "lower"}', [("title", "pattern")]),
    ('{"title": "A", "count": 0}', [("count", "min")]),
    ('{"title": "A", "count": 10}', [("count", "max")]),
    ('{"title": "A", "count": 1.5}', [("count", "type")]),
    ('{"title": "A", "count": "1"}', [("count", "type")]),
    ('{"title": "A", "ratio": 0.1}', [("ratio", "min")]),
    ('{"title": "A", "on": "true"}', [("on", "type")]),
    ('{"title": "A", "site": "x"}', [("site", "type")]),
    ('{"title": "A", "tree": []}', [("tree", "type")]),
    ('{"title": "A", "list": {}}', [("list", "type")]),
    ('{"title": "A", "list": [1, 2, 3]}', [("list", "max_length")]),
    ('{"title": "A", "size": "xl"}', [("size", "enum")]),
    ('{"title": "A", "nope": 1}', [("nope", "unknown_field")]),
    ('{"title": "A", "$ref": 1}', [("$ref", "reserved")]),
    ('{"title": "A\\u0000"}', [("inputs", "nul")]),
    ('{"title": "A", "\\u0000": 1}', [("inputs", "nul")]),
    ('{"title": "A\\ud800"}', [("inputs", "type")]),
    ('{"title": "A", "title": "B"}', [("title", "duplicate")]),
    ('{"title": "A", "tree": {"x": {"y": 1, "y": 2}}}', [("tree.x.y", "duplicate")]),
    ('{"title": "A", "tree": {"x": %s}}' % DEEP, [("tree.x" + "[0]" * 12, "size")]),
    ('{"title": "A", "ratio": 1e400}', [("ratio", "range")]),
    ('{"title": "A", "ratio": 1e131071}', [("ratio", "range")]),
    ('{"title": "A", "tree": {"n": 9007199254740993}}', [("tree.n", "range")]),
    ('{"title": "A", "tree": {%s}}' % ",".join(f'"k{n}": 1' for n in range(1025)), [("tree", "size")]),
    ('[]', [("inputs", "type")]),
    ('"text"', [("inputs", "type")]),
    ('{"title": "%s"}' % ("A" * 262144), [("inputs", "size")]),
]

BAD_COLUMNS = [
    ({"priority": 101}, [("priority", "range")]),
    ({"priority": -101}, [("priority", "range")]),
    ({"run_at": "2030-01-02", "start_by": "2030-01-01"}, [("start_by", "range")]),
    ({"run_at": "infinity"}, [("run_at", "range")]),
    ({"idempotency_key": ""}, [("idempotency_key", "key")]),
    ({"idempotency_key": "k" * 201}, [("idempotency_key", "key")]),
    ({"actor": "a" * 201}, [("actor", "max_length")]),
    ({"traceparent": "00-zz"}, [("traceparent", "pattern")]),
    ({"labels": "[]"}, [("labels", "type")]),
    ({"labels": '{"a": 1}'}, [("labels", "type")]),
    ({"labels": json.dumps({"a": "x" * 9000})}, [("labels", "size")]),
    ({"version": 7}, [("type", "unknown_type")]),
]


@pytest.fixture(name="site")
def typed(db):
    db.type("t.site", fields=FIELDS)
    return db


@pytest.fixture(name="strict", scope="module")
def refusing():
    """For tests that leave nothing behind."""
    database = new_database()
    database.type("t.site", fields=FIELDS)
    yield database
    database.close()


@pytest.mark.parametrize("inputs, rules", BAD_INPUTS, ids=[i[0][:40].replace("\\", "") for i in BAD_INPUTS])
def test_bad_inputs_are_refused_with_their_rule(strict, inputs, rules):
    for sql in ["INSERT INTO hler.operation (type, inputs) VALUES ('t.site', %s)", "SELECT hler.submit('t.site', %s)"]:
        with pytest.raises(Fault) as refused:
            strict.rows(sql, [inputs], "front")
        assert refused.value.code == "HL001"
        assert refused.value.rules == sorted(rules)
        assert all(set(f) == {"field", "rule", "message"} for f in refused.value.faults)
    assert strict.one("SELECT count(*) FROM hler.operation") == 0 == strict.one("SELECT count(*) FROM hler.task")


@pytest.mark.parametrize("columns, rules", BAD_COLUMNS, ids=[str(c[0])[:40] for c in BAD_COLUMNS])
def test_bad_columns_are_refused_with_their_rule(strict, columns, rules):
    with pytest.raises(Fault) as refused:
        strict.submit("t.site", {"title": "A"}, **columns)
    assert refused.value.code == "HL001"
    assert refused.value.rules == rules


def test_all_faults_come_at_once(site):
    with pytest.raises(Fault) as refused:
        site.submit("t.site", {"count": 99, "x": 1, "$y": 2}, priority=1000, actor="a" * 300)
    assert refused.value.rules == [("$y", "reserved"), ("actor", "max_length"), ("count", "max"), ("priority", "range"),
                                   ("title", "required"), ("x", "unknown_field")]
    with pytest.raises(Fault) as refused:
        site.submit("no.such", {"x": 1}, priority=1000)
    assert refused.value.rules == [("priority", "range"), ("type", "unknown_type")]


def test_good_inputs_keep_their_text_and_offers_have_the_defaults(site):
    inputs = {"title": "Abc", "ratio": 0.5, "on": False, "size": "m", "list": [1, "x"], "tree": {"a": {"b": [None]}},
              "site": "0195fe5a-0000-7000-8000-000000000001"}
    op = site.submit("t.site", inputs)
    assert site.one("SELECT inputs FROM hler.operations WHERE id = %s", [op], "front") == inputs
    assert site.offer()[0]["inputs"] == {**inputs, "count": 3}
    site.submit("t.site", {"title": "B", "count": None})
    assert site.offer()[0]["inputs"] == {"title": "B", "count": 3}
    site.submit("t.site", {"title": "B", "tree": {"backslash": "\\u0000 is six characters"}})
    assert site.offer()[0]["inputs"]["tree"]["backslash"] == "\\u0000 is six characters"


def test_submit_takes_text_json_and_jsonb_and_named_arguments(site):
    target = "0195fe5a-0000-7000-8000-000000000002"
    ops = [
        site.one("SELECT hler.submit('t.site', '{\"title\": \"A\"}', target => %s, priority => 5, actor => 'jo')",
                 [target], "front"),
        site.one("SELECT hler.submit('t.site', jsonb_build_object('title', 'A'))", user="front"),
        site.one("SELECT hler.submit('t.site', %s)", [psycopg2.extras.Json({"title": "A"})], "front"),
        site.one("SELECT hler.submit('t.site', '{\"title\": \"A\"}'::json, id => %s)", [target], "front"),
    ]
    assert len(set(ops)) == 4 and ops[3] == target
    assert site.rows("SELECT target::text, priority, actor, requester, version FROM hler.operations WHERE id = %s",
                     [ops[0]], "front") == [(target, 5, "jo", "front", 1)]
    assert ops[0][14] == "7", "ids of ours are version 7"
    with pytest.raises(Fault) as refused:
        site.one("SELECT hler.submit('t.site', 'no json')", user="front")
    assert (refused.value.code, refused.value.rules) == ("HL001", [("inputs", "type")])


def test_idempotency_key(site):
    sql = "SELECT hler.submit('t.site', '{\"title\": \"A\"}', idempotency_key => 'k1')"
    first = site.one(sql, user="front")
    assert site.one(sql, user="front") == first
    assert site.one(sql, user="other") != first
    with pytest.raises(Fault) as twice:
        site.submit("t.site", {"title": "A"}, idempotency_key="k1")
    assert twice.value.code == "23505"
    assert site.one("SELECT count(*) FROM hler.operation") == 2 == site.one("SELECT count(*) FROM hler.task")


def test_requester_must_be_a_word_of_routing_keys(site):
    site.server.admin('DROP ROLE IF EXISTS "Big.Name"')
    site.server.admin('CREATE ROLE "Big.Name" LOGIN IN ROLE hler_frontend')
    with pytest.raises(Fault) as refused:
        site.submit("t.site", {"title": "A"}, user="Big.Name")
    assert refused.value.rules == [("requester", "requester")]


def test_newest_version_is_the_default(site):
    site.type("t.site", version=2, fields=[])
    op = site.submit("t.site", {})
    assert site.one("SELECT version FROM hler.operations WHERE id = %s", [op]) == 2
    op = site.submit("t.site", {"title": "A"}, version=1)
    assert site.one("SELECT version FROM hler.operations WHERE id = %s", [op]) == 1
    assert site.rows("SELECT version, newest FROM hler.catalog ORDER BY version", user="front") == [(1, False), (2, True)]


def test_many_rows_in_one_statement(site):
    site.rows("INSERT INTO hler.operation (type, inputs) SELECT 't.site', '{\"title\": \"A\"}' FROM generate_series(1, 500)",
              user="front")
    assert site.one("SELECT count(*) FROM hler.tasks WHERE state = 'ready'", user="front") == 500


CATALOG = {"name": "t.x", "version": 1, "tasks": [{"name": "a", "executor": "command"}]}
BAD_CATALOG = [
    ({"name": "T.X"}, [("name", "pattern")]),
    ({"version": 0}, [("version", "range")]),
    ({"version": None}, [("version", "type")]),
    ({"extra": 1}, [("extra", "unknown_field")]),
    ({"tasks": []}, [("tasks", "size")]),
    ({"tasks": [{"name": "a", "executor": "command"}, {"name": "a", "executor": "command"}]}, [("tasks", "duplicate")]),
    ({"tasks": [{"name": "a", "executor": "Command", "pool": "p.q", "deadline_ms": -1, "max_tries": 0, "spec": 1,
                 "repeatable": "yes", "zzz": 1}]},
     [("tasks[0].deadline_ms", "range"), ("tasks[0].executor", "pattern"), ("tasks[0].max_tries", "range"),
      ("tasks[0].pool", "pattern"), ("tasks[0].repeatable", "type"), ("tasks[0].spec", "type"),
      ("tasks[0].zzz", "unknown_field")]),
    ({"tasks": [{"name": "a", "executor": "command", "needs": ["b"]}]}, [("tasks[0].needs", "unknown_field")]),
    ({"tasks": [{"name": "a", "executor": "command", "needs": ["b"]}, {"name": "b", "executor": "command"}]},
     [("tasks", "cycle")]),
    ({"fields": [{"name": "A", "type": "text"}]}, [("fields[0].name", "pattern"), ("fields[0].type", "pattern")]),
    ({"fields": [{"name": "a", "type": "string", "pattern": "("}]}, [("fields[0].pattern", "pattern")]),
    ({"fields": [{"name": "a", "type": "integer", "min": 3, "max": 2}]}, [("fields[0].min", "range")]),
    ({"fields": [{"name": "a", "type": "string", "min": 3}]}, [("fields[0].min", "type")]),
    ({"fields": [{"name": "a", "type": "string"}, {"name": "a", "type": "string"}]}, [("fields", "duplicate")]),
    ({"fields": [{"name": "a", "type": "integer", "max": 2, "default": 3}]}, [("a", "max")]),
]


@pytest.mark.parametrize("change, rules", BAD_CATALOG, ids=[str(c[0])[:40] for c in BAD_CATALOG])
def test_bad_catalogue_entries_are_refused_with_all_faults(strict, change, rules):
    with pytest.raises(Fault) as refused:
        strict.catalog({**CATALOG, **change})
    assert (refused.value.code, refused.value.rules) == ("HL002", rules)
    assert strict.rows("SELECT name FROM hler.operation_type") == [("t.site",)]


def test_catalogue_entries_never_change(db):
    assert db.catalog(CATALOG) == ("t.x", 1, True)
    assert db.catalog(CATALOG) == ("t.x", 1, False)
    with pytest.raises(Fault) as refused:
        db.catalog({**CATALOG, "description": "other"})
    assert (refused.value.code, refused.value.rules) == ("HL002", [("version", "duplicate")])
    for sql in ["UPDATE hler.operation_type SET description = ''", "DELETE FROM hler.task_type", "TRUNCATE hler.field"]:
        with pytest.raises(Fault) as refused:
            db.rows(sql)
        assert refused.value.code == "HL409"


def test_a_heartbeat_that_cannot_be_read_holds_up_no_other(db):
    def body(**more):
        return json.dumps({"session": SESSION, "number": 7, "instance": INSTANCE, "pool": "default", "slots": 2, "held": [], **more})
    bodies = [body(), body(slots="many"), body(number=8)]
    rows = db.rows("SELECT worker, kind, number FROM hler_core.heartbeat(%s, %s, %s)",
                   [["w1", "w2", "w3"], ["c1", "c2", "c3"], bodies], "disp")
    assert rows == [("w1", "beat", 7), ("w3", "beat", 8)]
    assert db.rows("SELECT id FROM hler.worker ORDER BY id") == [("w1",), ("w3",)]
    assert db.rows("SELECT reason FROM hler.dead_message WHERE facts LIKE '%%w2%%'") == [("not_recordable",)]
