/* The worker's settings: one table, then what a table cannot say: names that have a
 * grammar, and defaults that depend on where the program was installed. */
#include "worker/bridge/settings.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/mem.h"
#include "proto/ident.h"
#include "proto/limits.h"

#define AT(member) offsetof(struct settings, member)
#define DAY_S 86400
#define HOUR_MS 3600000
#define TEBIBYTE (INT64_C(1) << 40)
#define SLOTS_MAX 1000
#define DONE_MOST 1000000
#define TWO_MINUTES_S 120
#define PACE_LEAST 65536 /* less, and a single event would wait for seconds */
#define PORT_MAX 65535

#define STRING(path, member, min, max, fallback, doc)                                              \
    {                                                                                              \
        path, CONFIG_STRING, AT(member), min, max, fallback, doc                                   \
    }
#define INT(path, member, min, max, fallback, doc)                                                 \
    {                                                                                              \
        path, CONFIG_INT, AT(member), min, max, fallback, doc                                      \
    }
#define LIST(path, member, fallback, doc)                                                          \
    {                                                                                              \
        path, CONFIG_STRINGS, AT(member), 0, PATH_MAX, fallback, doc                               \
    }

static const struct config_key table[] = {
    STRING("worker.pool", pool, 1, LIMIT_ID_BYTES, "default", "whose offers this worker takes"),
    INT("worker.slots", slots, 1, SLOTS_MAX, "2", "tasks that may run at once"),
    STRING("worker.spool", spool, 1, PATH_MAX, "/var/lib/hler/spool",
           "directory of running and unsent attempts, on a local disk"),
    STRING("worker.runner", runner, 0, PATH_MAX, "", "hler-runner; empty = beside this program"),
    STRING("worker.executor_dir", executor_dir, 0, PATH_MAX, "",
           "directory of executors; empty = where they were installed or built"),
    STRING("worker.collections", collections, 0, PATH_MAX, "",
           "directory that holds ansible_collections; empty = as installed"),
    LIST("worker.roots", roots, "", "playbooks, modules and programs come from below these"),
    LIST("worker.commands", commands, "/usr/local/bin:/usr/bin:/bin",
         "directories from which a command task may run a program"),
    STRING("worker.state_dir", state_dir, 0, PATH_MAX, "",
           "directory for executors that outlives attempts; empty = none"),
    STRING("worker.cgroup", cgroup, 0, PATH_MAX, "",
           "control group (v2) below which each attempt gets its own; empty = none"),
    INT("worker.keep_s", keep_s, 0, 30 * DAY_S, "3600",
        "how long a finished attempt's journal is kept to be sent again"),
    INT("worker.done_max", done_max, 0, DONE_MOST, "10000",
        "and at most so many of them; while many run, as few as half"),
    INT("worker.spool_max_bytes", spool_max_bytes, 1, TEBIBYTE, "10737418240",
        "takes nothing new while the spool holds more"),
    INT("worker.pace_bytes_per_s", pace_bytes_per_s, PACE_LEAST, TEBIBYTE, "4194304",
        "output sent per second, at most, while other tasks start"),
    INT("worker.claim_wait_ms", claim_wait_ms, 100, HOUR_MS, "30000",
        "a grant that comes later does not count"),
    INT("worker.ack_hold_ms", ack_hold_ms, 100, HOUR_MS / 4, "60000",
        "an offer is acknowledged after this, or when its slot is free again"),
    INT("worker.heartbeat_ms", heartbeat_ms, 100, HOUR_MS, "10000", "time between heartbeats"),
    STRING("worker.dispatcher_user", dispatcher_user, 1, LIMIT_ID_BYTES, "dispatcher",
           "broker user whose grants and orders are obeyed"),
    STRING("broker.host", host, 1, PATH_MAX, "127.0.0.1", "RabbitMQ server"),
    INT("broker.port", port, 1, PORT_MAX, "5672", "5671 with TLS"),
    STRING("broker.vhost", vhost, 1, LIMIT_ROUTING_KEY_BYTES, "hler", "virtual host"),
    STRING("broker.user", user, 1, LIMIT_ID_BYTES, NULL, "also this worker's id"),
    STRING("broker.password", password, 0, PATH_MAX, NULL, "or \"@FILE\""),
    STRING("broker.ca_file", ca_file, 0, PATH_MAX, "", "PEM file; set = TLS"),
    STRING("broker.cert_file", cert_file, 0, PATH_MAX, "", "client certificate"),
    STRING("broker.key_file", key_file, 0, PATH_MAX, "", "its key"),
    INT("broker.heartbeat_s", broker_heartbeat_s, 2, TWO_MINUTES_S, "20", "AMQP heartbeat"),
    STRING("log.level", log_level, 1, LIMIT_ID_BYTES, "info", "err, warn, info or debug"),
};

/* Directory of the running program; caller frees. */
static char *
own_dir(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    if (n <= 0)
        return mem_dup(".");
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
    return mem_dup(path);
}

/* When *path is empty: the first of two places beside the program that is there. */
static void
settle_path(char **path, const char *dir, const char *installed, const char *built)
{
    const char *places[] = {installed, built};

    if ((*path)[0] != '\0')
        return;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char *candidate = mem_printf("%s/%s", dir, places[i]);

        if (access(candidate, R_OK | X_OK) == 0) {
            free(*path);
            *path = candidate;
            return;
        }
        free(candidate);
    }
}

static int
say_fault(const char *file, const char *key, const char *expected)
{
    fprintf(stderr, "%s: %s: %s\n", file, key, expected);
    return 1;
}

static int
check_dirs(const char *file, const char *key, char *const *dirs)
{
    for (; dirs != NULL && *dirs != NULL; dirs++)
        if (**dirs != '/')
            return say_fault(file, key, "expected absolute paths");
    return 0;
}

static bool
is_level(const char *word)
{
    static const char *const levels[] = {"err", "warn", "info", "debug"};

    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(levels[i], word) == 0)
            return true;
    return false;
}

/* What could not be read is NULL and was told already.  Returns the number of faults. */
static int
check_values(const char *file, const struct settings *s)
{
    int faults = check_dirs(file, "worker.roots", s->roots) +
                 check_dirs(file, "worker.commands", s->commands);

    if (s->pool != NULL && !ident_id_valid(s->pool))
        faults += say_fault(file, "worker.pool", "expected [a-z0-9-]{1,40}");
    if (s->user != NULL && !ident_id_valid(s->user))
        faults += say_fault(file, "broker.user", "is the worker's id, expected [a-z0-9-]{1,40}");
    if (s->spool != NULL && s->spool[0] != '/')
        faults += say_fault(file, "worker.spool", "expected an absolute path");
    if (s->log_level != NULL && !is_level(s->log_level))
        faults += say_fault(file, "log.level", "expected err, warn, info or debug");
    return faults;
}

int
settings_load(const char *file, struct settings *out)
{
    int faults;

    memset(out, 0, sizeof *out);
    faults = config_load(file, table, ARRAY_LEN(table), out);
    faults += check_values(file, out);
    if (faults != 0) {
        settings_free(out);
        return faults;
    }
    out->program_dir = own_dir();
    settle_path(&out->runner, out->program_dir, "hler-runner", "hler-runner");
    settle_path(&out->executor_dir, out->program_dir, "../libexec/hler/executors",
                "../libexec/executors");
    settle_path(&out->collections, out->program_dir, "../share/ansible/collections",
                "../../worker/executors/collection");
    return 0;
}

void
settings_print(FILE *out, const struct settings *settings)
{
    config_print(out, table, ARRAY_LEN(table), settings);
}

void
settings_free(struct settings *settings)
{
    config_free(table, ARRAY_LEN(table), settings);
    free(settings->program_dir);
    memset(settings, 0, sizeof *settings);
}
