#include "common/clock.h"

#include <stdio.h>
#include <time.h>

#include "common/log.h"

/* The clocks, with the two units this code base uses. */

static int64_t
read_ns(clockid_t id)
{
    struct timespec t;

    if (clock_gettime(id, &t) == -1)
        log_panic("clock=%d: %m", (int)id);
    return (int64_t)t.tv_sec * 1000 * CLOCK_MS_NS + t.tv_nsec;
}

int64_t
clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t
clock_boot_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

int64_t
clock_wall_us(void)
{
    return read_ns(CLOCK_REALTIME) / 1000;
}

char *
clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
    const int64_t second_us = 1000 * 1000;
    int64_t us = wall_us % second_us;
    time_t seconds = (time_t)(wall_us / second_us);
    struct tm tm;

    if (us < 0) { /* before 1970 the remainder is negative */
        us += second_us;
        seconds--;
    }
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        log_panic("clock: %lld us has no four-digit year", (long long)wall_us);
    /* unsigned and masked: the compiler can then see that the text fits */
    snprintf(out, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
             (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
             (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u,
             (unsigned)tm.tm_sec % 100u, (unsigned)us % 1000000u);
    return out;
}
