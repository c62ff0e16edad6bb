#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attr.h"
#include "common/buf.h"

/* Files and descriptors.  All return 0 or -1 with errno set, and log nothing
 * (the caller knows what the file was for).  Every descriptor is O_CLOEXEC. */

void file_cleanup_close(int *fd); /* CLEANUP: closes when >= 0, keeps errno */
int file_take(int *fd);           /* returns *fd and sets it to -1 */

/* Write all of data, going on after short writes and EINTR. */
int file_write_all(int fd, const void *data, size_t len) MUST_CHECK;

/* Append the whole of dir/name to out.  EFBIG when it has more than max bytes.
 * dirfd may be AT_FDCWD. */
int file_read(int dirfd, const char *name, size_t max, struct buf *out) MUST_CHECK;

/* Create dir/name (O_EXCL) with this content and mode.  Not synced. */
int file_create(int dirfd, const char *name, mode_t mode, const void *data, size_t len) MUST_CHECK;

/* Make this the content of dir/name; mode: what it gets if it is not there.  Not synced, and cut off in the middle it may have a
 * part of both.  It is not truncated first: ext4 takes that for a replacement and writes the file to disk when it is closed
 * (auto_da_alloc in ext4(5)). */
int file_fill(int dirfd, const char *name, mode_t mode, const void *data, size_t len) MUST_CHECK;

/* Replace dir/name: temporary file, fsync, rename, fsync of the directory.  The
 * old or the new content is there after any failure, never a part. */
int file_replace(int dirfd, const char *name, mode_t mode, const void *data, size_t len) MUST_CHECK;

/* flock(2), exclusive, of an open file; it goes with the last descriptor of that opening.  Looks
 * again and again until wait_ms have passed: EWOULDBLOCK when another has it even then. */
int file_lock(int fd, int64_t wait_ms) MUST_CHECK;

/* mkdir -p, 0700 for what is made. */
int file_mkdirs(const char *path) MUST_CHECK;

/* rm -r below dirfd, not following symbolic links.  Missing is no error. */
int file_remove_tree(int dirfd, const char *name) MUST_CHECK;

/* Open a regular file below an allow-listed directory: openat2 with
 * RESOLVE_BENEATH and no magic links; refuses (EPERM) a file or directory that
 * group or others may write, or that neither root nor we own.  relative must not
 * start with '/'.  Returns the descriptor or -1; *real (caller frees) is the
 * resolved path. */
int file_open_beneath(const char *root, const char *relative, char **real) MUST_CHECK;

#endif
