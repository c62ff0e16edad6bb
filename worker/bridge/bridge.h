#ifndef BRIDGE_BRIDGE_H
#define BRIDGE_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/loop.h"
#include "common/mq.h"
#include "proto/claim.h"
#include "worker/bridge/acks.h"
#include "worker/bridge/attempt.h"
#include "worker/bridge/attempt_dir.h"
#include "worker/bridge/done.h"
#include "worker/bridge/executors.h"
#include "worker/bridge/link.h"
#include "worker/bridge/settings.h"
#include "worker/bridge/spool.h"

/* The worker: AMQP on one side, the spool on the other, one thread.  Each module owns
 * the members under its name and is called through the functions below. */

#define WATCH_BUCKETS 256
#define STANDING_REMEMBERED 4

enum { CONSUMER_TASKS, CONSUMER_CONTROL };

struct spawner;
struct notice;

struct bridge {
    struct settings settings;
    struct loop *loop;
    struct spool spool;
    struct executors executors;
    struct attempts attempts;
    struct done done;
    struct link links[STREAMS];

    struct consumer { /* consumer.c */
        struct mq *mq;
        char session[UUID_TEXT_SIZE]; /* new with each connection */
        char control_queue[NAMES_SIZE];
        char task_queue[NAMES_SIZE];
        bool consuming;
        uint64_t epoch;     /* counts connections: delivery tags of another one are void */
        int64_t prefetch;   /* of the present consumer of tasks */
        int64_t unacked;    /* its deliveries that are not acknowledged */
        uint64_t first_tag; /* deliveries below belong to an earlier consumer */
        uint64_t last_tag;  /* of the newest delivery */
        struct loop_timer *adjust;
        struct acks acks; /* what is to be acknowledged, and may be */
        struct loop_timer *ack_timer;
    } consumer;

    struct { /* claims.c */
        int64_t number;
        struct answer answer; /* the newest */
        size_t taken;         /* so many of its items are done */
    } claims;

    struct { /* standing.c */
        struct standing_claim {
            int64_t number;  /* 0 = none */
            int64_t made_ns; /* CLOCK_BOOTTIME */
        } made[STANDING_REMEMBERED];
        size_t next;
        bool open;          /* the newest is not answered */
        int64_t offered_ns; /* when an offer last came by the pool's queue */
        struct loop_timer *timer;
    } standing;

    struct {                       /* orders.c */
        struct stop_memory *stops; /* for attempts that were not offered yet */
        size_t next;
    } orders;

    struct { /* notices.c */
        struct notice *first, *last;
        int64_t rejected; /* counts worker.rejected events */
    } notices;

    struct heartbeat { /* heartbeat.c */
        struct loop_timer *timer;
        int64_t number;               /* of the last one sent */
        int64_t answered;             /* of the last one answered */
        int64_t sent_ns;              /* of the last one, CLOCK_BOOTTIME */
        bool silence_told;            /* the line about missing answers was written */
        bool started_sent;            /* worker.started went out */
        char session[UUID_TEXT_SIZE]; /* of the last one */
        struct loop_timer *soon;
    } heartbeat;

    struct { /* watch.c */
        int fd;
        struct loop_source *source;
        struct attempt *buckets[WATCH_BUCKETS];
        struct loop_timer *gather; /* until the next look */
        int64_t looked_ns;
    } watches;
    struct loop_timer *sweep; /* sender.c */

    struct { /* launch.c */
        struct spawner *spawner;
        struct loop_source *source;
        struct loop_timer *restart;
    } launch;

    struct {        /* bridge.c */
        char *path; /* of the worker's control group; NULL = none */
        int fd;     /* -1 then */
    } groups;

    struct {           /* drain.c */
        bool draining; /* takes nothing new */
        bool stopping; /* and ends soon */
        bool said_stopped;
        int64_t until_ns; /* what is not sent by then is left to the next worker */
        struct loop_timer *timer;
    } drain;

    char note[200]; /* for heartbeats: why nothing is taken */
    bool full;      /* the spool has no room */
    bool leftover;  /* a closed attempt's directory could not be removed */
    size_t
        attempts_max; /* that may be here at once, those included whose events are on their way */
    int64_t unread_until_ns; /* when what could not be read is looked at again; 0 = all was */
    int64_t paused_until_ns; /* nothing could be started just now */
    struct loop_timer *tick;
};

/* --- bridge.c --- */
int bridge_open(struct bridge *b) MUST_CHECK; /* 0, or the program's exit code; logged */
void bridge_run(struct bridge *b);            /* until told to stop */
void bridge_close(struct bridge *b);
struct mq_config bridge_mq_config(const struct bridge *b, const char *part);

/* --- consumer.c: the connection that offers and orders come in by --- */
void consumer_init(struct bridge *b);
void consumer_free(struct bridge *b);
/* Free slots have changed: take more, or fewer. */
void consumer_adjust(struct bridge *b);
/* Take nothing new until consumer_adjust(). */
void consumer_pause(struct bridge *b);
/* Acknowledge the delivery of an attempt, if it still has one. */
void consumer_ack(struct bridge *b, struct attempt *attempt);
/* Leave an offer to another worker. */
void consumer_give_back(struct bridge *b, struct attempt *attempt);
void consumer_ack_tag(struct bridge *b, uint64_t epoch, uint64_t tag); /* tag 0: nothing */
int64_t consumer_free_slots(const struct bridge *b);
bool consumer_wants_work(const struct bridge *b);

/* --- offers.c --- */
void offers_delivery(struct bridge *b, const struct mq_delivery *delivery);
/* Make an attempt, AT_WAITING, of an offer.  NULL: it cannot be understood, which is told, or is
 * known already. */
struct attempt *offers_take(struct bridge *b, const struct mq_delivery *delivery);
/* Every second: acknowledge what was held long enough. */
void offers_tick(struct bridge *b);
/* What came when the last slot was just taken: offers go back to the queue, grants are declined. */
void offers_give_back(struct bridge *b);

/* --- flood.c --- */
/* Output floods: ask whether tasks start elsewhere; orders_delivery() gets the answer. */
void flood_ask(struct bridge *b);

/* --- claims.c --- */
/* Claim all that waits, in as few messages as possible. */
void claims_flush(struct bridge *b);
void claims_answer(struct bridge *b, const struct answer *answer);
/* Send one message.  -1: not now. */
int claims_publish(struct bridge *b, struct claim *claim) MUST_CHECK;
/* An attempt that is claimed was granted: start it, unless that is too late or not wanted. */
void claims_granted(struct bridge *b, struct attempt *attempt);
/* The claim with this number did not reach the queue, or its answer cannot come. */
void claims_failed(struct bridge *b, int64_t number);
void claims_session_lost(struct bridge *b);
void claims_tick(struct bridge *b);

/* --- standing.c: claims made ahead --- */
void standing_init(struct bridge *b);
void standing_free(struct bridge *b);
/* Make one for a heartbeat to carry.  Its number; 0 = nothing is wanted. */
int64_t standing_make(struct bridge *b);
/* There may be room: send one soon, if none is open. */
void standing_soon(struct bridge *b);
/* An offer came by the control queue: it is granted, in answer to one. */
void standing_delivery(struct bridge *b, const struct mq_delivery *delivery);
void standing_session_lost(struct bridge *b);
/* Is the last slot to be left to an answer that may be on its way?  For a moment, then false. */
bool standing_reserves(struct bridge *b, const struct attempt *attempt);

/* --- orders.c: control messages --- */
void orders_delivery(struct bridge *b, const struct mq_delivery *delivery);
void orders_init(struct bridge *b);
void orders_free(struct bridge *b);
/* Was a stop sent for this attempt before its offer came? Then it is noted in it. */
void orders_recall_stop(const struct bridge *b, struct attempt *attempt);
/* A last word (refused, declined) was said of it: a later copy of its offer may be claimed
 * and granted before that word is recorded, and must still not start. */
void orders_never_start(struct bridge *b, const struct attempt_name *name);
/* Write a line to the FIFO of its runner, if there is one. */
void orders_tell_runner(struct bridge *b, const struct attempt *attempt, const char *line);
/* Pass a remembered stop on to the runner. */
void orders_stop_runner(struct bridge *b, struct attempt *attempt);

/* --- heartbeat.c --- */
#define HEARTBEAT_HELD_MAX 4000 /* about half of what a message may hold */
void heartbeat_init(struct bridge *b);
void heartbeat_free(struct bridge *b);
/* One was answered: the tables know this worker. */
bool heartbeat_is_known(const struct bridge *b);
/* Something that it tells has changed much: send one soon. */
void heartbeat_soon(struct bridge *b);
void heartbeat_answered(struct bridge *b, const struct control *beat);

/* --- launch.c: the spawner --- */
int launch_init(struct bridge *b) MUST_CHECK;
void launch_free(struct bridge *b);
/* Directories for attempts to come, where time matters less. */
void launch_make_ahead(struct bridge *b);
/* Granted: ask for a runner. */
void launch_start(struct bridge *b, struct attempt *attempt);

/* --- notices.c: events that are not from a journal --- */
enum notice_then {
    NOTICE_THEN_NOTHING,
    NOTICE_THEN_CLOSE, /* forget the attempt and its directory */
    NOTICE_THEN_DONE   /* move its directory to done/ */
};
/* Queue one about an attempt; data is one JSON value. */
void notices_attempt(struct bridge *b, struct attempt *attempt, enum event_kind kind,
                     const struct buf *data, enum notice_then then);
/* The same for an attempt of which only the name is known. */
void notices_stranger(struct bridge *b, const struct attempt_name *name, enum event_kind kind,
                      const struct buf *data);
void notices_worker(struct bridge *b, enum event_kind kind, int64_t number, const struct buf *data);
/* worker.rejected; the delivery is acknowledged when it has arrived. */
void notices_rejected(struct bridge *b, const struct mq_delivery *delivery,
                      const struct fault *fault);
int notices_pump(struct bridge *b); /* -1: no room on the connection */
void notices_settled(struct bridge *b, struct notice *notice, bool arrived);
void notices_forget_attempt(struct bridge *b, const struct attempt *attempt);
bool notices_pending(const struct bridge *b);
void notices_free(struct bridge *b);

/* --- closing.c: attempts that will not run here --- */
void closing_refuse(struct bridge *b, struct attempt *attempt, const char *cause,
                    const char *message);
void closing_decline(struct bridge *b, struct attempt *attempt, const char *message);
/* Forget it without a word, acknowledging its delivery. */
void closing_drop(struct bridge *b, struct attempt *attempt);

/* --- sender.c: journals to events --- */
int sender_init(struct bridge *b) MUST_CHECK;
void sender_free(struct bridge *b);
/* Something was written to the journal, or its last writer has gone. */
void sender_look(struct bridge *b, struct attempt *attempt);
/* Open the journal of an attempt (its directory's, or done/'s) and follow it from what
 * was confirmed before.  -1 with ENOENT: there is none; or -1 after logging. */
int sender_open(struct bridge *b, struct attempt *attempt) MUST_CHECK;
void sender_close(struct bridge *b, struct attempt *attempt);
/* Is there an end record in the journal?  1, 0, or -1: it cannot be read just now. */
int sender_has_end(const struct attempt *attempt);
/* The runner has let go of the journal. */
void sender_runner_over(struct bridge *b, struct attempt *attempt);
/* So it has, and the end record is there. */
void sender_ended(struct bridge *b, struct attempt *attempt);
/* Remember what is confirmed, before the end of the program. */
void sender_flush_offsets(struct bridge *b);
/* For link.c: a stream had no more to read; a publish of the attempt was settled. */
void sender_dry(struct bridge *b, struct stream *stream);
void sender_settled(struct bridge *b, struct attempt *attempt);
/* Everything is confirmed: keep it below done/ and forget it here. */
void sender_finish(struct bridge *b, struct attempt *attempt);
/* Send everything again. */
void sender_resend(struct bridge *b, struct attempt *attempt);
void sender_wake(struct bridge *b, struct attempt *attempt);
int64_t sender_oldest_unsent_ms(const struct bridge *b);
int64_t sender_bytes(const struct bridge *b); /* of the journals that are open */
bool sender_all_sent(const struct bridge *b);

/* --- watch.c: which journals have something new --- */
int watch_init(struct bridge *b) MUST_CHECK;
void watch_free(struct bridge *b);
/* Until watch_remove().  A failure is logged, and the sweep finds what is new instead. */
void watch_add(struct bridge *b, struct attempt *attempt);
void watch_remove(struct bridge *b, struct attempt *attempt);

/* --- lost.c --- */
/* The runner is gone without an end: end what it left, and tell. */
void lost_found(struct bridge *b, struct attempt *attempt, const char *cause);
/* It was found before; read what was said then.  false: it was not. */
bool lost_recall(struct bridge *b, struct attempt *attempt);
void lost_tell(struct bridge *b, struct attempt *attempt);
/* Of one whose name is all that is left of it: a power cut took the rest. */
void lost_tell_stranger(struct bridge *b, const struct attempt_name *name);

/* --- adopt.c --- */
/* Go on with what the spool holds. */
int adopt_all(struct bridge *b) MUST_CHECK;
/* Once more what could not be removed when its attempt was closed, and what could not be read. */
void adopt_sweep(struct bridge *b);
/* Is it in the spool or below done/, though nobody could read what it is?  Then it may be running, or have run: nobody may
 * say that it did not. */
bool adopt_is_unread(const struct bridge *b, const struct attempt_name *name);
/* Bring one from done/ back to be sent again.  NULL: there is none, or it cannot be read; what never can be is told as lost. */
struct attempt *adopt_done(struct bridge *b, const struct attempt_name *name);
/* After a spawner died with a request: what became of it? */
void adopt_started(struct bridge *b, struct attempt *attempt);

/* --- drain.c --- */
void drain_init(struct bridge *b);
void drain_free(struct bridge *b);
void drain_start(struct bridge *b);  /* take nothing new */
void drain_resume(struct bridge *b); /* take work again, unless it is ending */
void drain_stop(struct bridge *b);   /* take nothing new, and end */

#endif
