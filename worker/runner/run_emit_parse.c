/* Grammar of the emit socket's request line. */
#include "worker/runner/run_emit.h"

#include <string.h>

struct word {
    const char *at;
    size_t len;
};

/* Cut off the next word, up to one space or the end. */
static struct word
next_word(const char **line, const char *end)
{
    struct word w = {*line, 0};
    const char *space = memchr(*line, ' ', (size_t)(end - *line));

    w.len = (size_t)((space == NULL ? end : space) - *line);
    *line = space == NULL ? end : space + 1;
    return w;
}

static bool
word_is(struct word w, const char *text)
{
    return w.len == strlen(text) && memcmp(w.at, text, w.len) == 0;
}

/* Decimal, at most RUN_EMIT_SKIP_MAX. */
static bool
parse_length(struct word w, size_t *out)
{
    size_t value = 0;

    for (size_t i = 0; i < w.len; i++) {
        if (w.at[i] < '0' || w.at[i] > '9')
            return false;
        value = value * 10 + (size_t)(w.at[i] - '0');
        if (value > RUN_EMIT_SKIP_MAX)
            return false;
    }
    *out = value;
    return w.len > 0;
}

bool
run_emit_field_valid(const char *name, size_t len)
{
    if (len == 0 || len > RUN_EMIT_FIELD_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = c >= 'a' && c <= 'z';

        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '_')))
            return false;
    }
    return true;
}

static const char *
parse_uuid(struct word w, const char *target, char out[UUID_TEXT_SIZE])
{
    if (word_is(w, "-")) {
        if (target[0] == '\0')
            return "no target: name a uuid";
        memcpy(out, target, UUID_TEXT_SIZE);
        return NULL;
    }
    if (w.len != UUID_TEXT_SIZE - 1)
        return "bad uuid";
    memcpy(out, w.at, w.len);
    out[w.len] = '\0';
    return uuid_valid(out) ? NULL : "bad uuid";
}

static const char *
parse_result(const struct word w[4], const char *target, struct run_emit_request *out)
{
    const char *why = parse_uuid(w[0], target, out->uuid);

    if (why != NULL)
        return why;
    if (!run_emit_field_valid(w[1].at, w[1].len))
        return "bad field name";
    memcpy(out->field, w[1].at, w[1].len);
    out->field[w[1].len] = '\0';
    out->append = word_is(w[2], "append");
    if (!out->append && !word_is(w[2], "set"))
        return "mode is neither set nor append";
    out->secret = word_is(w[3], "secret");
    if (!out->secret && !word_is(w[3], "plain"))
        return "neither plain nor secret";
    return NULL;
}

const char *
run_emit_parse(const char *line, size_t len, const char *target, struct run_emit_request *out,
               bool *framed)
{
    const char *at = line, *end = line + len;
    struct word kind = next_word(&at, end);
    struct word words[4];
    const char *why = NULL;

    *framed = false;
    *out = (struct run_emit_request){.result = word_is(kind, "RESULT")};
    if (!out->result && !word_is(kind, "PROGRESS"))
        return "neither RESULT nor PROGRESS";
    if (out->result) {
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            words[i] = next_word(&at, end);
        why = parse_result(words, target, out);
    }
    if (!parse_length((struct word){at, (size_t)(end - at)}, &out->length))
        return "bad length";
    *framed = true;
    if (why == NULL && out->length > RUN_EMIT_VALUE_MAX)
        why = "value is longer than 65536 bytes";
    return why;
}
