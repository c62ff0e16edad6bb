/* The emit socket.  Requests of one connection are taken one after another; a result is
 * answered OK only after the journal was synced, and one sync serves all results of a round
 * of events.  Values go into the journal as they came, once jsonscan() has passed them. */
#include "worker/runner/run_emit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/file.h"
#include "common/jsonscan.h"
#include "common/log.h"
#include "worker/runner/run_listener.h"
#include "worker/runner/runner.h"

/* What is acknowledged must fit into its event (protocol sections 1 and 6.1): a result's value
 * stands two levels deep there, a progress object one. */
#define RESULT_DEPTH (JSONSCAN_DEPTH - 2)
#define PROGRESS_DEPTH (JSONSCAN_DEPTH - 1)
#define JOURNAL_REFUSAL "the journal cannot take it"

static const char *
find_target(char *const *envp)
{
    static const char name[] = "HLER_TARGET=";

    for (; *envp != NULL; envp++)
        if (strncmp(*envp, name, sizeof name - 1) == 0)
            return *envp + sizeof name - 1;
    return "";
}

void
run_emit_init(struct runner *r)
{
    /* Apart, so that a program which never connects has no page of them. */
    static char buffer[RUN_EMIT_CONNECTIONS][RUN_EMIT_BUFFER];
    const char *target = find_target(r->request->envp);

    r->emit = (struct run_emit){.listen_fd = -1};
    for (unsigned i = 0; i < RUN_EMIT_CONNECTIONS; i++) {
        r->emit.connection[i].fd = -1;
        r->emit.connection[i].data = buffer[i];
    }
    if (uuid_valid(target))
        memcpy(r->emit.target, target, UUID_TEXT_SIZE);
}

int
run_emit_open(struct runner *r)
{
    r->emit.listen_fd = run_listener_open(r->sockets);
    return r->emit.listen_fd == -1 ? -1 : runner_watch(r, r->emit.listen_fd, SOURCE_LISTEN);
}

static void
watch_listener(struct runner *r, bool on)
{
    r->emit.full = !on;
    if (runner_watch_set(r, r->emit.listen_fd, SOURCE_LISTEN, on) == -1)
        log_err("emit socket: epoll_ctl: %m");
}

static void
drop(struct runner *r, struct run_emit_connection *c)
{
    (void)close(c->fd);
    c->fd = -1;
    c->unsynced = false;
    c->skip = c->len = 0;
    c->refusal = NULL;
    if (r->emit.full)
        watch_listener(r, true);
}

void
run_emit_close(struct runner *r)
{
    for (unsigned i = 0; i < RUN_EMIT_CONNECTIONS; i++) {
        file_cleanup_close(&r->emit.connection[i].fd);
        r->emit.connection[i].fd = -1;
    }
    if (r->emit.listen_fd != -1)
        runner_unwatch(r, r->emit.listen_fd);
    run_listener_close(r->sockets, r->request->dir);
    r->emit.listen_fd = -1;
}

static bool
peer_is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

void
run_emit_accept(struct runner *r)
{
    struct run_emit_connection *c = r->emit.connection;
    unsigned i = 0;
    int fd;

    while (i < RUN_EMIT_CONNECTIONS && c[i].fd != -1)
        i++;
    if (i == RUN_EMIT_CONNECTIONS) {
        watch_listener(r, false);
        return;
    }
    fd = accept4(r->emit.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd == -1)
        return; /* the peer went away; a real fault shows when it tries again */
    if (!peer_is_ours(fd) || runner_watch(r, fd, SOURCE_EMIT + i) == -1) {
        log_warn("emit socket: a connection was refused");
        (void)close(fd);
        return;
    }
    c[i].fd = fd;
}

/* Returns false when the connection is gone. */
static bool
answer(struct runner *r, struct run_emit_connection *c, const char *refusal)
{
    char text[128];
    int n = refusal == NULL ? snprintf(text, sizeof text, "OK\n")
                            : snprintf(text, sizeof text, "ERR %s\n", refusal);

    if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
        return true;
    drop(r, c); /* it asks without reading our answers, or is gone */
    return false;
}

static void
consume(struct run_emit_connection *c, size_t n)
{
    c->len -= n;
    memmove(c->data, c->data + n, c->len);
}

static const char *
check_json(const struct run_emit_request *q, const char *value)
{
    struct jsonscan_error error;
    size_t at = 0;

    if (jsonscan_within(value, q->length, q->result ? RESULT_DEPTH : PROGRESS_DEPTH, &error) == -1)
        return error.why;
    while (strchr(" \t\r\n", value[at]) != NULL)
        at++;
    if (!q->result && value[at] != '{')
        return "progress is not a JSON object";
    return NULL;
}

static const char *
record_result(struct runner *r, const struct run_emit_request *q, const char *value)
{
    static char payload[RUN_EMIT_LINE_MAX + RUN_EMIT_VALUE_MAX];
    int n = snprintf(payload, RUN_EMIT_LINE_MAX, "%s %s %s %s\n", q->uuid, q->field,
                     q->append ? "append" : "set", q->secret ? "secret" : "plain");

    memcpy(payload + n, value, q->length);
    if (runner_journal(r, JOURNAL_RESULT, payload, (size_t)n + q->length) == -1)
        return JOURNAL_REFUSAL;
    r->emit.results++;
    return NULL;
}

static const char *
record_progress(struct runner *r, const struct run_emit_request *q, const char *value)
{
    if (q->length > r->request->output_bytes - r->emit.progress_bytes)
        return "output limit reached";
    if (runner_journal(r, JOURNAL_PROGRESS, value, q->length) == -1)
        return JOURNAL_REFUSAL;
    r->emit.progress_bytes += q->length;
    return NULL;
}

/* One whole request is there.  Returns whether the connection may go on at once. */
static bool
take_request(struct runner *r, struct run_emit_connection *c, const struct run_emit_request *q,
             const char *value)
{
    const char *refusal = check_json(q, value);

    if (refusal == NULL)
        refusal = q->result ? record_result(r, q, value) : record_progress(r, q, value);
    consume(c, (size_t)(value - c->data) + q->length);
    if (refusal == NULL && q->result) {
        c->unsynced = true;
        return false;
    }
    return answer(r, c, refusal);
}

/* Read over a refused value.  Returns whether the connection may go on at once. */
static bool
skip_value(struct runner *r, struct run_emit_connection *c)
{
    size_t n = c->len < c->skip ? c->len : c->skip;
    const char *refusal = c->refusal;

    consume(c, n);
    c->skip -= n;
    if (c->skip > 0)
        return false;
    c->refusal = NULL;
    return answer(r, c, refusal);
}

/* Take the next request from the connection's buffer.  Returns whether to look again. */
static bool
step(struct runner *r, struct run_emit_connection *c)
{
    size_t line_max = c->len < RUN_EMIT_LINE_MAX ? c->len : RUN_EMIT_LINE_MAX;
    const char *newline = memchr(c->data, '\n', line_max);
    struct run_emit_request q;
    const char *refusal;
    size_t line;
    bool framed;

    if (newline == NULL && line_max < RUN_EMIT_LINE_MAX)
        return false;
    if (newline == NULL) {
        if (answer(r, c, "line is longer than 255 bytes"))
            drop(r, c);
        return false;
    }
    line = (size_t)(newline - c->data);
    refusal = run_emit_parse(c->data, line, r->emit.target, &q, &framed);
    if (refusal != NULL && !framed) {
        if (answer(r, c, refusal))
            drop(r, c);
        return false;
    }
    if (refusal != NULL) {
        consume(c, line + 1);
        c->skip = q.length;
        c->refusal = refusal;
        return true;
    }
    return c->len - line - 1 >= q.length && take_request(r, c, &q, newline + 1);
}

static void
go_on(struct runner *r, struct run_emit_connection *c)
{
    bool more = true;

    while (more && c->fd != -1 && !c->unsynced)
        more = c->refusal != NULL ? skip_value(r, c) : step(r, c);
}

void
run_emit_read(struct runner *r, unsigned connection)
{
    struct run_emit_connection *c = &r->emit.connection[connection];
    ssize_t n;

    if (c->fd == -1 || c->unsynced)
        return; /* gone, or its turn comes after the sync */
    n = read(c->fd, c->data + c->len, RUN_EMIT_BUFFER - c->len);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(r, c);
        return;
    }
    c->len += (size_t)n;
    go_on(r, c);
}

static void
settle_connection(struct runner *r, struct run_emit_connection *c, const char *refusal)
{
    c->unsynced = false;
    if (answer(r, c, refusal))
        go_on(r, c);
}

void
run_emit_settle(struct runner *r)
{
    bool again = true;

    while (again) {
        const char *refusal = NULL;
        unsigned waiting = 0;

        for (unsigned i = 0; i < RUN_EMIT_CONNECTIONS; i++)
            waiting |= r->emit.connection[i].unsynced ? BIT(i) : 0u;
        again = waiting != 0;
        if (again && fdatasync(r->journal.fd) == -1) {
            log_err("journal sync: %m");
            refusal = JOURNAL_REFUSAL;
        }
        for (unsigned i = 0; i < RUN_EMIT_CONNECTIONS; i++)
            if ((waiting & BIT(i)) != 0)
                settle_connection(r, &r->emit.connection[i], refusal);
    }
}
