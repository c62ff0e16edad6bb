/* Whose attempt a process has. */
#include "tracer.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
read_link(const char *link, char out[static TRACER_PATH_MAX])
{
    ssize_t n = readlink(link, out, TRACER_PATH_MAX - 1);

    out[n < 0 ? 0 : n] = '\0';
}

/* An idle runner stands nowhere, but what it has just been handed over has a journal. */
static void
find_journal(pid_t tid, char out[static TRACER_PATH_MAX])
{
    char link[TRACER_PATH_MAX], path[TRACER_PATH_MAX];
    const struct dirent *e;
    DIR *dir;

    (void)snprintf(link, sizeof link, "/proc/%d/fd", tid);
    dir = opendir(link);
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        (void)snprintf(link, sizeof link, "/proc/%d/fd/%.16s", tid, e->d_name);
        read_link(link, path);
        if (strstr(path, "/journal") != NULL)
            memcpy(out, path, sizeof path);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

void
tracer_place(pid_t tid, char out[static TRACER_PATH_MAX])
{
    char link[TRACER_PATH_MAX];

    (void)snprintf(link, sizeof link, "/proc/%d/cwd", tid);
    read_link(link, out);
    if (strcmp(out, "/") == 0)
        find_journal(tid, out);
}
