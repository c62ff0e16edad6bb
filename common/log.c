#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

/* Log lines on stderr.  Each line is one write(2), so lines of several threads or
 * processes do not mix.  Set up once by log_open() before any thread starts; after
 * that the settings are only read. */

#define LINE_BYTES 4096

static const char *program_name = "hler";
static enum log_level lowest = LOG_INFO;
static bool journal; /* stderr goes to journald, which adds time and pid itself */

void
log_open(const char *program, enum log_level level)
{
    program_name = program;
    lowest = level;
    journal = getenv("JOURNAL_STREAM") != NULL && !isatty(STDERR_FILENO);
}

static const char *
level_name(enum log_level level)
{
    switch (level) {
    case LOG_ERR:
        return "error";
    case LOG_WARN:
        return "warning";
    case LOG_INFO:
        return "info";
    case LOG_DEBUG:
        return "debug";
    }
    return "?";
}

static size_t
put_prefix(char *line, size_t size, enum log_level level)
{
    char now[CLOCK_TEXT_SIZE];
    int n;

    if (journal)
        n = snprintf(line, size, "<%d>%s: ", (int)level, program_name);
    else
        n = snprintf(line, size, "%s %s[%d]: %s: ", clock_text(clock_wall_us(), now), program_name,
                     (int)getpid(), level_name(level));
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* Text of others must not be able to start a line of its own or drive a terminal. */
static void
defuse(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

static void write_line(enum log_level level, int err, const char *fmt, va_list ap)
    PRINTF_LIKE(3, 0);

static void
write_line(enum log_level level, int err, const char *fmt, va_list ap)
{
    char line[LINE_BYTES];
    size_t room = sizeof line - 1; /* one byte for the newline */
    size_t at = put_prefix(line, room, level);
    int n;

    errno = err; /* for %m */
    n = vsnprintf(line + at, room - at, fmt, ap);
    if (n < 0)
        return;
    defuse(line + at);
    at += (size_t)n < room - at ? (size_t)n : room - at - 1;
    line[at++] = '\n';
    /* Nowhere to report that logging failed. */
    if (write(STDERR_FILENO, line, at) < 0)
        return;
}

static void log_at(enum log_level level, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void
log_at(enum log_level level, const char *fmt, va_list ap)
{
    int saved = errno;

    if (level <= lowest)
        write_line(level, saved, fmt, ap);
    errno = saved;
}

void
log_err(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_at(LOG_ERR, fmt, ap);
    va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_at(LOG_WARN, fmt, ap);
    va_end(ap);
}

void
log_info(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_at(LOG_INFO, fmt, ap);
    va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_at(LOG_DEBUG, fmt, ap);
    va_end(ap);
}

int
log_errno(int err, const char *fmt, ...)
{
    va_list ap;

    errno = err;
    va_start(ap, fmt);
    log_at(LOG_ERR, fmt, ap);
    va_end(ap);
    return -1;
}

void
log_panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_at(LOG_ERR, fmt, ap);
    va_end(ap);
    abort();
}
