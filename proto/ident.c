/* The grammar of names.  Each check reads its text once and trusts nothing. */
#include "proto/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

#define LOWER_DIGIT "abcdefghijklmnopqrstuvwxyz0123456789"
#define ID_CHARS LOWER_DIGIT "-"
#define REQUESTER_CHARS LOWER_DIGIT "_-"
#define FIELD_CHARS LOWER_DIGIT "_"
#define DECIMAL 10

static bool
only(const char *text, const char *chars, size_t max)
{
    size_t len = strlen(text);

    return len > 0 && len <= max && strspn(text, chars) == len;
}

bool
ident_id_valid(const char *text)
{
    return only(text, ID_CHARS, LIMIT_ID_BYTES);
}

bool
ident_requester_valid(const char *text)
{
    return only(text, REQUESTER_CHARS, LIMIT_ID_BYTES);
}

bool
ident_type_valid(const char *text)
{
    if (!only(text, ID_CHARS ".", LIMIT_TYPE_BYTES))
        return false;
    return text[0] != '.' && text[strlen(text) - 1] != '.' && strstr(text, "..") == NULL;
}

bool
ident_field_valid(const char *text)
{
    return only(text, FIELD_CHARS, LIMIT_FIELD_BYTES) && text[0] >= 'a' && text[0] <= 'z';
}

char *
ident_name_text(const struct attempt_name *name, char out[IDENT_NAME_SIZE])
{
    snprintf(out, IDENT_NAME_SIZE, "%s.%d.%s", name->task, (int)name->attempt, name->token);
    return out;
}

int
ident_name_parse(const char *text, struct attempt_name *out)
{
    const size_t task_len = UUID_TEXT_SIZE - 1, token_len = TOKEN_TEXT_SIZE - 1;
    char back[IDENT_NAME_SIZE], *end;
    size_t len = strlen(text);
    long number;

    if (len < task_len + token_len + 3 || len >= IDENT_NAME_SIZE || text[task_len] != '.')
        return -1;
    memset(out, 0, sizeof *out);
    memcpy(out->task, text, task_len);
    memcpy(out->token, text + len - token_len, token_len);
    number = strtol(text + task_len + 1, &end, DECIMAL);
    if (number < 1 || number > IDENT_ATTEMPT_MAX || !uuid_valid(out->task) ||
        !uuid_token_valid(out->token))
        return -1;
    out->attempt = (int32_t)number;
    /* Exactly the one way in which we write it: no sign, no leading zero, nothing left over. */
    return strcmp(ident_name_text(out, back), text) == 0 ? 0 : -1;
}

bool
ident_name_equal(const struct attempt_name *a, const struct attempt_name *b)
{
    return a->attempt == b->attempt && strcmp(a->task, b->task) == 0 &&
           strcmp(a->token, b->token) == 0;
}

int
ident_name_get(struct json_object *o, struct attempt_name *out, struct json_error *err)
{
    const char *task, *token;
    int64_t attempt = 0;

    if (json_get_uuid(o, "task", false, &task, err) == -1 ||
        json_get_int(o, "attempt", false, 1, IDENT_ATTEMPT_MAX, &attempt, err) == -1 ||
        json_get_string(o, "token", false, TOKEN_TEXT_SIZE - 1, &token, err) == -1)
        return -1;
    if (!uuid_token_valid(token)) {
        snprintf(err->text, sizeof err->text, "token: expected 16 lower-case hexadecimal digits");
        return -1;
    }
    snprintf(out->task, sizeof out->task, "%s", task);
    snprintf(out->token, sizeof out->token, "%s", token);
    out->attempt = (int32_t)attempt;
    return 0;
}
