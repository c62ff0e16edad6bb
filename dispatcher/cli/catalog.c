/* hler catalog: the operation types that may be asked for. */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "dispatcher/cli/catalog_cfg.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"
#include "dispatcher/cli/value.h"

#define NAME_MAX_BYTES 4096

/* The faults of a refused definition, each with its line in the file. */
static int
print_faults(const struct catalog_cfg *cfg, size_t i, const char *file, const char *detail)
{
    struct json_error err;
    CLEANUP(json_cleanup) struct json_object *list = value_parse(detail, &err);

    if (list == NULL || !json_object_is_type(list, json_type_array))
        return -1;
    for (size_t n = 0; n < json_object_array_length(list); n++) {
        struct json_object *fault = json_object_array_get_idx(list, n);
        const char *field = "", *message = "refused";
        if (json_get_string(fault, "field", true, NAME_MAX_BYTES, &field, &err) == -1 ||
            json_get_string(fault, "message", true, NAME_MAX_BYTES, &message, &err) == -1)
            return -1;
        field = field != NULL ? field : "";
        fprintf(stderr, "%s:%u: %s: %s\n", file, catalog_cfg_line(cfg, i, field), field, message);
    }
    return 0;
}

static int
apply_one(struct cli *cli, const struct catalog_cfg *cfg, size_t i, const char *file)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    CLEANUP(json_cleanup) struct json_object *definition = catalog_cfg_definition(cfg, i);
    struct pg_param params[] = {cli_param(json_text(definition, NULL))};
    enum pg_status status =
        pg_exec(cli->pg, "SELECT name, version, created FROM hler_core.catalog_apply($1)", params,
                ARRAY_LEN(params), &rows);
    const struct pg_failure *f = pg_error(cli->pg);

    if (status == PG_ERROR && strcmp(f->sqlstate, "HL002") == 0 && f->detail != NULL &&
        print_faults(cfg, i, file, f->detail) == 0)
        return CLI_USAGE;
    if (status != PG_OK)
        return cli_fault(cli, status);
    printf(cli->json ? "{\"name\":\"%s\",\"version\":%s,\"created\":%s}\n" : "%s version %s: %s\n",
           pg_get(rows, 0, "name"), pg_get(rows, 0, "version"),
           pg_get_bool(rows, 0, "created") ? (cli->json ? "true" : "created")
                                           : (cli->json ? "false" : "unchanged"));
    return CLI_OK;
}

static int
apply_file(struct cli *cli, const char *file)
{
    CLEANUP(buf_free) struct buf errors = {0};
    struct catalog_cfg *cfg = catalog_cfg_read(file, &errors);
    int code = CLI_OK;

    if (cfg == NULL) {
        fputs(errors.data, stderr);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < catalog_cfg_count(cfg); i++) {
        int one = apply_one(cli, cfg, i, file);
        code = code == CLI_OK ? one : code;
        if (one == CLI_UNREACHABLE)
            break;
    }
    catalog_cfg_free(cfg);
    return code;
}

static int
run_apply(struct cli *cli, const struct args *args)
{
    int code = cli_connect(cli), first = CLI_OK;

    /* All files: the faults of all of them are worth seeing. */
    for (size_t i = 0; code != CLI_UNREACHABLE && i < args->n_words; i++) {
        code = apply_file(cli, args->words[i]);
        first = first == CLI_OK ? code : first;
    }
    return first == CLI_OK ? code : first;
}

static const struct column columns[] = {
    {"TYPE", "name", false},
    {"VERSION", "version", true},
    {"CREATED", "created", false},
    {"DESCRIPTION", "description", false},
};

static int
run_list(struct cli *cli, const struct args *args)
{
    struct report report = {
        .sql = "SELECT name, version, newest, description,"
               " to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created"
               " FROM hler.catalog WHERE newest ORDER BY name",
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
        .nothing = "the catalogue is empty; `hler catalog apply FILE.cfg` fills it",
    };
    int code = cli_connect(cli);

    (void)args;
    return code == CLI_OK ? table_report(cli, &report) : code;
}

static int
run_show(struct cli *cli, const struct args *args)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(args->words[0]), cli_param(args_text(args, "of"))};
    int code = cli_connect(cli);

    if (code == CLI_OK)
        code = cli_exec(cli,
                        "SELECT definition::text FROM hler.catalog WHERE name = $1::text"
                        " AND CASE WHEN $2::int IS NULL THEN newest ELSE version = $2::int END",
                        params, ARRAY_LEN(params), &rows);
    if (code != CLI_OK)
        return code;
    if (pg_rows(rows) == 0) {
        cli_say("there is no such operation type: see `hler catalog list`");
        return CLI_NOT_FOUND;
    }
    value_print_text(pg_get(rows, 0, "definition"), !cli->json || cli->terminal);
    return CLI_OK;
}

const struct command command_catalog_apply = {
    .name = "catalog apply",
    .summary = "Add operation types to the catalogue",
    .synopsis = "FILE.cfg …",
    .min_words = 1,
    .max_words = ARGS_NO_MAX,
    .help =
        "A libconfig file: types = ( { name; version; description; fields = (…); tasks = (…) } ).\n"
        "Members are named as in the definition that `hler catalog show` prints; what a task may\n"
        "have and what it means is in worker/executors/README.md, section 11.  A version that\n"
        "is there never changes: the same again does nothing, another one needs a new number.\n"
        "Every fault is said with its line.\n\n"
        "  hler catalog apply site.cfg\n",
    .run = run_apply,
};

const struct command command_catalog_list = {
    .name = "catalog list",
    .summary = "List the operation types, newest versions",
    .synopsis = "",
    .help = "  hler catalog list\n",
    .run = run_list,
};

static const struct opt show_options[] = {
    {"of", OPT_INT, "VERSION", "this version (default: the newest)", 1, INT32_MAX, false},
};

const struct command command_catalog_show = {
    .name = "catalog show",
    .summary = "Print an operation type's definition as JSON",
    .synopsis = "TYPE [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = show_options,
    .n_options = ARRAY_LEN(show_options),
    .help = "  hler catalog show site.deploy\n",
    .run = run_show,
};
