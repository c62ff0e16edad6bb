/* What a program is told, in its environment and in HLER_VARS. */
#include "worker/bridge/environment.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "proto/limits.h"
#include "worker/bridge/executors.h"
#include "worker/runner/request.h"

#define PATH_BASE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define INPUT_BYTES 4096           /* of one input that goes into the environment */
#define INPUTS_BYTES (64u * 1024u) /* of all of them; HLER_VARS has every one anyway */

static void
set_number(struct strings *out, const char *name, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)value);
    strings_add(out, name, text);
}

static void
set_path(struct strings *out, const char *name, const char *dir, const char *file)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", dir, file);

    strings_add(out, name, path);
}

static void
set_system(const struct settings *s, const char *dir, struct strings *out)
{
    CLEANUP(mem_cleanup) char *path = mem_printf(PATH_BASE ":%s", s->program_dir);
    const char *tz = getenv("TZ");

    strings_add(out, "PATH", path);
    set_path(out, "HOME", dir, REQUEST_WORK);
    set_path(out, "TMPDIR", dir, REQUEST_WORK);
    strings_add(out, "LANG", "C.UTF-8");
    strings_add(out, "LC_ALL", "C.UTF-8");
    if (tz != NULL)
        strings_add(out, "TZ", tz);
}

static void
set_task(const struct offer *o, const char *dir, struct strings *out)
{
    strings_add(out, "HLER_API", "1");
    strings_add(out, "HLER_OPERATION", o->operation);
    strings_add(out, "HLER_TYPE", o->type);
    strings_add(out, "HLER_TASK", o->name.task);
    strings_add(out, "HLER_NAME", o->task_name);
    set_number(out, "HLER_ATTEMPT", o->name.attempt);
    set_number(out, "HLER_TRY", o->try_number);
    strings_add(out, "HLER_TARGET", o->target != NULL ? o->target : "");
    strings_add(out, "HLER_REQUESTER", o->requester);
    if (environment_has_spec(o))
        set_path(out, "HLER_SPEC", dir, ENVIRONMENT_SPEC);
    set_path(out, "HLER_VARS", dir, ENVIRONMENT_VARS);
    set_path(out, "HLER_OUTPUTS", dir, REQUEST_OUTPUTS);
    set_path(out, "HLER_SOCKET", dir, REQUEST_SOCKET);
}

static void
set_places(const struct settings *s, struct strings *out)
{
    CLEANUP(buf_free) struct buf roots = {0};

    buf_puts(&roots, "");
    for (char **root = s->roots; root != NULL && *root != NULL; root++)
        buf_printf(&roots, "%s%s", roots.len > 0 ? ":" : "", *root);
    strings_add(out, "HLER_ROOTS", roots.data != NULL ? roots.data : "");
    if (s->collections[0] != '\0')
        strings_add(out, "HLER_COLLECTIONS", s->collections);
    if (s->state_dir[0] != '\0')
        strings_add(out, "HLER_STATE", s->state_dir);
}

/* HLER_INPUT_<NAME> for scalars, all or none of them. */
static void
set_inputs(const struct offer *o, struct strings *out)
{
    struct strings inputs = {0};
    size_t total = 0;

    json_object_object_foreach(o->inputs, field, value)
    {
        char name[sizeof "HLER_INPUT_" + LIMIT_FIELD_BYTES] = "HLER_INPUT_";
        size_t n = strlen(name);
        const char *text;

        if (!ident_field_valid(field) || value == NULL ||
            json_object_is_type(value, json_type_object) ||
            json_object_is_type(value, json_type_array))
            continue;
        text = json_object_get_string(value);
        if (strlen(text) > INPUT_BYTES)
            continue;
        for (const char *c = field; *c != '\0'; c++)
            name[n++] = (char)toupper((unsigned char)*c);
        name[n] = '\0';
        total += strlen(text) + n;
        strings_add(&inputs, name, text);
    }
    for (size_t i = 0; i < inputs.n && total <= INPUTS_BYTES; i++)
        strings_take(out, mem_dup(inputs.items[i]));
    strings_free(&inputs);
}

void
environment_make(const struct settings *s, const struct offer *o, const char *dir,
                 struct strings *out)
{
    set_system(s, dir, out);
    set_task(o, dir, out);
    set_places(s, out);
    set_inputs(o, out);
}

bool
environment_has_spec(const struct offer *o)
{
    return strcmp(o->executor, EXECUTORS_NONE) != 0 && strcmp(o->executor, EXECUTORS_COMMAND) != 0;
}

void
environment_vars(const struct offer *o, struct buf *out)
{
    CLEANUP(json_cleanup) struct json_object *vars = json_object_new_object();
    const char *text;
    size_t len;

    json_set_string(vars, "operation", o->operation);
    json_set_string(vars, "type", o->type);
    json_set_string(vars, "task", o->name.task);
    json_set_string(vars, "name", o->task_name);
    json_set_int(vars, "attempt", o->name.attempt);
    json_set_int(vars, "try", o->try_number);
    json_set_string(vars, "target", o->target);
    json_set_string(vars, "requester", o->requester);
    json_add(vars, "inputs", json_object_get(o->inputs));
    json_add(vars, "outputs", json_object_get(o->outputs));
    text = json_text(vars, &len);
    buf_add(out, text, len);
}
