/* Hand-over, grant, lease, fence and cancel of one task: see README.md beside this file.
 *
 * One process picks any step that can happen.  The network is a set of messages: it has no order, it may keep a message
 * after its delivery (a copy) and drop one, as often as FAULTS allows.  Time is TICKs; LEASE, CLAIM_WAIT and GRACE count
 * them, and several things may happen between two.  Attempt k is the k-th one, token and number in one.
 *
 * Guards that can be taken out: NO_CAS, NO_TOKEN, NO_LEASE, NO_INSTANCE, NO_START_AGE, NO_MARK,
 * NO_LEASE_HEARD, NO_GRACE_WAIT, NO_STOP, NO_REPORT, NO_ONCE.  Settings: REPEATABLE, CLONE, HANG, FAULTS, TERMINATION. */
#include "arrows.pml" /* made from ../transitions.json */

#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef HORIZON
#define HORIZON 30
#endif
#define LEASE 2      /* lost_after: of the runner, and of silence */
#define CLAIM_WAIT 1 /* half of it, as in the settings */
#define GRACE 1      /* most that a runner takes to end its tree: lease / 2 */
#ifdef NO_GRACE_WAIT
#define OVER LEASE
#else
#define OVER (LEASE + GRACE)
#endif
#define M 2 /* machines with a worker and its spool */
#define A 2 /* attempts */
#define NOBODY 2
#ifdef CLONE
#define ID(m) 0 /* the second is a copy of the first: same id, a spool with another instance */
#else
#define ID(m) m
#endif
#define AT(m, a) (A * (m) + (a))

/* What a worker has of an attempt.  STARTING: its directory is made, the runner is asked for. */
#define NOTHING 0
#define CLAIMED 1
#define STARTING 2
#define RUNNING 3
#define ENDED 4 /* the journal has its end record; kept in the spool, then in done/ */
#define LOST 5  /* the runner went without one */

/* Tables */
byte task = TASK_READY;
byte at[A];            /* state of each attempt; 0: there is no such row */
byte newest = NOBODY;  /* the task's attempt */
byte owner[A];         /* machine, which stands for worker and instance */
bool ran[A], over[A], lost_said[A], declined[A];
bool over_stopped[A];  /* the end says cancelled, or its lease passed */
bool over_lease[A];
bool to_stop[A], cancel_asked;
byte lost_for[A];      /* ticks since it is lost */
byte silent[M];        /* by worker id: ticks since a heartbeat */
byte instance[M];      /* by worker id: the machine that is heard under it */

/* Messages under way */
bool offer[A];
bool claim[M * A], answer[M * A], stopping[M * A], report[M * A];
bool standing[M];                   /* tables: a claim made ahead; sent and noted in one step */
byte standing_for[M];               /* ticks since it was sent */
bool given_back[A];                 /* a grant that the broker had no queue for: nobody has it */
bool direct[M * A];                 /* an offer that is granted already, in answer to it */
bool said_start[A], said_end[A], said_lost[A]; /* by the owner; another's would be `foreign` */
bool said_decline[M * A];
bool copy; /* the next message delivered stays in the network: there was another copy */
/* A heartbeat with its answer is one step: see README.md why that loses nothing. */

/* Workers and runners */
byte has[M * A], claim_age[M * A];
bool stop_wanted[M * A], barred[M * A];
bool alive[M * A];  /* the program and its runner */
byte lease[M * A];  /* ticks until the runner has ended its tree */
bool gone[M];       /* the machine will not come back */

/* For the checks only */
byte faults = FAULTS;
byte starts[A];
bool taken;
byte horizon = HORIZON;
bool armed = 1; /* faults may come */
#define MAY_FAIL (armed && faults > 0)

inline move(a, to) {
    assert(at[a] == to || attempt_arrow(at[a], to));
    at[a] = to
}

inline move_task(to) {
    assert(task == to || task_arrow(task, to));
    task = to
}

#include "tables.pml"
#include "worker.pml"

/* --- faults --- */

/* kill -9 of a worker, or its restart: what is in memory only is gone.  Offers that it had not acknowledged come again. */
inline crash_of(m, a) {
    offer[a] = offer[a] || barred[AT(m, a)] || has[AT(m, a)] == CLAIMED;
    answer[AT(m, a)] = 0;
    direct[AT(m, a)] = 0;
    stopping[AT(m, a)] = 0;
    report[AT(m, a)] = 0;
    if
    :: has[AT(m, a)] == CLAIMED -> has[AT(m, a)] = NOTHING; claim_age[AT(m, a)] = 0
    :: has[AT(m, a)] == STARTING -> decline(m, a)
    :: else
    fi;
#ifdef NO_MARK
    barred[AT(m, a)] = 0;
#endif
    if
    :: has[AT(m, a)] < RUNNING -> stop_wanted[AT(m, a)] = 0
    :: else
    fi
}

inline crash(m) {
    crash_of(m, 0);
    crash_of(m, 1)
}

inline kill_runner(m, a) {
    alive[AT(m, a)] = 0;
    lease[AT(m, a)] = 0
}

inline destroy(m) {
    gone[m] = 1;
    kill_runner(m, 0);
    kill_runner(m, 1);
    has[AT(m, 0)] = NOTHING; has[AT(m, 1)] = NOTHING;
    claim_age[AT(m, 0)] = 0; claim_age[AT(m, 1)] = 0
}

#define LOSE(message) :: d_step { MAY_FAIL && message -> message = 0; faults-- }

#define FAULTS_OF(a) \
    LOSE(offer[a]) LOSE(said_start[a]) LOSE(said_end[a]) LOSE(said_lost[a])
#define FAULTS_AND(m, a) \
    LOSE(claim[AT(m, a)]) LOSE(answer[AT(m, a)]) LOSE(direct[AT(m, a)]) LOSE(stopping[AT(m, a)]) LOSE(report[AT(m, a)]) \
    LOSE(said_decline[AT(m, a)]) \
    :: d_step { MAY_FAIL && alive[AT(m, a)] -> kill_runner(m, a); faults-- }
#define FAULTS_ON(m) \
    :: d_step { MAY_FAIL && BEATS(m) -> heartbeat(m, 0); faults-- } \
    :: d_step { MAY_FAIL && !gone[m] -> crash(m); faults-- }

/* --- time --- */

inline older(counter, most) {
    if
    :: counter < most -> counter++
    :: else
    fi
}

#ifdef NO_LEASE
#define LEASE_HOLDS(m, a) true
#else
#define LEASE_HOLDS(m, a) (!REPEATABLE || !WHOLE(a) || !alive[AT(m, a)] || lease[AT(m, a)] > 0)
#endif

inline tick_of(m, a) {
    if
    :: WHOLE(a) && (has[AT(m, a)] == CLAIMED || has[AT(m, a)] == STARTING || direct[AT(m, a)]) -> older(claim_age[AT(m, a)], LEASE)
    :: else
    fi;
    if
    :: lease[AT(m, a)] > 0 -> lease[AT(m, a)]--
    :: else
    fi
}

inline older_silence(m) {
    if
    :: instance[ID(m)] != NOBODY && ID(m) == m && CONCERNED_ID(m) -> older(silent[m], LEASE + 1)
    :: else -> silent[m] = 0
    fi
}

inline tick() {
    tick_of(0, 0); tick_of(0, 1); tick_of(1, 0); tick_of(1, 1);
    if :: standing[0] -> older(standing_for[0], LEASE) :: else fi;
    if :: standing[1] -> older(standing_for[1], LEASE) :: else fi;
    older_silence(0);
    older_silence(1);
    if :: at[0] == ATTEMPT_LOST -> older(lost_for[0], OVER + 1) :: else fi;
    if :: WHOLE(1) && at[1] == ATTEMPT_LOST -> older(lost_for[1], OVER + 1) :: else fi
}

/* No tree outlives its lease: where the runner lives it ends the tree before the next tick. */
#define TIME_MAY_PASS (LEASE_HOLDS(0, 0) && LEASE_HOLDS(0, 1) && LEASE_HOLDS(1, 0) && LEASE_HOLDS(1, 1))

#define DONE (task == TASK_SUCCEEDED || task == TASK_FAILED || task == TASK_CANCELLED)
#define QUIET (!alive[0] && !alive[1] && !alive[2] && !alive[3])

init {
    owner[0] = NOBODY; owner[1] = NOBODY;
    instance[0] = NOBODY; instance[1] = NOBODY;
    do
    :: d_step { task == TASK_READY || task == TASK_WAITING -> offer_due() }
    :: d_step { (task == TASK_READY || task == TASK_WAITING) && STANDING(0) -> grant_due(0) }
    :: d_step { (task == TASK_READY || task == TASK_WAITING) && STANDING(1) -> grant_due(1) }
    :: d_step { MAY_FAIL && (task == TASK_READY || task == TASK_WAITING) && STANDING(0) ->
        grant_due(0); give_back(0); faults-- }
    :: d_step { STANDS(0) -> stand(0) }
    :: d_step { STANDS(1) -> stand(1) }
    :: d_step { !cancel_asked && !DONE && CANCEL -> cancel() }
    DISPATCHER_OF(0)
    DISPATCHER_OF(1)
    DISPATCHER_AND(0, 0)
    DISPATCHER_AND(0, 1)
    DISPATCHER_AND(1, 0)
    DISPATCHER_AND(1, 1)
    :: d_step { BEATS(0) -> heartbeat(0, 1) }
    :: d_step { BEATS(1) -> heartbeat(1, 1) }
    WORKER_AND(0, 0)
    WORKER_AND(0, 1)
    WORKER_AND(1, 0)
    WORKER_AND(1, 1)
    FAULTS_OF(0)
#ifdef TERMINATION
    FAULTS_OF(1)
#endif
    FAULTS_ON(0)
    FAULTS_ON(1)
    FAULTS_AND(0, 0)
    FAULTS_AND(1, 0)
#ifdef TERMINATION
    FAULTS_AND(0, 1)
    FAULTS_AND(1, 1)
#endif
    :: d_step { MAY_FAIL && !gone[0] -> destroy(0); faults-- }
    :: d_step { MAY_FAIL && !copy -> copy = 1; faults-- }
#ifdef TERMINATION
    :: d_step { armed && faults > 0 -> armed = 0 } /* nothing fails before the next tick */
    :: d_step { MAY_FAIL && TIME_MAY_PASS -> tick(); faults-- } /* everybody was slow */
    :: else ->
        /* Nothing is left to do but to wait; or for a person, where the machine is gone for good. */
        if
        :: DONE && QUIET -> break
        :: task == TASK_HELD && !cancel_asked -> d_step { cancel() }
        :: HANG && task == TASK_RUNNING && !cancel_asked -> d_step { cancel() }
        :: else -> d_step { assert(TIME_MAY_PASS); assert(horizon > 0); horizon--; armed = 1; tick() }
        fi
#else
    :: d_step { TIME_MAY_PASS -> tick() }
#endif
    od
}
