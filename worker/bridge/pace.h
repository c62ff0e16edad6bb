#ifndef BRIDGE_PACE_H
#define BRIDGE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The pace of output while tasks start.  A flood keeps the broker's log and the disk so busy
 * that an offer waits for it at each of its hops (measured on two cores that all programs and both servers
 * share: the slowest hundredth of starts took 3.5 times as long as without, and 1.8 times at 4 MiB a second
 * and with what a runner keeps limited, too).  A log may come later, a start not.  When nothing starts
 * there is no limit.  Times are CLOCK_MONOTONIC. */
struct pace {
    int64_t bytes_per_s;
    int64_t shared_until_ns;                /* 0 = nothing ever started */
    int64_t free_at_ns;                     /* what was sent is paid for by then */
    int64_t counted_from_ns, counted_bytes; /* for pace_asks() */
};

void pace_init(struct pace *pace, int64_t bytes_per_s);

/* A task is about to start: beside others here, or elsewhere. */
void pace_share(struct pace *pace, int64_t now_ns);

/* There is a limit at present. */
bool pace_is_on(const struct pace *pace, int64_t now_ns);

/* How long until something may be sent: milliseconds, rounded up; 0 = now. */
int64_t pace_wait_ms(const struct pace *pace, int64_t now_ns);

/* So much was sent: counts while there is a limit. */
void pace_sent(struct pace *pace, size_t bytes, int64_t now_ns);

#define PACE_ASK_MS 50

/* The same, limit or not; 0 bytes: more waits for the pace.  Is it time to ask a dispatcher whether tasks
 * start elsewhere?  Yes, each PACE_ASK_MS, while output goes at half the pace or more, or waits for it. */
bool pace_asks(struct pace *pace, size_t bytes, int64_t now_ns);

#endif
