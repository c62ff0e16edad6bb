/* hler listener: feeds of events for other programs.  A listener is a broker user that may
 * read one queue and nothing else; the queue is bounded by policy, so that one who
 * never reads harms nobody. */
#include "dispatcher/cli/listener.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/uuid.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"
#include "dispatcher/cli/value.h"

#define ID_MAX 40

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
    l->user = mem_printf(LISTENER_USER_PREFIX "%s", name);
    l->queue = mem_printf(LISTENER_QUEUE_PREFIX "%s", name);
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
    int code = listener_check_policy(l);

    if (code == CLI_OK)
        code = check_scope(l, requester);

    if (code == CLI_OK)
        code = listener_user_exists(l, &there);
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
        code = listener_make_queue(l, requester);
    if (code == CLI_OK)
        code = listener_make_user(l, password);
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

static int
run_remove(struct cli *cli, const struct args *args)
{
    struct listener l;
    CLEANUP(pg_result_cleanup) struct pg_result *known = NULL;
    struct pg_param params[] = {cli_param(args->words[0])};
    bool any = false;
    int code = listener_open(&l, cli, args->words[0]);

    if (code == CLI_OK)
        code = listener_unmake(&l, &any);
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
               " '" LISTENER_QUEUE_PREFIX "' || name AS queue,"
               " to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created"
               " FROM hler_core.listeners ORDER BY name",
        .json_sql = "SELECT name, requester, '" LISTENER_QUEUE_PREFIX "' || name AS queue,"
                    " created_at FROM hler_core.listeners ORDER BY name",
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
