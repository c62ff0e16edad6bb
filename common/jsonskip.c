#include "common/jsonskip.h"

#include <string.h>

#include "common/jsonscan.h"

char
jsonskip_peek(const struct jsonskip *s)
{
    return s->at < s->len ? s->text[s->at] : '\0';
}

static bool
is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

void
jsonskip_space(struct jsonskip *s)
{
    while (is_space(jsonskip_peek(s)))
        s->at++;
}

/* Cursor on the opening quote. */
static int
skip_string(struct jsonskip *s)
{
    for (s->at++; s->at < s->len; s->at++) {
        s->at += jsonscan_plain(s->text + s->at, s->len - s->at);
        if (jsonskip_peek(s) == '"') {
            s->at++;
            return 0;
        }
        if (jsonskip_peek(s) == '\\')
            s->at++; /* what it escapes cannot end the string */
    }
    s->at = s->len;
    return -1;
}

/* Cursor on the opening bracket. */
static int
skip_container(struct jsonskip *s)
{
    size_t depth = 0;

    while (s->at < s->len) {
        char byte = jsonskip_peek(s);

        if (byte == '"') {
            (void)skip_string(s); /* without an end it is the text's, too */
            continue;
        }
        s->at++;
        if (byte == '{' || byte == '[')
            depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0)
            return 0;
    }
    return -1;
}

static bool
ends_word(char byte)
{
    return is_space(byte) || byte == ',' || byte == ']' || byte == '}';
}

static int
skip_word(struct jsonskip *s)
{
    while (s->at < s->len && !ends_word(jsonskip_peek(s)))
        s->at++;
    return 0;
}

int
jsonskip_value(struct jsonskip *s)
{
    switch (jsonskip_peek(s)) {
    case '"':
        return skip_string(s);
    case '{':
    case '[':
        return skip_container(s);
    default:
        return skip_word(s);
    }
}

/* Cursor on one value; it, and the cursor on what follows. */
static bool
take(struct jsonskip *s, struct jsonskip_piece *out)
{
    size_t start = s->at;

    if (jsonskip_value(s) == -1)
        return false;
    *out = (struct jsonskip_piece){s->text + start, s->at - start};
    jsonskip_space(s);
    return true;
}

bool
jsonskip_member(const char *text, size_t len, const char *key, struct jsonskip_piece *out)
{
    struct jsonskip s = {text, len, 0};
    size_t key_len = strlen(key);

    jsonskip_space(&s);
    do {
        struct jsonskip_piece name;

        s.at++; /* "{" or "," */
        jsonskip_space(&s);
        if (jsonskip_peek(&s) != '"' || !take(&s, &name))
            return false;
        if (jsonskip_peek(&s) != ':')
            return false;
        s.at++;
        jsonskip_space(&s);
        if (!take(&s, out))
            return false;
        if (name.len == key_len + 2 && memcmp(name.text + 1, key, key_len) == 0)
            return true;
    } while (jsonskip_peek(&s) == ',');
    return false;
}
