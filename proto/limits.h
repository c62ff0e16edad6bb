#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

/* The numbers of protocol section 1: one set for every hop. */

#define LIMIT_MESSAGE_BYTES (1024u * 1024u) /* any AMQP body, checked before it is parsed */
#define LIMIT_INPUTS_BYTES (256u * 1024u)   /* inputs of an operation, as text */
#define LIMIT_OUTPUTS_BYTES (64u * 1024u)   /* outputs of a task, as text */
#define LIMIT_VALUE_BYTES (64u * 1024u)     /* value of one result, as text */
#define LIMIT_OUTPUT_BYTES (64u * 1024u)    /* bytes of output in one event */
#define LIMIT_BATCH_EVENTS 64               /* events in one message */
#define LIMIT_CLAIMS 64                     /* attempts in one claim message */
#define LIMIT_SLOTS 10000                   /* of one worker */
#define LIMIT_END_MESSAGE_BYTES 1000        /* message line of an end */
#define LIMIT_ID_BYTES 40           /* worker, pool, executor, task name, listener, requester */
#define LIMIT_TYPE_BYTES 80         /* operation type */
#define LIMIT_FIELD_BYTES 63        /* name of an input, output or result */
#define LIMIT_TRACEPARENT_BYTES 128 /* W3C trace context */
#define LIMIT_REJECTED_BYTES 4096   /* of a message that was not understood, kept */
#define LIMIT_ROUTING_KEY_BYTES 255 /* AMQP 0-9-1 short string */
#define LIMIT_SAFE_INTEGER INT64_C(9007199254740992) /* 2^53 */
#define LIMIT_SPAN_MS INT64_C(315360000000)          /* ten years: no duration is longer */

#endif
