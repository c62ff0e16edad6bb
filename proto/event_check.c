/* What each kind of event must carry in `data`.  Members that are not named here are
 * let through: a newer worker may say more. */
#include "proto/event_check.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/base64.h"
#include "proto/limits.h"

#define SIGNALS 64
#define EXIT_CODES 255
#define HELD_MAX 100000

/* One member of one kind.  words: the closed list of a string, or NULL. */
struct rule {
    const char *name;
    enum { TEXT, ID, FIELD, UUID, COUNT, FLAG, OBJECT, HELD, BASE64, ANY } form;
    bool optional; /* or null */
    int64_t max;   /* COUNT: greatest value; TEXT: bytes; 0 = the general limit */
    const char *const *words;
};

static const char *const streams[] = {"stdout", "stderr", NULL};
static const char *const modes[] = {"set", "append", NULL};
static const char *const ends[] = {"succeeded", "failed", "timed_out", "cancelled", NULL};
static const char *const refusals[] = {"executor_unknown", "spec_invalid", "not_allowed",
                                       "spool_full",       "version",      NULL};
static const char *const losses[] = {"runner_died", "other_boot", "moved_spool", NULL};
static const char *const causes[] = {
    "done",        "exit",    "signal",          "try_later",   "never_retry", "not_found",
    "not_allowed", "bad_cwd", "outputs_invalid", "unreachable", "no_hosts",    "exec_failed",
    "deadline",    "idle",    "cancelled",       "superseded",  "lease",       "journal_full",
    NULL,
};

static const struct rule started[] = {{.name = "worker", .form = ID},
                                      {.name = "instance", .form = UUID},
                                      {.name = "pid", .form = COUNT},
                                      {.name = NULL}};
static const struct rule output[] = {{.name = "stream", .form = TEXT, .words = streams},
                                     {.name = "text", .form = TEXT},
                                     {.name = "base64", .form = BASE64, .optional = true},
                                     {.name = NULL}};
static const struct rule progress[] = {{.name = "kind", .form = TEXT, .max = LIMIT_FIELD_BYTES},
                                       {.name = NULL}};
static const struct rule result[] = {{.name = "entity", .form = UUID},
                                     {.name = "field", .form = FIELD},
                                     {.name = "mode", .form = TEXT, .words = modes},
                                     {.name = "secret", .form = FLAG},
                                     {.name = "value", .form = ANY, .max = LIMIT_VALUE_BYTES},
                                     {.name = NULL}};
static const struct rule finished[] = {
    {.name = "state", .form = TEXT, .words = ends},
    {.name = "cause", .form = TEXT, .words = causes},
    {.name = "message", .form = TEXT, .max = LIMIT_END_MESSAGE_BYTES},
    {.name = "exit_code", .form = COUNT, .optional = true, .max = EXIT_CODES},
    {.name = "signal", .form = COUNT, .optional = true, .max = SIGNALS},
    {.name = "retryable", .form = FLAG},
    {.name = "outputs", .form = OBJECT, .max = LIMIT_OUTPUTS_BYTES},
    {.name = "results", .form = COUNT},
    {.name = "output_bytes", .form = COUNT},
    {.name = "dropped_bytes", .form = COUNT},
    {.name = "duration_ms", .form = COUNT},
    {.name = "left_behind", .form = COUNT},
    {.name = NULL}};
static const struct rule refused[] = {{.name = "cause", .form = TEXT, .words = refusals},
                                      {.name = "message", .form = TEXT},
                                      {.name = NULL}};
static const struct rule declined[] = {{.name = "message", .form = TEXT}, {.name = NULL}};
static const struct rule held[] = {{.name = NULL}};
static const struct rule lost[] = {{.name = "cause", .form = TEXT, .words = losses},
                                   {.name = "message", .form = TEXT},
                                   {.name = "left_behind", .form = COUNT},
                                   {.name = NULL}};
static const struct rule heartbeat[] = {
    {.name = "session", .form = UUID},
    {.name = "number", .form = COUNT},
    {.name = "version", .form = TEXT, .max = LIMIT_ID_BYTES},
    {.name = "protocol", .form = COUNT},
    {.name = "instance", .form = UUID},
    {.name = "boot_id", .form = TEXT, .max = LIMIT_TYPE_BYTES},
    {.name = "pool", .form = ID},
    {.name = "slots", .form = COUNT, .max = LIMIT_SLOTS},
    {.name = "free", .form = COUNT, .max = LIMIT_SLOTS},
    {.name = "claim", .form = COUNT, .optional = true},
    {.name = "draining", .form = FLAG},
    {.name = "spool_bytes", .form = COUNT},
    {.name = "oldest_unsent_ms", .form = COUNT},
    {.name = "note", .form = TEXT, .max = LIMIT_END_MESSAGE_BYTES},
    {.name = "executors", .form = OBJECT},
    {.name = "control", .form = TEXT, .max = LIMIT_ROUTING_KEY_BYTES},
    {.name = "held", .form = HELD},
    {.name = NULL}};
static const struct rule session[] = {{.name = "session", .form = UUID}, {.name = NULL}};
static const struct rule rejected[] = {{.name = "reason", .form = TEXT},
                                       {.name = "base64", .form = BASE64},
                                       {.name = "size", .form = COUNT},
                                       {.name = "message_id", .form = TEXT, .optional = true},
                                       {.name = NULL}};
static const struct rule tick[] = {{.name = "id", .form = ID},
                                   {.name = "number", .form = COUNT},
                                   {.name = "sent_at", .form = TEXT, .max = LIMIT_ID_BYTES},
                                   {.name = NULL}};

static const struct rule *const rules[] = {
    [EVENT_STARTED] = started,
    [EVENT_OUTPUT] = output,
    [EVENT_PROGRESS] = progress,
    [EVENT_RESULT] = result,
    [EVENT_FINISHED] = finished,
    [EVENT_REFUSED] = refused,
    [EVENT_DECLINED] = declined,
    [EVENT_HELD] = held,
    [EVENT_LOST] = lost,
    [EVENT_WORKER_STARTED] = heartbeat,
    [EVENT_WORKER_HEARTBEAT] = heartbeat,
    [EVENT_WORKER_DRAINING] = session,
    [EVENT_WORKER_STOPPED] = session,
    [EVENT_WORKER_REJECTED] = rejected,
    [EVENT_TICK] = tick,
};
static_assert(ARRAY_LEN(rules) == EVENT_KINDS, "rules for each kind");

static int
expected(struct json_error *err, const char *name, const char *what)
{
    snprintf(err->text, sizeof err->text, "%s: expected %s", name, what);
    return -1;
}

static bool
among(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, text) == 0)
            return true;
    return false;
}

static int
check_text(struct json_object *data, const struct rule *rule, struct json_error *err)
{
    size_t max = rule->max > 0 ? (size_t)rule->max : LIMIT_MESSAGE_BYTES;
    const char *text = NULL;
    struct buf bytes CLEANUP(buf_free) = {0};

    if (json_get_string(data, rule->name, rule->optional, max, &text, err) == -1)
        return -1;
    if (text == NULL)
        return 0;
    if (rule->words != NULL && !among(text, rule->words))
        return expected(err, rule->name, "one of the known words");
    if (rule->form == ID && !ident_id_valid(text))
        return expected(err, rule->name, "an id");
    if (rule->form == FIELD && !ident_field_valid(text))
        return expected(err, rule->name, "a field name");
    if (rule->form == BASE64 && base64_decode(text, strlen(text), &bytes) == -1)
        return expected(err, rule->name, "base64");
    return 0;
}

/* The length of a JSON value as text, within its limit. */
static int
check_size(struct json_object *value, const struct rule *rule, struct json_error *err)
{
    size_t len = 0;

    if (rule->max == 0)
        return 0;
    json_text(value, &len);
    return len <= (size_t)rule->max ? 0 : expected(err, rule->name, "a smaller value");
}

static int
check_held(struct json_object *data, const char *name, struct json_error *err)
{
    struct json_object *list = NULL;
    struct attempt_name attempt;
    struct json_error inner = {""};

    if (json_get_array(data, name, false, HELD_MAX, &list, err) == -1)
        return -1;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *state = NULL;

        if (!json_object_is_type(item, json_type_object))
            return expected(err, name, "objects");
        if (ident_name_get(item, &attempt, &inner) == -1 ||
            json_get_string(item, "state", false, LIMIT_ID_BYTES, &state, &inner) == -1) {
            snprintf(err->text, sizeof err->text, "%s[%zu].%.200s", name, i, inner.text);
            return -1;
        }
    }
    return 0;
}

static int
check_rule(struct json_object *data, const struct rule *rule, struct json_error *err)
{
    struct json_object *value = NULL;
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;

    switch (rule->form) {
    case TEXT:
    case ID:
    case FIELD:
    case BASE64:
        return check_text(data, rule, err);
    case UUID:
        return json_get_uuid(data, rule->name, rule->optional, &text, err);
    case COUNT:
        return json_get_int(data, rule->name, rule->optional, 0,
                            rule->max > 0 ? rule->max : LIMIT_SAFE_INTEGER, &number, err);
    case FLAG:
        return json_get_bool(data, rule->name, rule->optional, &flag, err);
    case OBJECT:
        if (json_get_object(data, rule->name, rule->optional, &value, err) == -1)
            return -1;
        return check_size(value, rule, err);
    case HELD:
        return check_held(data, rule->name, err);
    case ANY:
        if (!json_object_object_get_ex(data, rule->name, &value))
            return expected(err, rule->name, "a value");
        return check_size(value, rule, err);
    }
    return 0;
}

int
event_check(enum event_kind kind, struct json_object *data, struct fault *fault)
{
    struct json_error err = {""};

    for (const struct rule *rule = rules[kind]; rule->name != NULL; rule++)
        if (check_rule(data, rule, &err) == -1)
            return fault_set(fault, FAULT_BAD_SCHEMA, "data.%s", err.text);
    return 0;
}
