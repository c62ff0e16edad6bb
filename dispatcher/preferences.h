#ifndef DISPATCHER_PREFERENCES_H
#define DISPATCHER_PREFERENCES_H

#include <stdint.h>
#include <stdio.h>

#include "common/attr.h"
#include "common/log.h"

/* What the operator decides; read once, then constant. */
struct preferences {
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
 * their number.  preferences_free() in any case. */
int preferences_load(const char *file, struct preferences *out) MUST_CHECK;
void preferences_free(struct preferences *settings);
void preferences_print(FILE *out, const struct preferences *settings);

enum log_level preferences_log_level(const struct preferences *settings);

#endif
