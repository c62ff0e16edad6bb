#include "worker/executors/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "worker/executors/child.h"
#include "worker/executors/words.h"

char *
control_new(void)
{
    char *dir = mem_dup("/tmp/hler-XXXXXX");

    if (mkdtemp(dir) == NULL)
        mem_cleanup(&dir);
    return dir;
}

/* A master lives for a minute after its last use, in a session of its own. */
static void
end_master(const char *ssh, const char *socket)
{
    CLEANUP(words_free) struct words argv = {0};
    CLEANUP(words_free) struct words envp = {0};
    struct child child = {0};

    words_inherit(&envp, "PATH");
    words_add(&argv, "%s", ssh);
    words_add(&argv, "-q");
    words_add(&argv, "-oControlPath=%s", socket);
    words_add(&argv, "-Oexit");
    words_add(&argv, "none");
    child.argv = argv.list;
    child.envp = envp.list;
    if (child_run(&child) == -1)
        fprintf(stderr, "%s: %s\n", ssh, strerror(errno));
}

void
control_free(char *dir)
{
    CLEANUP(mem_cleanup) char *ssh = child_find("ssh");
    DIR *d = dir == NULL ? NULL : opendir(dir);
    struct dirent *entry;

    while (ssh != NULL && d != NULL && (entry = readdir(d)) != NULL)
        if (entry->d_type == DT_SOCK) {
            CLEANUP(mem_cleanup) char *socket = mem_printf("%s/%s", dir, entry->d_name);

            end_master(ssh, socket);
        }
    if (d != NULL)
        closedir(d);
    if (dir != NULL && file_remove_tree(AT_FDCWD, dir) == -1)
        fprintf(stderr, "%s: %s\n", dir, strerror(errno));
    free(dir);
}
