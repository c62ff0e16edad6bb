#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include "common/attr.h"
#include "common/buf.h"

/* Append the bytes that text (RFC 4648, padded, nothing between) stands for.
 * 0, or -1 when it is not base64; out may then have grown. */
int base64_decode(const char *text, size_t len, struct buf *out) MUST_CHECK;

#endif
