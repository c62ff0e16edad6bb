#ifndef COMMON_GUARD_H
#define COMMON_GUARD_H

#include <stdbool.h>

/* Some checks stand between a fault and a second run.  A build with -DHLER_TEST_GUARDS can switch one of them off by its
 * name in $HLER_GUARD_OFF: tests/faults/guards shows that each is missed.  No other build knows of it. */

#ifdef HLER_TEST_GUARDS
#include <stdlib.h>
#include <string.h>

static inline bool
guard_is_on(const char *name)
{
    const char *off = getenv("HLER_GUARD_OFF");

    return off == NULL || strcmp(off, name) != 0;
}
#else
static inline bool
guard_is_on(const char *name)
{
    (void)name;
    return true;
}
#endif

#endif
