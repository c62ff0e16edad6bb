#include "common/mq_internal.h"

#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/mq_tcp.h"

/* Making and ending one connection, and the texts for what can go wrong. */

#define FRAME_MAX 131072 /* smaller ones do not protect, and break on large headers: traps 1.10 */
#define CHANNEL_MAX 8
#define KEEPALIVE_PROBES 3

static bool
is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

static struct timeval
milliseconds(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

const char *
mq_status_text(const struct mq *mq, int status)
{
    if (mq_guard_fired(mq->guard))
        return "the broker did not take or send data in time (watchdog)";
    if (status == AMQP_STATUS_HEARTBEAT_TIMEOUT)
        return "no heartbeat from the broker";
    if (status == AMQP_STATUS_TIMEOUT)
        return "the broker did not answer in time";
    if (status == AMQP_STATUS_SSL_PEER_VERIFY_FAILED)
        return "the broker's certificate is not signed by the configured CA";
    if (status == AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED)
        return "the broker's certificate is for another host name (IP addresses never match)";
    return amqp_error_string2(status);
}

const char *
mq_reply_text(const struct mq *mq, amqp_rpc_reply_t reply, char out[MQ_WHY_BYTES])
{
    const amqp_connection_close_t *connection = reply.reply.decoded;
    const amqp_channel_close_t *channel = reply.reply.decoded;

    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        snprintf(out, MQ_WHY_BYTES, "%s", mq_status_text(mq, reply.library_error));
    else if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
        snprintf(out, MQ_WHY_BYTES, "no answer");
    else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        snprintf(out, MQ_WHY_BYTES, "%d %.*s", connection->reply_code,
                 (int)connection->reply_text.len, (const char *)connection->reply_text.bytes);
    else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        snprintf(out, MQ_WHY_BYTES, "%d %.*s", channel->reply_code, (int)channel->reply_text.len,
                 (const char *)channel->reply_text.bytes);
    else
        snprintf(out, MQ_WHY_BYTES, "unexpected answer %#x", reply.reply.id);
    return out;
}

/* TLS 1.2 or later; the library verifies chain and host name unless told otherwise. */
static amqp_socket_t *
tls_socket(struct mq *mq)
{
    const struct mq_config *config = &mq->config;
    amqp_socket_t *socket = amqp_ssl_socket_new(mq->conn);

    if (socket == NULL) {
        mq_break(mq, "cannot set up TLS");
        return NULL;
    }
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    /* An encrypted key would make OpenSSL ask on the terminal and wait. */
    amqp_ssl_socket_set_key_passwd(socket, "");
    mq->hopeless = true; /* wrong files stay wrong */
    if (amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) != 0)
        mq_break(mq, "cannot require TLS 1.2");
    else if (amqp_ssl_socket_set_cacert(socket, config->ca_file) != 0)
        mq_break(mq, "cannot use the CA certificates in %s", config->ca_file);
    else if (is_set(config->cert_file) &&
             amqp_ssl_socket_set_key(socket, config->cert_file, config->key_file) != 0)
        mq_break(mq, "cannot use the certificate %s with the key %s (it must have no passphrase)",
                 config->cert_file, config->key_file);
    if (mq->broken)
        return NULL;
    mq->hopeless = false;
    return socket;
}

static int
set_option(struct mq *mq, int level, int name, int value)
{
    if (setsockopt(mq->fd, level, name, &value, sizeof value) == 0)
        return 0;
    return mq_break(mq, "setsockopt %d/%d: %s", level, name, strerror(errno));
}

/* Detect a dead peer below AMQP as well: data that nobody acknowledges, and silence. */
static int
set_options(struct mq *mq)
{
    int idle_s = mq->config.heartbeat_s > 0 ? mq->config.heartbeat_s : 1;

    if (set_option(mq, IPPROTO_TCP, TCP_NODELAY, 1) == -1 ||
        set_option(mq, SOL_SOCKET, SO_KEEPALIVE, 1) == -1 ||
        set_option(mq, IPPROTO_TCP, TCP_KEEPIDLE, idle_s) == -1 ||
        set_option(mq, IPPROTO_TCP, TCP_KEEPINTVL, idle_s) == -1 ||
        set_option(mq, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES) == -1)
        return -1;
    return set_option(mq, IPPROTO_TCP, TCP_USER_TIMEOUT, 2 * idle_s * 1000);
}

static int
open_tls(struct mq *mq)
{
    const struct mq_config *config = &mq->config;
    struct timeval limit = milliseconds(config->call_timeout_ms);
    amqp_socket_t *socket = tls_socket(mq);
    int status;

    if (socket == NULL)
        return -1;
    status = amqp_socket_open_noblock(socket, config->host, config->port, &limit);
    if (status != AMQP_STATUS_OK)
        return mq_break(mq, "cannot connect with TLS: %s", mq_status_text(mq, status));
    return 0;
}

static int
open_plain(struct mq *mq)
{
    const struct mq_config *config = &mq->config;
    amqp_socket_t *socket = amqp_tcp_socket_new(mq->conn);
    char why[MQ_WHY_BYTES];
    int fd;

    if (socket == NULL)
        return mq_break(mq, "no memory for a socket");
    fd = mq_tcp_connect(config->host, config->port, config->call_timeout_ms, why, sizeof why);
    if (fd == -1)
        return mq_break(mq, "%s", why);
    amqp_tcp_socket_set_sockfd(socket, fd); /* the library's from here on */
    return 0;
}

static int
open_socket(struct mq *mq)
{
    if ((is_set(mq->config.ca_file) ? open_tls(mq) : open_plain(mq)) == -1)
        return -1;
    mq->fd = fcntl(amqp_get_sockfd(mq->conn), F_DUPFD_CLOEXEC, 0);
    if (mq->fd == -1)
        return mq_break(mq, "dup: %s", strerror(errno));
    mq_guard_watch(mq->guard, mq->fd);
    return set_options(mq);
}

static amqp_table_entry_t
entry_bool(const char *key)
{
    return (amqp_table_entry_t){
        .key = mq_bytes(key), .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value = {.boolean = 1}}};
}

static amqp_rpc_reply_t
log_in(struct mq *mq)
{
    const struct mq_config *config = &mq->config;
    /* Without these the broker is silent about alarms and deleted queues: traps 1.4, 1.6. */
    amqp_table_entry_t capabilities[] = {entry_bool("connection.blocked"),
                                         entry_bool("consumer_cancel_notify"),
                                         entry_bool("publisher_confirms"), entry_bool("basic.nack"),
                                         entry_bool("authentication_failure_close")};
    amqp_table_entry_t properties[] = {
        {.key = mq_bytes("capabilities"),
         .value = {.kind = AMQP_FIELD_KIND_TABLE,
                   .value = {.table = {ARRAY_LEN(capabilities), capabilities}}}},
        {.key = mq_bytes("connection_name"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = mq_bytes(config->name)}}}};
    amqp_table_t table = {ARRAY_LEN(properties), properties};

    if (is_set(config->cert_file) && !is_set(config->password))
        return amqp_login_with_properties(mq->conn, config->vhost, CHANNEL_MAX, FRAME_MAX,
                                          config->heartbeat_s, &table, AMQP_SASL_METHOD_EXTERNAL,
                                          config->user);
    return amqp_login_with_properties(
        mq->conn, config->vhost, CHANNEL_MAX, FRAME_MAX, config->heartbeat_s, &table,
        AMQP_SASL_METHOD_PLAIN, config->user, is_set(config->password) ? config->password : "");
}

/* Say what a person has to change.  The broker ends a refused login in several ways. */
static int
break_login(struct mq *mq, amqp_rpc_reply_t reply)
{
    const struct mq_config *config = &mq->config;
    char text[MQ_WHY_BYTES];
    int code = 0;

    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
        code = ((const amqp_connection_close_t *)reply.reply.decoded)->reply_code;
    mq_reply_text(mq, reply, text);
    mq->hopeless = code == AMQP_ACCESS_REFUSED || code == AMQP_NOT_ALLOWED;
    if (code == AMQP_ACCESS_REFUSED)
        return mq_break(mq, "the broker refuses user %s: wrong password or no such user? (%s)",
                        config->user, text);
    if (code == AMQP_NOT_ALLOWED)
        return mq_break(mq, "vhost %s is missing or user %s has no rights there (%s)",
                        config->vhost, config->user, text);
    return mq_break(mq, "cannot log in: %s", text);
}

static int
open_channel(struct mq *mq)
{
    char text[MQ_WHY_BYTES];
    amqp_rpc_reply_t reply;

    amqp_channel_open(mq->conn, MQ_CHANNEL);
    reply = amqp_get_rpc_reply(mq->conn);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        return mq_break(mq, "cannot open a channel: %s", mq_reply_text(mq, reply, text));
    return 0;
}

static int
set_up(struct mq *mq)
{
    struct timeval limit = milliseconds(mq->config.call_timeout_ms);
    amqp_rpc_reply_t reply;

    if (amqp_set_handshake_timeout(mq->conn, &limit) != AMQP_STATUS_OK ||
        amqp_set_rpc_timeout(mq->conn, &limit) != AMQP_STATUS_OK)
        return mq_break(mq, "cannot set time limits");
    if (open_socket(mq) == -1)
        return -1;
    mq_guard_enter(mq->guard);
    reply = log_in(mq);
    mq_guard_leave(mq->guard);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        return break_login(mq, reply);
    mq_guard_enter(mq->guard);
    open_channel(mq);
    mq_guard_leave(mq->guard);
    return mq->broken ? -1 : 0;
}

int
mq_connect(struct mq *mq)
{
    mq->conn = amqp_new_connection();
    if (mq->conn == NULL)
        return mq_break(mq, "no memory for a connection");
    mq->generation++;
    if (set_up(mq) == -1)
        return -1;
    mq->up = true;
    return 0;
}

void
mq_disconnect(struct mq *mq, bool politely)
{
    mq_flush(mq);
    if (mq->conn != NULL && politely && mq_usable(mq)) {
        /* The broker gives unacknowledged messages back at once and logs no warning. */
        mq_guard_enter(mq->guard);
        amqp_connection_close(mq->conn, AMQP_REPLY_SUCCESS);
        mq_guard_leave(mq->guard);
    }
    loop_remove(mq->source);
    mq->source = NULL;
    mq_guard_watch(mq->guard, -1);
    if (mq->conn != NULL)
        amqp_destroy_connection(mq->conn);
    mq->conn = NULL;
    if (mq->fd != -1)
        close(mq->fd);
    mq->fd = -1;
    mq->first = mq->count = 0;
    mq->heard_ns = 0;
    mq->in.state = MQ_IDLE;
    mq_consumers_free(mq);
    mq->up = mq->announced = mq->broken = false;
    mq->blocked = mq->confirms = mq->depth_open = mq->want_writable = false;
    loop_timer_stop(mq->pump_timer);
    loop_timer_stop(mq->soon_timer);
}
