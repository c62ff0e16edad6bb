#ifndef WORKER_JOURNAL_CRC_H
#define WORKER_JOURNAL_CRC_H

#include <stddef.h>
#include <stdint.h>

#include "worker/runner/journal.h"

/* The checksum of one record: CRC-32 of IEEE 802.3 over the head behind its crc member, and the payload. */
uint32_t journal_record_crc(const struct journal_head *head, const void *payload);

#endif
