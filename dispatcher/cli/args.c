/* The command line of `hler`: options by table, all faults said in words. */
#include "dispatcher/cli/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

int
args_number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return -1;
    *out = value;
    return 0;
}

static const struct opt *
find(const struct args *args, const char *name, size_t len)
{
    for (size_t t = 0; t < ARGS_TABLES; t++)
        for (size_t i = 0; i < args->tables[t].n; i++) {
            const struct opt *o = &args->tables[t].options[i];
            if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
                return o;
        }
    return NULL;
}

static int
check(const struct args *args, const struct opt *o, const char *value, struct buf *error)
{
    int64_t number;

    if (o->kind != OPT_FLAG && value == NULL) {
        buf_printf(error, "--%s needs a value: --%s %s", o->name, o->name, o->value);
        return -1;
    }
    if (o->kind == OPT_INT && args_number(value, o->min, o->max, &number) == -1) {
        buf_printf(error, "--%s: \"%s\" is not a whole number from %lld to %lld", o->name, value,
                   (long long)o->min, (long long)o->max);
        return -1;
    }
    for (size_t i = 0; i < args->n_given && !o->many; i++)
        if (args->given[i].opt == o) {
            buf_printf(error, "--%s is given twice", o->name);
            return -1;
        }
    return 0;
}

/* Take the option at argv[*at], and its value, which may be the next word. */
static int
take_option(struct args *args, int argc, char **argv, int *at, struct buf *error)
{
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    const struct opt *o = find(args, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (o == NULL) {
        buf_printf(error, "there is no option %s", argv[*at]);
        return -1;
    }
    if (o->kind == OPT_FLAG && value != NULL) {
        buf_printf(error, "--%s takes no value", o->name);
        return -1;
    }
    if (o->kind != OPT_FLAG && value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (check(args, o, value, error) == -1)
        return -1;
    args->given[args->n_given++] = (struct args_given){o, value};
    return 0;
}

/* A number below zero is none, and - alone stands for stdin. */
static bool
looks_like_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

int
args_parse(struct args *args, int argc, char **argv, struct buf *error)
{
    bool options = true;

    args->given = mem_alloc(((size_t)argc + 1) * sizeof *args->given);
    args->words = mem_alloc(((size_t)argc + 1) * sizeof *args->words);
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (take_option(args, argc, argv, &i, error) == -1)
                return -1;
        } else if (options && looks_like_option(argv[i])) {
            buf_printf(error, "there is no option %s; options have two dashes", argv[i]);
            return -1;
        } else {
            args->words[args->n_words++] = argv[i];
        }
    }
    return 0;
}

void
args_free(struct args *args)
{
    free(args->given);
    free(args->words);
    args->given = NULL;
    args->words = NULL;
    args->n_given = args->n_words = 0;
}

static const struct args_given *
given(const struct args *args, const char *name, size_t nth)
{
    const struct opt *o = find(args, name, strlen(name));

    if (o == NULL)
        log_panic("option %s is in no table", name);
    for (size_t i = 0; i < args->n_given; i++)
        if (args->given[i].opt == o && nth-- == 0)
            return &args->given[i];
    return NULL;
}

bool
args_flag(const struct args *args, const char *name)
{
    return given(args, name, 0) != NULL;
}

const char *
args_nth(const struct args *args, const char *name, size_t nth)
{
    const struct args_given *g = given(args, name, nth);

    return g != NULL ? g->value : NULL;
}

const char *
args_text(const struct args *args, const char *name)
{
    return args_nth(args, name, 0);
}

int64_t
args_int(const struct args *args, const char *name, int64_t fallback)
{
    const struct args_given *g = given(args, name, 0);
    int64_t value = fallback;

    if (g != NULL && args_number(g->value, g->opt->min, g->opt->max, &value) == -1)
        log_panic("option %s was not checked", name);
    return value;
}
