# Copyright: the Hlér authors
# SPDX-License-Identifier: Apache-2.0
"""Action side of aegir.hler.emit: runs on the controller, for unreachable hosts too."""
from __future__ import annotations

import os

from ansible.plugins.action import ActionBase
from ansible_collections.aegir.hler.plugins.module_utils import socket as hler

ARGUMENTS = frozenset(('uuid', 'field', 'value', 'mode', 'secret'))
MODES = ('set', 'append')
TIMEOUT_S = 60  # journalling waits for a disk, never for the network
TRUE = ('true', 'yes', 'on', '1')
FALSE = ('false', 'no', 'off', '0', '')


class ActionModule(ActionBase):
    """Sends one value and waits until the runner has journalled it."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        result['changed'] = False
        try:
            request = self._check(task_vars or {})
        except hler.Refused as why:
            return self._failed(result, str(why))
        if request['secret']:
            result['_ansible_no_log'] = True
        result.update(uuid=request['uuid'], field=request['field'], mode=request['mode'])
        return self._send(result, request)

    def _send(self, result, request):
        if getattr(self._task, 'check_mode', False):
            result.update(skipped=True, sent=False, msg='check mode: not sent')
            return result
        path = os.environ.get('HLER_SOCKET')
        if not path:
            result.update(sent=False, msg='no HLER_SOCKET: this run is not Hlér\'s, nothing was sent')
            return result
        try:
            client = hler.Client(path, TIMEOUT_S)
            try:
                client.result(request['uuid'], request['field'], request['mode'],
                              request['secret'], request['data'])
            finally:
                client.close()
        except hler.Refused as why:
            return self._failed(result, 'refused: %s' % why)
        except OSError as why:
            return self._failed(result, 'cannot reach the runner: %s' % why)
        result.update(sent=True, msg='sent')
        return result

    def _check(self, task_vars):
        args = self._task.args
        unknown = sorted(set(args) - ARGUMENTS)
        if unknown:
            raise hler.Refused('unknown argument: %s' % ', '.join(unknown))
        for name in ('field', 'value'):
            if name not in args:
                raise hler.Refused('%s: is required' % name)
        if str(args.get('mode', 'set')) not in MODES:
            raise hler.Refused('mode: %r is neither set nor append' % str(args['mode']))
        uuid = args.get('uuid') or self._target(task_vars)
        if not uuid:
            raise hler.Refused('uuid: not given, and the operation has no target')
        return {
            'uuid': hler.check_uuid(uuid),
            'field': hler.check_field(args['field']),
            'mode': str(args.get('mode', 'set')),
            'secret': self._boolean(args.get('secret', False)) or bool(self._task.no_log),
            'data': hler.encode(args['value']),
        }

    @staticmethod
    def _target(task_vars):
        own = task_vars.get('hler')
        target = own.get('target') if hasattr(own, 'get') else None
        return target or os.environ.get('HLER_TARGET')

    @staticmethod
    def _boolean(value):
        if isinstance(value, bool):
            return value
        if str(value).lower() in TRUE:
            return True
        if str(value).lower() in FALSE:
            return False
        raise hler.Refused('secret: %r is not a boolean' % str(value))

    @staticmethod
    def _failed(result, why):
        result.update(failed=True, sent=False, msg='emit: %s' % why)
        return result
