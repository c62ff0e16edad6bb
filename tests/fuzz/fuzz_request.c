/* What the spawner unpacks; what it takes, packs to the same bytes again. */
#include "tests/fuzz/fuzz.h"
#include "worker/runner/request.h"

static char packed[REQUEST_MAX];
static char *slots[REQUEST_STRINGS];

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request r;
    char *copy; /* unpacked in place */

    if (size == 0 || size > REQUEST_MAX)
        return 0;
    copy = malloc(size);
    memcpy(copy, data, size);
    if (request_unpack(copy, size, &r, slots, REQUEST_STRINGS) == 0) {
        fuzz_check(strchr(r.dir, '/') == NULL && strlen(r.dir) < REQUEST_DIR_MAX);
        fuzz_check(request_pack(&r, packed) == size && memcmp(packed, data, size) == 0);
    }
    free(copy);
    return 0;
}
