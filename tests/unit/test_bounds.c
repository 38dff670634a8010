/*
 * What does not grow with what is stored: the work of opening a directory (L7), and memory (L9).
 */
#include "support/small_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Stores so many times 200 records in two logs, then 40 more that only the journal has; says how many
 * reads it takes to open that after a kill. */
static uint64_t reads_to_open(unsigned times)
{
    struct small_log *s = small_log_new_simulated(1);
    uint64_t before, reads;

    small_log_must_open(s);
    small_log_add(s, 0, 0);
    small_log_add(s, 1, 0);
    for (unsigned i = 0; i < times; i++) {
        small_log_must_put(s, 0, 100);
        small_log_must_put(s, 1, 100);
        assert_int_equal(mr_log_checkpoint(s->log, NULL), MR_OK);
    }
    for (unsigned i = 0; i < 40; i++)
        small_log_must_put(s, i % 2, 1);
    small_log_crash(s, SIM_KILL);
    before = sim_disk_calls(s->disk, SIM_READ);
    small_log_must_open(s);
    reads = sim_disk_calls(s->disk, SIM_READ) - before;
    small_log_must_read_all(s);
    small_log_free(s);
    return reads;
}

/* L7: one unsealed segment a stream is looked at, however many sealed ones there are. */
static void opening_reads_no_more_when_more_is_stored(void **state)
{
    uint64_t few = UINT64_MAX, most_of_few = 0, many = UINT64_MAX;

    (void)state;
    /* How full the unsealed segment is by chance makes a difference: take the least of some. */
    for (unsigned times = 1; times <= 8; times++) {
        uint64_t reads = reads_to_open(times);
        few = reads < few ? reads : few;
        most_of_few = reads > most_of_few ? reads : most_of_few;
    }
    for (unsigned times = 300; times < 308; times++) {
        uint64_t reads = reads_to_open(times);
        many = reads < many ? reads : many;
        assert_true(reads <= most_of_few * 2);
    }
    assert_true(many <= few + few / 2);
}

/* L9: what is put faster than it is flushed waits, and what is flushed is let go. */
static void memory_stays_within_its_bound(void **state)
{
    struct small_log *s = small_log_new_simulated(2);
    uint64_t bound, most = 0;

    (void)state;
    s->config.memory_bytes = 100 << 10;
    bound = s->config.memory_bytes + 4 * (48 << 10) /* active logs */ +
            s->config.journal_bytes / 2; /* four groups under way, of an eighth each */
    small_log_must_open(s);
    for (mr_log_id id = 0; id < 4; id++)
        small_log_add(s, id, id / 2);
    for (unsigned i = 0; i < 2000; i++) {
        struct mr_engine_stats stats;

        small_log_must_put(s, i % 4, 1 + i % 50);
        mr_log_stats(s->log, &stats);
        most = stats.memory_bytes > most ? stats.memory_bytes : most;
        assert_true(stats.memory_bytes <= bound);
        assert_true(stats.journal_used_bytes <= stats.journal_bytes);
    }
    assert_true(most > s->config.memory_bytes / 2); /* it was a test */
    small_log_must_read_all(s);
    small_log_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_reads_no_more_when_more_is_stored),
        cmocka_unit_test(memory_stays_within_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
