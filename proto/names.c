/* Exchanges, queues and routing keys. */
#include "proto/names.h"

#include <stdio.h>
#include <string.h>

#include "common/uuid.h"

#define TASK_QUEUE "hler.tasks."
#define CONTROL_QUEUE "hler.control."

char *
names_task_queue(const char *pool, char out[NAMES_SIZE])
{
    snprintf(out, NAMES_SIZE, TASK_QUEUE "%s", pool);
    return out;
}

char *
names_control_queue(const char *worker, const char *session, char out[NAMES_SIZE])
{
    snprintf(out, NAMES_SIZE, CONTROL_QUEUE "%s.%s", worker, session);
    return out;
}

bool
names_control_owned(const char *reply_to, const char *user)
{
    size_t prefix = strlen(CONTROL_QUEUE), user_len = strlen(user);

    if (strncmp(reply_to, CONTROL_QUEUE, prefix) != 0 ||
        strncmp(reply_to + prefix, user, user_len) != 0 || reply_to[prefix + user_len] != '.')
        return false;
    return uuid_valid(reply_to + prefix + user_len + 1);
}

static const char *
word(const char *text)
{
    return text != NULL ? text : "-";
}

char *
names_routing_key(enum event_kind kind, const struct names_words *words, char out[NAMES_SIZE])
{
    snprintf(out, NAMES_SIZE, "%s.%s.%s.%s.%s.%s", word(words->user), event_class(kind),
             event_word(kind), word(words->requester), word(words->operation), word(words->task));
    return out;
}
