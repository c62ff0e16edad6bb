/* From `title=Hello count=3` to {"title":"Hello","count":3}. */
#include "dispatcher/cli/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "dispatcher/cli/value.h"

#define TYPE_MAX 64
#define FIELD_MAX 4096
#define CHUNK 65536

/* The declared type of a field; NULL = not declared, or no catalogue entry. */
static const char *
declared_type(struct json_object *definition, const char *field)
{
    struct json_object *fields = NULL;
    struct json_error err;

    if (definition == NULL || !json_object_object_get_ex(definition, "fields", &fields) ||
        !json_object_is_type(fields, json_type_array))
        return NULL;
    for (size_t i = 0; i < json_object_array_length(fields); i++) {
        struct json_object *entry = json_object_array_get_idx(fields, i);
        const char *name, *type;
        if (json_get_string(entry, "name", false, FIELD_MAX, &name, &err) == 0 &&
            strcmp(name, field) == 0 &&
            json_get_string(entry, "type", false, TYPE_MAX, &type, &err) == 0)
            return type;
    }
    return NULL;
}

static int
read_all(const char *file, struct buf *out)
{
    char chunk[CHUNK];
    ssize_t n;

    if (strcmp(file, "-") != 0)
        return file_read(AT_FDCWD, file, INPUTS_MAX, out);
    while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) != 0) {
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -1;
        buf_add(out, chunk, (size_t)n);
        if (out->len > INPUTS_MAX) {
            errno = EFBIG;
            return -1;
        }
    }
    return 0;
}

static struct json_object *
typed(const char *type, const char *text, size_t len, struct json_error *err)
{
    if (utf8_valid_prefix(text, len) != len || memchr(text, '\0', len) != NULL) {
        snprintf(err->text, sizeof err->text, "is not UTF-8 text without NUL");
        return NULL;
    }
    if (type == NULL || strcmp(type, "string") == 0 || strcmp(type, "uuid") == 0)
        return json_object_new_string_len(text, (int)len);
    struct json_object *value = value_parse(text, err);
    if (value == NULL)
        snprintf(err->text, sizeof err->text, "expected %s %s, got: %.100s",
                 strchr("aeiou", type[0]) != NULL ? "an" : "a", type, text);
    return value;
}

/* The value that stands behind '=' in a word. */
static struct json_object *
plain_value(const char *type, const char *text, struct json_error *err)
{
    CLEANUP(buf_free) struct buf content = {0};

    if (text[0] != '@')
        return typed(type, text, strlen(text), err);
    if (text[1] == '@')
        return typed(type, text + 1, strlen(text + 1), err);
    if (read_all(text + 1, &content) == -1) {
        snprintf(err->text, sizeof err->text, "cannot read %.150s: %s", text + 1, strerror(errno));
        return NULL;
    }
    return typed(type, content.data != NULL ? content.data : "", content.len, err);
}

static int
add_word(struct json_object *inputs, const char *word, struct json_object *definition,
         struct buf *errors)
{
    struct json_error err = {""};
    const char *equals = strchr(word, '=');

    if (equals == NULL || equals == word) {
        buf_printf(errors, "%s: expected field=value\n", word);
        return 1;
    }
    bool json = equals - word > 1 && equals[-1] == ':';
    CLEANUP(mem_cleanup) char *field = mem_dupn(word, (size_t)(equals - word) - (json ? 1 : 0));
    struct json_object *value =
        json ? value_parse(equals + 1, &err)
             : plain_value(declared_type(definition, field), equals + 1, &err);
    if (value == NULL) {
        buf_printf(errors, "%s: %s\n", field, err.text);
        return 1;
    }
    json_add(inputs, field, value);
    return 0;
}

int
inputs_add(struct json_object *inputs, const char *const *words, size_t n,
           struct json_object *definition, struct buf *errors)
{
    int faults = 0;

    for (size_t i = 0; i < n; i++)
        faults += add_word(inputs, words[i], definition, errors);
    return faults;
}

struct json_object *
inputs_read(const char *file, struct buf *errors)
{
    CLEANUP(buf_free) struct buf content = {0};
    struct json_error err;

    if (read_all(file, &content) == -1) {
        buf_printf(errors, "%s: %s\n", file, strerror(errno));
        return NULL;
    }
    struct json_object *o = json_parse(content.data != NULL ? content.data : "", content.len, &err);
    if (o == NULL)
        buf_printf(errors, "%s: %s\n", file, err.text);
    return o;
}
