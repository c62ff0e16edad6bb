#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

#include "common/attr.h"

/* Memory that is there or the process is not: each allocator succeeds or logs
 * and aborts (all truth is in PostgreSQL, unacked messages and the spool, so
 * dying is safe).  Not for the runner, which allocates nothing once it runs. */

void *mem_alloc(size_t size); /* zeroed */
void *mem_resize(void *p, size_t size);
char *mem_dup(const char *s);              /* NULL stays NULL */
char *mem_dupn(const char *s, size_t len); /* adds the NUL */
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Give what is free back to the system; the allocator keeps some of it otherwise.  Any thread. */
void mem_trim(void);

/* For CLEANUP(mem_cleanup) on a `char *` or other pointer variable. */
void mem_cleanup(void *pointer_to_pointer);

#endif
