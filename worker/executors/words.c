#include "worker/executors/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

void
words_add(struct words *w, const char *fmt, ...)
{
    char *text;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) == -1)
        log_panic("words: no memory");
    va_end(args);
    w->list = mem_resize(w->list, (w->count + 2) * sizeof *w->list);
    w->list[w->count++] = text;
    w->list[w->count] = NULL;
}

void
words_inherit(struct words *w, const char *name)
{
    size_t len = strcspn(name, "*");

    for (char **entry = environ; *entry != NULL; entry++)
        if (strncmp(*entry, name, len) == 0 && (name[len] == '*' || (*entry)[len] == '='))
            words_add(w, "%s", *entry);
}

void
words_free(struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->list[i]);
    free(w->list);
    *w = (struct words){0};
}
