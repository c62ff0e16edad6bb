/* An event, or a batch of them, from the broker.  The input is the delivery's user, its routing key and the body, with a
 * newline behind each of the first two. */
#include "common/buf.h"
#include "common/json.h"
#include "proto/event.h"
#include "proto/event_batch.h"
#include "tests/fuzz/fuzz.h"

/* Cut one line off the input, as a string. */
static void
take_line(const uint8_t **data, size_t *size, struct buf *out)
{
    const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\n', *size);
    size_t len = end == NULL ? *size : (size_t)(end - *data);

    buf_add(out, *data, len);
    len += end != NULL;
    *data += len;
    *size -= len;
}

/* The same event from its own text. */
static void
check_again(const struct event_delivery *first, struct event *event)
{
    struct event_delivery delivery = *first;
    struct fault fault = {0};
    struct event back;

    delivery.body = json_text(event->root, &delivery.len);
    fuzz_check(event_decode(&delivery, &back, &fault) == 0);
    fuzz_check(back.kind == event->kind && back.seq == event->seq &&
               strcmp(back.id, event->id) == 0 && strcmp(back.worker, event->worker) == 0 &&
               strcmp(back.time, event->time) == 0 && json_object_equal(back.data, event->data));
    fuzz_check(ident_name_equal(&back.name, &event->name));
    event_free(&back);
}

/* Whether or not it was taken apart: what a whole parse makes of it. */
static void
check_data(const struct event_delivery *delivery, const struct event *event)
{
    struct jsonskip_piece told = event_whole_data(event);
    struct json_error err;
    struct json_object *whole = json_parse(delivery->body, delivery->len, &err);
    struct json_object *data = json_parse(told.text, told.len, &err);

    fuzz_check(whole != NULL && data != NULL);
    fuzz_check(json_object_equal(json_object_object_get(whole, "data"), data));
    json_object_put(whole);
    json_object_put(data);
}

static void
read_event(const struct event_delivery *delivery)
{
    struct fault fault = {0};
    struct event event;

    if (event_decode(delivery, &event, &fault) == -1)
        return;
    fuzz_check(delivery->user != NULL && strcmp(event.worker, delivery->user) == 0);
    check_again(delivery, &event);
    check_data(delivery, &event);
    event_free(&event);
}

/* Its pieces lie in it, in order and apart. */
static void
read_batch(const struct event_delivery *batch)
{
    struct event_piece pieces[LIMIT_BATCH_EVENTS];
    struct fault fault = {0};
    const char *from = batch->body;
    int n = event_batch_split(batch->body, batch->len, pieces, &fault);

    fuzz_check(n == -1 ? fault.text[0] != '\0' : n >= 1 && n <= LIMIT_BATCH_EVENTS);
    for (int i = 0; i < n; i++) {
        struct event_delivery one = *batch;

        fuzz_check(pieces[i].body > from && pieces[i].len >= 2 && pieces[i].body[0] == '{');
        from = pieces[i].body + pieces[i].len;
        fuzz_check(from < batch->body + batch->len);
        one.body = pieces[i].body;
        one.len = pieces[i].len;
        read_event(&one);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf user = {0};
    CLEANUP(buf_free) struct buf key = {0};
    struct event_delivery delivery;

    take_line(&data, &size, &user);
    take_line(&data, &size, &key);
    delivery = (struct event_delivery){.user = user.len > 0 ? user.data : NULL,
                                       .routing_key = key.len > 0 ? key.data : "",
                                       .body = (const char *)data,
                                       .len = size};
    if (event_batch_is(delivery.body, delivery.len))
        read_batch(&delivery);
    else
        read_event(&delivery);
    return 0;
}
