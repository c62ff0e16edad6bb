#ifndef COMMON_MQ_TCP_H
#define COMMON_MQ_TCP_H

#include <stddef.h>

#include "common/attr.h"

/* Connect to host:port over TCP, each address of the host in turn, timeout_ms in all (the
 * resolver's own time aside).  The library's own connect gives up after the first address
 * that does not answer, and loses the reason.
 *
 * Returns a non-blocking descriptor, or -1 with the reason as text in why. */
int mq_tcp_connect(const char *host, int port, int timeout_ms, char *why, size_t size) MUST_CHECK;

#endif
