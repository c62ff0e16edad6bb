#include "common/config_value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"

/* Values of settings. */

#define SECRET_BYTES 4096

static int fail(struct config_fault *fault, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int
fail(struct config_fault *fault, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fault->text, sizeof fault->text, fmt, ap);
    va_end(ap);
    return -1;
}

void *
config_value_slot(const struct config_key *key, void *target)
{
    return (char *)target + key->offset;
}

static int
parse_int(const char *text, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno != 0 || end == text || *end != '\0' ? -1 : 0;
}

/* "a:b" -> {"a", "b", NULL}; "" -> {NULL}. */
static char **
split(const char *text)
{
    size_t n = 0;
    char **list = mem_alloc(sizeof *list * (strlen(text) + 2));

    while (*text != '\0') {
        size_t len = strcspn(text, ":");

        list[n++] = mem_dupn(text, len);
        text += len;
        text += *text == ':';
    }
    return list;
}

int
config_value_fallback(const struct config_key *key, void *target, struct config_fault *fault)
{
    void *slot = config_value_slot(key, target);

    if (key->fallback == NULL)
        return fail(fault, "must be set");
    switch (key->type) {
    case CONFIG_STRING:
        *(char **)slot = mem_dup(key->fallback);
        return 0;
    case CONFIG_INT:
        if (parse_int(key->fallback, slot) == 0)
            return 0;
        break;
    case CONFIG_BOOL:
        *(bool *)slot = strcmp(key->fallback, "true") == 0;
        if (*(bool *)slot || strcmp(key->fallback, "false") == 0)
            return 0;
        break;
    case CONFIG_STRINGS:
        *(char ***)slot = split(key->fallback);
        return 0;
    }
    return fail(fault, "bad default '%s'", key->fallback);
}

static int
check_length(const struct config_key *key, size_t length, const char *unit,
             struct config_fault *fault)
{
    if (length < (size_t)key->min && length == 0)
        return fail(fault, "must not be empty");
    if (length < (size_t)key->min)
        return fail(fault, "needs at least %lld %s", (long long)key->min, unit);
    if (key->max > 0 && length > (size_t)key->max)
        return fail(fault, "takes at most %lld %s", (long long)key->max, unit);
    return 0;
}

int
config_value_check(const struct config_key *key, void *target, struct config_fault *fault)
{
    void *slot = config_value_slot(key, target);
    size_t n = 0;

    switch (key->type) {
    case CONFIG_STRING:
        return check_length(key, strlen(*(char **)slot), "bytes", fault);
    case CONFIG_INT:
        if (*(int64_t *)slot >= key->min && *(int64_t *)slot <= key->max)
            return 0;
        return fail(fault, "%lld is not in %lld..%lld", (long long)*(int64_t *)slot,
                    (long long)key->min, (long long)key->max);
    case CONFIG_BOOL:
        return 0;
    case CONFIG_STRINGS:
        while ((*(char ***)slot)[n] != NULL)
            n++;
        return check_length(key, n, "items", fault);
    }
    return 0;
}

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

bool
config_value_is_secret(const struct config_key *key)
{
    return key->type == CONFIG_STRING &&
           (ends_with(key->path, "password") || ends_with(key->path, "dsn"));
}

/* Root's file may be readable by a group: that is how packages hand out secrets. */
static int
check_private(const char *path, struct config_fault *fault)
{
    struct stat st;
    mode_t refused = S_IRWXO | S_IRWXG;

    if (stat(path, &st) == -1)
        return fail(fault, "cannot read %s: %s", path, strerror(errno));
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return fail(fault, "%s belongs to another user", path);
    if (st.st_uid == 0)
        refused &= ~(mode_t)S_IRGRP;
    if ((st.st_mode & refused) != 0)
        return fail(fault, "%s is open to others: chmod 0600 it", path);
    return 0;
}

int
config_value_resolve(const struct config_key *key, const char *dir, void *target,
                     struct config_fault *fault)
{
    char **slot = config_value_slot(key, target);
    CLEANUP(mem_cleanup) char *path = NULL;
    CLEANUP(buf_free) struct buf content = {0};

    if (!config_value_is_secret(key) || **slot != '@')
        return 0;
    path = (*slot)[1] == '/' ? mem_dup(*slot + 1) : mem_printf("%s/%s", dir, *slot + 1);
    if (check_private(path, fault) == -1)
        return -1;
    if (file_read(AT_FDCWD, path, SECRET_BYTES, &content) == -1)
        return fail(fault, "cannot read %s: %s", path, strerror(errno));
    free(*slot);
    *slot = mem_dupn(content.data, strcspn(content.data, "\r\n"));
    explicit_bzero(content.data, content.len);
    return 0;
}

void
config_value_clear(const struct config_key *key, void *target)
{
    void *slot = config_value_slot(key, target);

    if (key->type == CONFIG_STRING)
        *(char **)slot = NULL;
    if (key->type == CONFIG_STRINGS)
        *(char ***)slot = NULL;
}

void
config_value_free(const struct config_key *key, void *target)
{
    void *slot = config_value_slot(key, target);
    char **list;

    switch (key->type) {
    case CONFIG_STRING:
        free(*(char **)slot);
        *(char **)slot = NULL;
        break;
    case CONFIG_STRINGS:
        list = *(char ***)slot;
        for (size_t i = 0; list != NULL && list[i] != NULL; i++)
            free(list[i]);
        free(list);
        *(char ***)slot = NULL;
        break;
    case CONFIG_INT:
    case CONFIG_BOOL:
        break;
    }
}
