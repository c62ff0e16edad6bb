/* The tables and what the dispatcher does with them.  First hler_core.settle() of 0009, in its order. */

#define SAID_LOST(a) (lost_said[a] || declined[a] && ran[a])
#define END_OF(a) (over_stopped[a] -> ATTEMPT_CANCELLED : (over_lease[a] -> ATTEMPT_FAILED : ATTEMPT_SUCCEEDED))
#define HAS_ENDED(a) (at[a] == ATTEMPT_SUCCEEDED || at[a] == ATTEMPT_FAILED || at[a] == ATTEMPT_CANCELLED)
#define LIVES(a) (at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_STARTED || at[a] == ATTEMPT_LOST)
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
        :: (at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_LOST) && ran[a] && !SAID_LOST(a) && !over[a] ->
            move(a, ATTEMPT_STARTED)
        :: else
        fi;
        if
        :: (at[a] == ATTEMPT_GRANTED || at[a] == ATTEMPT_STARTED) && SAID_LOST(a) && !over[a] ->
            move(a, ATTEMPT_LOST); lost_for[a] = 0
        :: else
        fi;
        if
        :: LIVES(a) && over[a] -> move(a, END_OF(a))
        :: else
        fi
    fi
}

inline settle_task(a) {
    if
    :: newest == a ->
        if
        :: at[a] == ATTEMPT_LOST && (task == TASK_QUEUED || task == TASK_RUNNING) -> move_task(TASK_HELD)
        :: at[a] == ATTEMPT_STARTED && (task == TASK_QUEUED || task == TASK_HELD) -> move_task(TASK_RUNNING)
        :: else
        fi;
        if
        :: (task == TASK_QUEUED || task == TASK_RUNNING || task == TASK_HELD) && HAS_ENDED(a) ->
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

/* Only of the instance that the tables know, and while it is not silent. */
#ifdef NO_INSTANCE
#define STANDING(m) (standing[m])
#else
#define STANDING(m) (standing[m] && instance[ID(m)] == m && silent[ID(m)] <= LEASE)
#endif

/* The same for a worker that has claimed ahead: it is granted at once. */
inline grant_due(m) {
    offer_due();
    offer[newest] = 0;
    move(newest, ATTEMPT_GRANTED);
    owner[newest] = m;
    direct[AT(m, newest)] = 1;
    if
    :: WHOLE(newest) -> claim_age[AT(m, newest)] = standing_for[m]
    :: else
    fi;
    standing[m] = 0; standing_for[m] = 0
}

/* The session is gone by then.  A copy of the message cannot be anywhere: it is published once. */
inline give_back(m) {
    direct[AT(m, newest)] = 0;
    claim_age[AT(m, newest)] = 0;
    given_back[newest] = 1
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
    :: d_step { (REPEATABLE || cancel_asked) && at[a] == ATTEMPT_LOST && lost_for[a] > OVER -> \
        move(a, ATTEMPT_VOID); settle_task(a) } \
    :: d_step { given_back[a] -> given_back[a] = 0; /* undelivered() */ \
        if :: at[a] == ATTEMPT_GRANTED -> declined[a] = 1; settle(a) :: else fi } \
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
