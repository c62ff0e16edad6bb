/* hler-runner: the spawner of one worker, and by fork the runners of its attempts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "worker/runner/spawner.h"

#define EXIT_USAGE 2

static int
usage(FILE *out)
{
    (void)fprintf(
        out, "usage: hler-runner --spawn SPOOL_DIR [CGROUP_DIR]   (started by hler-worker, which\n"
             "                                        gives it a socket as descriptor 3)\n"
             "       hler-runner --help | --version\n");
    return out == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

static int
check_socket(void)
{
    int type = 0;
    socklen_t len = sizeof type;

    if (getsockopt(SPAWNER_SOCKET, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
        return -1;
    if (type == SOCK_SEQPACKET)
        return 0;
    errno = EPROTOTYPE;
    return -1;
}

int
main(int argc, char **argv)
{
    log_open("hler-runner", LOG_INFO);
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("hler-runner %s\n", HLER_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc < 3 || argc > 4 || strcmp(argv[1], "--spawn") != 0) {
        (void)fprintf(stderr, "hler-runner: %s: unexpected\n", argc > 1 ? argv[1] : "nothing");
        return usage(stderr);
    }
    if (check_socket() == -1) {
        log_err("descriptor %d is not the worker's socket: %m", SPAWNER_SOCKET);
        return EXIT_USAGE;
    }
    return spawner_run(argv[2], argv[3]); /* NULL behind the last */
}
