#include "worker/executors/spec.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ITEMS_MAX 256u
#define WORD_MAX 128u

void
spec_fault(struct buf *faults, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_printf(faults, "%s%s", faults->len == 0 ? "" : "; ", text);
}

static void
check_text(const struct spec_key *key, struct json_object *value, struct buf *faults)
{
    const char *text = json_object_get_string(value);

    if (key->valid != NULL && !key->valid(text))
        spec_fault(faults, "%s: %.60s is not %s", key->name, text, key->expects);
}

static int
read_strings(struct json_object *spec, const struct spec_key *key, struct json_object **out,
             struct json_error *err, struct buf *faults)
{
    if (json_get_array(spec, key->name, !key->required, ITEMS_MAX, out, err) == -1)
        return -1;
    for (size_t i = 0; *out != NULL && i < json_object_array_length(*out); i++) {
        struct json_object *item = json_object_array_get_idx(*out, i);

        if (json_object_is_type(item, json_type_string))
            check_text(key, item, faults);
        else
            spec_fault(faults, "%s[%zu]: expected a string", key->name, i);
    }
    return 0;
}

static void
read_member(struct json_object *spec, const struct spec_key *key, void *member, struct buf *faults)
{
    struct json_object *value = json_object_object_get(spec, key->name);
    struct json_error err;
    int r = 0;

    if (value == NULL && !key->required)
        return; /* absent or null: *member keeps its default */
    switch (key->type) {
    case SPEC_STRING:
        r = json_get_string(spec, key->name, !key->required, PATH_MAX, member, &err);
        if (r == 0 && value != NULL)
            check_text(key, value, faults);
        break;
    case SPEC_INT:
        r = json_get_int(spec, key->name, !key->required, key->min, key->max, member, &err);
        break;
    case SPEC_BOOL:
        r = json_get_bool(spec, key->name, !key->required, member, &err);
        break;
    case SPEC_STRINGS:
        r = read_strings(spec, key, member, &err, faults);
        break;
    case SPEC_VALUE:
        *(struct json_object **)member = value;
        if (value == NULL)
            spec_fault(faults, "%s: missing", key->name);
        break;
    }
    if (r == -1)
        spec_fault(faults, "%s", err.text);
}

static bool
is_known(const char *name, const struct spec_key *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return true;
    return false;
}

unsigned
spec_read(struct json_object *spec, const struct spec_key *table, size_t n, void *target,
          struct buf *faults)
{
    size_t before = faults->len;
    unsigned count = 0;

    for (size_t i = 0; i < n; i++) {
        read_member(spec, &table[i], (char *)target + table[i].offset, faults);
        count += faults->len != before;
        before = faults->len;
    }
    json_object_object_foreach(spec, name, value)
    {
        (void)value;
        if (!is_known(name, table, n)) {
            spec_fault(faults, "%.60s: unknown member", name);
            count++;
        }
    }
    return count;
}

bool
spec_is_path(const char *text)
{
    if (text[0] == '\0' || text[0] == '/' || strpbrk(text, "\n\r") != NULL)
        return false;
    for (const char *part = text; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return false;
    }
    return true;
}

bool
spec_is_word(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return len >= 1 && len <= WORD_MAX && text[len] == '\0' && text[0] != '-' && text[0] != '.';
}
