#include "common/mem.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* Allocation that succeeds or ends the process. */

void *
mem_alloc(size_t size)
{
    void *p = calloc(1, size > 0 ? size : 1);

    if (p == NULL)
        log_panic("memory: %zu bytes: %m", size);
    return p;
}

void *
mem_resize(void *p, size_t size)
{
    void *q = realloc(p, size > 0 ? size : 1);

    if (q == NULL)
        log_panic("memory: %zu bytes: %m", size);
    return q;
}

char *
mem_dup(const char *s)
{
    return s == NULL ? NULL : mem_dupn(s, strlen(s));
}

char *
mem_dupn(const char *s, size_t len)
{
    char *copy = mem_alloc(len + 1);

    if (len > 0)
        memcpy(copy, s, len);
    return copy;
}

char *
mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *out = NULL;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&out, fmt, ap);
    va_end(ap);
    if (n < 0)
        log_panic("memory: formatted text: %m");
    return out;
}

void
mem_trim(void)
{
    (void)malloc_trim(0); /* says whether there was any */
}

void
mem_cleanup(void *pointer_to_pointer)
{
    int saved = errno;
    void *p;

    /* The variable may be of any pointer type; all of them are stored alike here. */
    memcpy(&p, pointer_to_pointer, sizeof p);
    free(p);
    errno = saved;
}
