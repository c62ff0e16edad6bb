/* JSON values of any kind, and their printing. */
#include "dispatcher/cli/value.h"

#include <stdio.h>
#include <string.h>

#include "common/jsonscan.h"

struct json_object *
value_parse(const char *text, struct json_error *err)
{
    struct jsonscan_error scan;
    CLEANUP(buf_free) struct buf whole = {0};
    struct json_object *value;

    /* Alone first: inside the braces below, `1,"x":2` would pass. */
    if (jsonscan(text, strlen(text), &scan) == -1) {
        snprintf(err->text, sizeof err->text, "not JSON: %s at byte %zu", scan.why, scan.at);
        return NULL;
    }
    buf_printf(&whole, "{\"v\":%s}", text);
    CLEANUP(json_cleanup) struct json_object *holder = json_parse(whole.data, whole.len, err);
    if (holder == NULL)
        return NULL;
    value = json_object_object_get(holder, "v");
    if (value == NULL)
        snprintf(err->text, sizeof err->text, "null is not a value");
    return json_object_get(value);
}

void
value_print(struct json_object *value, bool indented)
{
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                (indented ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : 0);

    puts(json_object_to_json_string_ext(value, flags));
}

void
value_print_text(const char *text, bool indented)
{
    struct json_object *value = indented ? json_tokener_parse(text) : NULL;

    if (value != NULL)
        value_print(value, true);
    else
        puts(text);
    json_object_put(value);
}
