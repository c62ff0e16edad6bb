"""What json-c leaves out for lack of memory is missed.  In a program without sanitizers, which have an allocator of their own."""
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = [f"common/{name}.c" for name in ("json", "jsonscan", "jsonscan_key", "utf8", "buf", "mem", "log", "clock", "uuid")]


def test_a_text_is_read_whole_or_not_at_all(tmp_path):
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "json-c", "uuid"], check=True, stdout=subprocess.PIPE, text=True).stdout
    program = str(tmp_path / "nomem_json")
    subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-I.", "-o", program, "tests/faults/nomem_json.c", *SOURCES, *flags.split(), "-lm"],
                   cwd=TOP, check=True)
    done = subprocess.run([program], check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
