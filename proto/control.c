/* Control messages as a worker reads them. */
#include "proto/control.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proto/limits.h"

static const char *const causes[] = {
    [CONTROL_CANCELLED] = "cancelled",
    [CONTROL_SUPERSEDED] = "superseded",
};

static const char *const kinds[] = {
    [CONTROL_BEAT] = "beat",   [CONTROL_STOP] = "stop",     [CONTROL_REPORT] = "report",
    [CONTROL_DRAIN] = "drain", [CONTROL_RESUME] = "resume", [CONTROL_PACE] = "pace",
};

const char *
control_cause_name(enum control_cause cause)
{
    return causes[cause];
}

int
control_cause_parse(const char *text, enum control_cause *out)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        if (strcmp(causes[i], text) == 0) {
            *out = (enum control_cause)i;
            return 0;
        }
    }
    return -1;
}

static int
read_beat(struct json_object *root, struct control *out, struct json_error *err)
{
    const char *session;

    if (json_get_uuid(root, "session", false, &session, err) == -1 ||
        json_get_int(root, "number", false, 0, LIMIT_SAFE_INTEGER, &out->number, err) == -1 ||
        json_get_int(root, "lost_after_ms", false, 1, LIMIT_SPAN_MS, &out->lost_after_ms, err) ==
            -1)
        return -1;
    snprintf(out->session, sizeof out->session, "%s", session);
    return 0;
}

static int
read_stop(struct json_object *root, struct control *out, struct json_error *err)
{
    const char *cause;

    if (ident_name_get(root, &out->name, err) == -1 ||
        json_get_string(root, "cause", false, LIMIT_ID_BYTES, &cause, err) == -1 ||
        json_get_int(root, "grace_ms", false, 0, LIMIT_SPAN_MS, &out->grace_ms, err) == -1)
        return -1;
    if (control_cause_parse(cause, &out->cause) == -1) {
        snprintf(err->text, sizeof err->text, "cause: expected cancelled or superseded");
        return -1;
    }
    return 0;
}

static int
read_kind(struct json_object *root, struct control *out, struct json_error *err)
{
    switch (out->kind) {
    case CONTROL_BEAT:
        return read_beat(root, out, err);
    case CONTROL_STOP:
        return read_stop(root, out, err);
    case CONTROL_REPORT:
        return ident_name_get(root, &out->name, err);
    case CONTROL_DRAIN:
    case CONTROL_RESUME:
    case CONTROL_PACE:
    case CONTROL_UNKNOWN:
        break;
    }
    return 0;
}

int
control_decode(const char *body, size_t len, struct control *out, struct fault *fault)
{
    CLEANUP(json_cleanup) struct json_object *root = fault_open(body, len, fault);
    struct json_error err = {""};
    const char *kind;

    memset(out, 0, sizeof *out);
    if (root == NULL || fault_check_version(root, fault) == -1)
        return -1;
    if (json_get_string(root, "kind", false, LIMIT_MESSAGE_BYTES, &kind, &err) == -1)
        return fault_set(fault, FAULT_BAD_SCHEMA, "%s", err.text);
    snprintf(out->kind_text, sizeof out->kind_text, "%s", kind);
    out->kind = CONTROL_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i], kind) == 0)
            out->kind = (enum control_kind)i;
    if (read_kind(root, out, &err) == -1)
        return fault_set(fault, FAULT_BAD_SCHEMA, "%s", err.text);
    return 0;
}
