#include "millrace.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_sequences_equal(const mr_sequence *a, const mr_sequence *b)
{
    assert_true(a->number == b->number);
    assert_int_equal(a->shard, b->shard);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->time_s, b->time_s);
}

static const struct {
    const char *text;
    mr_sequence sequence;
} known[] = {
    /* Given out by AWS on 2015-01-14. */
    {"49546986683135544286507457936321625675700192471156785154",
     {.number = 469, .shard = 0, .created_s = 0x54b6fffe, .time_s = 0x54b7009a}},
    /* Written by hand from the layout's hex digits. */
    {"49646437577443086709317940333494966020100699207940182770",
     {.number = 0x123456789abcdef, .shard = 0x12f, .created_s = 1700000000, .time_s = 1700000123}},
    {"50572352848563181953226186584388226569610357401484001266",
     {.number = INT64_MAX, .shard = UINT32_MAX, .created_s = UINT32_MAX, .time_s = UINT32_MAX}},
};
#define KNOWN_COUNT (sizeof known / sizeof known[0])

static void writes_the_layout_of_aws(void **state)
{
    (void)state;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        char text[MR_SEQUENCE_TEXT_BYTES];
        mr_sequence_format(&known[i].sequence, text);
        assert_string_equal(text, known[i].text);
    }
}

static void reads_the_layout_of_aws(void **state)
{
    (void)state;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        mr_sequence read;
        assert_int_equal(mr_sequence_parse(known[i].text, &read, NULL), MR_OK);
        assert_sequences_equal(&read, &known[i].sequence);
    }
}

static mr_sequence any_sequence(struct mr_random *random)
{
    return (mr_sequence){
        .number = mr_random_next(random) >> 1 >> mr_random_below(random, 63),
        .shard = (uint32_t)(mr_random_next(random) >> (32 + mr_random_below(random, 32))),
        .created_s = (uint32_t)mr_random_next(random),
        .time_s = (uint32_t)mr_random_next(random),
    };
}

static void reads_what_it_wrote(void **state)
{
    static const mr_sequence extremes[] = {
        {0, 0, 0, 0},          {INT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
        {INT64_MAX, 0, 0, 0},  {0, INT32_MAX, 0, 0},
        {0, 0, UINT32_MAX, 0}, {0, 0, 0, UINT32_MAX},
    };
    const size_t extreme_count = sizeof extremes / sizeof extremes[0];
    struct mr_random random = seed_random();

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        char text[MR_SEQUENCE_TEXT_BYTES];
        mr_sequence sequence = i < extreme_count ? extremes[i] : any_sequence(&random), read;
        mr_sequence_format(&sequence, text);
        assert_int_equal(strlen(text), MR_SEQUENCE_TEXT_BYTES - 1);
        assert_int_equal(mr_sequence_parse(text, &read, NULL), MR_OK);
        assert_sequences_equal(&read, &sequence);
    }
}

/* digits = 2 * digits + bit, the lowest digit last. */
static void double_and_add(char digits[MR_SEQUENCE_TEXT_BYTES], unsigned bit)
{
    for (size_t at = MR_SEQUENCE_TEXT_BYTES - 1; at-- > 0;) {
        unsigned sum = 2 * (unsigned)(digits[at] - '0') + bit;
        digits[at] = (char)('0' + sum % 10);
        bit = sum / 10;
    }
    assert_int_equal(bit, 0);
}

static void append(char digits[MR_SEQUENCE_TEXT_BYTES], uint64_t field, unsigned bits)
{
    while (bits-- > 0)
        double_and_add(digits, field >> bits & 1);
}

/* The layout as it is described, bit by bit. */
static void write_slowly(const mr_sequence *sequence, char text[MR_SEQUENCE_TEXT_BYTES])
{
    memset(text, '0', MR_SEQUENCE_TEXT_BYTES - 1);
    text[MR_SEQUENCE_TEXT_BYTES - 1] = 0;
    append(text, 2, 4);
    append(text, sequence->created_s, 36);
    append(text, sequence->shard & 15, 4);
    append(text, sequence->number, 64);
    append(text, 0, 8);
    append(text, sequence->time_s, 36);
    append(text, sequence->shard, 32);
    append(text, 2, 4);
}

static void writes_what_long_arithmetic_writes(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[MR_SEQUENCE_TEXT_BYTES], slow[MR_SEQUENCE_TEXT_BYTES];
        mr_sequence sequence = any_sequence(&random);
        mr_sequence_format(&sequence, text);
        write_slowly(&sequence, slow);
        assert_string_equal(text, slow);
    }
}

/* Every pair of digits is split alone and beside others. */
static void writes_every_number_in_a_row(void **state)
{
    mr_sequence sequence = known[1].sequence;

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        char text[MR_SEQUENCE_TEXT_BYTES], slow[MR_SEQUENCE_TEXT_BYTES];
        sequence.number += i * i;
        sequence.time_s = (uint32_t)(i * 429497);
        mr_sequence_format(&sequence, text);
        write_slowly(&sequence, slow);
        assert_string_equal(text, slow);
    }
}

static void texts_of_a_shard_sort_by_number(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int i = 0; i < 5000; i++) {
        char lower_text[MR_SEQUENCE_TEXT_BYTES], upper_text[MR_SEQUENCE_TEXT_BYTES];
        mr_sequence lower = any_sequence(&random), upper = lower;
        if (lower.number == INT64_MAX)
            continue;
        upper.number += 1 + mr_random_below(&random, INT64_MAX - lower.number);
        upper.time_s = (uint32_t)mr_random_next(&random);
        mr_sequence_format(&lower, lower_text);
        mr_sequence_format(&upper, upper_text);
        assert_true(strcmp(lower_text, upper_text) < 0);
    }
}

static void refuses(const char *text)
{
    mr_sequence read = known[0].sequence;
    mr_error error = {0};

    assert_int_equal(mr_sequence_parse(text, &read, &error), MR_INVALID);
    assert_int_equal(error.status, MR_INVALID);
    assert_non_null(strstr(error.message, "is not a sequence number"));
    assert_sequences_equal(&read, &known[0].sequence);
}

static void refuses_what_is_not_56_digits(void **state)
{
    (void)state;
    refuses("");
    refuses("0");
    refuses("4954698668313554428650745793632162567570019247115678515");
    refuses("495469866831355442865074579363216256757001924711567851544");
    refuses(" 4954698668313554428650745793632162567570019247115678515");
    refuses("4954698668313554428650745793632162567570019247115678515 ");
    refuses("+4954698668313554428650745793632162567570019247115678515");
    refuses("4954698668313554428650745793x321625675700192471156785154");
    refuses("TRIM_HORIZON");
}

/* 56 digits as decimal numbers: what they hold besides the fields, or in them, does not fit. */
static void refuses_what_would_not_come_back(void **state)
{
    (void)state;
    refuses("00000000000000000000000000000000000000000000000000000000"); /* version 0 */
    refuses("99999999999999999999999999999999999999999999999999999999"); /* above 3 * 16^46 */
    refuses("49546986683135544286507457936321625675700192471156785153"); /* version 1 */
    refuses("49546986683135544286507457936321625675700192471156785170"); /* shard 1 in one place */
    /* The first known + 2^72, + 2^79: bits that must be 0 */
    refuses("49546986683135544286507457936321630398066675340801998850");
    refuses("49546986683135544286507457936322230138609999785744138242");
    /* The first known + 2^143: the counter's top bit; + 2^180: created_s, + 2^68: time_s over 32 bits */
    refuses("49546986683146694659106723247892393534836516651909775362");
    refuses("51079482224001433144865804963471934859318931593340387330");
    refuses("49546986683135544286507457936321625970848097650509611010");
}

static void every_changed_digit_is_refused_or_means_something_else(void **state)
{
    (void)state;
    for (size_t at = 0; at < MR_SEQUENCE_TEXT_BYTES - 1; at++)
        for (char digit = '0'; digit <= '9'; digit++) {
            char text[MR_SEQUENCE_TEXT_BYTES], again[MR_SEQUENCE_TEXT_BYTES];
            mr_sequence read;
            memcpy(text, known[0].text, sizeof text);
            text[at] = digit;
            if (mr_sequence_parse(text, &read, NULL) == MR_OK) {
                mr_sequence_format(&read, again);
                assert_string_equal(text, again);
            }
        }
}

static void writes_shards_as_aws_does(void **state)
{
    char text[MR_SHARD_TEXT_BYTES];

    (void)state;
    mr_shard_format(7, text);
    assert_string_equal(text, "shardId-000000000007");
    mr_shard_format(INT32_MAX, text);
    assert_string_equal(text, "shardId-002147483647");
    mr_shard_format(MR_NO_SHARD, text);
    assert_string_equal(text, "shardId-004294967295");
}

static void reads_shards_as_aws_does(void **state)
{
    static const struct {
        const char *text;
        mr_shard_id shard;
    } shards[] = {
        {"shardId-000000000007", 7},
        {"shardId-7", 7},
        {"7", 7},
        {"0", 0},
        {"x-0", 0},
        {"-3", 3},
        {"000012", 12},
        {"2147483647", INT32_MAX},
        {"shardId-002147483647", INT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof shards / sizeof shards[0]; i++) {
        mr_shard_id shard = 99;
        assert_int_equal(mr_shard_parse(shards[i].text, &shard, NULL), MR_OK);
        assert_int_equal(shard, shards[i].shard);
    }
}

static void refuses_other_shards(void **state)
{
    static const char *const refused[] = {
        "",
        "-",
        "shardId-",
        "shardId",
        "shardId--7",
        "shardId-7-8",
        "a-b-7",
        "7a",
        "0x7",
        "+7",
        " 7",
        "7 ",
        "7.0",
        "/",
        ":",
        "shardId-2147483648",
        "4294967295",
        "4294967303",
        "18446744073709551623",
        "٧",
    };

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        mr_shard_id shard = 99;
        mr_error error = {0};
        assert_int_equal(mr_shard_parse(refused[i], &shard, &error), MR_INVALID);
        assert_int_equal(error.status, MR_INVALID);
        assert_non_null(strstr(error.message, "0 to 2147483647"));
        assert_int_equal(shard, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_layout_of_aws),
        cmocka_unit_test(reads_the_layout_of_aws),
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(writes_what_long_arithmetic_writes),
        cmocka_unit_test(writes_every_number_in_a_row),
        cmocka_unit_test(texts_of_a_shard_sort_by_number),
        cmocka_unit_test(refuses_what_is_not_56_digits),
        cmocka_unit_test(refuses_what_would_not_come_back),
        cmocka_unit_test(every_changed_digit_is_refused_or_means_something_else),
        cmocka_unit_test(writes_shards_as_aws_does),
        cmocka_unit_test(reads_shards_as_aws_does),
        cmocka_unit_test(refuses_other_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
