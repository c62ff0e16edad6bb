/* Strings side by side. */
#include "dispatcher/pack.h"

#include <string.h>

size_t
pack_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

const char *
pack_string(char **at, const char *text)
{
    size_t size = pack_size(text);
    char *start = *at;

    if (text == NULL)
        return NULL;
    memcpy(start, text, size);
    *at += size;
    return start;
}
