/* hler listener: feeds of events for other programs.  A listener is a broker user that may
 * read one queue and nothing else; the queue is bounded by policy, so that one who
 * never reads harms nobody. */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/uuid.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/mgmt.h"
#include "dispatcher/cli/table.h"
#include "dispatcher/cli/value.h"

#define ID_MAX 40
#define HTTP_OK 200
#define HTTP_NOT_FOUND 404
#define QUEUE_PREFIX "hler.listen."
#define USER_PREFIX "listener-"
#define EXCHANGE "hler.results"

struct listener {
    struct cli *cli;
    struct mgmt *mgmt;
    const char *name, *vhost;
    char *user, *queue;
};

/* What a listener may see: attempts, tasks and operations, not the heartbeats and ticks.
 * The fourth word of a routing key is the requester. */
static const char *const everybody[] = {"*.attempt.#", "*.task.#", "*.operation.#"};

static bool
is_word(const char *text, const char *others)
{
    size_t len = strlen(text);

    if (len == 0 || len > ID_MAX)
        return false;
    for (; *text != '\0'; text++)
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= '0' && *text <= '9') &&
            strchr(others, *text) == NULL)
            return false;
    return true;
}

/* CLI_OK with everything of l filled (listener_close() it in any case). */
static int
listener_open(struct listener *l, struct cli *cli, const char *name)
{
    *l = (struct listener){.cli = cli, .name = name, .vhost = cli->settings.broker_vhost};
    if (!is_word(name, "-")) {
        cli_say("\"%s\" is no listener name: a-z, 0-9 and -, at most %d characters", name, ID_MAX);
        return CLI_USAGE;
    }
    l->user = mem_printf(USER_PREFIX "%s", name);
    l->queue = mem_printf(QUEUE_PREFIX "%s", name);
    int code = cli_connect(cli);
    return code == CLI_OK ? mgmt_new(cli, &l->mgmt) : code;
}

static void
listener_close(struct listener *l)
{
    mem_cleanup(&l->user);
    mem_cleanup(&l->queue);
    mgmt_free(l->mgmt);
}

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
static int
check_policy(struct listener *l)
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

static int
make_user(struct listener *l, const char *password)
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

static int
make_queue(struct listener *l, const char *requester)
{
    CLEANUP(mem_cleanup) char *key = requester != NULL ? mem_printf("*.*.*.%s.#", requester) : NULL;
    struct json_object *queue = json_object_new_object();
    struct json_object *arguments = json_object_new_object();

    json_set_string(arguments, "x-queue-type", "classic");
    json_set_bool(queue, "durable", true);
    json_object_object_add(queue, "arguments", arguments);
    int code = change(l, "PUT", (const char *[]){"queues", l->vhost, l->queue, NULL}, queue);
    if (key != NULL)
        return code == CLI_OK ? bind_queue(l, key) : code;
    for (size_t i = 0; code == CLI_OK && i < ARRAY_LEN(everybody); i++)
        code = bind_queue(l, everybody[i]);
    return code;
}

static int
register_it(struct listener *l, const char *requester)
{
    struct pg_param params[] = {cli_param(l->name), cli_param(requester)};

    return cli_exec(l->cli, "SELECT hler_core.listener_register($1, $2)", params, ARRAY_LEN(params),
                    NULL);
}

static void
print_made(const struct listener *l, const char *password)
{
    const struct settings *s = &l->cli->settings;
    CLEANUP(buf_free) struct buf vhost = {0};

    mgmt_path(&vhost, (const char *[]){l->vhost, NULL});
    CLEANUP(mem_cleanup)
    char *url = mem_printf("amqp://%s:%s@%s:%lld%s", l->user, password, s->broker_host,
                           (long long)s->broker_port, vhost.data);
    if (l->cli->json) {
        CLEANUP(json_cleanup) struct json_object *j = json_object_new_object();
        json_set_string(j, "name", l->name);
        json_set_string(j, "url", url);
        json_set_string(j, "queue", l->queue);
        value_print(j, l->cli->terminal);
    } else {
        printf("HLER_LISTENER_URL=%s\nHLER_LISTENER_QUEUE=%s\n", url, l->queue);
    }
}

/* The queue's bindings stay as they were made: another scope needs another queue. */
static int
check_scope(struct listener *l, const char *requester)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(l->name), cli_param(requester)};
    int code = cli_exec(l->cli,
                        "SELECT coalesce(requester, 'everybody') AS scope FROM hler_core.listeners"
                        " WHERE name = $1::text AND requester IS DISTINCT FROM $2::text",
                        params, ARRAY_LEN(params), &rows);

    if (code != CLI_OK || pg_rows(rows) == 0)
        return code;
    cli_say("listener %s is there for the events of %s: `hler listener remove %s` first", l->name,
            pg_get(rows, 0, "scope"), l->name);
    return CLI_USAGE;
}

static int
add(struct listener *l, const char *requester, bool force)
{
    char first[TOKEN_TEXT_SIZE], second[TOKEN_TEXT_SIZE];
    bool there;
    int code = check_policy(l);

    if (code == CLI_OK)
        code = check_scope(l, requester);

    if (code == CLI_OK)
        code = look_up(l, (const char *[]){"users", l->user, NULL}, &there);
    if (code == CLI_OK && there && !force) {
        cli_say("listener %s is there already, and its password was shown once: --force makes a "
                "new one, `hler listener remove %s` takes it away",
                l->name, l->name);
        return CLI_USAGE;
    }
    CLEANUP(mem_cleanup) char *password = mem_printf("%s%s", uuid_token(first), uuid_token(second));
    if (code == CLI_OK)
        code = register_it(l, requester);
    if (code == CLI_OK)
        code = make_queue(l, requester);
    if (code == CLI_OK)
        code = make_user(l, password);
    if (code == CLI_OK)
        print_made(l, password);
    return code;
}

static int
run_add(struct cli *cli, const struct args *args)
{
    const char *requester = args_text(args, "requester");
    struct listener l;

    if (requester != NULL && !is_word(requester, "_-")) {
        cli_say("\"%s\" is no requester: a-z, 0-9, _ and -, at most %d characters", requester,
                ID_MAX);
        return CLI_USAGE;
    }
    int code = listener_open(&l, cli, args->words[0]);
    if (code == CLI_OK)
        code = add(&l, requester, args_flag(args, "force"));
    listener_close(&l);
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

static int
run_remove(struct cli *cli, const struct args *args)
{
    struct listener l;
    CLEANUP(pg_result_cleanup) struct pg_result *known = NULL;
    struct pg_param params[] = {cli_param(args->words[0])};
    bool any = false;
    int code = listener_open(&l, cli, args->words[0]);

    /* The user first: who cannot connect cannot use the queue. */
    if (code == CLI_OK)
        code = take_away(&l, (const char *[]){"users", l.user, NULL}, &any);
    if (code == CLI_OK)
        code = take_away(&l, (const char *[]){"queues", l.vhost, l.queue, NULL}, &any);
    listener_close(&l);
    if (code == CLI_OK)
        code = cli_exec(cli, "SELECT name FROM hler_core.listeners WHERE name = $1::text", params,
                        ARRAY_LEN(params), &known);
    if (code != CLI_OK)
        return code;
    if (pg_rows(known) == 0 && !any) {
        cli_say("there is no listener %s: see `hler listener list`", args->words[0]);
        return CLI_NOT_FOUND;
    }
    code = cli_exec(cli, "SELECT hler_core.listener_forget($1)", params, ARRAY_LEN(params), NULL);
    if (code == CLI_OK)
        printf(cli->json ? "{\"removed\":\"%s\"}\n" : "removed listener %s\n", args->words[0]);
    return code;
}

static const struct column columns[] = {
    {"LISTENER", "name", false},
    {"REQUESTER", "of", false},
    {"QUEUE", "queue", false},
    {"CREATED", "created", false},
};

static int
run_list(struct cli *cli, const struct args *args)
{
    struct report report = {
        .sql = "SELECT name, requester, coalesce(requester, 'all') AS of,"
               " '" QUEUE_PREFIX "' || name AS queue,"
               " to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created"
               " FROM hler_core.listeners ORDER BY name",
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
        .nothing = "no listeners; `hler listener add NAME` makes one",
    };
    int code = cli_connect(cli);

    (void)args;
    return code == CLI_OK ? table_report(cli, &report) : code;
}

static const struct opt add_options[] = {
    {"requester", OPT_TEXT, "LOGIN", "only events of this login's operations", 0, 0, false},
    {"force", OPT_FLAG, NULL, "make a new password for one that is there", 0, 0, false},
};

const struct command command_listener_add = {
    .name = "listener add",
    .summary = "Make a queue and a broker user for a program that listens to events",
    .synopsis = "NAME [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = add_options,
    .n_options = ARRAY_LEN(add_options),
    .help = "Prints the URL, with the password that is shown only this once, and the queue.  The\n"
            "user may read that one queue and nothing else.  The queue is bounded: what is not\n"
            "read in time is dropped, the oldest first.  Uses management.* of the settings.\n\n"
            "  hler listener add drupal --requester drupal\n"
            "  hler listener add audit --json\n",
    .run = run_add,
};

const struct command command_listener_list = {
    .name = "listener list",
    .summary = "List the listeners",
    .synopsis = "",
    .help = "  hler listener list\n",
    .run = run_list,
};

const struct command command_listener_remove = {
    .name = "listener remove",
    .summary = "Remove a listener, its queue and its user",
    .synopsis = "NAME",
    .min_words = 1,
    .max_words = 1,
    .help = "  hler listener remove audit\n",
    .run = run_remove,
};
