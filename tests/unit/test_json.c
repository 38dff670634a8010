/* test_json.c - base/json.h takes what RFC 8259 allows and nothing else; json_line.h writes it. */
#include "../../tools/json_line.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A copy without a byte behind its end, so that ASan sees a step too far. */
static mr_bytes tight(const char *text, size_t size)
{
    char *copy = malloc(size + !size);

    assert_non_null(copy);
    memcpy(copy, text, size);
    return (mr_bytes){copy, size};
}

static bool is_json(const char *text, size_t size)
{
    mr_bytes bytes = tight(text, size);
    struct mr_json json = mr_json_of(bytes);
    struct mr_json_value value;
    bool good = mr_json_take(&json, &value) && mr_json_done(&json);

    assert_true(good == !json.fault);
    free((void *)(uintptr_t)bytes.data);
    return good;
}

static void takes_all_that_is_json(void **state)
{
    static const char *const good[] = {"null",
                                       "true",
                                       "false",
                                       "0",
                                       "-0",
                                       "12",
                                       "-3.5",
                                       "1e9",
                                       "1E+9",
                                       "0.1e-7",
                                       "\"\"",
                                       "[]",
                                       "{}",
                                       " [ ] ",
                                       "\t{\r\n} ",
                                       "[1,2 , 3]",
                                       "{\"a\":1}",
                                       "{\"a\":{\"b\":[{},[[]],\"x\"]} , \"\":null}",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
                                       "\"\\ud83d\\ude00\"",
                                       "\"\xc3\xa9 \xe2\x82\xac\"",
                                       "\"\xf0\x9f\x98\x80\"",
                                       "\"\x7f\"",
                                       "[0,\"a longer string of more than eight bytes\",-1]",
                                       "{\"a\":1,\"a\":2}"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!is_json(good[i], strlen(good[i])))
            fail_msg("not taken: %s", good[i]);
}

static void takes_nothing_else(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "nul",
                                      "nulll",
                                      "True",
                                      "01",
                                      "-",
                                      "+1",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "NaN",
                                      "\"",
                                      "\"a",
                                      "'a'",
                                      "\"\\x\"",
                                      "\"\\u12g4\"",
                                      "\"\\u123\"",
                                      "\"\\ud83d\"",
                                      "\"\\ude00\"",
                                      "\"\\ud83d\\u0041\"",
                                      "\"\t\"",
                                      "\"a\nb\"",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xf4\x90\x80\x80\"",
                                      "\"\xc3\"",
                                      "\"abcdefgh\x1fijk\"",
                                      "[",
                                      "]",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{",
                                      "}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{1:1}",
                                      "{\"a\":1 \"b\":2}",
                                      "[}",
                                      "{]",
                                      "[1}",
                                      "{\"a\":1]",
                                      "1 2",
                                      "{} x",
                                      "[]]",
                                      "\xef\xbb\xbf{}",
                                      "{\"a\":[1,{\"b\":2]}}",
                                      "//\n1"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (is_json(bad[i], strlen(bad[i])))
            fail_msg("taken: %s", bad[i]);
    assert_false(is_json("\"a\0b\"", 5));
    assert_false(is_json("1\0", 2));
}

static void takes_brackets_to_its_depth_and_no_deeper(void **state)
{
    char text[4 * MR_JSON_DEPTH_MAX];

    (void)state;
    for (size_t depth = 1; depth <= MR_JSON_DEPTH_MAX + 2; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_true(is_json(text, 2 * depth) == (depth <= MR_JSON_DEPTH_MAX));
    }
}

/* Finds path in text; returns its raw text, or why not. */
static const char *found(const char *text, const char *path, enum mr_json_kind kind)
{
    static char result[64];
    struct mr_json json = mr_json_of((mr_bytes){text, strlen(text)});
    struct mr_json_value value;

    if (!mr_json_find(&json, path, &value))
        return value.kind == MR_JSON_FAULT ? "(not JSON)" : "(none)";
    assert_int_equal(value.kind, kind);
    snprintf(result, sizeof result, "%.*s", (int)value.raw.size, (const char *)value.raw.data);
    return result;
}

static void finds_a_field_by_its_path(void **state)
{
    (void)state;
    assert_string_equal(found("{\"a\":\"x\"}", "a", MR_JSON_STRING), "x");
    assert_string_equal(found("{\"a\":\"x\"}", ".a", MR_JSON_STRING), "x");
    assert_string_equal(found("{\"b\":{\"a\":1},\"a\":{\"b\":-7}}", ".a.b", MR_JSON_NUMBER), "-7");
    assert_string_equal(found("{\"a\":[1,{\"b\":2}],\"b\":true}", "b", MR_JSON_BOOL), "true");
    assert_string_equal(found("{\"a\":[1, 2]}", "a", MR_JSON_ARRAY), "[1, 2]");
    assert_string_equal(found("{\"\\u0061\":\"x\"}", "a", MR_JSON_STRING), "x");
    assert_string_equal(found("{\"a\":{\"b\":1}}", "a.b.c", MR_JSON_NUMBER), "(none)");
    assert_string_equal(found("{\"aa\":1}", "a", MR_JSON_NUMBER), "(none)");
    assert_string_equal(found("{\"a\":1}", "aa", MR_JSON_NUMBER), "(none)");
    assert_string_equal(found("{\"a\":null}", "a", MR_JSON_NULL), "(none)");
    assert_string_equal(found("[1]", "a", MR_JSON_NULL), "(not JSON)");
}

static void of_repeated_fields_the_last_counts(void **state)
{
    (void)state;
    assert_string_equal(found("{\"a\":1,\"a\":2}", "a", MR_JSON_NUMBER), "2");
    assert_string_equal(found("{\"a\":{\"b\":1},\"a\":{}}", "a.b", MR_JSON_NUMBER), "(none)");
    assert_string_equal(found("{\"a\":{\"b\":1},\"a\":5}", "a.b", MR_JSON_NUMBER), "(none)");
}

static void a_fault_behind_the_field_is_seen(void **state)
{
    (void)state;
    assert_string_equal(found("{\"a\":1,\"b\":tru}", "a", MR_JSON_NUMBER), "(not JSON)");
    assert_string_equal(found("{\"a\":1} x", "a", MR_JSON_NUMBER), "(not JSON)");
    assert_string_equal(found("{\"a\":1", "a", MR_JSON_NUMBER), "(not JSON)");
}

static void unescapes_what_escapes_mean(void **state)
{
    static const char text[] = "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e9\\u20ac\\ud83d\\ude00z\"";
    static const char means[] = "\"\\/\b\f\n\r\t\0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    struct mr_json json = mr_json_of((mr_bytes){text, sizeof text - 1});
    struct mr_json_value value;
    uint8_t out[sizeof text];

    (void)state;
    assert_true(mr_json_take(&json, &value));
    assert_true(value.escaped);
    assert_int_equal(mr_json_unescape(&value, out), sizeof means - 1);
    assert_memory_equal(out, means, sizeof means - 1);
}

/* One random character as UTF-8, of every size. */
static size_t any_character(struct mr_random *random, char *out)
{
    static const char *const wide[] = {"\xc2\x80",        "\xc3\xa9",     "\xe0\xa0\x80",
                                       "\xe2\x82\xac",    "\xed\x9f\xbf", "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};

    if (mr_random_below(random, 3)) {
        *out = (char)mr_random_below(random, 128);
        return 1;
    }
    strcpy(out, wide[mr_random_below(random, 7)]);
    return strlen(out);
}

static void any_text_comes_back(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct mr_json_line line = MR_JSON_LINE;
        struct mr_json_value value;
        struct mr_json json;
        char text[200];
        uint8_t out[1400];
        size_t size = 0, target = mr_random_below(&random, 190);

        while (size < target)
            size += any_character(&random, text + size);
        mr_json_open(&line, '{');
        mr_json_name(&line, "before");
        mr_json_count(&line, UINT64_MAX);
        mr_json_name(&line, "text");
        mr_json_string(&line, (mr_bytes){text, size});
        mr_json_close(&line, '}');
        json = mr_json_of((mr_bytes){line.pack.data, line.pack.size});
        assert_true(mr_json_find(&json, "text", &value));
        assert_int_equal(value.kind, MR_JSON_STRING);
        assert_true(value.raw.size <= sizeof out);
        assert_int_equal(mr_json_unescape(&value, out), size);
        assert_memory_equal(out, text, size);
        mr_pack_fini(&line.pack);
    }
}

/* By the definition, byte for byte. */
static size_t plain_bytes(const uint8_t *at, size_t size)
{
    size_t count = 0;

    while (count < size && at[count] >= 0x20 && at[count] < 0x80 && at[count] != '"' &&
           at[count] != '\\')
        count++;
    return count;
}

static void many_bytes_at_a_time_find_what_one_finds(void **state)
{
    struct mr_random random = seed_random();
    uint8_t text[24];

    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 16; at++) {
            memset(text, 'a', sizeof text);
            text[at] = (uint8_t)byte;
            for (size_t other = 0; other < 16; other++) {
                text[other] ^= (uint8_t)mr_random_next(&random);
                assert_int_equal(mr_json_plain_bytes((mr_bytes){text, 16}), plain_bytes(text, 16));
            }
        }
    }
}

static void sees_every_malformed_utf8_of_two_and_three_bytes(void **state)
{
    (void)state;
    for (unsigned first = 0x80; first < 0x100; first++) {
        for (unsigned second = 0; second < 0x100; second++) {
            uint8_t text[3] = {(uint8_t)first, (uint8_t)second, 0x80};
            bool tail = second >= 0x80 && second < 0xc0;
            bool two = first >= 0xc2 && first < 0xe0 && tail;
            bool three = first >= 0xe0 && first < 0xf0 && tail &&
                         !(first == 0xe0 && second < 0xa0) && !(first == 0xed && second > 0x9f);

            assert_true(mr_utf8_is_valid((mr_bytes){text, 2}) == two);
            assert_true(mr_utf8_is_valid((mr_bytes){text, 3}) == three);
        }
    }
}

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void finds_the_end_of_strings_of_every_length(void **state)
{
    static const char enders[] = "\"\\\n\x80\x1f";
    (void)state;

    for (size_t size = 0; size < 150; size++)
        for (size_t ender = 0; ender < sizeof enders - 1; ender++)
            for (size_t more = 0; more < 70; more += 23) {
                char *text = mr_alloc(size + 1 + more);

                memset(text, 'x', size + 1 + more);
                text[size] = enders[ender];
                assert_int_equal(mr_json_plain_bytes((mr_bytes){text, size + 1 + more}), size);
                mr_free(text);
            }
}

static void reads_arrays_item_by_item(void **state)
{
    struct mr_json json = mr_json_of(text_of(" [ 1 , \"two\" , [ ] , { } , null ] "));
    static const enum mr_json_kind kinds[] = {MR_JSON_NUMBER, MR_JSON_STRING, MR_JSON_ARRAY,
                                              MR_JSON_OBJECT, MR_JSON_NULL};
    struct mr_json_value value;
    size_t count = 0;
    (void)state;

    assert_int_equal(mr_json_kind_next(&json), MR_JSON_ARRAY);
    assert_true(mr_json_enter_array(&json));
    while (mr_json_next_item(&json)) {
        assert_int_equal(mr_json_kind_next(&json), kinds[count]);
        assert_true(mr_json_take(&json, &value));
        assert_int_equal(value.kind, kinds[count++]);
    }
    assert_int_equal(count, 5);
    assert_true(mr_json_done(&json));
}

static void takes_base64_of_every_length_in_one_pass(void **state)
{
    struct mr_random random = seed_random();
    (void)state;

    for (size_t size = 0; size <= 200; size++)
        for (size_t behind = 0; behind < 60; behind += 59) {
            size_t digits = MR_BASE64_BYTES(size), got;
            size_t text_bytes = digits + 2 + behind;
            uint8_t bytes[200], *out = mr_alloc(text_bytes / 4 * 3 + 1);
            char *text = mr_alloc(text_bytes);
            struct mr_json json = mr_json_of((mr_bytes){text, text_bytes});

            for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)mr_random_next(&random);
            memset(text, ' ', text_bytes);
            text[0] = text[digits + 1] = '"';
            mr_base64_encode((mr_bytes){bytes, size}, text + 1);
            assert_true(mr_json_take_base64(&json, out, &got));
            assert_int_equal(got, size);
            assert_memory_equal(out, bytes, size);
            assert_true(mr_json_done(&json));
            mr_free(out);
            mr_free(text);
        }
}

static void leaves_to_others_what_is_no_plain_base64(void **state)
{
    static const char *const others[] = {"\"AAA\"", "\"AA\\/A\"", "\"AB==\"",     "\"AAAA",
                                         "\"AA=\"", "\"AAA=A\"",  "\"AAA=AAAA\"", "12",
                                         "null",    "\"===="};
    uint8_t out[64];
    size_t size;
    (void)state;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct mr_json json = mr_json_of(text_of(others[i]));

        assert_false(mr_json_take_base64(&json, out, &size));
        assert_ptr_equal(json.at, others[i]);
        assert_null(json.fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_all_that_is_json),
        cmocka_unit_test(takes_nothing_else),
        cmocka_unit_test(takes_brackets_to_its_depth_and_no_deeper),
        cmocka_unit_test(finds_a_field_by_its_path),
        cmocka_unit_test(of_repeated_fields_the_last_counts),
        cmocka_unit_test(a_fault_behind_the_field_is_seen),
        cmocka_unit_test(unescapes_what_escapes_mean),
        cmocka_unit_test(any_text_comes_back),
        cmocka_unit_test(many_bytes_at_a_time_find_what_one_finds),
        cmocka_unit_test(sees_every_malformed_utf8_of_two_and_three_bytes),
        cmocka_unit_test(finds_the_end_of_strings_of_every_length),
        cmocka_unit_test(reads_arrays_item_by_item),
        cmocka_unit_test(takes_base64_of_every_length_in_one_pass),
        cmocka_unit_test(leaves_to_others_what_is_no_plain_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
