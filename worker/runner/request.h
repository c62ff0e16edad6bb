#ifndef WORKER_REQUEST_H
#define WORKER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

/* What the bridge asks the spawner to run: one SEQPACKET datagram, a fixed head and NUL-terminated
 * strings.  No JSON, so that the one program that forks parses almost nothing. */

#define REQUEST_MAX 204800u /* 200 KiB */

struct request {
    const char *dir;     /* name of the attempt's directory below the spool */
    const char *cwd;     /* absolute, or NULL = "work" below that directory (made by the bridge) */
    char **argv;         /* argv[0] is an absolute path; NULL-terminated; empty = run nothing */
    char **envp;         /* the whole environment; NULL-terminated */
    int64_t deadline_ms; /* 0 = none */
    int64_t idle_ms;     /* 0 = none */
    int64_t grace_ms;
    int64_t lease_ms;      /* 0 = not enforced (task not repeatable) */
    int64_t lease_from_ns; /* CLOCK_BOOTTIME of the claim: what is started late has less */
    int64_t listen_ms;     /* a flood waits for so long after its first words: others begin */
    uint64_t output_bytes; /* limit of kept output */
    int32_t stop_signal;   /* first signal of a cancel */
    bool stop_group;       /* to the program's process group, or to its leader only */
};

/* The datagram, in host byte order: a struct request_head, then NUL-terminated strings and nothing
 * behind them: dir, cwd ("" = NULL), argc of argv, envc of the environment. */
#define REQUEST_MAGIC 0x51524c48u /* "HLRQ" in memory */
#define REQUEST_STRINGS 8192      /* most of argv and environment together, with both NULLs */
#define REQUEST_DIR_MAX 96        /* with its NUL */
#define REQUEST_LEASE_MAX_MS (INT64_C(366) * 24 * 3600 * 1000)
#define REQUEST_LISTEN_MAX_MS 1000

struct request_head {
    uint32_t magic;
    uint32_t argc;
    uint32_t envc;
    int32_t stop_signal;
    uint32_t stop_group; /* 0 or 1 */
    uint32_t reserved;   /* 0 */
    int64_t deadline_ms;
    int64_t idle_ms;
    int64_t grace_ms;
    int64_t lease_ms;
    int64_t lease_from_ns;
    int64_t listen_ms;
    uint64_t output_bytes;
};

/* Pack into out (REQUEST_MAX bytes).  Returns the length, or 0 with errno = E2BIG. */
size_t request_pack(const struct request *r, void *out);

/* Unpack in place: the strings point into data; argv and envp are stored in slots
 * (n pointers, room for both and their NULLs).  -1 with errno EBADMSG on anything that does not add up
 * exactly. */
int request_unpack(void *data, size_t len, struct request *r, char **slots, size_t n) MUST_CHECK;

/* The spawner's answer. */
struct request_answer {
    char dir[REQUEST_DIR_MAX]; /* of the request; "" when it could not be understood */
    int32_t error;             /* 0 = a runner has the journal; else errno: nothing was started */
};

/* Control of a running runner: lines written to the FIFO "ctl" in the attempt's directory.
 *   "stop <cause> <grace_ms>\n"  cause: cancelled | superseded
 *   "lease <until: ms of CLOCK_BOOTTIME>\n"
 * ENXIO when opening it for writing = no runner. */
#define REQUEST_CTL "ctl"
#define REQUEST_SOCKET "emit" /* the HLER_SOCKET of the program */
#define REQUEST_OUTPUTS "outputs"
#define REQUEST_WORK "work"

#endif
