/* The file FORMAT: read back, every change of it seen, and a newer format refused as such. */
#include "log/format.h"

#include "base/memory.h"
#include "support/seed.h"
#include "support/sim_clock.h"
#include "support/sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct mr_fs *fs = sim_disk_fs(disk);

    *state = disk;
    return fs->make_directory(fs, "data", NULL);
}

static int teardown(void **state)
{
    sim_disk_free(*state);
    return 0;
}

static void write_text(struct sim_disk *disk, const char *text, size_t size)
{
    struct mr_fs *fs = sim_disk_fs(disk);

    assert_int_equal(mr_fs_replace(fs, "data", "data/FORMAT", (mr_bytes){text, size}, NULL), MR_OK);
}

static mr_status read_format(struct sim_disk *disk, uint64_t *id, mr_error *error)
{
    return mr_format_read(sim_disk_fs(disk), "data", id, error);
}

static size_t read_text(struct sim_disk *disk, char text[256])
{
    uint8_t *data;
    size_t size;

    assert_int_equal(mr_fs_read_all(sim_disk_fs(disk), "data/FORMAT", 255, &data, &size, NULL),
                     MR_OK);
    memcpy(text, data, size);
    text[size] = 0;
    mr_free(data);
    return size;
}

static void reads_back_what_it_wrote(void **state)
{
    struct mr_random random = seed_random();
    uint64_t id, expected[] = {0, 1, UINT64_MAX, mr_random_next(&random)};

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(mr_format_write(sim_disk_fs(*state), "data", expected[i], NULL), MR_OK);
        assert_int_equal(read_format(*state, &id, NULL), MR_OK);
        assert_true(id == expected[i]);
    }
}

static void a_person_can_read_it(void **state)
{
    char text[256];

    assert_int_equal(mr_format_write(sim_disk_fs(*state), "data", 0xabc, NULL), MR_OK);
    read_text(*state, text);
    assert_non_null(strstr(text, "millrace directory, format 1\nid 0000000000000abc\nchecksum "));
}

static void a_missing_file_is_not_a_damaged_one(void **state)
{
    uint64_t id;
    mr_error error;

    assert_int_equal(read_format(*state, &id, &error), MR_NOT_FOUND);
}

/* L5 */
static void sees_every_flipped_bit(void **state)
{
    char text[256];
    size_t size;
    uint64_t id;
    mr_error error;

    assert_int_equal(mr_format_write(sim_disk_fs(*state), "data", 0x123456789abcdef0, NULL), MR_OK);
    size = read_text(*state, text);
    for (size_t bit = 0; bit < size * 8; bit++) {
        mr_status status;

        sim_disk_flip(*state, "data/FORMAT", bit / 8, (uint8_t)(1 << bit % 8));
        status = read_format(*state, &id, &error);
        assert_true(status == MR_CORRUPT || status == MR_FORMAT);
        assert_int_equal(error.status, status);
        assert_non_null(strstr(error.message, "data"));
        sim_disk_flip(*state, "data/FORMAT", bit / 8, (uint8_t)(1 << bit % 8));
    }
    assert_int_equal(read_format(*state, &id, &error), MR_OK);
}

/* L5 */
static void sees_every_cut_and_every_byte_more(void **state)
{
    char text[256];
    size_t size;
    uint64_t id;

    assert_int_equal(mr_format_write(sim_disk_fs(*state), "data", 5, NULL), MR_OK);
    size = read_text(*state, text);
    for (size_t cut = 0; cut < size; cut++) {
        write_text(*state, text, cut);
        assert_int_equal(read_format(*state, &id, NULL), MR_CORRUPT);
    }
    for (int byte = 0; byte < 256; byte++) {
        text[size] = (char)byte;
        write_text(*state, text, size + 1);
        assert_int_equal(read_format(*state, &id, NULL), MR_CORRUPT);
    }
}

static void a_large_file_is_damaged(void **state)
{
    static char text[100000];
    uint64_t id;
    mr_error error;

    for (size_t size = 200; size <= sizeof text; size = size < 300 ? size + 1 : sizeof text + 1) {
        write_text(*state, text, size);
        assert_int_equal(read_format(*state, &id, &error), MR_CORRUPT);
    }
    write_text(*state, text, sizeof text);
    assert_int_equal(read_format(*state, &id, &error), MR_CORRUPT);
    assert_non_null(strstr(error.message, "FORMAT"));
}

static void a_newer_format_is_refused_as_such(void **state)
{
    static const char *const texts[] = {
        "millrace directory, format 2\n",
        "millrace directory, format 2\nid 0000000000000005\nchecksum 0000000000000000\n",
        "millrace directory, format 17\nwhatever comes then",
    };
    uint64_t id;
    mr_error error;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_text(*state, texts[i], strlen(texts[i]));
        assert_int_equal(read_format(*state, &id, &error), MR_FORMAT);
        assert_non_null(strstr(error.message, "newer"));
        assert_non_null(strstr(error.message, "data"));
    }
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    uint64_t id;
    mr_error error;

    assert_int_equal(mr_format_write(sim_disk_fs(*state), "data", 5, NULL), MR_OK);
    sim_disk_fail(*state, SIM_WRITE, 1, ENOSPC, false);
    assert_int_equal(mr_format_write(sim_disk_fs(*state), "data", 6, &error), MR_NO_SPACE);
    assert_int_equal(read_format(*state, &id, NULL), MR_OK);
    assert_int_equal(id, 5);
}

static void ids_of_two_moments_differ(void **state)
{
    struct sim_clock clock;
    uint64_t first, second, third;

    (void)state;
    sim_clock_init(&clock);
    first = mr_format_new_id(&clock.base);
    sim_clock_advance(&clock, 1);
    second = mr_format_new_id(&clock.base);
    clock.monotonic_ns += 1;
    third = mr_format_new_id(&clock.base);
    assert_true(first != second && second != third && first != third);
}

#define in_a_directory(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_directory(reads_back_what_it_wrote),
        in_a_directory(a_person_can_read_it),
        in_a_directory(a_missing_file_is_not_a_damaged_one),
        in_a_directory(sees_every_flipped_bit),
        in_a_directory(sees_every_cut_and_every_byte_more),
        in_a_directory(a_large_file_is_damaged),
        in_a_directory(a_newer_format_is_refused_as_such),
        in_a_directory(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(ids_of_two_moments_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
