/* Events as a dispatcher reads them: who sent it, what it is about, and whether the
 * routing key says the same as the body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/log.h"
#include "proto/event.h"
#include "proto/event_check.h"
#include "proto/limits.h"
#include "proto/names.h"

#define WORKER_SOURCE "/hler/worker/"
#define DISPATCHER_SOURCE "/hler/dispatcher/"
#define KEY_WORDS 6
#define DECIMAL 10

static int
schema(struct fault *fault, const char *text)
{
    return fault_set(fault, FAULT_BAD_SCHEMA, "%s", text);
}

/* Text after prefix, or NULL when it does not begin with it. */
static const char *
after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* Known kind, or why not: another version of one that we know, or a stranger. */
static int
read_kind(const char *type, enum event_kind *out, struct fault *fault)
{
    size_t stem = strlen(type);

    while (stem > 0 && type[stem - 1] != '.')
        stem--;
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        const char *known = event_type((enum event_kind)kind);

        if (strcmp(known, type) == 0) {
            *out = (enum event_kind)kind;
            return 0;
        }
        if (stem > 0 && strncmp(known, type, stem) == 0 && strchr(known + stem, '.') == NULL)
            return fault_set(fault, FAULT_BAD_VERSION, "type: this version is not known");
    }
    return schema(fault, "type: not an event of a worker or a tick");
}

/* "2026-01-02T03:04:05.678901Z", and a day that there is. */
static bool
time_valid(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    struct tm given, back;
    time_t seconds;

    if (strlen(text) != sizeof form - 1)
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    memset(&given, 0, sizeof given);
    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &given) == NULL)
        return false;
    back = given;
    seconds = timegm(&back);
    return seconds != (time_t)-1 && back.tm_mday == given.tm_mday && back.tm_sec == given.tm_sec &&
           given.tm_year > 0;
}

/* The CloudEvents attributes that every event has. */
static int
read_envelope(struct event *e, struct fault *fault)
{
    struct json_error err = {""};
    const char *version = NULL, *source = NULL, *type = NULL, *content = NULL, *time = NULL;

    if (json_get_string(e->root, "specversion", false, LIMIT_ID_BYTES, &version, &err) == -1 ||
        json_get_string(e->root, "type", false, LIMIT_TYPE_BYTES, &type, &err) == -1 ||
        json_get_string(e->root, "source", false, LIMIT_TYPE_BYTES, &source, &err) == -1 ||
        json_get_string(e->root, "id", false, EVENT_ID_SIZE - 1, &e->id, &err) == -1 ||
        json_get_string(e->root, "time", false, CLOCK_TEXT_SIZE - 1, &time, &err) == -1 ||
        json_get_string(e->root, "datacontenttype", true, LIMIT_TYPE_BYTES, &content, &err) == -1 ||
        json_get_object(e->root, "data", false, &e->data, &err) == -1)
        return schema(fault, err.text);
    if (strcmp(version, "1.0") != 0)
        return fault_set(fault, FAULT_BAD_VERSION, "specversion: expected 1.0");
    if (read_kind(type, &e->kind, fault) == -1)
        return -1;
    if (content != NULL && strcmp(content, NAMES_JSON) != 0)
        return schema(fault, "datacontenttype: expected application/json");
    if (!time_valid(time))
        return schema(fault, "time: expected a time like 2026-01-02T03:04:05.678901Z");
    memcpy(e->time, time, strlen(time) + 1);
    e->worker = after(source, e->kind == EVENT_TICK ? DISPATCHER_SOURCE : WORKER_SOURCE);
    if (e->worker == NULL || !ident_id_valid(e->worker))
        return schema(fault, "source: expected the path of a worker");
    return 0;
}

/* "<attempt name>.<seq or kind>" */
static int
read_attempt_id(struct event *e, struct fault *fault)
{
    char name[EVENT_ID_SIZE], *dot, *end, back[EVENT_ID_SIZE];

    snprintf(name, sizeof name, "%s", e->id);
    dot = strrchr(name, '.');
    if (dot == NULL)
        return schema(fault, "id: expected the name of an attempt");
    *dot = '\0';
    if (event_numbered(e->kind)) {
        e->seq = strtoll(dot + 1, &end, DECIMAL);
        if (e->seq < 1 || e->seq > LIMIT_SAFE_INTEGER)
            return schema(fault, "id: expected a sequence number at its end");
    }
    /* Written again it must be the same: no sign, no leading zero, no other kind. */
    if (ident_name_parse(name, &e->name) == -1 ||
        strcmp(event_attempt_id(e->kind, &e->name, e->seq, back), e->id) != 0)
        return schema(fault, "id: does not name an attempt and this event");
    return 0;
}

/* What an attempt's event repeats of its id. */
static int
read_attempt(struct event *e, struct fault *fault)
{
    struct json_error err = {""};
    const char *subject = NULL, *trace = NULL;
    int64_t attempt = 0, seq = 0;

    if (read_attempt_id(e, fault) == -1)
        return -1;
    /* Of an attempt that it never had, or has lost altogether, a worker cannot name the operation. */
    bool nameless = e->kind == EVENT_DECLINED || e->kind == EVENT_LOST;

    if (json_get_uuid(e->root, "operation", nameless, &e->operation, &err) == -1 ||
        json_get_uuid(e->root, "subject", false, &subject, &err) == -1 ||
        json_get_int(e->root, "attempt", false, 1, IDENT_ATTEMPT_MAX, &attempt, &err) == -1 ||
        json_get_int(e->root, "seq", !event_numbered(e->kind), 1, LIMIT_SAFE_INTEGER, &seq, &err) ==
            -1 ||
        json_get_string(e->root, "traceparent", true, LIMIT_TRACEPARENT_BYTES, &trace, &err) == -1)
        return schema(fault, err.text);
    if (strcmp(subject, e->name.task) != 0 || attempt != e->name.attempt || seq != e->seq)
        return schema(fault, "subject, attempt, seq: do not agree with the id");
    return 0;
}

/* Split a copy of the key in place; returns the number of words, at most one too many. */
static size_t
split(char *key, const char *words[KEY_WORDS + 1])
{
    size_t n = 0;
    char *rest = key, *word;

    while (n <= KEY_WORDS && (word = strsep(&rest, ".")) != NULL)
        words[n++] = word;
    return n;
}

static bool
word_is(const char *word, const char *value)
{
    return strcmp(word, value != NULL ? value : "-") == 0;
}

/* Of a batch the key's type is that of its last event.  Others of journals go the same way. */
static bool
type_agrees(enum event_kind kind, const char *word)
{
    if (!event_numbered(kind))
        return word_is(word, event_word(kind));
    for (int other = 0; other < EVENT_KINDS; other++)
        if (event_numbered((enum event_kind)other) &&
            event_bulk((enum event_kind)other) == event_bulk(kind) &&
            word_is(word, event_word((enum event_kind)other)))
            return true;
    return false;
}

/* A message with states of several attempts names none of them: both words are "-".  Of one event, too: it may have been
 * set aside from such a message. */
static bool
names_it(const struct event *e, const char *operation, const char *task)
{
    bool attempt = strcmp(event_class(e->kind), "attempt") == 0;

    if (event_numbered(e->kind) && !event_bulk(e->kind) && word_is(operation, NULL) &&
        word_is(task, NULL))
        return true;
    return word_is(operation, e->operation) && word_is(task, attempt ? e->name.task : NULL);
}

static int
check_key(const struct event *e, const char *user, const char *routing_key, struct fault *fault)
{
    const char *words[KEY_WORDS + 1];
    char key[NAMES_SIZE];
    bool known = e->operation != NULL;

    if (strlen(routing_key) >= sizeof key)
        return fault_set(fault, FAULT_BAD_KEY, "routing key: too long");
    snprintf(key, sizeof key, "%s", routing_key);
    if (split(key, words) != KEY_WORDS)
        return fault_set(fault, FAULT_BAD_KEY, "routing key: expected %d words", KEY_WORDS);
    if (!word_is(words[0], user))
        return fault_set(fault, FAULT_BAD_KEY, "routing key: expected the user as first word");
    if (!word_is(words[1], event_class(e->kind)) || !type_agrees(e->kind, words[2]))
        return fault_set(fault, FAULT_BAD_KEY, "routing key: does not agree with the type");
    if (word_is(words[3], NULL) == known || (known && !ident_requester_valid(words[3])))
        return fault_set(fault, FAULT_BAD_KEY, "routing key: expected a requester, or -");
    if (!names_it(e, words[4], words[5]))
        return fault_set(fault, FAULT_BAD_KEY, "routing key: names another operation or task");
    return 0;
}

static int
decode(const struct event_delivery *delivery, struct event *e, struct fault *fault)
{
    if (read_envelope(e, fault) == -1)
        return -1;
    if (strcmp(e->worker, delivery->user) != 0)
        return fault_set(fault, FAULT_FOREIGN, "source: is not the sender");
    if (strcmp(event_class(e->kind), "attempt") == 0 && read_attempt(e, fault) == -1)
        return -1;
    if (check_key(e, delivery->user, delivery->routing_key, fault) == -1)
        return -1;
    return event_check(e->kind, e->data, fault);
}

static bool
is_progress(const struct event_delivery *delivery)
{
    const char *type = event_type(EVENT_PROGRESS);
    struct jsonskip_piece found;

    return jsonskip_member(delivery->body, delivery->len, "type", &found) &&
           found.len == strlen(type) + 2 && strncmp(found.text + 1, type, found.len - 2) == 0;
}

/* What a plug-in tells is stored as it came, and comes by the thousand: json-c would take each of
 * its members apart and put them together again.  It gets the event with nothing of `data` but its
 * kind.  NULL: not that simple, and nothing is wrong with it so far. */
static struct json_object *
open_thin(const struct event_delivery *delivery, struct event *out)
{
    CLEANUP(buf_free) struct buf thin = {0};
    struct jsonskip_piece data, kind;
    size_t head, tail;

    if (!is_progress(delivery) || !jsonskip_member(delivery->body, delivery->len, "data", &data) ||
        data.text[0] != '{' || !jsonskip_member(data.text, data.len, "kind", &kind))
        return NULL;
    head = (size_t)(data.text - delivery->body);
    tail = head + data.len;
    buf_add(&thin, delivery->body, head);
    buf_printf(&thin, "{\"kind\":%.*s}", (int)kind.len, kind.text);
    buf_add(&thin, delivery->body + tail, delivery->len - tail);
    out->whole_data = data;
    return json_parse_checked(thin.data, thin.len);
}

int
event_decode(const struct event_delivery *delivery, struct event *out, struct fault *fault)
{
    memset(out, 0, sizeof *out);
    if (delivery->user == NULL)
        return fault_set(fault, FAULT_NO_USER, "the message does not name its sender");
    if (fault_check(delivery->body, delivery->len, fault) == -1)
        return -1;
    out->root = open_thin(delivery, out);
    if (out->root == NULL)
        out->root = json_parse_checked(delivery->body, delivery->len);
    if (decode(delivery, out, fault) == 0)
        return 0;
    event_free(out);
    return -1;
}

void
event_free(struct event *event)
{
    json_object_put(event->root);
    memset(event, 0, sizeof *event);
}

void
event_slim(struct event *event)
{
    if (event->whole_data.text == NULL)
        return;
    json_object_put(event->root);
    event->root = event->data = NULL;
    event->id = event->worker = event->operation = NULL;
}

struct jsonskip_piece
event_whole_data(const struct event *event)
{
    struct jsonskip_piece whole = event->whole_data;

    if (whole.text == NULL)
        whole.text = json_text(event->data, &whole.len);
    return whole;
}

const char *
event_member(const struct event *event, const char *key)
{
    struct json_error err = {""};
    const char *text = NULL;

    if (json_get_string(event->data, key, true, SIZE_MAX, &text, &err) == -1)
        log_panic("unchecked event: %s", err.text);
    return text;
}
