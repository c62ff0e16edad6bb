/* Settings, connection and faults: what every command starts with. */
#include "dispatcher/cli/cli.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "dispatcher/cli/faults.h"
#include "dispatcher/cli/migration.h"

#define DEFAULT_CONFIG "/etc/hler/hler.conf"
#define CALL_TIMEOUT_MS 30000
#define CONFLICT_TRIES 5
#define TEXT_MAX 4096

#define AT(member) offsetof(struct settings, member)

static const struct config_key keys[] = {
    {"database.dsn", CONFIG_STRING, AT(database_dsn), 0, TEXT_MAX, "dbname=hler",
     "libpq connection string for every command but migrate; \"@FILE\" reads it from a file"},
    {"database.admin_dsn", CONFIG_STRING, AT(database_admin_dsn), 0, TEXT_MAX, "",
     "libpq connection string of a role that may run `hler migrate`"},
    {"broker.host", CONFIG_STRING, AT(broker_host), 1, TEXT_MAX, "127.0.0.1",
     "the broker's address in the URL that `hler listener add` prints"},
    {"broker.port", CONFIG_INT, AT(broker_port), 1, UINT16_MAX, "5672", "and its AMQP port"},
    {"broker.vhost", CONFIG_STRING, AT(broker_vhost), 1, TEXT_MAX, "hler", "the virtual host"},
    {"management.url", CONFIG_STRING, AT(management_url), 0, TEXT_MAX, "http://127.0.0.1:15672",
     "the broker's management API, for `hler listener` and `hler doctor`"},
    {"management.user", CONFIG_STRING, AT(management_user), 0, TEXT_MAX, "guest",
     "a broker user with the administrator tag"},
    {"management.password", CONFIG_STRING, AT(management_password), 0, TEXT_MAX, "guest",
     "its password; \"@FILE\" reads it from a file"},
};

static const struct opt globals[] = {
    {"json", OPT_FLAG, NULL, "machine-readable output: one JSON document, or a line each", 0, 0,
     false},
    {"config", OPT_TEXT, "FILE", "settings (default $HLER_CONFIG, then " DEFAULT_CONFIG ")", 0, 0,
     false},
    {"dsn", OPT_TEXT, "DSN", "database (default $HLER_DSN, then the settings)", 0, 0, false},
    {"help", OPT_FLAG, NULL, "say how the command is used", 0, 0, false},
    {"version", OPT_FLAG, NULL, "print the version", 0, 0, false},
};

const struct opt_table cli_globals = {globals, ARRAY_LEN(globals)};

void
cli_say(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("hler: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

int
cli_load(struct cli *cli, const char *file)
{
    if (file == NULL)
        file = getenv("HLER_CONFIG");
    if (file == NULL && access(DEFAULT_CONFIG, F_OK) == 0)
        file = DEFAULT_CONFIG;
    cli->config_file = file;
    return config_load(file, keys, ARRAY_LEN(keys), &cli->settings) == 0 ? CLI_OK : CONFIG_EXIT;
}

void
cli_close(struct cli *cli)
{
    pg_free(cli->pg);
    cli->pg = NULL;
    config_free(keys, ARRAY_LEN(keys), &cli->settings);
}

const char *
cli_dsn(const struct cli *cli)
{
    return cli->dsn != NULL ? cli->dsn : cli->settings.database_dsn;
}

int
cli_schema_version(void)
{
    return migrations_count == 0 ? 0 : migrations[migrations_count - 1].version;
}

static int
check_version(struct cli *cli)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    int code = cli_exec(cli, "SELECT hler_core.schema_version() AS version", NULL, 0, &r);

    if (code != CLI_OK)
        return CLI_UNREACHABLE;
    int64_t there = pg_get_int(r, 0, "version");
    if (there == cli_schema_version())
        return CLI_OK;
    cli_say("the database has schema version %lld, this hler knows %d: %s", (long long)there,
            cli_schema_version(),
            there < cli_schema_version() ? "run `hler migrate`" : "install a newer hler");
    return CLI_UNREACHABLE;
}

int
cli_connect(struct cli *cli)
{
    if (cli->pg != NULL)
        return CLI_OK;
    cli->pg = pg_new(cli_dsn(cli), "hler", CALL_TIMEOUT_MS);
    enum pg_status status = pg_connect(cli->pg);
    if (status != PG_OK)
        return cli_fault(cli, status) == CLI_OK ? CLI_OK : CLI_UNREACHABLE;
    return check_version(cli);
}

int
cli_exec(struct cli *cli, const char *sql, const struct pg_param *params, size_t n,
         struct pg_result **result)
{
    enum pg_status status = PG_RETRY;

    for (int try = 0; try < CONFLICT_TRIES && status == PG_RETRY; try++)
        status = pg_exec(cli->pg, sql, params, n, result);
    return status == PG_OK ? CLI_OK : cli_fault(cli, status);
}

struct pg_param
cli_param(const char *text)
{
    return (struct pg_param){.value = text, .len = -1, .binary = false};
}

/* What a SQLSTATE means to the one who typed the command. */
static const struct {
    const char *state; /* or its class, two characters */
    int code;
    const char *todo; /* NULL = the message says it all */
} meanings[] = {
    {"HL001", CLI_USAGE, NULL},
    {"HL002", CLI_USAGE, NULL},
    {"HL404", CLI_NOT_FOUND, NULL},
    {"HL409", CLI_USAGE, NULL},
    {"3F000", CLI_UNREACHABLE, "this database has no Hlér schema: run `hler migrate`"},
    {"42P01", CLI_UNREACHABLE, "the schema does not fit this hler: run `hler migrate`"},
    {"42883", CLI_UNREACHABLE, "the schema does not fit this hler: run `hler migrate`"},
    {"42501", CLI_USAGE, "this login may not do that: see --dsn; operators are in hler_operator"},
    {"28", CLI_UNREACHABLE, "check user and password in --dsn, $HLER_DSN or database.dsn"},
    {"22", CLI_USAGE, NULL},
    {"23", CLI_USAGE, NULL},
};

static int
pg_fault(const struct pg *pg, enum pg_status status, bool json)
{
    const struct pg_failure *f = pg_error(pg);

    if (status == PG_OK)
        return CLI_OK;
    if (status == PG_DOWN) {
        cli_say("cannot reach the database: %s", f->message);
        cli_say("check that it runs, and --dsn, $HLER_DSN or database.dsn");
        return CLI_UNREACHABLE;
    }
    if (f->detail == NULL || faults_print(f->detail, json) == -1)
        cli_say("%s", f->message);
    if (f->hint != NULL)
        cli_say("%s", f->hint);
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
        if (strncmp(f->sqlstate, meanings[i].state, strlen(meanings[i].state)) == 0) {
            if (meanings[i].todo != NULL)
                cli_say("%s", meanings[i].todo);
            return meanings[i].code;
        }
    return CLI_FAILED;
}

int
cli_fault(const struct cli *cli, enum pg_status status)
{
    return pg_fault(cli->pg, status, cli->json);
}

int
cli_pg_fault(const struct pg *pg, enum pg_status status)
{
    return pg_fault(pg, status, false);
}
