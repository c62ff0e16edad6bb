#ifndef WORKER_EXECUTORS_WORDS_H
#define WORKER_EXECUTORS_WORDS_H

#include <stddef.h>

#include "common/attr.h"

/* A growing NULL-terminated list of strings that it owns: arguments or an environment.
 * Zero-initialise; CLEANUP(words_free). */
struct words {
    char **list; /* NULL while nothing was added */
    size_t count;
};

void words_add(struct words *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Add our own variable `name=value` if it is set; with a name that ends in '*', all that begin so. */
void words_inherit(struct words *w, const char *name);

void words_free(struct words *w);

#endif
