/* The front door of all decoders, in the order of cost: size, UTF-8, JSON, version. */
#include "proto/fault.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/json.h"
#include "common/utf8.h"
#include "proto/limits.h"

static const char *const names[] = {
    [FAULT_TOO_LARGE] = "too_large",
    [FAULT_NOT_UTF8] = "not_utf8",
    [FAULT_BAD_JSON] = "bad_json",
    [FAULT_BAD_SCHEMA] = "bad_schema",
    [FAULT_BAD_VERSION] = "bad_version",
    [FAULT_NO_USER] = "no_user",
    [FAULT_FOREIGN] = "foreign",
    [FAULT_BAD_KEY] = "bad_key",
    [FAULT_UNKNOWN_ATTEMPT] = "unknown_attempt",
    [FAULT_NOT_RECORDABLE] = "not_recordable",
    [FAULT_UNDELIVERABLE] = "undeliverable",
};
static_assert(ARRAY_LEN(names) == FAULT_REASONS, "a name each");

const char *
fault_reason_name(enum fault_reason reason)
{
    return names[reason];
}

int
fault_set(struct fault *fault, enum fault_reason reason, const char *fmt, ...)
{
    va_list ap;

    fault->reason = reason;
    va_start(ap, fmt);
    vsnprintf(fault->text, sizeof fault->text, fmt, ap);
    va_end(ap);
    return -1;
}

/* 0, or -1 with *fault filled: what can be told without parsing. */
static int
check_bytes(const char *body, size_t len, struct fault *fault)
{
    size_t good;

    if (body == NULL || len > LIMIT_MESSAGE_BYTES)
        return fault_set(fault, FAULT_TOO_LARGE, "%zu bytes, at most %u", len, LIMIT_MESSAGE_BYTES);
    good = utf8_valid_prefix(body, len);
    if (good < len)
        return fault_set(fault, FAULT_NOT_UTF8, "byte %zu is not UTF-8", good);
    return 0;
}

int
fault_check(const char *body, size_t len, struct fault *fault)
{
    struct json_error err = {""};

    if (check_bytes(body, len, fault) == -1)
        return -1;
    return json_check(body, len, &err) == 0 ? 0 : fault_set(fault, FAULT_BAD_JSON, "%s", err.text);
}

struct json_object *
fault_open(const char *body, size_t len, struct fault *fault)
{
    return fault_check(body, len, fault) == 0 ? json_parse_checked(body, len) : NULL;
}

int
fault_check_version(struct json_object *o, struct fault *fault)
{
    struct json_error err = {""};
    int64_t v = 0;

    if (json_get_int(o, "v", false, 1, 1, &v, &err) == -1)
        return fault_set(fault, FAULT_BAD_VERSION, "%s", err.text);
    return 0;
}
