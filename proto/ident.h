#ifndef PROTO_IDENT_H
#define PROTO_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/uuid.h"

/* The grammar of names (protocol section 1), and the name of an attempt. */

#define IDENT_ATTEMPT_MAX INT32_MAX
#define IDENT_NAME_SIZE 72 /* "<task>.<attempt>.<token>" and NUL, with room */

/* Which attempt: number and token together are the fence (design section 1). */
struct attempt_name {
    char task[UUID_TEXT_SIZE];
    int32_t attempt;
    char token[TOKEN_TEXT_SIZE];
};

bool ident_id_valid(const char *text);        /* [a-z0-9-]{1,40} */
bool ident_requester_valid(const char *text); /* [a-z0-9_-]{1,40} */
bool ident_type_valid(const char *text);      /* [a-z0-9-]+(\.[a-z0-9-]+)*, at most 80 */
bool ident_field_valid(const char *text);     /* [a-z][a-z0-9_]{0,62} */

/* "<task>.<attempt>.<token>"; returns out. */
char *ident_name_text(const struct attempt_name *name, char out[IDENT_NAME_SIZE]);

/* The reverse; -1 when text is not exactly of that form. */
int ident_name_parse(const char *text, struct attempt_name *out) MUST_CHECK;

bool ident_name_equal(const struct attempt_name *a, const struct attempt_name *b);

/* Read the members task, attempt and token of an object.  -1 with *err filled. */
int ident_name_get(struct json_object *o, struct attempt_name *out,
                   struct json_error *err) MUST_CHECK;

#endif
