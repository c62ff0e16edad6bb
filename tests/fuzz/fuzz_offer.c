/* An offer from the broker: what is read is read again from its own text. */
#include "proto/offer.h"
#include "tests/fuzz/fuzz.h"

static int
same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
check_same(const struct offer *a, const struct offer *b)
{
    fuzz_check(ident_name_equal(&a->name, &b->name));
    fuzz_check(same_text(a->operation, b->operation) && same_text(a->type, b->type) &&
               same_text(a->requester, b->requester) && same_text(a->target, b->target) &&
               same_text(a->task_name, b->task_name) && same_text(a->key, b->key) &&
               same_text(a->executor, b->executor) && same_text(a->traceparent, b->traceparent));
    fuzz_check(json_object_equal(a->spec, b->spec) && json_object_equal(a->inputs, b->inputs) &&
               json_object_equal(a->outputs, b->outputs));
    fuzz_check(a->try_number == b->try_number && a->deadline_ms == b->deadline_ms &&
               a->idle_ms == b->idle_ms && a->grace_ms == b->grace_ms &&
               a->output_bytes == b->output_bytes && a->lease_ms == b->lease_ms &&
               a->repeatable == b->repeatable);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault fault = {0};
    struct offer offer, back;
    const char *text;
    size_t len;

    if (offer_decode((const char *)data, size, &offer, &fault) == -1)
        return 0;
    text = json_text(offer.root, &len);
    fuzz_check(offer_decode(text, len, &back, &fault) == 0);
    check_same(&offer, &back);
    offer_free(&back);
    offer_free(&offer);
    return 0;
}
