"""First inputs for the fuzz targets: made of proto/vectors, the examples and a few lines, so that there is little to keep.  Inputs that
once found something lie in corpus/TARGET."""

import json
import pathlib
import re
import struct
import zlib

TOP = pathlib.Path(__file__).resolve().parents[2]
LARGEST = 16 * 1024 # a vector that is only long teaches nothing
TASK, TOKEN = "01890a5d-ac96-774b-bcce-b302099a8057", "0123456789abcdef"


def body_of(case):
    if "body" in case:
        text = json.dumps(case["body"], ensure_ascii=False, separators=(",", ":"))
        return re.sub(r"<<(\d+)>>", lambda m: "x" * int(m[1]), text).encode("utf-8", "replace")
    if "text" in case:
        return case["text"].encode("utf-8", "replace")
    return bytes.fromhex(case.get("hex", ""))


def vectors(name):
    cases = json.loads((TOP / f"proto/vectors/{name}_read.json").read_text())
    return [case for group in ("good", "bad") for case in cases[group]]


def messages(name):
    return [body_of(case) for case in vectors(name)]


def deliveries():
    return [f"{case.get('user') or ''}\n{case.get('routing_key') or ''}\n".encode() + body_of(case)
            for case in vectors("event") + vectors("event_batch")]


def record(seq, kind, payload):
    behind = struct.pack("<QqH3H", seq, 1700000000000000, kind, 0, 0, 0)
    return struct.pack("<II", len(payload), zlib.crc32(behind + payload)) + behind + payload


def journals():
    end = struct.pack("<IiiHHQQQqII", 1, 3, 0, 0, 1, 1, 5, 0, 1000, 4, 3) + b"why." + b"a=1"
    parts = [(1, b"17"), (2, b"hello"), (4, b'{"a":1}'), (5, f"{TASK} ip set plain\n".encode() + b'"x"'), (6, end)]
    whole = b"HLERJN1\n" + b"".join(record(i + 1, kind, payload) for i, (kind, payload) in enumerate(parts))
    return [first + whole[:cut] for first in (b"\0", b"\1") for cut in (len(whole), len(whole) - 1, 9, 8)]


def cuts():
    return [bytes([high, 7, 1, 0, 2, 1, 3, 200, 2, 255, 6, 9]) for high in (0, 1, 100, 200, 255)]


def emits():
    lines = [f"RESULT {TASK} ip_v4 set plain 5", "RESULT - a append secret 65536", "RESULT - a set plain 65537", "PROGRESS 0", "PROGRESS 16777217",
             "RESULT x y", "PROGRESS ", ""]
    return [first + line.encode() for first in (b"\0", b"\1") for line in lines]


def requests():
    def one(strings, argc, envc, signal=2, group=1, output_bytes=2**64 - 1):
        head = struct.pack("<IIIiIIqqqqqqQ", 0x51524C48, argc, envc, signal, group, 0, 1, 2, 3, 4, 6, 7, output_bytes)
        return head + b"".join(s.encode() + b"\0" for s in strings)
    name = f"{TASK}.1.{TOKEN}"
    return [one([name, "/srv", "/bin/echo", "", "two words", "A=1", "B="], 3, 2), one([name, "", "/bin/true"], 1, 0), one([name, ""], 1, 0)]


def configs():
    texts = ["", 'name = "n"; broker: { port = 3000000000; on = false; }; list = ["a", "b"];', "broker: { port = 0x10L; };\n# c\n// d\n/* e */",
             'list = ("a", 1); other = 1.5;', '@include "x"', "broker = { port = 99999999999999999999; };", 'name = "a\\"b" "c"; broker.port = 1;']
    return [text.encode() for text in texts] + [path.read_bytes() for path in sorted((TOP / "deploy/examples").glob("*.conf"))]


def terraforms():
    lines = ['{"type":"outputs","outputs":{"a":{"sensitive":false,"action":"create"}}}', '{"type":"outputs","outputs":{"a":{"sensitive":false,"value":1}}}',
             '{"@message":"x","type":"diagnostic","diagnostic":{"severity":"error","summary":"Error acquiring the state lock","detail":"D"}}',
             '{"type":"apply_start","hook":{"resource":{"addr":"a.b"},"action":"create","elapsed_seconds":3}}', '{"type":7}', "\u2502 Error: words",
             "Error: words", '{"type":"outputs","outputs":{"a":01}}']
    return [line.encode() for line in lines] + ["\n".join(lines).encode()]


def reports():
    texts = ['{"started":true,"stats":{"a":{"ok":2,"failures":0,"unreachable":0},"b":{"ok":0,"failures":1,"unreachable":1}},'
             '"failures":{"b":{"task":"t","msg":"m"}}}', '{"started":true}', '{"stats":{}}', '{"started":true,"stats":{"a":{"ok":1}}}', "{}", "no"]
    return [code + text.encode() for code in (b"\0", b"\2", b"\4") for text in texts]


def scans():
    texts = ['{"a":[1,-2.5e3,true,null,"\\u00e9\\ud83d\\ude00"]}', ' "x" ', "[[[[]]]]", "9007199254740992", "1e308", "-0", '{"a":1,"a":2}', "\u00e9\u20ac\U0001f600"]
    return [text.encode() for text in texts] + [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe2\x82"]


SEEDS = {
    "offer": lambda: messages("offer"), "event": deliveries, "claim": lambda: messages("claim"), "answer": lambda: messages("answer"),
    "control": lambda: messages("control"), "journal": journals, "journal_cut": cuts, "emit": emits, "request": requests, "config": configs,
    "terraform": terraforms, "ansible": reports, "jsonscan": lambda: scans() + messages("offer")[:3],
}


def write(target, directory):
    """Returns their number."""
    directory.mkdir(parents=True, exist_ok=True)
    inputs = [data for data in SEEDS[target]() if len(data) <= LARGEST]
    for number, data in enumerate(inputs):
        (directory / f"seed-{number:03}").write_bytes(data)
    return len(inputs)
