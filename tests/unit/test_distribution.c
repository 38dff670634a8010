/* test_distribution.c - keys are drawn as often as their distribution says. */
#include "gen/distribution.h"

#include "gen/amount.h"
#include "support/seed.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KEYS_MAX 1000
#define DRAWS 200000

static struct mr_distribution parse(const char *text, uint64_t key_count)
{
    struct mr_distribution distribution;
    mr_error error;

    if (mr_distribution_parse(text, key_count, &distribution, &error))
        fail_msg("%s: %s", text, error.message);
    return distribution;
}

static void count_draws(const char *text, uint64_t key_count, unsigned counts[KEYS_MAX])
{
    struct mr_distribution distribution = parse(text, key_count);
    struct mr_random random = seed_random();

    memset(counts, 0, KEYS_MAX * sizeof *counts);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t key = mr_distribution_draw(&distribution, &random, 0);

        assert_true(key < key_count);
        counts[key]++;
    }
}

/* Pearson's chi square against the shares expected, as a number of its standard deviations above its
 * mean: beyond 6 is not chance. */
static double misfit(const unsigned *counts, const double *shares, size_t count)
{
    double sum = 0, degrees = (double)count - 1;

    for (size_t i = 0; i < count; i++) {
        double expected = shares[i] * DRAWS;

        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return (sum - degrees) / sqrt(2 * degrees);
}

static void zipf_shares(double exponent, size_t count, double *shares)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += shares[i] = pow((double)(i + 1), -exponent);
    for (size_t i = 0; i < count; i++)
        shares[i] /= sum;
}

static void uniform_is_uniform(void **state)
{
    static unsigned counts[KEYS_MAX];
    static double shares[KEYS_MAX];

    (void)state;
    zipf_shares(0, 1000, shares);
    count_draws("uniform", 1000, counts);
    assert_true(misfit(counts, shares, 1000) < 6);
}

static void zipf_is_exact_for_every_exponent(void **state)
{
    static const struct {
        const char *text;
        double exponent;
        size_t count;
    } cases[] = {{"zipf:0", 0, 100},  {"zipf:0.5", 0.5, 200},  {"zipf:0.999", 0.999, 1000},
                 {"zipf:1", 1, 1000}, {"zipf:1.1", 1.1, 1000}, {"zipf:2", 2, 20},
                 {"zipf:1", 1, 2},    {"zipf:3", 3, 8}};
    static unsigned counts[KEYS_MAX];
    static double shares[KEYS_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        zipf_shares(cases[i].exponent, cases[i].count, shares);
        count_draws(cases[i].text, cases[i].count, counts);
        if (misfit(counts, shares, cases[i].count) >= 6)
            fail_msg("%s of %zu keys", cases[i].text, cases[i].count);
    }
    /* And the test sees a wrong one. */
    zipf_shares(1.05, 1000, shares);
    count_draws("zipf:1", 1000, counts);
    assert_true(misfit(counts, shares, 1000) > 6);
}

static void zipf_takes_any_number_of_keys(void **state)
{
    struct mr_distribution one = parse("zipf:1.5", 1), many = parse("zipf:1.2", 1000000000000);
    struct mr_random random = seed_random();
    unsigned first_count = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(mr_distribution_draw(&one, &random, 0), 0);
        first_count += mr_distribution_draw(&many, &random, 0) == 0;
    }
    /* 1/zeta(1.2) = 0.179 of an infinity of keys */
    assert_in_range(first_count, 1500, 2100);
}

static void a_hot_set_takes_its_share(void **state)
{
    static unsigned counts[KEYS_MAX];
    static double shares[KEYS_MAX];

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        shares[i] = i < 100 ? 0.9 / 100 : 0.1 / 900;
    count_draws("hotset:10%,90%", 1000, counts);
    assert_true(misfit(counts, shares, 1000) < 6);
    count_draws("hotset:0.1,0.9", 1000, counts);
    assert_true(misfit(counts, shares, 1000) < 6);
    count_draws("hotset:100%,10%", 10, counts);
    assert_true(counts[9] > 0);
}

static void sequential_goes_around(void **state)
{
    struct mr_distribution distribution = parse("sequential", 3);
    struct mr_random random = mr_random_of(1);

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(mr_distribution_draw(&distribution, &random, 0), i % 3);
}

static void timestamp_is_the_time(void **state)
{
    struct mr_distribution distribution = parse("timestamp", 3);
    struct mr_random random = mr_random_of(1);

    (void)state;
    assert_int_equal(mr_distribution_draw(&distribution, &random, 1700000000123), 1700000000123);
}

static void refuses_what_is_no_distribution(void **state)
{
    static const char *const bad[] = {
        "",          "zipf",       "zipf:",       "zipf:-1",
        "zipf:x",    "zipf:inf",   "zipf:101",    "hotset:",
        "hotset:1",  "hotset:0,1", "hotset:2,1",  "hotset:0.5,1.5",
        "hotset:1,", "uniform:3",  "hotset:,0.1", "hotset:0.1,0.2,0.3"};
    struct mr_distribution distribution;
    mr_error error;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mr_distribution_parse(bad[i], 10, &distribution, &error) != MR_INVALID)
            fail_msg("took '%s'", bad[i]);
}

static void reads_amounts_and_spans(void **state)
{
    double value;

    (void)state;
    assert_true(mr_amount_parse("1.5k", &value) && value == 1500);
    assert_true(mr_amount_parse("2M", &value) && value == 2e6);
    assert_true(mr_amount_parse("50%", &value) && value == 0.5);
    assert_false(mr_amount_parse("1e5x", &value));
    assert_false(mr_amount_parse("-1", &value));
    assert_false(mr_amount_parse(" 1", &value));
    assert_false(mr_amount_parse("", &value));
    assert_true(mr_span_parse("250ms", &value) && fabs(value - 0.25) < 1e-12);
    assert_true(mr_span_parse("2h", &value) && value == 7200);
    assert_true(mr_span_parse("90", &value) && value == 90);
    assert_false(mr_span_parse("2 h", &value));
    assert_false(mr_span_parse("m", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(zipf_is_exact_for_every_exponent),
        cmocka_unit_test(zipf_takes_any_number_of_keys),
        cmocka_unit_test(a_hot_set_takes_its_share),
        cmocka_unit_test(sequential_goes_around),
        cmocka_unit_test(timestamp_is_the_time),
        cmocka_unit_test(refuses_what_is_no_distribution),
        cmocka_unit_test(reads_amounts_and_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
