/* The version of the tables against that of the program. */
#include "dispatcher/schema.h"

#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "proto/schema_version.h"

#define NO_SCHEMA "3F000"
#define NO_FUNCTION "42883"

static enum schema_state
compare(const struct pg_result *result)
{
    int64_t version = pg_get_int(result, 0, "version");

    if (version == SCHEMA_VERSION)
        return SCHEMA_FITS;
    if (version == 0)
        return SCHEMA_MISSING;
    return version < SCHEMA_VERSION ? SCHEMA_TOO_OLD : SCHEMA_TOO_NEW;
}

static enum schema_state
ask(struct pg *pg, int64_t *version)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    const char *sqlstate;

    switch (pg_exec(pg, "SELECT hler_core.schema_version() AS version", NULL, 0, &result)) {
    case PG_OK:
        *version = pg_get_int(result, 0, "version");
        return compare(result);
    case PG_DOWN:
    case PG_RETRY:
        return SCHEMA_AWAY;
    case PG_ERROR:
        break;
    }
    sqlstate = pg_error(pg)->sqlstate;
    if (strcmp(sqlstate, NO_SCHEMA) == 0 || strcmp(sqlstate, NO_FUNCTION) == 0)
        return SCHEMA_MISSING;
    return SCHEMA_REFUSED;
}

static void
tell(const struct pg *pg, enum schema_state state, int64_t version)
{
    switch (state) {
    case SCHEMA_UNKNOWN:
    case SCHEMA_AWAY:
        return;
    case SCHEMA_FITS:
        log_info("schema=%" PRId64 ": fits", version);
        return;
    case SCHEMA_MISSING:
        log_err("the database has no schema hler yet, waiting: run `hler migrate`");
        return;
    case SCHEMA_TOO_OLD:
        log_err("schema=%" PRId64 ": too old, this program needs %d, waiting: run `hler migrate`",
                version, SCHEMA_VERSION);
        return;
    case SCHEMA_TOO_NEW:
        log_err("schema=%" PRId64 ": too new, this program knows %d, waiting:"
                " install the hler-dispatcher that came with `hler migrate`",
                version, SCHEMA_VERSION);
        return;
    case SCHEMA_REFUSED:
        log_err("the database does not let this login ask for the schema, waiting:"
                " GRANT hler_dispatcher to it: %s",
                pg_error(pg)->message);
        return;
    }
}

enum schema_state
schema_check(struct pg *pg, enum schema_state *last)
{
    int64_t version = 0;
    enum schema_state state = ask(pg, &version);

    if (state != *last)
        tell(pg, state, version);
    *last = state;
    return state;
}
