/* test_recording.c - the short way through a line of a recording, which takes it as we write it, never
 * says anything else than the long one, which takes any JSON. */
#include "../../tools/events/wanted.h"
#include "support/seed.h"

#include "base/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct ways {
    struct mr_arena short_arena, long_arena;
    struct mr_line_reader short_reader, long_reader;
};

static struct ways ways_of(void)
{
    return (struct ways){.short_arena = MR_ARENA(1u << 20), .long_arena = MR_ARENA(1u << 20)};
}

static void same_bytes(mr_bytes a, mr_bytes b)
{
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data ? a.data : "", b.data ? b.data : "", a.size);
}

/* The first line of text, by both; whether the short one took it. */
static bool take_both(struct ways *ways, const char *text, size_t size)
{
    struct mr_event taken = {0}, read = {0};
    const char *newline = memchr(text, '\n', size);
    size_t took;

    ways->short_reader.arena = &ways->short_arena;
    ways->long_reader.arena = &ways->long_arena;
    mr_arena_reset(&ways->short_arena);
    mr_arena_reset(&ways->long_arena);
    took = mr_recording_take(&taken, &ways->short_reader, (mr_bytes){text, size});
    if (!took)
        return false;
    assert_non_null(newline);
    assert_int_equal(took, newline + 1 - text);
    assert_true(mr_recording_read(&read, &ways->long_reader, (mr_bytes){text, took - 1}));
    assert_int_equal(taken.time_ms, read.time_ms);
    assert_false(taken.has_hash_key || read.has_hash_key);
    same_bytes(taken.key, read.key);
    same_bytes(taken.data, read.data);
    return true;
}

static bool take_text(struct ways *ways, const char *text)
{
    return take_both(ways, text, strlen(text));
}

static void fini(struct ways *ways)
{
    mr_arena_fini(&ways->short_arena);
    mr_arena_fini(&ways->long_arena);
}

#define LINE(time) "{\"time\":\"" time "\",\"key\":\"DTW\",\"data\":\"{\\\"delay\\\":-3}\\n\"}\n"

/* All that a second with its fraction may be, and every byte in every place of it. */
static void reads_every_second_as_the_long_way_does(void **state)
{
    char line[] = LINE("2001-01-01T00:47:00.000Z"), *second = strstr(line, ":00.000Z");
    static const size_t places[] = {6, 5, 4, 2, 1}; /* of the digits, the lowest first */
    struct ways ways = ways_of();

    (void)state;
    for (unsigned value = 0; value < 100000; value++) {
        for (unsigned i = 0, rest = value; i < 5; i++, rest /= 10)
            second[places[i]] = (char)('0' + rest % 10);
        assert_int_equal(take_both(&ways, line, sizeof line - 1), value < 60000);
    }
    for (size_t place = 0; place < 8; place++)
        for (unsigned byte = 0; byte < 256; byte++) {
            char before = second[place];
            bool is_digit = byte >= '0' && byte <= (place == 1 ? '5' : '9');
            bool is_good = strchr(":.Z", before) ? byte == (uint8_t)before : is_digit;

            memcpy(second, ":59.999Z", 8);
            second[place] = (char)byte;
            assert_int_equal(take_both(&ways, line, sizeof line - 1), is_good);
            memcpy(second, ":59.999Z", 8);
        }
    fini(&ways);
}

/* The minute before is remembered: another date must not be taken for it, nor a date that is none. */
static void knows_another_minute(void **state)
{
    struct ways ways = ways_of();

    (void)state;
    assert_true(take_text(&ways, LINE("2001-01-01T00:47:59.999Z")));
    assert_true(take_text(&ways, LINE("2001-01-01T00:48:00.000Z")));
    assert_true(take_text(&ways, LINE("2004-02-29T00:48:00.000Z")));
    assert_false(take_text(&ways, LINE("2003-02-29T00:48:00.000Z")));
    assert_false(take_text(&ways, LINE("2003-02-28T24:48:00.000Z")));
    assert_false(take_text(&ways, LINE("1969-12-31T23:59:00.000Z")));
    assert_true(take_text(&ways, LINE("1970-01-01T00:00:00.000Z")));
    fini(&ways);
}

/* Texts of all kinds, with much or nothing behind the line; then a byte of it is another, or it ends
 * early. */
static void says_what_the_long_way_says(void **state)
{
    static const char letters[] = "abcXYZ019 {}[]:,./-\"\\\n\t\r";
    struct mr_random random = seed_random();
    struct ways ways = ways_of();
    struct mr_pack out = MR_PACK(1u << 20);
    unsigned taken = 0, whole_count = 20000;

    (void)state;
    for (unsigned i = 0; i < whole_count; i++) {
        char text[240];
        size_t behind = mr_random_below(&random, 2) * 300, size;
        size_t key_size = 1 + mr_random_below(&random, 20);
        struct mr_event event = {
            .time_ms = (int64_t)mr_random_below(&random, UINT64_C(1) << 42),
            .key = {text, key_size},
            .data = {text + key_size, mr_random_below(&random, 60) * (1 + i % 3)}};
        bool is_simple = true;

        for (size_t c = 0; c < sizeof text; c++) {
            bool is_rare = mr_random_below(&random, 900) == 0;

            text[c] =
                is_rare ? (char)mr_random_below(&random, 256)
                        : letters[mr_random_below(&random, c < key_size ? 10 : sizeof letters - 1)];
            is_simple = is_simple && !is_rare;
        }
        out.size = 0;
        mr_event_write(&out, &event);
        size = out.size;
        memset(mr_pack_extend(&out, behind), '{', behind);
        if (is_simple)
            assert_true(take_both(&ways, (const char *)out.data, out.size));
        for (unsigned change = 0; change < 4; change++) {
            size_t place = mr_random_below(&random, size);
            uint8_t before = out.data[place];

            out.data[place] = (uint8_t)mr_random_below(&random, 256);
            taken += take_both(&ways, (const char *)out.data, out.size);
            out.data[place] = before;
        }
        assert_false(take_both(&ways, (const char *)out.data, mr_random_below(&random, size)));
    }
    assert_true(taken > whole_count / 2); /* or the changes tried nothing */
    mr_pack_fini(&out);
    fini(&ways);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_second_as_the_long_way_does),
        cmocka_unit_test(knows_another_minute),
        cmocka_unit_test(says_what_the_long_way_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
