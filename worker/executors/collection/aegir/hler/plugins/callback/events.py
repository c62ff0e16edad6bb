# Copyright: the Hlér authors
# SPDX-License-Identifier: Apache-2.0
"""Tells the runner what a playbook does, host by host.  It never fails or stops the play."""
from __future__ import annotations

import functools
import json
import os
import time

from ansible.plugins.callback import CallbackBase
from ansible_collections.aegir.hler.plugins.module_utils import report
from ansible_collections.aegir.hler.plugins.module_utils import socket as hler
from ansible_collections.aegir.hler.plugins.module_utils.harvest import Harvest

DOCUMENTATION = r'''
name: events
type: notification
short_description: Structured events of a playbook for Hlér
version_added: 0.1.0
description:
  - Sends one progress event per task and host, and the data of C(set_stats), to the runner.
  - Turned on by the C(ansible) executor; without C(HLER_SOCKET) it does nothing.
  - Honours C(no_log); module arguments and facts are never sent.
requirements:
  - the environment variables of the executor contract
'''

TIMEOUT_S = 30  # a runner that does not take an event for so long is given up
STATE_FILE = 'HLER_ANSIBLE_REPORT'


def hook(method):
    """A callback that can fail without the play noticing."""
    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        try:
            method(self, *args, **kwargs)
        except Exception as why:  # pylint: disable=broad-except
            self.give_up('%s: %s' % (method.__name__, why))
    return guarded


class CallbackModule(CallbackBase):
    """One object lives in the playbook's main process; its hooks are called one at a time."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'aegir.hler.events'
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._client = None
        self._off = not os.environ.get('HLER_SOCKET')
        self._target = os.environ.get('HLER_TARGET', '')
        self._harvest = Harvest()
        self._begun = set()
        self._since = {}
        self._state = {'started': False, 'stats': None, 'failures': {}, 'outputs': {}}

    # -- sending -----------------------------------------------------------

    def give_up(self, why):
        """Stop sending; said once."""
        if not self._off:
            self._off = True
            self._display.warning('aegir.hler.events: no more events: %s' % why)

    def _send(self, method, *args):
        """Call a method of the client; a refusal is told, a dead runner ends all sending."""
        if self._off:
            return
        try:
            if self._client is None:
                self._client = hler.Client(os.environ['HLER_SOCKET'], TIMEOUT_S)
            getattr(self._client, method)(*args)
        except hler.Refused as why:
            self._display.warning('aegir.hler.events: %s refused: %s' % (method, why))
        except OSError as why:
            self.give_up(why)

    def _event(self, name, **members):
        event = {'kind': 'ansible', 'event': name}
        event.update((k, v) for k, v in members.items() if v is not None)
        self._send('progress', report.encode_event(event))

    def _results(self, found, secret):
        for field, data in found:
            if isinstance(data, hler.Refused):
                self._display.warning('set_stats %s is not sent: %s' % (field, data))
            elif self._target:
                self._send('result', self._target, field, 'set', secret, data)

    def _save(self):
        """Write the report that the executor reads after the end: the old one or the new one."""
        path = os.environ.get(STATE_FILE)
        if not path:
            return
        self._state['outputs'] = self._harvest.outputs
        data = json.dumps(self._state).encode('ascii')
        fd = os.open(path + '.new', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, 'wb') as out:
            out.write(data)
        os.rename(path + '.new', path)

    # -- what a hook is given ------------------------------------------------

    @staticmethod
    def _parts(result):
        host = getattr(result, 'host', None) or result._host
        task = getattr(result, 'task', None) or result._task
        data = getattr(result, 'result', None)
        return host.get_name(), task, data if data is not None else result._result

    def _duration(self, host, task):
        start = self._since.get((host, task._uuid))
        return None if start is None else int((time.monotonic() - start) * 1000)

    def _host_event(self, name, result, **more):
        host, task, data = self._parts(result)
        members = report.describe_task(task)
        members.update(report.describe_result(task, data), **more)
        self._event(name, host=host, duration_ms=self._duration(host, task), **members)

    def _failure(self, result):
        host, task, data = self._parts(result)
        told = report.describe_result(task, data)
        self._state['failures'][host] = {'task': report.task_name(task), 'msg': report.reason(told)}

    # -- hooks ---------------------------------------------------------------

    @hook
    def v2_playbook_on_start(self, playbook):
        self._state['started'] = True
        self._save()
        self._event('playbook_start', path=report.clean(playbook._file_name, report.NAME_MAX)[0])

    @hook
    def v2_playbook_on_play_start(self, play):
        self._begun.clear()
        self._since.clear()
        self._event('play_start', play=report.clean(play.get_name(), report.NAME_MAX)[0])

    @hook
    def v2_playbook_on_no_hosts_matched(self):
        self._event('no_hosts_matched')

    @hook
    def v2_playbook_on_no_hosts_remaining(self):
        self._event('no_hosts_remaining')

    @hook
    def v2_playbook_on_task_start(self, task, is_conditional):
        self._task_start(task)

    @hook
    def v2_playbook_on_handler_task_start(self, task):
        self._task_start(task)

    @hook
    def v2_playbook_on_cleanup_task_start(self, task):
        self._task_start(task)

    def _task_start(self, task):
        # strategy free calls this once per host
        if task._uuid not in self._begun:
            self._begun.add(task._uuid)
            self._event('task_start', **report.describe_task(task))

    @hook
    def v2_runner_on_start(self, host, task):
        self._since[(host.get_name(), task._uuid)] = time.monotonic()

    @hook
    def v2_runner_on_ok(self, result):
        _host, task, data = self._parts(result)
        self._host_event('runner_ok', result)
        if str(getattr(task, 'action', '')).rsplit('.', 1)[-1] == 'set_stats':
            items = data['results'] if isinstance(data.get('results'), list) else [data]
            for item in items:
                self._results(self._harvest.take(item), secret=False)

    @hook
    def v2_runner_on_failed(self, result, ignore_errors=False):
        if ignore_errors:
            self._host_event('runner_failed', result, ignored=True)
            return
        self._failure(result)
        self._host_event('runner_failed', result)

    @hook
    def v2_runner_on_unreachable(self, result):
        self._failure(result)
        self._host_event('runner_unreachable', result)

    @hook
    def v2_runner_on_skipped(self, result):
        self._host_event('runner_skipped', result)

    @hook
    def v2_runner_item_on_failed(self, result):
        self._host_event('item_failed', result)

    @hook
    def v2_runner_retry(self, result):
        self._host_event('retry', result)

    @hook
    def v2_playbook_on_stats(self, stats):
        hosts = {h: stats.summarize(h) for h in sorted(stats.processed)}
        self._state['stats'] = hosts
        self._save()
        self._results(self._harvest.silenced(stats.custom), secret=True)
        totals = {}
        for summary in hosts.values():
            for key, count in summary.items():
                totals[key] = totals.get(key, 0) + count
        self._event('stats', hosts=hosts, totals=totals)
