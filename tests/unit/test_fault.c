/* Rules of faults: what they say, what they cannot say, and whose turn it is. */
#include "server/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static mr_error error;

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static mr_status read_rule(const char *text, struct mr_fault_rule *rule)
{
    return mr_fault_rule_read(bytes_of(text), rule, &error);
}

static void reads_all_that_a_rule_may_say(void **state)
{
    struct mr_fault_rule rule;
    (void)state;

    assert_int_equal(read_rule("operation=PutRecord,stream=orders,every=3,count=7,delay=1.5s,"
                               "error=ProvisionedThroughputExceededException",
                               &rule),
                     MR_OK);
    assert_int_equal(rule.action, MR_ACTION_PUT_RECORD);
    assert_string_equal(rule.stream, "orders");
    assert_int_equal(rule.every, 3);
    assert_int_equal(rule.count, 7);
    assert_int_equal(rule.delay_ms, 1500);
    assert_int_equal(rule.error, MR_EXCEPTION_THROUGHPUT_EXCEEDED);
    assert_int_equal(read_rule("probability=25%,error=InternalFailure", &rule), MR_OK);
    assert_int_equal(rule.action, MR_ACTION_COUNT);
    assert_true(rule.probability == 0.25);
    assert_int_equal(rule.error, MR_EXCEPTION_INTERNAL_FAILURE);
    assert_int_equal(read_rule("disconnect=after", &rule), MR_OK);
    assert_int_equal(rule.cut, MR_FAULT_CUT_AFTER);
}

static void refuses_what_makes_no_sense(void **state)
{
    static const char *const bad[][2] = {
        {"", "no part of a rule"},
        {"every=3", "what happens"},
        {"delay", "name=value"},
        {"delay=", "name=value"},
        {"delay=x", "span of time"},
        {"delay=2h", "span of time"},
        {"every=0,delay=1s", "from 1 on"},
        {"probability=101%,delay=1s", "probability"},
        {"error=Nonsense", "no error"},
        {"error=LimitExceded", "did you mean LimitExceeded?"},
        {"operation=PutRecrd,delay=1s", "did you mean PutRecord"},
        {"disconnect=never", "before or after"},
        {"disconnect=after,error=InternalFailure", "contradicts"},
        {"what=ever", "no 'what'"},
        {"delay=1s\x01", "ASCII"},
    };
    struct mr_fault_rule rule;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_rule(bad[i][0], &rule), MR_INVALID);
        if (!strstr(error.message, bad[i][1]))
            fail_msg("'%s' is refused by '%s'", bad[i][0], error.message);
    }
}

static unsigned hits(struct mr_faults *faults, enum mr_action action, const char *stream,
                     unsigned count)
{
    struct mr_fault_rule rule;
    unsigned hit_count = 0;

    while (count-- > 0)
        hit_count += mr_faults_hit(faults, action, stream, &rule);
    return hit_count;
}

static void takes_turns(void **state)
{
    struct mr_faults *faults = mr_faults_new(1);
    (void)state;

    assert_false(mr_faults_are_set(faults));
    assert_int_equal(mr_faults_set(faults,
                                   bytes_of("operation=PutRecord,every=3,delay=1s\r\n\n"
                                            "stream=a,count=2,error=InternalFailure\n"
                                            "stream=b,probability=10%,disconnect=before"),
                                   NULL),
                     MR_OK);
    assert_true(mr_faults_are_set(faults));
    assert_int_equal(hits(faults, MR_ACTION_PUT_RECORD, "x", 9), 3);
    assert_int_equal(hits(faults, MR_ACTION_GET_RECORDS, "x", 9), 0);
    assert_int_equal(hits(faults, MR_ACTION_GET_RECORDS, "a", 9), 2);
    assert_in_range(hits(faults, MR_ACTION_GET_RECORDS, "b", 10000), 850, 1150);
    assert_int_equal(mr_faults_set(faults, bytes_of("delay=1s\nevery=1"), NULL), MR_INVALID);
    assert_int_equal(hits(faults, MR_ACTION_PUT_RECORD, "x", 9), 3); /* all is as it was */
    assert_int_equal(mr_faults_set(faults, bytes_of(""), NULL), MR_OK);
    assert_false(mr_faults_are_set(faults));
    mr_faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(reads_all_that_a_rule_may_say),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(takes_turns),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
