/* Bytes out and in again: what was packed is scanned, and no scan goes past the end. */
#include "base/pack.h"
#include "base/scan.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mr_bytes bytes_of(const struct mr_pack *pack)
{
    return (mr_bytes){pack->data, pack->size};
}

/* The same bytes with nothing behind them, so that a sanitizer sees every overrun. */
static mr_bytes exact(const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    if (size)
        memcpy(copy, data, size);
    return (mr_bytes){copy, size};
}

static void free_exact(mr_bytes bytes)
{
    free((void *)bytes.data);
}

static bool scans_varint(const uint8_t *data, size_t size, uint64_t *value, size_t *left)
{
    mr_bytes bytes = exact(data, size);
    struct mr_scan scan = mr_scan_of(bytes);

    *value = mr_scan_varint(&scan);
    *left = mr_scan_left(&scan);
    free_exact(bytes);
    return !mr_scan_failed(&scan);
}

static void reads_back_every_kind(void **state)
{
    struct mr_pack pack = {0};
    struct mr_scan scan;
    mr_bytes text;

    (void)state;
    mr_pack_u8(&pack, 0xfe);
    mr_pack_u32(&pack, 0x01020304);
    mr_pack_u64(&pack, UINT64_C(0x0102030405060708));
    mr_pack_varint(&pack, 300);
    mr_pack_string(&pack, (mr_bytes){"text", 4});
    mr_pack_string(&pack, (mr_bytes){NULL, 0});
    mr_pack_bytes(&pack, (mr_bytes){"raw", 3});
    /* Little-endian, whatever the machine. */
    assert_memory_equal(pack.data, "\xfe\x04\x03\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01\xac\x02",
                        15);

    scan = mr_scan_of(bytes_of(&pack));
    assert_int_equal(mr_scan_u8(&scan), 0xfe);
    assert_int_equal(mr_scan_u32(&scan), 0x01020304);
    assert_true(mr_scan_u64(&scan) == UINT64_C(0x0102030405060708));
    assert_int_equal(mr_scan_varint(&scan), 300);
    text = mr_scan_string(&scan);
    assert_int_equal(text.size, 4);
    assert_memory_equal(text.data, "text", 4);
    assert_int_equal(mr_scan_string(&scan).size, 0);
    assert_int_equal(mr_scan_left(&scan), 3);
    assert_memory_equal(mr_scan_take(&scan, 3), "raw", 3);
    assert_false(mr_scan_failed(&scan));
    assert_int_equal(mr_scan_left(&scan), 0);
    mr_pack_fini(&pack);
}

static void extends_where_it_says(void **state)
{
    struct mr_pack pack = {0};

    (void)state;
    for (uint32_t i = 1; i < 1000; i++) {
        memset(mr_pack_extend(&pack, i), (int)i, i);
        assert_int_equal(pack.size, i * (i + 1) / 2);
    }
    for (uint32_t i = 1, at = 0; i < 1000; at += i++)
        for (uint32_t n = 0; n < i; n++)
            assert_int_equal(pack.data[at + n], (uint8_t)i);
    mr_pack_fini(&pack);
}

/* Around each power of two, and at random: the size is right, and decoding gives the number. */
static void varints_of_every_length_come_back(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int i = 0; i < 64 * 3 + 10000; i++) {
        uint64_t expected = i < 192 ? (UINT64_C(1) << (i / 3)) + (uint64_t)(i % 3) - 1
                                    : mr_random_next(&random) >> mr_random_below(&random, 64);
        uint8_t out[MR_VARINT_BYTES_MAX];
        size_t size = (size_t)(mr_varint_write(out, expected) - out), left;
        uint64_t value;

        assert_in_range(size, 1, MR_VARINT_BYTES_MAX);
        assert_int_equal(size, mr_varint_bytes(expected));
        assert_true(scans_varint(out, size, &value, &left));
        assert_true(value == expected);
        assert_int_equal(left, 0);
        for (size_t cut = 0; cut < size; cut++)
            assert_false(scans_varint(out, cut, &value, &left));
    }
}

static void a_varint_has_one_form(void **state)
{
    static const struct {
        uint8_t bytes[12];
        size_t size;
    } refused[] = {
        {{0x80, 0x00}, 2},                                                        /* 0 */
        {{0xff, 0x80, 0x00}, 3},                                                  /* 127 */
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10},       /* 2^65 - 1 */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 11}, /* 2^70 */
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00}, 11},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 12},
    };
    uint64_t value;
    size_t left;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_false(scans_varint(refused[i].bytes, refused[i].size, &value, &left));
    /* All of one and of two bytes: what is taken is what would be written. */
    for (unsigned both = 0; both < 0x10000; both++) {
        const uint8_t bytes[2] = {(uint8_t)both, (uint8_t)(both >> 8)};
        uint8_t again[MR_VARINT_BYTES_MAX];

        if (!scans_varint(bytes, 2, &value, &left))
            continue;
        assert_ptr_equal(mr_varint_write(again, value), again + 2 - left);
        assert_memory_equal(again, bytes, 2 - left);
    }
}

static void nothing_is_read_after_an_overrun(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    volatile size_t all = sizeof bytes; /* the compiler must not foresee the overrun */

    (void)state;
    for (size_t size = 0; size <= all; size++) {
        mr_bytes input = exact(bytes, size);
        struct mr_scan scan = mr_scan_of(input);

        assert_true(mr_scan_u64(&scan) == 0);
        assert_true(mr_scan_failed(&scan));
        assert_int_equal(mr_scan_left(&scan), 0);
        assert_int_equal(mr_scan_u8(&scan), 0);
        assert_int_equal(mr_scan_u32(&scan), 0);
        assert_int_equal(mr_scan_varint(&scan), 0);
        assert_null(mr_scan_take(&scan, 0));
        assert_int_equal(mr_scan_string(&scan).size, 0);
        assert_true(mr_scan_failed(&scan));
        free_exact(input);
    }
}

static void a_string_longer_than_the_input_is_refused(void **state)
{
    (void)state;
    for (uint64_t size = 3; size; size <<= 1) {
        uint8_t bytes[MR_VARINT_BYTES_MAX + 2] = {0};
        uint8_t *end = mr_varint_write(bytes, size) + 2;
        mr_bytes input = exact(bytes, (size_t)(end - bytes)), text;
        struct mr_scan scan = mr_scan_of(input);

        text = mr_scan_string(&scan);
        assert_true(mr_scan_failed(&scan));
        assert_null(text.data);
        assert_int_equal(text.size, 0);
        free_exact(input);
    }
}

static void no_bytes_are_no_error(void **state)
{
    struct mr_scan scan = mr_scan_of((mr_bytes){NULL, 0});

    (void)state;
    assert_int_equal(mr_scan_left(&scan), 0);
    assert_false(mr_scan_failed(&scan));
    assert_int_equal(mr_scan_u8(&scan), 0);
    assert_true(mr_scan_failed(&scan));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_every_kind),
        cmocka_unit_test(extends_where_it_says),
        cmocka_unit_test(varints_of_every_length_come_back),
        cmocka_unit_test(a_varint_has_one_form),
        cmocka_unit_test(nothing_is_read_after_an_overrun),
        cmocka_unit_test(a_string_longer_than_the_input_is_refused),
        cmocka_unit_test(no_bytes_are_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
