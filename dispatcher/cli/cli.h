#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/pg.h"
#include "dispatcher/cli/args.h"

/* What every command of `hler` shares: settings, the connection, exit codes and the
 * way in which faults are said. */

enum cli_exit {
    CLI_OK = 0,          /* done; with --wait: the operation succeeded */
    CLI_FAILED = 1,      /* the operation failed; doctor: a part is ill */
    CLI_USAGE = 2,       /* wrong command line, or the request was refused */
    CLI_UNREACHABLE = 3, /* no database or broker, or the schema does not fit */
    CLI_CANCELLED = 4,
    CLI_HELD = 5,    /* held: a person must act */
    CLI_TIMEOUT = 6, /* --timeout passed; the operation goes on */
    CLI_NOT_FOUND = 7
};

struct settings {
    char *database_dsn, *database_admin_dsn;
    char *broker_host, *broker_vhost;
    int64_t broker_port;
    char *management_url, *management_user, *management_password;
};

struct cli {
    struct settings settings;
    const char *config_file; /* NULL = none was found, all defaults */
    const char *dsn;         /* --dsn or $HLER_DSN; NULL = the settings' */
    bool json;
    bool terminal; /* stdout is one */
    struct pg *pg; /* made by cli_connect() */
};

struct command {
    const char *name; /* one or two words: "listener add" */
    const char *summary;
    const char *synopsis; /* what follows the name */
    size_t min_words, max_words;
    const struct opt *options;
    size_t n_options;
    const char *help; /* examples, and what the summary leaves out */
    int (*run)(struct cli *cli, const struct args *args);
};

/* Load the settings: file, else $HLER_CONFIG, else the default path when it is there.
 * CLI_OK, or CONFIG_EXIT with the faults written. */
int cli_load(struct cli *cli, const char *file) MUST_CHECK;
void cli_close(struct cli *cli);

/* Connect and check that the schema is the one this program knows.  CLI_OK, or
 * CLI_UNREACHABLE having said why. */
int cli_connect(struct cli *cli) MUST_CHECK;
/* Where cli_connect() will connect to. */
const char *cli_dsn(const struct cli *cli);

/* Run one statement, again when it met another transaction.  CLI_OK, or an exit code
 * having said what is wrong. */
int cli_exec(struct cli *cli, const char *sql, const struct pg_param *params, size_t n,
             struct pg_result **result) MUST_CHECK;
/* Say what the last statement's failure was and return the exit code for it. */
int cli_fault(const struct cli *cli, enum pg_status status);
/* The same for a connection that is not cli->pg. */
int cli_pg_fault(const struct pg *pg, enum pg_status status);

/* "hler: ..." on stderr. */
void cli_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A text parameter; NULL = SQL NULL. */
struct pg_param cli_param(const char *text);

/* Of the newest migration compiled in. */
int cli_schema_version(void);

extern const struct opt_table cli_globals;

#endif
