# Copyright: the Hlér authors
# SPDX-License-Identifier: Apache-2.0
"""Takes what set_stats says, task by task and host by host: the totals that Ansible keeps join
strings and add numbers of several hosts, and show in clear what no_log hides."""
from __future__ import annotations

from ansible_collections.aegir.hler.plugins.module_utils import socket as hler


class Harvest:
    """Outputs of the task, by field, and what of them was seen in clear."""

    def __init__(self):
        self.outputs = {}
        self._seen = set()
        self._silenced = False

    def take(self, result):
        """Yield (field, JSON bytes or Refused) for the data of one set_stats result."""
        if 'censored' in result:
            self._silenced = True
        stats = result.get('ansible_stats')
        data = stats.get('data') if hasattr(stats, 'get') else None
        if not hasattr(data, 'items'):
            return
        for key, value in data.items():
            self._seen.add(str(key))
            yield self._checked(key, value, keep=True)

    def silenced(self, custom):
        """Yield (field, JSON bytes or Refused) for totals that only no_log tasks set."""
        if not self._silenced:
            return
        for totals in custom.values():
            for key, value in totals.items():
                if str(key) not in self._seen:
                    self._seen.add(str(key))
                    yield self._checked(key, value, keep=False)

    def _checked(self, key, value, keep):
        try:
            field = hler.check_field(key)
            data = hler.encode(value)
        except hler.Refused as why:
            return str(key), why
        if keep:
            self.outputs[field] = hler.plain(value)
        return field, data
