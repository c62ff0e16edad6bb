#ifndef BRIDGE_STRINGS_H
#define BRIDGE_STRINGS_H

#include <stddef.h>

/* A NULL-terminated list of owned strings: an argv or an environment. */
struct strings {
    char **items; /* NULL while empty */
    size_t n;
};

/* Append; takes text over. */
void strings_take(struct strings *list, char *text);
/* Append NAME=value, where there is none of that name. */
void strings_add(struct strings *list, const char *name, const char *value);
/* NAME=value, replacing an older one of that name. */
void strings_set(struct strings *list, const char *name, const char *value);
void strings_free(struct strings *list);

#endif
