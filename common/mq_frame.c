#include "common/mq_internal.h"

#include <amqp_framing.h>
#include <string.h>
#include <sys/time.h>

#include "common/clock.h"
#include "common/log.h"

/* From frames to messages.  The library's own readers block in the middle of a message and
 * allocate what its header claims (traps 1.1); here a message grows frame by frame. */

static void
note_blocked(struct mq *mq, const amqp_frame_t *frame)
{
    const amqp_connection_blocked_t *blocked = frame->payload.method.decoded;

    if (mq->blocked)
        return;
    mq->blocked = true;
    log_warn("broker=%s:%d connection=%s: blocked: %.*s", mq->config.host, mq->config.port,
             mq->config.name, (int)blocked->reason.len, (const char *)blocked->reason.bytes);
}

static void
note_unblocked(struct mq *mq)
{
    if (!mq->blocked)
        return;
    mq->blocked = false;
    mq->unblocked_ns = clock_mono_ns();
    log_info("broker=%s:%d connection=%s: no longer blocked", mq->config.host, mq->config.port,
             mq->config.name);
}

/* Known as soon as read: the next publish must stop, also in the middle of a burst. */
static void
look_for_blocked(struct mq *mq, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return;
    if (frame->payload.method.id == AMQP_CONNECTION_BLOCKED_METHOD)
        note_blocked(mq, frame);
    if (frame->payload.method.id == AMQP_CONNECTION_UNBLOCKED_METHOD)
        note_unblocked(mq);
}

bool
mq_frames_read(struct mq *mq)
{
    const struct timeval no_wait = {0};
    size_t bytes = 0;

    /* The library keeps every frame until its buffers are released. */
    while (mq->count < MQ_FRAMES && bytes < MQ_ROUND_BYTES) {
        amqp_frame_t *frame = &mq->frames[(mq->first + mq->count) % MQ_FRAMES];
        int status;

        mq_guard_enter(mq->guard); /* it may send a heartbeat, which may block */
        status = amqp_simple_wait_frame_noblock(mq->conn, frame, &no_wait);
        mq_guard_leave(mq->guard);
        if (status == AMQP_STATUS_TIMEOUT)
            return false;
        if (status != AMQP_STATUS_OK) {
            mq_break(mq, "connection lost: %s", mq_status_text(mq, status));
            return false;
        }
        mq->heard_ns = clock_mono_ns();
        look_for_blocked(mq, frame);
        if (frame->frame_type == AMQP_FRAME_BODY)
            bytes += frame->payload.body_fragment.len;
        mq->count++;
    }
    return true;
}

/* Keep a copy.  A NUL inside becomes 0x01, which no name has, so that nothing that
 * compares or logs the text can be told less than what was sent. */
static void
keep(struct mq_assembly *in, enum mq_string which, amqp_bytes_t bytes)
{
    size_t start = in->strings.len;

    in->at[which] = start + 1;
    buf_add(&in->strings, bytes.bytes, bytes.len);
    for (size_t i = start; i < in->strings.len; i++)
        if (in->strings.data[i] == '\0')
            in->strings.data[i] = '\x01';
    buf_add(&in->strings, "", 1);
}

static const char *
kept(const struct mq_assembly *in, enum mq_string which)
{
    return in->at[which] == 0 ? NULL : in->strings.data + in->at[which] - 1;
}

static void
start_message(struct mq *mq, bool is_return)
{
    struct mq_assembly *in = &mq->in;

    buf_clear(&in->strings);
    buf_clear(&in->body);
    memset(in->at, 0, sizeof in->at);
    in->state = MQ_WANT_HEADER;
    in->is_return = is_return;
    in->publish_seq = 0;
    in->size = in->got = 0;
}

static void
take_deliver(struct mq *mq, const amqp_basic_deliver_t *deliver)
{
    start_message(mq, false);
    mq->in.consumer = mq_consumer_number(deliver->consumer_tag);
    mq->in.tag = deliver->delivery_tag;
    mq->in.redelivered = deliver->redelivered != 0;
    keep(&mq->in, MQ_S_EXCHANGE, deliver->exchange);
    keep(&mq->in, MQ_S_ROUTING_KEY, deliver->routing_key);
}

/* The number that mq_publish() put into the message. */
static uint64_t
publish_seq(const amqp_basic_properties_t *properties)
{
    if ((properties->_flags & AMQP_BASIC_HEADERS_FLAG) == 0)
        return 0;
    for (int i = 0; i < properties->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->headers.entries[i];

        if (entry->key.len == strlen(MQ_SEQ_HEADER) &&
            memcmp(entry->key.bytes, MQ_SEQ_HEADER, entry->key.len) == 0 &&
            entry->value.kind == AMQP_FIELD_KIND_I64)
            return (uint64_t)entry->value.value.i64;
    }
    return 0;
}

static void
keep_properties(struct mq_assembly *in, const amqp_basic_properties_t *p)
{
    const struct {
        amqp_flags_t flag;
        enum mq_string which;
        amqp_bytes_t bytes;
    } wanted[] = {{AMQP_BASIC_CONTENT_TYPE_FLAG, MQ_S_CONTENT_TYPE, p->content_type},
                  {AMQP_BASIC_TYPE_FLAG, MQ_S_TYPE, p->type},
                  {AMQP_BASIC_MESSAGE_ID_FLAG, MQ_S_MESSAGE_ID, p->message_id},
                  {AMQP_BASIC_USER_ID_FLAG, MQ_S_USER_ID, p->user_id},
                  {AMQP_BASIC_REPLY_TO_FLAG, MQ_S_REPLY_TO, p->reply_to},
                  {AMQP_BASIC_CORRELATION_ID_FLAG, MQ_S_CORRELATION_ID, p->correlation_id}};

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if ((p->_flags & wanted[i].flag) != 0)
            keep(in, wanted[i].which, wanted[i].bytes);
}

static void
end_return(struct mq *mq)
{
    if (mq_ring_return(&mq->ring, mq->in.publish_seq) == -1)
        mq_break(mq, "the broker returned message %llu, which is not open",
                 (unsigned long long)mq->in.publish_seq);
}

static void
end_delivery(struct mq *mq)
{
    struct mq_assembly *in = &mq->in;
    bool whole = in->size <= mq->config.max_body_bytes;
    struct mq_delivery delivery = {
        .consumer = in->consumer,
        .tag = (uint64_t)mq->generation << 48 | in->tag,
        .redelivered = in->redelivered,
        .routing_key = kept(in, MQ_S_ROUTING_KEY),
        .exchange = kept(in, MQ_S_EXCHANGE),
        .content_type = kept(in, MQ_S_CONTENT_TYPE),
        .type = kept(in, MQ_S_TYPE),
        .message_id = kept(in, MQ_S_MESSAGE_ID),
        .user_id = kept(in, MQ_S_USER_ID),
        .reply_to = kept(in, MQ_S_REPLY_TO),
        .correlation_id = kept(in, MQ_S_CORRELATION_ID),
        .body = !whole                  ? NULL
                : in->body.data != NULL ? in->body.data
                                        : "",
        .len = (size_t)in->size,
    };

    /* On a broken connection it cannot be acknowledged and will come again. */
    if (mq_usable(mq) && mq->handlers.delivery != NULL)
        mq->handlers.delivery(mq, &delivery, mq->ctx);
}

static void
end_if_whole(struct mq *mq)
{
    if (mq->in.got < mq->in.size)
        return;
    mq->in.state = MQ_IDLE;
    if (mq->in.is_return)
        end_return(mq);
    else
        end_delivery(mq);
}

static void
take_header(struct mq *mq, const amqp_frame_t *frame)
{
    const amqp_basic_properties_t *properties = frame->payload.properties.decoded;
    struct mq_assembly *in = &mq->in;

    if (in->state != MQ_WANT_HEADER) {
        mq_break(mq, "a message header out of place");
        return;
    }
    in->state = MQ_WANT_BODY;
    in->size = frame->payload.properties.body_size;
    if (in->is_return)
        in->publish_seq = publish_seq(properties);
    else
        keep_properties(in, properties);
    end_if_whole(mq);
}

static void
take_body(struct mq *mq, amqp_bytes_t part)
{
    struct mq_assembly *in = &mq->in;

    if (in->state != MQ_WANT_BODY || part.len > in->size - in->got) {
        mq_break(mq, "message content out of place");
        return;
    }
    in->got += part.len;
    if (!in->is_return && in->size <= mq->config.max_body_bytes)
        buf_add(&in->body, part.bytes, part.len);
    end_if_whole(mq);
}

static void
take_answer(struct mq *mq, struct mq_answer answer)
{
    if (mq_ring_answer(&mq->ring, &answer, mq_settle, mq) == -1)
        mq_break(mq, "the broker confirmed message %llu, which is not open",
                 (unsigned long long)answer.tag);
}

static void
take_cancel(struct mq *mq, const amqp_basic_cancel_t *cancel)
{
    const struct mq_consumer *consumer = mq_consumer_find(mq, cancel->consumer_tag);

    if (consumer != NULL)
        mq_break(mq, "the broker ended the consumer of queue %s: deleted or moved?",
                 consumer->queue);
}

static void
take_method(struct mq *mq, const amqp_frame_t *frame)
{
    void *decoded = frame->payload.method.decoded;
    const amqp_basic_ack_t *ack = decoded;
    const amqp_basic_nack_t *nack = decoded;
    const amqp_channel_close_t *channel = decoded;
    const amqp_connection_close_t *connection = decoded;

    switch (frame->payload.method.id) {
    case AMQP_BASIC_DELIVER_METHOD:
        take_deliver(mq, decoded);
        break;
    case AMQP_BASIC_RETURN_METHOD:
        start_message(mq, true);
        break;
    case AMQP_BASIC_ACK_METHOD:
        take_answer(mq, (struct mq_answer){ack->delivery_tag, ack->multiple != 0, false});
        break;
    case AMQP_BASIC_NACK_METHOD:
        take_answer(mq, (struct mq_answer){nack->delivery_tag, nack->multiple != 0, true});
        break;
    case AMQP_BASIC_CANCEL_METHOD:
        take_cancel(mq, decoded);
        break;
    case AMQP_CONNECTION_BLOCKED_METHOD:
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        break; /* look_for_blocked() has seen it */
    case AMQP_CHANNEL_CLOSE_METHOD:
        mq_break(mq, "channel closed by the broker: %d %.*s", channel->reply_code,
                 (int)channel->reply_text.len, (const char *)channel->reply_text.bytes);
        break;
    case AMQP_CONNECTION_CLOSE_METHOD:
        mq_break(mq, "connection closed by the broker: %d %.*s", connection->reply_code,
                 (int)connection->reply_text.len, (const char *)connection->reply_text.bytes);
        break;
    default:
        mq_break(mq, "unexpected method %#x from the broker", frame->payload.method.id);
    }
}

void
mq_frames_handle(struct mq *mq)
{
    while (mq->count > 0) {
        /* A copy: a handler may publish, and that reads more frames into the ring. */
        amqp_frame_t frame = mq->frames[mq->first];

        mq->first = (mq->first + 1) % MQ_FRAMES;
        mq->count--;
        switch (frame.frame_type) {
        case AMQP_FRAME_METHOD:
            take_method(mq, &frame);
            break;
        case AMQP_FRAME_HEADER:
            take_header(mq, &frame);
            break;
        case AMQP_FRAME_BODY:
            take_body(mq, frame.payload.body_fragment);
            break;
        default:
            break; /* heartbeats */
        }
    }
}
