#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"

/* json-c with the strict front door of jsonscan and typed, range-checked reading.
 * An error is one line that names the member: "attempts[2].token: expected a string". */

struct json_error {
    char text[256];
};

/* All that json_parse() checks: what passes, json_parse_checked() takes.  0, or -1 with *err. */
int json_check(const char *text, size_t len, struct json_error *err) MUST_CHECK;

/* What json_check() has let through.  Never NULL. */
struct json_object *json_parse_checked(const char *text, size_t len);

/* Parse one object.  Owns nothing of text.  Returns an object (json_object_put it)
 * or NULL with *err filled. */
struct json_object *json_parse(const char *text, size_t len, struct json_error *err);

void json_cleanup(struct json_object **object); /* CLEANUP: json_object_put */

/* Members of an object.  Each returns 0, or -1 with *err filled.  With `optional`
 * false a missing or null member is an error; with true it gives NULL / the value
 * of *out unchanged.  Strings stay owned by the object. */
int json_get_string(struct json_object *o, const char *key, bool optional, size_t max_bytes,
                    const char **out, struct json_error *err) MUST_CHECK;
int json_get_int(struct json_object *o, const char *key, bool optional, int64_t min, int64_t max,
                 int64_t *out, struct json_error *err) MUST_CHECK;
int json_get_bool(struct json_object *o, const char *key, bool optional, bool *out,
                  struct json_error *err) MUST_CHECK;
int json_get_object(struct json_object *o, const char *key, bool optional, struct json_object **out,
                    struct json_error *err) MUST_CHECK;
int json_get_array(struct json_object *o, const char *key, bool optional, size_t max_items,
                   struct json_object **out, struct json_error *err) MUST_CHECK;
int json_get_uuid(struct json_object *o, const char *key, bool optional, const char **out,
                  struct json_error *err) MUST_CHECK;

/* Writing: compact, "/" unescaped, into one reused string owned by the object. */
const char *json_text(struct json_object *o, size_t *len);

/* Append text as a JSON string with its quotes; text must be valid UTF-8. */
void json_quote(struct buf *out, const char *text, size_t len);

/* Building.  Takes value over; NULL = null.  Without memory json-c would leave it out in silence: here
 * that is the end of the program, as any lack of memory. */
void json_add(struct json_object *o, const char *key, struct json_object *value);
void json_append(struct json_object *array, struct json_object *value);

/* Short forms: value may be NULL = null. */
void json_set_string(struct json_object *o, const char *key, const char *value);
void json_set_text(struct json_object *o, const char *key, const char *text, size_t len);
void json_set_int(struct json_object *o, const char *key, int64_t value);
void json_set_bool(struct json_object *o, const char *key, bool value);

#endif
