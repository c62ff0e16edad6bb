#ifndef WORKER_RUN_OUTPUT_H
#define WORKER_RUN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/runner/journal.h"

/* What the program writes on its two pipes, cut into journal records. */

#define RUN_OUTPUT_WAIT_MS 50
#define RUN_OUTPUT_FIRST 4096 /* bytes that make the first record: of a flood that is soon */
#define RUN_OUTPUT_TAIL 1024

struct runner;

struct run_stream {
    int fd; /* -1 = at its end */
    enum journal_kind kind;
    int64_t first_ns; /* when data[0] was read */
    size_t len;
    unsigned char *data; /* JOURNAL_OUTPUT_MAX bytes */
};

struct run_output {
    struct run_stream stream[2]; /* stdout, stderr */
    bool spoken;                 /* there is a record */
    unsigned switches;           /* records made early for the order of the streams, this window */
    uint64_t kept_bytes, dropped_bytes;
    int64_t paid_ns; /* by then (CLOCK_MONOTONIC) the rate allows for what is kept */
    size_t tail_len;
    char tail[RUN_OUTPUT_TAIL]; /* the last bytes of stderr, for the end's message */
};

/* Nothing open yet. */
void run_output_init(struct run_output *o);

/* One read from a stream (0 stdout, 1 stderr).  Closes it at its end.  Returns whether it said something. */
bool run_output_read(struct runner *r, unsigned which);

/* TIMER_FLUSH passed. */
void run_output_tick(struct runner *r);

/* TIMER_PAUSE passed. */
void run_output_resume(struct runner *r);

/* Read what the pipes hold now, as far as it is there without waiting. */
void run_output_drain(struct runner *r);

/* Make records of all that is buffered and close both pipes. */
void run_output_finish(struct runner *r);

bool run_output_open(const struct runner *r);

/* How many of len bytes go into the next record: up to the last newline, else all but an
 * unfinished UTF-8 character, else all. */
size_t run_output_cut(const unsigned char *data, size_t len);

#endif
