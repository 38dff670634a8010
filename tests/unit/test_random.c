#include "base/random.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void repeats_from_its_seed(void **state)
{
    struct mr_random a = mr_random_of(7), b = mr_random_of(7), other = mr_random_of(8);

    (void)state;
    for (int i = 0; i < 100; i++) {
        uint64_t value = mr_random_next(&a);
        assert_true(value == mr_random_next(&b));
        assert_true(value != mr_random_next(&other));
    }
}

/* The reference's own first numbers, so that a saved seed keeps its meaning. */
static void gives_the_numbers_of_xoshiro(void **state)
{
    struct mr_random random = {{1, 2, 3, 4}};
    static const uint64_t known[] = {11520, 0, 1509978240, 1215971899390074240};

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(mr_random_next(&random) == known[i]);
}

static void starts_from_splitmix(void **state)
{
    struct mr_random random = mr_random_of(1234567);

    (void)state;
    assert_true(random.state[0] == UINT64_C(6457827717110365317));
    assert_true(random.state[1] == UINT64_C(3203168211198807973));
}

static void stays_below_its_bound(void **state)
{
    static const uint64_t bounds[] = {
        1, 2, 3, 10, 1000, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX};
    struct mr_random random = seed_random();

    (void)state;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        for (int round = 0; round < 1000; round++)
            assert_true(mr_random_below(&random, bounds[i]) < bounds[i]);
}

/* Four numbers go to three: the high half alone would give every third number twice as often. */
static void is_fair_where_rounding_would_not_be(void **state)
{
    const uint64_t bound = UINT64_C(3) << 62;
    struct mr_random random = mr_random_of(1);
    unsigned thirds = 0;

    (void)state;
    for (int i = 0; i < 30000; i++)
        thirds += mr_random_below(&random, bound) % 3 == 0;
    assert_in_range(thirds, 9500, 10500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_from_its_seed),
        cmocka_unit_test(gives_the_numbers_of_xoshiro),
        cmocka_unit_test(starts_from_splitmix),
        cmocka_unit_test(stays_below_its_bound),
        cmocka_unit_test(is_fair_where_rounding_would_not_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
