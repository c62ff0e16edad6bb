#ifndef TESTS_FAULTS_TRACER_H
#define TESTS_FAULTS_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define TRACER_NAME_MAX 48
#define TRACER_PATH_MAX 512

/* Whose calls are counted.  Each comes of the one before it, but for the dispatcher, which has no children. */
enum tracer_role {
    ROLE_NONE,       /* of no interest: never kept */
    ROLE_DISPATCHER, /* with its threads */
    ROLE_WORKER,     /* with its threads */
    ROLE_SPAWNER,
    ROLE_RUNNER,
    ROLE_CHILD, /* of a runner, until it is the program */
    ROLE_JOB,   /* the program */
    ROLE_EMIT,  /* hler-emit, run by the program */
    ROLE_N
};

/* Where it stands; of what stands nowhere ("/"), the journal that it has, if any.  "" when it is gone. */
void tracer_place(pid_t tid, char out[static TRACER_PATH_MAX]);

/* The process of a thread. */
pid_t tracer_role_group(pid_t tid);

/* Runners that this spawner has: those that wait for their next attempt, and those that have one. */
void tracer_role_runners(pid_t spawner, void (*each)(pid_t runner, enum tracer_role role));

/* ROLE_NONE for what is no role's name. */
enum tracer_role tracer_role_parse(const char *name);

/* What a thread or process begins as. */
enum tracer_role tracer_role_of_child(enum tracer_role parent, bool thread);

/* What it is after an exec. */
enum tracer_role tracer_role_execed(pid_t tid, enum tracer_role role);

/* The name under which a call is counted, such as "pwritev@journal" or "sendto@db"; the part behind @ says what the
 * descriptor is.
 *
 * pid   who calls, stopped at the entry
 * nr    the call
 * regs  at its entry
 *
 * Returns false for a call that is no place to die. */
bool tracer_call_name(pid_t pid, uint64_t nr, const struct user_regs_struct *regs,
                      char name[TRACER_NAME_MAX]);

/* One more call of that name; returns how many that makes. */
unsigned long tracer_call_count(const char *name);

/* A line "count NAME N" each. */
void tracer_call_print_counts(void);

/* The ports of the servers, to tell their sockets apart; 0 = none. */
void tracer_call_ports(int database, int broker);

/* What a short count changed in the caller's memory. */
struct tracer_short {
    uint64_t address; /* 0 = nothing */
    uint64_t was;
};

/* Let the call move half of what it asked for, at least one byte; *undo is for tracer_call_restore() when it returns.
 * Returns false if it has no count, or none that could be less. */
bool tracer_call_shorten(pid_t pid, uint64_t nr, struct user_regs_struct *regs,
                         struct tracer_short *undo);

void tracer_call_restore(pid_t pid, const struct tracer_short *undo);

#endif
