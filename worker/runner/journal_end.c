/* The last record of a journal. */
#include "worker/runner/journal.h"

#include <string.h>

static const char *const cause_names[END_CAUSES] = {
    [END_DONE] = "done",
    [END_EXIT] = "exit",
    [END_SIGNAL] = "signal",
    [END_TRY_LATER] = "try_later",
    [END_NEVER_RETRY] = "never_retry",
    [END_NOT_FOUND] = "not_found",
    [END_NOT_ALLOWED] = "not_allowed",
    [END_EXEC_FAILED] = "exec_failed",
    [END_BAD_CWD] = "bad_cwd",
    [END_OUTPUTS_INVALID] = "outputs_invalid",
    [END_JOURNAL_FULL] = "journal_full",
    [END_DEADLINE] = "deadline",
    [END_IDLE] = "idle",
    [END_CANCELLED] = "cancelled",
    [END_SUPERSEDED] = "superseded",
    [END_LEASE] = "lease",
};

const char *
journal_cause_name(enum journal_cause cause)
{
    return cause_names[cause];
}

int
journal_end_parse(const struct journal_record *r, struct journal_end *end, const char **message,
                  const char **outputs)
{
    if (r->head.kind != JOURNAL_END || r->head.len < sizeof *end)
        return -1;
    memcpy(end, r->payload, sizeof *end);
    if (end->cause >= END_CAUSES ||
        sizeof *end + (uint64_t)end->message_len + end->outputs_len != r->head.len)
        return -1;
    *message = (const char *)r->payload + sizeof *end;
    *outputs = *message + end->message_len;
    return 0;
}
