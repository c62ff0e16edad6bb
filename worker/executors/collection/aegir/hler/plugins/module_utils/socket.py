# Copyright: the Hlér authors
# SPDX-License-Identifier: Apache-2.0
"""Client of the runner's socket (executor contract, section 3), and what may go through it."""
from __future__ import annotations

import json
import math
import os
import re
import socket

VALUE_MAX = 64 * 1024
DEPTH_MAX = 16
KEYS_MAX = 1024
INTEGER_MAX = 2 ** 53
ANSWER_MAX = 4096

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z')
FIELD = re.compile(r'[a-z][a-z0-9_]{0,62}\Z')


class Refused(Exception):
    """The value may not be sent, or the runner said no; the text says why."""


def plain(value, where='value', depth=0):
    """The value as plain JSON types, whatever subclass Ansible wraps it in.

    Raises Refused for what the protocol's strict JSON has no place for.
    """
    if depth > DEPTH_MAX:
        raise Refused('%s: nested deeper than %d' % (where, DEPTH_MAX))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (bytes, bytearray)):
        return _text(bytes(value), where)
    if isinstance(value, str) or hasattr(value, '_ciphertext'):
        return _text(value, where)
    if isinstance(value, (int, float)):
        return _number(value, where)
    if hasattr(value, 'items'):
        return _mapping(value, where, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v, '%s[%d]' % (where, n), depth + 1) for n, v in enumerate(value)]
    raise Refused('%s: a %s cannot be sent as JSON' % (where, type(value).__name__))


def _text(value, where):
    try:
        text = value.decode('utf-8') if isinstance(value, bytes) else str(value)
        # str() of a subclass may be the object itself; join makes a plain one.
        text = ''.join(list(text))
        text.encode('utf-8')
    except UnicodeError:
        raise Refused('%s: not valid UTF-8' % where) from None
    if '\0' in text:
        raise Refused('%s: holds a NUL character' % where)
    return text


def _number(value, where):
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise Refused('%s: integer beyond 2^53' % where)
        return int(value)
    if not math.isfinite(value):
        raise Refused('%s: not a finite number' % where)
    return float(value)


def _mapping(value, where, depth):
    if len(value) > KEYS_MAX:
        raise Refused('%s: more than %d keys' % (where, KEYS_MAX))
    out = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise Refused('%s: key %r is not a string' % (where, key))
        name = _text(key, where)
        out[name] = plain(item, '%s.%s' % (where, name), depth + 1)
    return out


def encode(value, limit=VALUE_MAX):
    """The value as JSON bytes; Refused when it cannot be sent."""
    data = json.dumps(plain(value), ensure_ascii=False, allow_nan=False,
                      separators=(',', ':')).encode('utf-8')
    if len(data) > limit:
        raise Refused('value is %d bytes of JSON, more than %d' % (len(data), limit))
    return data


def check_uuid(uuid):
    """The uuid in lower case; Refused when it is none."""
    text = str(uuid).lower()
    if not UUID.match(text):
        raise Refused('uuid: %r is not a UUID' % str(uuid))
    return text


def check_field(field):
    """The field name; Refused when it is none."""
    if not FIELD.match(str(field)):
        raise Refused('field: %r does not match [a-z][a-z0-9_]{0,62}' % str(field))
    return str(field)


class Client:
    """One connection to the runner.  Raises OSError or Refused."""

    def __init__(self, path, timeout):
        self._answer = b''
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(timeout)
        try:
            self._connect(path)
        except OSError:
            self._sock.close()
            raise

    def _connect(self, path):
        # sun_path holds 107 bytes; through the directory's descriptor any path fits.
        folder = os.open(os.path.dirname(path) or '.', os.O_PATH | os.O_DIRECTORY)
        try:
            self._sock.connect('/proc/self/fd/%d/%s' % (folder, os.path.basename(path)))
        finally:
            os.close(folder)

    def result(self, uuid, field, mode, secret, data):
        """Send one result (data from encode()) and wait until it is journalled."""
        self._request('RESULT %s %s %s %s %d\n' % (
            uuid, field, mode, 'secret' if secret else 'plain', len(data)), data)

    def progress(self, data):
        """Send one progress object (JSON bytes) and wait for its answer."""
        self._request('PROGRESS %d\n' % len(data), data)

    def _request(self, head, data):
        self._sock.sendall(head.encode('ascii') + data)
        answer = self._line()
        if answer != 'OK':
            raise Refused(answer[4:] if answer.startswith('ERR ') else answer)

    def _line(self):
        while b'\n' not in self._answer:
            more = self._sock.recv(ANSWER_MAX)
            if not more or len(self._answer) > ANSWER_MAX:
                raise OSError('the runner closed the connection without an answer')
            self._answer += more
        line, self._answer = self._answer.split(b'\n', 1)
        return line.decode('utf-8', 'replace')

    def close(self):
        self._sock.close()
