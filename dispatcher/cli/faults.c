/* The faults of a refused request. */
#include "dispatcher/cli/faults.h"

#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "dispatcher/cli/cli.h"
#include "dispatcher/cli/value.h"

#define FAULT_TEXT_MAX 65536

/* Is every member an object with text, as we print them? */
static bool
is_list(struct json_object *list)
{
    struct json_error err;
    const char *text;

    if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) == 0)
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *fault = json_object_array_get_idx(list, i);
        if (!json_object_is_type(fault, json_type_object) ||
            json_get_string(fault, "field", true, FAULT_TEXT_MAX, &text, &err) == -1 ||
            json_get_string(fault, "message", true, FAULT_TEXT_MAX, &text, &err) == -1)
            return false;
    }
    return true;
}

static const char *
member(struct json_object *fault, const char *key, const char *otherwise)
{
    struct json_object *value = json_object_object_get(fault, key);

    return value != NULL ? json_object_get_string(value) : otherwise;
}

static void
print(struct json_object *list, bool json)
{
    for (size_t i = 0; !json && i < json_object_array_length(list); i++) {
        struct json_object *fault = json_object_array_get_idx(list, i);
        cli_say("%s: %s", member(fault, "field", "-"), member(fault, "message", "refused"));
    }
    if (json) {
        CLEANUP(json_cleanup) struct json_object *all = json_object_new_object();
        json_add(all, "faults", json_object_get(list));
        value_print(all, false);
    }
}

int
faults_print(const char *detail, bool json)
{
    struct json_error err;
    CLEANUP(json_cleanup) struct json_object *list = value_parse(detail, &err);

    if (list == NULL || !is_list(list))
        return -1;
    print(list, json);
    return 0;
}

void
faults_print_lines(const char *lines, bool json)
{
    CLEANUP(json_cleanup) struct json_object *list = json_object_new_array();

    while (*lines != '\0') {
        size_t len = strcspn(lines, "\n");
        CLEANUP(mem_cleanup) char *line = mem_dupn(lines, len);
        char *colon = strstr(line, ": ");
        struct json_object *fault = json_object_new_object();

        if (colon != NULL)
            *colon = '\0';
        json_set_string(fault, "field", line);
        json_set_string(fault, "rule", "form");
        json_set_string(fault, "message", colon != NULL ? colon + strlen(": ") : "refused");
        json_append(list, fault);
        lines += len + (lines[len] == '\n' ? 1 : 0);
    }
    print(list, json);
}
