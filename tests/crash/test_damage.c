/*
 * Any changed byte of a directory is noticed when it is read, and named; the rest stays readable (L5).
 * Nothing that was answered goes silently.
 */
#include "base/check.h"
#include "support/log_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FILES_MAX = 40 };

struct files {
    char directory[64];
    char paths[FILES_MAX][96];
    uint64_t sizes[FILES_MAX];
    size_t count;
    struct mr_fs *fs;
};

static bool add_name(void *context, const char *name)
{
    struct files *files = context;
    struct mr_file *file = NULL;
    char *path = files->paths[files->count];

    char directory[sizeof files->directory];

    memcpy(directory, files->directory, sizeof directory);
    snprintf(path, sizeof files->paths[0], "%.60s/%.30s", directory, name);
    if (files->fs->open(files->fs, path, 0, &file, NULL) == MR_OK) {
        files->fs->size(file, &files->sizes[files->count++], NULL);
        files->fs->close(file);
    }
    mr_check(files->count < FILES_MAX);
    return true;
}

static struct files files_of(struct log_world *world)
{
    struct files files = {.fs = sim_disk_fs(world->disk)};
    const char *directories[] = {"data", "data/s/00000000", "data/s/00000001"};

    for (int i = 0; i < 3; i++) {
        strcpy(files.directory, directories[i]);
        files.fs->list(files.fs, files.directory, add_name, &files, NULL);
    }
    return files;
}

static void broken(const struct log_world_config *config, const char *message)
{
    printf("BROKEN: %s (seed %llu)\n", message, (unsigned long long)config->seed);
    fail_msg("%s", message);
}

static void begin(struct log_world *world, const char *steps)
{
    struct log_world_config config = {.seed = 3,
                                      .journal_bytes = 256 << 10,
                                      .segment_bytes = 24 << 10,
                                      .memory_bytes = 1 << 20,
                                      .broken = broken};

    log_world_init(world, &config);
    mr_check(log_world_open(world));
    for (; *steps; steps++)
        log_world_step(world, *steps);
}

/* The first and last bytes of a file, and some of those between. */
static uint64_t next_offset(uint64_t offset, uint64_t size, uint64_t stride)
{
    if (offset < 160 || offset + 160 >= size || offset % 4096 < 80)
        return offset + 1;
    return offset + stride < size - 160 ? offset + stride : size - 160;
}

static void every_byte_of_a_closed_directory_is_guarded(void **state)
{
    unsigned seen[3] = {0};
    struct log_world world;
    struct files files;
    (void)state;

    begin(&world, "nnmmmcpKmmmcpKdmmacpwKmmmcpKvacpKmacp");
    log_world_close(&world);
    log_world_verify(&world);
    files = files_of(&world);
    assert_true(files.count >= 6); /* FORMAT, checkpoint.0 and .1, LOCK, journal, segments */
    for (size_t i = 0; i < files.count; i++) {
        for (uint64_t offset = 0; offset < files.sizes[i];
             offset = next_offset(offset, files.sizes[i], 29)) {
            uint8_t mask = (uint8_t)(1u << offset % 8);
            if (log_world_flip_verify(&world, files.paths[i], offset, mask) == 0)
                fail_msg("verify does not see byte %llu of %s", (unsigned long long)offset,
                         files.paths[i]);
            seen[log_world_flip(&world, files.paths[i], offset, mask, world.model.fixed_count)]++;
        }
    }
    printf("nothing lost %u, announced %u, refused %u\n", seen[0], seen[1], seen[2]);
    for (int damage = 0; damage < 3; damage++)
        assert_true(seen[damage] > 100); /* the spare checkpoint, blocks, FORMAT and headers */
    log_world_fini(&world);
}

/* A killed process's journal: what was answered before the last group is there, or the directory is
 * refused; of the last group nobody can say whether it was torn. */
static void damage_in_the_journal_is_no_torn_end(void **state)
{
    unsigned seen[3] = {0};
    struct log_world world;
    size_t before_last;
    (void)state;

    begin(&world, "nnacpmcpKmcpacpmacpmaacpmmcpaacpmcp");
    before_last = world.model.done_count;
    for (const char *at = "aacp"; *at; at++)
        log_world_step(&world, *at);
    log_world_crash(&world, SIM_KILL);
    for (uint64_t offset = 0; offset < 120000; offset = next_offset(offset, 120000, 61))
        seen[log_world_flip(&world, "data/journal", offset, (uint8_t)(1u << offset % 8),
                            before_last)]++;
    printf("nothing lost %u, announced %u, refused %u\n", seen[0], seen[1], seen[2]);
    assert_true(seen[LOG_WORLD_UNSEEN] > 100);  /* the journal's free part */
    assert_true(seen[LOG_WORLD_REFUSED] > 100); /* its live part */
    log_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_closed_directory_is_guarded),
        cmocka_unit_test(damage_in_the_journal_is_no_torn_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
