/* What fs.h promises, once over real files and once over the simulated disk. */
#include "base/memory.h"
#include "os/fs.h"
#include "os/thread.h"
#include "support/sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    struct mr_fs *fs;
    struct sim_disk *disk; /* NULL: real files */
    char directory[64];
};

static int on_real_files(void **state)
{
    struct place *place = mr_new(struct place);

    snprintf(place->directory, sizeof place->directory, "%s/fs.XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(place->directory))
        return -1;
    place->fs = mr_fs_posix();
    *state = place;
    return 0;
}

static int on_the_simulated_disk(void **state)
{
    struct place *place = mr_new(struct place);

    place->disk = sim_disk_new(1);
    place->fs = sim_disk_fs(place->disk);
    strcpy(place->directory, "there");
    *state = place;
    return place->fs->make_directory(place->fs, place->directory, NULL) == MR_OK ? 0 : -1;
}

static bool collect(void *context, const char *name)
{
    strcat(context, name);
    strcat(context, " ");
    return true;
}

static bool remove_one(void *context, const char *name)
{
    struct place *place = context;
    char path[512];

    snprintf(path, sizeof path, "%s/%s", place->directory, name);
    if (place->fs->remove(place->fs, path, NULL) != MR_OK)
        place->fs->remove_directory(place->fs, path, NULL);
    return true;
}

static int remove_all(void **state)
{
    struct place *place = *state;

    place->fs->list(place->fs, place->directory, remove_one, place, NULL);
    if (place->fs->remove_directory(place->fs, place->directory, NULL) != MR_OK)
        return -1;
    sim_disk_free(place->disk);
    mr_free(place);
    return 0;
}

/* DIRECTORY/name, in one of a few buffers that take turns. */
static const char *in(const struct place *place, const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", place->directory, name);
    return path;
}

static struct mr_file *opened(struct place *place, const char *name, unsigned flags)
{
    struct mr_file *file = NULL;

    assert_int_equal(place->fs->open(place->fs, in(place, name), flags, &file, NULL), MR_OK);
    assert_ptr_equal(file->fs, place->fs);
    return file;
}

static void put_file(struct place *place, const char *name, const char *text)
{
    struct mr_file *file = opened(place, name, MR_FS_WRITE | MR_FS_CREATE);

    assert_int_equal(place->fs->write(file, text, strlen(text), 0, NULL), MR_OK);
    assert_int_equal(place->fs->sync(file, NULL), MR_OK);
    place->fs->close(file);
}

static void assert_file(struct place *place, const char *name, const char *text)
{
    uint8_t *data;
    size_t size;

    assert_int_equal(mr_fs_read_all(place->fs, in(place, name), 1000, &data, &size, NULL), MR_OK);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, size);
    mr_free(data);
}

static void opens_what_is_there_and_creates_on_request(void **state)
{
    struct place *place = *state;
    struct mr_fs *fs = place->fs;
    struct mr_file *file;
    mr_error error;

    assert_int_equal(fs->open(fs, in(place, "a"), 0, &file, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.message, in(place, "a")));
    assert_int_equal(error.status, MR_NOT_FOUND);
    assert_int_equal(fs->open(fs, in(place, "a"), MR_FS_WRITE, &file, NULL), MR_NOT_FOUND);
    put_file(place, "a", "text");
    fs->close(opened(place, "a", MR_FS_WRITE | MR_FS_CREATE));
    assert_file(place, "a", "text");
    assert_int_equal(
        fs->open(fs, in(place, "a"), MR_FS_WRITE | MR_FS_CREATE | MR_FS_EXCLUSIVE, &file, &error),
        MR_EXISTS);
    fs->close(opened(place, "b", MR_FS_WRITE | MR_FS_CREATE | MR_FS_EXCLUSIVE));
    assert_file(place, "b", "");
    assert_int_equal(fs->open(fs, in(place, "no/c"), MR_FS_WRITE | MR_FS_CREATE, &file, NULL),
                     MR_NOT_FOUND);
    fs->close(NULL);
}

static void reads_stop_at_the_end(void **state)
{
    struct place *place = *state;
    struct mr_file *file;
    char buffer[16];
    size_t got;

    put_file(place, "a", "0123456789");
    file = opened(place, "a", MR_FS_SEQUENTIAL);
    assert_int_equal(place->fs->read(file, buffer, 16, 4, &got, NULL), MR_OK);
    assert_int_equal(got, 6);
    assert_memory_equal(buffer, "456789", 6);
    assert_int_equal(place->fs->read(file, buffer, 4, 0, &got, NULL), MR_OK);
    assert_int_equal(got, 4);
    assert_int_equal(place->fs->read(file, buffer, 4, 10, &got, NULL), MR_OK);
    assert_int_equal(got, 0);
    assert_int_equal(place->fs->read(file, buffer, 4, 1000, &got, NULL), MR_OK);
    assert_int_equal(got, 0);
    place->fs->close(file);
}

static void assert_zero(struct place *place, struct mr_file *file, uint64_t from, uint64_t to)
{
    while (from < to) {
        uint8_t byte = 1;
        size_t got;
        assert_int_equal(place->fs->read(file, &byte, 1, from, &got, NULL), MR_OK);
        assert_int_equal(got, 1);
        assert_int_equal(byte, 0);
        from += to - from > 1000 ? 97 : 1;
    }
}

static void assert_size(struct place *place, struct mr_file *file, uint64_t expected)
{
    uint64_t size;

    assert_int_equal(place->fs->size(file, &size, NULL), MR_OK);
    assert_int_equal(size, expected);
}

static void sizes_grow_and_shrink_and_new_bytes_are_zero(void **state)
{
    struct place *place = *state;
    struct mr_file *file = opened(place, "a", MR_FS_WRITE | MR_FS_CREATE);

    assert_size(place, file, 0);
    assert_int_equal(place->fs->write(file, "end", 3, 5000, NULL), MR_OK);
    assert_size(place, file, 5003);
    assert_zero(place, file, 0, 5000);
    assert_int_equal(place->fs->truncate(file, 5001, NULL), MR_OK);
    assert_size(place, file, 5001);
    assert_int_equal(place->fs->truncate(file, 20000, NULL), MR_OK);
    assert_size(place, file, 20000);
    assert_zero(place, file, 5001, 20000);
    assert_int_equal(place->fs->truncate(file, 0, NULL), MR_OK);
    assert_size(place, file, 0);
    place->fs->close(file);
}

static void reserve_only_grows_and_keeps_what_is_there(void **state)
{
    struct place *place = *state;
    struct mr_file *file = opened(place, "a", MR_FS_WRITE | MR_FS_CREATE);
    char buffer[4];
    size_t got;

    assert_int_equal(place->fs->write(file, "keep", 4, 0, NULL), MR_OK);
    assert_int_equal(place->fs->reserve(file, 100000, NULL), MR_OK);
    assert_size(place, file, 100000);
    assert_zero(place, file, 4, 100000);
    assert_int_equal(place->fs->reserve(file, 10, NULL), MR_OK);
    assert_size(place, file, 100000);
    assert_int_equal(place->fs->reserve(file, 0, NULL), MR_OK);
    assert_int_equal(place->fs->read(file, buffer, 4, 0, &got, NULL), MR_OK);
    assert_memory_equal(buffer, "keep", 4);
    place->fs->close(file);
}

static void direct_files_hold_the_same_bytes(void **state)
{
    struct place *place = *state;
    struct mr_fs *fs = place->fs;
    struct mr_file *file = opened(place, "a", MR_FS_WRITE | MR_FS_CREATE | MR_FS_DIRECT);
    uint8_t *pages = mr_pages_take(3 * 4096);
    size_t got;

    memset(pages, 7, 4096);
    assert_int_equal(fs->write(file, pages, 8192, 4096, NULL), MR_OK);
    assert_int_equal(fs->sync(file, NULL), MR_OK);
    memset(pages, 1, 3 * 4096);
    assert_int_equal(fs->read(file, pages, 3 * 4096, 0, &got, NULL), MR_OK);
    assert_int_equal(got, 3 * 4096);
    assert_int_equal(pages[4095], 0);
    assert_int_equal(pages[4096], 7);
    assert_int_equal(pages[8191], 7);
    assert_int_equal(pages[8192], 0);
    assert_int_equal(fs->truncate(file, 5000, NULL), MR_OK);
    assert_int_equal(fs->read(file, pages, 3 * 4096, 0, &got, NULL), MR_OK);
    assert_int_equal(got, 5000);
    assert_int_equal(fs->read(file, pages, 4096, 8192, &got, NULL), MR_OK);
    assert_int_equal(got, 0);
    fs->close(file);
    mr_pages_give(pages, 3 * 4096);
}

/* One after the other, as segments grow: pieces begin and end anywhere in a page. */
static void bulk_files_hold_what_was_appended(void **state)
{
    enum { ALL = 8 << 20 };
    static const size_t sizes[] = {100, 1 << 20, 3 << 20, 5000, (1 << 20) + 77, 600000, 513};
    struct place *place = *state;
    struct mr_file *file = opened(place, "a", MR_FS_WRITE | MR_FS_CREATE | MR_FS_BULK);
    uint8_t *expected = mr_pages_take(ALL), *found = mr_pages_take(ALL);
    size_t at = 0, got;

    for (size_t i = 0; i < ALL; i++)
        expected[i] = (uint8_t)(i * 7 + i / 4096);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        /* In a page as in the file's, but for one. */
        uint8_t *pages = mr_pages_take(ALL), *bytes = pages + (at + (i == 4)) % 4096;

        memcpy(bytes, expected + at, sizes[i]);
        assert_int_equal(place->fs->write(file, bytes, sizes[i], at, NULL), MR_OK);
        at += sizes[i];
        assert_size(place, file, at);
        assert_int_equal(place->fs->read(file, found, ALL, 0, &got, NULL), MR_OK);
        assert_int_equal(got, at);
        assert_memory_equal(found, expected, at);
        mr_pages_give(pages, ALL);
    }
    assert_int_equal(place->fs->sync(file, NULL), MR_OK);
    place->fs->close(file);
    mr_pages_give(expected, ALL);
    mr_pages_give(found, ALL);
}

static void names_are_listed_renamed_and_removed(void **state)
{
    struct place *place = *state;
    struct mr_fs *fs = place->fs;
    char names[100] = "";

    assert_int_equal(fs->list(fs, in(place, "no"), collect, names, NULL), MR_NOT_FOUND);
    put_file(place, "a", "old");
    put_file(place, "b", "new");
    assert_int_equal(fs->rename(fs, in(place, "b"), in(place, "a"), NULL), MR_OK);
    assert_file(place, "a", "new");
    assert_int_equal(fs->rename(fs, in(place, "b"), in(place, "a"), NULL), MR_NOT_FOUND);
    assert_int_equal(fs->remove(fs, in(place, "b"), NULL), MR_NOT_FOUND);
    assert_int_equal(fs->sync_directory(fs, place->directory, NULL), MR_OK);
    assert_int_equal(fs->list(fs, place->directory, collect, names, NULL), MR_OK);
    assert_string_equal(names, "a ");
    assert_int_equal(fs->remove(fs, in(place, "a"), NULL), MR_OK);
    names[0] = 0;
    assert_int_equal(fs->list(fs, place->directory, collect, names, NULL), MR_OK);
    assert_string_equal(names, "");
}

static void an_open_file_outlives_its_name(void **state)
{
    struct place *place = *state;
    struct mr_file *file;
    char buffer[4];
    size_t got;

    put_file(place, "a", "text");
    file = opened(place, "a", 0);
    assert_int_equal(place->fs->remove(place->fs, in(place, "a"), NULL), MR_OK);
    assert_int_equal(place->fs->read(file, buffer, 4, 0, &got, NULL), MR_OK);
    assert_int_equal(got, 4);
    assert_memory_equal(buffer, "text", 4);
    place->fs->close(file);
}

static void directories_are_made_once_and_removed_when_empty(void **state)
{
    struct place *place = *state;
    struct mr_fs *fs = place->fs;

    assert_int_equal(fs->make_directory(fs, in(place, "d"), NULL), MR_OK);
    assert_int_equal(fs->make_directory(fs, in(place, "d"), NULL), MR_EXISTS);
    assert_int_equal(fs->make_directory(fs, in(place, "no/d"), NULL), MR_NOT_FOUND);
    put_file(place, "d/a", "in it");
    assert_int_equal(fs->sync_directory(fs, in(place, "d"), NULL), MR_OK);
    assert_int_equal(fs->sync_directory(fs, in(place, "no"), NULL), MR_NOT_FOUND);
    assert_int_not_equal(fs->remove_directory(fs, in(place, "d"), NULL), MR_OK);
    assert_file(place, "d/a", "in it");
    assert_int_equal(fs->remove(fs, in(place, "d/a"), NULL), MR_OK);
    assert_int_equal(fs->remove_directory(fs, in(place, "d"), NULL), MR_OK);
    assert_int_equal(fs->remove_directory(fs, in(place, "d"), NULL), MR_NOT_FOUND);
}

static void a_lock_has_one_holder(void **state)
{
    struct place *place = *state;
    struct mr_fs *fs = place->fs;
    struct mr_file *first, *second;
    mr_error error;

    assert_int_equal(fs->lock(fs, in(place, "LOCK"), &first, NULL), MR_OK);
    assert_int_equal(fs->lock(fs, in(place, "LOCK"), &second, &error), MR_LOCKED);
    assert_non_null(strstr(error.message, "is open in this process already"));
    assert_non_null(strstr(error.message, place->directory));
    fs->close(first);
    assert_file(place, "LOCK", "");
    assert_int_equal(fs->lock(fs, in(place, "LOCK"), &second, &error), MR_OK);
    fs->close(second);
}

static void read_all_has_a_limit(void **state)
{
    struct place *place = *state;
    uint8_t *data;
    size_t size;
    mr_error error;

    put_file(place, "a", "0123456789");
    assert_int_equal(mr_fs_read_all(place->fs, in(place, "a"), 9, &data, &size, &error), MR_LIMIT);
    assert_non_null(strstr(error.message, in(place, "a")));
    assert_int_equal(mr_fs_read_all(place->fs, in(place, "a"), 10, &data, &size, NULL), MR_OK);
    assert_int_equal(size, 10);
    mr_free(data);
    assert_int_equal(mr_fs_read_all(place->fs, in(place, "b"), 9, &data, &size, &error),
                     MR_NOT_FOUND);
}

static mr_status replaced(struct place *place, const char *text)
{
    return mr_fs_replace(place->fs, place->directory, in(place, "a"),
                         (mr_bytes){text, strlen(text)}, NULL);
}

static void replace_leaves_nothing_else(void **state)
{
    struct place *place = *state;
    char names[100] = "";

    put_file(place, "a.tmp", "this is longer and was left by a crash");
    assert_int_equal(replaced(place, "one"), MR_OK);
    assert_file(place, "a", "one");
    assert_int_equal(replaced(place, "the second"), MR_OK);
    assert_file(place, "a", "the second");
    assert_int_equal(replaced(place, ""), MR_OK);
    assert_file(place, "a", "");
    place->fs->list(place->fs, place->directory, collect, names, NULL);
    assert_string_equal(names, "a ");
}

/* ---- real files only ---------------------------------------------------------------------- */

static void a_lock_names_the_process_that_holds_it(void **state)
{
    struct place *place = *state;
    struct mr_fs *fs = place->fs;
    struct mr_file *file;
    mr_error error;
    char expected[64];
    int to_child[2], to_parent[2], status;
    char byte = 0;
    pid_t child;

    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    child = fork();
    if (child == 0) {
        if (fs->lock(fs, in(place, "LOCK"), &file, NULL) != MR_OK ||
            write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1)
            _exit(1);
        _exit(0); /* killed, as it were: the file is not closed by us */
    }
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    assert_int_equal(fs->lock(fs, in(place, "LOCK"), &file, &error), MR_LOCKED);
    snprintf(expected, sizeof expected, "is open in process %ld: stop it", (long)child);
    assert_non_null(strstr(error.message, expected));
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(fs->lock(fs, in(place, "LOCK"), &file, &error), MR_OK);
    fs->close(file);
    close(to_child[0]);
    close(to_child[1]);
    close(to_parent[0]);
    close(to_parent[1]);
}

static void direct_falls_back_where_it_is_refused(void **state)
{
    struct place place = {.fs = mr_fs_posix()};
    void *inner = &place;
    (void)state;

    strcpy(place.directory, "/dev/shm/fs.XXXXXX"); /* a tmpfs: Linux before 6.6 refuses O_DIRECT */
    if (!mkdtemp(place.directory))
        skip();
    direct_files_hold_the_same_bytes(&inner);
    place.fs->list(place.fs, place.directory, remove_one, &place, NULL);
    assert_int_equal(rmdir(place.directory), 0);
}

static void a_full_disk_is_no_space_and_says_what_to_do(void **state)
{
    struct mr_fs *fs = mr_fs_posix();
    struct mr_file *file;
    mr_error error;
    (void)state;

    assert_int_equal(fs->open(fs, "/dev/full", MR_FS_WRITE, &file, NULL), MR_OK);
    assert_int_equal(fs->write(file, "x", 1, 0, &error), MR_NO_SPACE);
    assert_non_null(strstr(error.message, "/dev/full"));
    assert_non_null(strstr(error.message, "free some space"));
    fs->close(file);
}

/* ---- simulated disk only ------------------------------------------------------------------ */

static bool replace_survives_fault(void *context, uint64_t number)
{
    const int *os_errno = context;
    struct place place = {.disk = sim_disk_new(number), .directory = "d"};
    uint8_t *data;
    size_t size;
    uint64_t failed;
    mr_status status;

    place.fs = sim_disk_fs(place.disk);
    assert_int_equal(place.fs->make_directory(place.fs, "d", NULL), MR_OK);
    assert_int_equal(place.fs->sync_directory(place.fs, "", NULL), MR_OK);
    assert_int_equal(replaced(&place, "old"), MR_OK);
    if (*os_errno)
        sim_disk_fail(place.disk, SIM_ALL_CALLS, number, *os_errno, false);
    else
        sim_disk_stop(place.disk, number);
    status = replaced(&place, "newer");
    failed = sim_disk_failed(place.disk) + sim_disk_stopped(place.disk);
    sim_disk_crash(place.disk, SIM_POWER_CUT);
    assert_int_equal(mr_fs_read_all(place.fs, "d/a", 100, &data, &size, NULL), MR_OK);
    if (status == MR_OK)
        assert_int_equal(size, 5);
    assert_true((size == 3 && memcmp(data, "old", 3) == 0) ||
                (size == 5 && memcmp(data, "newer", 5) == 0));
    mr_free(data);
    sim_disk_free(place.disk);
    return failed > 0;
}

static void replace_leaves_the_old_or_the_new_whatever_fails(void **state)
{
    int os_errno[] = {0, EIO, ENOSPC};
    (void)state;

    for (int i = 0; i < 3; i++) /* open truncate write sync rename sync_directory */
        assert_true(sim_each_fault(replace_survives_fault, &os_errno[i]) >= 6);
}

int main(void)
{
#define BOTH(test)                                                                                 \
    {#test, test, on_real_files, remove_all, NULL},                                                \
    {                                                                                              \
#test " (simulated)", test, on_the_simulated_disk, remove_all, NULL                        \
    }
    const struct CMUnitTest tests[] = {
        BOTH(opens_what_is_there_and_creates_on_request),
        BOTH(reads_stop_at_the_end),
        BOTH(sizes_grow_and_shrink_and_new_bytes_are_zero),
        BOTH(reserve_only_grows_and_keeps_what_is_there),
        BOTH(direct_files_hold_the_same_bytes),
        BOTH(bulk_files_hold_what_was_appended),
        BOTH(names_are_listed_renamed_and_removed),
        BOTH(an_open_file_outlives_its_name),
        BOTH(directories_are_made_once_and_removed_when_empty),
        BOTH(a_lock_has_one_holder),
        BOTH(read_all_has_a_limit),
        BOTH(replace_leaves_nothing_else),
        cmocka_unit_test_setup_teardown(a_lock_names_the_process_that_holds_it, on_real_files,
                                        remove_all),
        cmocka_unit_test(direct_falls_back_where_it_is_refused),
        cmocka_unit_test(a_full_disk_is_no_space_and_says_what_to_do),
        cmocka_unit_test(replace_leaves_the_old_or_the_new_whatever_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
