/* The simulated disk loses what it may lose, and nothing else: the crash tests rest on it. */
#include "base/memory.h"
#include "support/sim_clock.h"
#include "support/sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SECTOR = 512, SEEDS = 200 };

static struct mr_file *opened(struct sim_disk *disk, const char *path)
{
    struct mr_fs *fs = sim_disk_fs(disk);
    struct mr_file *file = NULL;

    assert_int_equal(fs->open(fs, path, MR_FS_WRITE | MR_FS_CREATE, &file, NULL), MR_OK);
    return file;
}

static mr_status filled(struct mr_file *file, char letter, size_t size, uint64_t offset)
{
    char buffer[8 * SECTOR];

    memset(buffer, letter, size);
    return file->fs->write(file, buffer, size, offset, NULL);
}

static bool is_there(struct sim_disk *disk, const char *path)
{
    struct mr_fs *fs = sim_disk_fs(disk);
    struct mr_file *file = NULL;
    mr_status status = fs->open(fs, path, 0, &file, NULL);

    fs->close(file);
    return status == MR_OK;
}

/* The first letter of each sector, '.' for 0, then '?' for one that is not all the same. */
static const char *sectors(struct sim_disk *disk, const char *path)
{
    static char text[64];
    struct mr_fs *fs = sim_disk_fs(disk);
    uint8_t *data;
    size_t size, count;

    assert_int_equal(mr_fs_read_all(fs, path, 60 * SECTOR, &data, &size, NULL), MR_OK);
    count = (size + SECTOR - 1) / SECTOR;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *sector = data + i * SECTOR;
        size_t bytes = i * SECTOR + SECTOR > size ? size - i * SECTOR : SECTOR;
        text[i] = sector[0] ? (char)sector[0] : '.';
        for (size_t j = 0; j < bytes; j++)
            if (sector[j] != sector[0])
                text[i] = '?';
    }
    text[count] = 0;
    mr_free(data);
    return text;
}

/* A disk with a durable file "f" of four sectors 'a'. */
static struct sim_disk *with_file(uint64_t seed)
{
    struct sim_disk *disk = sim_disk_new(seed);
    struct mr_fs *fs = sim_disk_fs(disk);
    struct mr_file *file = opened(disk, "f");

    assert_int_equal(filled(file, 'a', 4 * SECTOR, 0), MR_OK);
    assert_int_equal(fs->sync(file, NULL), MR_OK);
    assert_int_equal(fs->sync_directory(fs, "", NULL), MR_OK);
    fs->close(file);
    return disk;
}

static void what_was_synced_is_never_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_file *file = opened(disk, "f");
        sim_disk_garbage(disk, 50);
        assert_int_equal(filled(file, 'b', SECTOR, SECTOR), MR_OK);
        assert_int_equal(file->fs->sync(file, NULL), MR_OK);
        sim_disk_crash(disk, SIM_POWER_CUT);
        file->fs->close(file);
        assert_string_equal(sectors(disk, "f"), "abaa");
        sim_disk_free(disk);
    }
}

static void each_sector_of_each_write_is_kept_or_lost_for_itself(void **state)
{
    unsigned seen[2][2][2] = {0};
    (void)state;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_file *file = opened(disk, "f");
        const char *now;
        assert_int_equal(filled(file, 'b', 2 * SECTOR, 0), MR_OK);
        assert_int_equal(filled(file, 'c', SECTOR, 0), MR_OK);
        assert_string_equal(sectors(disk, "f"), "cbaa");
        sim_disk_crash(disk, SIM_POWER_CUT);
        file->fs->close(file);
        now = sectors(disk, "f");
        assert_non_null(strchr("abc", now[0]));
        assert_non_null(strchr("ab", now[1]));
        assert_string_equal(now + 2, "aa");
        seen[now[0] != 'a'][now[0] == 'c'][now[1] == 'b']++;
        sim_disk_free(disk);
    }
    for (int second = 0; second < 2; second++) {
        assert_true(seen[0][0][second] > 0); /* a? */
        assert_true(seen[1][0][second] > 0); /* b?: the older of two writes */
        assert_true(seen[1][1][second] > 0); /* c? */
    }
}

static void lost_sectors_turn_to_garbage_on_request(void **state)
{
    unsigned garbage_count = 0;
    (void)state;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_file *file = opened(disk, "f");
        sim_disk_garbage(disk, 30);
        assert_int_equal(filled(file, 'b', SECTOR, SECTOR), MR_OK);
        sim_disk_crash(disk, SIM_POWER_CUT);
        file->fs->close(file);
        garbage_count += sectors(disk, "f")[1] == '?';
        assert_int_equal(sectors(disk, "f")[0], 'a');
        sim_disk_free(disk);
    }
    assert_in_range(garbage_count, 1, SEEDS / 2);
}

static void sizes_are_those_of_some_moment(void **state)
{
    unsigned seen[6] = {0};
    (void)state;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_file *file = opened(disk, "f");
        size_t size;
        sim_disk_garbage(disk, seed % 2 ? 50 : 0);
        assert_int_equal(filled(file, 'b', SECTOR, 4 * SECTOR), MR_OK);
        assert_int_equal(file->fs->truncate(file, 2 * SECTOR, NULL), MR_OK);
        assert_int_equal(file->fs->reserve(file, 3 * SECTOR, NULL), MR_OK);
        sim_disk_crash(disk, SIM_POWER_CUT);
        file->fs->close(file);
        size = strlen(sectors(disk, "f"));
        assert_in_range(size, 2, 5);
        if (size == 3)
            assert_string_equal(sectors(disk, "f"), "aa.");
        seen[size]++;
        file = opened(disk, "f"); /* nothing lurks behind the end */
        assert_int_equal(file->fs->truncate(file, size * SECTOR, NULL), MR_OK);
        assert_int_equal(file->fs->truncate(file, 6 * SECTOR, NULL), MR_OK);
        assert_string_equal(sectors(disk, "f") + size, &"......"[size]);
        file->fs->close(file);
        sim_disk_free(disk);
    }
    for (int size = 2; size <= 5; size++)
        assert_true(seen[size] > 0);
}

static void names_are_those_of_some_moment(void **state)
{
    unsigned seen[4] = {0};
    (void)state;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_fs *fs = sim_disk_fs(disk);
        int moment;
        fs->close(opened(disk, "g"));
        assert_int_equal(fs->rename(fs, "g", "h", NULL), MR_OK);
        assert_int_equal(fs->remove(fs, "f", NULL), MR_OK);
        sim_disk_crash(disk, SIM_POWER_CUT);
        moment = is_there(disk, "g") ? 1 : !is_there(disk, "h") ? 0 : is_there(disk, "f") ? 2 : 3;
        assert_int_equal(is_there(disk, "f"), moment < 3);
        assert_int_equal(is_there(disk, "g") + is_there(disk, "h"), moment > 0);
        if (moment < 3)
            assert_string_equal(sectors(disk, "f"), "aaaa");
        seen[moment]++;
        sim_disk_free(disk);
    }
    for (int moment = 0; moment < 4; moment++)
        assert_true(seen[moment] > 0);
}

static void synced_names_stay_and_bring_only_synced_bytes(void **state)
{
    unsigned lost = 0;
    (void)state;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_fs *fs = sim_disk_fs(disk);
        struct mr_file *file;
        assert_int_equal(fs->make_directory(fs, "d", NULL), MR_OK);
        file = opened(disk, "d/g");
        assert_int_equal(filled(file, 'g', SECTOR, 0), MR_OK);
        assert_int_equal(fs->sync_directory(fs, "d", NULL), MR_OK);
        assert_int_equal(fs->sync_directory(fs, "", NULL), MR_OK);
        sim_disk_crash(disk, SIM_POWER_CUT);
        fs->close(file);
        assert_true(is_there(disk, "d/g"));
        lost += strcmp(sectors(disk, "d/g"), "g") != 0;
        sim_disk_free(disk);
    }
    assert_in_range(lost, 1, SEEDS - 1);
}

static void a_kill_loses_nothing_but_makes_nothing_durable(void **state)
{
    unsigned lost = 0;
    (void)state;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_fs *fs = sim_disk_fs(disk);
        struct mr_file *file = opened(disk, "f"), *lock;
        assert_int_equal(fs->lock(fs, "LOCK", &lock, NULL), MR_OK);
        assert_int_equal(filled(file, 'b', SECTOR, 0), MR_OK);
        sim_disk_crash(disk, SIM_KILL);
        assert_int_equal(filled(file, 'c', SECTOR, 0), MR_IO); /* the file is dead */
        fs->close(file);
        fs->close(lock);
        assert_int_equal(fs->lock(fs, "LOCK", &lock, NULL), MR_OK); /* the lock was free */
        fs->close(lock);
        assert_string_equal(sectors(disk, "f"), "baaa");
        sim_disk_crash(disk, SIM_POWER_CUT);
        lost += sectors(disk, "f")[0] == 'a';
        sim_disk_free(disk);
    }
    assert_in_range(lost, 1, SEEDS - 1);
}

static void a_failed_sync_is_not_mended_by_the_next(void **state)
{
    unsigned shown_but_lost = 0, kept = 0;
    (void)state;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = with_file(seed);
        struct mr_file *file = opened(disk, "f");
        char shown;
        assert_int_equal(filled(file, 'b', SECTOR, 0), MR_OK);
        sim_disk_fail(disk, SIM_SYNC, 1, EIO, false);
        assert_int_equal(file->fs->sync(file, NULL), MR_IO);
        assert_int_equal(sim_disk_failed(disk), 1);
        assert_int_equal(file->fs->sync(file, NULL), MR_OK); /* it lies */
        shown = sectors(disk, "f")[0];
        sim_disk_crash(disk, SIM_POWER_CUT);
        file->fs->close(file);
        shown_but_lost += shown == 'b' && sectors(disk, "f")[0] == 'a';
        kept += sectors(disk, "f")[0] == 'b';
        assert_string_equal(sectors(disk, "f") + 1, "aaa");
        sim_disk_free(disk);
    }
    assert_true(shown_but_lost > 0);
    assert_true(kept > 0);
}

static void the_nth_call_fails_once_or_for_good(void **state)
{
    struct sim_disk *disk = with_file(1);
    struct mr_file *file = opened(disk, "f");
    (void)state;

    sim_disk_fail(disk, SIM_WRITE, 2, ENOSPC, false);
    assert_int_equal(filled(file, 'b', SECTOR, 0), MR_OK);
    assert_int_equal(file->fs->sync(file, NULL), MR_OK);
    assert_int_equal(filled(file, 'b', SECTOR, 0), MR_NO_SPACE);
    assert_int_equal(filled(file, 'b', SECTOR, 0), MR_OK);
    assert_int_equal(sim_disk_failed(disk), 1);
    sim_disk_fail(disk, SIM_WRITE | SIM_SYNC, 1, EROFS, true);
    assert_int_equal(filled(file, 'b', SECTOR, 0), MR_IO);
    assert_int_equal(file->fs->sync(file, NULL), MR_IO);
    assert_int_equal(sim_disk_failed(disk), 3);
    sim_disk_fail(disk, 0, 0, 0, false);
    assert_int_equal(file->fs->sync(file, NULL), MR_OK);
    file->fs->close(file);
    sim_disk_free(disk);
}

static void after_a_stop_nothing_happens_any_more(void **state)
{
    struct sim_disk *disk = with_file(1);
    struct mr_fs *fs = sim_disk_fs(disk);
    struct mr_file *file = opened(disk, "f");
    uint64_t size;
    (void)state;

    sim_disk_stop(disk, 2);
    assert_int_equal(filled(file, 'b', SECTOR, 0), MR_OK);
    assert_int_equal(fs->size(file, &size, NULL), MR_OK); /* not a change: not counted */
    assert_int_equal(filled(file, 'b', SECTOR, SECTOR), MR_IO);
    assert_true(sim_disk_stopped(disk));
    assert_int_equal(fs->size(file, &size, NULL), MR_IO);
    assert_int_equal(fs->remove(fs, "f", NULL), MR_IO);
    assert_int_equal(fs->sync(file, NULL), MR_IO);
    sim_disk_crash(disk, SIM_KILL);
    fs->close(file);
    assert_string_equal(sectors(disk, "f"), "baaa");
    sim_disk_free(disk);
}

static void a_full_disk_takes_what_fits(void **state)
{
    struct sim_disk *disk = with_file(1);
    struct mr_file *file = opened(disk, "f"), *other = opened(disk, "g");
    (void)state;

    assert_int_equal(sim_disk_used(disk), 4 * SECTOR);
    sim_disk_budget(disk, 6 * SECTOR);
    assert_int_equal(filled(file, 'b', SECTOR, 0), MR_OK); /* takes no new space */
    assert_int_equal(filled(other, 'g', 4 * SECTOR, 0), MR_NO_SPACE);
    assert_string_equal(sectors(disk, "g"), "gg");
    assert_int_equal(other->fs->reserve(other, 3 * SECTOR, NULL), MR_NO_SPACE);
    assert_int_equal(file->fs->truncate(file, 3 * SECTOR, NULL), MR_OK);
    assert_int_equal(other->fs->reserve(other, 3 * SECTOR, NULL), MR_OK);
    assert_int_equal(sim_disk_used(disk), 6 * SECTOR);
    file->fs->close(file);
    assert_int_equal(other->fs->remove(other->fs, "f", NULL), MR_OK);
    assert_int_equal(sim_disk_used(disk), 3 * SECTOR);
    other->fs->close(other);
    sim_disk_free(disk);
}

static void copy_and_crash(void *context)
{
    struct sim_disk **disks = context; /* the disk, and its copy */

    sim_disk_free(disks[1]);
    disks[1] = sim_disk_copy(disks[0], 1);
    sim_disk_crash(disks[1], SIM_POWER_CUT);
}

static void a_watcher_can_crash_a_copy_before_each_change(void **state)
{
    struct sim_disk *disks[2] = {with_file(1), NULL};
    struct mr_file *file = opened(disks[0], "f");
    (void)state;

    sim_disk_watch(disks[0], copy_and_crash, disks);
    assert_int_equal(filled(file, 'b', 4 * SECTOR, 0), MR_OK);
    assert_string_equal(sectors(disks[1], "f"), "aaaa");
    assert_int_equal(file->fs->sync(file, NULL), MR_OK);
    assert_int_equal(filled(file, 'c', 4 * SECTOR, 0), MR_OK);
    assert_string_equal(sectors(disks[1], "f"), "bbbb");
    assert_string_equal(sectors(disks[0], "f"), "cccc");
    file->fs->close(file);
    sim_disk_free(disks[0]);
    sim_disk_free(disks[1]);
}

/* A history of random calls, its outcome summed up. */
static uint64_t outcome(uint64_t seed)
{
    struct sim_disk *disk = with_file(seed);
    uint64_t hash = 0;

    sim_disk_garbage(disk, 20);
    for (uint64_t i = 0; i < 20; i++) {
        struct mr_file *file = opened(disk, i % 3 ? "f" : "g");
        filled(file, (char)('a' + i), 3 * SECTOR, i * 300);
        if (i % 5 == 0)
            file->fs->sync(file, NULL);
        file->fs->close(file);
        if (i % 7 == 6)
            sim_disk_crash(disk, SIM_POWER_CUT);
        for (const char *at = sectors(disk, "f"); *at; at++)
            hash = hash * 31 + (uint64_t)*at;
    }
    sim_disk_free(disk);
    return hash;
}

static void the_seed_decides_everything(void **state)
{
    (void)state;
    assert_int_equal(outcome(5), outcome(5));
    assert_int_not_equal(outcome(5), outcome(6));
}

static void a_flipped_bit_stays_flipped(void **state)
{
    struct sim_disk *disk = with_file(1);
    (void)state;

    sim_disk_flip(disk, "f", SECTOR + 7, 0x10);
    assert_string_equal(sectors(disk, "f"), "a?aa");
    sim_disk_crash(disk, SIM_POWER_CUT);
    assert_string_equal(sectors(disk, "f"), "a?aa");
    sim_disk_free(disk);
}

static void the_clock_moves_only_when_told(void **state)
{
    struct sim_clock clock;
    int64_t wall_ms;
    uint64_t monotonic_ns;
    (void)state;

    sim_clock_init(&clock);
    wall_ms = clock.base.wall_ms(&clock.base);
    monotonic_ns = clock.base.monotonic_ns(&clock.base);
    assert_int_equal(wall_ms, SIM_CLOCK_START_MS);
    sim_clock_advance(&clock, 1500);
    assert_int_equal(clock.base.wall_ms(&clock.base), wall_ms + 1500);
    assert_int_equal(clock.base.monotonic_ns(&clock.base), monotonic_ns + 1500000000);
    sim_clock_set_wall(&clock, 5);
    assert_int_equal(clock.base.wall_ms(&clock.base), 5);
    assert_int_equal(clock.base.monotonic_ns(&clock.base), monotonic_ns + 1500000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_is_never_lost),
        cmocka_unit_test(each_sector_of_each_write_is_kept_or_lost_for_itself),
        cmocka_unit_test(lost_sectors_turn_to_garbage_on_request),
        cmocka_unit_test(sizes_are_those_of_some_moment),
        cmocka_unit_test(names_are_those_of_some_moment),
        cmocka_unit_test(synced_names_stay_and_bring_only_synced_bytes),
        cmocka_unit_test(a_kill_loses_nothing_but_makes_nothing_durable),
        cmocka_unit_test(a_failed_sync_is_not_mended_by_the_next),
        cmocka_unit_test(the_nth_call_fails_once_or_for_good),
        cmocka_unit_test(after_a_stop_nothing_happens_any_more),
        cmocka_unit_test(a_full_disk_takes_what_fits),
        cmocka_unit_test(a_watcher_can_crash_a_copy_before_each_change),
        cmocka_unit_test(the_seed_decides_everything),
        cmocka_unit_test(a_flipped_bit_stays_flipped),
        cmocka_unit_test(the_clock_moves_only_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
