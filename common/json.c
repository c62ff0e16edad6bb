#include "common/json.h"

#include <json-c/printbuf.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonscan.h"
#include "common/log.h"
#include "common/uuid.h"

/* json-c behind jsonscan.  Types are looked at before values are read, since json-c
 * turns "12abc" into 12 and "false" into true. */

/* json-c counts a scalar inside the deepest container as one level more. */
#define TOKENER_DEPTH (JSONSCAN_DEPTH + 2)

static int
fail(struct json_error *err, const char *key, const char *what)
{
    snprintf(err->text, sizeof err->text, "%s: %s", key, what);
    return -1;
}

int
json_check(const char *text, size_t len, struct json_error *err)
{
    struct jsonscan_error where;

    if (len > INT_MAX || jsonscan(text, len, &where) == -1) {
        snprintf(err->text, sizeof err->text, "not JSON: %s at byte %zu",
                 len > INT_MAX ? "too long" : where.why, len > INT_MAX ? 0 : where.at);
        return -1;
    }
    if (text[strspn(text, " \t\r\n")] != '{') { /* jsonscan: there is a value */
        snprintf(err->text, sizeof err->text, "expected an object");
        return -1;
    }
    return 0;
}

/* As jsonscan_count(): of what json-c has made.  No deeper than jsonscan has allowed. */
static size_t
count(struct json_object *value)
{
    size_t n = 1;

    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member)
        {
            (void)key;
            n += count(member);
        }
    } else if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++)
            n += count(json_object_array_get_idx(value, i));
    }
    return n;
}

struct json_object *
json_parse_checked(const char *text, size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(TOKENER_DEPTH);
    struct json_object *object;

    /* Room for any string in it.  Where json-c finds no memory for a longer one it drops a piece in
     * silence (0.16, printbuf_memappend_fast in json_tokener.c). */
    if (tokener == NULL || printbuf_memset(tokener->pb, 0, 0, (int)len) == -1)
        log_panic("json: no memory");
    printbuf_reset(tokener->pb);
    object = json_tokener_parse_ex(tokener, text, (int)len);
    /* What jsonscan has let through is not wrong; without memory json-c says "success". */
    if (object == NULL)
        log_panic("json: %s, which is a lack of memory here",
                  json_tokener_error_desc(json_tokener_get_error(tokener)));
    /* And where it has none for a member or an item, it goes on without that one. */
    if (count(object) != jsonscan_count(text, len))
        log_panic("json: a member or an item is missing, which is a lack of memory here");
    json_tokener_free(tokener);
    return object;
}

struct json_object *
json_parse(const char *text, size_t len, struct json_error *err)
{
    return json_check(text, len, err) == 0 ? json_parse_checked(text, len) : NULL;
}

void
json_cleanup(struct json_object **object)
{
    json_object_put(*object);
}

/* The getters take what, whether, limits and where to: more than five things, but flat calls
 * read better than a struct for each. */
/* NOLINTBEGIN(readability-function-size) */

/* Look key up.  1 = there and of this type, 0 = legally absent, -1 = *err. */
static int
get(struct json_object *o, const char *key, bool optional, enum json_type type,
    struct json_object **out, struct json_error *err)
{
    static const char *const names[] = {
        [json_type_null] = "null",
        [json_type_boolean] = "expected true or false",
        [json_type_double] = "expected a number",
        [json_type_int] = "expected an integer",
        [json_type_object] = "expected an object",
        [json_type_array] = "expected an array",
        [json_type_string] = "expected a string",
    };

    if (!json_object_object_get_ex(o, key, out) || *out == NULL)
        return optional ? 0 : fail(err, key, "missing");
    if (!json_object_is_type(*out, type))
        return fail(err, key, names[type]);
    return 1;
}

int
json_get_string(struct json_object *o, const char *key, bool optional, size_t max_bytes,
                const char **out, struct json_error *err)
{
    struct json_object *value;
    int found;

    *out = NULL;
    found = get(o, key, optional, json_type_string, &value, err);
    if (found != 1)
        return found;
    if ((size_t)json_object_get_string_len(value) > max_bytes) {
        snprintf(err->text, sizeof err->text, "%s: longer than %zu bytes", key, max_bytes);
        return -1;
    }
    *out = json_object_get_string(value);
    return 0;
}

int
json_get_int(struct json_object *o, const char *key, bool optional, int64_t min, int64_t max,
             int64_t *out, struct json_error *err)
{
    struct json_object *value;
    int found = get(o, key, optional, json_type_int, &value, err);
    int64_t number;

    if (found != 1)
        return found;
    number = json_object_get_int64(value); /* jsonscan: within 2^53 */
    if (number < min || number > max) {
        snprintf(err->text, sizeof err->text, "%s: must be %lld to %lld", key, (long long)min,
                 (long long)max);
        return -1;
    }
    *out = number;
    return 0;
}

int
json_get_bool(struct json_object *o, const char *key, bool optional, bool *out,
              struct json_error *err)
{
    struct json_object *value;
    int found = get(o, key, optional, json_type_boolean, &value, err);

    if (found != 1)
        return found;
    *out = json_object_get_boolean(value) != 0;
    return 0;
}

int
json_get_object(struct json_object *o, const char *key, bool optional, struct json_object **out,
                struct json_error *err)
{
    struct json_object *value;
    int found;

    *out = NULL;
    found = get(o, key, optional, json_type_object, &value, err);
    if (found != 1)
        return found;
    *out = value;
    return 0;
}

int
json_get_array(struct json_object *o, const char *key, bool optional, size_t max_items,
               struct json_object **out, struct json_error *err)
{
    struct json_object *value;
    int found;

    *out = NULL;
    found = get(o, key, optional, json_type_array, &value, err);
    if (found != 1)
        return found;
    if (json_object_array_length(value) > max_items) {
        snprintf(err->text, sizeof err->text, "%s: more than %zu items", key, max_items);
        return -1;
    }
    *out = value;
    return 0;
}

int
json_get_uuid(struct json_object *o, const char *key, bool optional, const char **out,
              struct json_error *err)
{
    if (json_get_string(o, key, optional, UUID_TEXT_SIZE - 1, out, err) == -1)
        return -1;
    if (*out == NULL || uuid_valid(*out))
        return 0;
    *out = NULL;
    return fail(err, key, "expected a UUID in lower case");
}

/* NOLINTEND(readability-function-size) */

const char *
json_text(struct json_object *o, size_t *len)
{
    const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
    const char *text = json_object_to_json_string_length(o, flags, len);

    if (text == NULL)
        log_panic("json: no memory");
    return text;
}

/* A byte that cannot stand for itself. */
static void
quote_byte(struct buf *out, char byte)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = byte == '\0' ? NULL : strchr(from, byte);
    const char escape[2] = {'\\', found != NULL ? to[found - from] : 'u'};

    buf_add(out, escape, sizeof escape);
    if (found == NULL)
        buf_printf(out, "%04x", (unsigned)(unsigned char)byte);
}

void
json_quote(struct buf *out, const char *text, size_t len)
{
    size_t plain = jsonscan_plain(text, len);

    buf_add(out, "\"", 1);
    for (; plain < len; plain = jsonscan_plain(text, len)) {
        buf_add(out, text, plain);
        quote_byte(out, text[plain]);
        text += plain + 1;
        len -= plain + 1;
    }
    buf_add(out, text, plain);
    buf_add(out, "\"", 1);
}

void
json_add(struct json_object *o, const char *key, struct json_object *value)
{
    if (json_object_object_add(o, key, value) != 0)
        log_panic("json: no memory");
}

void
json_append(struct json_object *array, struct json_object *value)
{
    if (json_object_array_add(array, value) != 0)
        log_panic("json: no memory");
}

/* NULL means that json-c found no memory for it. */
static void
set(struct json_object *o, const char *key, struct json_object *value)
{
    if (value == NULL)
        log_panic("json: no memory");
    json_add(o, key, value);
}

void
json_set_text(struct json_object *o, const char *key, const char *text, size_t len)
{
    set(o, key, json_object_new_string_len(text, (int)len));
}

void
json_set_string(struct json_object *o, const char *key, const char *value)
{
    if (value != NULL)
        set(o, key, json_object_new_string(value));
    else
        json_add(o, key, NULL);
}

void
json_set_int(struct json_object *o, const char *key, int64_t value)
{
    set(o, key, json_object_new_int64(value));
}

void
json_set_bool(struct json_object *o, const char *key, bool value)
{
    set(o, key, json_object_new_boolean(value));
}
