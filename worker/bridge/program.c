/* The specification of a command: {"argv": [...], "cwd": "/...", "env": {...}}; and what
 * every other executor is started as.  Nothing here comes from a front end's inputs. */
#include "worker/bridge/program.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/json.h"
#include "common/mem.h"

#define ARGS_MAX 1024
#define ARG_BYTES (64 * 1024)
#define ENV_NAME_BYTES 100

static int refuse(struct program_refusal *r, const char *cause, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int
refuse(struct program_refusal *r, const char *cause, const char *fmt, ...)
{
    va_list ap;

    r->cause = cause;
    va_start(ap, fmt);
    vsnprintf(r->message, sizeof r->message, fmt, ap);
    va_end(ap);
    return -1;
}

static bool
has_dots(const char *path)
{
    size_t len = strlen(path);

    return strstr(path, "/../") != NULL || (len >= 3 && strcmp(path + len - 3, "/..") == 0);
}

/* path behind "dir/", or NULL when it is not below dir. */
static const char *
below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (strncmp(path, dir, len) != 0 || path[len] != '/')
        return NULL;
    return path + len + 1 + strspn(path + len, "/") - 1;
}

/* A program below one of the roots: opened as all there is, so that no one else's file or link is
 * run.  0 with *real = where it is; 1 = it is not below a root. */
static int
from_roots(const struct settings *s, const char *path, char **real, struct program_refusal *r)
{
    for (char **root = s->roots; root != NULL && *root != NULL; root++) {
        const char *relative = below(path, *root);
        int fd;

        if (relative == NULL)
            continue;
        fd = file_open_beneath(*root, relative, real);
        if (fd != -1) {
            (void)close(fd);
            return 0;
        }
        if (errno != ENOENT && errno != ENOTDIR)
            return refuse(r, "not_allowed", "%s: %s", path, strerror(errno));
        *real = mem_dup(path);
        return 0;
    }
    return 1;
}

/* Directly in one of the directories of commands. */
static bool
from_commands(const struct settings *s, const char *path)
{
    for (char **dir = s->commands; dir != NULL && *dir != NULL; dir++) {
        const char *name = below(path, *dir);

        if (name != NULL && strchr(name, '/') == NULL)
            return true;
    }
    return false;
}

/* A bare name: the first that can be executed, or the first place it could have been in. */
static char *
search(const struct settings *s, const char *name)
{
    for (char **dir = s->commands; dir != NULL && *dir != NULL; dir++) {
        char *path = mem_printf("%s/%s", *dir, name);

        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return s->commands != NULL && s->commands[0] != NULL ? mem_printf("%s/%s", s->commands[0], name)
                                                         : NULL;
}

static int
resolve(const struct settings *s, const char *word, char **path, struct program_refusal *r)
{
    int rc;

    if (strchr(word, '/') == NULL && word[0] != '\0') {
        *path = search(s, word);
        return *path != NULL ? 0 : refuse(r, "not_allowed", "this worker allows no commands");
    }
    if (word[0] != '/' || has_dots(word))
        return refuse(r, "spec_invalid", "argv[0]: expected an absolute path or a plain name");
    if (from_commands(s, word)) {
        *path = mem_dup(word);
        return 0;
    }
    rc = from_roots(s, word, path, r);
    if (rc == 1)
        return refuse(r, "not_allowed", "%s: is in none of worker.commands and worker.roots", word);
    return rc;
}

static int
read_argv(const struct settings *s, struct json_object *spec, struct program *out,
          struct program_refusal *r)
{
    struct json_object *list = NULL;
    struct json_error err = {""};
    char *path = NULL;

    if (json_get_array(spec, "argv", false, ARGS_MAX, &list, &err) == -1)
        return refuse(r, "spec_invalid", "%s", err.text);
    if (json_object_array_length(list) == 0)
        return refuse(r, "spec_invalid", "argv: is empty");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!json_object_is_type(item, json_type_string))
            return refuse(r, "spec_invalid", "argv[%zu]: expected a string", i);
        if (json_object_get_string_len(item) > ARG_BYTES)
            return refuse(r, "spec_invalid", "argv[%zu]: is too long", i);
        if (i > 0)
            strings_take(&out->argv, mem_dup(json_object_get_string(item)));
        else if (resolve(s, json_object_get_string(item), &path, r) == -1)
            return -1;
        else
            strings_take(&out->argv, path);
    }
    return 0;
}

static int
read_cwd(const struct settings *s, struct json_object *spec, struct program *out,
         struct program_refusal *r)
{
    char resolved[PATH_MAX];
    struct json_error err = {""};
    const char *cwd = NULL, *real;

    if (json_get_string(spec, "cwd", true, PATH_MAX - 1, &cwd, &err) == -1)
        return refuse(r, "spec_invalid", "%s", err.text);
    if (cwd == NULL)
        return 0;
    if (cwd[0] != '/' || has_dots(cwd))
        return refuse(r, "spec_invalid", "cwd: expected an absolute path");
    real = realpath(cwd, resolved) != NULL ? resolved : cwd;
    for (char **root = s->roots; root != NULL && *root != NULL; root++) {
        if (below(real, *root) == NULL && strcmp(real, *root) != 0)
            continue;
        out->cwd = mem_dup(real);
        return 0;
    }
    return refuse(r, "not_allowed", "cwd %s: is below none of worker.roots", cwd);
}

static bool
env_name_valid(const char *name)
{
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t len = strlen(name);

    if (len == 0 || len > ENV_NAME_BYTES || strchr(upper, name[0]) == NULL)
        return false;
    if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != len)
        return false;
    return strncmp(name, "LD_", 3) != 0 && strncmp(name, "HLER_", 5) != 0;
}

static int
read_env(struct json_object *spec, struct program *out, struct program_refusal *r)
{
    struct json_object *env = NULL;
    struct json_error err = {""};

    if (json_get_object(spec, "env", true, &env, &err) == -1)
        return refuse(r, "spec_invalid", "%s", err.text);
    if (env == NULL)
        return 0;
    json_object_object_foreach(env, name, value)
    {
        if (!env_name_valid(name))
            return refuse(r, "spec_invalid",
                          "env: %.100s is not [A-Z][A-Z0-9_]*, or starts with LD_ or HLER_", name);
        if (!json_object_is_type(value, json_type_string))
            return refuse(r, "spec_invalid", "env.%s: expected a string", name);
        strings_set(&out->env, name, json_object_get_string(value));
    }
    return 0;
}

/* Executor "none" takes no specification: a member would be one that somebody meant for another. */
static int
read_nothing(struct json_object *spec, struct program_refusal *r)
{
    json_object_object_foreach(spec, name, value)
    {
        (void)value;
        return refuse(r, "spec_invalid", "%.100s: executor none takes no specification", name);
    }
    return 0;
}

int
program_make(const struct settings *settings, const struct executors *executors,
             const struct offer *offer, struct program *out, struct program_refusal *r)
{
    memset(out, 0, sizeof *out);
    out->executor = executors_find(executors, offer->executor);
    if (out->executor == NULL)
        return refuse(r, "executor_unknown", "this worker has no executor %s", offer->executor);
    if (out->executor->path != NULL) {
        strings_take(&out->argv, mem_dup(out->executor->path));
        strings_take(&out->argv, mem_dup("run"));
        return 0;
    }
    if (strcmp(out->executor->name, EXECUTORS_NONE) == 0)
        return read_nothing(offer->spec, r);
    if (read_argv(settings, offer->spec, out, r) == -1 ||
        read_cwd(settings, offer->spec, out, r) == -1 || read_env(offer->spec, out, r) == -1)
        return -1;
    return 0;
}

void
program_free(struct program *program)
{
    strings_free(&program->argv);
    strings_free(&program->env);
    free(program->cwd);
    program->cwd = NULL;
}
