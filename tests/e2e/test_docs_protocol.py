"""The protocol's text agrees with its schemas, its limits, and the tables."""
import json
import os
import re

import psycopg2
import pytest

import docs
from stack import TOP, read
from test_schemas import validators

PROTOCOL = "proto/PROTOCOL.md"
SQL = "proto/sql/README.md"
VALUES = {"uuid": "0190b3a4-0000-7000-8000-000000000001", "task": "0190b3a4-0000-7000-8000-000000000002", "attempt": "1",
          "seq": "1", "token": "0123456789abcdef", "worker": "web-1", "id": "web-1", "word": "step", "field": "site_url",
          "cause": "exit", "time": "2026-01-02T03:04:05.678901Z",
          "queue": "hler.control.web-1.0190b3a4-0000-7000-8000-000000000003"}
SCALAR = r'(?:"[^"]*"|null|true|false|-?\d+)'


def variants(text):
    """The texts one gets by filling in <words> and choosing each alternative of `a|b` once."""
    text = re.sub(r"<([a-z]+)(?: uuid)?>", lambda m: VALUES[m[1]], text)
    text = re.sub(r'"([^"|]*)\|null"', r'"\1"|null', text)
    text = re.sub(r", …(?=\})", "", text).replace(": any", ': {"any": [1]}')
    choices = re.findall(rf"{SCALAR}(?:\|{SCALAR})+", text)
    for i in range(max([1] + [c.count("|") + 1 for c in choices])):
        yield re.sub(rf"{SCALAR}(?:\|{SCALAR})+", lambda m, i=i: m[0].split("|")[i % (m[0].count("|") + 1)], text)


def faults(schema, text):
    """What the schema says against each variant of an example."""
    check = validators()[schema]
    found = []
    for variant in variants(text):
        found += [f"{schema}: {e.json_path}: {e.message[:200]}\n{variant}" for e in check.iter_errors(json.loads(variant))]
    return found


def test_examples_are_valid():
    examples = docs.blocks(PROTOCOL, "json")
    kinds = ["offer", "claim", "answer", "control", "event"]
    assert len(examples) == len(kinds)
    for kind, text in zip(kinds, examples):
        for one in text.strip().splitlines() if kind == "control" else [text]:
            found = faults(kind, one)
            assert not found, "\n".join(found)


def test_control_shows_every_kind():
    schema = json.loads(read(f"{TOP}/proto/schemas/control.json"))
    kinds = {s["properties"]["kind"]["const"] for s in schema["oneOf"]}
    assert set(re.findall(r'"kind": +"(\w+)"', docs.blocks(PROTOCOL, "json")[3])) == kinds


def test_promises_name_tests_that_exist():
    promises = docs.rows(docs.section(PROTOCOL, "13. RELIABILITY"))
    assert len(promises) > 15
    for promise, held_by in promises:
        tests = docs.words(held_by)
        assert tests, promise
        for path, _, function in (t.partition("::") for t in tests):
            assert os.path.exists(f"{TOP}/{path}"), f"{promise}: {path}"
            assert not function or re.search(rf"^def {function}\(", read(f"{TOP}/{path}"), re.M), f"{promise}: {function}"


def event(group, kind, data, numbered):
    members = {"specversion": "1.0", "source": "/hler/worker/web-1", "type": f"aegir.hler.{group}.{kind}.v1", "time": VALUES["time"],
               "datacontenttype": "application/json", "data": "@", "id": f"{VALUES['uuid']}.{kind}.1"}
    if group == "attempt":
        name = ".".join(VALUES[w] for w in ("task", "attempt", "token"))
        members.update(operation=VALUES["uuid"], attempt=1, subject=VALUES["task"], id=f"{name}.{1 if numbered else kind}",
                       **({"seq": 1} if numbered else {}))
    return json.dumps(members).replace('"@"', data)


@pytest.mark.parametrize("heading, group, complete", [("6.1", "attempt", {"started", "output", "progress", "result", "finished"}),
                                                      ("6.2", "attempt", {"refused", "declined", "held", "lost"}),
                                                      ("6.3", "worker", {"rejected"})])
def test_data_of_events_is_valid(heading, group, complete):
    tried = set()
    for first, second in docs.rows(docs.section(PROTOCOL, heading)):
        kind, data = docs.words(first)[0], (docs.words(second) or [""])[0]
        if kind not in complete:
            continue
        data = data.replace('"first 4 KiB"', '"AAAA"')
        if kind == "output":
            assert '"base64"' in second
        found = faults("event", event(group, kind, data, heading == "6.1"))
        assert not found, "\n".join(found)
        tried.add(kind)
    assert tried == complete


def test_all_types_of_events_are_described():
    schema = read(f"{TOP}/proto/schemas/event.json")
    described = {f"attempt.{k}" for h in ("6.1", "6.2") for row in docs.rows(docs.section(PROTOCOL, h)) for k in docs.words(row[0])[:1]}
    described |= {f"worker.{k}" for row in docs.rows(docs.section(PROTOCOL, "6.3")) for k in docs.words(row[0])}
    checked = set(re.findall(r"aegir\.hler\.((?:attempt|worker)\.\w+)\.v1", schema))
    assert checked and checked <= described, checked - described


def test_causes_are_the_same_everywhere():
    table = docs.rows(docs.section(PROTOCOL, "9. Ends and causes"))
    by_runner = [w for row in table if not row[1].startswith("(") for w in docs.words(row[0])]
    listed = re.search(r'"done",.*?\}', read(f"{TOP}/proto/event_check.c"), re.S)[0]
    assert sorted(by_runner) == sorted(re.findall(r'"(\w+)"', listed)), "proto/event_check.c"

    def enums(node):
        if isinstance(node, dict):
            yield from [node["enum"]] if "enum" in node else []
            for child in node.values():
                yield from enums(child)
        elif isinstance(node, list):
            for child in node:
                yield from enums(child)

    [schema] = [e for e in enums(json.loads(read(f"{TOP}/proto/schemas/event.json"))) if "done" in e]
    assert sorted(by_runner) == sorted(schema), "proto/schemas/event.json"
    by_dispatcher = [w for row in table if row[1].startswith("(") for w in docs.words(row[0])]
    sql = "".join(read(f"{TOP}/proto/sql/{f}") for f in os.listdir(f"{TOP}/proto/sql") if f.endswith(".sql"))
    assert by_dispatcher and [c for c in by_dispatcher if f"'{c}'" not in sql] == []


def test_limits_are_those_of_the_program():
    header = dict(re.findall(r"#define (LIMIT_\w+) \(?([^/\n)]+)", read(f"{TOP}/proto/limits.h")))
    tables = docs.rows(docs.section(PROTOCOL, "1. Words and limits"))
    said = {row[0].strip(): row[1] for row in tables}
    for text, name in (("any AMQP message body", "MESSAGE"), ("inputs of an operation, as text", "INPUTS"),
                       ("outputs of a task, as text", "OUTPUTS"), ("value of one result, as text", "VALUE"),
                       ("output in one event", "OUTPUT"), ("claims in one message", "CLAIMS"), ("events in one message", "BATCH_EVENTS"), ("message line of an end", "END_MESSAGE")):
        value = 1
        key = f"LIMIT_{name}" if name in ("CLAIMS", "BATCH_EVENTS") else f"LIMIT_{name}_BYTES"
        for factor in re.findall(r"\d+", header[key]):
            value *= int(factor)
        number, unit = re.match(r"([\d,]+) ?(\w*)", said[text]).groups()
        assert int(number.replace(",", "")) * {"KiB": 1 << 10, "MiB": 1 << 20}.get(unit, 1) == value, text


def test_states_have_one_source():
    """SQL is compared in test_sql_states.py; no program keeps a table of its own, and the schemas name the ends."""
    table = json.loads(read(f"{TOP}/proto/transitions.json"))
    for kind, states in table.items():
        assert all(set(targets) <= set(states) for targets in states.values()), kind
    ends = {s for s, targets in table["attempt"].items() if not targets} - {"void"}
    finished = dict((docs.words(r[0])[0], r[1]) for r in docs.rows(docs.section(PROTOCOL, "6.1")))["finished"]
    assert set(re.findall(r'"(\w+)"', re.search(r'"state": ("[^,]*)', finished)[1])) == ends


# ---- proto/sql/README.md ----

def test_the_definition_is_valid_and_taken(stack):
    [text] = docs.blocks(SQL, "json")
    found = faults("definition", text)
    assert not found, "\n".join(found)
    taken = stack.one("SELECT * FROM hler_core.catalog_apply(%s::json)", text.replace("site.deploy", "docs.definition"))
    assert taken["created"] is True, taken


def test_views_have_the_columns_that_are_described(stack):
    described = {docs.words(row[0])[0].split(".")[1]: row[1] for row in docs.rows(docs.section(SQL, "2. Reading"))}
    views = {r["name"] for r in stack.sql("""SELECT table_name AS name FROM information_schema.views WHERE table_schema = 'hler'""",
                                          role="migrate")}
    for view, cell in described.items():
        columns = re.findall(r"[a-z_]+", re.sub(r"\([^)]*\)", "", docs.words(cell)[0]))
        there = [r["name"] for r in stack.sql("""SELECT attname AS name FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0
                                                 AND NOT attisdropped ORDER BY attnum""", f"hler.{view}", role="migrate")]
        assert sorted(columns) == sorted(there), view
    assert views - set(described) <= {"silence"}, "a view that is not described"


def test_columns_a_front_end_may_write(stack):
    cells = [row[0] for row in docs.rows(docs.section(SQL, "1. Asking"))]
    described = {w for cell in cells for w in docs.words(cell)}
    may = {r["name"] for r in stack.sql("""SELECT attname AS name FROM pg_attribute WHERE attrelid = 'hler.operation'::regclass
        AND attnum > 0 AND NOT attisdropped AND has_column_privilege('hler_frontend', attrelid, attnum, 'INSERT')""", role="migrate")}
    assert described == may


def test_functions_of_the_dispatcher_are_described(stack):
    described = {}
    for row in docs.rows(docs.section(SQL, "4. What the dispatcher calls")):
        for word in docs.words(row[0]):
            call = re.match(r"(\w+)\(([^)]*)\)", word)
            if call:
                described[call[1]] = [a.split()[0] for a in call[2].split(",") if a.strip()]
    there = {r["proname"]: r["names"] or [] for r in stack.sql("""SELECT proname, proargnames[1:pronargs] AS names FROM pg_proc
        WHERE pronamespace = 'hler_core'::regnamespace AND (has_function_privilege('hler_dispatcher', oid, 'EXECUTE')
           OR has_function_privilege('hler_operator', oid, 'EXECUTE'))""", role="migrate")}
    assert set(described) <= set(there), "described, but not there"
    for name, arguments in described.items():
        assert arguments == there[name], name


def test_a_refusal_is_as_described(stack):
    rules = set(docs.words(re.search(r"Rules: (.*?)\. A JSON null", docs.section(SQL, "1. Asking"), re.S)[1]))
    with pytest.raises(psycopg2.Error) as refused:
        stack.submit("site.deploy", {"theme": "blue", "nonsense": 1})
    assert refused.value.pgcode == "HL001"
    detail = json.loads(refused.value.diag.message_detail)
    assert {f["rule"] for f in detail} == {"required", "enum", "unknown_field"} and {f["rule"] for f in detail} <= rules
    assert all(set(f) == {"field", "rule", "message"} for f in detail)
