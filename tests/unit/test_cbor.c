/* CBOR in: every kind of head, the examples of RFC 8949, chunks, and what is refused. */
#include "base/cbor.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CBOR(text) mr_cbor_of((mr_bytes){text, sizeof text - 1})

/* In memory of just that size. */
static bool is_cbor(const char *text, size_t size)
{
    uint8_t *copy = mr_alloc(size + (size == 0));
    struct mr_cbor cbor = mr_cbor_of((mr_bytes){copy, size});
    bool good;

    memcpy(copy, text, size);
    good = mr_cbor_skip(&cbor) && mr_cbor_done(&cbor);
    mr_free(copy);
    return good;
}
#define GOOD(text) assert_true(is_cbor(text, sizeof text - 1))
#define BAD(text) assert_false(is_cbor(text, sizeof text - 1))

static void check_integer(struct mr_cbor cbor, int64_t expected)
{
    int64_t value;

    assert_int_equal(mr_cbor_kind_next(&cbor), MR_CBOR_INTEGER);
    assert_true(mr_cbor_integer(&cbor, &value));
    assert_true(value == expected);
    assert_true(mr_cbor_done(&cbor));
}

static void reads_integers_of_every_width(void **state)
{
    (void)state;
    check_integer(CBOR("\x00"), 0);
    check_integer(CBOR("\x17"), 23);
    check_integer(CBOR("\x18\x18"), 24);
    check_integer(CBOR("\x19\x03\xe8"), 1000);
    check_integer(CBOR("\x1a\x00\x0f\x42\x40"), 1000000);
    check_integer(CBOR("\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00"), INT64_C(1000000000000));
    check_integer(CBOR("\x20"), -1);
    check_integer(CBOR("\x39\x03\xe7"), -1000);
    check_integer(CBOR("\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MIN);
    check_integer(CBOR("\x1b\xff\xff\xff\xff\xff\xff\xff\xfe"), INT64_MAX); /* clamped */
}

static void check_float(struct mr_cbor cbor, double expected)
{
    double value;

    assert_int_equal(mr_cbor_kind_next(&cbor), MR_CBOR_FLOAT);
    assert_true(mr_cbor_float(&cbor, &value));
    assert_true(value >= expected && value <= expected);
}

static void reads_floats_of_every_width(void **state)
{
    (void)state;
    check_float(CBOR("\xf9\x00\x00"), 0.0);
    check_float(CBOR("\xf9\x3c\x00"), 1.0);
    check_float(CBOR("\xf9\x3e\x00"), 1.5);
    check_float(CBOR("\xf9\x7b\xff"), 65504.0);
    check_float(CBOR("\xf9\x00\x01"), 5.960464477539063e-8);
    check_float(CBOR("\xf9\xc4\x00"), -4.0);
    check_float(CBOR("\xfa\x47\xc3\x50\x00"), 100000.0);
    check_float(CBOR("\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a"), 1.1);
    check_float(CBOR("\xfb\xc0\x10\x66\x66\x66\x66\x66\x66"), -4.1);
}

static void check_string(struct mr_cbor cbor, const char *expected, size_t size)
{
    struct mr_cbor_string string;
    uint8_t out[64];

    assert_true(mr_cbor_string(&cbor, &string));
    assert_int_equal(string.size, size);
    mr_cbor_join(&string, out);
    assert_memory_equal(out, expected, size);
    assert_true(mr_cbor_done(&cbor));
}

static void reads_strings_whole_and_in_chunks(void **state)
{
    (void)state;
    check_string(CBOR("\x40"), "", 0);
    check_string(CBOR("\x44\x01\x02\x03\x04"), "\1\2\3\4", 4);
    check_string(CBOR("\x64IETF"), "IETF", 4);
    check_string(CBOR("\x58\x03xyz"), "xyz", 3);
    check_string(CBOR("\x5f\x42\x01\x02\x43\x03\x04\x05\xff"), "\1\2\3\4\5", 5);
    check_string(CBOR("\x7f\x65strea\x64ming\xff"), "streaming", 9);
    check_string(CBOR("\x7f\xff"), "", 0);
}

static void walks_through_maps_and_arrays(void **state)
{
    /* {"a": 1, "b": [2, 3]}, of a length and without one */
    struct mr_cbor forms[] = {CBOR("\xa2\x61\x61\x01\x61\x62\x82\x02\x03"),
                              CBOR("\xbf\x61\x61\x01\x61\x62\x9f\x02\x03\xff\xff")};
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct mr_cbor *cbor = &forms[i];
        struct mr_cbor_string key;
        int64_t value;

        assert_int_equal(mr_cbor_kind_next(cbor), MR_CBOR_MAP);
        assert_true(mr_cbor_enter(cbor));
        assert_true(mr_cbor_next(cbor) && mr_cbor_string(cbor, &key));
        assert_memory_equal(key.raw.data, "a", 1);
        assert_true(mr_cbor_integer(cbor, &value));
        assert_true(mr_cbor_next(cbor) && mr_cbor_string(cbor, &key));
        assert_memory_equal(key.raw.data, "b", 1);
        assert_true(mr_cbor_enter(cbor));
        for (int64_t item = 2; item <= 3; item++) {
            assert_true(mr_cbor_next(cbor) && mr_cbor_integer(cbor, &value));
            assert_int_equal(value, item);
        }
        assert_false(mr_cbor_next(cbor));
        assert_false(mr_cbor_next(cbor));
        assert_true(mr_cbor_done(cbor));
    }
}

static void steps_over_whatever_is_well_formed(void **state)
{
    (void)state;
    GOOD("\xf4");
    GOOD("\xf6");
    GOOD("\xf7");
    GOOD("\xc1\x1a\x51\x4b\x67\xb0");
    GOOD("\xd8\x20\x63wow");
    GOOD("\x80");
    GOOD("\xa0");
    GOOD("\x9f\xff");
    GOOD("\xbf\xff");
    GOOD("\x83\x01\x82\x02\x03\x82\x04\x05");
    GOOD("\x9f\x01\x82\x02\x03\x9f\x04\x05\xff\xff");
    GOOD("\xbf\x63"
         "Fun\xf5\x63"
         "Amt\x21\xff");
}

static void refuses_what_is_not(void **state)
{
    (void)state;
    BAD("");
    BAD("\x18");
    BAD("\x19\x01");
    BAD("\x1c");
    BAD("\x1f");         /* an integer has a length */
    BAD("\x44\x01\x02"); /* shorter than it says */
    BAD("\x5b\xff\xff\xff\xff\xff\xff\xff\xf0");
    BAD("\x5f\x61x\xff");    /* a chunk of another kind */
    BAD("\x5f\x5f\xff\xff"); /* chunks in chunks */
    BAD("\x5f\x41");
    BAD("\x61\xff");                 /* not UTF-8 */
    BAD("\x7f\x61\xc3\x61\xa9\xff"); /* a character across chunks */
    BAD("\x82\x01");
    BAD("\x9f\x01");
    BAD("\xa1\x61x");
    BAD("\xa1\x01\x02");  /* keys are texts */
    BAD("\xbf\x61x\xff"); /* a key without a value */
    BAD("\xff");
    BAD("\xc1");
    BAD("\xf8\x20");
    BAD("\xf9\x7e\x00"); /* not a number */
    BAD("\x01\x02");     /* two values */
    BAD("\x9b\x7f\xff\xff\xff\xff\xff\xff\xff");
}

static void bounds_how_deep_arrays_go(void **state)
{
    char text[MR_CBOR_DEPTH_MAX + 2];
    (void)state;

    memset(text, '\x81', sizeof text);
    for (size_t depth = MR_CBOR_DEPTH_MAX; depth <= MR_CBOR_DEPTH_MAX + 1; depth++) {
        text[depth - 1] = '\x80';
        assert_int_equal(is_cbor(text, depth), depth <= MR_CBOR_DEPTH_MAX);
        text[depth - 1] = '\x81';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_integers_of_every_width),
        cmocka_unit_test(reads_floats_of_every_width),
        cmocka_unit_test(reads_strings_whole_and_in_chunks),
        cmocka_unit_test(walks_through_maps_and_arrays),
        cmocka_unit_test(steps_over_whatever_is_well_formed),
        cmocka_unit_test(refuses_what_is_not),
        cmocka_unit_test(bounds_how_deep_arrays_go),
    };
    return cmocka_run_group_tests_name("cbor", tests, NULL, NULL);
}
