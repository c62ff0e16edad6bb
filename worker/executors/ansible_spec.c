#include "worker/executors/ansible_spec.h"

#include <stddef.h>
#include <string.h>

#include "worker/executors/spec.h"

#define FORKS_MAX 500
#define VERBOSITY_MAX 3
#define LIMIT_MAX 1024u

/* A host pattern; '@' would read a file. */
static bool
is_limit(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "._-*?[]:,!&~");

    return len >= 1 && len <= LIMIT_MAX && text[len] == '\0' && text[0] != '-';
}

static bool
is_absolute(const char *text)
{
    return text[0] == '/' && text[strcspn(text, " \t\n\r'\"{}")] == '\0';
}

static const struct spec_key table[] = {
    {.name = "playbook",
     .type = SPEC_STRING,
     .offset = offsetof(struct ansible_spec, playbook),
     .required = true,
     .valid = spec_is_path,
     .expects = "a path below a root"},
    {.name = "inventory",
     .type = SPEC_VALUE,
     .offset = offsetof(struct ansible_spec, inventory),
     .required = true},
    {.name = "limit",
     .type = SPEC_STRING,
     .offset = offsetof(struct ansible_spec, limit),
     .valid = is_limit,
     .expects = "a host pattern"},
    {.name = "python",
     .type = SPEC_STRING,
     .offset = offsetof(struct ansible_spec, python),
     .valid = is_absolute,
     .expects = "an absolute path"},
    {.name = "tags",
     .type = SPEC_STRINGS,
     .offset = offsetof(struct ansible_spec, tags),
     .valid = spec_is_word,
     .expects = "a tag"},
    {.name = "skip_tags",
     .type = SPEC_STRINGS,
     .offset = offsetof(struct ansible_spec, skip_tags),
     .valid = spec_is_word,
     .expects = "a tag"},
    {.name = "forks",
     .type = SPEC_INT,
     .offset = offsetof(struct ansible_spec, forks),
     .min = 1,
     .max = FORKS_MAX},
    {.name = "verbosity",
     .type = SPEC_INT,
     .offset = offsetof(struct ansible_spec, verbosity),
     .max = VERBOSITY_MAX},
    {.name = "check", .type = SPEC_BOOL, .offset = offsetof(struct ansible_spec, check)},
};

static unsigned
check_hosts(struct json_object *hosts, struct buf *faults)
{
    size_t n = json_object_array_length(hosts);
    unsigned count = n == 0;

    if (n == 0)
        spec_fault(faults, "inventory: no host");
    for (size_t i = 0; i < n; i++) {
        struct json_object *host = json_object_array_get_idx(hosts, i);

        if (!json_object_is_type(host, json_type_string) ||
            !spec_is_word(json_object_get_string(host))) {
            spec_fault(faults, "inventory[%zu]: not a host name", i);
            count++;
        }
    }
    return count;
}

static unsigned
check_inventory(struct json_object *inventory, struct buf *faults)
{
    if (inventory == NULL)
        return 0; /* missing: already told */
    if (json_object_is_type(inventory, json_type_array))
        return check_hosts(inventory, faults);
    if (json_object_is_type(inventory, json_type_string) &&
        spec_is_path(json_object_get_string(inventory)))
        return 0;
    spec_fault(faults, "inventory: expected a path below a root or a list of host names");
    return 1;
}

unsigned
ansible_spec_read(struct json_object *spec, struct ansible_spec *out, struct buf *faults)
{
    unsigned count;

    *out = (struct ansible_spec){0};
    count = spec_read(spec, table, ARRAY_LEN(table), out, faults);
    return count + check_inventory(out->inventory, faults);
}
