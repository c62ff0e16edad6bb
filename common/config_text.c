#include "common/config_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A lexer just good enough to tell numbers from what only looks like them in names, strings and
 * comments.  Grammar mistakes are left for libconfig to report. */

struct cursor {
    const char *at, *end; /* the text is followed by a NUL */
    int line;
};

/* Copy n bytes and count their lines. */
static void
copy(struct cursor *c, size_t n, struct buf *out)
{
    buf_add(out, c->at, n);
    for (; n > 0; n--)
        if (*c->at++ == '\n')
            c->line++;
}

static size_t
string_length(const struct cursor *c)
{
    const char *p = c->at + 1;

    while (p < c->end && *p != '"')
        p += *p == '\\' && p + 1 < c->end ? 2 : 1;
    return (size_t)(p < c->end ? p + 1 - c->at : c->end - c->at);
}

/* Length of the comment at the cursor; 0 = there is none. */
static size_t
comment_length(const struct cursor *c)
{
    const char *end;

    if (c->at[0] == '#' || (c->at[0] == '/' && c->at[1] == '/'))
        return strcspn(c->at, "\n");
    if (c->at[0] != '/' || c->at[1] != '*')
        return 0;
    end = strstr(c->at + 2, "*/");
    return (size_t)(end != NULL ? end + 2 - c->at : c->end - c->at);
}

static size_t
name_length(const struct cursor *c)
{
    const char *p = c->at;

    if (!isalpha((unsigned char)*p) && *p != '*')
        return 0;
    while (isalnum((unsigned char)*p) || (*p != '\0' && strchr("*_-", *p) != NULL))
        p++;
    return (size_t)(p - c->at);
}

/* Length of the number at the cursor without its L; 0 = there is none. */
static size_t
number_length(const struct cursor *c, bool *integer)
{
    const char *p = c->at;

    *integer = true;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        return 2 + strspn(p + 2, "0123456789abcdefABCDEF");
    if (*p == '+' || *p == '-')
        p++;
    if (!isdigit((unsigned char)*p) && *p != '.')
        return 0;
    p += strspn(p, "0123456789");
    if (*p == '.' || *p == 'e' || *p == 'E') {
        *integer = false;
        p += strspn(p, "0123456789.eE+-");
    }
    return (size_t)(p - c->at);
}

static int
copy_integer(struct cursor *c, size_t n, struct buf *out)
{
    int base = n > 1 && (c->at[1] == 'x' || c->at[1] == 'X') ? 16 : 10;
    bool marked = c->at[n] == 'L';

    errno = 0;
    strtoll(c->at, NULL, base);
    if (errno == ERANGE)
        return -1;
    copy(c, n, out);
    if (!marked)
        buf_add(out, "L", 1);
    else
        copy(c, strspn(c->at, "L"), out);
    return 0;
}

/* Copy one token.  NULL, or what is wrong with it. */
static const char *
copy_token(struct cursor *c, struct buf *out)
{
    size_t n = comment_length(c);
    bool integer;

    if (n == 0)
        n = *c->at == '"' ? string_length(c) : name_length(c);
    if (n > 0) {
        copy(c, n, out);
        return NULL;
    }
    if (*c->at == '@')
        return "@include is not allowed";
    n = number_length(c, &integer);
    if (n > 0 && integer)
        return copy_integer(c, n, out) == 0 ? NULL : "integer beyond 64 bits";
    copy(c, n > 0 ? n : 1, out);
    return NULL;
}

int
config_text_prepare(const char *text, size_t len, struct buf *out, struct config_text_fault *fault)
{
    struct cursor c = {.at = text, .end = text, .line = 1};

    if (len == 0) /* of an empty file there is no text at all */
        return 0;
    c.end += len;
    if (memchr(text, '\0', len) != NULL) {
        *fault = (struct config_text_fault){.line = 1, .what = "NUL byte in the file"};
        return -1;
    }
    while (c.at < c.end) {
        const char *what = copy_token(&c, out);

        if (what != NULL) {
            *fault = (struct config_text_fault){.line = c.line, .what = what};
            return -1;
        }
    }
    return 0;
}
