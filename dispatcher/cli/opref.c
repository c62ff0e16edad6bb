/* From what was typed to one operation's id. */
#include "dispatcher/cli/opref.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char shape[] = "00000000-0000-0000-0000-000000000000";

int
opref_range(const char *prefix, char low[UUID_TEXT_SIZE], char high[UUID_TEXT_SIZE])
{
    size_t len = strlen(prefix);

    if (len < OPREF_PREFIX_MIN || len >= UUID_TEXT_SIZE)
        return -1;
    for (size_t i = 0; i < UUID_TEXT_SIZE; i++) {
        unsigned char c = (unsigned char)(i < len ? prefix[i] : shape[i]);
        bool dash = shape[i] == '-';
        if (i < len && (dash ? c != '-' : !isxdigit(c)))
            return -1;
        low[i] = (char)tolower(c);
        high[i] = (char)(i >= len && c == '0' ? 'f' : tolower(c));
    }
    return 0;
}

static int
newest(struct cli *cli, struct pg_result **rows)
{
    return cli_exec(cli,
                    "SELECT id FROM hler.operations WHERE requester = session_user"
                    " AND NOT labels ? '" OPREF_ASIDE_LABEL "'"
                    " ORDER BY created_at DESC, id DESC LIMIT 1",
                    NULL, 0, rows);
}

static int
in_range(struct cli *cli, const char *ref, struct pg_result **rows)
{
    char low[UUID_TEXT_SIZE], high[UUID_TEXT_SIZE];

    if (opref_range(ref, low, high) == -1) {
        cli_say("\"%s\" is no operation: give its id, the first %d or more characters of it, or "
                "\"last\"",
                ref, OPREF_PREFIX_MIN);
        return CLI_USAGE;
    }
    struct pg_param params[] = {cli_param(low), cli_param(high)};
    return cli_exec(cli,
                    "SELECT id FROM hler.operations WHERE id BETWEEN $1::uuid AND $2::uuid LIMIT 2",
                    params, ARRAY_LEN(params), rows);
}

int
opref_resolve(struct cli *cli, const char *ref, char id[UUID_TEXT_SIZE])
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    int code = strcmp(ref, "last") == 0 ? newest(cli, &rows) : in_range(cli, ref, &rows);

    if (code != CLI_OK)
        return code;
    if (pg_rows(rows) == 0) {
        if (strcmp(ref, "last") == 0)
            cli_say("this login has submitted nothing, and \"last\" is its own: see `hler list`");
        else
            cli_say("there is no operation %s, or it is not yours: see `hler list`", ref);
        return CLI_NOT_FOUND;
    }
    if (pg_rows(rows) > 1) {
        cli_say("more than one operation begins with %s: give more of its id", ref);
        return CLI_USAGE;
    }
    snprintf(id, UUID_TEXT_SIZE, "%s", pg_get(rows, 0, "id"));
    return CLI_OK;
}
