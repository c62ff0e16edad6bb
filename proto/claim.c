/* Claims as a worker writes them, and the words of their answers. */
#include "proto/claim.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static const char *const names[] = {
    [VERDICT_GRANTED] = "granted",       [VERDICT_UNKNOWN] = "unknown",
    [VERDICT_TAKEN] = "taken",           [VERDICT_CANCELLED] = "cancelled",
    [VERDICT_SUPERSEDED] = "superseded", [VERDICT_ENDED] = "ended",
    [VERDICT_STARTED] = "started",
};
static_assert(ARRAY_LEN(names) == VERDICTS, "a name each");

const char *
verdict_name(enum verdict verdict)
{
    return names[verdict];
}

int
verdict_parse(const char *text, enum verdict *out)
{
    for (int i = 0; i < VERDICTS; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum verdict)i;
            return 0;
        }
    }
    return -1;
}

void
claim_encode(const struct claim *claim, struct buf *out)
{
    buf_printf(out, "{\"v\":1,\"session\":\"%s\",\"instance\":\"%s\",\"claim\":%" PRId64,
               claim->session, claim->instance, claim->number);
    if (claim->n == 0)
        buf_printf(out, ",\"free\":%" PRId64, claim->free);
    buf_puts(out, ",\"attempts\":[");
    for (size_t i = 0; i < claim->n; i++)
        buf_printf(out, "%s{\"task\":\"%s\",\"attempt\":%d,\"token\":\"%s\"}", i > 0 ? "," : "",
                   claim->attempts[i].task, (int)claim->attempts[i].attempt,
                   claim->attempts[i].token);
    buf_puts(out, "]}");
}
