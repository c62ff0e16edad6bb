/* Small files below /proc/self, without stdio: also used between fork and exec. */
#include "worker/runner/run_proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/file.h"

#define OOM_FILE "/proc/self/oom_score_adj"

int
run_proc_read_oom_score(void)
{
    char text[16] = "";
    int fd = open(OOM_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd == -1)
        return 0;
    n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    return n > 0 ? (int)strtol(text, NULL, 10) : 0;
}

int
run_proc_oom_score(int score)
{
    CLEANUP(file_cleanup_close) int fd = open(OOM_FILE, O_WRONLY | O_CLOEXEC);
    char text[16];
    int n = snprintf(text, sizeof text, "%d", score);

    return fd == -1 ? -1 : file_write_all(fd, text, (size_t)n);
}
