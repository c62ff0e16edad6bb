#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

/* What the fuzz targets share.  A target is one file with LLVMFuzzerTestOneInput(); the input
 * lies in memory of just its size, so AddressSanitizer sees one byte too many. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold for any input; the sanitizer's trace names the line. */
static inline void
fuzz_check(int holds)
{
    if (!holds)
        abort();
}

#endif
