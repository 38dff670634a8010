/*
 * The log keeps its promises when the power fails, the process dies, calls fail or the disk fills up,
 * at any moment: L1-L4, L6, L8, against a model.
 *
 *     MR_CASES=n    so many random cases (10000), and nothing else
 *     MR_SEED=n     of the first one; with MR_CASES=1 its steps are printed
 *     MR_TEST=name  only that test (may have wildcards)
 */
#include "base/check.h"
#include "support/log_world.h"
#include "support/seed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void tell(const struct log_world_config *config, const char *message)
{
    printf("BROKEN: %s\nalone: MR_SEED=%llu MR_CASES=1 build/release/tests/crash/test_log\n",
           message, (unsigned long long)config->seed);
    fflush(stdout);
}

static void tell_and_fail(const struct log_world_config *config, const char *message)
{
    tell(config, message);
    fail_msg("%s", message);
}

/* ---- random histories --------------------------------------------------------------------- */

static const struct {
    char letter;
    unsigned weight;
} letters[] = {{'a', 24}, {'m', 8},  {'h', 2}, {'v', 4}, {'n', 4},  {'d', 1}, {'D', 1},
               {'c', 16}, {'p', 16}, {'f', 8}, {'k', 4}, {'K', 1},  {'t', 2}, {'w', 6},
               {'b', 1},  {'o', 3},  {'r', 6}, {'R', 1}, {'0', 16}, {'1', 16}};
enum { LETTER_COUNT = sizeof letters / sizeof letters[0] };

/* Each case likes some steps and leaves out others: a history of only puts, without checkpoints, ... */
static void draw_weights(struct mr_random *random, unsigned weights[LETTER_COUNT])
{
    static const unsigned factors[] = {0, 1, 1, 4};

    for (int i = 0; i < LETTER_COUNT; i++) {
        weights[i] = letters[i].weight * factors[mr_random_below(random, 4)];
        if (weights[i] == 0 && strchr("ancp", letters[i].letter))
            weights[i] = letters[i].weight;
    }
}

static char draw_letter(struct mr_random *random, const unsigned weights[LETTER_COUNT])
{
    unsigned sum = 0, i;
    uint64_t draw;

    for (i = 0; i < LETTER_COUNT; i++)
        sum += weights[i];
    draw = mr_random_below(random, sum);
    for (i = 0; draw >= weights[i]; i++)
        draw -= weights[i];
    return letters[i].letter;
}

static void arm_fault(struct log_world *world, struct mr_random *random)
{
    static const unsigned calls[] = {SIM_SYNC,        SIM_WRITE,
                                     SIM_CHANGES,     SIM_ALL_CALLS,
                                     SIM_ALLOCATIONS, SIM_SYNC | SIM_RENAME | SIM_SYNC_DIRECTORY};
    static const int errors[] = {EIO, ENOSPC, EROFS};

    unsigned failing = calls[mr_random_below(random, 6)];
    int error = errors[mr_random_below(random, 3)];

    if (error == ENOSPC)
        failing &= SIM_CHANGES;
    world->may_fail = true;
    sim_disk_fail(world->disk, failing, 1 + mr_random_below(random, 40), error,
                  mr_random_below(random, 2));
}

static void arm_full_disk(struct log_world *world, struct mr_random *random)
{
    world->may_fail = true;
    sim_disk_budget(world->disk, sim_disk_used(world->disk) + mr_random_below(random, 100000));
}

static enum sim_crash some_crash(struct mr_random *random)
{
    return mr_random_below(random, 2) ? SIM_POWER_CUT : SIM_KILL;
}

static void open_at_last(struct log_world *world, struct mr_random *random)
{
    if (mr_random_below(random, 3) == 0)
        sim_disk_stop(world->disk, 1 + mr_random_below(random, 15));
    else if (mr_random_below(random, 10) == 0)
        arm_fault(world, random);
    else if (mr_random_below(random, 10) == 0)
        arm_full_disk(world, random);
    while (!log_world_open(world)) {
        log_world_crash(world, some_crash(random));
        if (mr_random_below(random, 3) == 0)
            sim_disk_stop(world->disk, 1 + mr_random_below(random, 15));
    }
}

static void arm(struct log_world *world, struct mr_random *random)
{
    static const uint64_t far[] = {5, 40, 200};

    switch (mr_random_below(random, 8)) {
    case 0:
    case 1:
    case 2:
        sim_disk_stop(world->disk, 1 + mr_random_below(random, far[mr_random_below(random, 3)]));
        break;
    case 3:
        arm_fault(world, random);
        break;
    case 4:
        arm_full_disk(world, random);
        break;
    default:
        break;
    }
}

/* The faults are over: what can go on goes on. */
static void recover_from_faults(struct log_world *world)
{
    sim_disk_fail(world->disk, 0, 0, 0, false);
    sim_disk_budget(world->disk, UINT64_MAX);
    log_world_step(world, 'R');
}

static void live(struct log_world *world, struct mr_random *random,
                 const unsigned weights[LETTER_COUNT])
{
    uint64_t steps = 1 + mr_random_below(random, mr_random_below(random, 2) ? 30 : 150);

    arm(world, random);
    log_world_step(world, 'n');
    while (steps-- > 0 && !sim_disk_stopped(world->disk))
        log_world_step(world, draw_letter(random, weights));
    if (sim_disk_stopped(world->disk)) {
        log_world_crash(world, some_crash(random));
        return;
    }
    if (world->may_fail)
        recover_from_faults(world);
    if (mr_random_below(random, 3) > 0) {
        log_world_crash(world, some_crash(random));
        return;
    }
    log_world_close(world);
    if (sim_disk_stopped(world->disk) || mr_random_below(random, 2))
        log_world_crash(world, some_crash(random));
}

static void run_case(const struct log_world_config *config)
{
    struct mr_random random = mr_random_of(config->seed + 2);
    unsigned weights[LETTER_COUNT];
    struct log_world world;

    draw_weights(&random, weights);
    log_world_init(&world, config);
    for (uint64_t rounds = 1 + mr_random_below(&random, 5); rounds > 0; rounds--) {
        open_at_last(&world, &random);
        live(&world, &random, weights);
        if (mr_random_below(&random, 4) == 0)
            log_world_verify(&world); /* what a crash leaves is no damage */
    }
    sim_disk_fail(world.disk, 0, 0, 0, false);
    sim_disk_stop(world.disk, 0);
    mr_check(log_world_open(&world));
    for (const char *at = "nacpampcvpR"; *at; at++)
        log_world_step(&world, *at);
    log_world_close(&world);
    log_world_crash(&world, SIM_POWER_CUT);
    log_world_verify(&world);
    mr_check(log_world_open(&world));
    log_world_close(&world);
    log_world_fini(&world);
}

#ifndef __has_feature /* clang's way to ask; gcc defines macros */
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { CASES = 200, is_under_tsan = 1 };
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { CASES = 1000, is_under_tsan = 0 }; /* several times as slow */
#else
enum { CASES = 10000, is_under_tsan = 0 };
#endif

static void keeps_its_promises_in_random_histories(void **state)
{
    uint64_t seed = seed_choose(), count = CASES;
    (void)state;

    if (getenv("MR_CASES"))
        count = strtoull(getenv("MR_CASES"), NULL, 0);
    for (uint64_t i = 0; i < count; i++) {
        struct log_world_config config = log_world_config_draw(seed + i);
        config.broken = tell_and_fail;
        config.traces = count == 1;
        run_case(&config);
    }
}

/* ---- every moment of some stories --------------------------------------------------------- */

/* Steps of log_world_step(), and: O close and open, X kill and open, Y power cut and open. */
static const char *const stories[] = {
    "nacpacpavcpvacaccppacapcpR",         /* puts */
    "nmachpcpmmahcpacaahcpppcpR",         /* larger ones, several groups at once */
    "nnacpfkmcpfkacpKmcpfacpfkacp",       /* segments and checkpoints */
    "nhcpfkhcpfkhcpfkhcpKhcpfkacpK",      /* round the journal */
    "nmmmcpmmmcpmmmcpKmmmcpmmmcpKmmmcpK", /* segments are filled and sealed */
    "nnnacpmcpfdcpkacpfDcpkacpKnacpK",    /* logs and streams go */
    "nmmmcpwmmmcpKwtkmmmcpwtKacptK",      /* retention */
    "nacpXacpXmcpfXacpkXacpYacpfkYacp",   /* one life after the other */
    "nmcpfkOacpfOmmmcpOacOaYacO",         /* orderly lives */
    "nhcpfhcpfkhcpfhcpfhcpfhcpfhcp",      /* the journal is full where a checkpoint fails */
    "na0a110a1a0011ppa10011YR",           /* two groups on their way: either is first on the disk */
    "nvcvcvcvcpYvcvcYvcYvcvcvcYvcYvcp",   /* what was cut off lies behind what is written next */
};
enum { STORY_COUNT = sizeof stories / sizeof stories[0] };

/* The disk may fail meanwhile: a life that cannot begin or go on ends, and another follows. */
static void open_again(struct log_world *world, enum sim_crash crash)
{
    while (!log_world_open(world))
        log_world_crash(world, crash);
}

static void tell_story(struct log_world *world, const char *story)
{
    open_again(world, SIM_KILL);
    for (; *story; story++) {
        bool may_fail = world->may_fail; /* faults go on in the next life */

        if (!strchr("OXY", *story)) {
            log_world_step(world, *story);
            continue;
        }
        if (*story == 'O')
            log_world_close(world);
        else
            log_world_crash(world, *story == 'X' ? SIM_KILL : SIM_POWER_CUT);
        world->may_fail = may_fail;
        open_again(world, SIM_KILL);
    }
}

static struct log_world_config story_config(int story, uint64_t seed)
{
    return (struct log_world_config){
        .seed = seed,
        .journal_bytes = 128 << 10,
        .segment_bytes = 32 << 10,
        .memory_bytes = story % 2 ? 64 << 10 : 1 << 20,
        .refuses_direct = story % 3 == 0,
        .is_sync_interval = story == STORY_COUNT - 1, /* many groups wait for one sync */
        .broken = tell_and_fail,
    };
}

struct cutter {
    struct log_world world;
    uint64_t cut_count;
};

static void cut_here(void *context)
{
    enum { SEEDS = 4 };
    struct cutter *cutter = context;

    for (uint64_t i = 0; i < SEEDS; i++) {
        uint64_t seed = ++cutter->cut_count;
        log_world_try(&cutter->world, sim_disk_copy(cutter->world.disk, seed),
                      i ? SIM_POWER_CUT : SIM_KILL, seed);
    }
}

static uint64_t cut_story(const struct log_world_config *config, const char *story)
{
    struct cutter cutter = {.cut_count = 0};

    log_world_init(&cutter.world, config);
    sim_disk_watch(cutter.world.disk, cut_here, &cutter);
    tell_story(&cutter.world, story);
    log_world_close(&cutter.world);
    log_world_fini(&cutter.world);
    return cutter.cut_count;
}

static void survives_a_cut_before_every_change(void **state)
{
    (void)state;
    for (int story = 0; story < STORY_COUNT; story++) {
        struct log_world_config config = story_config(story, 7);
        uint64_t cut_count = cut_story(&config, stories[story]);

        printf("story %d: %llu cuts\n", story, (unsigned long long)cut_count);
        assert_true(cut_count > 100);
    }
}

struct failing {
    struct log_world_config config;
    const char *story;
    int os_errno;
    unsigned calls;
    bool is_lasting;
};

/* Everything works again: what is there now is what the model says, and stays. */
static void end_well(struct log_world *world, uint64_t number)
{
    recover_from_faults(world);
    if (number % 3 == 0)
        log_world_close(world);
    log_world_crash(world, number % 2 ? SIM_POWER_CUT : SIM_KILL);
    mr_check(log_world_open(world));
    for (const char *at = "nacpmcpR"; *at; at++)
        log_world_step(world, *at);
    log_world_crash(world, SIM_POWER_CUT);
    mr_check(log_world_open(world));
    log_world_close(world);
    log_world_verify(world);
    log_world_fini(world);
}

static bool story_with_fault(void *context, uint64_t number)
{
    const struct failing *failing = context;
    struct log_world_config config = failing->config;
    struct log_world world;
    bool has_failed;

    config.seed = number;
    log_world_init(&world, &config);
    world.may_fail = true;
    sim_disk_fail(world.disk, failing->calls, number, failing->os_errno, failing->is_lasting);
    tell_story(&world, failing->story);
    has_failed = sim_disk_failed(world.disk) > 0;
    end_well(&world, number);
    return has_failed;
}

/* Each call of a story fails: once, and from then on. */
static uint64_t fail_story(const struct log_world_config *config, const char *story)
{
    uint64_t count = 0;

    for (int i = 0; i < 4; i++) {
        struct failing failing = {.config = *config,
                                  .story = story,
                                  .os_errno = i < 2 ? EIO : ENOSPC,
                                  .calls = i < 2 ? SIM_ALL_CALLS : SIM_CHANGES,
                                  .is_lasting = i % 2};
        count += sim_each_fault(story_with_fault, &failing);
    }
    return count;
}

static void survives_an_error_of_every_call(void **state)
{
    uint64_t count = 0;
    (void)state;

    for (int story = 0; story < STORY_COUNT; story++) {
        struct log_world_config config = story_config(story, 7);
        count += fail_story(&config, stories[story]);
    }
    printf("%llu errors\n", (unsigned long long)count);
    assert_true(count > 1000);
}

/* A full disk stops puts with NO_SPACE at worst: nothing is lost, nothing is broken, and when there is
 * space again the log goes on in the same life. */
static void a_full_disk_is_only_an_interruption(void **state)
{
    uint64_t full_count = 0;
    (void)state;

    for (int story = 0; story < STORY_COUNT; story++) {
        for (uint64_t pages = 0; pages < 60; pages++) {
            struct log_world_config config = story_config(story, pages);
            struct log_world world;

            log_world_init(&world, &config);
            mr_check(log_world_open(&world));
            log_world_step(&world, 'n');
            world.may_fail = true;
            sim_disk_budget(world.disk, sim_disk_used(world.disk) + pages * 4096);
            for (const char *at = stories[story]; *at; at++)
                if (!strchr("OXY", *at))
                    log_world_step(&world, *at);
            full_count += world.refused_count > 0;
            sim_disk_budget(world.disk, UINT64_MAX);
            log_world_step(&world, 'f');
            world.may_fail = false;
            for (const char *at = "cpcpcpcpKnacpKR"; *at; at++)
                log_world_step(&world, *at);
            assert_false(world.has_failed);
            assert_int_equal(mr_log_checkpoint(world.log, NULL), MR_OK);
            end_well(&world, pages);
        }
    }
    printf("%llu stories with refused puts\n", (unsigned long long)full_count);
}

/* ---- planted bugs ------------------------------------------------------------------------- */

static void leave(const struct log_world_config *config, const char *message)
{
    (void)config;
    (void)message;
    _exit(1);
}

/* The first story that breaks a promise when it is cut before every change or each of its calls fails;
 * STORY_COUNT: none does. Without a mutant none does, say the tests above. */
static int story_that_finds(uint32_t mutant)
{
    static int *story; /* shared with the child, which may abort */
    int status;
    pid_t child;

    if (!story)
        story =
            mmap(NULL, sizeof *story, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(0);
        for (*story = 0; *story < STORY_COUNT; ++*story) {
            struct log_world_config config = story_config(*story, 7);
            config.mutant = mutant;
            config.broken = leave;
            cut_story(&config, stories[*story]);
            fail_story(&config, stories[*story]);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? STORY_COUNT : *story;
}

static void finds_every_planted_bug(void **state)
{
    static const char *const names[MR_MUTANT_COUNT] = {
        [MR_MUTANT_ACK_BEFORE_SYNC] = "ack before sync",
        [MR_MUTANT_HEADER_CHECKSUM_ONLY] = "checksum over the header only",
        [MR_MUTANT_EARLY_REUSE] = "journal reused before the checkpoint is durable",
        [MR_MUTANT_NO_RESYNC] = "recovery shows what it did not sync",
        [MR_MUTANT_NO_EPOCH] = "stale groups pass for new ones",
        [MR_MUTANT_CHECKPOINT_IN_PLACE] = "the only checkpoint is overwritten",
        [MR_MUTANT_SEGMENT_NOT_SYNCED] = "checkpoint before the segments",
        [MR_MUTANT_SEGMENT_NOT_CUT] = "append behind what a crash left",
        [MR_MUTANT_FLUSH_SKIPS_OPEN_CHUNK] = "tail moves past unflushed records",
        [MR_MUTANT_REPLAY_TWICE] = "flushed records are replayed",
        [MR_MUTANT_RETRY_SYNC] = "a failed sync is believed the second time",
        [MR_MUTANT_UNLINK_BEFORE_CHECKPOINT] = "segments go before the checkpoint",
        [MR_MUTANT_ANSWER_BEHIND_HOLE] = "a group is answered, the one before it failed",
    };
    unsigned missed = 0;
    (void)state;

    for (uint32_t mutant = 1; mutant < MR_MUTANT_COUNT; mutant++) {
        int story = story_that_finds(mutant);

        assert_non_null(names[mutant]);
        if (story < STORY_COUNT)
            printf("%-50s found by story %d\n", names[mutant], story);
        else
            printf("%-50s NOT FOUND\n", names[mutant]);
        missed += story == STORY_COUNT;
    }
    assert_int_equal(missed, 0);
}

int main(void)
{
    const struct CMUnitTest random_only[] = {
        cmocka_unit_test(keeps_its_promises_in_random_histories),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_promises_in_random_histories),
        cmocka_unit_test(survives_a_cut_before_every_change),
        cmocka_unit_test(survives_an_error_of_every_call),
        cmocka_unit_test(a_full_disk_is_only_an_interruption),
        cmocka_unit_test(finds_every_planted_bug),
    };
    cmocka_set_test_filter(getenv("MR_TEST"));
    /* The simulator is one thread: TSan has little to look for, and takes minutes for the stories. */
    if (getenv("MR_CASES") || is_under_tsan)
        return cmocka_run_group_tests_name("random", random_only, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
