#include "base/u128.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const mr_hash_key zero = {0, 0}, one = {0, 1}, carry = {1, 0};

static mr_hash_key any_key(struct mr_random *random)
{
    /* Of every magnitude, so that texts of every length come up. */
    mr_u128 wide = (mr_u128)mr_random_next(random) << 64 | mr_random_next(random);
    return mr_hash_key_narrow(wide >> mr_random_below(random, 128));
}

static void orders_by_the_high_word_first(void **state)
{
    (void)state;
    assert_true(mr_hash_key_below((mr_hash_key){1, 9}, (mr_hash_key){2, 0}));
    assert_true(mr_hash_key_below((mr_hash_key){1, 8}, (mr_hash_key){1, 9}));
    assert_false(mr_hash_key_below(carry, carry));
    assert_true(mr_hash_key_compare(carry, one) > 0);
    assert_true(mr_hash_key_compare(one, carry) < 0);
    assert_int_equal(mr_hash_key_compare(carry, carry), 0);
    assert_true(mr_hash_key_equal(carry, (mr_hash_key){1, 0}));
    assert_false(mr_hash_key_equal(carry, one));
    assert_false(mr_hash_key_equal(carry, (mr_hash_key){1, 1}));
}

static void carries_between_the_words(void **state)
{
    (void)state;
    assert_true(mr_hash_key_equal(mr_hash_key_next((mr_hash_key){0, UINT64_MAX}), carry));
    assert_true(mr_hash_key_equal(mr_hash_key_previous(carry), (mr_hash_key){0, UINT64_MAX}));
    assert_true(mr_hash_key_equal(mr_hash_key_next(MR_HASH_KEY_MAX), zero));
    assert_true(mr_hash_key_equal(mr_hash_key_previous(zero), MR_HASH_KEY_MAX));
    assert_true(
        mr_hash_key_equal(mr_hash_key_add((mr_hash_key){3, UINT64_MAX}, one), (mr_hash_key){4, 0}));
    assert_true(
        mr_hash_key_equal(mr_hash_key_sub((mr_hash_key){4, 0}, one), (mr_hash_key){3, UINT64_MAX}));
}

static void subtracts_what_it_added(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        mr_hash_key a = any_key(&random), b = any_key(&random);
        assert_true(mr_hash_key_equal(mr_hash_key_sub(mr_hash_key_add(a, b), b), a));
    }
}

static void writes_known_numbers(void **state)
{
    static const struct {
        mr_hash_key key;
        const char *text;
    } known[] = {
        {{0, 0}, "0"},
        {{0, 9}, "9"},
        {{0, 10}, "10"},
        {{0, UINT64_MAX}, "18446744073709551615"},
        {{1, 0}, "18446744073709551616"},
        {{UINT64_C(1) << 63, 0}, "170141183460469231731687303715884105728"},
        {{UINT64_MAX, UINT64_MAX}, "340282366920938463463374607431768211455"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[MR_HASH_KEY_TEXT_BYTES];
        mr_hash_key read = {7, 7};
        mr_hash_key_format(known[i].key, text);
        assert_string_equal(text, known[i].text);
        assert_int_equal(mr_hash_key_parse(known[i].text, &read, NULL), MR_OK);
        assert_true(mr_hash_key_equal(read, known[i].key));
    }
}

static void reads_what_it_wrote(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int i = 0; i < 2000; i++) {
        char text[MR_HASH_KEY_TEXT_BYTES];
        mr_hash_key key = any_key(&random), read;
        mr_hash_key_format(key, text);
        assert_int_equal(mr_hash_key_parse(text, &read, NULL), MR_OK);
        assert_true(mr_hash_key_equal(read, key));
    }
}

static void refuses_every_other_text(void **state)
{
    static const char *const refused[] = {
        "",
        " ",
        " 1",
        "1 ",
        "+1",
        "-1",
        "01",
        "00",
        "0x1",
        "1e3",
        "1.0",
        "1,000",
        "12a",
        "\xc2\xb2",
        "١",
        "1\n",
        ":",
        "/",
        "340282366920938463463374607431768211456",
        "340282366920938463463374607431768211460",
        "999999999999999999999999999999999999999",
        "3402823669209384634633746074317682114550",
        "99999999999999999999999999999999999999999999999999999999999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        mr_hash_key key = {7, 7};
        mr_error error = {0};
        assert_int_equal(mr_hash_key_parse(refused[i], &key, &error), MR_INVALID);
        assert_int_equal(error.status, MR_INVALID);
        assert_true(key.hi == 7 && key.lo == 7);
        /* It says what is allowed, whole. */
        assert_non_null(strstr(error.message, "340282366920938463463374607431768211455"));
        assert_non_null(strstr(error.message, "leading zeros"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_by_the_high_word_first),
        cmocka_unit_test(carries_between_the_words),
        cmocka_unit_test(subtracts_what_it_added),
        cmocka_unit_test(writes_known_numbers),
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(refuses_every_other_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
