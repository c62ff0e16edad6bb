/* Waiting for the server with our own deadline: nothing in libpq has one that holds
 * when the server's process is frozen and its kernel alive (traps 3.4). */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/pg_internal.h"

/* 0 when fd is ready, -1 when the deadline has passed (or poll fails). */
static int
wait_ready(int fd, short events, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_MS_NS;
        int n = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);

        if (n > 0)
            return 0;
        if (n == 0 && left_ms <= 0)
            return -1;
        if (n == -1 && errno != EINTR)
            return -1;
    }
}

int
pg_wait_connect(struct pg *pg, int64_t deadline_ns)
{
    PostgresPollingStatusType s = PGRES_POLLING_WRITING;

    while (s != PGRES_POLLING_OK) {
        if (s == PGRES_POLLING_FAILED) {
            pg_failure_text(pg, "08001", PQerrorMessage(pg->conn));
            return -1;
        }
        if (wait_ready(PQsocket(pg->conn), s == PGRES_POLLING_READING ? POLLIN : POLLOUT,
                       deadline_ns) == -1) {
            pg_failure_text(pg, "08001", "timed out while connecting");
            return -1;
        }
        s = PQconnectPoll(pg->conn);
    }
    return 0;
}

static int
late(struct pg *pg)
{
    pg_failure_text(pg, "08006", "the server did not answer in time");
    return -1;
}

/* Read what is there.  The parameters of a large statement may still be on their way out while
 * the server sends, so reading goes on while writing (traps 3.4). */
static int
take_in(struct pg *pg)
{
    if (PQconsumeInput(pg->conn) == 1)
        return 0;
    pg_failure_text(pg, "08006", PQerrorMessage(pg->conn));
    return -1;
}

int
pg_wait_flush(struct pg *pg, int64_t deadline_ns)
{
    int left;

    while ((left = PQflush(pg->conn)) == 1) {
        if (wait_ready(PQsocket(pg->conn), POLLIN | POLLOUT, deadline_ns) == -1)
            return late(pg);
        if (take_in(pg) == -1)
            return -1;
    }
    if (left == 0)
        return 0;
    pg_failure_text(pg, "08006", PQerrorMessage(pg->conn));
    return -1;
}

/* The next result; *lost when it will not come. */
static PGresult *
next_result(struct pg *pg, int64_t deadline_ns, bool *lost)
{
    *lost = false;
    while (PQisBusy(pg->conn) == 1) {
        if (wait_ready(PQsocket(pg->conn), POLLIN, deadline_ns) == -1) {
            late(pg);
            *lost = true;
            return NULL;
        }
        if (take_in(pg) == -1) {
            *lost = true;
            return NULL;
        }
    }
    return PQgetResult(pg->conn);
}

PGresult *
pg_wait_result(struct pg *pg, int64_t deadline_ns)
{
    PGresult *kept = NULL, *r;
    bool lost;

    if (pg_wait_flush(pg, deadline_ns) == -1)
        return NULL;
    while ((r = next_result(pg, deadline_ns, &lost)) != NULL) {
        if (kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
            PQclear(r);
            continue;
        }
        PQclear(kept);
        kept = r;
    }
    if (!lost)
        return kept;
    PQclear(kept);
    return NULL;
}
