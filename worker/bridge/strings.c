/* Lists of strings for exec. */
#include "worker/bridge/strings.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void
strings_take(struct strings *list, char *text)
{
    list->items = mem_resize(list->items, (list->n + 2) * sizeof *list->items);
    list->items[list->n++] = text;
    list->items[list->n] = NULL;
}

/* Without printf(): a start makes two dozen of them. */
static char *
join(const char *name, size_t name_len, const char *value)
{
    size_t size = strlen(value) + 1;
    char *text = mem_alloc(name_len + 1 + size);

    memcpy(text, name, name_len);
    text[name_len] = '=';
    memcpy(text + name_len + 1, value, size);
    return text;
}

void
strings_add(struct strings *list, const char *name, const char *value)
{
    strings_take(list, join(name, strlen(name), value));
}

void
strings_set(struct strings *list, const char *name, const char *value)
{
    size_t len = strlen(name);
    char *text = join(name, len, value);

    for (size_t i = 0; i < list->n; i++) {
        if (strncmp(list->items[i], text, len + 1) == 0) {
            free(list->items[i]);
            list->items[i] = text;
            return;
        }
    }
    strings_take(list, text);
}

void
strings_free(struct strings *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
    list->items = NULL;
    list->n = 0;
}
