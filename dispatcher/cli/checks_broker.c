/* What the broker says: is it there, and does it have what protocol section 2 lists. */
#include <string.h>

#include "common/buf.h"
#include "dispatcher/cli/checks.h"

#define HTTP_OK 200
#define LOAD_DEFINITIONS "load deploy/broker/definitions.json into the broker"

static const char *const exchanges[] = {"hler.tasks", "hler.claims", "hler.results"};
static const char *const queues[] = {"hler.claims", "hler.state", "hler.life", "hler.output",
                                     "hler.dead"};
/* What a pattern must cover, as it is written in definitions.json. */
static const char *const policies[] = {"hler\\.tasks\\.", "hler\\.state", "hler\\.output",
                                       "hler\\.listen\\."};

bool
checks_broker(struct checks *c)
{
    CLEANUP(mgmt_answer_free) struct mgmt_answer answer = {0};
    struct json_object *version = NULL;

    if (mgmt_new(c->cli, &c->mgmt) != CLI_OK ||
        mgmt_call(c->mgmt, "GET", "/overview", NULL, &answer) != CLI_OK) {
        checks_add(c, FINDING_ILL, "broker", "see what is said above",
                   "its management API cannot be asked");
        return false;
    }
    if (answer.status != HTTP_OK || !json_object_is_type(answer.body, json_type_object)) {
        checks_add(c, FINDING_ILL, "broker", "check management.url", "answered %ld at %s",
                   answer.status, c->cli->settings.management_url);
        return false;
    }
    json_object_object_get_ex(answer.body, "rabbitmq_version", &version);
    checks_add(c, FINDING_OK, "broker", NULL, "RabbitMQ %s",
               version != NULL ? json_object_get_string(version) : "of unknown version");
    return true;
}

/* The list of one kind of object in the vhost; NULL after a finding. */
static struct json_object *
fetch(struct checks *c, const char *kind)
{
    CLEANUP(mgmt_answer_free) struct mgmt_answer answer = {0};
    CLEANUP(buf_free) struct buf path = {0};

    mgmt_path(&path, (const char *[]){kind, c->cli->settings.broker_vhost, NULL});
    if (mgmt_call(c->mgmt, "GET", path.data, NULL, &answer) != CLI_OK || answer.status != HTTP_OK ||
        !json_object_is_type(answer.body, json_type_array)) {
        checks_add(c, FINDING_ILL, kind, "check broker.vhost; " LOAD_DEFINITIONS,
                   "vhost %s has none to show (HTTP %ld)", c->cli->settings.broker_vhost,
                   answer.status);
        return NULL;
    }
    return json_object_get(answer.body);
}

/* Does some member `key` in the list equal, or with `part` contain, text? */
static bool
has(struct json_object *list, const char *key, const char *text, bool part)
{
    struct json_object *value;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!json_object_object_get_ex(json_object_array_get_idx(list, i), key, &value))
            continue;
        const char *there = json_object_get_string(value);
        if (part ? strstr(there, text) != NULL : strcmp(there, text) == 0)
            return true;
    }
    return false;
}

struct wanted {
    const char *kind, *key;
    const char *const *names;
    size_t n;
    bool part;
};

static void
check_wanted(struct checks *c, const struct wanted *w)
{
    CLEANUP(json_cleanup) struct json_object *list = fetch(c, w->kind);
    CLEANUP(buf_free) struct buf missing = {0};

    if (list == NULL)
        return;
    for (size_t i = 0; i < w->n; i++)
        if (!has(list, w->key, w->names[i], w->part))
            buf_printf(&missing, " %s", w->names[i]);
    if (missing.len > 0)
        checks_add(c, FINDING_ILL, w->kind, LOAD_DEFINITIONS, "missing:%s", missing.data);
    else
        checks_add(c, FINDING_OK, w->kind, NULL, "all %zu are there", w->n);
}

/* Each pool of the tables has its queue. */
static void
check_pool_queues(struct checks *c)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(json_cleanup) struct json_object *list = NULL;
    CLEANUP(buf_free) struct buf missing = {0};

    if (c->cli->pg == NULL || !pg_is_up(c->cli->pg) ||
        cli_exec(c->cli, "SELECT 'hler.tasks.' || name AS queue FROM hler.pools ORDER BY name",
                 NULL, 0, &r) != CLI_OK ||
        (list = fetch(c, "queues")) == NULL)
        return;
    for (size_t i = 0; i < pg_rows(r); i++)
        if (!has(list, "name", pg_get(r, i, "queue"), false))
            buf_printf(&missing, " %s", pg_get(r, i, "queue"));
    if (missing.len > 0)
        checks_add(c, FINDING_ILL, "pool queues",
                   "deploy/broker/render makes it with a worker of the pool (deploy/README.md, 4)",
                   "missing:%s", missing.data);
    else
        checks_add(c, FINDING_OK, "pool queues", NULL, "%zu", pg_rows(r));
}

void
checks_topology(struct checks *c)
{
    const struct wanted wanted[] = {
        {"exchanges", "name", exchanges, ARRAY_LEN(exchanges), false},
        {"queues", "name", queues, ARRAY_LEN(queues), false},
        {"policies", "pattern", policies, ARRAY_LEN(policies), true},
    };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        check_wanted(c, &wanted[i]);
    check_pool_queues(c);
}
