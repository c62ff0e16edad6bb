/* A claim, as a dispatcher reads it: what is read is written and read again. */
#include "common/buf.h"
#include "proto/claim.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault = {0};
    struct claim claim, back;

    if (claim_decode((const char *)data, size, &claim, &fault) == -1)
        return 0;
    fuzz_check(claim.n <= LIMIT_CLAIMS && claim.free >= 0 && claim.free <= LIMIT_SLOTS);
    claim_encode(&claim, &text);
    fuzz_check(claim_decode(text.data, text.len, &back, &fault) == 0);
    fuzz_check(strcmp(back.session, claim.session) == 0 &&
               strcmp(back.instance, claim.instance) == 0 && back.number == claim.number &&
               back.n == claim.n && (claim.n > 0 || back.free == claim.free));
    for (size_t i = 0; i < claim.n; i++)
        fuzz_check(ident_name_equal(&back.attempts[i], &claim.attempts[i]));
    return 0;
}
