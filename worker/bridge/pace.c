/* The pace of output while other tasks start: a bucket that holds a fiftieth of a second. */
#include "worker/bridge/pace.h"

#include "common/clock.h"

#define SECOND_NS (1000 * CLOCK_MS_NS)
#define SHARED_NS SECOND_NS         /* where one task starts, the next is not far */
#define BURST_NS (20 * CLOCK_MS_NS) /* what a short log needs comes at once */

void
pace_init(struct pace *pace, int64_t bytes_per_s)
{
    *pace = (struct pace){.bytes_per_s = bytes_per_s};
}

void
pace_share(struct pace *pace, int64_t now_ns)
{
    pace->shared_until_ns = now_ns + SHARED_NS;
}

bool
pace_is_on(const struct pace *pace, int64_t now_ns)
{
    return now_ns < pace->shared_until_ns;
}

int64_t
pace_wait_ms(const struct pace *pace, int64_t now_ns)
{
    if (!pace_is_on(pace, now_ns) || pace->free_at_ns <= now_ns)
        return 0;
    return (pace->free_at_ns - now_ns + CLOCK_MS_NS - 1) / CLOCK_MS_NS;
}

void
pace_sent(struct pace *pace, size_t bytes, int64_t now_ns)
{
    if (!pace_is_on(pace, now_ns))
        return;
    if (pace->free_at_ns < now_ns - BURST_NS)
        pace->free_at_ns = now_ns - BURST_NS;
    pace->free_at_ns += (int64_t)bytes * SECOND_NS / pace->bytes_per_s;
}

bool
pace_asks(struct pace *pace, size_t bytes, int64_t now_ns)
{
    int64_t since_ns = now_ns - pace->counted_from_ns;
    bool much;

    pace->counted_bytes += (int64_t)bytes;
    if (since_ns < PACE_ASK_MS * CLOCK_MS_NS)
        return false;
    much = pace->counted_bytes * SECOND_NS / pace->bytes_per_s >= since_ns / 2 ||
           (bytes == 0 && pace_wait_ms(pace, now_ns) > 0);
    pace->counted_from_ns = now_ns;
    pace->counted_bytes = 0;
    return much;
}
