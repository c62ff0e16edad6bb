#include "floor_broker.h"

#include <amqp_tcp_socket.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void
die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
must(amqp_rpc_reply_t r, const char *what)
{
    if (r.reply_type != AMQP_RESPONSE_NORMAL)
        die(what);
}

struct link
link_open(const struct server *server, size_t publishes)
{
    struct link l = {.conn = amqp_new_connection(), .early = calloc(publishes + 2, 1)};
    amqp_socket_t *s = amqp_tcp_socket_new(l.conn);

    if (l.early == NULL || amqp_socket_open(s, "127.0.0.1", server->port) != 0)
        die("broker");
    must(amqp_login(l.conn, server->vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN,
                    server->user, server->password),
         "login");
    amqp_channel_open(l.conn, 1);
    must(amqp_get_rpc_reply(l.conn), "channel");
    amqp_confirm_select(l.conn, 1);
    must(amqp_get_rpc_reply(l.conn), "confirm.select");
    return l;
}

void
link_declare(struct link *l, const char *name)
{
    amqp_table_entry_t type = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_table_t arguments = {.num_entries = 1, .entries = &type};

    amqp_queue_declare(l->conn, 1, amqp_cstring_bytes(name), 0, 1, 0, 0, arguments);
    must(amqp_get_rpc_reply(l->conn), "queue.declare");
}

void
link_consume(struct link *l, const char *name, int prefetch)
{
    amqp_basic_qos(l->conn, 1, 0, (uint16_t)prefetch, 0);
    amqp_basic_consume(l->conn, 1, amqp_cstring_bytes(name), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    must(amqp_get_rpc_reply(l->conn), "basic.consume");
}

void
link_publish(struct link *l, const char *name, const char *body, size_t len)
{
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    amqp_bytes_t bytes = {.len = len, .bytes = memcpy((char[TASK_BYTES]){0}, body, len)};

    if (amqp_basic_publish(l->conn, 1, amqp_empty_bytes, amqp_cstring_bytes(name), 1, 0, &p,
                           bytes) != 0)
        die("publish");
    l->published++;
}

/* Take in confirms; with wait, until every publish is confirmed. */
void
link_confirms(struct link *l, bool wait)
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
uint64_t
link_receive(struct link *l, char *body, size_t size, struct timeval *timeout)
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

void
link_ack(struct link *l, uint64_t tag)
{
    amqp_basic_ack(l->conn, 1, tag, 1);
}
