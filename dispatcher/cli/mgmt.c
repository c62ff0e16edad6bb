/* The management API over libcurl. */
#include "dispatcher/cli/mgmt.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define TIMEOUT_S 10L
#define ANSWER_MAX (64u * 1024u * 1024u)
#define HTTP_OK 200
#define HTTP_REDIRECT 300
#define HTTP_UNAUTHORIZED 401

struct mgmt {
    CURL *curl;
    struct curl_slist *headers;
    const struct settings *settings;
};

int
mgmt_new(struct cli *cli, struct mgmt **mgmt)
{
    const struct settings *s = &cli->settings;

    *mgmt = NULL;
    if (s->management_url[0] == '\0') {
        cli_say("management.url is not set: give it in the settings (--config, $HLER_CONFIG)");
        return CLI_USAGE;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        cli_say("libcurl cannot be started");
        return CLI_FAILED;
    }
    struct mgmt *m = mem_alloc(sizeof *m);
    m->settings = s;
    m->curl = curl_easy_init();
    m->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (m->curl == NULL || m->headers == NULL) {
        mgmt_free(m);
        cli_say("libcurl cannot be started");
        return CLI_FAILED;
    }
    *mgmt = m;
    return CLI_OK;
}

void
mgmt_free(struct mgmt *mgmt)
{
    if (mgmt == NULL)
        return;
    curl_slist_free_all(mgmt->headers);
    curl_easy_cleanup(mgmt->curl);
    free(mgmt);
}

void
mgmt_path(struct buf *out, const char *const *parts)
{
    for (size_t i = 0; parts[i] != NULL; i++) {
        buf_puts(out, "/");
        for (const char *p = parts[i]; *p != '\0'; p++)
            if (isalnum((unsigned char)*p) || strchr("-._~", *p) != NULL)
                buf_add(out, p, 1);
            else
                buf_printf(out, "%%%02X", (unsigned char)*p);
    }
}

static size_t
take(char *data, size_t size, size_t n, void *ctx)
{
    struct buf *body = ctx;

    if (body->len + size * n > ANSWER_MAX)
        return 0; /* libcurl then gives the transfer up */
    buf_add(body, data, size * n);
    return size * n;
}

static void
set_request(struct mgmt *m, const char *method, const char *url, struct buf *answer)
{
    curl_easy_reset(m->curl);
    curl_easy_setopt(m->curl, CURLOPT_URL, url);
    curl_easy_setopt(m->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(m->curl, CURLOPT_USERNAME, m->settings->management_user);
    curl_easy_setopt(m->curl, CURLOPT_PASSWORD, m->settings->management_password);
    curl_easy_setopt(m->curl, CURLOPT_HTTPHEADER, m->headers);
    curl_easy_setopt(m->curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(m->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(m->curl, CURLOPT_NOSIGNAL, 1L);
    /* The broker is ours: a proxy set for the way out must not see its password. */
    curl_easy_setopt(m->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(m->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(m->curl, CURLOPT_WRITEDATA, answer);
}

int
mgmt_call(struct mgmt *mgmt, const char *method, const char *path, struct json_object *body,
          struct mgmt_answer *answer)
{
    CLEANUP(buf_free) struct buf url = {0};
    CLEANUP(buf_free) struct buf text = {0};

    *answer = (struct mgmt_answer){0};
    buf_printf(&url, "%s/api%s", mgmt->settings->management_url, path);
    set_request(mgmt, method, url.data, &text);
    if (body != NULL)
        curl_easy_setopt(mgmt->curl, CURLOPT_POSTFIELDS, json_text(body, NULL));
    CURLcode code = curl_easy_perform(mgmt->curl);
    if (code != CURLE_OK) {
        cli_say("cannot reach the broker's management API at %s: %s",
                mgmt->settings->management_url, curl_easy_strerror(code));
        cli_say("check that the broker runs with rabbitmq_management, and management.url");
        return CLI_UNREACHABLE;
    }
    curl_easy_getinfo(mgmt->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    if (answer->status == HTTP_UNAUTHORIZED) {
        cli_say("the broker does not know user %s with this password, or it lacks the "
                "administrator tag: check management.user and management.password",
                mgmt->settings->management_user);
        return CLI_UNREACHABLE;
    }
    answer->body = text.len > 0 ? json_tokener_parse(text.data) : NULL;
    return CLI_OK;
}

void
mgmt_answer_free(struct mgmt_answer *answer)
{
    json_object_put(answer->body);
    answer->body = NULL;
}

int
mgmt_change(struct mgmt *mgmt, const char *method, const char *path, struct json_object *body)
{
    CLEANUP(mgmt_answer_free) struct mgmt_answer answer = {0};
    struct json_object *reason = NULL;
    int code = mgmt_call(mgmt, method, path, body, &answer);

    if (code != CLI_OK || (answer.status >= HTTP_OK && answer.status < HTTP_REDIRECT))
        return code;
    if (json_object_is_type(answer.body, json_type_object))
        json_object_object_get_ex(answer.body, "reason", &reason);
    cli_say("the broker refused %s %s: %ld %s", method, path, answer.status,
            reason != NULL ? json_object_get_string(reason) : "");
    return CLI_FAILED;
}
