#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/attr.h"

/* One line an event on stderr: "<prio>program: key=value ... : why".  journald
 * reads the <prio>; on a terminal it is left out and the time is put in front.
 * Every function keeps errno, understands %m, and is safe from any thread.
 * err = gave up, warn = will retry or look here, info = one line per change of
 * state, debug = off unless asked for.  No secret and no job output goes here. */

enum log_level { LOG_ERR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

/* Set the name in front of each line (kept, not copied) and the lowest level
 * still written. */
void log_open(const char *program, enum log_level level);

void log_err(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Set errno to err, log the line as an error, return -1. */
int log_errno(int err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Our own invariant is broken: say so and abort.  Never for foreign input. */
_Noreturn void log_panic(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
