#ifndef BRIDGE_SETTINGS_H
#define BRIDGE_SETTINGS_H

#include <stdint.h>
#include <stdio.h>

#include "common/attr.h"

/* A worker's settings; read once, never changed.  deploy/examples/worker.conf shows all. */
struct settings {
    char *pool, *spool, *runner, *executor_dir, *collections, *state_dir, *dispatcher_user;
    char *cgroup;
    char **roots, **commands;
    int64_t slots, keep_s, done_max, spool_max_bytes;
    int64_t pace_bytes_per_s;
    int64_t claim_wait_ms, ack_hold_ms, heartbeat_ms;

    char *host, *vhost, *user, *password, *ca_file, *cert_file, *key_file;
    int64_t port, broker_heartbeat_s;

    char *log_level;

    char *program_dir; /* where this program lies: hler-emit and hler-runner are beside it */
};

/* Read file.  Every fault goes to stderr.  0 = usable, else the number of faults. */
int settings_load(const char *file, struct settings *out) MUST_CHECK;
void settings_print(FILE *out, const struct settings *settings);
void settings_free(struct settings *settings);

#endif
