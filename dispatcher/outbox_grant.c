/* Grants: to workers that have claimed ahead.  Most are made by the transactions of front ends, and the database tells
 * of each to one dispatcher that listens and can publish. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "dispatcher/outbox.h"
#include "proto/ident.h"
#include "proto/names.h"

static const char listen_sql[] = "SELECT hler_core.listen_to_grants($1, $2::bytea, $3::bytea)";
static const char ignore_sql[] = "SELECT hler_core.ignore_grants($1)";
static const char undelivered_sql[] = "SELECT hler_core.undelivered($1::uuid, $2::int, $3)";

#define NUMBER_SIZE 24

void
outbox_send_grant(struct outbox *outbox, const struct grant *grant)
{
    post_send(outbox->post,
              &(struct mq_message){.exchange = "",
                                   .routing_key = grant->control,
                                   .content_type = NAMES_JSON,
                                   .type = NAMES_TYPE_OFFER,
                                   .message_id = grant->id,
                                   .correlation_id = grant->answers,
                                   .body = grant->message,
                                   .len = grant->len,
                                   .mandatory = true},
              &(struct parcel_label){.kind = OUTBOX_GRANT, .name = grant->id});
    atomic_fetch_add(&outbox->flow->counters->granted, 1);
}

/* The next word of a note, which then begins behind it.  -1: there is none that fits. */
static int
take_word(const char **note, char word[NAMES_SIZE])
{
    const char *end = strchr(*note, ' ');

    if (end == NULL || end - *note >= NAMES_SIZE)
        return -1;
    memcpy(word, *note, (size_t)(end - *note));
    word[end - *note] = '\0';
    *note = end + 1;
    return 0;
}

static int
take_seal(const struct outbox *outbox, const char **note)
{
    char hex[NAMES_SIZE];

    if (take_word(note, hex) == -1 || strlen(hex) != SEAL_TEXT_CHARS)
        return -1;
    return seal_fits(&outbox->seal, hex, *note, strlen(*note)) ? 0 : -1;
}

void
outbox_grant_note(void *ctx, const char *note)
{
    char control[NAMES_SIZE], answers[NAMES_SIZE], id[NAMES_SIZE];
    struct outbox *outbox = ctx;

    if (note == NULL)
        outbox->hears_grants = false;
    else if (take_seal(outbox, &note) == -1 || take_word(&note, control) == -1 ||
             take_word(&note, answers) == -1 || take_word(&note, id) == -1)
        log_err("flow=outbox: somebody else speaks where the database tells of grants; ignored");
    else
        outbox_send_grant(outbox, &(struct grant){control, answers, id, note, strlen(note)});
}

static enum flow_status
listen(struct outbox *outbox)
{
    unsigned char inner[SEAL_BLOCK_BYTES], outer[SEAL_BLOCK_BYTES];
    const struct pg_param params[] = {
        {.value = outbox->flow->settings->id, .len = -1},
        {.value = (const char *)inner, .len = sizeof inner, .binary = true},
        {.value = (const char *)outer, .len = sizeof outer, .binary = true},
    };

    seal_pads(&outbox->seal, inner, outer);
    return flow_exec(outbox->flow, listen_sql, params, ARRAY_LEN(params), NULL);
}

static enum flow_status
ignore(struct outbox *outbox)
{
    const struct pg_param id = {.value = outbox->flow->settings->id, .len = -1};

    return flow_exec(outbox->flow, ignore_sql, &id, 1, NULL);
}

int
outbox_hear_grants(struct outbox *outbox, bool wanted)
{
    if (outbox->hears_grants == wanted)
        return 0;
    if ((wanted ? listen(outbox) : ignore(outbox)) == FLOW_OK) {
        outbox->hears_grants = wanted;
        return 0;
    }
    log_debug("flow=outbox: grants: %s", flow_why(outbox->flow));
    return -1;
}

/* The worker's session is gone.  Should this fail, another of its sessions is asked by and by. */
void
outbox_grant_settled(struct outbox *outbox, const char *id, enum mq_outcome outcome)
{
    struct attempt_name name;
    char attempt[NUMBER_SIZE];
    const struct pg_param params[] = {{.value = name.task, .len = -1},
                                      {.value = attempt, .len = -1},
                                      {.value = name.token, .len = -1}};

    if (outcome != MQ_RETURNED || ident_name_parse(id, &name) == -1)
        return;
    snprintf(attempt, sizeof attempt, "%d", (int)name.attempt);
    if (flow_exec(outbox->flow, undelivered_sql, params, ARRAY_LEN(params), NULL) == FLOW_OK)
        log_debug("attempt=%s: its worker's session is gone; offered again", id);
}
