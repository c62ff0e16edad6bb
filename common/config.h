#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/attr.h"

/* A program's settings: one table of keys drives loading, range errors (all of
 * them at once, file:line), --check, --print-config and the test that each key is
 * in deploy/examples.  libconfig underneath (its integers are read as typed 64-bit values,
 * unknown keys refused: traps 5.2). */

enum config_type { CONFIG_STRING, CONFIG_INT, CONFIG_BOOL, CONFIG_STRINGS };

/* A list of strings, NULL-terminated; for CONFIG_STRINGS. */
struct config_key {
    const char *path; /* "broker.host" */
    enum config_type type;
    size_t offset;    /* of the member in the program's struct: char *, int64_t, bool, char ** */
    int64_t min, max; /* CONFIG_INT; for strings: least and greatest length */
    const char *fallback; /* as text ("a:b" for lists); NULL = must be set */
    const char *doc;      /* one line */
};

/* Fill *target from file by table (n keys).  file NULL = only defaults.  Writes
 * every fault to stderr as "file:line: key: what" and returns their number; 0 =
 * loaded.  Strings are allocated and live as long as the process, or until
 * config_free().  A string value "@PATH" of a key whose path ends in "password" or "dsn"
 * is read from that file (first line). */
int config_load(const char *file, const struct config_key *table, size_t n,
                void *target) MUST_CHECK;

void config_free(const struct config_key *table, size_t n, void *target);

/* Print every key, its value (secrets as ***), and doc as a comment. */
void config_print(FILE *out, const struct config_key *table, size_t n, const void *target);

#define CONFIG_EXIT 78 /* EX_CONFIG: what a program exits with after faults */

#endif
