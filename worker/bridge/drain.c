/* Ending.  Draining: nothing new is taken; asked for by SIGTERM, or by the dispatcher, who says with
 * the heartbeats' answers when that is over.  Stopping: what is unconfirmed gets a moment,
 * then the program ends; runners go on, and the next worker adopts them. */
#include "common/clock.h"
#include "common/log.h"
#include "proto/event_data.h"
#include "worker/bridge/bridge.h"

#define FLUSH_MS 2000
#define LOOK_MS 20

static void
say(struct bridge *b, enum event_kind kind)
{
    CLEANUP(buf_free) struct buf data = {0};

    if (b->consumer.session[0] == '\0')
        return; /* it was never connected: nobody knows of it */
    event_data_session(&data, b->consumer.session);
    notices_worker(b, kind, b->heartbeat.number, &data);
}

void
drain_start(struct bridge *b)
{
    if (b->drain.draining)
        return;
    log_info("draining: nothing new is taken");
    b->drain.draining = true;
    consumer_pause(b);
    say(b, EVENT_WORKER_DRAINING);
    heartbeat_soon(b);
}

void
drain_resume(struct bridge *b)
{
    if (!b->drain.draining || b->drain.stopping)
        return;
    log_info("no longer draining");
    b->drain.draining = false;
    heartbeat_soon(b);
    consumer_adjust(b);
}

static void
on_look(void *ctx)
{
    struct bridge *b = ctx;
    bool late = clock_mono_ns() >= b->drain.until_ns;
    bool can = mq_is_up(b->links[STREAM_STATE].mq);

    if (!late && can && !sender_all_sent(b)) {
        loop_timer_set(b->drain.timer, LOOK_MS);
        return;
    }
    if (!b->drain.said_stopped && can) {
        b->drain.said_stopped = true;
        b->drain.until_ns = clock_mono_ns() + FLUSH_MS * CLOCK_MS_NS;
        say(b, EVENT_WORKER_STOPPED);
        loop_timer_set(b->drain.timer, LOOK_MS);
        return;
    }
    loop_stop(b->loop);
}

void
drain_stop(struct bridge *b)
{
    if (b->drain.stopping) {
        loop_stop(b->loop); /* told twice: at once */
        return;
    }
    log_info("stopping; %zu running attempts go on without this worker",
             b->attempts.count[AT_STARTING] + b->attempts.count[AT_RUNNING]);
    drain_start(b);
    b->drain.stopping = true;
    b->drain.until_ns = clock_mono_ns() + FLUSH_MS * CLOCK_MS_NS;
    loop_timer_set(b->drain.timer, 0);
}

void
drain_init(struct bridge *b)
{
    b->drain.timer = loop_timer_new(b->loop, on_look, b);
}

void
drain_free(struct bridge *b)
{
    loop_timer_free(b->drain.timer);
}
