#ifndef DISPATCHER_PACK_H
#define DISPATCHER_PACK_H

#include <stddef.h>

/* Several strings in one allocation: add up pack_size(), allocate, pack_string() each. */

size_t pack_size(const char *text); /* with its NUL; NULL needs nothing */

/* Copy text to *at and move *at behind it; returns the copy, NULL for NULL. */
const char *pack_string(char **at, const char *text);

#endif
