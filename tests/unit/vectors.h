#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

/* Test vectors of proto/vectors with good and bad messages; the "about" of each file
 * tells the form.  Statics in a header: each test program is one file. */

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"

struct vector {
    const char *name, *reason; /* reason NULL = a good one */
    const char *user, *routing_key;
    const char *events; /* of a batch: what each of them is; NULL = no batch */
    const char *body;   /* NULL = it was not kept */
    size_t len;
};

typedef void vector_fn(const struct vector *vector);

static const char *
vector_text(struct json_object *o, const char *key)
{
    struct json_object *value = NULL;

    if (!json_object_object_get_ex(o, key, &value) || value == NULL)
        return NULL;
    return json_object_get_string(value);
}

static void
vector_add_hex(struct buf *out, const char *hex)
{
    for (; hex[0] != '\0'; hex += 2) {
        char byte = (char)strtol((char[]){hex[0], hex[1], '\0'}, NULL, 16);

        buf_add(out, &byte, 1);
    }
}

/* Text with each <<N>> written out. */
static void
vector_add_grown(struct buf *out, const char *text)
{
    const char *mark;

    while ((mark = strstr(text, "<<")) != NULL) {
        char *end;
        long n = strtol(mark + 2, &end, 10);

        buf_add(out, text, (size_t)(mark - text));
        while (n-- > 0)
            buf_puts(out, "x");
        text = end + 2;
    }
    buf_puts(out, text);
}

/* Fill body; returns the size that the delivery has, which is not kept when larger. */
static size_t
vector_body(struct json_object *o, struct buf *out)
{
    struct json_object *body = NULL;

    if (json_object_object_get_ex(o, "body", &body))
        vector_add_grown(out, json_object_to_json_string_ext(
                                  body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    else if (vector_text(o, "text") != NULL)
        buf_puts(out, vector_text(o, "text"));
    else if (vector_text(o, "hex") != NULL)
        vector_add_hex(out, vector_text(o, "hex"));
    else if (json_object_object_get_ex(o, "lost_bytes", &body))
        return (size_t)json_object_get_int64(body);
    else if (json_object_object_get_ex(o, "pad", &body)) {
        buf_puts(out, "{}");
        while (out->len < (size_t)json_object_get_int64(body))
            buf_puts(out, " ");
    }
    return out->len;
}

static void
vector_run(struct json_object *o, vector_fn *fn)
{
    struct buf body = {0};
    struct vector vector = {.name = vector_text(o, "name"),
                            .reason = vector_text(o, "reason"),
                            .user = vector_text(o, "user"),
                            .routing_key = vector_text(o, "routing_key"),
                            .events = vector_text(o, "events")};

    vector.len = vector_body(o, &body);
    if (body.data == NULL && vector.len == 0)
        buf_puts(&body, "");
    vector.body = body.data;
    fn(&vector);
    buf_free(&body);
}

/* Call fn for each case of a file; returns their number. */
static size_t
vectors_each(const char *file, vector_fn *fn)
{
    static const char *const groups[] = {"good", "bad"};
    struct json_object *root = json_object_from_file(file), *list;
    size_t n = 0;

    if (root == NULL)
        log_panic("%s: %s", file, json_util_get_last_err());
    for (size_t g = 0; g < 2; g++) {
        json_object_object_get_ex(root, groups[g], &list);
        for (size_t i = 0; i < json_object_array_length(list); i++, n++)
            vector_run(json_object_array_get_idx(list, i), fn);
    }
    json_object_put(root);
    return n;
}

#endif
