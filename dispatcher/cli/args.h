#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"

/* A command line read by tables: `--name value`, `--name=value`, `--flag`, words,
 * and `--` after which everything is a word.  Options and words may be mixed. */

enum opt_kind { OPT_FLAG, OPT_TEXT, OPT_INT };

struct opt {
    const char *name; /* without the dashes */
    enum opt_kind kind;
    const char *value; /* what the help calls the value: "UUID" */
    const char *doc;   /* one line */
    int64_t min, max;  /* OPT_INT */
    bool many;         /* may be given more than once */
};

#define ARGS_TABLES 2
#define ARGS_NO_MAX SIZE_MAX

struct opt_table {
    const struct opt *options;
    size_t n;
};

struct args_given {
    const struct opt *opt;
    const char *value; /* NULL for a flag */
};

struct args {
    struct opt_table tables[ARGS_TABLES]; /* what is understood */
    struct args_given *given;
    size_t n_given;
    const char **words; /* what is no option */
    size_t n_words;
};

/* Read argv[0..argc) by args->tables.  The strings stay owned by argv.  Returns 0,
 * or -1 with one line in *error (a missing value, an unknown option, a number out of
 * range, an option given twice).  args_free() in both cases. */
int args_parse(struct args *args, int argc, char **argv, struct buf *error) MUST_CHECK;
void args_free(struct args *args);

/* What was given for an option, which must be in the tables. */
bool args_flag(const struct args *args, const char *name);
const char *args_text(const struct args *args, const char *name); /* NULL = not given */
int64_t args_int(const struct args *args, const char *name, int64_t fallback);
/* The nth value of an option with `many`; NULL behind the last. */
const char *args_nth(const struct args *args, const char *name, size_t nth);

/* Read a decimal number; -1 when text is none or not within min..max. */
int args_number(const char *text, int64_t min, int64_t max, int64_t *out) MUST_CHECK;

#endif
