/* hler submit: one row, as a front end would write it. */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "dispatcher/cli/await.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/faults.h"
#include "dispatcher/cli/inputs.h"
#include "dispatcher/cli/value.h"

#define PRIORITY_MAX 100
#define TIMEOUT_MAX_S (30 * 24 * 3600)

/* Options that become an argument of hler.submit() as they stand. */
static const struct {
    const char *option, *argument;
} passed[] = {
    {"target", "target"},     {"id", "id"},
    {"priority", "priority"}, {"run-at", "run_at"},
    {"start-by", "start_by"}, {"key", "idempotency_key"},
    {"actor", "actor"},       {"of", "version"},
};

#define FIXED 2 /* type, inputs */
#define PARAMS_MAX (FIXED + ARRAY_LEN(passed) + 1)

/* The newest catalogue entry of a type; *definition stays NULL when there is none
 * (the database will say so, with all other faults). */
static int
read_definition(struct cli *cli, const char *type, struct json_object **definition)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(type)};
    struct json_error err;
    int code =
        cli_exec(cli, "SELECT definition::text FROM hler.catalog WHERE name = $1::text AND newest",
                 params, ARRAY_LEN(params), &rows);

    if (code == CLI_OK && pg_rows(rows) > 0)
        *definition =
            json_parse(pg_get(rows, 0, "definition"), pg_len(rows, 0, "definition"), &err);
    return code;
}

static int
build_inputs(struct cli *cli, const struct args *args, struct json_object **inputs)
{
    CLEANUP(json_cleanup) struct json_object *definition = NULL;
    CLEANUP(buf_free) struct buf errors = {0};
    const char *file = args_text(args, "inputs");
    int code = read_definition(cli, args->words[0], &definition);

    if (code != CLI_OK)
        return code;
    *inputs = file != NULL ? inputs_read(file, &errors) : json_object_new_object();
    if (*inputs == NULL ||
        inputs_add(*inputs, args->words + 1, args->n_words - 1, definition, &errors) > 0) {
        faults_print_lines(errors.data, cli->json);
        return CLI_USAGE;
    }
    return CLI_OK;
}

/* --label k=v, any number, as a JSON object; NULL when there is none. */
static int
build_labels(const struct args *args, struct json_object **labels)
{
    const char *label;

    for (size_t i = 0; (label = args_nth(args, "label", i)) != NULL; i++) {
        const char *equals = strchr(label, '=');
        if (equals == NULL || equals == label) {
            cli_say("--label %s: expected name=value", label);
            return CLI_USAGE;
        }
        CLEANUP(mem_cleanup) char *name = mem_dupn(label, (size_t)(equals - label));
        if (*labels == NULL)
            *labels = json_object_new_object();
        json_set_string(*labels, name, equals + 1);
    }
    return CLI_OK;
}

/* Call hler.submit() with what was given; the rest keeps its defaults. */
static int
call_submit(struct cli *cli, const struct args *args, struct json_object *inputs,
            struct json_object *labels, struct pg_result **rows)
{
    CLEANUP(buf_free) struct buf sql = {0};
    struct pg_param params[PARAMS_MAX] = {cli_param(args->words[0]),
                                          cli_param(json_text(inputs, NULL))};
    size_t n = FIXED;

    buf_puts(&sql, "SELECT hler.submit($1, $2::text");
    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        if (args_text(args, passed[i].option) != NULL) {
            params[n++] = cli_param(args_text(args, passed[i].option));
            buf_printf(&sql, ", %s => $%zu", passed[i].argument, n);
        }
    if (labels != NULL) {
        params[n++] = cli_param(json_text(labels, NULL));
        buf_printf(&sql, ", labels => $%zu", n);
    }
    buf_puts(&sql, ") AS id");
    return cli_exec(cli, sql.data, params, n, rows);
}

static int
run(struct cli *cli, const struct args *args)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    CLEANUP(json_cleanup) struct json_object *inputs = NULL;
    CLEANUP(json_cleanup) struct json_object *labels = NULL;
    int code = build_labels(args, &labels);

    if (code == CLI_OK)
        code = cli_connect(cli);
    if (code == CLI_OK)
        code = build_inputs(cli, args, &inputs);
    if (code == CLI_OK)
        code = call_submit(cli, args, inputs, labels, &rows);
    if (code != CLI_OK)
        return code;
    return await_started(cli, args, pg_get(rows, 0, "id"));
}

static const struct opt options[] = {
    {"target", OPT_TEXT, "UUID", "the entity that results belong to", 0, 0, false},
    {"id", OPT_TEXT, "UUID", "the operation's id (default: a new one)", 0, 0, false},
    {"of", OPT_INT, "VERSION", "of the type (default: the newest)", 1, INT32_MAX, false},
    {"priority", OPT_INT, "N", "-100 to 100, higher first (default 0)", -PRIORITY_MAX, PRIORITY_MAX,
     false},
    {"run-at", OPT_TEXT, "TIME", "not before (UTC when it names no zone)", 0, 0, false},
    {"start-by", OPT_TEXT, "TIME", "cancelled when nothing has started by then", 0, 0, false},
    {"key", OPT_TEXT, "TEXT", "idempotency key: the same key is the same operation", 0, 0, false},
    {"label", OPT_TEXT, "NAME=VALUE", "a label, any number of them", 0, 0, true},
    {"actor", OPT_TEXT, "WHO", "the person behind this request", 0, 0, false},
    {"inputs", OPT_TEXT, "FILE", "a JSON object of inputs, - = stdin; fields come on top", 0, 0,
     false},
    {"wait", OPT_FLAG, NULL, "wait for the end; the exit code says which", 0, 0, false},
    {"follow", OPT_FLAG, NULL, "the same, writing the output as it comes", 0, 0, false},
    {"timeout", OPT_INT, "SECONDS", "longest wait (default: no limit)", 1, TIMEOUT_MAX_S, false},
};

const struct command command_submit = {
    .name = "submit",
    .summary = "Ask for an operation",
    .synopsis = "TYPE [FIELD=VALUE …] [OPTIONS]",
    .min_words = 1,
    .max_words = ARGS_NO_MAX,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help =
        "Prints the operation's id.  FIELD=VALUE is read by the field's type in the catalogue:\n"
        "a string or uuid as it stands, others as JSON.  FIELD:=JSON is always JSON.\n"
        "FIELD=@FILE takes the value from a file (FIELD=@@x is the text @x).\n"
        "Every fault of the request is said on a line of its own; nothing is stored then.\n\n"
        "  hler submit site.deploy title=Hello --target $SITE --follow\n"
        "  hler submit site.deploy --inputs site.json --target $SITE --wait --timeout 600\n"
        "  hler submit site.deploy title=@title.txt 'theme:=\"dark\"' --target $SITE"
        " --key order-17\n",
    .run = run,
};
