# Copyright: the Hlér authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of aegir.hler.emit; the work is done by the action plugin of this name."""
from __future__ import annotations

DOCUMENTATION = r'''
module: emit
short_description: Send one value for an entity back to the front end
version_added: 0.1.0
description:
  - Sends one value for an entity (a site, a server) to the front end that asked for the operation.
  - Runs on the controller, so it works for unreachable hosts, with C(become) and C(delegate_to).
  - When the task is ok, the value is journalled by the runner and will arrive.
options:
  uuid:
    description:
      - UUID of the entity. Defaults to the target of the operation.
    type: str
  field:
    description:
      - Name of the datum, C([a-z][a-z0-9_]{0,62}).
    type: str
    required: true
  value:
    description:
      - Any value that JSON can hold, at most 64 KiB of it.
    type: raw
    required: true
  mode:
    description:
      - V(set) replaces the field, V(append) adds to a list.
    type: str
    choices: [set, append]
    default: set
  secret:
    description:
      - Mark the value as secret, and keep this task's result out of the log.
      - C(no_log) on the task does the same.
    type: bool
    default: false
notes:
  - In check mode nothing is sent and the task is skipped.
  - Without Hlér (C(HLER_SOCKET) is not set) nothing is sent; the task is ok and says so.
author:
  - The Hlér authors (@aegir)
'''

EXAMPLES = r'''
- name: Where the site is
  aegir.hler.emit:
    field: site_url
    value: "https://{{ hler.inputs.domain }}/"

- name: A password the front end must know
  aegir.hler.emit:
    uuid: "{{ hler.inputs.database_uuid }}"
    field: password
    value: "{{ password }}"
    secret: true

- name: One line of a list
  aegir.hler.emit:
    field: backups
    # One template for all: ansible-core before 2.19 makes text of a number in a template of its own.
    value: "{{ {'file': backup.path, 'bytes': backup.size | int} }}"
    mode: append
'''

RETURN = r'''
sent:
  description: Whether the value went to the runner.
  returned: always
  type: bool
uuid:
  description: The entity it was sent for.
  returned: when the arguments are valid
  type: str
field:
  description: The field it was sent for.
  returned: when the arguments are valid
  type: str
'''
