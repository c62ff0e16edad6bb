/* A listener's objects in the broker, made through its management API. */
#include "dispatcher/cli/listener.h"

#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/mem.h"

#define HTTP_OK 200
#define HTTP_NOT_FOUND 404
#define EXCHANGE "hler.results"

/* What a listener may see: attempts, tasks and operations, not the heartbeats and ticks.
 * The fourth word of a routing key is the requester. */
static const char *const everybody[] = {"*.attempt.#", "*.task.#", "*.operation.#"};

/* One change of the broker.  Takes body over. */
static int
change(struct listener *l, const char *method, const char *const *parts, struct json_object *body)
{
    CLEANUP(json_cleanup) struct json_object *owned = body;
    CLEANUP(buf_free) struct buf path = {0};

    mgmt_path(&path, parts);
    return mgmt_change(l->mgmt, method, path.data, owned);
}

/* Is there such an object?  *there is told for 200 and 404. */
static int
look_up(struct listener *l, const char *const *parts, bool *there)
{
    CLEANUP(mgmt_answer_free) struct mgmt_answer answer = {0};
    CLEANUP(buf_free) struct buf path = {0};

    mgmt_path(&path, parts);
    int code = mgmt_call(l->mgmt, "GET", path.data, NULL, &answer);
    *there = answer.status == HTTP_OK;
    if (code != CLI_OK || *there || answer.status == HTTP_NOT_FOUND)
        return code;
    cli_say("the broker answered %ld to GET %s", answer.status, path.data);
    return CLI_FAILED;
}

/* Without its bounds a forgotten queue would fill the broker's disk. */
int
listener_check_policy(struct listener *l)
{
    CLEANUP(mgmt_answer_free) struct mgmt_answer answer = {0};
    CLEANUP(buf_free) struct buf path = {0};
    struct json_object *pattern;

    mgmt_path(&path, (const char *[]){"policies", l->vhost, NULL});
    int code = mgmt_call(l->mgmt, "GET", path.data, NULL, &answer);
    if (code != CLI_OK)
        return code;
    if (answer.status == HTTP_OK && json_object_is_type(answer.body, json_type_array))
        for (size_t i = 0; i < json_object_array_length(answer.body); i++)
            if (json_object_object_get_ex(json_object_array_get_idx(answer.body, i), "pattern",
                                          &pattern) &&
                strstr(json_object_get_string(pattern), "hler\\.listen\\.") != NULL)
                return CLI_OK;
    cli_say("the broker's vhost %s has no policy for hler.listen.*, so a listener's queue would be "
            "unbounded: load deploy/broker/definitions.json",
            l->vhost);
    return CLI_FAILED;
}

int
listener_make_user(struct listener *l, const char *password)
{
    CLEANUP(buf_free) struct buf read = {0};
    struct json_object *user = json_object_new_object(), *rights = json_object_new_object();

    json_set_string(user, "password", password);
    json_set_string(user, "tags", "");
    int code = change(l, "PUT", (const char *[]){"users", l->user, NULL}, user);
    /* Names have no character but '.' that is special in the pattern. */
    buf_puts(&read, "^");
    for (const char *p = l->queue; *p != '\0'; p++)
        buf_printf(&read, *p == '.' ? "\\%c" : "%c", *p);
    buf_puts(&read, "$");
    json_set_string(rights, "configure", "^$");
    json_set_string(rights, "write", "^$");
    json_set_string(rights, "read", read.data);
    if (code != CLI_OK) {
        json_object_put(rights);
        return code;
    }
    return change(l, "PUT", (const char *[]){"permissions", l->vhost, l->user, NULL}, rights);
}

static int
bind_queue(struct listener *l, const char *key)
{
    struct json_object *binding = json_object_new_object();

    json_set_string(binding, "routing_key", key);
    return change(l, "POST",
                  (const char *[]){"bindings", l->vhost, "e", EXCHANGE, "q", l->queue, NULL},
                  binding);
}

int
listener_make_queue(struct listener *l, const char *requester)
{
    CLEANUP(mem_cleanup) char *key = requester != NULL ? mem_printf("*.*.*.%s.#", requester) : NULL;
    struct json_object *queue = json_object_new_object();
    struct json_object *arguments = json_object_new_object();

    json_set_string(arguments, "x-queue-type", "classic");
    json_set_bool(queue, "durable", true);
    json_add(queue, "arguments", arguments);
    int code = change(l, "PUT", (const char *[]){"queues", l->vhost, l->queue, NULL}, queue);
    if (key != NULL)
        return code == CLI_OK ? bind_queue(l, key) : code;
    for (size_t i = 0; code == CLI_OK && i < ARRAY_LEN(everybody); i++)
        code = bind_queue(l, everybody[i]);
    return code;
}

/* Remove one object of the broker; *any is set when it was there. */
static int
take_away(struct listener *l, const char *const *parts, bool *any)
{
    bool there = false;
    int code = look_up(l, parts, &there);

    if (code != CLI_OK || !there)
        return code;
    *any = true;
    return change(l, "DELETE", parts, NULL);
}

int
listener_user_exists(struct listener *l, bool *there)
{
    return look_up(l, (const char *[]){"users", l->user, NULL}, there);
}

int
listener_unmake(struct listener *l, bool *any)
{
    /* The user first: who cannot connect cannot use the queue. */
    int code = take_away(l, (const char *[]){"users", l->user, NULL}, any);

    if (code != CLI_OK)
        return code;
    return take_away(l, (const char *[]){"queues", l->vhost, l->queue, NULL}, any);
}
