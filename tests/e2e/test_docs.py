"""The documents do what they say: every shell block, example and link in them is tried."""
import os
import re
import shutil
import subprocess
import tempfile

import psycopg2
import pytest

import docs
from stack import BUILD, TOP, Stack, read, wait_for

ID = "0190f2a4-5c1e-7d3b-9c7e-2f6b1a0d4e5f" # of the examples
TYPES = """types = (
  { name = "docs.build"; version = 1; fields = ();
    tasks = ( { name = "build"; executor = "command"; spec = { argv = [ "/bin/sh", "-c", "echo built; test -z \\"$HLER_TARGET\\" || hler-emit size 12" ]; }; } ); },
  { name = "docs.env"; version = 1; fields = ( { name = "title"; type = "string"; } );
    tasks = ( { name = "env"; executor = "command"; spec = { argv = [ "/usr/bin/env" ]; }; } ); },
  { name = "docs.make"; version = 1; fields = ();
    tasks = ( { name = "make"; executor = "make"; spec = { target = "all"; }; } ); },
  { name = "docs.make.wrong"; version = 1; fields = ();
    tasks = ( { name = "make"; executor = "make"; spec = { target = "--all"; }; } ); } );"""

# Each block of a document that a machine could read, and by which test it is: none is forgotten.
BLOCKS = {
    "README.md": {"sh": "test_as_written", "": "a picture"},
    "deploy/README.md": {"sh": "test_rendering_the_brokers_users"},
    "proto/PROTOCOL.md": {"json": "test_docs_protocol.py"},
    "proto/sql/README.md": {"sql": "test_the_front_ends_statements", "json": "test_docs_protocol.py"},
    "worker/executors/README.md": {"sh": "test_an_executor_of_your_own", "bash": "test_as_written", "json": "test_docs_protocol.py"},
    "worker/executors/collection/aegir/hler/README.md": {"yaml": "test_the_collections_playbook"},
}


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def only(found):
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module", name="well")
def stack_where_all_is_well(tmp_path_factory):
    """With the executor and the playbook of the documents."""
    executors, roots = str(tmp_path_factory.mktemp("executors")), str(tmp_path_factory.mktemp("roots"))
    for name in os.listdir(f"{BUILD}/libexec/executors"):
        if not name.endswith(".d"):
            os.symlink(f"{BUILD}/libexec/executors/{name}", f"{executors}/{name}")
    write(f"{executors}/make", only(docs.blocks("worker/executors/README.md", "sh")), 0o755)
    write(f"{executors}/forgotten", "#!/bin/sh\n", 0o644)
    write(f"{roots}/Makefile", "all:\n\t@echo made $@\n")
    write(f"{roots}/documented.yml", only(docs.blocks("worker/executors/collection/aegir/hler/README.md", "yaml")))
    stack = Stack("--workers", "1", "--set", f'worker.executor_dir="{executors}"',
                  "--set", f'worker.roots=["{roots}", "{TOP}/deploy/examples/playbooks"]')
    stack.apply(TYPES)
    yield stack
    stack.down()


def test_an_executor_without_the_right_to_be_executed_is_told(well):
    assert "/forgotten: cannot be executed" in well.log("worker-1")


def test_no_block_is_forgotten():
    found = {d: sorted({kind for kind, _ in docs.blocks(d)}) for d in docs.documents() if docs.blocks(d)}
    assert found == {d: sorted(kinds) for d, kinds in BLOCKS.items()}


# ---- README ----

@pytest.mark.parametrize("document, language, promises", [("README.md", "sh", 4), ("worker/executors/README.md", "bash", 2)])
def test_as_written(tmp_path, document, language, promises):
    """In a checkout whose build is the one under test; only the directory's name differs."""
    for name, target in (("deploy", f"{TOP}/deploy"), ("build", BUILD)):
        os.symlink(target, tmp_path / name)
    block = only(docs.blocks(document, language))
    directory = tempfile.mkdtemp(prefix="hler-e2e.")
    assert "/tmp/" not in block.replace("/tmp/hler", ""), "the block touches more than its directory"
    try:
        done = subprocess.run(["sh", "-e"], input=block.replace("/tmp/hler", directory), cwd=tmp_path, text=True, timeout=180,
                              env={k: v for k, v in os.environ.items() if not k.startswith("HLER_")},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    finally:
        down = docs.run(f"{TOP}/deploy/stack", "down", directory)
    assert done.returncode == 0 and down.returncode == 0, done.stdout
    promised = re.findall(r"# says: (.*)$", block, re.M)
    assert len(promised) == promises
    rest = done.stdout
    for text in promised: # one after the other
        seen = re.search(r"\s+".join(re.escape(w) for w in text.split()), rest)
        assert seen, f"{text!r} does not follow in\n{done.stdout}"
        rest = rest[seen.end():]
    shutil.rmtree(directory)
    shutil.rmtree(f"{directory}-books", ignore_errors=True)


def test_the_readme_comes_to_the_point():
    text = read(f"{TOP}/README.md")
    end = text.index("```", text.index("```sh", text.index("## A first operation")) + 5)
    assert text[:end].count("\n") < 60


def test_links_lead_somewhere():
    broken = []
    for document in docs.documents():
        text, here = read(f"{TOP}/{document}"), os.path.dirname(f"{TOP}/{document}")
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = link.partition("#")
            if re.match(r"https?:", link):
                continue
            if path and not os.path.exists(os.path.join(here, path)):
                broken.append(f"{document}: {link}")
            elif anchor:
                target = read(os.path.join(here, path)) if path else text
                anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", target, re.M)}
                if anchor not in anchors:
                    broken.append(f"{document}: {link}")
        tops = set(os.listdir(TOP))
        for path in re.findall(r"`([\w.-]+/[\w./*-]*)`", text):
            if path.split("/")[0] in tops - {"build"} and "*" not in path:
                places = [os.path.join(TOP, path), os.path.join(here, path)]
                if not any(os.path.exists(p) for p in places):
                    broken.append(f"{document}: `{path}`")
    assert not broken, "\n".join(broken)


def test_rendering_the_brokers_users(tmp_path):
    block = only(docs.blocks("deploy/README.md", "sh"))
    lines = [l.strip() for l in block.splitlines()]
    end = lines.index("END")
    script = "\n".join(lines[:end + 1]).replace("/etc/rabbitmq/hler.json", str(tmp_path / "hler.json"))
    done = docs.run("sh", "-ec", script, cwd=TOP)
    assert done.returncode == 0, done.stderr
    assert '"web-1"' in read(tmp_path / "hler.json") and "PASSWORD" not in read(tmp_path / "hler.json")
    assert lines[end + 1:] == ["rabbitmqctl import_definitions /etc/rabbitmq/hler.json"]


# ---- examples ----

def examples():
    """Each command line once: of the help texts, then of the man pages."""
    found = {}
    for command in docs.commands():
        text = docs.run(docs.program("hler"), *command.split(), "--help").stdout
        own = re.findall(r"^ +(hler .*)$", text, re.M)
        assert any(e.startswith(f"hler {command}") for e in own), f"hler {command} --help shows no example"
        found.update(dict.fromkeys(own))
    for name in ("hler", "hler-dispatcher", "hler-worker"):
        found.update(dict.fromkeys(docs.page_examples(name)))
    return list(found)


def prepare(stack, example):
    """What the example takes for granted."""
    if "hler cancel" in example:
        stack.hler("submit", "test.shell", "script=sleep 600")
    elif "--lost" in example:
        hold(stack)
    elif "hler retry" in example:
        flag = stack.path("flag")
        stack.hler("submit", "test.shell", f"script=test -e {flag} || {{ : >{flag}; exit 1; }}", "--wait", code=1)
    elif "hler drain" in example: # what other examples left running would not end
        stack.sql("SELECT hler.cancel(id) FROM hler.operations WHERE type = 'test.shell' AND finished_at IS NULL")
    elif "hler dead redrive" in example: # an offer of a task that has ended: there is nothing left to do
        stack.hler("submit", "docs.build", "--wait")
        stack.sql("SELECT hler_core.dead_letter('hler.tasks', 'bad_version', json_build_object('message_id', concat_ws("
                  "'.', task, attempt, token))::text, 'x') FROM hler.attempt LIMIT 1", role="migrate")
    elif "hler dead" in example:
        stack.sql("SELECT hler_core.dead_letter('hler.claims', 'bad_json', '{}', 'x')", role="dispatcher")
    elif " last" in example:
        stack.hler("submit", "docs.build", "--wait")


def hold(stack, role="operator"):
    """An operation that is held: its worker has said that its attempt is lost."""
    operation = stack.one("SELECT hler.submit('test.shell', '{\"script\": \"sleep 600\"}')", role=role)
    wait_for(lambda: stack.operation(operation)["state"] == "running", what="the start")
    stack.sql("""SELECT hler_core.record_state(ARRAY[a.worker], ARRAY['lost'], ARRAY[a.task], ARRAY[a.attempt], ARRAY[a.token],
        ARRAY[NULL::bigint], ARRAY[now()], ARRAY['{"cause": "runner_died", "message": "gone"}'])
        FROM hler.attempt a JOIN hler.task t ON t.id = a.task WHERE t.operation = %s""", operation, role="migrate")
    assert stack.operation(operation)["state"] == "held"
    return operation


def environment(stack):
    """Where `dbname=hler user=postgres` is, for libpq; and a site's UUID."""
    dsn = psycopg2.extensions.parse_dsn(stack.env["HLER_MIGRATE_DSN"])
    return stack.environ(PGHOST=dsn["host"], PGPORT=dsn["port"], PGPASSWORD=dsn.get("password", ""), SITE=ID)


def test_every_example_works(well, tmp_path):
    for name in os.listdir(f"{TOP}/deploy/examples"):
        if os.path.isfile(f"{TOP}/deploy/examples/{name}"):
            shutil.copy(f"{TOP}/deploy/examples/{name}", tmp_path)
    write(tmp_path / "site.json", '{"title": "Hello", "theme": "dark"}')
    write(tmp_path / "title.txt", "Hello")
    well.hler("submit", "docs.build", "--id", ID, "--target", ID, "--wait")
    failed, tried = [], examples()
    for example in tried:
        prepare(well, example)
        done = docs.run("sh", "-c", example, cwd=tmp_path, env=environment(well))
        if done.returncode != 0 or not (done.stdout + done.stderr or ">" in example or "--check" in example):
            failed.append(f"{example}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    assert not failed, "\n".join(failed)
    assert len(tried) > 25
    [order] = well.sql("SELECT id FROM hler.operations WHERE idempotency_key = 'order-17'")
    assert well.wait(order["id"], timeout=120)["state"] == "succeeded"
    assert read(tmp_path / "build.log") == "built\n"


def test_the_pages_mark_their_examples():
    for name, path in docs.PAGES.items():
        text = read(f"{TOP}/{path}")
        parts = text.split(".Sh EXAMPLES\n")
        assert len(parts) == (1 if name == "hler-runner" else 2), path
        for line in parts[1].split(".Sh ")[0].splitlines() if len(parts) == 2 else []:
            assert line.startswith(f".Dl {name} "), f"{path}: {line}"
        assert ".Bd" not in text and parts[0].count(".Dl") == 0, path


def test_the_examples_of_hler_emit(well):
    script = "cd \"$HOME\" 2>/dev/null || { mkdir -p \"$HOME\" && cd \"$HOME\"; }\necho hush >password.txt\n"
    row = well.run("test.shell", {"script": "set -e\n" + script + "\n".join(docs.page_examples("hler-emit"))}, target=ID)
    assert row["state"] == "succeeded", (row, well.output(row["id"], "stderr"))
    sent = {(str(r["entity"]), r["field"]): r["value"]
            for r in well.sql("SELECT entity, field, value FROM hler.results WHERE operation = %s", row["id"])}
    other = "0190b3a4-0000-7000-8000-000000000002"
    secret = (ID, "admin_password")
    assert secret in sent
    assert sent == {(ID, "site_url"): "https://example.org/", secret: sent[secret], (ID, "backup"): [{"size": 12}],
                    (other, "address"): "192.0.2.1"}
    assert well.tasks(row["id"])[0]["outputs"] == {"release": "/srv/site/7"}
    assert [e["data"] for e in well.events(row["id"]) if e["type"] == "progress"] == [{"kind": "copy", "percent": 40}]


# ---- the front end's statements, and executors ----

def test_the_front_ends_statements(well):
    """Section 1, statement by statement, as a front end's login."""
    text = re.sub(r"--.*", "", only(docs.blocks("proto/sql/README.md", "sql")))
    made = []
    for statement in filter(None, map(str.strip, text.split(";"))):
        if "hler.retry" in statement:
            assert well.wait(made[0])["state"] == "cancelled"
        if "<held>" in statement:
            held = hold(well, "frontend")
            assert well.sql(statement.replace("<held>", str(held)), role="frontend")[0]["attempt"] == 1
            well.one("SELECT hler.cancel(%s)", held)
            continue
        rows = well.sql(statement.replace("<operation>", str(made[0] if made else None)), role="frontend")
        if re.search(r"RETURNING|submit|retry", statement):
            made.append(next(iter(rows[0].values())))
    assert len(made) == 3 and well.operation(made[2])["retry_of"] == made[0]
    for operation in made[1:]:
        assert well.wait(operation, timeout=120)["state"] == "succeeded", well.describe(operation)


def test_an_executor_of_your_own(well):
    row = well.run("docs.make")
    assert row["state"] == "succeeded", well.describe(row["id"])
    wait_for(lambda: b"made all\n" in well.output(row["id"]), what="make's output")
    assert well.tasks(row["id"])[0]["outputs"] == {"built": "all"}
    wrong = well.run("docs.make.wrong")
    assert (wrong["state"], wrong["cause"]) == ("failed", "never_retry"), wrong
    assert "target: expected a name" in wrong["message"]


def test_the_collections_playbook(well):
    well.apply("""types = ( { name = "docs.playbook"; version = 1; fields = ( { name = "domain"; type = "string"; } );
        tasks = ( { name = "play"; executor = "ansible"; spec = { playbook = "documented.yml"; inventory = [ "localhost" ]; }; } ); } );""")
    row = well.run("docs.playbook", {"domain": "example.org"}, target=ID, timeout=90)
    assert row["state"] == "succeeded", well.describe(row["id"])
    values = [r["value"] for r in well.sql("SELECT value FROM hler.result_history WHERE operation = %s AND entity = %s"
                                           " AND field = 'site_url'", row["id"], ID)]
    assert values == ["https://example.org/"] * 2 # by emit and by set_stats


def test_the_environment_of_a_task(well):
    table = next(t for t in docs.section("worker/executors/README.md", "2. `NAME run`").split("\n\n") if t.startswith("| variable"))
    documented = {w for row in docs.rows(table) for w in docs.words(row[0])}
    row = well.run("docs.env", {"title": "x"}, target=ID)
    wait_for(lambda: well.output(row["id"]), what="the environment")
    seen = {line.split("=")[0] for line in well.output(row["id"]).decode().splitlines()}
    seen = {"HLER_INPUT_<NAME>" if s == "HLER_INPUT_TITLE" else s for s in seen}
    assert seen - documented == set(), "not in the document"
    assert documented - seen <= {"TZ", "HLER_SPEC"}, "not in the environment" # the second: of executors of their own
