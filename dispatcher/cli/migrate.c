/* hler migrate: bring the schema to the version this program was built with.  Each
 * migration is one transaction with its row in hler.schema_migration, so that an interrupted run
 * is simply run again. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/mem.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/migration.h"
#include "dispatcher/cli/value.h"

#define TIMEOUT_MS 120000
#define DIGEST_SIZE (2 * EVP_MAX_MD_SIZE + 1)
/* Any number that nobody else takes: "hler" in ASCII. */
#define LOCK_SQL "SELECT pg_advisory_lock(1751934322)"

static int
digest(const char *text, char out[DIGEST_SIZE])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    size_t len = 0;

    if (EVP_Q_digest(NULL, "SHA256", NULL, text, strlen(text), md, &len) != 1) {
        cli_say("libcrypto cannot compute SHA-256");
        return CLI_FAILED;
    }
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", md[i]);
    return CLI_OK;
}

/* One row of hler.schema_migration against what is compiled in. */
static int
check_row(const struct pg_result *rows, size_t row)
{
    char ours[DIGEST_SIZE];
    int64_t version = pg_get_int(rows, row, "version");

    for (size_t i = 0; i < migrations_count; i++) {
        if (migrations[i].version != version)
            continue;
        if (digest(migrations[i].sql, ours) != CLI_OK)
            return CLI_FAILED;
        if (strcmp(ours, pg_get(rows, row, "sha256")) == 0)
            return CLI_OK;
        cli_say("migration %04d_%s was applied with another text than this hler has: it comes from "
                "a changed build; install the one that made this database",
                migrations[i].version, migrations[i].name);
        return CLI_UNREACHABLE;
    }
    cli_say("the database has schema version %lld, this hler knows %d: install a newer hler",
            (long long)version, cli_schema_version());
    return CLI_UNREACHABLE;
}

static int
pg_fault_of(struct pg *pg, enum pg_status status)
{
    return status == PG_OK ? CLI_OK : cli_pg_fault(pg, status);
}

/* Which migrations are applied: *newest = 0 when there is no schema yet. */
static int
read_applied(struct pg *pg, int64_t *newest)
{
    CLEANUP(pg_result_cleanup) struct pg_result *table = NULL;
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    int code = pg_fault_of(
        pg, pg_exec(pg, "SELECT to_regclass('hler.schema_migration') IS NOT NULL AS there", NULL, 0,
                    &table));

    *newest = 0;
    if (code != CLI_OK || !pg_get_bool(table, 0, "there"))
        return code;
    code = pg_fault_of(pg, pg_exec(pg,
                                   "SELECT version, sha256 FROM hler.schema_migration"
                                   " ORDER BY version DESC",
                                   NULL, 0, &rows));
    for (size_t i = 0; code == CLI_OK && i < pg_rows(rows); i++) {
        code = check_row(rows, i);
        if (i == 0)
            *newest = pg_get_int(rows, i, "version");
    }
    return code;
}

static int
apply(struct pg *pg, const struct migration *m)
{
    CLEANUP(buf_free) struct buf script = {0};
    char sha256[DIGEST_SIZE];

    if (digest(m->sql, sha256) != CLI_OK)
        return CLI_FAILED;
    buf_puts(&script, "BEGIN;\n");
    buf_puts(&script, m->sql);
    buf_printf(&script,
               "\n;SET LOCAL ROLE hler_owner;\n"
               "INSERT INTO hler.schema_migration (version, name, sha256)"
               " VALUES (%d, '%s', '%s');\nCOMMIT;",
               m->version, m->name, sha256);
    enum pg_status status = pg_script(pg, script.data);
    if (status == PG_OK)
        return CLI_OK;
    cli_say("migration %04d_%s failed and left nothing behind:", m->version, m->name);
    return cli_pg_fault(pg, status);
}

static void
add_name(struct json_object *done, const struct migration *m)
{
    CLEANUP(mem_cleanup) char *name = mem_printf("%04d_%s", m->version, m->name);

    json_append(done, json_object_new_string(name));
}

/* Apply what is behind `newest`; the names go to done. */
static int
apply_all(struct pg *pg, int64_t newest, bool dry_run, struct json_object *done)
{
    int code = CLI_OK;

    for (size_t i = 0; code == CLI_OK && i < migrations_count; i++) {
        if (migrations[i].version <= newest)
            continue;
        if (!dry_run)
            code = apply(pg, &migrations[i]);
        if (code == CLI_OK)
            add_name(done, &migrations[i]);
    }
    return code;
}

static void
print_done(const struct cli *cli, struct json_object *done, bool dry_run)
{
    size_t n = json_object_array_length(done);

    if (cli->json) {
        CLEANUP(json_cleanup) struct json_object *j = json_object_new_object();
        json_add(j, dry_run ? "would_apply" : "applied", json_object_get(done));
        json_set_int(j, "version", cli_schema_version());
        value_print(j, cli->terminal);
        return;
    }
    for (size_t i = 0; i < n; i++)
        printf("%s %s\n", dry_run ? "would apply" : "applied",
               json_object_get_string(json_object_array_get_idx(done, i)));
    if (n == 0)
        printf("nothing to do: schema version %d\n", cli_schema_version());
}

static struct pg *
open_admin(const struct cli *cli, const struct args *args)
{
    const char *dsn = args_text(args, "dsn");

    if (dsn == NULL)
        dsn = getenv("HLER_MIGRATE_DSN");
    if (dsn == NULL && cli->settings.database_admin_dsn[0] != '\0')
        dsn = cli->settings.database_admin_dsn;
    return pg_new(dsn != NULL ? dsn : cli_dsn(cli), "hler migrate", TIMEOUT_MS);
}

static int
run(struct cli *cli, const struct args *args)
{
    CLEANUP(json_cleanup) struct json_object *done = json_object_new_array();
    bool dry_run = args_flag(args, "dry-run");
    struct pg *pg = open_admin(cli, args);
    int64_t newest;
    int code = pg_fault_of(pg, pg_connect(pg));

    if (code == CLI_OK)
        code = pg_fault_of(pg, pg_exec(pg, LOCK_SQL, NULL, 0, NULL));
    if (code == CLI_OK)
        code = read_applied(pg, &newest);
    if (code == CLI_OK)
        code = apply_all(pg, newest, dry_run, done);
    if (code == CLI_OK || json_object_array_length(done) > 0)
        print_done(cli, done, dry_run);
    pg_free(pg);
    return code;
}

static const struct opt options[] = {
    {"dry-run", OPT_FLAG, NULL, "say what would be applied", 0, 0, false},
};

const struct command command_migrate = {
    .name = "migrate",
    .summary = "Bring the database schema to this program's version",
    .synopsis = "[OPTIONS]",
    .max_words = 0,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help =
        "Connects with --dsn, else $HLER_MIGRATE_DSN, else database.admin_dsn: a superuser, or a\n"
        "member of hler_owner with CREATEROLE.  Each migration is one transaction; only forward.\n"
        "A second run has nothing to do.\n\n"
        "  hler migrate --dsn 'dbname=hler user=postgres'\n",
    .run = run,
};
