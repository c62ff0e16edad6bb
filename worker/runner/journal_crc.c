/* zlib's CRC-32 takes eight bytes at a time: at tens of MB/s a second a simpler one is the largest single
 * cost of reading a journal. */
#include "worker/runner/journal_crc.h"

#include <zlib.h>

uint32_t
journal_record_crc(const struct journal_head *head, const void *payload)
{
    const size_t skip = offsetof(struct journal_head, seq);
    uLong crc = crc32_z(0, (const unsigned char *)head + skip, sizeof *head - skip);

    /* Without data zlib takes the address for a question about its first value. */
    return (uint32_t)(head->len == 0 ? crc : crc32_z(crc, payload, head->len));
}
