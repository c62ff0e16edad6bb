#ifndef WORKER_EXECUTORS_JOB_H
#define WORKER_EXECUTORS_JOB_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"

/* The attempt that an executor runs, as its environment tells (README, section 2), and the ways to
 * end it (section 4). */

#define JOB_EXIT_FAILED 1
#define JOB_EXIT_LATER 75 /* EX_TEMPFAIL: worth another try */
#define JOB_EXIT_NEVER 78 /* EX_CONFIG: no try will help */

struct job {
    const char *program; /* for messages */
    char *cwd;
    const char *home, *tmp; /* made by job_load() if they were missing */
    const char *target;     /* NULL = the operation has none */
    const char *operation;
    const char *roots;   /* HLER_ROOTS */
    const char *outputs; /* path of HLER_OUTPUTS, NULL = none */
    const char *socket;  /* path of HLER_SOCKET, NULL = none */
    struct json_object *spec;
    struct json_object *vars;
};

/* Read environment, specification and variables.  0, or the exit code after having said what is
 * wrong.  job_free() it in both cases. */
int job_load(struct job *job, const char *program) MUST_CHECK;
void job_free(struct job *job);

/* Say why the attempt fails: the last line of stderr, and with a cause the line in HLER_OUTPUTS.
 * Returns code. */
int job_fail(const struct job *job, int code, const char *cause, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Append one output (section 3).  0 or -1 with errno. */
int job_output(const struct job *job, const char *name, struct json_object *value) MUST_CHECK;

bool job_field_valid(const char *name); /* [a-z][a-z0-9_]{0,62} */

/* Create cwd/name with these bytes, 0600.  Returns its absolute path (caller frees), or NULL having
 * said why. */
char *job_file(const struct job *job, const char *name, const char *data, size_t len) MUST_CHECK;

#endif
