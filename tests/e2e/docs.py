"""The documents as data: their blocks, links, tables and pages, for the tests that compare them with the programs."""
import os
import re
import subprocess

from stack import BUILD, TOP, read

PAGES = {"hler": "dispatcher/cli/hler.1", "hler-emit": "worker/emit/hler-emit.1",
         "hler-dispatcher": "dispatcher/hler-dispatcher.8", "hler-worker": "worker/bridge/hler-worker.8",
         "hler-runner": "worker/runner/hler-runner.8"}


def documents():
    """Every Markdown file of the project, as a path below TOP."""
    found = []
    for directory, names, files in os.walk(TOP):
        names[:] = [n for n in names if n != "build" and not n.startswith(".")]
        found += [os.path.relpath(f"{directory}/{f}", TOP) for f in files if f.endswith(".md")]
    return sorted(found)


def blocks(document, language=None):
    """(language, text) of the fenced blocks; only the texts of one language when it is named."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", read(f"{TOP}/{document}"), re.M | re.S)
    return found if language is None else [text for kind, text in found if kind == language]


def section(document, heading):
    """The text below a heading that begins so, to the next one of its depth or less."""
    text = read(f"{TOP}/{document}")
    start = re.search(rf"^(#+) {re.escape(heading)}.*$", text, re.M)
    assert start, f"{document} has no section {heading}"
    rest = text[start.end():]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.M)
    return rest[:end.start()] if end else rest


def rows(text):
    """The rows of its tables, as lists of cells, without headings."""
    found, head = [], True
    for line in text.splitlines():
        if re.match(r"\|[ -]+\|[ |-]*$", line):
            head = False
        elif line.startswith("|") and not head:
            found.append([c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line.strip()[1:-1])])
        elif not line.startswith("|"):
            head = True
    return found


def words(cell):
    """What stands in `…` in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def program(name):
    directory = "bin" if name.startswith("hler") else "libexec/executors"
    return f"{BUILD}/{directory}/{name}"


def run(*command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, check=False, **more)


def commands():
    """The commands of hler, as its help lists them."""
    text = run(program("hler"), "--help").stdout
    listed = text.split("\nCommands", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^  (\w+(?: \w+)?)  ", listed, re.M)


def helps(name):
    """The help texts of a program: its own, and of each of its commands."""
    texts = [run(program(name), "--help").stdout]
    if name == "hler":
        texts += [run(program(name), *c.split(), "--help").stdout for c in commands()]
    return texts


def page(name):
    """A man page as one reads it."""
    return run("man", "-l", f"{TOP}/{PAGES[name]}", env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="400")).stdout


def page_examples(name):
    """The commands of a page's .Dl lines."""
    lines = re.findall(r"^\.Dl (.*)$", read(f"{TOP}/{PAGES[name]}"), re.M)
    return [line.replace("\\(dq", '"').replace("\\-", "-").replace("\\e", "\\") for line in lines]
