/* The path of one operation with nothing in it but librabbitmq, libpq and posix_spawn: what the
 * machine's broker, database and process creation allow, as a floor to compare with.  Not a product:
 * no grant, no journal, no output capture, no limits, no reconnect; any error ends it.
 *
 *   committed row -> dispatcher claims (SKIP LOCKED), publishes a persistent 700-byte task, commits
 *   once confirmed -> worker publishes "running", runs /bin/true, publishes "done" (300 bytes each,
 *   persistent, confirmed), then acks -> recorder writes both events and the state, one durable
 *   transaction a batch, then acks.
 *
 * floor DSN PORT USER PASSWORD VHOST OPERATIONS WORKERS INFLIGHT: prints one JSON object. */
#include <amqp.h>
#include <amqp_tcp_socket.h>
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

extern char **environ;

enum {
    TASK_BYTES = 700,
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
static const char *dsn, *user, *password, *vhost;
static int port, total, inflight;

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void
die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
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

/* A connection with one channel in confirm mode, and its confirm counter. */
struct link {
    amqp_connection_state_t conn;
    uint64_t published; /* delivery tag of the last publish */
    uint64_t confirmed; /* all up to here */
    uint8_t *early;     /* confirmed ahead of the lowest open one */
};

static void
must(amqp_rpc_reply_t r, const char *what)
{
    if (r.reply_type != AMQP_RESPONSE_NORMAL)
        die(what);
}

static struct link
broker(size_t publishes)
{
    struct link l = {.conn = amqp_new_connection(), .early = calloc(publishes + 2, 1)};
    amqp_socket_t *s = amqp_tcp_socket_new(l.conn);

    if (l.early == NULL || amqp_socket_open(s, "127.0.0.1", port) != 0)
        die("broker");
    must(amqp_login(l.conn, vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, user,
                    password),
         "login");
    amqp_channel_open(l.conn, 1);
    must(amqp_get_rpc_reply(l.conn), "channel");
    amqp_confirm_select(l.conn, 1);
    must(amqp_get_rpc_reply(l.conn), "confirm.select");
    return l;
}

static void
queue_declare(struct link *l, const char *name)
{
    amqp_table_entry_t type = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_table_t arguments = {.num_entries = 1, .entries = &type};

    amqp_queue_declare(l->conn, 1, amqp_cstring_bytes(name), 0, 1, 0, 0, arguments);
    must(amqp_get_rpc_reply(l->conn), "queue.declare");
}

static void
consume(struct link *l, const char *name, int prefetch)
{
    amqp_basic_qos(l->conn, 1, 0, (uint16_t)prefetch, 0);
    amqp_basic_consume(l->conn, 1, amqp_cstring_bytes(name), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    must(amqp_get_rpc_reply(l->conn), "basic.consume");
}

static void
publish(struct link *l, const char *name, const char *body, size_t len)
{
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    amqp_bytes_t bytes = {.len = len, .bytes = memcpy((char[TASK_BYTES]){0}, body, len)};

    if (amqp_basic_publish(l->conn, 1, amqp_empty_bytes, amqp_cstring_bytes(name), 1, 0, &p,
                           bytes) != 0)
        die("publish");
    l->published++;
}

/* Take in confirms; with wait, until every publish is confirmed. */
static void
confirms(struct link *l, bool wait)
{
    struct timeval zero = {0, 0};
    amqp_frame_t f;

    while (l->confirmed < l->published) {
        int r = amqp_simple_wait_frame_noblock(l->conn, &f, wait ? NULL : &zero);

        if (r == AMQP_STATUS_TIMEOUT)
            break;
        if (r != AMQP_STATUS_OK || f.frame_type != AMQP_FRAME_METHOD ||
            f.payload.method.id != AMQP_BASIC_ACK_METHOD)
            die("confirm");
        amqp_basic_ack_t *a = f.payload.method.decoded;
        if (a->multiple)
            memset(l->early + l->confirmed + 1, 1, a->delivery_tag - l->confirmed);
        l->early[a->delivery_tag] = 1;
        while (l->early[l->confirmed + 1])
            l->confirmed++;
        amqp_maybe_release_buffers(l->conn);
    }
}

/* One message into body (size bytes); 0 when none came in time. */
static uint64_t
receive(struct link *l, char *body, size_t size, struct timeval *timeout)
{
    amqp_envelope_t e;
    amqp_rpc_reply_t r = amqp_consume_message(l->conn, &e, timeout, 0);
    uint64_t tag;

    if (r.reply_type != AMQP_RESPONSE_NORMAL) {
        if (r.library_error != AMQP_STATUS_TIMEOUT)
            die("consume");
        return 0;
    }
    if (e.message.body.len > size)
        die("message size");
    memcpy(body, e.message.body.bytes, e.message.body.len);
    tag = e.delivery_tag;
    amqp_destroy_envelope(&e);
    amqp_maybe_release_buffers(l->conn);
    return tag;
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
    struct link l = broker((size_t)total);
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
            publish(&l, "tasks", body, sizeof body);
        }
        PQclear(r);
        confirms(&l, true);
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
    publish(l, "status", body, sizeof body);
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
        uint64_t t = receive(in, body, sizeof body, n == 0 ? &pause : &zero);

        if (t == 0)
            break;
        *tag = t;
        memcpy(ids[n], body, ID_DIGITS);
        if (posix_spawn(&pids[n], argv[0], NULL, NULL, argv, environ) != 0)
            die("posix_spawn");
        tell(out, ids[n], 1);
        n++;
    }
    return n;
}

static void
worker(void)
{
    struct link in = broker(1), out = broker(2 * (size_t)total);
    char(*ids)[ID_DIGITS] = calloc((size_t)inflight, sizeof *ids);
    pid_t *pids = calloc((size_t)inflight, sizeof *pids);
    uint64_t tag = 0;
    int status;

    if (ids == NULL || pids == NULL)
        die("memory");
    consume(&in, "tasks", inflight * 4 < 256 ? 256 : inflight * 4);
    wait_for_go();
    while (!shared->stop) {
        int n = start_some(&in, &out, ids, pids, &tag);

        for (int i = 0; i < n; i++) {
            if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
                die("waitpid");
            tell(&out, ids[i], 2);
        }
        if (n == 0)
            continue;
        confirms(&out, true);
        amqp_basic_ack(in.conn, 1, tag, 1);
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

    strcpy(b->ids + b->ids_len, "}");
    strcpy(b->kinds + b->kinds_len, "}");
    strcpy(b->bodies + b->bodies_len, "}");
    PQclear(query(c, PQexec(c, "BEGIN")));
    PQclear(query(c, PQexecPrepared(c, "event", 3, v, NULL, NULL, 0)));
    PQclear(query(c, PQexecPrepared(c, "state", 2, v, NULL, NULL, 0)));
    PQclear(query(c, PQexec(c, "COMMIT")));
}

static void
recorder(void)
{
    PGconn *c = database();
    struct link l = broker(1);
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
    consume(&l, "status", PREFETCH);
    wait_for_go();
    for (int done = 0; done < total; done += b.done) {
        struct timeval zero = {0, 0};
        uint64_t tag = 0, t;

        b.n = b.done = 0;
        b.ids_len = b.kinds_len = b.bodies_len = 0;
        while (b.n < RECORD_BATCH &&
               (t = receive(&l, body, sizeof body, b.n ? &zero : NULL)) != 0) {
            tag = t;
            batch_add(&b, body);
        }
        record(c, &b);
        amqp_basic_ack(l.conn, 1, tag, 1);
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

    if (argc != 9) {
        fprintf(stderr, "usage: floor DSN PORT USER PASSWORD VHOST OPERATIONS WORKERS INFLIGHT\n");
        return 2;
    }
    dsn = argv[1], user = argv[3], password = argv[4], vhost = argv[5];
    port = atoi(argv[2]), total = atoi(argv[6]), workers = atoi(argv[7]), inflight = atoi(argv[8]);
    if (workers < 1 || workers > WORKERS_MAX || total < 1 || inflight < 1)
        die("arguments");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    struct link l = broker(1);
    queue_declare(&l, "tasks");
    queue_declare(&l, "status");
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
