/* The strict JSON scan and UTF-8: what we take, json-c takes whole, too, and writes as something that
 * we take. */
#include "common/buf.h"
#include "common/json.h"
#include "common/jsonscan.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#define DEPTH 512 /* deeper than we allow */
#define TAIL_MAX 3

static void
check_json(const char *text, size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH);
    CLEANUP(json_cleanup) struct json_object *object = NULL;
    struct jsonscan_error err;
    const char *again;
    size_t again_len;

    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    object =
        json_tokener_parse_ex(tokener, text, (int)len + 1); /* with its NUL: a number ends there */
    fuzz_check(json_tokener_get_error(tokener) == json_tokener_success);
    json_tokener_free(tokener);
    again = object == NULL ? "null" : json_text(object, &again_len);
    if (object == NULL)
        again_len = strlen(again);
    fuzz_check(jsonscan(again, again_len, &err) == 0);
    if (json_object_is_type(object, json_type_object))
        json_object_put(json_parse_checked(text, len)); /* finds all values that are in the text */
}

static void
check_utf8(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf clean = {0};
    size_t valid = utf8_valid_prefix(data, size), tail = utf8_incomplete_tail(data, size);

    fuzz_check(valid <= size && tail <= TAIL_MAX && tail <= size);
    fuzz_check(utf8_valid_prefix(data, valid) == valid);
    utf8_sanitise(data, size, &clean);
    fuzz_check(clean.len == 0 || (utf8_valid_prefix(clean.data, clean.len) == clean.len &&
                                  memchr(clean.data, '\0', clean.len) == NULL));
    if (valid == size && memchr(data, '\0', size) == NULL)
        fuzz_check(clean.len == size && (size == 0 || memcmp(clean.data, data, size) == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jsonscan_error err;

    if (size == 0)
        return 0;
    check_utf8(data, size);
    if (jsonscan((const char *)data, size, &err) == 0) {
        CLEANUP(buf_free) struct buf text = {0};

        fuzz_check(utf8_valid_prefix(data, size) == size);
        buf_add(&text, data, size);
        check_json(text.data, text.len);
    } else {
        fuzz_check(err.at <= size && err.why != NULL);
    }
    return 0;
}
