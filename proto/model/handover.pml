/* Hand-over, grant, lease, fence and cancel of one task: see README.md beside this file.
 *
 * One process picks any step that can happen.  The network is a set of messages: it has no order, it may keep a message
 * after its delivery (a copy) and drop one, as often as FAULTS allows.  Time is TICKs; LEASE, CLAIM_WAIT and GRACE count
 * them, and several things may happen between two.  Attempt k is the k-th one, token and number in one.
 *
 * Guards that can be taken out: NO_CAS, NO_TOKEN, NO_LEASE, NO_INSTANCE, NO_START_AGE, NO_MARK,
 * NO_LEASE_HEARD, NO_GRACE_WAIT, NO_STOP, NO_REPORT.  Settings: REPEATABLE, CLONE, HANG, FAULTS, TERMINATION. */
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

/* --- tables: hler_core.settle() of 0009, in its order --- */

#define SAID_LOST(a) (lost_said[a] || declined[a] && ran[a])
#define END_OF(a) (over_stopped[a] -> ATTEMPT_CANCELLED : (over_lease[a] -> ATTEMPT_FAILED : ATTEMPT_SUCCEEDED))
#define HAS_ENDED(a) (at[a] == ATTEMPT_SUCCEEDED || at[a] == ATTEMPT_FAILED || at[a] == ATTEMPT_CANCELLED)
#define NEVER_RAN(a) (!ran[a] && declined[a] && (at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_LOST && !lost_said[a]))

inline settle_attempt(a) {
    if
    :: NEVER_RAN(a) -> move(a, ATTEMPT_VOID)
    :: else ->
        if
        :: at[a] == ATTEMPT_OFFERED && (ran[a] || SAID_LOST(a)) -> move(a, ATTEMPT_GRANTED)
        :: else
        fi;
        if
        :: (at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_LOST) && ran[a] && (!SAID_LOST(a) || over[a]) ->
            move(a, ATTEMPT_STARTED)
        :: else
        fi;
        if
        :: (at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_STARTED) && SAID_LOST(a) && !over[a] ->
            move(a, ATTEMPT_LOST); lost_for[a] = 0
        :: else
        fi;
        if
        :: (at[a] == ATTEMPT_STARTED || at[a] == ATTEMPT_LOST) && over[a] -> move(a, END_OF(a))
        :: else
        fi
    fi
}

inline settle_task(a) {
    if
    :: newest == a ->
        if
        :: at[a] == ATTEMPT_LOST && (task == TASK_QUEUED || task == TASK_RUNNING) -> move_task(TASK_HELD)
        :: (at[a] == ATTEMPT_STARTED || HAS_ENDED(a)) && (task == TASK_QUEUED || task == TASK_HELD) ->
            move_task(TASK_RUNNING)
        :: else
        fi;
        if
        :: task == TASK_RUNNING && HAS_ENDED(a) ->
            if
            :: at[a] == ATTEMPT_FAILED && !cancel_asked && a + 1 < A -> move_task(TASK_WAITING)
            :: at[a] == ATTEMPT_FAILED && (cancel_asked || a + 1 == A) -> move_task(TASK_FAILED)
            :: at[a] == ATTEMPT_CANCELLED -> move_task(TASK_CANCELLED)
            :: at[a] == ATTEMPT_SUCCEEDED -> move_task(TASK_SUCCEEDED)
            fi
        :: else
        fi;
        if
        :: (task == TASK_QUEUED || task == TASK_HELD) && at[a] == ATTEMPT_VOID ->
            if
            :: cancel_asked -> move_task(TASK_CANCELLED)
            :: !cancel_asked && a + 1 < A -> move_task(TASK_READY)
            :: !cancel_asked && a + 1 == A -> move_task(TASK_FAILED) /* refusals_max, lost_tries_max */
            fi
        :: else
        fi
    :: else
    fi
}

inline settle(a) {
    settle_attempt(a);
    settle_task(a)
}

/* For safety the last attempt only has to run: what else becomes of it is the first one's story again. */
#ifdef TERMINATION
#define WHOLE(a) true
#else
#define WHOLE(a) (a == 0)
#endif

/* --- dispatcher --- */

#ifdef NO_STOP
#define SEND_STOP(m, a) skip
#else
#define SEND_STOP(m, a) stopping[AT(m, a)] = 1
#endif

#define KNOWN(a) (at[a] != 0)
#define LIVES(a) (at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_STARTED || at[a] == ATTEMPT_LOST)
#ifdef NO_INSTANCE
#define OWNS(m, a) (ID(owner[a]) == ID(m))
#define MAY_CLAIM(m) true
#define MAY_BEAT(m) true
#else
#define OWNS(m, a) (owner[a] == m)
#define MAY_BEAT(m) (instance[ID(m)] == m || instance[ID(m)] == NOBODY || silent[ID(m)] > LEASE)
#define MAY_CLAIM(m) MAY_BEAT(m)
#endif

inline offer_due() {
    newest = (newest == NOBODY -> 0 : newest + 1);
    if
    :: task == TASK_WAITING -> move_task(TASK_READY)
    :: else
    fi;
    move_task(TASK_QUEUED);
    at[newest] = ATTEMPT_OFFERED;
    offer[newest] = 1
}

/* grant_claims(); row: the attempt that the claim is compared with */
#ifdef NO_TOKEN
#define ROW(a) newest
#else
#define ROW(a) a
#endif

inline grant(m, a) {
    if
#ifdef NO_CAS
    :: LIVES(ROW(a)) || at[ROW(a)] == ATTEMPT_OFFERED ->
        if
        :: at[ROW(a)] == ATTEMPT_OFFERED -> move(ROW(a), ATTEMPT_GRANTED)
        :: else
        fi;
        owner[ROW(a)] = m; answer[AT(m, a)] = 1
#else
    :: at[ROW(a)] == ATTEMPT_OFFERED && MAY_CLAIM(m) ->
        move(ROW(a), ATTEMPT_GRANTED);
        owner[ROW(a)] = m;
        answer[AT(m, a)] = 1;
        if
        :: instance[ID(m)] == NOBODY -> instance[ID(m)] = m; silent[ID(m)] = 0
        :: else
        fi
    :: at[ROW(a)] == ATTEMPT_GRANTED && OWNS(m, ROW(a)) -> answer[AT(m, a)] = 1
#endif
    :: else -> /* refused: forgotten */
        if
        :: has[AT(m, a)] == CLAIMED -> has[AT(m, a)] = NOTHING; claim_age[AT(m, a)] = 0; stop_wanted[AT(m, a)] = 0
        :: else
        fi
    fi
}

/* A heartbeat and its answer; renews: the answer arrives. */
inline heartbeat(m, renews) {
    instance[ID(m)] = m;
    silent[ID(m)] = 0;
    hear_about(m, 0, renews);
    hear_about(m, 1, renews)
}

#define HOLDS(m, a) (has[AT(m, a)] == STARTING || has[AT(m, a)] == RUNNING)
#ifdef NO_REPORT
#define UNSTARTED(m, a) false
#else
#define UNSTARTED(m, a) (HOLDS(m, a) && !ran[a])
#endif
#define FENCED(m, a) (at[a] == ATTEMPT_VOID || HAS_ENDED(a) || !OWNS(m, a) || to_stop[a])

inline hear_about(m, a, renews) {
    if
    :: HOLDS(m, a) && at[a] == ATTEMPT_LOST && OWNS(m, a) && !lost_said[a] -> /* take_back() */
#ifndef NO_LEASE_HEARD
        lost_for[a] = 0;
#endif
        settle(a)
    :: else
    fi;
    if
    :: HOLDS(m, a) && KNOWN(a) && FENCED(m, a) -> SEND_STOP(m, a)
    :: has[AT(m, a)] == CLAIMED && LIVES(a) && to_stop[a] && OWNS(m, a) -> SEND_STOP(m, a)
    :: else
    fi;
    if
    :: LIVES(a) && OWNS(m, a) && !lost_said[a] &&
        (has[AT(m, a)] == NOTHING || has[AT(m, a)] == LOST || has[AT(m, a)] == ENDED || UNSTARTED(m, a)) -> report[AT(m, a)] = 1
    :: else
    fi;
    if
    :: renews && REPEATABLE && WHOLE(a) && alive[AT(m, a)] && lease[AT(m, a)] > GRACE -> lease[AT(m, a)] = LEASE + GRACE
    :: else
    fi
}

#define LOSES(a) ((at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_STARTED) && \
    (silent[ID(owner[a])] > LEASE || !OWNS(instance[ID(owner[a])], a)))

inline cancel() {
    cancel_asked = 1;
    if
    :: newest != NOBODY && LIVES(newest) -> to_stop[newest] = 1
    :: else
    fi;
    if
    :: newest != NOBODY && (at[newest] == ATTEMPT_OFFERED || at[newest] == ATTEMPT_LOST) -> move(newest, ATTEMPT_VOID)
    :: else
    fi;
    if
    :: task == TASK_READY || task == TASK_WAITING || task == TASK_HELD -> move_task(TASK_CANCELLED)
    :: task == TASK_QUEUED && at[newest] != ATTEMPT_GRANTED -> move_task(TASK_CANCELLED)
    :: else
    fi
}

#define RECORDED(a) (KNOWN(a) && at[a] != ATTEMPT_VOID)

#define DISPATCHER_OF(a) \
    :: d_step { !offer[a] && at[a] == ATTEMPT_OFFERED && has[AT(0, a)] == NOTHING && has[AT(1, a)] == NOTHING -> offer[a] = 1 } \
    :: d_step { WHOLE(a) && LOSES(a) -> move(a, ATTEMPT_LOST); lost_for[a] = 0; settle_task(a) } \
    :: d_step { REPEATABLE && at[a] == ATTEMPT_LOST && lost_for[a] > OVER -> \
        move(a, ATTEMPT_VOID); settle_task(a) } \
    :: d_step { said_start[a] -> said_start[a] = copy; copy = 0; \
        if :: RECORDED(a) -> ran[a] = 1; settle(a) :: else fi } \
    :: d_step { said_end[a] -> said_end[a] = copy; copy = 0; \
        if :: RECORDED(a) -> ran[a] = 1; over[a] = 1; settle(a) :: else fi } \
    :: d_step { said_lost[a] -> said_lost[a] = copy; copy = 0; \
        if :: RECORDED(a) -> lost_said[a] = 1; settle(a) :: else fi }

#define DISPATCHER_AND(m, a) \
    :: d_step { claim[AT(m, a)] -> claim[AT(m, a)] = copy; copy = 0; grant(m, a) } \
    :: d_step { said_decline[AT(m, a)] -> said_decline[AT(m, a)] = copy; copy = 0; \
        if :: RECORDED(a) && OWNS(m, a) -> declined[a] = 1; settle(a) :: else fi } \

/* --- worker --- */

inline decline(m, a) {
    has[AT(m, a)] = NOTHING; claim_age[AT(m, a)] = 0; stop_wanted[AT(m, a)] = 0;
    barred[AT(m, a)] = 1; /* a copy of its offer is not run */
    said_decline[AT(m, a)] = 1
}

inline make_claim(m, a) {
    has[AT(m, a)] = CLAIMED;
    claim_age[AT(m, a)] = 0;
    claim[AT(m, a)] = 1;
    answer[AT(m, a)] = 0 /* an answer to an earlier claim does not count */
}

#ifdef CLONE
#define FIRST(m) true
#else
#define FIRST(m) (m == 0 || taken || gone[0]) /* the machines are alike: the one that is first is number 0 */
#endif

/* The offer, or a copy of it, reaches a worker. */
inline take(m, a) {
    offer[a] = copy; copy = 0; taken = 1;
    make_claim(m, a);
    stop_wanted[AT(m, a)] = barred[AT(m, a)] || stop_wanted[AT(m, a)]
}

#define IN_TIME(m, a) (claim_age[AT(m, a)] < CLAIM_WAIT)
#ifdef NO_START_AGE
#define MAY_START(m, a) true
#define FIRST_LEASE(m, a) (LEASE + GRACE)
#else
/* The first lease runs from the claim, as the tables may count from the grant. */
#define MAY_START(m, a) (!REPEATABLE || claim_age[AT(m, a)] < LEASE)
#define FIRST_LEASE(m, a) (LEASE + GRACE - claim_age[AT(m, a)])
#endif

inline granted(m, a) {
    answer[AT(m, a)] = copy; copy = 0;
    if
    :: has[AT(m, a)] == CLAIMED && !IN_TIME(m, a) -> make_claim(m, a)
    :: has[AT(m, a)] == CLAIMED && IN_TIME(m, a) && stop_wanted[AT(m, a)] -> decline(m, a)
    :: has[AT(m, a)] == CLAIMED && IN_TIME(m, a) && !stop_wanted[AT(m, a)] -> has[AT(m, a)] = STARTING
    :: else /* an answer to an earlier claim, or a copy */
    fi
}

inline start(m, a) {
    /* Nothing else of this task runs anywhere. */
    assert(!alive[0] && !alive[1] && !alive[2] && !alive[3]);
    /* Nothing runs twice. */
    starts[a]++;
    assert(starts[a] == 1);
    assert(REPEATABLE || starts[0] + starts[1] == 1);
    has[AT(m, a)] = RUNNING;
    alive[AT(m, a)] = 1;
    lease[AT(m, a)] = (REPEATABLE && WHOLE(a) -> FIRST_LEASE(m, a) : 0);
    claim_age[AT(m, a)] = 0;
    said_start[a] = WHOLE(a)
}

inline program_ends(m, a, by_stop, by_lease) {
    alive[AT(m, a)] = 0;
    lease[AT(m, a)] = 0;
    has[AT(m, a)] = ENDED; stop_wanted[AT(m, a)] = 0;
    over_stopped[a] = by_stop;
    over_lease[a] = by_lease;
    said_end[a] = 1
}

inline order_stop(m, a) {
    stopping[AT(m, a)] = 0;
    if
    :: has[AT(m, a)] <= RUNNING -> stop_wanted[AT(m, a)] = 1
    :: else
    fi
}

inline order_report(m, a) {
    report[AT(m, a)] = 0;
    if
    :: has[AT(m, a)] == NOTHING -> decline(m, a)
    :: has[AT(m, a)] == RUNNING -> said_start[a] = 1
    :: has[AT(m, a)] == ENDED -> said_start[a] = 1; said_end[a] = 1
    :: has[AT(m, a)] == LOST -> said_start[a] = 1; said_lost[a] = 1
    :: else /* held */
    fi
}

#define WORKER_AND(m, a) \
    :: d_step { !gone[m] && offer[a] && has[AT(m, a)] == NOTHING && FIRST(m) -> take(m, a) } \
    :: d_step { !gone[m] && offer[a] && has[AT(m, a)] > NOTHING -> offer[a] = 0 /* a copy */ } \
    :: d_step { has[AT(m, a)] == CLAIMED && claim_age[AT(m, a)] >= CLAIM_WAIT -> make_claim(m, a) } \
    :: d_step { answer[AT(m, a)] && !gone[m] -> granted(m, a) } \
    :: d_step { has[AT(m, a)] == STARTING && !gone[m] && MAY_START(m, a) -> start(m, a) } \
    :: d_step { has[AT(m, a)] == STARTING && !gone[m] && !MAY_START(m, a) -> decline(m, a) } \
    :: d_step { WHOLE(a) && alive[AT(m, a)] && !HANG -> program_ends(m, a, 0, 0) } \
    :: d_step { alive[AT(m, a)] && stop_wanted[AT(m, a)] -> program_ends(m, a, 1, 0) } \
    :: d_step { WHOLE(a) && REPEATABLE && alive[AT(m, a)] && lease[AT(m, a)] <= GRACE -> program_ends(m, a, 0, 1) } \
    :: d_step { stopping[AT(m, a)] && !gone[m] -> order_stop(m, a) } \
    :: d_step { report[AT(m, a)] && !gone[m] -> order_report(m, a) } \
    :: d_step { has[AT(m, a)] == RUNNING && !alive[AT(m, a)] && !gone[m] -> has[AT(m, a)] = LOST; said_lost[a] = 1 }

#define LIVES_ON(a) (WHOLE(a) && LIVES(a))
#define CONCERNED(m) (has[AT(m, 0)] != NOTHING || has[AT(m, 1)] != NOTHING || OWNS_LIVING(m, 0) || OWNS_LIVING(m, 1))
#define OWNS_LIVING(m, a) (LIVES_ON(a) && ID(owner[a]) == ID(m))
#ifdef CLONE
#define CONCERNED_ID(m) true
#else
#define CONCERNED_ID(m) (OWNS_LIVING(m, 0) || OWNS_LIVING(m, 1))
#endif
#define BEATS(m) (!gone[m] && CONCERNED(m) && MAY_BEAT(m) && (silent[ID(m)] > 0 || instance[ID(m)] != m))

/* --- faults --- */

/* kill -9 of a worker, or its restart: what is in memory only is gone.  Offers that it had not acknowledged come again. */
inline crash_of(m, a) {
    offer[a] = offer[a] || barred[AT(m, a)] || has[AT(m, a)] == CLAIMED;
    answer[AT(m, a)] = 0;
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
    LOSE(claim[AT(m, a)]) LOSE(answer[AT(m, a)]) LOSE(stopping[AT(m, a)]) LOSE(report[AT(m, a)]) \
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
    :: WHOLE(a) && (has[AT(m, a)] == CLAIMED || has[AT(m, a)] == STARTING) -> older(claim_age[AT(m, a)], LEASE)
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
        :: task == TASK_HELD -> d_step { cancel() } /* also a second time */
        :: HANG && task == TASK_RUNNING && !cancel_asked -> d_step { cancel() }
        :: else -> d_step { assert(TIME_MAY_PASS); assert(horizon > 0); horizon--; armed = 1; tick() }
        fi
#else
    :: d_step { TIME_MAY_PASS -> tick() }
#endif
    od
}
