/* hler-worker: claims offers of one pool, has them run by runners, and sends what their
 * journals say.  Arguments and settings here, the rest in bridge.c. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/config.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "worker/bridge/bridge.h"

static const char usage[] =
    "usage: hler-worker --config FILE [--check | --print-config]\n"
    "       hler-worker --version | --help\n"
    "\n"
    "Runs the tasks of one pool: takes offers from the broker, and sends back all that they say.\n"
    "\n"
    "  --config FILE    settings; share/hler/examples/worker.conf shows all of them\n"
    "  --check          read the settings, say what is wrong with them, and end\n"
    "  --print-config   print every setting with its value and meaning, and end\n"
    "\n"
    "SIGTERM and SIGINT end it within seconds; running tasks go on, and the next hler-worker\n"
    "on the same spool takes them over.\n"
    "\n"
    "exit: 0 ended on a signal, 2 wrong command line, 71 the system refused something,\n"
    "      75 the spool is in use by another worker, 78 wrong settings\n";

#define EXIT_USAGE 2

enum mode { MODE_RUN, MODE_CHECK, MODE_PRINT };

enum { OPT_CONFIG = 1, OPT_CHECK, OPT_PRINT, OPT_VERSION, OPT_HELP };

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG}, {"check", no_argument, NULL, OPT_CHECK},
    {"print-config", no_argument, NULL, OPT_PRINT},  {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},           {NULL, 0, NULL, 0},
};

static enum log_level
level_of(const char *word)
{
    static const struct {
        const char *word;
        enum log_level level;
    } levels[] = {{"err", LOG_ERR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(levels[i].word, word) == 0)
            return levels[i].level;
    return LOG_INFO;
}

static int
run(struct bridge *b)
{
    int rc;

    log_open("hler-worker", level_of(b->settings.log_level));
    loop_block_signals();
    rc = bridge_open(b);
    if (rc == 0)
        bridge_run(b);
    bridge_close(b);
    return rc;
}

static int
with_config(const char *file, enum mode mode)
{
    CLEANUP(mem_cleanup) struct bridge *b = mem_alloc(sizeof *b);
    int rc = EX_OK;

    if (settings_load(file, &b->settings) != 0)
        return CONFIG_EXIT;
    switch (mode) {
    case MODE_CHECK:
        break;
    case MODE_PRINT:
        settings_print(stdout, &b->settings);
        break;
    case MODE_RUN:
        rc = run(b);
        break;
    }
    settings_free(&b->settings);
    return rc;
}

int
main(int argc, char **argv)
{
    const char *file = NULL;
    enum mode mode = MODE_RUN;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case OPT_CONFIG:
            file = optarg;
            break;
        case OPT_CHECK:
            mode = MODE_CHECK;
            break;
        case OPT_PRINT:
            mode = MODE_PRINT;
            break;
        case OPT_VERSION:
            return puts("hler-worker " HLER_VERSION) < 0 ? EX_IOERR : EX_OK;
        case OPT_HELP:
            return fputs(usage, stdout) < 0 ? EX_IOERR : EX_OK;
        default:
            fputs(usage, stderr); /* getopt has named the option */
            return EXIT_USAGE;
        }
    }
    if (file == NULL || optind != argc) {
        if (optind != argc)
            fprintf(stderr, "hler-worker: %s: unexpected\n%s", argv[optind], usage);
        else
            fprintf(stderr, "hler-worker: --config FILE is missing\n%s", usage);
        return EXIT_USAGE;
    }
    return with_config(file, mode);
}
