"""Programs, their settings and their pages agree: help, man pages, example files and tables of keys."""
import os
import re
import shutil

import pytest

import docs
from stack import BUILD, TOP, read

PROGRAMS = sorted(docs.PAGES) + [f[:-len("_main.c")] for f in sorted(os.listdir(f"{TOP}/worker/executors")) if f.endswith("_main.c")]
SCRIPTS = ["deploy/stack", "deploy/quickstart", "deploy/broker/render", "tests/run", "tests/lint"]
TABLES = {"hler": ("dispatcher/cli/cli.c", "hler.conf"), "hler-dispatcher": ("dispatcher/preferences.c", "dispatcher.conf"),
          "hler-worker": ("worker/bridge/settings.c", "worker.conf")}
SETTLED = {"worker.runner", "worker.executor_dir", "worker.collections"} # "" becomes a place beside the program
UNITS = (("_bytes_per_s", "bytes"), ("_ms", "milliseconds"), ("_bytes", "bytes"), ("_s", "seconds"))


# ---- what every program answers ----

@pytest.mark.parametrize("name", PROGRAMS)
def test_help_version_and_an_unknown_option(name):
    program = docs.program(name)
    text = docs.run(program, "--help")
    assert (text.returncode, text.stderr) == (0, "") and re.match(rf"(?i)usage: {name}\b", text.stdout), text
    version = docs.run(program, "--version")
    assert version.returncode == 0 and re.fullmatch(rf"{name} \d+\.\d+\.\d+\n", version.stdout), version
    wrong = docs.run(program, "--nonsense")
    assert wrong.returncode == 2 and wrong.stdout == "", wrong
    assert "--nonsense" in wrong.stderr and re.search(r"(?i)--help|usage:", wrong.stderr), wrong


@pytest.mark.parametrize("command", ["", *"submit watch list log results cancel retry migrate doctor".split()])
def test_every_command_says_what_to_do(command):
    wrong = docs.run(docs.program("hler"), *command.split(), "--nonsense")
    assert wrong.returncode == 2 and wrong.stdout == "" and f"hler {command} --help".replace("  ", " ") in wrong.stderr, wrong


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_answer_too(script):
    assert docs.run(f"{TOP}/{script}", "--help").returncode == 0
    wrong = docs.run(f"{TOP}/{script}", "--nonsense")
    assert wrong.returncode == 2 and wrong.stderr, wrong


# ---- man pages ----

@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_a_page_has_no_faults_and_says_what_the_help_says(name):
    path = f"{TOP}/{docs.PAGES[name]}"
    linted = docs.run("man", "--warnings", "-l", path, env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
    assert (linted.returncode, linted.stderr) == (0, "")
    text = re.sub(r"(?ms)^EXAMPLES$.*?(?=^[A-Z])", "", docs.page(name))
    for said in docs.helps(name):
        for option in re.findall(r"(?<![\w`])--([a-z][a-z-]+)", said):
            assert re.search(rf"--{option}\b", text), f"{path} lacks --{option}"
        codes = re.split(r"(?im)^ *exit(?: codes| status)?:?", said)[1:]
        if codes:
            listed = set(re.findall(r"\.It (\d+)$", read(path), re.M))
            assert set(re.findall(r"(?<![\w-])(\d{1,2}) +[A-Za-z-]", codes[0])) == listed, path
    for command in docs.commands() if name == "hler" else []:
        assert re.search(rf"(^|[ ,]){command}\b", text, re.M), f"{path} lacks {command}"


def test_pages_name_pages_that_are_there():
    there = {p.rsplit("/", 1)[1] for p in docs.PAGES.values()}
    for path in docs.PAGES.values():
        for name, number in re.findall(r"^\.Xr (hler\S*) (\d)", read(f"{TOP}/{path}"), re.M):
            assert f"{name}.{number}" in there, f"{path}: {name}({number})"


def test_every_page_is_installed(tmp_path):
    planned = docs.run("make", "-n", "install", f"BUILD={BUILD}", f"DESTDIR={tmp_path}", cwd=TOP).stdout
    for path in docs.PAGES.values():
        assert re.search(rf"share/man/man{path[-1]} .*{re.escape(path)}", planned), path
        assert os.path.exists(f"{TOP}/{path}")


# ---- settings ----

def known(name):
    """{key: default as text, None = must be set} of the program's own table."""
    found = re.findall(r'"([a-z]+\.[a-z_]+)",[^"]*?(NULL|"[^"]*")\s*,', read(f"{TOP}/{TABLES[name][0]}"))
    return {key: None if default == "NULL" else default.strip('"') for key, default in found}


def in_file(text):
    """{key: value} of a libconfig file with groups of one depth."""
    text = re.sub(r'("(?:[^"\\]|\\.)*")|#[^\n]*', lambda m: m[1] or "", text)
    keys = {}
    for group, body in re.findall(r"(\w+) *:\s*\{(.*?)\n\}", text, re.S):
        for key, value in re.findall(r"(\w+) *= *((?:\"(?:[^\"\\]|\\.)*\"|[^;\"])*);", body):
            keys[f"{group}.{key}"] = re.sub(r"(?<=\d)L$", "", value.strip())
    return keys


def in_page(name):
    """{key: (default, low, high, unit)} of the man page."""
    keys = {}
    text = read(f"{TOP}/{docs.PAGES[name]}").split(".Sh SETTINGS\n")[1].split(".Sh ")[0]
    for item in text.split(".It Va ")[1:]:
        key, last = item.split("\n", 1)[0], re.sub(r"\.El\n$", "", item).strip().splitlines()[-1]
        said = re.fullmatch(r"(?:Default (.+)|Must be set); (\d+) to (\d+)(?: (\w+))?\.", last)
        assert said, f"{name}: {key}: {last}"
        keys[key] = (said[1], int(said[2]), int(said[3]), said[4])
    return keys


@pytest.mark.parametrize("name", TABLES)
def test_every_key_is_everywhere_with_its_default(name):
    page, example = in_page(name), in_file(read(f"{TOP}/deploy/examples/{TABLES[name][1]}"))
    assert set(page) == set(known(name)), "page and program"
    assert set(example) == set(known(name)), "example and program"
    for key, (default, _, _, unit) in page.items():
        if default is not None:
            assert example[key] == default, key
        if default is None or default[0] != "[":
            assert known(name)[key] == (default and default.strip('"')), key
        wanted = [u for end, u in UNITS if key.endswith(end)]
        assert not wanted or unit == wanted[0], key


def complete(name, **changes):
    """The example with other values; what must be set is."""
    keys = dict(in_file(read(f"{TOP}/deploy/examples/{TABLES[name][1]}")), **changes)
    groups = {k.split(".")[0] for k in keys}
    return "".join(f"{g}: {{\n" + "".join(f"  {k.split('.')[1]} = {v};\n" for k, v in keys.items() if k.startswith(f"{g}."))
                   + "};\n" for g in sorted(groups))


def load(name, text, directory, option="--check"):
    path = f"{directory}/tried.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    arguments = [option] if name != "hler" else ["list"]
    return docs.run(docs.program(name), "--config", path, *arguments)


@pytest.mark.parametrize("name", TABLES)
def test_ranges_are_those_of_the_program(name, tmp_path):
    page, example = in_page(name), in_file(read(f"{TOP}/deploy/examples/{TABLES[name][1]}"))
    kinds = {k: '"' if example[k][0] == '"' else "[" if example[k][0] == "[" else "0" for k in page}
    over = {"0": lambda high: f"{high + 1}L", '"': lambda high: '"' + "x" * (high + 1) + '"',
            "[": lambda high: "[" + ", ".join(['"x"'] * (high + 1)) + "]"}
    said = load(name, complete(name, **{k: over[kinds[k]](page[k][2]) for k in page}), tmp_path)
    assert said.returncode == 78, said
    for key, (_, low, high, unit) in page.items():
        wanted = f"{high + 1} is not in {low}..{high}" if kinds[key] == "0" else f"takes at most {high} {unit}"
        assert re.search(rf"^\S+:\d+: {re.escape(key)}: {re.escape(wanted)}$", said.stderr, re.M), (key, wanted, said.stderr)
    empty = {k: '""' for k in page if kinds[k] == '"'}
    said = load(name, complete(name, **empty), tmp_path).stderr
    for key in empty:
        assert (f" {key}: must not be empty" in said) == (page[key][1] > 0), (key, said)


@pytest.mark.parametrize("name", ["hler-dispatcher", "hler-worker"])
def test_what_print_config_prints_can_be_read_again(name, tmp_path):
    odd = {"broker.host": r'"a \"quoted\\ host"', "log.level": '"debug"', "broker.port": "1"}
    printed = load(name, complete(name, **odd), tmp_path, "--print-config")
    assert printed.returncode == 0, printed
    again = load(name, printed.stdout, tmp_path, "--print-config")
    assert (again.returncode, again.stdout) == (0, printed.stdout)
    keys, page = in_file(printed.stdout), in_page(name)
    assert set(keys) == set(page)
    for key, (default, _, _, _) in page.items():
        secret = key.endswith(("password", "dsn"))
        wanted = '"***"' if secret else odd.get(key, default)
        assert wanted is None or key in SETTLED or keys[key] == wanted, (key, keys[key], wanted)


@pytest.mark.parametrize("name", ["hler-dispatcher", "hler-worker"])
def test_defaults_are_those_of_the_program(name, tmp_path):
    """Only what must be set stands in the file."""
    must = {k: '"x"' for k, (default, *_) in in_page(name).items() if default is None}
    text = "broker: {" + " ".join(f"{k.split('.')[1]} = {v};" for k, v in must.items()) + "};"
    printed = load(name, text, tmp_path, "--print-config")
    assert printed.returncode == 0, printed
    for key, value in in_file(printed.stdout).items():
        default = in_page(name)[key][0]
        assert default is None or value in (default, '"***"') or key in SETTLED, (key, value, default)


def test_examples_load_as_they_are(tmp_path):
    for name, (_, example) in TABLES.items():
        shutil.copy(f"{TOP}/deploy/examples/{example}", tmp_path)
        done = load(name, read(tmp_path / example), tmp_path)
        assert done.returncode in ((0,) if name != "hler" else (0, 3)), done


# ---- units of systemd ----

@pytest.mark.parametrize("name", ["hler-dispatcher", "hler-worker"])
def test_the_example_unit_is_one(name, tmp_path):
    """Its keys are known to systemd, and its program and settings exist where `make install` and the page put them."""
    unit = read(f"{TOP}/deploy/examples/{name}.service")
    command = re.search(r"^ExecStart=/usr/local/bin/(\S+) --config /etc/hler/(\S+)$", unit, re.M)
    assert command[1] == name and os.path.exists(f"{TOP}/deploy/examples/{command[2]}")
    unit = re.sub(r"^Documentation=.*\n", "", unit, flags=re.M).replace("/usr/local/bin/", f"{BUILD}/bin/")
    (tmp_path / f"{name}.service").write_text(unit)
    said = docs.run("systemd-analyze", "verify", f"{tmp_path}/{name}.service")
    assert (said.returncode, said.stderr) == (0, ""), said
