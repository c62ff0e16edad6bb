#include "common/config.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config_text.h"
#include "common/config_value.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"

/* Loading settings.  libconfig parses; everything it is lenient about (integers, types,
 * unknown names) is decided here.  Faults go to stderr in the form compilers use, one a line,
 * because a person or an editor reads them at once. */

#define FILE_BYTES (1024 * 1024)
#define PATH_BYTES 256

struct loading {
    const char *file; /* as given, for messages; NULL = defaults only */
    const struct config_key *table;
    size_t n;
    void *target;
    int faults;
    bool *seen; /* per key: set by the file */
};

static void
report(struct loading *l, int line, const char *path, const char *what)
{
    char place[32] = "";

    if (line > 0)
        snprintf(place, sizeof place, ":%d", line);
    fprintf(stderr, "%s%s: %s%s%s\n", l->file != NULL ? l->file : "defaults", place, path,
            *path != '\0' ? ": " : "", what);
    l->faults++;
}

static const struct config_key *
find_key(const struct loading *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->table[i].path, path) == 0)
            return &l->table[i];
    return NULL;
}

static int
store_list(const config_setting_t *setting, char ***slot, struct config_fault *fault)
{
    int n = config_setting_length(setting);

    *slot = mem_alloc(sizeof **slot * ((size_t)n + 1));
    for (int i = 0; i < n; i++) {
        const char *item = config_setting_get_string_elem(setting, i);

        if (item == NULL) {
            snprintf(fault->text, sizeof fault->text, "expected strings, [\"one\", \"two\"]");
            return -1;
        }
        (*slot)[i] = mem_dup(item);
    }
    return 0;
}

/* Store what the file says, when its type is right. */
static int
store(const struct config_key *key, const config_setting_t *setting, void *target,
      struct config_fault *fault)
{
    void *slot = config_value_slot(key, target);
    int type = config_setting_type(setting);
    const char *wanted = "";

    switch (key->type) {
    case CONFIG_STRING:
        wanted = "expected a string, \"...\"";
        if (type == CONFIG_TYPE_STRING) {
            *(char **)slot = mem_dup(config_setting_get_string(setting));
            return 0;
        }
        break;
    case CONFIG_INT:
        wanted = "expected an integer";
        if (type == CONFIG_TYPE_INT64) { /* config_text_prepare() left no other kind */
            *(int64_t *)slot = config_setting_get_int64(setting);
            return 0;
        }
        break;
    case CONFIG_BOOL:
        wanted = "expected true or false";
        if (type == CONFIG_TYPE_BOOL) {
            *(bool *)slot = config_setting_get_bool(setting) != 0;
            return 0;
        }
        break;
    case CONFIG_STRINGS:
        wanted = "expected a list, [\"one\", \"two\"]";
        if (type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST)
            return store_list(setting, slot, fault);
        break;
    }
    snprintf(fault->text, sizeof fault->text, "%s", wanted);
    return -1;
}

static char *
directory_of(const char *file)
{
    const char *slash = strrchr(file, '/');

    return slash == NULL ? mem_dup(".") : mem_dupn(file, (size_t)(slash - file) + 1);
}

static void
take_setting(struct loading *l, const char *path, const config_setting_t *setting)
{
    const struct config_key *key = find_key(l, path);
    int line = (int)config_setting_source_line(setting);
    CLEANUP(mem_cleanup) char *dir = directory_of(l->file);
    struct config_fault fault = {0};

    if (key == NULL) {
        report(l, line, path, "unknown setting");
        return;
    }
    l->seen[key - l->table] = true;
    if (store(key, setting, l->target, &fault) == -1 ||
        config_value_resolve(key, dir, l->target, &fault) == -1 ||
        config_value_check(key, l->target, &fault) == -1)
        report(l, line, path, fault.text);
}

/* Groups only structure the names, so a group is never a value. */
static void
walk(struct loading *l, const config_setting_t *group, const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        char path[PATH_BYTES];
        int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix != '\0' ? "." : "",
                         config_setting_name(setting));

        if (n < 0 || (size_t)n >= sizeof path)
            report(l, (int)config_setting_source_line(setting), prefix, "unknown setting below");
        else if (config_setting_type(setting) == CONFIG_TYPE_GROUP && find_key(l, path) == NULL)
            walk(l, setting, path);
        else
            take_setting(l, path, setting);
    }
}

/* Nobody but root and we ourselves may change our settings. */
static int
read_trusted(struct loading *l, struct buf *text)
{
    CLEANUP(file_cleanup_close) int fd = open(l->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;

    if (fd == -1 || fstat(fd, &st) == -1) {
        report(l, 0, "", strerror(errno));
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        report(l, 0, "", "not a file");
        return -1;
    }
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        report(l, 0, "", "others may write this file: chown it to root, chmod go-w");
        return -1;
    }
    if (file_read(AT_FDCWD, l->file, FILE_BYTES, text) == -1) {
        report(l, 0, "", strerror(errno));
        return -1;
    }
    return 0;
}

/* -1 = the file could not be read at all. */
static int
read_settings(struct loading *l)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf safe = {0};
    struct config_text_fault fault;
    config_t config;
    bool parsed;

    if (read_trusted(l, &text) == -1)
        return -1;
    if (config_text_prepare(text.data, text.len, &safe, &fault) == -1) {
        report(l, fault.line, "", fault.what);
        return -1;
    }
    config_init(&config);
    parsed = config_read_string(&config, safe.len > 0 ? safe.data : "") == CONFIG_TRUE;
    if (parsed)
        walk(l, config_root_setting(&config), "");
    else
        report(l, config_error_line(&config), "", config_error_text(&config));
    config_destroy(&config);
    return parsed ? 0 : -1;
}

int
config_load(const char *file, const struct config_key *table, size_t n, void *target)
{
    CLEANUP(mem_cleanup) bool *seen = mem_alloc(n * sizeof *seen);
    struct loading l = {.file = file, .table = table, .n = n, .target = target, .seen = seen};

    for (size_t i = 0; i < n; i++)
        config_value_clear(&table[i], target);
    if (file != NULL && read_settings(&l) == -1)
        return l.faults; /* do not complain about each key too */
    for (size_t i = 0; i < n; i++) {
        struct config_fault fault = {0};

        if (!seen[i] && (config_value_fallback(&table[i], target, &fault) == -1 ||
                         config_value_check(&table[i], target, &fault) == -1))
            report(&l, 0, table[i].path, fault.text);
    }
    return l.faults;
}

void
config_free(const struct config_key *table, size_t n, void *target)
{
    for (size_t i = 0; i < n; i++)
        config_value_free(&table[i], target);
}
