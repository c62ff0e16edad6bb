#ifndef PROTO_CLAIM_H
#define PROTO_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/fault.h"
#include "proto/ident.h"
#include "proto/limits.h"

/* Claims and their answers (protocol section 4). */

struct claim {
    char session[UUID_TEXT_SIZE], instance[UUID_TEXT_SIZE];
    int64_t number; /* rises by one with each claim message of a session */
    size_t n;       /* 0 .. LIMIT_CLAIMS; 0 = a standing claim */
    int64_t free;   /* slots: of a standing claim */
    struct attempt_name attempts[LIMIT_CLAIMS];
};

/* What the tables said about one claimed attempt. */
enum verdict {
    VERDICT_GRANTED,
    VERDICT_UNKNOWN, /* no such attempt */
    VERDICT_TAKEN,   /* granted to another */
    VERDICT_CANCELLED,
    VERDICT_SUPERSEDED,
    VERDICT_ENDED,
    VERDICT_STARTED,
    VERDICTS
};

struct answer {
    char session[UUID_TEXT_SIZE];
    int64_t claim;
    size_t n;
    struct answer_item {
        struct attempt_name name;
        enum verdict verdict;
    } items[LIMIT_CLAIMS];
};

const char *verdict_name(enum verdict verdict);         /* "granted", "unknown", ... */
int verdict_parse(const char *text, enum verdict *out); /* -1: not one of them */

void claim_encode(const struct claim *claim, struct buf *out); /* worker */
int claim_decode(const char *body, size_t len, struct claim *out,
                 struct fault *fault) MUST_CHECK;                 /* dispatcher */
void answer_encode(const struct answer *answer, struct buf *out); /* dispatcher */
int answer_decode(const char *body, size_t len, struct answer *out,
                  struct fault *fault) MUST_CHECK; /* worker */

#endif
