/* Each sync would wait for the file system's journal by itself; of many at once, the first waits for all. */
#include "worker/runner/run_nothing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

static int
write_journal(const struct request *request, struct journal_writer *journal)
{
    int64_t late_ns = clock_boot_ns() - request->lease_from_ns;
    bool lease_over = request->lease_ms > 0 && late_ns > request->lease_ms * CLOCK_MS_NS;
    const struct journal_end end = {.cause = lease_over ? END_LEASE : END_DONE, .exit_code = -1};

    if (journal_append(journal, JOURNAL_START, "0", 1) == -1)
        return -1;
    return journal_append(journal, JOURNAL_END, &end, sizeof end);
}

int
run_nothing_add(struct run_nothing *these, const struct request *request,
                const struct journal_writer *journal, int dir_fd)
{
    struct journal_writer writer = *journal;
    struct run_nothing_one *one = &these->all[these->n];

    if (write_journal(request, &writer) == -1)
        return -1;
    /* Only a beginning: what it cannot do, the sync does. */
    (void)sync_file_range(writer.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    memcpy(one->dir, request->dir, strlen(request->dir) + 1);
    one->dir_fd = dir_fd;
    one->journal_fd = writer.fd;
    these->n++;
    return 0;
}

bool
run_nothing_is_full(const struct run_nothing *these)
{
    return these->n == RUN_NOTHING_MOST;
}

void
run_nothing_settle(struct run_nothing *these,
                   void (*done)(void *ctx, const struct run_nothing_one *one, int error), void *ctx)
{
    for (size_t i = 0; i < these->n; i++) {
        const struct run_nothing_one *one = &these->all[i];

        int error = fdatasync(one->journal_fd) == 0 ? 0 : errno;

        (void)close(one->journal_fd); /* and its lock goes, which would say that it runs */
        done(ctx, one, error);
        (void)close(one->dir_fd);
    }
    these->n = 0;
}
