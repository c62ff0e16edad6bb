/* An answer to claims, as a worker reads it: what is read is written and read again. */
#include "common/buf.h"
#include "proto/claim.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault = {0};
    struct answer answer, back;

    if (answer_decode((const char *)data, size, &answer, &fault) == -1)
        return 0;
    fuzz_check(answer.n <= LIMIT_CLAIMS);
    answer_encode(&answer, &text);
    fuzz_check(answer_decode(text.data, text.len, &back, &fault) == 0);
    fuzz_check(strcmp(back.session, answer.session) == 0 && back.claim == answer.claim &&
               back.n == answer.n);
    for (size_t i = 0; i < answer.n; i++)
        fuzz_check(ident_name_equal(&back.items[i].name, &answer.items[i].name) &&
                   back.items[i].verdict == answer.items[i].verdict);
    return 0;
}
