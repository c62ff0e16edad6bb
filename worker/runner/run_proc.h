#ifndef WORKER_RUN_PROC_H
#define WORKER_RUN_PROC_H

/* /proc files of the own process. */

/* oom_score_adj, 0 when it cannot be read. */
int run_proc_read_oom_score(void);

/* Set it.  -1 with errno: lowering it takes a privilege that most have not, and an attempt runs
 * as well without, so a caller may go on. */
int run_proc_oom_score(int score);

#endif
