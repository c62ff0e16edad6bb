/* hler doctor: every part named, ok or ill, and what to do. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "dispatcher/cli/checks.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/value.h"

static const char *const finding_names[] = {
    [FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_ILL] = "ill"};

#define FINDING_WIDTH 4
#define STEP_WIDTH 12

static bool
is_ill(const struct checks *c, const char *step)
{
    for (size_t i = 0; i < json_object_array_length(c->list); i++) {
        struct json_object *j = json_object_array_get_idx(c->list, i);

        if (strcmp(json_object_get_string(json_object_object_get(j, "step")), step) == 0 &&
            strcmp(json_object_get_string(json_object_object_get(j, "finding")),
                   finding_names[FINDING_ILL]) == 0)
            return true;
    }
    return false;
}

/* Before it is written down. */
static void
add_ill(struct checks *c, const char *step)
{
    char *more;

    if (is_ill(c, step))
        return;
    more = c->ill != NULL ? mem_printf("%s, %s", c->ill, step) : mem_dup(step);
    free(c->ill);
    c->ill = more;
}

void
checks_add(struct checks *c, enum finding finding, const char *step, const char *todo,
           const char *fmt, ...)
{
    char detail[512];
    struct json_object *j = json_object_new_object();
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    json_set_string(j, "step", step);
    json_set_string(j, "finding", finding_names[finding]);
    json_set_string(j, "detail", detail);
    json_set_string(j, "todo", todo);
    if (finding == FINDING_ILL)
        add_ill(c, step);
    json_append(c->list, j);
    if (c->cli->json)
        return;
    printf("%-*s  %-*s %s\n", FINDING_WIDTH, finding_names[finding], STEP_WIDTH, step, detail);
    if (todo != NULL)
        printf("%*s  %*s -> %s\n", FINDING_WIDTH, "", STEP_WIDTH, "", todo);
    fflush(stdout);
}

static void
print_json(const struct checks *c)
{
    CLEANUP(json_cleanup) struct json_object *j = json_object_new_object();

    json_set_bool(j, "ok", c->ill == NULL);
    json_add(j, "checks", json_object_get(c->list));
    value_print(j, c->cli->terminal);
}

static int
run(struct cli *cli, const struct args *args)
{
    struct checks c = {.cli = cli, .list = json_object_new_array()};

    (void)args;
    checks_add(&c, FINDING_OK, "settings", NULL, "%s",
               cli->config_file != NULL ? cli->config_file : "no file, all defaults");
    bool database = checks_database(&c);
    if (database)
        checks_tables(&c);
    if (checks_broker(&c))
        checks_topology(&c);
    if (database)
        checks_round_trip(&c);
    if (cli->json)
        print_json(&c);
    else if (c.ill == NULL)
        puts("all is well");
    int code = c.ill == NULL ? CLI_OK : CLI_FAILED;
    if (code != CLI_OK)
        cli_say("ill: %s", c.ill);
    free(c.ill);
    mgmt_free(c.mgmt);
    json_object_put(c.list);
    return code;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "Check every part, with one round trip through all of them",
    .synopsis = "",
    .help =
        "Each step is ok, a note, or ill with what to do; exit code 1 when anything is ill.  The\n"
        "last step submits the type hler.ping (deploy/examples/ping.cfg) and prints when it\n"
        "passed each hop.  Needs an operator's login and management.* of the settings.\n\n"
        "  hler doctor\n",
    .run = run,
};
