/* The path of one operation with nothing in it but librabbitmq, libpq and posix_spawn: what the
 * machine's broker, database and process creation allow, as a floor to compare with.  Not a product:
 * no grant, no journal, no output capture, no limits, no reconnect; any error ends it.
 *
 *   committed row -> dispatcher claims (SKIP LOCKED), publishes a persistent 700-byte task, commits
 *   once confirmed -> worker publishes "running", runs /bin/true, publishes "done" (300 bytes each,
 *   persistent, confirmed), then acks -> recorder writes both events and the state, one durable
 *   transaction a batch, then acks.
 *
 * floor DSN PORT USER PASSWORD VHOST OPERATIONS WORKERS INFLIGHT true|none: prints one JSON object.
 * With none the worker starts no program, and says the same. */
#include <errno.h>
#include <libpq-fe.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "floor_broker.h"

extern char **environ;

enum {
    EVENT_BYTES = 300,
    CLAIM_BATCH = 512,
    RECORD_BATCH = 1000,
    PREFETCH = 2 * RECORD_BATCH,
    WORKERS_MAX = 8,
    ID_DIGITS = 10,
};

/* Shared by the forked parts. */
struct shared {
    volatile int ready, go, stop;
    volatile double end;
};

static struct shared *shared;
static const char *dsn;
static struct server server;
static int total, inflight;
static bool runs_program;

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static PGresult *
query(PGconn *c, PGresult *r)
{
    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
        die(PQerrorMessage(c));
    return r;
}

static PGconn *
database(void)
{
    PGconn *c = PQconnectdb(dsn);

    if (PQstatus(c) != CONNECTION_OK)
        die(PQerrorMessage(c));
    return c;
}

static void
wait_for_go(void)
{
    __sync_fetch_and_add(&shared->ready, 1);
    while (!shared->go)
        usleep(200);
}

static void
dispatcher(void)
{
    static const char claim[] =
        "WITH c AS MATERIALIZED (SELECT id FROM ops WHERE state = 0 ORDER BY id LIMIT 512 "
        "FOR NO KEY UPDATE SKIP LOCKED) UPDATE ops SET state = 1, claimed_at = clock_timestamp() "
        "FROM c WHERE ops.id = c.id RETURNING ops.id, payload";
    PGconn *c = database();
    struct link l = link_open(&server, (size_t)total);
    char body[TASK_BYTES];

    PQclear(query(c, PQprepare(c, "claim", claim, 0, NULL)));
    wait_for_go();
    for (int done = 0; done < total;) {
        PQclear(query(c, PQexec(c, "BEGIN")));
        PGresult *r = query(c, PQexecPrepared(c, "claim", 0, NULL, NULL, NULL, 0));
        int n = PQntuples(r);

        for (int i = 0; i < n; i++) {
            memset(body, 'x', sizeof body);
            snprintf(body, sizeof body, "%010ld %s", atol(PQgetvalue(r, i, 0)),
                     PQgetvalue(r, i, 1));
            link_publish(&l, "tasks", body, sizeof body);
        }
        PQclear(r);
        link_confirms(&l, true);
        PQclear(query(c, PQexec(c, "COMMIT")));
        done += n;
    }
    _exit(0);
}

/* Tell that an operation runs (1) or is done (2). */
static void
tell(struct link *l, const char *id, int kind)
{
    char body[EVENT_BYTES];

    memset(body, 'e', sizeof body);
    memcpy(body, id, ID_DIGITS);
    body[ID_DIGITS] = ' ';
    body[ID_DIGITS + 1] = (char)('0' + kind);
    link_publish(l, "status", body, sizeof body);
}

/* Start up to inflight programs for what is queued; returns how many, *tag = the last delivery. */
static int
start_some(struct link *in, struct link *out, char (*ids)[ID_DIGITS], pid_t *pids, uint64_t *tag)
{
    struct timeval zero = {0, 0}, pause = {0, 20000};
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    char body[TASK_BYTES];
    int n = 0;

    while (n < inflight) {
        uint64_t t = link_receive(in, body, sizeof body, n == 0 ? &pause : &zero);

        if (t == 0)
            break;
        *tag = t;
        memcpy(ids[n], body, ID_DIGITS);
        if (runs_program && posix_spawn(&pids[n], argv[0], NULL, NULL, argv, environ) != 0)
            die("posix_spawn");
        tell(out, ids[n], 1);
        n++;
    }
    return n;
}

static void
worker(void)
{
    struct link in = link_open(&server, 1), out = link_open(&server, 2 * (size_t)total);
    char(*ids)[ID_DIGITS] = calloc((size_t)inflight, sizeof *ids);
    pid_t *pids = calloc((size_t)inflight, sizeof *pids);
    uint64_t tag = 0;
    int status;

    if (ids == NULL || pids == NULL)
        die("memory");
    link_consume(&in, "tasks", inflight * 4 < 256 ? 256 : inflight * 4);
    wait_for_go();
    while (!shared->stop) {
        int n = start_some(&in, &out, ids, pids, &tag);

        for (int i = 0; i < n; i++) {
            if (runs_program && (waitpid(pids[i], &status, 0) != pids[i] || status != 0))
                die("waitpid");
            tell(&out, ids[i], 2);
        }
        if (n == 0)
            continue;
        link_confirms(&out, true);
        link_ack(&in, tag);
    }
    _exit(0);
}

/* Arrays of one batch, as PostgreSQL array literals. */
struct batch {
    char *ids, *kinds, *bodies;
    size_t ids_len, kinds_len, bodies_len;
    int n, done;
};

static void
batch_add(struct batch *b, const char *body)
{
    char comma = b->n == 0 ? '{' : ',';

    b->ids_len += (size_t)sprintf(b->ids + b->ids_len, "%c%.10s", comma, body);
    b->kinds_len += (size_t)sprintf(b->kinds + b->kinds_len, "%c%c", comma, body[ID_DIGITS + 1]);
    b->bodies_len +=
        (size_t)sprintf(b->bodies + b->bodies_len, "%c\"%.*s\"", comma, EVENT_BYTES, body);
    b->done += body[ID_DIGITS + 1] == '2';
    b->n++;
}

static void
record(PGconn *c, const struct batch *b)
{
    const char *v[] = {b->ids, b->kinds, b->bodies};

    memcpy(b->ids + b->ids_len, "}", 2);
    memcpy(b->kinds + b->kinds_len, "}", 2);
    memcpy(b->bodies + b->bodies_len, "}", 2);
    PQclear(query(c, PQexec(c, "BEGIN")));
    PQclear(query(c, PQexecPrepared(c, "event", 3, v, NULL, NULL, 0)));
    PQclear(query(c, PQexecPrepared(c, "state", 2, v, NULL, NULL, 0)));
    PQclear(query(c, PQexec(c, "COMMIT")));
}

static void
recorder(void)
{
    PGconn *c = database();
    struct link l = link_open(&server, 1);
    struct batch b = {.ids = malloc(RECORD_BATCH * (ID_DIGITS + 2)),
                      .kinds = malloc(RECORD_BATCH * 3),
                      .bodies = malloc(RECORD_BATCH * (EVENT_BYTES + 4))};
    char body[EVENT_BYTES];

    PQclear(query(c, PQprepare(c, "event",
                               "INSERT INTO events(op_id, seq, kind, body) SELECT o, k, k, b FROM "
                               "unnest($1::bigint[], $2::smallint[], $3::text[]) AS t(o, k, b) "
                               "ON CONFLICT DO NOTHING",
                               3, NULL)));
    PQclear(query(c, PQprepare(c, "state",
                               "UPDATE ops SET state = 1 + m.k, done_at = CASE WHEN m.k = 2 THEN "
                               "clock_timestamp() END FROM (SELECT o, max(k) k FROM "
                               "unnest($1::bigint[], $2::smallint[]) AS t(o, k) GROUP BY o) m "
                               "WHERE ops.id = m.o AND ops.state < 1 + m.k",
                               2, NULL)));
    link_consume(&l, "status", PREFETCH);
    wait_for_go();
    for (int done = 0; done < total; done += b.done) {
        struct timeval zero = {0, 0};
        uint64_t tag = 0, t;

        b.n = b.done = 0;
        b.ids_len = b.kinds_len = b.bodies_len = 0;
        while (b.n < RECORD_BATCH &&
               (t = link_receive(&l, body, sizeof body, b.n ? &zero : NULL)) != 0) {
            tag = t;
            batch_add(&b, body);
        }
        record(c, &b);
        link_ack(&l, tag);
    }
    shared->end = now();
    shared->stop = 1;
    _exit(0);
}

static void
start(void (*part)(void))
{
    pid_t pid = fork();

    if (pid == -1)
        die("fork");
    if (pid == 0)
        part();
}

int
main(int argc, char **argv)
{
    int workers, status, bad = 0;
    double begin;

    if (argc != 10) {
        fprintf(
            stderr,
            "usage: floor DSN PORT USER PASSWORD VHOST OPERATIONS WORKERS INFLIGHT true|none\n");
        return 2;
    }
    dsn = argv[1];
    server = (struct server){atoi(argv[2]), argv[3], argv[4], argv[5]};
    total = atoi(argv[6]), workers = atoi(argv[7]), inflight = atoi(argv[8]);
    runs_program = strcmp(argv[9], "none") != 0;
    if (workers < 1 || workers > WORKERS_MAX || total < 1 || inflight < 1)
        die("arguments");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    struct link l = link_open(&server, 1);
    link_declare(&l, "tasks");
    link_declare(&l, "status");
    start(dispatcher);
    start(recorder);
    for (int i = 0; i < workers; i++)
        start(worker);
    while (shared->ready < 2 + workers)
        usleep(1000);
    begin = now();
    shared->go = 1;
    for (int i = 0; i < 2 + workers; i++) {
        wait(&status);
        bad |= status;
    }
    if (bad != 0)
        die("a part failed");
    printf("{\"operations\": %d, \"seconds\": %.6f, \"rate\": %.1f}\n", total, shared->end - begin,
           total / (shared->end - begin));
    return 0;
}
