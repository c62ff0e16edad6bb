#ifndef DISPATCHER_SETTINGS_H
#define DISPATCHER_SETTINGS_H

#include <stdint.h>
#include <stdio.h>

#include "common/attr.h"
#include "common/log.h"

/* What the operator decides; read once, then constant. */
struct settings {
    char *id;
    char *dsn;
    int64_t pg_timeout_ms;
    char *host, *vhost, *user, *password;
    char *ca_file, *cert_file, *key_file; /* "" = none */
    int64_t port, heartbeat_s;
    int64_t offers_batch, offer_wait_ms;
    int64_t lost_after_ms, tick_ms;
    char *log_level;
};

/* Fill *out from file (NULL = defaults only).  Every fault goes to stderr; returns
 * their number.  settings_free() in any case. */
int settings_load(const char *file, struct settings *out) MUST_CHECK;
void settings_free(struct settings *settings);
void settings_print(FILE *out, const struct settings *settings);

enum log_level settings_log_level(const struct settings *settings);

#endif
