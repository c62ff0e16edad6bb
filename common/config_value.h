#ifndef COMMON_CONFIG_VALUE_H
#define COMMON_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"

/* One value of a program's settings struct: storing, checking, printing.  Only for config*.c. */

struct config_fault {
    char text[512];
};

/* Where the value of key lies in target. */
void *config_value_slot(const struct config_key *key, void *target);

/* Parse the key's fallback and store it.  -1 with *fault. */
int config_value_fallback(const struct config_key *key, void *target, struct config_fault *fault);

/* Check the stored value against the key's limits.  -1 with *fault. */
int config_value_check(const struct config_key *key, void *target, struct config_fault *fault);

/* True when the value must not be shown and may be "@FILE". */
bool config_value_is_secret(const struct config_key *key);

/* Replace a stored "@FILE" by the first line of FILE, relative names below dir.  -1 with
 * *fault, also when others may read the file. */
int config_value_resolve(const struct config_key *key, const char *dir, void *target,
                         struct config_fault *fault);

/* Forget what lies there (it was never set): config_value_free() is legal from here on. */
void config_value_clear(const struct config_key *key, void *target);

void config_value_free(const struct config_key *key, void *target);

#endif
