/* LD_PRELOAD: memory ends at a chosen allocation.  $HLER_NOMEM is a file of struct nomem, mapped: who writes to it arms it while
 * the program runs, and reads how many allocations there were. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct nomem {
    _Atomic uint64_t count; /* allocations since it was set to 0 */
    _Atomic uint64_t at;    /* which one fails; 0 = none */
    _Atomic uint64_t ever;  /* and all after it */
    _Atomic uint64_t hit;   /* how many failed */
};

/* The C library's own names for them. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static struct nomem *shared;

__attribute__((constructor)) static void
nomem_start(void)
{
    const char *path = getenv("HLER_NOMEM");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *map;

    if (fd == -1)
        return;
    map = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (map != MAP_FAILED)
        shared = map;
}

static bool
fails(void)
{
    uint64_t n, at;

    if (shared == NULL)
        return false;
    n = atomic_fetch_add(&shared->count, 1) + 1;
    at = atomic_load(&shared->at);
    if (at == 0 || n < at || (n > at && atomic_load(&shared->ever) == 0))
        return false;
    (void)atomic_fetch_add(&shared->hit, 1);
    errno = ENOMEM;
    return true;
}

void *
malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
