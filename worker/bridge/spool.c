/* The spool directory: its lock, and who it is.  The lock is a flock, so it is gone
 * with its holder; the instance is new when the directory is not where it was, because
 * then another worker may go on with the same attempts. */
#include "worker/bridge/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/log.h"

#define LOCK_FILE "lock"
#define INSTANCE_FILE "instance"
#define SMALL_FILE 512
/* A worker that was killed holds its lock until its last thread is gone, and so does a child of its
 * that has not come to its exec. */
#define LOCK_WAIT_MS 2000
#define ROOM_SHARE 20 /* one twentieth must be free */

static const struct {
    long type;
    const char *name;
} remote[] = {
    {NFS_SUPER_MAGIC, "nfs"},   {SMB_SUPER_MAGIC, "smb"}, {CIFS_SUPER_MAGIC, "cifs"},
    {SMB2_SUPER_MAGIC, "smb2"}, {AFS_SUPER_MAGIC, "afs"}, {CEPH_SUPER_MAGIC, "ceph"},
    {CODA_SUPER_MAGIC, "coda"}, {NCP_SUPER_MAGIC, "ncp"}, {OCFS2_SUPER_MAGIC, "ocfs2"},
};

/* flock on a network file system does not say what we rely on. */
static int
check_local(const char *path, int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) == -1)
        return log_errno(errno, "spool=%s: %m", path);
    for (size_t i = 0; i < ARRAY_LEN(remote); i++) {
        if ((long)fs.f_type == remote[i].type) {
            log_err("spool=%s: is on %s; it must be on a local file system", path, remote[i].name);
            return -1;
        }
    }
    return 0;
}

static int
take_lock(struct spool *s)
{
    CLEANUP(buf_free) struct buf holder = {0};
    char pid[32];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

    s->lock_fd = openat(s->dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd == -1)
        return log_errno(errno, "spool=%s file=" LOCK_FILE ": %m", s->path);
    if (file_lock(s->lock_fd, LOCK_WAIT_MS) == -1) {
        if (errno != EWOULDBLOCK)
            return log_errno(errno, "spool=%s file=" LOCK_FILE ": %m", s->path);
        if (file_read(s->dir_fd, LOCK_FILE, SMALL_FILE, &holder) == -1 || holder.len == 0)
            buf_puts(&holder, "unknown");
        holder.data[strcspn(holder.data, "\n")] = '\0';
        log_err("spool %s is in use by pid %s", s->path, holder.data);
        return SPOOL_IN_USE;
    }
    /* Only for the line above; what counts is the lock. */
    if (ftruncate(s->lock_fd, 0) == -1 || file_write_all(s->lock_fd, pid, (size_t)n) == -1)
        return log_errno(errno, "spool=%s file=" LOCK_FILE ": %m", s->path);
    return 0;
}

/* First line of a file; "" when there is none. */
static void
first_line(const char *path, char *out, size_t size)
{
    CLEANUP(buf_free) struct buf text = {0};

    out[0] = '\0';
    if (file_read(AT_FDCWD, path, SMALL_FILE, &text) == -1 || text.len == 0)
        return;
    text.data[strcspn(text.data, "\n")] = '\0';
    snprintf(out, size, "%s", text.data);
}

/* What must stay the same for the spool to be the one it was. */
static int
place_of(const struct spool *s, char *out, size_t size)
{
    char machine[64];
    struct stat st;

    if (fstat(s->dir_fd, &st) == -1)
        return log_errno(errno, "spool=%s: %m", s->path);
    first_line("/etc/machine-id", machine, sizeof machine);
    snprintf(out, size, "machine=%s device=%ju inode=%ju\n", machine, (uintmax_t)st.st_dev,
             (uintmax_t)st.st_ino);
    return 0;
}

static int
identify(struct spool *s)
{
    CLEANUP(buf_free) struct buf old = {0};
    char place[SMALL_FILE / 2], text[SMALL_FILE];
    size_t id = UUID_TEXT_SIZE - 1;
    bool there;

    if (place_of(s, place, sizeof place) == -1)
        return -1;
    if (file_read(s->dir_fd, INSTANCE_FILE, SMALL_FILE, &old) == -1 && errno != ENOENT)
        return log_errno(errno, "spool=%s file=" INSTANCE_FILE ": %m", s->path);
    there = old.len > id + 1;
    if (there && strcmp(old.data + id + 1, place) == 0) {
        memcpy(s->instance, old.data, id);
        if (uuid_valid(s->instance))
            return 0;
    }
    s->moved = there;
    uuid_v4(s->instance);
    if (there)
        log_warn("spool=%s: was copied or moved here; instance=%s is new", s->path, s->instance);
    snprintf(text, sizeof text, "%s\n%s", s->instance, place);
    if (file_replace(s->dir_fd, INSTANCE_FILE, 0600, text, strlen(text)) == -1)
        return log_errno(errno, "spool=%s file=" INSTANCE_FILE ": %m", s->path);
    return 0;
}

static int
open_dirs(struct spool *s)
{
    if (file_mkdirs(s->path) == -1)
        return log_errno(errno, "spool=%s: %m", s->path);
    s->dir_fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd == -1)
        return log_errno(errno, "spool=%s: %m", s->path);
    if (mkdirat(s->dir_fd, SPOOL_DONE, 0700) == -1 && errno != EEXIST)
        return log_errno(errno, "spool=%s dir=" SPOOL_DONE ": %m", s->path);
    s->done_fd = openat(s->dir_fd, SPOOL_DONE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->done_fd == -1)
        return log_errno(errno, "spool=%s dir=" SPOOL_DONE ": %m", s->path);
    return check_local(s->path, s->dir_fd);
}

int
spool_open(struct spool *s, const char *path)
{
    int rc;

    memset(s, 0, sizeof *s);
    s->path = path;
    s->dir_fd = s->done_fd = s->lock_fd = -1;
    first_line("/proc/sys/kernel/random/boot_id", s->boot_id, sizeof s->boot_id);
    if (!uuid_valid(s->boot_id)) {
        log_err("boot id: cannot be read from /proc/sys/kernel/random/boot_id");
        return -1;
    }
    if (open_dirs(s) == -1)
        return -1;
    rc = take_lock(s);
    return rc != 0 ? rc : identify(s);
}

void
spool_close(struct spool *s)
{
    file_cleanup_close(&s->lock_fd);
    file_cleanup_close(&s->done_fd);
    file_cleanup_close(&s->dir_fd);
}

bool
spool_has_room(const struct spool *s)
{
    struct statvfs fs;

    /* A file system that does not answer has no room. */
    return fstatvfs(s->dir_fd, &fs) == 0 && fs.f_bavail >= fs.f_blocks / ROOM_SHARE;
}
