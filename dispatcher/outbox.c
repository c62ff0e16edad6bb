/* Outbox: woken by a hint of the database, by the intake, by room in the window, and
 * by a timer in case a hint was lost. */
#include "dispatcher/outbox.h"

#include <errno.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "proto/names.h"

#define WINDOW_MESSAGES 256
#define POLL_MS 10000     /* LISTEN is a hint, polling is the promise */
#define PUMP_GAP_MS 5     /* a burst of hints is one round */
#define ROOM_GAP_MS 20    /* what waits for room has a queue of others before it */
#define CHORES_GAP_MS 25  /* stops and verdicts: not in each round of offers */
#define STOP_WAIT_MS 1000 /* for confirms, at the end */
#define GRANT_WAIT_MS 200 /* for commits under way, at the end */
#define WORK_CHANNEL "hler_work"

size_t
outbox_room(const struct outbox *outbox)
{
    size_t used = post_count(outbox->post);

    return used < WINDOW_MESSAGES ? WINDOW_MESSAGES - used : 0;
}

/* Run the pump after this time, or when it is due anyway. */
static void
pump_in(struct outbox *outbox, int64_t delay_ms)
{
    int64_t due_ns = clock_mono_ns() + delay_ms * CLOCK_MS_NS;

    if (outbox->ending)
        return;
    if (outbox->pump_ns != 0 && outbox->pump_ns <= due_ns)
        return;
    outbox->pump_ns = due_ns;
    loop_timer_set(outbox->pump, delay_ms);
}

/* Run the pump soon: at once after a quiet time. */
static void
pump_soon(struct outbox *outbox)
{
    int64_t since_ms = (clock_mono_ns() - outbox->pumped_ns) / CLOCK_MS_NS;

    pump_in(outbox, since_ms >= PUMP_GAP_MS ? 0 : PUMP_GAP_MS - since_ms);
}

static void
on_hint(void *ctx, uint32_t events)
{
    struct outbox *outbox = ctx;

    (void)events;
    if (pg_notified(outbox->flow->pg))
        pump_soon(outbox);
    else if (!pg_is_up(outbox->flow->pg)) {
        loop_remove(outbox->hints);
        outbox->hints = NULL;
        pump_soon(outbox);
    }
}

/* Watch the database's socket as long as it is the one that we know. */
static void
watch_hints(struct outbox *outbox)
{
    int fd = pg_is_up(outbox->flow->pg) ? pg_socket(outbox->flow->pg) : -1;

    if (outbox->hints != NULL && fd == outbox->hints_fd)
        return;
    loop_remove(outbox->hints);
    outbox->hints = NULL;
    outbox->hints_fd = fd;
    if (fd != -1)
        outbox->hints = loop_add(outbox->flow->loop, fd, EPOLLIN, on_hint, outbox);
}

/* To be called after every use of the database: a socket that was closed is given up before its
 * number can come back, and a hint that came with an answer is one (the socket is silent then). */
static bool
was_hinted(struct outbox *outbox)
{
    bool hinted = pg_notified(outbox->flow->pg);

    watch_hints(outbox);
    return hinted;
}

/* Stops and verdicts, when it is time for them: at once when there was nothing to offer, else
 * once later, since they would slow down the start of what was just offered. */
static enum flow_status
chores(struct outbox *outbox, bool offered, bool *later)
{
    int64_t now = clock_mono_ns();
    bool due = now - outbox->chores_ns >= CHORES_GAP_MS * CLOCK_MS_NS;
    enum flow_status status;

    if (due)
        outbox->chores_ns = now;
    if (!due || (offered && !outbox->chores_put_off)) {
        outbox->chores_put_off = outbox->chores_put_off || due;
        *later = true; /* so that they come soon, and not with the next poll */
        return FLOW_OK;
    }
    outbox->chores_put_off = false;
    status = outbox_stops(outbox);
    return status == FLOW_OK ? outbox_verdicts(outbox) : status;
}

/* One round: what is due, as far as it can be published now. */
static enum flow_status
pump(struct outbox *outbox, enum outbox_found *found, bool *later)
{
    bool up = post_is_up(outbox->post);
    enum flow_status status;

    post_flush(outbox->post); /* what the last connection did not take */
    if (outbox_hear_grants(outbox, up) == -1 && (!up || !pg_is_up(outbox->flow->pg)))
        return FLOW_LATER; /* else they are offered, which takes longer */
    if (!up)
        return FLOW_OK;
    status = outbox_offer(outbox, found);
    return status == FLOW_OK ? chores(outbox, *found != OUTBOX_NONE, later) : status;
}

static void
on_pump(void *ctx)
{
    struct outbox *outbox = ctx;
    enum outbox_found found = OUTBOX_NONE;
    bool later = false, hinted;
    enum flow_status status;

    outbox->pump_ns = 0;
    status = pump(outbox, &found, &later);
    outbox->pumped_ns = clock_mono_ns();
    hinted = was_hinted(outbox);
    if (status != FLOW_OK) {
        pump_in(outbox, flow_backoff_ms(outbox->flow));
        return;
    }
    flow_well(outbox->flow);
    if (hinted || found == OUTBOX_FULL)
        pump_in(outbox, PUMP_GAP_MS);
    else
        pump_in(outbox, later ? CHORES_GAP_MS : POLL_MS);
}

static void
on_check(void *ctx)
{
    struct outbox *outbox = ctx;
    enum flow_status status;

    loop_timer_set(outbox->check, outbox->flow->settings->offer_wait_ms / 2);
    if (!post_is_up(outbox->post))
        return;
    status = outbox_reoffer(outbox);
    if (was_hinted(outbox) || status != FLOW_OK)
        pump_soon(outbox); /* which tells of a failure, and tries again */
}

static void
on_settled(void *ctx, const struct parcel_label *label, enum mq_outcome outcome)
{
    struct outbox *outbox = ctx;

    switch ((enum outbox_parcel)label->kind) {
    case OUTBOX_OFFER:
        outbox_pool_settled(outbox, label->name, outcome);
        break;
    case OUTBOX_GRANT:
        outbox_grant_settled(outbox, label->name, outcome);
        if (outcome == MQ_RETURNED) { /* it can be offered, or the database is away */
            (void)was_hinted(outbox);
            pump_soon(outbox);
        }
        break;
    case OUTBOX_VERDICT:
        outbox_verdict_settled(outbox, label->name, outcome);
        if (outbox->n_verdicts == 0) /* to be marked, and others may have come meanwhile */
            pump_in(outbox, CHORES_GAP_MS);
        break;
    case OUTBOX_CONTROL:
        break;
    }
    if (post_count(outbox->post) == WINDOW_MESSAGES / 2)
        pump_soon(outbox);
}

static int
on_up(struct mq *mq, void *ctx)
{
    if (mq_check_exchange(mq, NAMES_TASKS) == -1 || mq_check_exchange(mq, NAMES_RESULTS) == -1)
        return -1;
    pump_soon(ctx);
    return 0;
}

static void
on_down(void *ctx)
{
    pump_soon(ctx);
}

static void *
outbox_open(struct flow *flow)
{
    static const struct post_owner owner = {
        .up = on_up, .down = on_down, .settled = on_settled, .window_messages = WINDOW_MESSAGES};
    struct outbox *outbox = mem_alloc(sizeof *outbox);

    outbox->flow = flow;
    outbox->hints_fd = -1;
    SLIST_INIT(&outbox->ill);
    seal_init(&outbox->seal);
    pg_listen(flow->pg, WORK_CHANNEL);
    pg_on_note(flow->pg, outbox_grant_note, outbox);
    outbox->post = post_new(flow, &owner, outbox);
    outbox->pump = loop_timer_new(flow->loop, on_pump, outbox);
    outbox->check = loop_timer_new(flow->loop, on_check, outbox);
    loop_timer_set(outbox->check, flow->settings->offer_wait_ms / 2);
    post_start(outbox->post);
    return outbox;
}

/* The window may have room.  What is ready otherwise comes with a hint of its own, so this can
 * wait until what was granted has started. */
static void
outbox_nudged(void *self)
{
    pump_in(self, ROOM_GAP_MS);
}

static void
on_stop_wait(void *ctx)
{
    struct outbox *outbox = ctx;

    if (outbox_verdicts_mark(outbox) != FLOW_OK)
        log_info("verdicts that were sent are sent again by the next start");
    loop_stop(outbox->flow->loop);
}

/* Offers that were taken but not confirmed would have to wait for offer_wait, and grants that a front end is about to commit
 * for a report: give them a moment. */
static void
outbox_stop(void *self)
{
    struct outbox *outbox = self;

    outbox->ending = true;
    if (pg_is_up(outbox->flow->pg) && outbox_hear_grants(outbox, false) == -1)
        log_debug("flow=outbox: told of grants until this connection ends");
    (void)was_hinted(outbox); /* the last grants came with the answer */
    loop_timer_free(outbox->pump);
    loop_timer_stop(outbox->check);
    outbox->pump = loop_timer_new(outbox->flow->loop, on_stop_wait, outbox);
    loop_timer_set(outbox->pump, post_count(outbox->post) > 0 ? STOP_WAIT_MS : GRANT_WAIT_MS);
}

static void
outbox_close(void *self)
{
    struct outbox *outbox = self;

    loop_remove(outbox->hints);
    post_free(outbox->post);
    loop_timer_free(outbox->pump);
    loop_timer_free(outbox->check);
    outbox_pools_free(outbox);
    buf_free(&outbox->verdicts_done);
    mem_cleanup(&outbox);
}

const struct flow_kind outbox_kind = {.name = "outbox",
                                      .open = outbox_open,
                                      .nudged = outbox_nudged,
                                      .stop = outbox_stop,
                                      .close = outbox_close};
