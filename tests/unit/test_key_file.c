/* The key file: what is refused and why, and that it is never half there. */
#include "base/memory.h"
#include "log/key_file.h"
#include "support/sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Two keys with their ids, by sha256sum. */
#define LINE_1                                                                                     \
    "key 66687aadf862bd77 "                                                                        \
    "0000000000000000000000000000000000000000000000000000000000000000\n"
#define ID_1 UINT64_C(0x66687aadf862bd77)
#define LINE_2                                                                                     \
    "key af9613760f72635f "                                                                        \
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n"
#define ID_2 UINT64_C(0xaf9613760f72635f)

static char directory[64], path[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "%s/keys.XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/a/b/keys", directory);
    return 0;
}

static void write_file(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, true);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static struct mr_key_file *made(uint64_t *id)
{
    struct mr_key_file *keys = mr_key_file_new(mr_fs_posix(), path);

    assert_int_equal(mr_key_file_first(keys, true, id, NULL), MR_OK);
    return keys;
}

/* Every reason names the file and what to do about it. */
static void assert_refused(uint64_t id, const char *why, const char *what_to_do)
{
    struct mr_key_file *keys = mr_key_file_new(mr_fs_posix(), path);
    mr_error error = {0};

    assert_int_equal(mr_key_file_find(keys, id, NULL, &error), MR_NO_KEY);
    assert_int_equal(error.status, MR_NO_KEY);
    if (!strstr(error.message, path) || !strstr(error.message, why) ||
        !strstr(error.message, what_to_do))
        fail_msg("not clear: %s", error.message);
    mr_key_file_free(keys);
}

static void is_made_once_for_its_owner_alone(void **state)
{
    struct stat status;
    uint64_t id, again;
    (void)state;

    mr_key_file_free(made(&id));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    mr_key_file_free(made(&again)); /* E1 */
    assert_int_equal(id, again);
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0660, 0601};
    uint64_t id;
    (void)state;

    mr_key_file_free(made(&id));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_refused(id, "open to others", "chmod 600"); /* E2 */
    }
    assert_int_equal(chmod(path, 0400), 0);
    mr_key_file_free(made(&id));
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    assert_refused(ID_1, "is missing, and with it key 66687aadf862bd77", "put it back");
}

/* E2: any one changed digit, and any cut. */
static void a_damaged_file_is_refused(void **state)
{
    static const char text[] = "# ours\n\n" LINE_1;
    char damaged[sizeof text];
    uint64_t id;
    (void)state;

    mr_key_file_free(made(&id));
    for (size_t i = 8; i < sizeof text - 1; i++) {
        memcpy(damaged, text, sizeof text);
        damaged[i] ^= 1;
        write_file(damaged, 0600);
        assert_refused(ID_1, damaged[i] == '#' ? "" : "damaged in line", "from your copy");
    }
    for (size_t size = 0; size < sizeof text - 2; size++) {
        memcpy(damaged, text, sizeof text);
        damaged[size] = 0;
        write_file(damaged, 0600);
        assert_refused(ID_1, "damaged in line", "from your copy");
    }
}

static void the_first_key_is_for_what_is_new_and_all_are_found(void **state)
{
    struct mr_key_file *keys;
    struct mr_master_key key;
    uint64_t id;
    (void)state;

    keys = made(&id);
    write_file(LINE_1, 0600);
    assert_refused(ID_2, "lacks key af9613760f72635f", "add its line");
    write_file(LINE_2 "# before it was rotated:\r\n" LINE_1, 0600);
    /* The same handle sees it, and has not forgotten what the file had before. */
    assert_int_equal(mr_key_file_find(keys, ID_1, &key, NULL), MR_OK);
    assert_int_equal(key.secret[31], 0);
    assert_int_equal(mr_key_file_find(keys, ID_2, &key, NULL), MR_OK);
    assert_int_equal(key.secret[0], 0xff);
    assert_int_equal(mr_key_file_find(keys, id, NULL, NULL), MR_OK);
    assert_int_equal(mr_key_file_first(keys, true, &id, NULL), MR_OK);
    assert_int_equal(id, ID_2);
    mr_key_file_free(keys);
}

static void what_was_read_once_serves_until_the_end(void **state)
{
    struct mr_key_file *keys;
    uint64_t id, first;
    (void)state;

    keys = made(&id);
    assert_int_equal(remove(path), 0);
    assert_int_equal(mr_key_file_find(keys, id, NULL, NULL), MR_OK);
    assert_int_equal(mr_key_file_first(keys, false, &first, NULL), MR_OK);
    assert_int_equal(first, id);
    mr_key_file_free(keys);
}

/* E1: whatever call fails or is the last, the next making gives a key, and one that was given stays. */
static bool one_fault(void *context, uint64_t number)
{
    bool cuts = *(bool *)context;
    struct sim_disk *disk = sim_disk_new(number);
    struct mr_fs *fs = sim_disk_fs(disk);
    struct mr_key_file *keys = mr_key_file_new(fs, "a/b/keys");
    uint64_t id, again;
    mr_status status;
    bool was_met;

    if (cuts)
        sim_disk_stop(disk, number);
    else
        sim_disk_fail(disk, SIM_ALL_CALLS, number, EIO, false);
    sim_disk_garbage(disk, 30);
    status = mr_key_file_first(keys, true, &id, NULL);
    was_met = cuts ? sim_disk_stopped(disk) : sim_disk_failed(disk) > 0;
    mr_key_file_free(keys);
    sim_disk_crash(disk, SIM_POWER_CUT);

    keys = mr_key_file_new(fs, "a/b/keys");
    if (!status)
        assert_int_equal(mr_key_file_find(keys, id, NULL, NULL), MR_OK);
    assert_int_equal(mr_key_file_first(keys, true, &again, NULL), MR_OK);
    if (!status)
        assert_int_equal(again, id);
    mr_key_file_free(keys);
    sim_disk_free(disk);
    return was_met;
}

static void a_key_that_was_given_survives_any_fault(void **state)
{
    bool cuts = false;
    (void)state;

    assert_true(sim_each_fault(one_fault, &cuts) > 8);
    cuts = true;
    assert_true(sim_each_fault(one_fault, &cuts) > 5);
}

static void without_a_home_a_file_must_be_named(void **state)
{
    struct mr_key_file *keys;
    mr_error error;
    uint64_t id;
    (void)state;

    unsetenv("HOME");
    setenv("XDG_CONFIG_HOME", directory, 1);
    keys = mr_key_file_new(mr_fs_posix(), NULL);
    assert_non_null(strstr(mr_key_file_path(keys), "/millrace/keys"));
    mr_key_file_free(keys);
    unsetenv("XDG_CONFIG_HOME");
    keys = mr_key_file_new(mr_fs_posix(), NULL);
    assert_int_equal(mr_key_file_first(keys, true, &id, &error), MR_NO_KEY);
    assert_non_null(strstr(error.message, "--key-file"));
    mr_key_file_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_made_once_for_its_owner_alone, set_up),
        cmocka_unit_test_setup(a_file_that_others_may_read_is_refused, set_up),
        cmocka_unit_test_setup(a_missing_file_is_named, set_up),
        cmocka_unit_test_setup(a_damaged_file_is_refused, set_up),
        cmocka_unit_test_setup(the_first_key_is_for_what_is_new_and_all_are_found, set_up),
        cmocka_unit_test_setup(what_was_read_once_serves_until_the_end, set_up),
        cmocka_unit_test(a_key_that_was_given_survives_any_fault),
        cmocka_unit_test_setup(without_a_home_a_file_must_be_named, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
