/* CRC-32: the check value of its catalogue, and one bit at a time as the second opinion. */
#include "base/crc32.h"

#include "base/random.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint32_t bitwise(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static void has_the_known_check_value(void **state)
{
    (void)state;
    assert_int_equal(mr_crc32(0, (mr_bytes){"123456789", 9}), 0xcbf43926);
    assert_int_equal(mr_crc32(0, (mr_bytes){"", 0}), 0);
}

static void agrees_with_one_bit_at_a_time_whole_and_in_parts(void **state)
{
    struct mr_random random = seed_random();
    uint8_t bytes[200];
    (void)state;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)mr_random_next(&random);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        size_t part = mr_random_below(&random, size + 1);
        uint32_t crc = mr_crc32(0, (mr_bytes){bytes, part});

        assert_int_equal(mr_crc32(0, (mr_bytes){bytes, size}), bitwise(bytes, size));
        assert_int_equal(mr_crc32(crc, (mr_bytes){bytes + part, size - part}),
                         bitwise(bytes, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_known_check_value),
        cmocka_unit_test(agrees_with_one_bit_at_a_time_whole_and_in_parts),
    };
    return cmocka_run_group_tests_name("crc32", tests, NULL, NULL);
}
