/* Workers and runners. */

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

/* An offer that is granted already.  Too late, or a copy (it answers a claim that is used up): it is
 * claimed by name. */
inline take_direct(m, a) {
#ifdef NO_ONCE
    direct[AT(m, a)] = copy;
#else
    direct[AT(m, a)] = 0;
    offer[a] = offer[a] || copy;
#endif
    copy = 0; taken = 1;
    if
    :: has[AT(m, a)] > NOTHING /* a copy */
    :: has[AT(m, a)] == NOTHING && (barred[AT(m, a)] || stop_wanted[AT(m, a)]) -> decline(m, a)
    :: has[AT(m, a)] == NOTHING && !barred[AT(m, a)] && !stop_wanted[AT(m, a)] && IN_TIME(m, a) -> has[AT(m, a)] = STARTING
    :: else -> make_claim(m, a)
    fi
}

/* A claim made ahead, sent and noted: by a heartbeat, or after one. */
inline stand(m) {
    instance[ID(m)] = m;
    silent[ID(m)] = 0;
    standing[m] = 1;
    standing_for[m] = 0
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
    said_end[a] = WHOLE(a)
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
    :: d_step { direct[AT(m, a)] && !gone[m] -> take_direct(m, a) } \
    :: d_step { has[AT(m, a)] == STARTING && !gone[m] && MAY_START(m, a) -> start(m, a) } \
    :: d_step { has[AT(m, a)] == STARTING && !gone[m] && !MAY_START(m, a) -> claim_age[AT(m, a)] = 0; program_ends(m, a, 0, 1) } \
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
/* Only while there is something to wait for: a claim for nothing changes nothing. */
#define STANDS(m) (!gone[m] && !standing[m] && FIRST(m) && (task == TASK_READY || task == TASK_WAITING) && MAY_BEAT(m))
