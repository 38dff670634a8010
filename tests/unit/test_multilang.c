/*
 * The MultiLangDaemon protocol's lines as the KCL's kits read and write them, the children that speak it,
 * and its properties files.
 */
#include "../../tools/multilang/child.h"
#include "../../tools/multilang/message.h"
#include "../../tools/multilang/properties.h"

#include "base/memory.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NUMBER "49680464036648610206058223061808377805466270053175394306"

/* ---- messages ----------------------------------------------------------------------------- */

static struct mr_said read_line(const char *line)
{
    struct mr_said said;

    mr_message_read((mr_bytes){line, strlen(line)}, &said);
    return said;
}

static void tells_what_the_kcl_tells(void **state)
{
    struct mr_json_line line = MR_JSON_LINE;
    mr_consumer_record record = {
        .partition_key = {"a\"b", 3}, .data = {"hello", 5}, .arrival_ms = 1476889707000};
    static const char wanted[] =
        "{\"action\":\"initialize\",\"shardId\":\"shardId-000000000007\",\"sequenceNumber\":"
        "\"TRIM_HORIZON\",\"subSequenceNumber\":0}"
        "{\"action\":\"processRecords\",\"millisBehindLatest\":12,\"records\":[{\"action\":"
        "\"record\","
        "\"data\":\"aGVsbG8=\",\"partitionKey\":\"a\\\"b\",\"sequenceNumber\":\"" NUMBER
        "\",\"subSequenceNumber\":3,\"approximateArrivalTimestamp\":1476889707000}]}"
        "{\"action\":\"shardEnded\"}";

    (void)state;
    assert_int_equal(mr_mark_parse(NUMBER, 3, &record.mark, NULL), MR_OK);
    mr_message_initialize(&line, 7, &(mr_mark){.kind = MR_MARK_TRIM_HORIZON});
    line.comma = false;
    mr_message_records(&line, &record, 1, 12);
    line.comma = false;
    mr_message_plain(&line, MR_TOLD_SHARD_ENDED);
    assert_int_equal(line.pack.size, sizeof wanted - 1);
    assert_memory_equal(line.pack.data, wanted, sizeof wanted - 1);
    mr_pack_fini(&line.pack);
}

static void reads_what_kits_say(void **state)
{
    char text[MR_MARK_TEXT_BYTES];
    struct mr_said said;

    (void)state;
    said = read_line("{\"action\": \"status\", \"responseFor\": \"processRecords\"}");
    assert_int_equal(said.kind, MR_SAID_STATUS);
    assert_string_equal(said.response_for, "processRecords");

    said = read_line("{\"sequenceNumber\":\"" NUMBER
                     "\",\"action\":\"checkpoint\",\"subSequenceNumber\":7}");
    assert_int_equal(said.kind, MR_SAID_CHECKPOINT);
    assert_true(said.has_mark && said.is_mark_valid);
    mr_mark_format(&said.mark, text);
    assert_string_equal(text, NUMBER);
    assert_int_equal(said.mark.sub_sequence, 7);

    /* as aws-kcl says it: without a sub-sequence number, and without any */
    said = read_line("{\"action\":\"checkpoint\",\"sequenceNumber\":\"" NUMBER "\"}");
    assert_true(said.has_mark && said.is_mark_valid);
    said = read_line("{\"action\":\"checkpoint\"}");
    assert_int_equal(said.kind, MR_SAID_CHECKPOINT);
    assert_false(said.has_mark);
    said =
        read_line("{\"action\":\"checkpoint\",\"sequenceNumber\":null,\"subSequenceNumber\":null}");
    assert_false(said.has_mark);
}

static void no_place_is_refused(void **state)
{
    static const char *const places[] = {"\"SHARD_END\"",
                                         "\"LATEST\"",
                                         "\"\"",
                                         "\"12x\"",
                                         "-1",
                                         "true",
                                         "[1]",
                                         "1e9",
                                         "\"" NUMBER NUMBER "\"",
                                         "\"" NUMBER "\",\"subSequenceNumber\":-1",
                                         "\"" NUMBER
                                         "\",\"subSequenceNumber\":99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char line[300];
        struct mr_said said;

        snprintf(line, sizeof line, "{\"action\":\"checkpoint\",\"sequenceNumber\":%s}", places[i]);
        said = read_line(line);
        if (said.kind != MR_SAID_CHECKPOINT || !said.has_mark || said.is_mark_valid)
            fail_msg("taken: %s", line);
    }
}

static void nonsense_is_no_message(void **state)
{
    static const char *const lines[] = {"",
                                        "hello",
                                        "{",
                                        "[]",
                                        "null",
                                        "{\"action\":\"status\"} x",
                                        "{\"action\":7}",
                                        "{\"action\":\"dance\"}",
                                        "{\"action\":\"status\",}",
                                        "{\"responseFor\":\"initialize\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (read_line(lines[i]).kind != MR_SAID_NOTHING)
            fail_msg("taken: %s", lines[i]);
    assert_string_equal(
        read_line(
            "{\"action\":\"status\",\"responseFor\":\"a name that is longer than all of them\"}")
            .response_for,
        "");
}

/* ---- children ----------------------------------------------------------------------------- */

static struct mr_curfew curfew;

static struct mr_child *child_of(const char *script)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)script,
                    NULL};
    struct mr_child *child;
    mr_error error;

    if (mr_child_start(&child, argv, &curfew, &error))
        fail_msg("%s", error.message);
    return child;
}

static uint64_t in_ms(uint64_t ms)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock) + ms * 1000000;
}

static void end(struct mr_child *child, uint32_t grace_ms, const char *wanted)
{
    char text[MR_CHILD_END_BYTES];

    mr_child_end(child, grace_ms, text);
    assert_string_equal(text, wanted);
}

static void lines_come_as_they_are_said(void **state)
{
    struct mr_child *child =
        child_of("printf 'one\\n\\nthree\\nrest'; read line; echo \" $line\"; exit 7");
    static const char *const wanted[] = {"one", "", "three", "rest you"};
    mr_bytes line;
    mr_error error;

    (void)state;
    assert_int_equal(mr_child_write(child, (mr_bytes){"you\n", 4}, in_ms(60000), &error), MR_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(mr_child_read(child, &line, in_ms(60000), &error), MR_OK);
        assert_int_equal(line.size, strlen(wanted[i]));
        assert_memory_equal(line.data, wanted[i], line.size);
    }
    assert_int_equal(mr_child_read(child, &line, in_ms(60000), &error), MR_CLOSED);
    end(child, 60000, "exited with 7");
}

/* Both pipes are full at once: neither side may wait for the other. */
static void a_child_may_talk_while_it_is_told(void **state)
{
    struct mr_child *child = child_of("exec cat");
    size_t size = (size_t)1 << 20;
    char *bytes = mr_alloc(size);
    mr_bytes line;
    mr_error error;

    (void)state;
    memset(bytes, 'x', size);
    for (size_t i = 999; i < size; i += 1000)
        bytes[i] = '\n';
    bytes[size - 1] = '\n';
    assert_int_equal(mr_child_write(child, (mr_bytes){bytes, size}, in_ms(60000), &error), MR_OK);
    for (size_t i = 0; i < size / 1000; i++) {
        assert_int_equal(mr_child_read(child, &line, in_ms(60000), &error), MR_OK);
        assert_int_equal(line.size, 999);
    }
    end(child, 60000, "exited with 0");
    mr_free(bytes);
}

static void a_line_without_an_end_is_cut(void **state)
{
    struct mr_child *child = child_of("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next");
    mr_bytes line;
    mr_error error;

    (void)state;
    assert_int_equal(mr_child_read(child, &line, in_ms(60000), &error), MR_OK);
    assert_int_equal(line.size, MR_CHILD_LINE_BYTES);
    assert_int_equal(mr_child_read(child, &line, in_ms(60000), &error), MR_OK);
    assert_int_equal(line.size, 4);
    end(child, 60000, "exited with 0");
}

static void whoever_does_not_answer_is_given_up(void **state)
{
    struct mr_child *child = child_of("trap '' TERM; while :; do sleep 60; done");
    struct mr_curfew soon;
    mr_bytes line;
    mr_error error;

    (void)state;
    assert_int_equal(mr_child_read(child, &line, in_ms(20), &error), MR_TIMEOUT);
    end(child, 0, "killed by signal 9");

    child = child_of("sleep 60");
    mr_child_end(child, 0, NULL);
    assert_int_equal(mr_curfew_init(&soon, &error), MR_OK);
    mr_curfew_set(&soon, in_ms(20));
    {
        char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "60", NULL};

        assert_int_equal(mr_child_start(&child, argv, &soon, &error), MR_OK);
    }
    assert_int_equal(mr_child_read(child, &line, UINT64_MAX, &error), MR_TIMEOUT);
    assert_non_null(strstr(error.message, "when all had to end"));
    mr_child_end(child, 0, NULL);
    mr_curfew_fini(&soon);
}

static void a_program_that_is_not_there_is_named(void **state)
{
    char *argv[] = {(char *)(uintptr_t) "./no-such-program", NULL};
    struct mr_child *child;
    mr_error error;

    (void)state;
    assert_int_equal(mr_child_start(&child, argv, &curfew, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.message, "./no-such-program"));
}

/* ---- properties --------------------------------------------------------------------------- */

static char told[4000];

static void hear(void *context, unsigned line, bool is_fault, const char *text)
{
    size_t used = strlen(told);

    (void)context;
    snprintf(told + used, sizeof told - used, "%u%s %s\n", line, is_fault ? "!" : ":", text);
}

static mr_status read_properties(struct mr_kcl_properties *properties, const char *text)
{
    told[0] = 0;
    *properties = (struct mr_kcl_properties){.stream = ""};
    return mr_kcl_properties_read(properties, (mr_bytes){text, strlen(text)}, hear, NULL, NULL);
}

#define LEAST "executableName=x\nstreamName=s\napplicationName=a\n"

static void what_is_complete_says_nothing(void **state)
{
    struct mr_kcl_properties properties;

    (void)state;
    assert_int_equal(read_properties(&properties, LEAST "workerId =\nmetricsLevel=NONE\n"), MR_OK);
    assert_string_equal(told, "");
    assert_string_equal(properties.stream, "s");
    assert_null(properties.values[MR_KEY_WORKER]);
    assert_int_equal(properties.from.start, MR_START_LATEST); /* as the KCL */
    mr_kcl_properties_fini(&properties);
}

static void java_s_syntax_is_read(void **state)
{
    static const char text[] =
        "  # comment\\\n! another\r\n\r\n executableName : python3 \\\r\n    app.py \t\n"
        "streamName s\rapplicationName\\\n = caf\\u00e9 \\ud83d\\ude00\\:\\t\n";
    struct mr_kcl_properties properties;

    (void)state;
    assert_int_equal(read_properties(&properties, text), MR_OK);
    assert_string_equal(told, "");
    assert_string_equal(properties.values[MR_KEY_EXECUTABLE], "python3 app.py");
    assert_string_equal(properties.stream, "s");
    assert_string_equal(properties.values[MR_KEY_APPLICATION], "caf\xc3\xa9 \xf0\x9f\x98\x80:");
    mr_kcl_properties_fini(&properties);
}

static void contradictions_have_their_line(void **state)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {LEAST "streamArn=arn:aws:kinesis:eu-west-3:000000000000:stream/t\n",
         "4: streamName is another"},
        {LEAST "regionName=x\nstreamArn=arn:aws:kinesis:y:0:stream/s\n",
         "5: regionName is another"},
        {LEAST "streamArn=arn:aws:s3:::s\n", "4! streamArn is none"},
        {LEAST "initialPositionInStream=AT_TIMESTAMP\n", "4! AT_TIMESTAMP needs"},
        {LEAST "initialPositionInStream=LATEST\ninitialPositionInStreamExtended=1\n", "5: initial"},
        {LEAST "initialPositionInStream=latest\n", "4! initialPositionInStream is"},
        {LEAST "retrievalMode=POLLING\nfanoutConfig.consumerName=c\n",
         "4: retrievalMode is POLLING"},
        {LEAST "isGracefulLeaseHandoffEnabled=false\ngracefulLeaseHandoffTimeoutMillis=1\n",
         "5: isGraceful"},
        {LEAST "workerId=a\nworkerIdentifier=b\n", "5: workerIdentifier was 'a' in line 4"},
        {LEAST "AwsCredentialsProvider=StsAssumeRoleCredentialsProvider|arn\n", "4: StsAssumeRole"},
        {LEAST "maxRecords=10001\n", "4! maxRecords is a number from 1 to 10000"},
        {LEAST "callProcessRecordsEvenForEmptyRecordList=1\n", "4! callProcess"},
        {LEAST "fialoverTimeMillis=1\n",
         "4: unknown key fialoverTimeMillis, passed over: did you mean failover"},
        {LEAST "nothingLikeIt=1\n", "4: unknown key nothingLikeIt, passed over\n"},
        {LEAST "=x\n", "4! a value without a key"},
        {"streamName=s\napplicationName=a\n", "0! executableName is missing"},
        {"executableName=x\n", "0! streamName or streamArn is missing"},
    };
    struct mr_kcl_properties properties;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_status status = read_properties(&properties, cases[i].text);

        if (!strstr(told, cases[i].wanted))
            fail_msg("'%s' is not told of: %s", cases[i].wanted, told);
        assert_int_equal(status, strchr(told, '!') ? MR_INVALID : MR_OK);
        mr_kcl_properties_fini(&properties);
    }
}

static void an_arn_names_stream_region_and_consumer(void **state)
{
    struct mr_kcl_properties properties;

    (void)state;
    assert_int_equal(
        read_properties(
            &properties,
            "executableName=x\napplicationName=a\nregionName=eu-west-3\n"
            "streamArn=arn:aws:kinesis:eu-west-3:000000000000:stream/t\n"
            "AwsCredentialsProvider=ProfileCredentialsProvider|work\nretrievalMode=fanout\n"
            "fanoutConfig.consumerArn=arn:aws:kinesis:eu-west-3:0:stream/t/consumer/c:17\n"),
        MR_OK);
    assert_string_equal(told, "");
    assert_string_equal(properties.stream, "t");
    assert_string_equal(properties.region, "eu-west-3");
    assert_string_equal(properties.consumer_name, "c");
    assert_string_equal(properties.profile, "work");
    assert_true(properties.is_fan_out);
    mr_kcl_properties_fini(&properties);
}

static int open_curfew(void **state)
{
    (void)state;
    return mr_curfew_init(&curfew, NULL);
}

static int close_curfew(void **state)
{
    (void)state;
    mr_curfew_fini(&curfew);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_the_kcl_tells),
        cmocka_unit_test(reads_what_kits_say),
        cmocka_unit_test(no_place_is_refused),
        cmocka_unit_test(nonsense_is_no_message),
        cmocka_unit_test(lines_come_as_they_are_said),
        cmocka_unit_test(a_child_may_talk_while_it_is_told),
        cmocka_unit_test(a_line_without_an_end_is_cut),
        cmocka_unit_test(whoever_does_not_answer_is_given_up),
        cmocka_unit_test(a_program_that_is_not_there_is_named),
        cmocka_unit_test(what_is_complete_says_nothing),
        cmocka_unit_test(java_s_syntax_is_read),
        cmocka_unit_test(contradictions_have_their_line),
        cmocka_unit_test(an_arn_names_stream_region_and_consumer),
    };

    return cmocka_run_group_tests(tests, open_curfew, close_curfew);
}
