#ifndef DISPATCHER_SCHEMA_H
#define DISPATCHER_SCHEMA_H

#include "common/pg.h"

/* Whether the tables are those that this program was built for. */
enum schema_state {
    SCHEMA_UNKNOWN, /* not asked yet */
    SCHEMA_FITS,
    SCHEMA_AWAY,    /* no connection; the connection has logged why */
    SCHEMA_MISSING, /* no schema hler_core */
    SCHEMA_TOO_OLD, /* hler migrate is due */
    SCHEMA_TOO_NEW, /* the program is older than the tables */
    SCHEMA_REFUSED  /* no right to ask */
};

/* Ask once.  Logs one line when the answer is another than *last, with the command
 * that mends it, and stores it in *last. */
enum schema_state schema_check(struct pg *pg, enum schema_state *last);

#endif
