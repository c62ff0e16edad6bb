#ifndef WORKER_EXECUTORS_ROOTS_H
#define WORKER_EXECUTORS_ROOTS_H

#include "common/attr.h"

/* The allow-listed directories (HLER_ROOTS), joined by ':'. */

/* The resolved path of the regular file `relative` in the first root that has it (caller frees), or
 * NULL with errno: ENOENT = no root has it, EPERM = others may write it, EXDEV = it leads out. */
char *roots_file(const char *roots, const char *relative) MUST_CHECK;

/* The same for a directory, of which every file that matches one of the suffixes (NULL-terminated)
 * is checked; ENOENT when there is none. */
char *roots_dir(const char *roots, const char *relative, const char *const *suffixes) MUST_CHECK;

/* What errno means here, as part of a sentence. */
const char *roots_why(int err);

#endif
