#!/usr/bin/python3
"""Structured events through the Ansible collection's own modules, without Ansible: HLER_INPUT_COUNT results of a task, each
described, encoded and sent as its callback plugin does.  callback.py DIRECTORY_OF_COLLECTIONS"""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
# pylint: disable=wrong-import-position
from ansible_collections.aegir.hler.plugins.module_utils import report  # noqa: E402
from ansible_collections.aegir.hler.plugins.module_utils import socket as hler  # noqa: E402

EVENT_BYTES = 1024
TIMEOUT_S = 30


class Task:
    """As much of Ansible's as the report reads."""
    no_log = False
    action = "ansible.builtin.command"

    @staticmethod
    def get_name():
        return "Install the site"

    @staticmethod
    def get_path():
        return "/srv/playbooks/site.yml:12"


def event(task, host, stdout):
    told = {"kind": "ansible", "event": "runner_ok", "host": host, **report.describe_task(task),
            **report.describe_result(task, {"changed": True, "rc": 0, "stdout": stdout})}
    return report.encode_event(told)


def main():
    client = hler.Client(os.environ["HLER_SOCKET"], TIMEOUT_S)
    stdout = "o" * (EVENT_BYTES - len(event(Task, "host-000000", "o")) + 1)
    for i in range(int(os.environ["HLER_INPUT_COUNT"])):
        client.progress(event(Task, f"host-{i:06d}", stdout))
    client.close()


if __name__ == "__main__":
    main()
