#include "../../tools/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1795341600123 /* 2026-11-22T10:00:00.123Z */

static int64_t time_of(const char *text)
{
    struct mr_when when;

    if (mr_when_parse(text, NOW_MS, &when, NULL) || when.kind != MR_WHEN_TIME)
        fail_msg("no time: %s", text);
    return when.time_ms;
}

static void reads_times_as_people_write_them(void **state)
{
    (void)state;
    assert_int_equal(time_of("1970-01-01"), 0);
    assert_int_equal(time_of("2026-11-22T10:00Z"), NOW_MS - 123);
    assert_int_equal(time_of("2026-11-22 10:00"), NOW_MS - 123);
    assert_int_equal(time_of("2026-11-22T10:00:00.123"), NOW_MS);
    assert_int_equal(time_of("2026-11-22T10:00:00.1239z"), NOW_MS);
    assert_int_equal(time_of("2026-11-22T11:00:00.123+01:00"), NOW_MS);
    assert_int_equal(time_of("2026-11-22T04:30:00.123-0530"), NOW_MS);
    assert_int_equal(time_of("2024-02-29T00:00:01Z"), 1709164801000);
}

static void reads_times_ago(void **state)
{
    (void)state;
    assert_int_equal(time_of("-0s"), NOW_MS);
    assert_int_equal(time_of("-90s"), NOW_MS - 90000);
    assert_int_equal(time_of("-15m"), NOW_MS - 15 * 60000);
    assert_int_equal(time_of("-2h"), NOW_MS - 2 * 3600000);
    assert_int_equal(time_of("-3d"), NOW_MS - 3 * 86400000ll);
    assert_int_equal(time_of("-99999999d"), 0);
}

static void reads_places(void **state)
{
    mr_sequence sequence = {.number = 123456789, .shard = 3, .created_s = 1000, .time_s = 2000};
    char text[MR_SEQUENCE_TEXT_BYTES + 4] = "seq:";
    struct mr_when when;

    (void)state;
    assert_int_equal(mr_when_parse("start", NOW_MS, &when, NULL), MR_OK);
    assert_int_equal(when.kind, MR_WHEN_START);
    assert_int_equal(mr_when_parse("latest", NOW_MS, &when, NULL), MR_OK);
    assert_int_equal(when.kind, MR_WHEN_LATEST);
    assert_int_equal(mr_when_parse("seq:42", NOW_MS, &when, NULL), MR_OK);
    assert_int_equal(when.kind, MR_WHEN_SEQUENCE);
    assert_int_equal(when.number, 42);
    mr_sequence_format(&sequence, text + 4);
    assert_int_equal(mr_when_parse(text, NOW_MS, &when, NULL), MR_OK);
    assert_int_equal(when.kind, MR_WHEN_SEQUENCE);
    assert_int_equal(when.number, 123456789);
}

static void refuses_all_else(void **state)
{
    static const char *const bad[] = {"",
                                      "now",
                                      "START",
                                      "-",
                                      "-15",
                                      "-m",
                                      "-15mm",
                                      "-1.5h",
                                      "-15w",
                                      "--15m",
                                      "15m",
                                      "2026",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-02-30",
                                      "2025-02-29",
                                      "2026-11-31",
                                      "2026-11-22T",
                                      "2026-11-22T24:00",
                                      "2026-11-22T10",
                                      "2026-11-22T10:60",
                                      "2026-11-22T10:00:60",
                                      "2026-11-22T10:00:00.",
                                      "2026-11-22T10:00Zx",
                                      "2026-11-22T10:00+1",
                                      "2026-11-22T10:00+24:00",
                                      "2026-11-22x",
                                      "2026-11-22Z",
                                      "1969-12-31",
                                      "seq:",
                                      "seq:x",
                                      "seq:-1",
                                      "seq:9223372036854775808",
                                      "seq:123456789012345678901234567890"};
    struct mr_when when;
    mr_error error;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (mr_when_parse(bad[i], NOW_MS, &when, &error) != MR_INVALID)
            fail_msg("taken: %s", bad[i]);
        assert_non_null(strstr(error.message, bad[i]));
    }
}

static void what_is_written_is_read_back(void **state)
{
    static const int64_t times[] = {
        0, 1, 999, 1000, NOW_MS, 1709164801000, 4102444799999, 253402300799999};
    char text[MR_TIME_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        mr_time_format(times[i], text);
        assert_int_equal(time_of(text), times[i]);
    }
    mr_time_format(NOW_MS, text);
    assert_string_equal(text, "2026-11-22T10:00:00.123Z");
    mr_time_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times_as_people_write_them),
        cmocka_unit_test(reads_times_ago),
        cmocka_unit_test(reads_places),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
