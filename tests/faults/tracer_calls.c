/* The calls that are places to die, their names, and how one is made to move less. */
#include "tracer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define COUNTS_MAX 256

enum shape {
    SHAPE_PLAIN,  /* no descriptor that matters */
    SHAPE_FD,     /* the first argument is one */
    SHAPE_BYTES,  /* so it is, and the third counts bytes */
    SHAPE_VECTOR, /* the second is an iovec, the third its length */
    SHAPE_OPEN,   /* open: counts only when it may create */
    SHAPE_MEMORY, /* mmap: counts only when it is for memory */
};

#define CALL(name, shape)                                                                          \
    {                                                                                              \
        SYS_##name, #name, shape                                                                   \
    }
static const struct call {
    uint64_t nr;
    const char *name;
    enum shape shape;
} calls[] = {
    CALL(write, SHAPE_BYTES),
    CALL(pwrite64, SHAPE_BYTES),
    CALL(writev, SHAPE_VECTOR),
    CALL(pwritev, SHAPE_VECTOR),
    CALL(read, SHAPE_BYTES),
    CALL(pread64, SHAPE_BYTES),
    CALL(readv, SHAPE_VECTOR),
    CALL(sendto, SHAPE_BYTES),
    CALL(recvfrom, SHAPE_BYTES),
    CALL(sendmsg, SHAPE_FD),
    CALL(recvmsg, SHAPE_FD),
    CALL(fsync, SHAPE_FD),
    CALL(fdatasync, SHAPE_FD),
    CALL(ftruncate, SHAPE_FD),
    CALL(fallocate, SHAPE_FD),
    CALL(flock, SHAPE_FD),
    CALL(connect, SHAPE_FD),
    CALL(accept4, SHAPE_FD),
    CALL(open, SHAPE_OPEN),
    CALL(openat, SHAPE_OPEN),
    CALL(rename, SHAPE_PLAIN),
    CALL(renameat, SHAPE_PLAIN),
    CALL(renameat2, SHAPE_PLAIN),
    CALL(link, SHAPE_PLAIN),
    CALL(linkat, SHAPE_PLAIN),
    CALL(unlink, SHAPE_PLAIN),
    CALL(unlinkat, SHAPE_PLAIN),
    CALL(mkdir, SHAPE_PLAIN),
    CALL(mkdirat, SHAPE_PLAIN),
    CALL(rmdir, SHAPE_PLAIN),
    CALL(mknod, SHAPE_PLAIN),
    CALL(mknodat, SHAPE_PLAIN),
    CALL(socket, SHAPE_PLAIN),
    CALL(socketpair, SHAPE_PLAIN),
    CALL(pipe2, SHAPE_PLAIN),
    CALL(fork, SHAPE_PLAIN),
    CALL(vfork, SHAPE_PLAIN),
    CALL(clone, SHAPE_PLAIN),
    CALL(clone3, SHAPE_PLAIN),
    CALL(execve, SHAPE_PLAIN),
    CALL(kill, SHAPE_PLAIN),
    CALL(pidfd_open, SHAPE_PLAIN),
    CALL(pidfd_send_signal, SHAPE_PLAIN),
    CALL(waitid, SHAPE_PLAIN),
    CALL(wait4, SHAPE_PLAIN),
    CALL(brk, SHAPE_PLAIN),
    CALL(mmap, SHAPE_MEMORY),
};

static int database_port, broker_port;
static struct {
    char name[TRACER_NAME_MAX];
    unsigned long n;
} counts[COUNTS_MAX];

void
tracer_call_ports(int database, int broker)
{
    database_port = database;
    broker_port = broker;
}

static const struct call *
find_call(uint64_t nr)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i].nr == nr)
            return &calls[i];
    return NULL;
}

/* The caller's socket, as a descriptor of ours; -1 if that cannot be. */
static int
borrow(pid_t pid, int fd)
{
    int pidfd, mine; /* pidfds are of thread groups */

    pidfd = (int)syscall(SYS_pidfd_open, tracer_role_group(pid), 0);
    mine = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    (void)close(pidfd);
    return mine;
}

static const char *
port_name(int port)
{
    if (port == database_port)
        return "db";
    return port == broker_port ? "amqp" : "tcp";
}

static const char *
socket_name(pid_t pid, int fd)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer, type_len = sizeof(int);
    int type = 0, mine = borrow(pid, fd), known = getpeername(mine, (struct sockaddr *)&peer, &len);
    const char *name = "socket";

    (void)getsockopt(mine, SOL_SOCKET, SO_TYPE, &type, &type_len);
    (void)close(mine);
    if (known == 0 && peer.ss_family == AF_INET)
        name = port_name(ntohs(((struct sockaddr_in *)&peer)->sin_port));
    else if (type == SOCK_SEQPACKET || type == SOCK_DGRAM)
        name = "packet"; /* has no short counts */
    else if (known == 0)
        name = "unix";
    return name;
}

/* What a path is, by its last part. */
static const char *
file_name(const char *path)
{
    static const char *const known[] = {"journal", "instance", "ctl", "outputs",
                                        "vars",    "request",  "lock"};
    const char *last = strrchr(path, '/');

    if (strncmp(path, "pipe:", 5) == 0)
        return "pipe";
    if (last == NULL || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
        return NULL;
    if (strstr(path, "/log/") != NULL)
        return "log";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(last, known[i]) != NULL)
            return known[i];
    return "file";
}

/* NULL for what is no place to die: eventfds, timers, /proc. */
static const char *
descriptor_name(pid_t pid, int fd)
{
    char link[64], path[512];
    ssize_t n;

    (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, fd);
    n = readlink(link, path, sizeof path - 1);
    if (n == -1)
        return NULL;
    path[n] = '\0';
    return strncmp(path, "socket:", 7) == 0 ? socket_name(pid, fd) : file_name(path);
}

/* A connect() names its peer only in its address. */
static const char *
connect_name(pid_t pid, const struct user_regs_struct *regs)
{
    struct sockaddr_in to = {0};
    struct iovec mine = {&to, sizeof to}, theirs = {(void *)regs->rsi, sizeof to};

    if (process_vm_readv(pid, &mine, 1, &theirs, 1, 0) != sizeof to || to.sin_family != AF_INET)
        return "unix";
    return port_name(ntohs(to.sin_port));
}

bool
tracer_call_name(pid_t pid, uint64_t nr, const struct user_regs_struct *regs,
                 char name[TRACER_NAME_MAX])
{
    const struct call *call = find_call(nr);
    uint64_t open_flags = nr == SYS_open ? regs->rsi : regs->rdx;
    const char *what = NULL;

    if (call == NULL || (call->shape == SHAPE_OPEN && (open_flags & O_CREAT) == 0) ||
        (call->shape == SHAPE_MEMORY && (regs->r10 & MAP_ANONYMOUS) == 0))
        return false;
    if (nr == SYS_connect)
        what = connect_name(pid, regs);
    else if (call->shape >= SHAPE_FD && call->shape <= SHAPE_VECTOR) {
        what = descriptor_name(pid, (int)regs->rdi);
        if (what == NULL)
            return false;
    }
    (void)snprintf(name, TRACER_NAME_MAX, "%s%s%s", call->name, what == NULL ? "" : "@",
                   what == NULL ? "" : what);
    return true;
}

/* One word of the caller's becomes half of it. */
static bool
halve(pid_t pid, uint64_t address, struct tracer_short *undo)
{
    errno = 0;
    undo->was = (uint64_t)ptrace(PTRACE_PEEKDATA, pid, address, 0);
    if (errno != 0 || undo->was < 2)
        return false;
    undo->address = address;
    return ptrace(PTRACE_POKEDATA, pid, address, undo->was / 2) == 0;
}

bool
tracer_call_shorten(pid_t pid, uint64_t nr, struct user_regs_struct *regs,
                    struct tracer_short *undo)
{
    const struct call *call = find_call(nr);
    uint64_t vector = regs->rsi;

    undo->address = 0;
    if (call == NULL)
        return false;
    switch (call->shape) {
    case SHAPE_BYTES:
        if (regs->rdx < 2)
            return false;
        regs->rdx /= 2;
        return ptrace(PTRACE_SETREGS, pid, 0, regs) == 0;
    case SHAPE_VECTOR:
        regs->rdx = 1; /* its first part alone, and half of that */
        return ptrace(PTRACE_SETREGS, pid, 0, regs) == 0 &&
               halve(pid, vector + offsetof(struct iovec, iov_len), undo);
    case SHAPE_PLAIN:
    case SHAPE_FD:
    case SHAPE_OPEN:
    case SHAPE_MEMORY:
        return false;
    }
    return false;
}

void
tracer_call_restore(pid_t pid, const struct tracer_short *undo)
{
    if (undo->address != 0)
        (void)ptrace(PTRACE_POKEDATA, pid, undo->address, undo->was);
}

unsigned long
tracer_call_count(const char *name)
{
    for (size_t i = 0; i < COUNTS_MAX; i++) {
        if (counts[i].n == 0)
            (void)snprintf(counts[i].name, sizeof counts[i].name, "%s", name);
        if (strcmp(counts[i].name, name) == 0)
            return ++counts[i].n;
    }
    return 0;
}

void
tracer_call_print_counts(void)
{
    for (size_t i = 0; i < COUNTS_MAX && counts[i].n > 0; i++)
        printf("count %s %lu\n", counts[i].name, counts[i].n);
}
