/* A control message, as a worker reads it: what is read is written and read again. */
#include "common/buf.h"
#include "proto/control.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault = {0};
    struct control control, back;

    if (control_decode((const char *)data, size, &control, &fault) == -1 ||
        control.kind == CONTROL_UNKNOWN)
        return 0;
    control_encode(&control, &text);
    fuzz_check(control_decode(text.data, text.len, &back, &fault) == 0);
    fuzz_check(back.kind == control.kind && strcmp(back.session, control.session) == 0 &&
               back.number == control.number && back.lost_after_ms == control.lost_after_ms &&
               ident_name_equal(&back.name, &control.name) && back.cause == control.cause &&
               back.grace_ms == control.grace_ms);
    return 0;
}
