#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Time.  Durations and deadlines come from the monotonic clocks; the wall clock
 * only prints and stores. */

#define CLOCK_MS_NS INT64_C(1000000)
#define CLOCK_TEXT_SIZE 28 /* "2026-01-02T03:04:05.678901Z" and NUL */

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */
int64_t clock_boot_ns(void); /* CLOCK_BOOTTIME: goes on during suspend */
int64_t clock_wall_us(void); /* CLOCK_REALTIME, microseconds since 1970 */

/* Write wall_us as RFC 3339 UTC with microseconds; returns out. */
char *clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE]);

#endif
