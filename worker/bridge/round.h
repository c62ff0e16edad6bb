#ifndef BRIDGE_ROUND_H
#define BRIDGE_ROUND_H

#include <stdbool.h>

#include "worker/bridge/stream.h"

/* The round of streams that have something to read.  Those of which nothing was sent yet come first: somebody
 * waits for a job's first line, while of what others say later there is always more. */

enum round_part { ROUND_NEW, ROUND_OLD, ROUND_PARTS };

struct round {
    struct stream *first[ROUND_PARTS], *last[ROUND_PARTS];
};

/* To the end of its part; a stream that is there already stays where it is. */
void round_add(struct round *round, struct stream *stream);

/* The next in turn, taken out; NULL = there is none. */
struct stream *round_take(struct round *round);

/* Out of the round; it may not be in it. */
void round_remove(struct round *round, struct stream *stream);

bool round_is_empty(const struct round *round);

/* The next in turn has sent nothing yet. */
bool round_has_new(const struct round *round);

#endif
