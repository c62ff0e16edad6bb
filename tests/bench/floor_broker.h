#ifndef BENCH_FLOOR_BROKER_H
#define BENCH_FLOOR_BROKER_H

#include <amqp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

/* The broker's side of the floor: blocking calls, and any error ends the program. */

enum { TASK_BYTES = 700 };

struct server {
    int port;
    const char *user, *password, *vhost;
};

/* A connection with one channel in confirm mode, and its confirm counter. */
struct link {
    amqp_connection_state_t conn;
    uint64_t published; /* delivery tag of the last publish */
    uint64_t confirmed; /* all up to here */
    uint8_t *early;     /* confirmed ahead of the lowest open one */
};

_Noreturn void die(const char *what);

struct link link_open(const struct server *server, size_t publishes);
void link_declare(struct link *l, const char *name); /* a durable quorum queue */
void link_consume(struct link *l, const char *name, int prefetch);
void link_publish(struct link *l, const char *name, const char *body, size_t len);
/* Take in confirms; with wait, until every publish is confirmed. */
void link_confirms(struct link *l, bool wait);
/* One message into body (size bytes); 0 when none came in time. */
uint64_t link_receive(struct link *l, char *body, size_t size, struct timeval *timeout);
void link_ack(struct link *l, uint64_t tag); /* and all before it */

#endif
