#include "worker/executors/terraform_stream.h"

#include <stdio.h>
#include <string.h>

#include "worker/executors/report.h"

#define EVENT_BYTES_MAX (16u * 1024u)
#define LOCK_WORDS "Error acquiring the state lock"

static const char *
text_of(struct json_object *object, const char *key)
{
    struct json_object *value = json_object_object_get(object, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static void
keep_error(struct terraform_stream *s, const char *summary, const char *detail)
{
    if (strstr(summary, LOCK_WORDS) != NULL)
        s->locked = true;
    if (s->error.len > 0)
        return;
    buf_puts(&s->error, summary);
    if (detail != NULL && detail[0] != '\0')
        buf_printf(&s->error, ": %s", detail);
}

static void
take_diagnostic(struct terraform_stream *s, struct json_object *message)
{
    struct json_object *diagnostic = json_object_object_get(message, "diagnostic");
    const char *severity = text_of(diagnostic, "severity");
    const char *summary = text_of(diagnostic, "summary");
    const char *detail = text_of(diagnostic, "detail");

    if (detail != NULL && detail[0] != '\0')
        printf("%s\n", detail);
    if (severity != NULL && strcmp(severity, "error") == 0)
        keep_error(s, summary == NULL ? "error" : summary, detail);
}

/* There are two such messages: the plan's, without values, and then the real one. */
static void
take_outputs(struct terraform_stream *s, struct json_object *message)
{
    json_object_put(s->outputs);
    s->outputs = json_object_get(json_object_object_get(message, "outputs"));
}

/* apply_start, apply_progress, apply_complete and apply_errored, cut down to what people watch. */
static void
send_progress(struct terraform_stream *s, const char *type, struct json_object *message)
{
    CLEANUP(json_cleanup) struct json_object *event = json_object_new_object();
    struct json_object *hook = json_object_object_get(message, "hook");
    struct json_object *elapsed = json_object_object_get(hook, "elapsed_seconds");
    char why[REPORT_WHY_SIZE];
    const char *text;
    size_t len;

    json_set_string(event, "kind", "terraform");
    json_set_string(event, "event", type);
    json_set_string(event, "resource", text_of(json_object_object_get(hook, "resource"), "addr"));
    json_set_string(event, "action", text_of(hook, "action"));
    if (elapsed != NULL)
        json_add(event, "elapsed_s", json_object_get(elapsed));
    text = json_text(event, &len);
    if (len > EVENT_BYTES_MAX || s->report_failed)
        return;
    if (report_progress(s->report, text, len, why) == -1) {
        s->report_failed = true;
        fprintf(stderr, "terraform: no more events: %s\n", why);
    }
}

void
terraform_stream_line(void *ctx, char *text, size_t len)
{
    CLEANUP(json_cleanup) struct json_object *message = NULL;
    struct terraform_stream *s = ctx;
    struct json_error err;
    const char *type, *human;

    message = json_parse(text, len, &err);
    if (message == NULL) {
        if (strstr(text, "\"type\":\"outputs\"") != NULL)
            s->outputs_unread = true;
        terraform_stream_text(ctx, text, len);
        return;
    }
    human = text_of(message, "@message");
    type = text_of(message, "type");
    if (human != NULL)
        printf("%s\n", human);
    if (type != NULL && strcmp(type, "diagnostic") == 0)
        take_diagnostic(s, message);
    else if (type != NULL && strncmp(type, "apply_", sizeof "apply_" - 1) == 0)
        send_progress(s, type, message);
    else if (type != NULL && strcmp(type, "outputs") == 0)
        take_outputs(s, message);
    fflush(stdout);
}

void
terraform_stream_text(void *ctx, char *text, size_t len)
{
    static const char frame[] = "\u2502 "; /* the line that Terraform draws beside an error */
    static const char mark[] = "Error: ";
    struct terraform_stream *s = ctx;

    fwrite(text, 1, len, stderr);
    fputc('\n', stderr);
    if (strncmp(text, frame, sizeof frame - 1) == 0)
        text += sizeof frame - 1;
    if (strncmp(text, mark, sizeof mark - 1) == 0)
        keep_error(s, text + sizeof mark - 1, NULL);
}

void
terraform_stream_free(struct terraform_stream *stream)
{
    buf_free(&stream->error);
    json_object_put(stream->outputs);
}
