/* test_template.c - templates give what the Data Generator's documentation says they give. */
#include "gen/template.h"

#include "base/json.h"
#include "base/memory.h"
#include "gen/moment.h"
#include "support/seed.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define TIME_MS INT64_C(1247602342007) /* 2009-07-14 20:12:22.007 UTC, a Tuesday */

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static struct mr_template *compile(const char *text)
{
    struct mr_template *template;
    mr_error error;

    if (mr_template_compile(&template, bytes_of(text), &error))
        fail_msg("%s: %s", text, error.message);
    return template;
}

static const char *render(struct mr_template *template, struct mr_random *random)
{
    static uint8_t out[1 << 16];
    struct mr_draw draw = {.index = 17, .key = 4, .time_ms = TIME_MS, .random = random};
    uint8_t *end;

    assert_true(mr_template_bytes_max(template) < sizeof out);
    end = mr_template_render(template, &draw, out);
    assert_true((size_t)(end - out) <= mr_template_bytes_max(template));
    *end = 0;
    return (const char *)out;
}

static const char *drawn(const char *text)
{
    struct mr_random random = mr_random_of(1);
    struct mr_template *template = compile(text);
    const char *out = render(template, &random);

    mr_template_free(template);
    return out;
}

static bool matches(const char *text, const char *pattern)
{
    regex_t regex;
    bool found;

    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static void expect_match(const char *template, const char *pattern)
{
    const char *out = drawn(template);

    if (!matches(out, pattern))
        fail_msg("%s gave \"%s\", not %s", template, out, pattern);
}

/* The examples of its help page. */
static void gives_the_published_shapes(void **state)
{
    (void)state;
    expect_match("{{name.firstName}},{{name.lastName}},{{random.number(70)}},{{internet.ip}}",
                 "^[A-Z][a-z]+,[A-Z][a-z]+,[0-9]{1,2},[0-9]{1,3}(\\.[0-9]{1,3}){3}$");
    expect_match(
        "{\n    \"sensorId\": {{random.number(50)}},\n"
        "    \"currentTemperature\": {{random.number(\n        {\n            \"min\":10,\n"
        "            \"max\":150\n        }\n    )}},\n    \"status\": "
        "\"{{random.arrayElement(\n        [\"OK\",\"FAIL\",\"WARN\"]\n    )}}\"\n}\n",
        "^\\{ +\"sensorId\": [0-9]{1,2}, +\"currentTemperature\": [0-9]{2,3}, +"
        "\"status\": \"(OK|FAIL|WARN)\"\\}$");
    expect_match("{{random.weightedArrayElement(\n  {\n    \"weights\": [0.3,0.2,0.5],\n"
                 "    \"data\": [\"cat\",\"fish\",\"dog\"]\n  }\n)}}",
                 "^(cat|fish|dog)$");
    expect_match("{{random.weightedArrayElement({\"weights\":[1],\"data\":[\"\\\"Run\\\"\"]})}}",
                 "^\"Run\"$");
    expect_match("{{random.weightedArrayElement({\"weights\":[0.5,0.5],\"data\":[32,34]})}}",
                 "^3[24]$");
    expect_match("{{random.uuid}}",
                 "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");
}

static void formats_moments_as_moment_js_does(void **state)
{
    static const struct {
        const char *template, *expected;
    } cases[] = {
        {"{{date.utc}}", "2009-07-14T20:12:22Z"},
        {"{{date.utc(\"dddd, MMMM Do YYYY, h:mm:ss a\")}}", "Tuesday, July 14th 2009, 8:12:22 pm"},
        {"{{date.utc(\"ddd, hA\")}}", "Tue, 8PM"},
        {"{{date.utc(\"DD/MMM/YYYY:HH:mm:ss ZZ\")}}", "14/Jul/2009:20:12:22 +0000"},
        {"{{date.utc(\"YYYY-MM-DD HH:mm:ss.SSS\")}}", "2009-07-14 20:12:22.007"},
        {"{{date.utc(YYYY/MM/DD)}}", "2009/07/14"},
        {"{{date.utc(\"x X\")}}", "1247602342007 1247602342"},
        {"{{date.utc(\"[on] DDD DDDD d E Q YY M D k H\")}}", "on 195 195 2 2 3 09 7 14 20 20"},
        {"{{date.utc(\"S SS\")}}", "0 00"},
        {"{{date.now}}", "2009-07-14T15:12:22-05:00"},
        {"{{current.timestamp}}", "2009-07-14T15:12:22-05:00"},
        {"{{date.simTime(\"HH ZZ\")}}", "15 -0500"},
    };

    (void)state;
    setenv("TZ", "UTC+5", 1);
    tzset();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(drawn(cases[i].template), cases[i].expected);
}

static void knows_every_ordinal(void **state)
{
    static const char *const expected[] = {"1st",  "2nd",  "3rd",  "4th",  "11th",
                                           "12th", "13th", "21st", "22nd", "31st"};
    static const int days[] = {1, 2, 3, 4, 11, 12, 13, 21, 22, 31};

    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        struct mr_pack out = MR_PACK(100);
        struct mr_moment moment = mr_moment_of((days[i] - 1) * INT64_C(86400000), true);

        mr_moment_format(&out, &moment, bytes_of("Do"));
        assert_int_equal(out.size, strlen(expected[i]));
        assert_memory_equal(out.data, expected[i], out.size);
        mr_pack_fini(&out);
    }
}

static void draws_every_number_of_a_range_and_no_other(void **state)
{
    struct mr_random random = seed_random();
    struct mr_template *template = compile("{{random.number({\"min\":-2,\"max\":3})}}");
    unsigned seen[6] = {0};

    (void)state;
    for (int i = 0; i < 6000; i++) {
        int number = atoi(render(template, &random));

        assert_in_range(number + 2, 0, 5);
        seen[number + 2]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(seen[i], 800, 1200); /* 1000, and 7 times the deviation */
    mr_template_free(template);
}

static void keeps_the_precision(void **state)
{
    struct mr_random random = seed_random();
    struct mr_template *quarters =
        compile("{{random.number({\"min\":1,\"max\":2,\"precision\":0.25})}}");
    struct mr_template *tens =
        compile("{{random.number({\"min\":5,\"max\":100,\"precision\":10})}}");

    (void)state;
    for (int i = 0; i < 500; i++) {
        assert_true(matches(render(quarters, &random), "^(1|1\\.25|1\\.5|1\\.75|2)$"));
        assert_true(matches(render(tens, &random), "^([1-9]?5)$"));
    }
    mr_template_free(quarters);
    mr_template_free(tens);
}

static void draws_by_weight(void **state)
{
    struct mr_random random = seed_random();
    struct mr_template *template =
        compile("{{random.weightedArrayElement({\"data\":[0,1,2,3],\"weights\":[7,0,2,1]})}}");
    unsigned seen[4] = {0};

    (void)state;
    for (int i = 0; i < 10000; i++)
        seen[atoi(render(template, &random))]++;
    assert_in_range(seen[0], 6700, 7300);
    assert_int_equal(seen[1], 0);
    assert_in_range(seen[2], 1700, 2300);
    assert_in_range(seen[3], 800, 1200);
    mr_template_free(template);
}

static void repeats_from_its_seed(void **state)
{
    struct mr_template *template = compile(
        "{{random.uuid}} {{internet.email}} {{commerce.price}} {{random.alphaNumeric(20)}}");
    struct mr_random a = mr_random_of(5), b = mr_random_of(5);
    char first[1000];

    (void)state;
    for (int i = 0; i < 20; i++) {
        strcpy(first, render(template, &a));
        assert_string_equal(first, render(template, &b));
    }
    assert_string_not_equal(first, render(template, &b));
    mr_template_free(template);
}

static void puts_key_and_index_in(void **state)
{
    (void)state;
    assert_string_equal(drawn("user-{{key}}/{{ index }}"), "user-4/17");
    assert_string_equal(drawn("{{{key}}}"), "{4}");
    assert_string_equal(drawn("{\"a\":{\"b\":{{key}}}}"), "{\"a\":{\"b\":4}}");
    assert_string_equal(drawn("no calls } } { at all"), "no calls } } { at all");
    assert_string_equal(drawn("  line one\n  line two\r\n"), "line one  line two");
    assert_string_equal(drawn("{{random.arrayElement([\"a)}}b\"])}}"), "a)}}b");
    assert_string_equal(drawn("{{random.arrayElement([{\"x\":[1]}])}}"), "{\"x\":[1]}");
    assert_string_equal(drawn(""), "");
}

static void templates_that_come_along_make_records(void **state)
{
    char names[200], *rest = names, *name;
    unsigned count = 0;

    (void)state;
    strcpy(names, mr_template_names());
    while ((name = strtok_r(rest, ", ", &rest))) {
        const char *text = mr_template_named(name), *out;

        assert_non_null(text);
        out = drawn(text);
        assert_null(strstr(out, "{{"));
        if (text[0] == '{' && text[1] != '{') {
            struct mr_json json = mr_json_of(bytes_of(out));
            struct mr_json_value value;

            assert_true(mr_json_take(&json, &value) && mr_json_done(&json));
        }
        count++;
    }
    assert_int_equal(count, 5);
    assert_null(mr_template_named("nonesuch"));
}

static void says_what_is_wrong(void **state)
{
    static const struct {
        const char *template, *said;
    } cases[] = {
        {"{{name.fistName}}", "did you mean name.firstName"},
        {"a {{random.number(5) b", "\"}}\" is missing"},
        {"a {{random.number b", "\"}}\" is missing"},
        {"a {{", "begins at byte 3"},
        {"{{random.number(\"x\")}}", "highest number"},
        {"{{random.number({\"min\":5,\"max\":1})}}", "not above its max"},
        {"{{random.number({\"min\":0,\"max\":1,\"precision\":0})}}", "precision above 0"},
        {"{{random.number({\"least\":0})}}", "highest number"},
        {"{{random.arrayElement([])}}", "takes an array"},
        {"{{random.weightedArrayElement({\"weights\":[1,2],\"data\":[1]})}}", "as many weights"},
        {"{{random.weightedArrayElement({\"weights\":[0],\"data\":[1]})}}", "a weight above 0"},
        {"{{random.weightedArrayElement([1])}}", "\"weights\""},
        {"{{random.alphaNumeric(0)}}", "how many characters"},
        {"{{name.firstName(3)}}", "takes no argument"},
        {"{{internet.ip(3)}}", "takes no argument"},
    };
    struct mr_template *template;
    mr_error error;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mr_template_compile(&template, bytes_of(cases[i].template), &error),
                         MR_INVALID);
        assert_null(template);
        if (!strstr(error.message, cases[i].said))
            fail_msg("%s: \"%s\" does not say %s", cases[i].template, error.message, cases[i].said);
    }
}

static void refuses_records_over_the_limit(void **state)
{
    struct mr_template *template;
    char text[1000] = "";
    mr_error error;

    (void)state;
    for (int i = 0; i < 11; i++)
        strcat(text, "{{random.alphaNumeric(1048576)}}");
    assert_int_equal(mr_template_compile(&template, bytes_of(text), &error), MR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_shapes),
        cmocka_unit_test(formats_moments_as_moment_js_does),
        cmocka_unit_test(knows_every_ordinal),
        cmocka_unit_test(draws_every_number_of_a_range_and_no_other),
        cmocka_unit_test(keeps_the_precision),
        cmocka_unit_test(draws_by_weight),
        cmocka_unit_test(repeats_from_its_seed),
        cmocka_unit_test(puts_key_and_index_in),
        cmocka_unit_test(templates_that_come_along_make_records),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_records_over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
