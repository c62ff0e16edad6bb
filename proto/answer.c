/* Answers to claims as a worker reads them. */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proto/claim.h"

/* One item of granted or refused. */
static int
read_item(struct json_object *item, bool granted, struct answer_item *out, struct json_error *err)
{
    const char *reason;

    if (!json_object_is_type(item, json_type_object)) {
        snprintf(err->text, sizeof err->text, "expected an object");
        return -1;
    }
    if (ident_name_get(item, &out->name, err) == -1)
        return -1;
    out->verdict = VERDICT_GRANTED;
    if (granted)
        return 0;
    if (json_get_string(item, "reason", false, LIMIT_ID_BYTES, &reason, err) == -1)
        return -1;
    if (verdict_parse(reason, &out->verdict) == -1 || out->verdict == VERDICT_GRANTED) {
        snprintf(err->text, sizeof err->text, "reason: not one of the known ones");
        return -1;
    }
    return 0;
}

static int
read_items(struct json_object *root, const char *key, struct answer *out, struct fault *fault)
{
    struct json_error err = {""};
    struct json_object *list = NULL;

    if (json_get_array(root, key, false, LIMIT_CLAIMS, &list, &err) == -1)
        return fault_set(fault, FAULT_BAD_SCHEMA, "%s", err.text);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (out->n == LIMIT_CLAIMS)
            return fault_set(fault, FAULT_BAD_SCHEMA, "more than %d items", LIMIT_CLAIMS);
        if (read_item(json_object_array_get_idx(list, i), strcmp(key, "granted") == 0,
                      &out->items[out->n], &err) == -1)
            return fault_set(fault, FAULT_BAD_SCHEMA, "%s[%zu]: %s", key, i, err.text);
        out->n++;
    }
    return 0;
}

int
answer_decode(const char *body, size_t len, struct answer *out, struct fault *fault)
{
    CLEANUP(json_cleanup) struct json_object *root = fault_open(body, len, fault);
    struct json_error err = {""};
    const char *session;

    memset(out, 0, sizeof *out);
    if (root == NULL || fault_check_version(root, fault) == -1)
        return -1;
    if (json_get_uuid(root, "session", false, &session, &err) == -1 ||
        json_get_int(root, "claim", false, 1, LIMIT_SAFE_INTEGER, &out->claim, &err) == -1)
        return fault_set(fault, FAULT_BAD_SCHEMA, "%s", err.text);
    snprintf(out->session, sizeof out->session, "%s", session);
    if (read_items(root, "granted", out, fault) == -1 ||
        read_items(root, "refused", out, fault) == -1)
        return -1;
    return 0;
}
