/* Executor "none": an attempt that starts no process and is done at once.  Its journal is what a
 * runner's would be, so that nobody further on need know of it. */
#include "worker/runner/run_nothing.h"

#include <unistd.h>

#include "common/clock.h"

int
run_nothing(const struct request *request, struct journal_writer *journal)
{
    int64_t late_ns = clock_boot_ns() - request->lease_from_ns;
    bool lease_over = request->lease_ms > 0 && late_ns > request->lease_ms * CLOCK_MS_NS;
    const struct journal_end end = {.cause = lease_over ? END_LEASE : END_DONE, .exit_code = -1};

    if (journal_append(journal, JOURNAL_START, "0", 1) == -1 ||
        journal_append(journal, JOURNAL_END, &end, sizeof end) == -1)
        return -1;
    return fdatasync(journal->fd);
}
