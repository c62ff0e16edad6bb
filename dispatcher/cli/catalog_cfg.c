/* The catalogue's files.  The database checks the definitions; here is only their form. */
#include "dispatcher/cli/catalog_cfg.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_text.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/utf8.h"

#define FILE_MAX (1024u * 1024u)
#define PATH_MAX_BYTES 256

struct catalog_cfg {
    config_t config;
    config_setting_t *types;
};

static struct json_object *to_json(const config_setting_t *s);

static struct json_object *
children(const config_setting_t *s, bool named)
{
    struct json_object *o = named ? json_object_new_object() : json_object_new_array();

    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *child = config_setting_get_elem(s, (unsigned)i);
        if (named)
            json_add(o, config_setting_name(child), to_json(child));
        else
            json_append(o, to_json(child));
    }
    return o;
}

static struct json_object *
to_json(const config_setting_t *s)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_GROUP:
        return children(s, true);
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_ARRAY:
        return children(s, false);
    case CONFIG_TYPE_INT:
        return json_object_new_int64(config_setting_get_int(s));
    case CONFIG_TYPE_INT64:
        return json_object_new_int64(config_setting_get_int64(s));
    case CONFIG_TYPE_FLOAT:
        return json_object_new_double(config_setting_get_float(s));
    case CONFIG_TYPE_BOOL:
        return json_object_new_boolean(config_setting_get_bool(s));
    default:
        return json_object_new_string(config_setting_get_string(s));
    }
}

/* Only `types` at the top, a list of groups. */
static int
check_form(struct catalog_cfg *cfg, const char *file, struct buf *errors)
{
    const config_setting_t *root = config_root_setting(&cfg->config);
    int faults = 0;

    for (int i = 0; i < config_setting_length(root); i++) {
        config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
        if (strcmp(config_setting_name(s), "types") == 0) {
            cfg->types = s;
            continue;
        }
        buf_printf(errors, "%s:%u: %s: is not known here, only types = ( {…}, … )\n", file,
                   config_setting_source_line(s), config_setting_name(s));
        faults++;
    }
    if (cfg->types == NULL) {
        buf_printf(errors, "%s:1: types is missing: types = ( { name = \"…\"; … } );\n", file);
        return -1;
    }
    if (config_setting_type(cfg->types) != CONFIG_TYPE_LIST) {
        buf_printf(errors, "%s:%u: types must be a list of groups: ( {…}, {…} )\n", file,
                   config_setting_source_line(cfg->types));
        return -1;
    }
    for (int i = 0; i < config_setting_length(cfg->types); i++) {
        const config_setting_t *s = config_setting_get_elem(cfg->types, (unsigned)i);
        if (config_setting_is_group(s))
            continue;
        buf_printf(errors, "%s:%u: types[%d]: must be a group: {…}\n", file,
                   config_setting_source_line(s), i);
        faults++;
    }
    return faults == 0 ? 0 : -1;
}

static int
parse(struct catalog_cfg *cfg, const char *file, struct buf *errors)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf safe = {0};
    struct config_text_fault fault;

    if (file_read(AT_FDCWD, file, FILE_MAX, &text) == -1) {
        buf_printf(errors, "%s: %s\n", file, strerror(errno));
        return -1;
    }
    if (utf8_valid_prefix(text.data, text.len) != text.len) {
        buf_printf(errors, "%s: not UTF-8\n", file);
        return -1;
    }
    if (config_text_prepare(text.data != NULL ? text.data : "", text.len, &safe, &fault) == -1) {
        buf_printf(errors, "%s:%d: %s\n", file, fault.line, fault.what);
        return -1;
    }
    if (config_read_string(&cfg->config, safe.data != NULL ? safe.data : "") != CONFIG_TRUE) {
        buf_printf(errors, "%s:%d: %s\n", file, config_error_line(&cfg->config),
                   config_error_text(&cfg->config));
        return -1;
    }
    return check_form(cfg, file, errors);
}

struct catalog_cfg *
catalog_cfg_read(const char *file, struct buf *errors)
{
    struct catalog_cfg *cfg = mem_alloc(sizeof *cfg);

    config_init(&cfg->config);
    if (parse(cfg, file, errors) == 0)
        return cfg;
    catalog_cfg_free(cfg);
    return NULL;
}

void
catalog_cfg_free(struct catalog_cfg *cfg)
{
    if (cfg == NULL)
        return;
    config_destroy(&cfg->config);
    free(cfg);
}

size_t
catalog_cfg_count(const struct catalog_cfg *cfg)
{
    return (size_t)config_setting_length(cfg->types);
}

struct json_object *
catalog_cfg_definition(const struct catalog_cfg *cfg, size_t i)
{
    return to_json(config_setting_get_elem(cfg->types, (unsigned)i));
}

/* One step down: a name, or an index in brackets.  Moves *field behind it. */
static config_setting_t *
step(const config_setting_t *s, const char **field)
{
    char name[PATH_MAX_BYTES];
    char *end;

    if (**field == '[') {
        unsigned long at = strtoul(*field + 1, &end, 10);
        *field = *end == ']' ? end + 1 : end;
        return config_setting_get_elem(s, (unsigned)at);
    }
    size_t len = strcspn(*field, ".[");
    if (len == 0 || len >= sizeof name || !config_setting_is_group(s))
        return NULL;
    memcpy(name, *field, len);
    name[len] = '\0';
    *field += len;
    return config_setting_get_member(s, name);
}

unsigned
catalog_cfg_line(const struct catalog_cfg *cfg, size_t i, const char *field)
{
    const config_setting_t *s = config_setting_get_elem(cfg->types, (unsigned)i), *next = s;

    if (s == NULL)
        log_panic("type %zu is not in the file", i);
    while (next != NULL && *field != '\0') {
        field += *field == '.' ? 1 : 0;
        next = step(s, &field);
        s = next != NULL ? next : s;
    }
    return config_setting_source_line(s);
}
