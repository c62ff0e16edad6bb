/* Who comes of whom. */
#include "tracer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[ROLE_N] = {
    [ROLE_NONE] = "none",     [ROLE_DISPATCHER] = "dispatcher",
    [ROLE_WORKER] = "worker", [ROLE_SPAWNER] = "spawner",
    [ROLE_RUNNER] = "runner", [ROLE_CHILD] = "child",
    [ROLE_JOB] = "job",       [ROLE_EMIT] = "emit",
};

enum tracer_role
tracer_role_of_child(enum tracer_role parent, bool thread)
{
    if (thread)
        return parent;
    switch (parent) {
    case ROLE_SPAWNER:
        return ROLE_RUNNER;
    case ROLE_RUNNER:
        return ROLE_CHILD;
    case ROLE_WORKER: /* until its exec says what it is */
    case ROLE_JOB:
    case ROLE_CHILD:
        return parent;
    case ROLE_NONE:
    case ROLE_DISPATCHER:
    case ROLE_EMIT:
    case ROLE_N:
        break;
    }
    return ROLE_NONE;
}

static bool
runs(pid_t tid, const char *program)
{
    char link[64], path[512];
    ssize_t n;
    const char *last;

    (void)snprintf(link, sizeof link, "/proc/%d/exe", tid);
    n = readlink(link, path, sizeof path - 1);
    path[n < 0 ? 0 : n] = '\0';
    last = strrchr(path, '/');
    return last != NULL && strcmp(last + 1, program) == 0;
}

enum tracer_role
tracer_role_execed(pid_t tid, enum tracer_role role)
{
    if (role == ROLE_WORKER && runs(tid, "hler-runner"))
        return ROLE_SPAWNER;
    if (role == ROLE_WORKER && !runs(tid, "hler-worker"))
        return ROLE_NONE;
    if (role == ROLE_CHILD || role == ROLE_JOB)
        return runs(tid, "hler-emit") ? ROLE_EMIT : ROLE_JOB;
    return role;
}

enum tracer_role
tracer_role_parse(const char *name)
{
    for (int r = 1; r < ROLE_N; r++)
        if (strcmp(name, names[r]) == 0)
            return (enum tracer_role)r;
    return ROLE_NONE;
}

pid_t
tracer_role_group(pid_t tid)
{
    char path[64], line[256];
    int group = tid;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/status", tid);
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "Tgid: %d", &group) == 1) // NOLINT(cert-err34-c)
            break;
    if (f != NULL)
        (void)fclose(f);
    return group;
}

void
tracer_role_runners(pid_t spawner, void (*each)(pid_t runner, enum tracer_role role))
{
    char path[64];
    FILE *f;
    int pid;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", spawner, spawner);
    f = fopen(path, "re");
    while (f != NULL && fscanf(f, "%d", &pid) == 1) // NOLINT(cert-err34-c)
        each((pid_t)pid, ROLE_RUNNER);
    if (f != NULL)
        (void)fclose(f);
}
