#ifndef WORKER_JOURNAL_H
#define WORKER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

/* The journal of one attempt: all that the attempt says, in order, before it goes
 * anywhere else.  The runner appends, the bridge reads; nobody else.
 *
 * File: 8 bytes JOURNAL_MAGIC, then records.  A record is a struct journal_head
 * (host byte order: a spool never leaves its machine) and len bytes of payload.
 * seq counts 1, 2, 3 ...; crc is CRC-32 (IEEE 802.3) over the head after the crc member, and
 * the payload.  One record = one event = one row (design section 6).
 *
 * Its first bytes are written once, to a file that was not there or had none, under an flock: who finds some was here before.  The
 * runner holds that open file description until the attempt's end, the program never gets it.  So
 * lock taken = a runner has it, or is about to, and there are no pid files. */

#define JOURNAL_FILE "journal"
#define JOURNAL_MAGIC "HLERJN1\n"
#define JOURNAL_PAYLOAD_MAX 81920u /* 80 KiB: a 64 KiB value and its line */
#define JOURNAL_OUTPUT_MAX 65536u

enum journal_kind {
    JOURNAL_START = 1, /* payload: decimal pid of the program ("0" if it never started) */
    JOURNAL_STDOUT,    /* payload: bytes */
    JOURNAL_STDERR,    /* payload: bytes */
    JOURNAL_PROGRESS,  /* payload: one JSON object */
    JOURNAL_RESULT,    /* payload: "<uuid> <field> <set|append> <plain|secret>\n" + JSON value */
    JOURNAL_END        /* payload: struct journal_end, message, outputs */
};

struct journal_head {
    uint32_t len; /* of the payload */
    uint32_t crc;
    uint64_t seq;
    int64_t wall_us;
    uint16_t kind;
    uint16_t reserved[3];
};

/* How an attempt ended: causes of protocol section 9 that a runner can give. */
enum journal_cause {
    END_DONE, /* exit 0 */
    END_EXIT,
    END_SIGNAL,
    END_TRY_LATER,
    END_NEVER_RETRY,
    END_NOT_FOUND,
    END_NOT_ALLOWED,
    END_EXEC_FAILED,
    END_BAD_CWD,
    END_OUTPUTS_INVALID,
    END_JOURNAL_FULL,
    END_DEADLINE,
    END_IDLE,
    END_CANCELLED,
    END_SUPERSEDED,
    END_LEASE,
    END_CAUSES
};

struct journal_end {
    uint32_t cause;         /* enum journal_cause */
    int32_t exit_code;      /* -1 when it did not exit */
    int32_t signal;         /* 0 when none */
    uint16_t left_behind;   /* processes that could not be ended, this many at least */
    uint16_t daemons;       /* 1: processes that it started go on, after an end of its own */
    uint64_t results;       /* JOURNAL_RESULT records before this one */
    uint64_t output_bytes;  /* kept */
    uint64_t dropped_bytes; /* beyond the output limit */
    int64_t duration_us;    /* by the monotonic clock */
    uint32_t message_len;   /* bytes of message after this struct, valid UTF-8 */
    uint32_t outputs_len;   /* then bytes of the HLER_OUTPUTS file, unparsed */
};

const char *journal_cause_name(enum journal_cause cause); /* "done", "exit", ... */

/* --- writing (runner; no allocation) --- */
struct journal_writer {
    int fd;
    uint64_t seq;       /* of the last record written */
    uint64_t bytes;     /* size of the file */
    uint64_t flushed;   /* bytes that are on their way to the disk */
    uint64_t allocated; /* bytes that have their place on the disk, behind the end too */
};

/* Begin a file: its magic, and place for an end record.  0, or -1 with errno, EEXIST when it is not empty; what was stays empty. */
int journal_begin(struct journal_writer *w, int fd) MUST_CHECK;

/* Append one record (one writev).  0, or -1 with errno; after a failure the file is cut
 * back to its last whole record, and the writer may be used again.  Place for an end record
 * of a few KiB is always kept on the disk (where the file system can do that): only
 * JOURNAL_END may use it, so that a full disk stops an attempt but not its last word. */
int journal_append(struct journal_writer *w, enum journal_kind kind, const void *payload,
                   size_t len) MUST_CHECK;

/* --- reading (bridge) --- */
struct journal_record {
    struct journal_head head;
    const unsigned char *payload; /* in the reader's buffer, valid until the next call */
    uint64_t end_offset;          /* of the file, behind this record */
};

struct journal_reader;
/* fd is read with pread() and stays the caller's.  offset 0 = from the start, else a former
 * end_offset. */
struct journal_reader *journal_reader_new(int fd, uint64_t offset);
void journal_reader_free(struct journal_reader *r);

enum journal_read { JOURNAL_RECORD, JOURNAL_NO_MORE, JOURNAL_TORN, JOURNAL_IO_ERROR };
/* The next whole record.  NO_MORE = nothing behind this yet; TORN = a started record that is cut or whose
 * checksum fails (with the lock free it will never be whole: the journal ends before it). */
enum journal_read journal_next(struct journal_reader *r, struct journal_record *out);

/* Give the record again that the last call gave. */
void journal_unread(struct journal_reader *r, const struct journal_record *record);

/* True while a runner holds the journal. */
bool journal_is_held(int fd);

/* Split the payload of an END record.  -1 when it does not add up. */
int journal_end_parse(const struct journal_record *r, struct journal_end *end, const char **message,
                      const char **outputs) MUST_CHECK;

#endif
