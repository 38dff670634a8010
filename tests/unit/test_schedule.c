/* test_schedule.c - recorded moments come again, at any speed, on a clock that is only simulated. */
#include "replay/schedule.h"

#include "support/seed.h"
#include "support/sim_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND_NS UINT64_C(1000000000)
#define BEGUN_MS INT64_C(978310020000)

static struct sim_clock world;

static uint64_t now(void)
{
    return world.base.monotonic_ns(&world.base);
}

static int setup(void **state)
{
    (void)state;
    sim_clock_init(&world);
    sim_clock_advance(&world, 5000);
    return 0;
}

static void keeps_the_distances(void **state)
{
    struct mr_schedule as_it_was = MR_SCHEDULE(1), fast = MR_SCHEDULE(10), slow = MR_SCHEDULE(0.5);
    uint64_t start_ns = now();

    (void)state;
    for (int64_t ms = 0; ms < 100000; ms += 777) {
        uint64_t ns = (uint64_t)ms * 1000000;

        assert_int_equal(mr_schedule_due_ns(&as_it_was, BEGUN_MS + ms, now()), start_ns + ns);
        assert_int_equal(mr_schedule_due_ns(&fast, BEGUN_MS + ms, now()), start_ns + ns / 10);
        assert_int_equal(mr_schedule_due_ns(&slow, BEGUN_MS + ms, now()), start_ns + ns * 2);
        sim_clock_advance(&world, 3);
    }
}

/* What was late stays on the plan: the delay of one record is not handed on to the next. */
static void does_not_drift(void **state)
{
    struct mr_schedule schedule = MR_SCHEDULE(1);
    uint64_t start_ns = now();

    (void)state;
    mr_schedule_due_ns(&schedule, BEGUN_MS, now());
    sim_clock_advance(&world, 60000);
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS + 1000, now()), start_ns + SECOND_NS);
}

static void times_that_go_back_are_due_at_once(void **state)
{
    struct mr_schedule schedule = MR_SCHEDULE(1);
    uint64_t start_ns = now();

    (void)state;
    mr_schedule_due_ns(&schedule, BEGUN_MS, now());
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS - 5000, now()), start_ns);
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS + 3000, now()),
                     start_ns + 3 * SECOND_NS);
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS + 1000, now()),
                     start_ns + 3 * SECOND_NS);
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS + 4000, now()),
                     start_ns + 4 * SECOND_NS);
}

static void never_falls_whatever_the_times(void **state)
{
    static const double speeds[] = {0.001, 1, 3.7, 1e9};
    struct mr_random random = seed_random();

    (void)state;
    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++) {
        struct mr_schedule schedule = MR_SCHEDULE(speeds[i]);
        uint64_t last_ns = 0;

        for (int step = 0; step < 10000; step++) {
            int64_t time_ms = (int64_t)(mr_random_next(&random) >> mr_random_below(&random, 60));
            uint64_t due_ns = mr_schedule_due_ns(&schedule, time_ms, now());

            assert_true(due_ns >= last_ns);
            last_ns = due_ns;
            if (step % 1000 == 999)
                mr_schedule_restart(&schedule);
        }
    }
}

static void at_no_speed_all_is_due_now(void **state)
{
    struct mr_schedule schedule = MR_SCHEDULE(0);

    (void)state;
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS, now()), now());
    sim_clock_advance(&world, 10);
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS + 1000000, now()), now());
}

static void a_loop_begins_where_the_last_ended(void **state)
{
    struct mr_schedule schedule = MR_SCHEDULE(1);
    uint64_t start_ns = now();

    (void)state;
    mr_schedule_due_ns(&schedule, BEGUN_MS, now());
    mr_schedule_due_ns(&schedule, BEGUN_MS + 9000, now());
    mr_schedule_restart(&schedule);
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS, now()), start_ns + 9 * SECOND_NS);
    assert_int_equal(mr_schedule_due_ns(&schedule, BEGUN_MS + 1000, now()),
                     start_ns + 10 * SECOND_NS);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void lateness_is_right_within_a_sixteenth(void **state)
{
    struct mr_random random = seed_random();
    static struct mr_lateness lateness;
    static uint64_t sorted[5000];
    size_t count = sizeof sorted / sizeof *sorted;

    (void)state;
    assert_int_equal(mr_lateness_quantile_ns(&lateness, 0.5), 0);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = mr_random_next(&random) >> mr_random_below(&random, 64);
        mr_lateness_add(&lateness, sorted[i], 1);
    }
    qsort(sorted, count, sizeof *sorted, compare);
    for (size_t i = 0; i < count; i += 7) {
        uint64_t exact = sorted[i];
        uint64_t given = mr_lateness_quantile_ns(&lateness, ((double)i + 0.5) / (double)count);

        assert_true(given >= exact && given - exact <= exact / 16);
    }
    assert_int_equal(mr_lateness_quantile_ns(&lateness, 1), sorted[count - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(keeps_the_distances, setup),
        cmocka_unit_test_setup(does_not_drift, setup),
        cmocka_unit_test_setup(times_that_go_back_are_due_at_once, setup),
        cmocka_unit_test_setup(never_falls_whatever_the_times, setup),
        cmocka_unit_test_setup(at_no_speed_all_is_due_now, setup),
        cmocka_unit_test_setup(a_loop_begins_where_the_last_ended, setup),
        cmocka_unit_test_setup(lateness_is_right_within_a_sixteenth, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
