/* test_rate.c - records are due when their rate says so. */
#include "gen/rate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct mr_rate parse(const char *text)
{
    struct mr_rate rate;
    mr_error error;

    if (mr_rate_parse(text, &rate, &error))
        fail_msg("%s: %s", text, error.message);
    return rate;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fmax(1, fabs(b));
}

/* Whatever the rate: moments never fall, and as many records are due by then as there are. */
static void expect_consistent(const char *text, uint64_t count)
{
    struct mr_rate rate = parse(text);
    double last_s = 0;

    for (uint64_t i = 0; i < count; i++) {
        double due_s = mr_rate_due_s(&rate, i);

        if (due_s < last_s - 1e-9 || !near(mr_rate_count(&rate, due_s), (double)i))
            fail_msg("%s: record %u is due at %f, of %f", text, (unsigned)i, due_s,
                     mr_rate_count(&rate, due_s));
        last_s = due_s;
    }
}

static void count_and_moment_agree(void **state)
{
    (void)state;
    expect_consistent("1000", 5000);
    expect_consistent("0.5", 100);
    expect_consistent("burst:100,5000,10s,1s", 50000);
    expect_consistent("burst:0,100,2s,500ms", 1000);
    expect_consistent("burst:7,7,3s,3s", 1000);
    expect_consistent("diurnal:1,3,100s", 2000);
    expect_consistent("diurnal:0,50,60s", 20000);
    expect_consistent("diurnal:5,5,1s", 1000);
    expect_consistent("diurnal:1,2", 400000);
}

static void a_constant_rate_is_constant(void **state)
{
    struct mr_rate rate = parse("1k");

    (void)state;
    assert_true(near(mr_rate_due_s(&rate, 0), 0));
    assert_true(near(mr_rate_due_s(&rate, 1500), 1.5));
}

static void bursts_come_at_the_end_of_each_period(void **state)
{
    struct mr_rate rate = parse("burst:100,5000,10s,1s");

    (void)state;
    assert_true(near(mr_rate_count(&rate, 9), 900));
    assert_true(near(mr_rate_count(&rate, 10), 5900));
    assert_true(near(mr_rate_count(&rate, 11), 6000));
    assert_true(near(mr_rate_count(&rate, 20), 11800));
    assert_true(near(mr_rate_due_s(&rate, 900), 9));
    assert_true(near(mr_rate_due_s(&rate, 3400), 9.5));
}

static void nothing_is_due_between_bursts(void **state)
{
    struct mr_rate rate = parse("burst:0,100,2s,500ms");

    (void)state;
    assert_true(near(mr_rate_due_s(&rate, 0), 1.5));
    assert_true(near(mr_rate_due_s(&rate, 49), 1.99));
    assert_true(near(mr_rate_due_s(&rate, 50), 3.5));
}

static void day_and_night_make_a_wave(void **state)
{
    struct mr_rate rate = parse("diurnal:10,90,100s");

    (void)state;
    assert_true(near(mr_rate_count(&rate, 100), 5000));
    assert_true(near(mr_rate_count(&rate, 50), 2500));
    /* A second of its begin, of its middle, of its end. */
    assert_in_range((int)mr_rate_count(&rate, 1), 10, 11);
    assert_in_range((int)(mr_rate_count(&rate, 50.5) - mr_rate_count(&rate, 49.5)), 89, 90);
    assert_in_range((int)(mr_rate_count(&rate, 100) - mr_rate_count(&rate, 99)), 9, 11);
    assert_true(near(parse("diurnal:10,90").period_s, 86400));
}

static void refuses_what_is_no_rate(void **state)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "-5",
                                      "x",
                                      "1e300",
                                      "burst:1,2",
                                      "burst:1,2,3s",
                                      "burst:1,0,3s,1s",
                                      "burst:1,2,3s,4s",
                                      "burst:1,2,0s,0s",
                                      "burst:1,2,3s,0s",
                                      "diurnal:5",
                                      "diurnal:5,1",
                                      "diurnal:0,0",
                                      "diurnal:1,2,3s,4s",
                                      "diurnal:1,2,0"};
    struct mr_rate rate;
    mr_error error;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mr_rate_parse(bad[i], &rate, &error) != MR_INVALID)
            fail_msg("took '%s'", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_and_moment_agree),
        cmocka_unit_test(a_constant_rate_is_constant),
        cmocka_unit_test(bursts_come_at_the_end_of_each_period),
        cmocka_unit_test(nothing_is_due_between_bursts),
        cmocka_unit_test(day_and_night_make_a_wave),
        cmocka_unit_test(refuses_what_is_no_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
