/* The request line of the runner's socket, which any program of a job may write.  The first byte says
 * whether the operation has a target. */
#include "common/buf.h"
#include "tests/fuzz/fuzz.h"
#include "worker/runner/run_emit.h"

#define TARGET "01890a5d-ac96-774b-bcce-b302099a8057"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf line = {0};
    struct run_emit_request q, back;
    const char *why;
    bool framed;

    if (size == 0)
        return 0;
    why = run_emit_parse((const char *)data + 1, size - 1, (data[0] & 1) != 0 ? TARGET : "", &q,
                         &framed);
    fuzz_check(!framed || q.length <= RUN_EMIT_SKIP_MAX);
    if (why != NULL)
        return 0;
    fuzz_check(framed && q.length <= RUN_EMIT_VALUE_MAX);
    if (q.result)
        buf_printf(&line, "RESULT %s %s %s %s %zu", q.uuid, q.field, q.append ? "append" : "set",
                   q.secret ? "secret" : "plain", q.length);
    else
        buf_printf(&line, "PROGRESS %zu", q.length);
    fuzz_check(run_emit_parse(line.data, line.len, "", &back, &framed) == NULL && framed);
    fuzz_check(back.result == q.result && back.append == q.append && back.secret == q.secret &&
               back.length == q.length && strcmp(back.uuid, q.uuid) == 0 &&
               strcmp(back.field, q.field) == 0);
    return 0;
}
