/* The faults of a refused request, one line each. */
#include "dispatcher/cli/faults.h"

#include <json-c/json.h>

#include "common/json.h"
#include "dispatcher/cli/value.h"

#define FAULT_TEXT_MAX 65536

int
faults_print(FILE *out, const char *detail)
{
    struct json_error err;
    CLEANUP(json_cleanup) struct json_object *list = value_parse(detail, &err);

    if (list == NULL || !json_object_is_type(list, json_type_array) ||
        json_object_array_length(list) == 0)
        return -1;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *fault = json_object_array_get_idx(list, i);
        const char *field = NULL, *message = NULL;
        if (!json_object_is_type(fault, json_type_object) ||
            json_get_string(fault, "field", true, FAULT_TEXT_MAX, &field, &err) == -1 ||
            json_get_string(fault, "message", true, FAULT_TEXT_MAX, &message, &err) == -1)
            return -1;
        fprintf(out, "%s: %s\n", field != NULL ? field : "-",
                message != NULL ? message : "refused");
    }
    return 0;
}
