#ifndef WORKER_JOURNAL_CRC_H
#define WORKER_JOURNAL_CRC_H

#include <stddef.h>
#include <stdint.h>

#include "worker/runner/journal.h"

/* CRC-32 of data, going on from crc (0 at first).  zlib's crc32() gives the same. */
uint32_t journal_crc(uint32_t crc, const void *data, size_t len);

/* The checksum of one record. */
uint32_t journal_record_crc(const struct journal_head *head, const void *payload);

#endif
