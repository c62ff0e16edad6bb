/* Reading an offer: nothing of it is used before all of it was checked. */
#include "proto/offer.h"

#include <string.h>

#include "common/json.h"
#include "proto/limits.h"

#define KEY_BYTES 200 /* "name[item]" */

static int
bad(struct fault *fault, const struct json_error *err)
{
    return fault_set(fault, FAULT_BAD_SCHEMA, "%s", err->text);
}

/* A string member that must also match a grammar. */
struct word {
    const char *key;
    size_t max;
    bool (*valid)(const char *text);
    const char **out;
};

static int
get_words(struct json_object *root, const struct word *words, size_t n, struct fault *fault)
{
    struct json_error err = {""};

    for (size_t i = 0; i < n; i++) {
        if (json_get_string(root, words[i].key, false, words[i].max, words[i].out, &err) == -1)
            return bad(fault, &err);
        if (words[i].valid != NULL && !words[i].valid(*words[i].out))
            return fault_set(fault, FAULT_BAD_SCHEMA, "%s: not a valid name", words[i].key);
    }
    return 0;
}

static int
get_names(struct offer *o, struct fault *fault)
{
    const struct word words[] = {
        {"type", LIMIT_TYPE_BYTES, ident_type_valid, &o->type},
        {"requester", LIMIT_ID_BYTES, ident_requester_valid, &o->requester},
        {"name", LIMIT_ID_BYTES, ident_id_valid, &o->task_name},
        {"key", KEY_BYTES, NULL, &o->key},
        {"executor", LIMIT_ID_BYTES, ident_id_valid, &o->executor},
    };
    struct json_error err = {""};

    if (ident_name_get(o->root, &o->name, &err) == -1 ||
        json_get_uuid(o->root, "operation", false, &o->operation, &err) == -1 ||
        json_get_uuid(o->root, "target", true, &o->target, &err) == -1 ||
        json_get_string(o->root, "traceparent", true, LIMIT_TRACEPARENT_BYTES, &o->traceparent,
                        &err) == -1)
        return bad(fault, &err);
    return get_words(o->root, words, ARRAY_LEN(words), fault);
}

static int
get_numbers(struct offer *o, struct fault *fault)
{
    const struct {
        const char *key;
        int64_t min, max, *out;
    } numbers[] = {
        {"deadline_ms", 0, LIMIT_SPAN_MS, &o->deadline_ms},
        {"idle_ms", 0, LIMIT_SPAN_MS, &o->idle_ms},
        {"grace_ms", 0, LIMIT_SPAN_MS, &o->grace_ms},
        {"output_bytes", 0, LIMIT_SAFE_INTEGER, &o->output_bytes},
        {"lease_ms", 0, LIMIT_SPAN_MS, &o->lease_ms},
    };
    struct json_error err = {""};
    int64_t tries = 0;

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (json_get_int(o->root, numbers[i].key, false, numbers[i].min, numbers[i].max,
                         numbers[i].out, &err) == -1)
            return bad(fault, &err);
    if (json_get_int(o->root, "try", false, 1, IDENT_ATTEMPT_MAX, &tries, &err) == -1 ||
        json_get_bool(o->root, "repeatable", false, &o->repeatable, &err) == -1)
        return bad(fault, &err);
    o->try_number = (int32_t)tries;
    return 0;
}

static int
get_objects(struct offer *o, struct fault *fault)
{
    struct json_error err = {""};

    if (json_get_object(o->root, "spec", false, &o->spec, &err) == -1 ||
        json_get_object(o->root, "inputs", false, &o->inputs, &err) == -1 ||
        json_get_object(o->root, "outputs", false, &o->outputs, &err) == -1)
        return bad(fault, &err);
    return 0;
}

int
offer_decode(const char *body, size_t len, struct offer *out, struct fault *fault)
{
    memset(out, 0, sizeof *out);
    out->root = fault_open(body, len, fault);
    if (out->root == NULL)
        return -1;
    if (fault_check_version(out->root, fault) == -1 || get_names(out, fault) == -1 ||
        get_numbers(out, fault) == -1 || get_objects(out, fault) == -1) {
        offer_free(out);
        return -1;
    }
    return 0;
}

void
offer_free(struct offer *offer)
{
    if (offer->root != NULL)
        json_object_put(offer->root);
    memset(offer, 0, sizeof *offer);
}
