#include "worker/executors/unsafe.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MARK "__ansible_unsafe"

static bool
key_harmless(const char *key)
{
    static const char *const markers[] = {"{{", "{%", "{#"};

    for (size_t i = 0; i < ARRAY_LEN(markers); i++)
        if (strstr(key, markers[i]) != NULL)
            return false;
    return strncmp(key, "__ansible", sizeof "__ansible" - 1) != 0;
}

static struct json_object *
mark_string(struct json_object *text)
{
    struct json_object *marked = json_object_new_object();

    json_add(marked, MARK, json_object_get(text));
    return marked;
}

static struct json_object *
mark_object(struct json_object *object, struct json_error *err)
{
    struct json_object *out = json_object_new_object();

    json_object_object_foreach(object, key, value)
    {
        struct json_object *marked = NULL;

        if (!key_harmless(key)) {
            snprintf(err->text, sizeof err->text, "key %.60s: Ansible would not take it as data",
                     key);
            json_object_put(out);
            return NULL;
        }
        if (value != NULL && (marked = unsafe_mark(value, err)) == NULL) {
            json_object_put(out);
            return NULL;
        }
        json_add(out, key, marked);
    }
    return out;
}

static struct json_object *
mark_array(struct json_object *array, struct json_error *err)
{
    struct json_object *out = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        struct json_object *marked = item == NULL ? NULL : unsafe_mark(item, err);

        if (item != NULL && marked == NULL) {
            json_object_put(out);
            return NULL;
        }
        json_append(out, marked);
    }
    return out;
}

struct json_object *
unsafe_mark(struct json_object *value, struct json_error *err)
{
    switch (json_object_get_type(value)) {
    case json_type_string:
        return mark_string(value);
    case json_type_object:
        return mark_object(value, err);
    case json_type_array:
        return mark_array(value, err);
    case json_type_null:
    case json_type_boolean:
    case json_type_double:
    case json_type_int:
        break;
    }
    return json_object_get(value);
}
