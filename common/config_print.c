#include "common/config.h"

#include <string.h>

#include "common/config_value.h"

/* Settings as a file that config_load() would read again (secrets aside). */

#define INDENT 4

static void
print_string(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)*text);
        else
            putc(*text, out);
    }
    putc('"', out);
}

static void
print_value(FILE *out, const struct config_key *key, const void *target)
{
    const void *slot = (const char *)target + key->offset;
    char *const *list;

    switch (key->type) {
    case CONFIG_STRING:
        print_string(out, config_value_is_secret(key) ? "***" : *(char *const *)slot);
        break;
    case CONFIG_INT:
        fprintf(out, "%lldL", (long long)*(const int64_t *)slot);
        break;
    case CONFIG_BOOL:
        fputs(*(const bool *)slot ? "true" : "false", out);
        break;
    case CONFIG_STRINGS:
        putc('[', out);
        list = *(char **const *)slot;
        for (size_t i = 0; list[i] != NULL; i++) {
            fputs(i > 0 ? ", " : "", out);
            print_string(out, list[i]);
        }
        putc(']', out);
        break;
    }
}

/* Bytes at the start of a and b that name the same groups, last dot included. */
static size_t
common_groups(const char *a, const char *b)
{
    size_t common = 0;

    for (size_t i = 0; a[i] != '\0' && a[i] == b[i]; i++)
        if (a[i] == '.')
            common = i + 1;
    return common;
}

static int
count_dots(const char *text)
{
    int n = 0;

    while ((text = strchr(text, '.')) != NULL) {
        text++;
        n++;
    }
    return n;
}

/* Close the groups of `from` behind its first `common` bytes. */
static void
close_groups(FILE *out, const char *from, size_t common)
{
    int inner = count_dots(from + common);
    int depth = count_dots(from);

    while (inner-- > 0)
        fprintf(out, "%*s};\n", --depth * INDENT, "");
}

void
config_print(FILE *out, const struct config_key *table, size_t n, const void *target)
{
    const char *before = "";

    for (size_t i = 0; i < n; i++) {
        const char *path = table[i].path;
        size_t common = common_groups(before, path);
        int depth = count_dots(path) - count_dots(path + common);
        const char *name = path + common, *dot;

        close_groups(out, before, common);
        for (; (dot = strchr(name, '.')) != NULL; name = dot + 1)
            fprintf(out, "%*s%.*s: {\n", depth++ * INDENT, "", (int)(dot - name), name);
        fprintf(out, "%*s# %s\n", depth * INDENT, "", table[i].doc);
        fprintf(out, "%*s%s = ", depth * INDENT, "", name);
        print_value(out, &table[i], target);
        fputs(";\n", out);
        before = path;
    }
    close_groups(out, before, 0);
}
