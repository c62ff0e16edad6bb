#ifndef WORKER_RUNNER_H
#define WORKER_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/runner/journal.h"
#include "worker/runner/request.h"
#include "worker/runner/run_emit.h"
#include "worker/runner/run_output.h"

/* One attempt under supervision.  The process is a fork of the spawner, without exec, so that
 * a thousand of them share nearly all their memory; all it needs is in one static struct, and
 * nothing is allocated once it runs.  It may serve one attempt after the other (crew.h). */

#define RUNNER_MESSAGE_MAX 1000

/* Life of an attempt; run_* functions move it forward only. */
enum runner_phase {
    RUNNER_RUNNING,  /* the program runs */
    RUNNER_STOPPING, /* it was sent its stop signal and has its grace */
    RUNNER_SWEEPING, /* every descendant is being killed */
    RUNNER_DRAINING, /* the program is over; its pipes may hold more */
    RUNNER_ENDING,   /* only the end record is missing */
    RUNNER_OVER
};

enum runner_timer {
    TIMER_DEADLINE, /* of the attempt */
    TIMER_IDLE,     /* no output for so long */
    TIMER_FLUSH,    /* buffered output becomes a record */
    TIMER_PAUSE,    /* output is read again */
    TIMER_GRACE,    /* the end of a stop's grace */
    TIMER_POLL,     /* look again whether what was stopped is gone */
    TIMER_SWEEP,    /* what still lives is left behind */
    TIMER_DRAIN,    /* stop waiting for the pipes' end */
    TIMER_END,      /* write the end record (again) */
    TIMERS
};

/* What the epoll set tells; connections of the emit socket follow SOURCE_EMIT. */
enum runner_source {
    SOURCE_STDOUT,
    SOURCE_STDERR,
    SOURCE_SIGNAL,
    SOURCE_CONTROL,
    SOURCE_LEASE,
    SOURCE_LISTEN,
    SOURCE_EMIT
};

/* Where the child failed before its program ran. */
enum child_stage { CHILD_SETUP = 1, CHILD_CHDIR, CHILD_EXEC };
struct child_failure {
    int32_t stage; /* enum child_stage; 0 = none */
    int32_t error; /* errno */
};

struct runner_child {
    pid_t pid;     /* its own until it is reaped, which nobody else does */
    bool gone;     /* reaped: status counts, pid is no longer ours */
    int exit_code; /* -1 = did not exit by itself */
    int signal;    /* 0 = none */
    int oom_score; /* oom_score_adj that the program gets */
    struct child_failure failure;
};

struct runner_stop {
    bool requested;
    enum journal_cause cause;
    uint32_t left_behind;
};

struct runner_control {
    int fd;
    char line[128];
    size_t len;
    bool skip; /* an overlong line, until its end */
};

struct runner {
    const struct request *request;
    struct journal_writer journal;
    int journal_error; /* errno of the first record that could not be written; 0 = none */
    enum runner_phase phase;
    int epoll, signals, lease;
    int groups;  /* where the program's control group is made; -1 = nowhere */
    int sockets; /* where its listening socket lies between two attempts; -1 = nowhere */
    int64_t started_ns;
    int64_t timer_ns[TIMERS]; /* CLOCK_MONOTONIC; 0 = not set */
    struct runner_child child;
    struct runner_stop stop;
    struct runner_control control;
    struct run_output output;
    struct run_emit emit;
};

/* What the spawner hands over; all descriptors become the runner's. */
struct runner_start {
    const struct request *request;
    struct journal_writer journal;
    int dir_fd;     /* the attempt's directory */
    int control_fd; /* the FIFO, open for reading and writing */
    int groups;     /* where control groups are made, or -1; cgroup.h */
    int sockets;    /* where an idle runner's listening socket lies, or -1; run_listener.h */
    int oom_score;  /* oom_score_adj that the program gets */
};

/* Supervise one attempt to its end, when the end record is in the journal and all descriptors are closed.
 * Returns whether the process may take another one: nothing of this one is left below it. */
bool runner_run(const struct runner_start *start);

/* --- for the run_*.c files --- */

/* Append a record.  After the first failure (logged) the attempt is stopped and takes no more:
 * journal_error is set, and this returns -1 each time. */
int runner_journal(struct runner *r, enum journal_kind kind, const void *payload, size_t len);

void runner_timer_set(struct runner *r, enum runner_timer timer, int64_t delay_ms);
void runner_timer_stop(struct runner *r, enum runner_timer timer);

/* Watch fd for reading under this source number.  -1 with errno. */
int runner_watch(struct runner *r, int fd, uint32_t source) MUST_CHECK;

/* No more. */
void runner_unwatch(struct runner *r, int fd);

/* Go on watching it, or not for a while; that the other end has hung up is told even then.  -1 with errno. */
int runner_watch_set(struct runner *r, int fd, uint32_t source, bool on) MUST_CHECK;

/* Is this process's oom_score_adj lower than its program's? */
bool runner_oom_is_spared(void);

/* Start of the program: journals the start record, then lets it exec.  -1 when it could not be
 * started; child.failure says why, and the start record is written as far as possible. */
int run_child_start(struct runner *r) MUST_CHECK;
/* Reap all that ended.  Returns false when no child is left at all. */
bool run_child_reap(struct runner *r);
/* Send a signal to the program: to its process group or its leader. */
void run_child_signal(struct runner *r, int signo, bool group);
/* Is the program, or anything in its process group, still there? */
bool run_child_group_lives(const struct runner *r);

/* Kill all descendants once.  Returns how many were found. */
uint32_t run_tree_kill(void);

/* Stop the program for this reason: its signal, after grace_ms SIGKILL for all descendants.
 * A second stop keeps the first cause and can only shorten the grace. */
void run_stop(struct runner *r, enum journal_cause cause, int64_t grace_ms);
/* To be called after children were reaped and when TIMER_GRACE, TIMER_POLL or TIMER_SWEEP passed. */
void run_stop_step(struct runner *r);

/* Take in lines from the control FIFO. */
void run_control_read(struct runner *r);
/* Set the lease anew: it ends at until_ns (CLOCK_BOOTTIME, not 0). */
void run_control_lease(struct runner *r, int64_t until_ns);
bool run_control_lease_is_over(const struct runner *r);

/* The end's one-line message: valid UTF-8 without control characters.  Returns its length. */
size_t run_message(const struct runner *r, enum journal_cause cause, char *out, size_t size);
/* The last line of text that is not blank: *len in and out.  Points into text. */
const char *run_message_last_line(const char *text, size_t *len);
/* Replace in place what is not valid UTF-8 by '?', control characters by spaces. */
void run_message_clean(char *text, size_t len);

/* Close socket and pipes, write the end record; sets TIMER_END for another try when there is no room for it. */
void run_end(struct runner *r);

#endif
