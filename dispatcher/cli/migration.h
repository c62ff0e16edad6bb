#ifndef CLI_MIGRATION_H
#define CLI_MIGRATION_H

#include <stddef.h>

/* The numbered files of proto/sql, compiled in by proto/sql/embed.sh, in order. */
struct migration {
    int version;
    const char *name;
    const char *sql;
};

extern const struct migration migrations[];
extern const size_t migrations_count;

#endif
