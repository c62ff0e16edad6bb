/* Claims as a dispatcher reads them.  The sender (user_id) and reply_to are facts of
 * the delivery, not of the body: the caller checks them. */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proto/claim.h"

static int
read_attempts(struct json_object *list, struct claim *out, struct fault *fault)
{
    struct json_error err = {""};

    out->n = json_object_array_length(list);
    for (size_t i = 0; i < out->n; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!json_object_is_type(item, json_type_object))
            return fault_set(fault, FAULT_BAD_SCHEMA, "attempts[%zu]: expected an object", i);
        if (ident_name_get(item, &out->attempts[i], &err) == -1)
            return fault_set(fault, FAULT_BAD_SCHEMA, "attempts[%zu]: %s", i, err.text);
    }
    return 0;
}

int
claim_decode(const char *body, size_t len, struct claim *out, struct fault *fault)
{
    CLEANUP(json_cleanup) struct json_object *root = fault_open(body, len, fault);
    struct json_object *list = NULL;
    struct json_error err = {""};
    const char *session = NULL, *instance = NULL;

    memset(out, 0, sizeof *out);
    if (root == NULL || fault_check_version(root, fault) == -1)
        return -1;
    if (json_get_uuid(root, "session", false, &session, &err) == -1 ||
        json_get_uuid(root, "instance", false, &instance, &err) == -1 ||
        json_get_int(root, "claim", false, 1, LIMIT_SAFE_INTEGER, &out->number, &err) == -1 ||
        json_get_int(root, "free", true, 0, LIMIT_SLOTS, &out->free, &err) == -1 ||
        json_get_array(root, "attempts", false, LIMIT_CLAIMS, &list, &err) == -1)
        return fault_set(fault, FAULT_BAD_SCHEMA, "%s", err.text);
    snprintf(out->session, sizeof out->session, "%s", session);
    snprintf(out->instance, sizeof out->instance, "%s", instance);
    return read_attempts(list, out, fault);
}
