#include "common/mq_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"

/* Life of one connection: down -> connecting -> up -> down.  Errors only mark it as broken;
 * it is thrown away here, where none of our callers is on the stack, and a new one
 * is made after a while. */

#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 10000
#define STABLE_NS (10000 * CLOCK_MS_NS) /* up this long = the back-off starts anew */
/* The broker sends its heartbeat after half of the time agreed on.  A little longer without one, and
 * we look by ourselves: so an idle connection wakes nobody twice, and a dead one is missed after 2.2
 * times it. */
#define PUMP_PERCENT 55
#define PUMP_MAX_MS 20000
#define CHECKS_PER_TIMEOUT 4
#define ROUNDS 16 /* of MQ_FRAMES, before other sources of the loop have their turn */
#define DEFAULT_WINDOW_MESSAGES 256
#define DEFAULT_WINDOW_BYTES (1024u * 1024u)

int
mq_break(struct mq *mq, const char *fmt, ...)
{
    va_list ap;

    if (mq->broken)
        return -1;
    mq->broken = true;
    va_start(ap, fmt);
    vsnprintf(mq->why, sizeof mq->why, fmt, ap);
    va_end(ap);
    loop_timer_set(mq->soon_timer, 0);
    return -1;
}

bool
mq_usable(const struct mq *mq)
{
    return mq->up && !mq->broken;
}

bool
mq_is_up(const struct mq *mq)
{
    return mq_usable(mq);
}

const char *
mq_why_down(const struct mq *mq)
{
    return mq_usable(mq) ? "" : mq->why;
}

/* Half of it is chance, so that many clients do not come back in one moment. */
static int64_t
retry_delay_ms(struct mq *mq)
{
    int64_t delay = RETRY_MAX_MS, half;
    uint32_t chance;

    if (!mq->hopeless && mq->tries < 6)
        delay = RETRY_MIN_MS * (1 << mq->tries);
    mq->tries++;
    half = (delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS) / 2;
    if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        log_panic("getrandom: %m");
    return half + chance % (half + 1);
}

static void
log_down(struct mq *mq)
{
    if (strcmp(mq->why, mq->logged) == 0)
        return;
    snprintf(mq->logged, sizeof mq->logged, "%s", mq->why);
    log_warn("broker=%s:%d connection=%s: down: %s", mq->config.host, mq->config.port,
             mq->config.name, mq->why);
}

/* Throw a broken connection away and plan the next one. */
static void
go_down(struct mq *mq)
{
    bool announced = mq->announced;

    if (mq->announced && clock_mono_ns() - mq->up_since_ns > STABLE_NS)
        mq->tries = 0;
    mq_disconnect(mq, false);
    log_down(mq);
    mq_ring_reset(&mq->ring, mq_settle, mq);
    if (announced && mq->handlers.down != NULL)
        mq->handlers.down(mq, mq->ctx);
    loop_timer_set(mq->connect_timer, retry_delay_ms(mq));
}

static void
destroy(struct mq *mq)
{
    mq_disconnect(mq, true);
    mq_consumers_free(mq);
    mq_ring_free(&mq->ring);
    mq_guard_free(mq->guard);
    loop_timer_free(mq->connect_timer);
    loop_timer_free(mq->pump_timer);
    loop_timer_free(mq->soon_timer);
    loop_timer_free(mq->flush_timer);
    buf_free(&mq->in.strings);
    buf_free(&mq->in.body);
    free(mq);
}

/* Functions that call handlers stand between enter() and leave(); the outermost
 * leave() does what a handler could not: end the connection, or mq itself. */
static void
enter(struct mq *mq)
{
    mq->busy++;
}

static void
leave(struct mq *mq)
{
    if (mq->busy == 1 && mq->broken && !mq->dead)
        go_down(mq); /* its handlers may free mq: they see busy */
    mq->busy--;
    if (mq->busy == 0 && mq->dead)
        destroy(mq);
}

static void
tell_writable(struct mq *mq)
{
    if (!mq->want_writable || mq->blocked || !mq_usable(mq) || !mq_ring_has_room(&mq->ring, 1))
        return;
    mq->want_writable = false;
    if (mq->handlers.writable != NULL)
        mq->handlers.writable(mq, mq->ctx);
}

/* Take in and handle all that has arrived. */
static void
drain(struct mq *mq)
{
    bool more = true;

    if (mq->conn == NULL)
        return;
    mq_frames_handle(mq); /* those a publish has read, also when it found the end after them */
    for (int round = 0; more && round < ROUNDS && mq_usable(mq); round++) {
        more = mq_frames_read(mq);
        mq_frames_handle(mq);
        /* Only with every frame handled: what they point to goes away. */
        if (mq_usable(mq))
            amqp_maybe_release_buffers(mq->conn);
    }
    if (!mq_usable(mq))
        return;
    if (mq->handlers.drained != NULL)
        mq->handlers.drained(mq, mq->ctx);
    tell_writable(mq);
    if (more)
        loop_timer_set(mq->soon_timer, 0);
}

static void
check_confirms(struct mq *mq)
{
    int64_t since_ns = mq_ring_since(&mq->ring), now_ns = clock_mono_ns();

    if (since_ns == 0 || mq->blocked || !mq_usable(mq))
        return;
    /* While it was blocked the broker had a reason to be silent. */
    if (since_ns < mq->unblocked_ns)
        since_ns = mq->unblocked_ns;
    if (now_ns - since_ns > mq->config.confirm_timeout_ms * CLOCK_MS_NS)
        mq_break(mq, "no confirm within %d ms", mq->config.confirm_timeout_ms);
}

static int64_t
pump_ms(const struct mq *mq)
{
    int64_t ms = mq->config.heartbeat_s * 1000 * PUMP_PERCENT / 100;

    if (mq->confirms && mq->config.confirm_timeout_ms / CHECKS_PER_TIMEOUT < ms)
        ms = mq->config.confirm_timeout_ms / CHECKS_PER_TIMEOUT;
    return ms < 1 || ms > PUMP_MAX_MS ? PUMP_MAX_MS : ms;
}

/* librabbitmq sends heartbeats and misses those of the broker only while it reads: whatever woke
 * us does for the timer, too. */
static void
pump(struct mq *mq)
{
    if (mq->conn != NULL)
        loop_timer_set(mq->pump_timer, pump_ms(mq));
    enter(mq);
    drain(mq);
    check_confirms(mq);
    leave(mq);
}

static void
on_readable(void *ctx, uint32_t events)
{
    (void)events; /* errors too are found by reading */
    pump(ctx);
}

static void
on_timer(void *ctx)
{
    pump(ctx);
}

static void
on_flush(void *ctx)
{
    mq_uncork(ctx);
}

static void
announce(struct mq *mq)
{
    if (mq->handlers.up != NULL && mq->handlers.up(mq, mq->ctx) == -1)
        mq_break(mq, "not ready to use");
    if (mq->broken || mq->dead)
        return;
    mq->announced = true;
    mq->up_since_ns = clock_mono_ns();
    mq->logged[0] = '\0';
    log_info("broker=%s:%d connection=%s: up", mq->config.host, mq->config.port, mq->config.name);
    drain(mq); /* what came between the answers of up() */
}

static void
on_connect(void *ctx)
{
    struct mq *mq = ctx;

    enter(mq);
    mq->broken = mq->hopeless = false;
    if (mq_connect(mq) == 0) {
        mq->source = loop_add(mq->loop, mq->fd, EPOLLIN, on_readable, mq);
        loop_timer_set(mq->pump_timer, pump_ms(mq));
        announce(mq);
        if (mq->announced)
            loop_timer_set(mq->pump_timer, pump_ms(mq)); /* confirms are known now */
    }
    leave(mq);
}

struct mq *
mq_new(struct loop *loop, const struct mq_config *config, const struct mq_handlers *handlers,
       void *ctx)
{
    struct mq *mq = mem_alloc(sizeof *mq);

    mq->loop = loop;
    mq->config = *config;
    mq->handlers = *handlers;
    mq->ctx = ctx;
    mq->fd = -1;
    snprintf(mq->why, sizeof mq->why, "not connected yet");
    mq_ring_init(&mq->ring,
                 config->window_messages > 0 ? config->window_messages : DEFAULT_WINDOW_MESSAGES,
                 config->window_bytes > 0 ? config->window_bytes : DEFAULT_WINDOW_BYTES);
    mq->guard = mq_guard_new(config->call_timeout_ms);
    mq->connect_timer = loop_timer_new(loop, on_connect, mq);
    mq->pump_timer = loop_timer_new(loop, on_timer, mq);
    mq->soon_timer = loop_timer_new(loop, on_timer, mq);
    mq->flush_timer = loop_timer_new(loop, on_flush, mq);
    return mq;
}

void
mq_start(struct mq *mq)
{
    loop_timer_set(mq->connect_timer, 0);
}

void
mq_free(struct mq *mq)
{
    if (mq == NULL)
        return;
    mq->handlers = (struct mq_handlers){0};
    mq->dead = true;
    if (mq->busy == 0)
        destroy(mq);
}
