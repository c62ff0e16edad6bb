# Copyright: the Hlér authors
# SPDX-License-Identifier: Apache-2.0
"""What the callback tells of a task's result: few members, each of bounded size, no secrets."""
from __future__ import annotations

import json

TEXT_MAX = 2 * 1024   # of msg, stdout and stderr, in bytes; the tails are kept
NAME_MAX = 256
EVENT_MAX = 16 * 1024


def clean(value, limit, tail=False):
    """(text, cut): value as UTF-8 text of at most limit bytes that strict JSON can hold."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    raw = text.replace('\0', '\ufffd').encode('utf-8', 'replace')
    if len(raw) <= limit:
        return raw.decode('utf-8'), False
    raw = raw[-limit:] if tail else raw[:limit]
    return raw.decode('utf-8', 'ignore'), True


def is_silenced(task):
    """True under no_log; a template that is not resolved yet counts as true."""
    return bool(getattr(task, 'no_log', False))


def task_name(task):
    """The task's name; as written, not templated, under no_log: it may hold the secret."""
    if is_silenced(task):
        written = getattr(task, '_ds', None)
        name = written.get('name') if hasattr(written, 'get') else None
        return clean(name or getattr(task, 'action', ''), NAME_MAX)[0]
    return clean(task.get_name(), NAME_MAX)[0]


def describe_task(task):
    """The members that say which task an event is about."""
    return {
        'task': task_name(task),
        'action': clean(getattr(task, 'action', ''), NAME_MAX)[0],
        'path': clean(task.get_path() or '', 2 * NAME_MAX)[0],
    }


def describe_result(task, result):
    """The members of a result that are worth sending; the rest never leaves the playbook."""
    out = {'changed': bool(result.get('changed', False))}
    if is_silenced(task) or 'censored' in result or result.get('_ansible_no_log'):
        out['censored'] = True
        return out
    cut = False
    for key, tail in (('msg', False), ('stdout', True), ('stderr', True)):
        if result.get(key):
            out[key], was_cut = clean(result[key], TEXT_MAX, tail)
            cut = cut or was_cut
    if isinstance(result.get('rc'), int):
        out['rc'] = int(result['rc'])
    for key in ('attempts', 'retries'):
        if isinstance(result.get(key), int):
            out[key] = int(result[key])
    label = result.get('_ansible_item_label', result.get('item'))
    if label is not None:
        out['item'], was_cut = clean(label, NAME_MAX)
        cut = cut or was_cut
    if cut:
        out['truncated'] = True
    return out


def reason(told):
    """One line that says why a task failed, from describe_result()."""
    if told.get('censored'):
        return 'hidden by no_log'
    last = told.get('stderr', '').strip().split('\n')[-1]
    return ': '.join(part for part in (told.get('msg', ''), last) if part) or 'failed'


def encode_event(event):
    """The event as JSON bytes of at most EVENT_MAX; long members go first."""
    for key in (None, 'hosts', 'stdout', 'stderr', 'msg', 'path', 'item'):
        if key in event:
            event = dict(event, truncated=True)
            del event[key]
        data = json.dumps(event, ensure_ascii=False, separators=(',', ':')).encode('utf-8', 'replace')
        if len(data) <= EVENT_MAX:
            return data
    raise ValueError('event of %d bytes' % len(data))
