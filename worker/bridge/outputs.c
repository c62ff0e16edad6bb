/* Outputs: lines of "name=value" or of JSON objects. */
#include "worker/bridge/outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/jsonscan.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "proto/ident.h"
#include "proto/limits.h"

/* An output lies in outputs, in data, in the event: three levels are taken. */
#define VALUE_DEPTH (JSONSCAN_DEPTH - 3)

struct line {
    const char *text;
    size_t len;
    unsigned number; /* from 1 */
};

/* Cut the next line off *text; false when nothing is left. */
static bool
next_line(const char **text, size_t *len, struct line *line)
{
    const char *end;

    if (*len == 0)
        return false;
    end = memchr(*text, '\n', *len);
    line->text = *text;
    line->len = end != NULL ? (size_t)(end - *text) : *len;
    line->number++;
    *text += line->len + (end != NULL);
    *len -= line->len + (end != NULL);
    return true;
}

static int
broken(const struct line *line, const char *rule, struct outputs *out)
{
    snprintf(out->fault, sizeof out->fault, "HLER_OUTPUTS line %u: %s", line->number, rule);
    return -1;
}

static size_t
depth_of(struct json_object *value)
{
    size_t deepest = 0, n;

    switch (json_object_get_type(value)) {
    case json_type_object: {
        json_object_object_foreach(value, key, member)
        {
            (void)key;
            n = depth_of(member);
            deepest = n > deepest ? n : deepest;
        }
        return deepest + 1;
    }
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            n = depth_of(json_object_array_get_idx(value, i));
            deepest = n > deepest ? n : deepest;
        }
        return deepest + 1;
    case json_type_null:
    case json_type_boolean:
    case json_type_double:
    case json_type_int:
    case json_type_string:
        break;
    }
    return 0;
}

static int
add_json(const struct line *line, struct json_object *all, struct outputs *out)
{
    struct json_error err = {""};
    CLEANUP(json_cleanup) struct json_object *o = json_parse(line->text, line->len, &err);
    struct json_object *value;
    const char *field;

    if (o == NULL)
        return broken(line, err.text, out);
    if (json_object_object_get_ex(o, "cause", &value))
        return 0; /* for a failed exit only */
    if (json_get_string(o, "field", false, LIMIT_FIELD_BYTES, &field, &err) == -1)
        return broken(line, err.text, out);
    if (!ident_field_valid(field))
        return broken(line, "field: expected [a-z][a-z0-9_]{0,62}", out);
    if (!json_object_object_get_ex(o, "value", &value))
        return broken(line, "value: is missing", out);
    if (depth_of(value) > VALUE_DEPTH)
        return broken(line, "value: nested too deeply", out);
    json_add(all, field, json_object_get(value));
    return 0;
}

static int
add_pair(const struct line *line, struct json_object *all, struct outputs *out)
{
    const char *equals = memchr(line->text, '=', line->len);
    char name[LIMIT_FIELD_BYTES + 1];
    size_t name_len, value_len;

    if (equals == NULL)
        return broken(line, "expected name=value or a JSON object", out);
    name_len = (size_t)(equals - line->text);
    if (name_len >= sizeof name)
        return broken(line, "the name is too long", out);
    memcpy(name, line->text, name_len);
    name[name_len] = '\0';
    if (!ident_field_valid(name))
        return broken(line, "the name must match [a-z][a-z0-9_]{0,62}", out);
    value_len = line->len - name_len - 1;
    if (utf8_valid_prefix(equals + 1, value_len) != value_len ||
        memchr(equals + 1, 0, value_len) != NULL)
        return broken(line, "the value is not UTF-8 text", out);
    json_set_text(all, name, equals + 1, value_len);
    return 0;
}

static int
read_all(const char *text, size_t len, struct json_object *all, struct outputs *out)
{
    struct line line = {0};

    if (len > LIMIT_OUTPUTS_BYTES) {
        snprintf(out->fault, sizeof out->fault, "HLER_OUTPUTS has more than %u bytes",
                 LIMIT_OUTPUTS_BYTES);
        return -1;
    }
    while (next_line(&text, &len, &line)) {
        bool json = line.len > 0 && line.text[0] == '{';

        if ((json ? add_json : add_pair)(&line, all, out) == -1)
            return -1;
        if (json_object_object_length(all) > JSONSCAN_KEYS)
            return broken(&line, "more than 1024 names", out);
    }
    return 0;
}

void
outputs_read(const char *text, size_t len, struct outputs *out)
{
    CLEANUP(json_cleanup) struct json_object *all = json_object_new_object();
    const char *json;
    size_t json_len;

    memset(out, 0, sizeof *out);
    if (read_all(text, len, all, out) == 0) {
        json = json_text(all, &json_len);
        if (json_len <= LIMIT_OUTPUTS_BYTES) {
            buf_add(&out->json, json, json_len);
            return;
        }
        snprintf(out->fault, sizeof out->fault, "HLER_OUTPUTS has more than %u bytes as JSON",
                 LIMIT_OUTPUTS_BYTES);
    }
    buf_puts(&out->json, "{}");
}

void
outputs_free(struct outputs *out)
{
    buf_free(&out->json);
}

/* The word that an executor may say, and what it is for the protocol. */
static const char *
cause_of(const char *word)
{
    static const struct {
        const char *word, *cause;
    } causes[] = {
        {"unreachable", "unreachable"},
        {"no_hosts", "no_hosts"},
        {"not_allowed", "not_allowed"},
        {"spec_invalid", "never_retry"},
    };

    for (size_t i = 0; i < ARRAY_LEN(causes); i++)
        if (strcmp(causes[i].word, word) == 0)
            return causes[i].cause;
    return NULL;
}

void
outputs_read_cause(const char *text, size_t len, struct outputs_cause *out)
{
    struct line line = {0};

    memset(out, 0, sizeof *out);
    while (next_line(&text, &len, &line)) {
        struct json_error err = {""};
        const char *word, *message = "";
        struct json_object *o;

        if (line.len == 0 || line.text[0] != '{')
            continue;
        o = json_parse(line.text, line.len, &err);
        if (o != NULL && json_get_string(o, "cause", false, LIMIT_ID_BYTES, &word, &err) == 0 &&
            cause_of(word) != NULL &&
            json_get_string(o, "message", true, LIMIT_OUTPUTS_BYTES, &message, &err) == 0) {
            out->cause = cause_of(word);
            buf_clear(&out->message);
            buf_puts(&out->message, message != NULL ? message : "");
        }
        json_object_put(o);
    }
}

void
outputs_cause_free(struct outputs_cause *out)
{
    buf_free(&out->message);
}
