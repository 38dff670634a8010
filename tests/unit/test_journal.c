/* The journal: groups come back whole or not at all, around the ring's end, and damage is told apart
 * from an unfinished last write. */
#include "log/journal.h"

#include "base/endian.h"
#include "os/thread.h"
#include "support/seed.h"
#include "support/sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RING_BYTES = 64 << 10, GROUPS_MAX = 16 };

struct fixture {
    struct sim_disk *disk;
    struct mr_fs *fs;
    struct mr_journal journal;
    uint8_t *group, *buffer;
    /* The chain: where the next group goes and what it follows. */
    uint64_t lsn, hash, durable_lsn;
    uint32_t epoch;
    struct mr_group_header written[GROUPS_MAX];
    uint64_t hashes[GROUPS_MAX];
    size_t count;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (!f)
        return -1;
    f->disk = sim_disk_new(1);
    f->fs = sim_disk_fs(f->disk);
    f->group = mr_pages_take(GROUP_BYTES_MAX);
    f->buffer = mr_pages_take(GROUP_BYTES_MAX);
    f->epoch = 3;
    *state = f;
    return mr_journal_open(&f->journal, f->fs, "journal", RING_BYTES, 77, true, false, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mr_journal_close(&f->journal);
    mr_pages_give(f->group, GROUP_BYTES_MAX);
    mr_pages_give(f->buffer, GROUP_BYTES_MAX);
    sim_disk_free(f->disk);
    free(f);
    return 0;
}

static uint8_t payload_byte(uint64_t lsn, uint32_t i)
{
    return (uint8_t)(lsn / 4096 * 31 + i * 7 + 1);
}

/* Appends a group to the chain. */
static void write_group(struct fixture *f, uint32_t payload_bytes)
{
    const struct mr_group_header header = {
        .lsn = f->lsn,
        .durable_lsn = f->durable_lsn,
        .previous_hash = f->hash,
        .first_number = 100 + f->count,
        .number_count = 1,
        .first_ms = 1700000000000 + (int64_t)f->count,
        .epoch = f->epoch,
        .payload_bytes = payload_bytes,
    };

    for (uint32_t i = 0; i < payload_bytes; i++)
        f->group[GROUP_HEADER_BYTES + i] = payload_byte(f->lsn, i);
    f->hash = mr_journal_seal(&f->journal, f->group, &header);
    assert_int_equal(mr_journal_write(&f->journal, f->journal.file, f->group, &header, NULL),
                     MR_OK);
    f->lsn += mr_group_bytes(payload_bytes);
    f->durable_lsn = f->lsn;
    f->written[f->count % GROUPS_MAX] = header;
    f->hashes[f->count++ % GROUPS_MAX] = f->hash;
}

static bool is_found(struct fixture *f, uint64_t lsn, struct mr_group_header *header,
                     uint64_t *hash)
{
    bool found;

    assert_int_equal(mr_journal_read(&f->journal, lsn, f->buffer, header, hash, &found, NULL),
                     MR_OK);
    return found;
}

static bool reads_back(struct fixture *f, size_t i)
{
    const struct mr_group_header *expected = &f->written[i % GROUPS_MAX];
    struct mr_group_header header;
    uint64_t hash;

    if (!is_found(f, expected->lsn, &header, &hash))
        return false;
    assert_true(header.lsn == expected->lsn && header.durable_lsn == expected->durable_lsn &&
                header.previous_hash == expected->previous_hash &&
                header.first_number == expected->first_number &&
                header.number_count == expected->number_count &&
                header.first_ms == expected->first_ms && header.epoch == expected->epoch &&
                header.payload_bytes == expected->payload_bytes);
    assert_true(hash == f->hashes[i % GROUPS_MAX]);
    for (uint32_t n = 0; n < expected->payload_bytes; n++)
        assert_int_equal(f->buffer[GROUP_HEADER_BYTES + n], payload_byte(expected->lsn, n));
    return true;
}

static void flip(struct fixture *f, uint64_t lsn, uint8_t mask)
{
    sim_disk_flip(f->disk, "journal", lsn % RING_BYTES, mask);
}

static void a_new_ring_is_reserved_and_empty(void **state)
{
    struct fixture *f = *state;
    struct mr_group_header header;
    uint64_t size, hash;

    assert_true(f->journal.was_empty);
    assert_int_equal(f->fs->size(f->journal.file, &size, NULL), MR_OK);
    assert_int_equal(size, RING_BYTES);
    for (uint64_t lsn = 0; lsn < 3 * RING_BYTES; lsn += JOURNAL_PAGE_BYTES)
        assert_false(is_found(f, lsn, &header, &hash));
}

static void prewriting_writes_every_page(void **state)
{
    struct fixture *f = *state;
    struct mr_journal journal;
    uint64_t written = sim_disk_calls(f->disk, SIM_WRITE),
             synced = sim_disk_calls(f->disk, SIM_SYNC);

    assert_int_equal(mr_journal_open(&journal, f->fs, "other", 3u << 20, 1, true, true, NULL),
                     MR_OK);
    assert_int_equal(sim_disk_calls(f->disk, SIM_WRITE) - written, 3);
    assert_int_equal(sim_disk_calls(f->disk, SIM_SYNC) - synced, 1);
    mr_journal_close(&journal);
    /* Not again: that would be the end of what is in it. */
    assert_int_equal(mr_journal_open(&journal, f->fs, "other", 3u << 20, 1, true, true, NULL),
                     MR_OK);
    assert_false(journal.was_empty);
    assert_int_equal(sim_disk_calls(f->disk, SIM_WRITE) - written, 3);
    mr_journal_close(&journal);
}

static void a_full_disk_is_met_at_opening(void **state)
{
    struct fixture *f = *state;
    struct mr_journal journal;
    mr_error error;

    sim_disk_budget(f->disk, RING_BYTES + 1000);
    assert_int_equal(mr_journal_open(&journal, f->fs, "other", RING_BYTES, 1, true, false, &error),
                     MR_NO_SPACE);
    assert_non_null(strstr(error.message, "other"));
    assert_null(journal.file);
    /* The ring that is there already has its space. */
    for (int i = 0; i < 40; i++)
        write_group(f, 3000);
}

/* J1: of every size around a page, many times around the ring's end. */
static void groups_come_back(void **state)
{
    static const uint32_t sizes[] = {1, 4000, 4001, 0, 8192, 4096, 20000, 4095, 30000};
    struct fixture *f = *state;
    size_t oldest = 0;

    for (size_t i = 0; i < 300; i++) {
        write_group(f, sizes[i % 9]);
        while (f->written[oldest % GROUPS_MAX].lsn + RING_BYTES < f->lsn ||
               f->count - oldest > GROUPS_MAX)
            oldest++;
        for (size_t n = oldest; n < f->count; n++)
            assert_true(reads_back(f, n));
    }
    assert_true(f->lsn > 10 * RING_BYTES);
}

/* J1: header, payload, padding; in the second group, which goes around the ring's end. */
static void sees_every_flipped_bit(void **state)
{
    struct fixture *f = *state;
    struct mr_group_header header;
    uint64_t hash, lsn;

    while (f->lsn % RING_BYTES != RING_BYTES - JOURNAL_PAGE_BYTES)
        write_group(f, 1000);
    lsn = f->lsn;
    write_group(f, 5000);
    for (uint64_t bit = 0; bit < 2 * JOURNAL_PAGE_BYTES * 8; bit++) {
        /* Every bit of what is used, every 7th of the zeros. */
        if (bit / 8 > GROUP_HEADER_BYTES + 5000 && bit % 7)
            continue;
        flip(f, lsn + bit / 8, (uint8_t)(1 << bit % 8));
        assert_false(is_found(f, lsn, &header, &hash));
        flip(f, lsn + bit / 8, (uint8_t)(1 << bit % 8));
    }
    assert_true(reads_back(f, f->count - 1));
}

/* J1: as much of the group as reached the disk, and zeros or an older group's bytes behind it. */
static void sees_every_cut(void **state)
{
    struct fixture *f = *state;
    const uint32_t payload_bytes = 4300;
    const uint64_t used = GROUP_HEADER_BYTES + payload_bytes, bytes = mr_group_bytes(payload_bytes);
    struct mr_group_header header;
    uint8_t *page = mr_pages_take(2 * JOURNAL_PAGE_BYTES);
    uint64_t hash;

    write_group(f, payload_bytes);
    for (unsigned old = 0; old < 2; old++) {
        for (uint64_t cut = 0; cut <= bytes; cut++) {
            memcpy(page, f->group, (size_t)cut);
            memset(page + cut, old ? 0xa5 : 0, (size_t)(bytes - cut));
            assert_int_equal(f->fs->write(f->journal.file, page, (size_t)bytes, 0, NULL), MR_OK);
            assert_int_equal(is_found(f, 0, &header, &hash), cut >= (old ? bytes : used));
        }
    }
    mr_pages_give(page, 2 * JOURNAL_PAGE_BYTES);
}

/* J2 */
static void a_group_is_taken_at_its_own_lsn_only(void **state)
{
    struct fixture *f = *state;
    struct mr_journal other = f->journal;
    struct mr_group_header header;
    uint64_t hash;
    bool found;

    for (int i = 0; i < 5; i++)
        write_group(f, 1000);
    for (uint64_t lsn = 0; lsn < 10 * RING_BYTES; lsn += JOURNAL_PAGE_BYTES)
        assert_int_equal(is_found(f, lsn, &header, &hash), lsn < f->lsn);
    /* Of another directory. */
    for (unsigned bit = 0; bit < 64; bit++) {
        other.seed = f->journal.seed ^ UINT64_C(1) << bit;
        assert_int_equal(mr_journal_read(&other, 0, f->buffer, &header, &hash, &found, NULL),
                         MR_OK);
        assert_false(found);
    }
}

/* J2: each group names its predecessor's hash, which depends on all of its bytes. */
static void hashes_make_a_chain(void **state)
{
    struct fixture *f = *state;
    uint64_t first;
    struct mr_group_header header = {.payload_bytes = 100, .epoch = 3};

    for (int i = 0; i < 3; i++)
        write_group(f, 100);
    assert_true(f->written[1].previous_hash == f->hashes[0]);
    assert_true(f->written[2].previous_hash == f->hashes[1]);
    first = mr_journal_seal(&f->journal, f->group, &header);
    header.epoch++;
    assert_true(mr_journal_seal(&f->journal, f->group, &header) != first);
    header.epoch--;
    f->group[GROUP_HEADER_BYTES + 99] ^= 1;
    assert_true(mr_journal_seal(&f->journal, f->group, &header) != first);
    f->group[GROUP_HEADER_BYTES + 99] ^= 1;
    assert_true(mr_journal_seal(&f->journal, f->group, &header) == first);
}

static bool looks_ahead_from(struct fixture *f, uint64_t after, uint64_t known, uint64_t end,
                             uint32_t epoch, struct mr_group_header *header)
{
    uint64_t hash;
    bool found, is_hole;

    assert_int_equal(mr_journal_look_ahead(&f->journal, after - JOURNAL_PAGE_BYTES, known, end,
                                           epoch, f->buffer, header, &hash, &found, &is_hole, NULL),
                     MR_OK);
    return found;
}

static bool looks_ahead(struct fixture *f, uint64_t after, uint64_t end, uint32_t epoch,
                        struct mr_group_header *header)
{
    return looks_ahead_from(f, after, 0, end, epoch, header);
}

/* J3: behind a damaged group lies one that was written when the damaged one was durable. */
static void finds_what_lies_behind_damage(void **state)
{
    struct fixture *f = *state;
    struct mr_group_header header;

    for (int i = 0; i < 5; i++)
        write_group(f, 5000);
    for (size_t i = 0; i < 4; i++) {
        uint64_t lsn = f->written[i].lsn;

        assert_false(looks_ahead(f, f->lsn, lsn + RING_BYTES, 3, &header));
        assert_true(looks_ahead(f, lsn + JOURNAL_PAGE_BYTES, lsn + RING_BYTES, 3, &header));
        assert_true(header.lsn == f->written[i + 1].lsn);
        assert_true(header.durable_lsn > lsn);
        /* A damaged one is passed over. */
        flip(f, header.lsn + 60, 1);
        assert_int_equal(looks_ahead(f, lsn + JOURNAL_PAGE_BYTES, lsn + RING_BYTES, 3, &header),
                         i < 3);
        if (i < 3)
            assert_true(header.lsn == f->written[i + 2].lsn);
        flip(f, f->written[i + 1].lsn + 60, 1);
    }
}

/* J3 */
static void a_group_on_its_way_with_a_missing_one_proves_no_hole(void **state)
{
    struct fixture *f = *state;
    struct mr_group_header header;
    uint64_t lsn, first, hash;
    bool found, is_hole;

    write_group(f, 5000);
    lsn = f->lsn;
    write_group(f, 5000);
    first = f->lsn;
    f->durable_lsn = lsn;
    write_group(f, 5000);
    flip(f, lsn + 60, 1);
    for (int is_proven = 0; is_proven < 2; is_proven++) {
        assert_int_equal(mr_journal_look_ahead(&f->journal, lsn, 0, lsn + RING_BYTES, 3, f->buffer,
                                               &header, &hash, &found, &is_hole, NULL),
                         MR_OK);
        assert_int_equal(is_hole, is_proven);
        if (is_proven) { /* found is the first, not the one that told */
            assert_true(found && header.lsn == first);
            assert_true(hash == f->hashes[2]);
        }
        write_group(f, 5000);
    }
}

/* J3: a last write that was cut short has nothing behind it, but for older laps. */
static void nothing_lies_behind_an_unfinished_write(void **state)
{
    struct fixture *f = *state;
    struct mr_group_header header;
    uint64_t hash;

    while (f->lsn < 3 * RING_BYTES)
        write_group(f, 9000);
    for (uint64_t page = 0; page < 3; page++) {
        uint64_t lsn = f->written[(f->count - 1) % GROUPS_MAX].lsn;

        flip(f, lsn + page * JOURNAL_PAGE_BYTES + 50, 0xff);
        assert_false(is_found(f, lsn, &header, &hash));
        assert_false(looks_ahead(f, lsn + JOURNAL_PAGE_BYTES, lsn + RING_BYTES, 0, &header));
        flip(f, lsn + page * JOURNAL_PAGE_BYTES + 50, 0xff);
        write_group(f, 9000);
    }
}

/* J2 */
static void looking_ahead_sees_no_older_life(void **state)
{
    struct fixture *f = *state;
    struct mr_group_header header;

    write_group(f, 1000);
    write_group(f, 1000);
    assert_true(looks_ahead(f, JOURNAL_PAGE_BYTES, RING_BYTES, 3, &header));
    assert_false(looks_ahead(f, JOURNAL_PAGE_BYTES, RING_BYTES, 4, &header));
    assert_false(looks_ahead(f, JOURNAL_PAGE_BYTES, JOURNAL_PAGE_BYTES, 3, &header));
    /* But where a checkpoint says that groups lie, they may be of any. */
    assert_false(
        looks_ahead_from(f, JOURNAL_PAGE_BYTES, f->written[1].lsn, RING_BYTES, 4, &header));
    assert_true(looks_ahead_from(f, JOURNAL_PAGE_BYTES, f->lsn, RING_BYTES, 4, &header));
}

/* J1: a header with a good checksum names more than the ring holds. */
static void hostile_sizes_are_refused(void **state)
{
    static const uint32_t sizes[] = {RING_BYTES, GROUP_BYTES_MAX - 4095, GROUP_BYTES_MAX,
                                     UINT32_MAX};
    struct fixture *f = *state;
    struct mr_group_header header;
    uint64_t hash;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_group(f, 3000);
        mr_store32(f->group + 72, sizes[i]);
        assert_int_equal(f->fs->write(f->journal.file, f->group, JOURNAL_PAGE_BYTES,
                                      f->written[i].lsn % RING_BYTES, NULL),
                         MR_OK);
        assert_false(is_found(f, f->written[i].lsn, &header, &hash));
    }
}

static void a_failed_read_or_write_is_reported(void **state)
{
    struct fixture *f = *state;
    const struct mr_group_header header = {.payload_bytes = 100};
    struct mr_group_header found_header;
    uint64_t hash;
    bool found, is_hole;
    mr_error error;

    mr_journal_seal(&f->journal, f->group, &header);
    sim_disk_fail(f->disk, SIM_WRITE, 1, EIO, false);
    assert_int_equal(mr_journal_write(&f->journal, f->journal.file, f->group, &header, &error),
                     MR_IO);
    assert_int_equal(error.status, MR_IO);
    sim_disk_fail(f->disk, SIM_READ, 1, EIO, false);
    assert_int_equal(
        mr_journal_read(&f->journal, 0, f->buffer, &found_header, &hash, &found, &error), MR_IO);
    sim_disk_fail(f->disk, SIM_READ, 1, EIO, false);
    assert_int_equal(mr_journal_look_ahead(&f->journal, 0, 0, RING_BYTES, 0, f->buffer,
                                           &found_header, &hash, &found, &is_hole, &error),
                     MR_IO);
    assert_false(found);
}

#define on_a_ring(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_a_ring(a_new_ring_is_reserved_and_empty),
        on_a_ring(prewriting_writes_every_page),
        on_a_ring(a_full_disk_is_met_at_opening),
        on_a_ring(groups_come_back),
        on_a_ring(sees_every_flipped_bit),
        on_a_ring(sees_every_cut),
        on_a_ring(a_group_is_taken_at_its_own_lsn_only),
        on_a_ring(hashes_make_a_chain),
        on_a_ring(a_group_on_its_way_with_a_missing_one_proves_no_hole),
        on_a_ring(finds_what_lies_behind_damage),
        on_a_ring(nothing_lies_behind_an_unfinished_write),
        on_a_ring(looking_ahead_sees_no_older_life),
        on_a_ring(hostile_sizes_are_refused),
        on_a_ring(a_failed_read_or_write_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
