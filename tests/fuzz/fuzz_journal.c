/*
 * A journal of any groups, with good checksums and in a chain, is recovered or refused; what was
 * recovered can be read, flushed and closed.
 *
 * The input is groups: 1 byte of flags (1 breaks the chain, 2 the checksum, 4 the numbers, 8 is of an
 * older life), 2 bytes payload size, payload.
 */
#include "base/check.h"
#include "base/memory.h"
#include "log/checkpoint.h"
#include "log/journal.h"
#include "os/thread.h"
#include "support/small_log.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A killed directory with two logs, and where its journal goes on. */
static struct small_log *base;
static struct mr_checkpoint checkpoint;

static void make_base(void)
{
    uint8_t *bytes; /* kept */
    size_t size;
    uint32_t format;

    base = small_log_new_simulated(1);
    base->config.journal_bytes = 64 << 10;
    small_log_must_open(base);
    small_log_add(base, 0, 1);
    small_log_add(base, 1, 1);
    small_log_must_put(base, 0, 3);
    small_log_close(base);
    small_log_must_open(base);
    small_log_crash(base, SIM_KILL);
    mr_check(!mr_fs_read_all(base->fs, "data/checkpoint.0", 1 << 20, &bytes, &size, NULL));
    mr_check(mr_checkpoint_decode((mr_bytes){bytes, size}, &checkpoint, &format));
    mr_check(checkpoint.log_count == 2);
}

static void write_groups(struct small_log *s, struct mr_scan *scan)
{
    struct mr_journal journal;
    struct mr_lsn at = checkpoint.tail;
    uint64_t number = checkpoint.next_number;
    uint8_t *group = mr_pages_take(GROUP_BYTES_MAX);

    mr_check(!mr_journal_open(&journal, s->fs, "data/journal", checkpoint.journal_bytes,
                              checkpoint.directory_id, false, false, NULL));
    while (mr_scan_left(scan) >= 3) {
        uint8_t flags = mr_scan_u8(scan);
        size_t low = mr_scan_u8(scan), size = low | (size_t)mr_scan_u8(scan) << 8;
        struct mr_group_header header = {
            .lsn = at.at,
            .durable_lsn = at.at,
            .previous_hash = at.previous_hash + (flags & 1),
            .first_number = number,
            .first_ms = checkpoint.last_ms,
            .epoch = checkpoint.epoch - (flags >> 3 & 1),
        };

        if (size > mr_scan_left(scan))
            size = mr_scan_left(scan);
        header.payload_bytes = (uint32_t)size;
        memcpy(group + GROUP_HEADER_BYTES, mr_scan_take(scan, size), size);
        /* The count cannot be guessed: the first byte of a broken one is it. */
        header.number_count = flags & 4 && size ? group[GROUP_HEADER_BYTES] : flags >> 4;
        if (at.at + mr_group_bytes(size) > checkpoint.tail.at + checkpoint.journal_bytes)
            break;
        at.previous_hash = mr_journal_seal(&journal, group, &header);
        group[0] ^= flags >> 1 & 1;
        mr_check(!mr_journal_write(&journal, journal.file, group, &header, NULL));
        at.at += mr_group_bytes(size);
        number += header.number_count;
    }
    mr_journal_close(&journal);
    mr_pages_give(group, GROUP_BYTES_MAX);
}

static void read_all(struct small_log *s)
{
    for (uint32_t id = 0; id < SMALL_LOGS; id++)
        if (s->has_log[id])
            mr_check(small_log_read(s, id).corrupt_count < 100); /* it gets to the end */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_scan scan = mr_scan_of((mr_bytes){data, size});
    struct small_log *s;
    mr_error error;
    mr_status status;

    if (!base)
        make_base();
    s = small_log_copy(base);
    s->config.salvage = mr_scan_u8(&scan) & 1;
    write_groups(s, &scan);
    small_log_damage(s);
    status = small_log_open(s, &error);
    mr_check(status == MR_OK || status == MR_CORRUPT);
    if (status == MR_OK) {
        read_all(s);
        mr_log_checkpoint(s->log, NULL);
        small_log_close(s);
        small_log_must_open(s);
        read_all(s);
    }
    small_log_free(s);
    return 0;
}
