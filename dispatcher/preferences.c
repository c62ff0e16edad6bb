/* The dispatcher's configuration: one table of keys. */
#include "dispatcher/preferences.h"

#include <stddef.h>
#include <string.h>

#include "common/config.h"
#include "proto/ident.h"
#include "proto/limits.h"

#define LEAST_TICKS 4 /* in lost_after: silence is measured in whole ones */
#define TEXT_MAX 4096
#define PORT_MAX 65535
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

#define AT(member) offsetof(struct preferences, member)

static const struct config_key keys[] = {
    {"dispatcher.id", CONFIG_STRING, AT(id), 1, LIMIT_ID_BYTES, "dispatcher-1",
     "name of this dispatcher: lower-case letters, digits and '-'; each has its own"},
    {"database.dsn", CONFIG_STRING, AT(dsn), 1, TEXT_MAX, "dbname=hler user=hler_dispatcher",
     "libpq connection string, or @FILE that holds it"},
    {"database.timeout_ms", CONFIG_INT, AT(pg_timeout_ms), 100, HOUR_MS, "10000",
     "longest one call to the database may last"},
    {"broker.host", CONFIG_STRING, AT(host), 1, TEXT_MAX, "127.0.0.1", "name or address"},
    {"broker.port", CONFIG_INT, AT(port), 1, PORT_MAX, "5672", "port; 5671 is usual with TLS"},
    {"broker.vhost", CONFIG_STRING, AT(vhost), 1, LIMIT_ROUTING_KEY_BYTES, "hler", "virtual host"},
    {"broker.user", CONFIG_STRING, AT(user), 1, LIMIT_ID_BYTES, "dispatcher",
     "workers obey this user only"},
    {"broker.password", CONFIG_STRING, AT(password), 0, TEXT_MAX, "", "or @FILE that holds it"},
    {"broker.ca_file", CONFIG_STRING, AT(ca_file), 0, TEXT_MAX, "",
     "certificate authority (PEM); empty = no TLS"},
    {"broker.cert_file", CONFIG_STRING, AT(cert_file), 0, TEXT_MAX, "",
     "client certificate (PEM); empty = none"},
    {"broker.key_file", CONFIG_STRING, AT(key_file), 0, TEXT_MAX, "", "its key (PEM)"},
    {"broker.heartbeat_s", CONFIG_INT, AT(heartbeat_s), 2, 600, "20", "15 to 30 are good values"},
    {"offers.batch", CONFIG_INT, AT(offers_batch), 1, 1000, "100",
     "most offers taken from the tables at once"},
    {"offers.offer_wait_ms", CONFIG_INT, AT(offer_wait_ms), 100, DAY_MS, "30000",
     "an offer unclaimed for so long is published again if its queue is empty"},
    {"leases.lost_after_ms", CONFIG_INT, AT(lost_after_ms), 500, DAY_MS, "60000",
     "attempts of a worker silent for so long are lost"},
    {"leases.tick_ms", CONFIG_INT, AT(tick_ms), 50, HOUR_MS, "3000",
     "how often the clock against which silence is measured ticks; at least four times in "
     "lost_after_ms"},
    {"log.level", CONFIG_STRING, AT(log_level), 1, TEXT_MAX, "info", "err, warn, info or debug"},
};

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {{"err", LOG_ERR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

/* -1 when it is none. */
static int
find_level(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(levels[i].name, name) == 0)
            return (int)levels[i].level;
    return -1;
}

/* What the table cannot say. */
static int
check(const char *file, const struct preferences *s)
{
    const char *where = file != NULL ? file : "defaults";
    int faults = 0;

    if (s->id != NULL && !ident_id_valid(s->id)) {
        fprintf(stderr, "%s: dispatcher.id: expected lower-case letters, digits and '-'\n", where);
        faults++;
    }
    if (s->log_level != NULL && find_level(s->log_level) == -1) {
        fprintf(stderr, "%s: log.level: expected err, warn, info or debug\n", where);
        faults++;
    }
    if (s->cert_file != NULL && s->key_file != NULL &&
        (s->cert_file[0] == '\0') != (s->key_file[0] == '\0')) {
        fprintf(stderr, "%s: broker.cert_file, broker.key_file: expected both or neither\n", where);
        faults++;
    }
    return faults;
}

int
preferences_load(const char *file, struct preferences *out)
{
    int faults;

    memset(out, 0, sizeof *out);
    faults = config_load(file, keys, ARRAY_LEN(keys), out);
    if (out->tick_ms > out->lost_after_ms / LEAST_TICKS)
        out->tick_ms = out->lost_after_ms / LEAST_TICKS;
    return faults + check(file, out);
}

void
preferences_free(struct preferences *settings)
{
    config_free(keys, ARRAY_LEN(keys), settings);
}

void
preferences_print(FILE *out, const struct preferences *settings)
{
    config_print(out, keys, ARRAY_LEN(keys), settings);
}

enum log_level
preferences_log_level(const struct preferences *settings)
{
    return (enum log_level)find_level(settings->log_level);
}
