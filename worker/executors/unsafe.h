#ifndef WORKER_EXECUTORS_UNSAFE_H
#define WORKER_EXECUTORS_UNSAFE_H

#include "common/json.h"

/* A copy of value in which every string is {"__ansible_unsafe": string}: Ansible evaluates plain
 * strings of extra variables as templates, which would run a stranger's code
 * (`{{ lookup('pipe', 'id') }}`).  Keys cannot be marked so; one that Ansible could read as a
 * template or a marker of its own is refused: NULL with *err filled. */
struct json_object *unsafe_mark(struct json_object *value, struct json_error *err) MUST_CHECK;

#endif
