/* An event from the broker.  The input is the delivery's user, its routing key and the body, with a
 * newline behind each of the first two. */
#include "common/buf.h"
#include "common/json.h"
#include "proto/event.h"
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf user = {0};
    CLEANUP(buf_free) struct buf key = {0};
    struct event_delivery delivery;
    struct fault fault = {0};
    struct event event;

    take_line(&data, &size, &user);
    take_line(&data, &size, &key);
    delivery = (struct event_delivery){.user = user.len > 0 ? user.data : NULL,
                                       .routing_key = key.len > 0 ? key.data : "",
                                       .body = (const char *)data,
                                       .len = size};
    if (event_decode(&delivery, &event, &fault) == -1)
        return 0;
    fuzz_check(delivery.user != NULL && strcmp(event.worker, delivery.user) == 0);
    check_again(&delivery, &event);
    event_free(&event);
    return 0;
}
