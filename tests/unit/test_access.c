/* Policies: which documents are understood, and what they say of a question. */
#include "service/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ACCOUNT "123456789012"
#define ALICE "arn:aws:iam::" ACCOUNT ":user/alice"
#define STREAM "arn:aws:kinesis:us-east-1:" ACCOUNT ":stream/orders"
#define CONSUMER STREAM "/consumer/reports:1700000000"
#define PUT "kinesis:PutRecord"

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static enum mr_opinion ask(enum mr_policy_kind kind, const char *document, const char *action,
                           const char *resource, const char *caller)
{
    const struct mr_policy_question question = {bytes_of(action), bytes_of(resource),
                                                bytes_of(caller), bytes_of(ACCOUNT)};
    struct mr_policy *policy;
    enum mr_opinion opinion;
    mr_error error;

    if (mr_policy_read(&policy, kind, bytes_of(document), &error))
        fail_msg("%s\nis refused: %s", document, error.message);
    opinion = mr_policy_ask(policy, &question);
    mr_policy_free(policy);
    return opinion;
}

/* ---- of a user ---------------------------------------------------------------------------- */

#define ONE(members) "{\"Version\":\"2012-10-17\",\"Statement\":{" members "}}"
#define ALLOW(action, resource) "\"Effect\":\"Allow\",\"Action\":" action ",\"Resource\":" resource
#define DENY(action, resource) "\"Effect\":\"Deny\",\"Action\":" action ",\"Resource\":" resource
#define TWO(first, second) "{\"Version\":\"2012-10-17\",\"Statement\":[{" first "},{" second "}]}"

static const struct {
    const char *document, *action, *resource;
    enum mr_opinion opinion;
} asked[] = {
    {"{\"Statement\":[]}", PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"*\"", "\"*\"")), "kinesis:ListStreams", "*", MR_OPINION_ALLOW},
    {ONE(ALLOW("\"kinesis:*\"", "\"" STREAM "\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"kinesis:*\"", "\"" STREAM "\"")), "kinesis:ListStreams", "*", MR_OPINION_NONE},
    /* actions: in any case, whole, with wildcards */
    {ONE(ALLOW("\"KINESIS:putrecord\"", "\"*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"kinesis:PutRecord\"", "\"*\"")), "kinesis:PutRecords", STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"kinesis:PutRecords\"", "\"*\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"kinesis:Put*\"", "\"*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"kinesis:Put?ecord\"", "\"*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"kinesis:Put??cord?\"", "\"*\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*:PutRecord\"", "\"*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"kinesis:*Record\"", "\"*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"kinesis:*Rec*Rec*\"", "\"*\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"s3:*\"", "\"*\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"inesis:*\"", "\"*\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("[\"s3:*\",\"kinesis:Put*\"]", "\"*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("[]", "\"*\"")), PUT, STREAM, MR_OPINION_NONE},
    /* resources: exactly, and wildcards within their parts */
    {ONE(ALLOW("\"*\"", "\"" STREAM "*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"*\"", "\"" STREAM "?\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:*:*:stream/orders\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"*\"", "\"arn:*:kinesis:*:*:*\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:*:*:stream/Orders\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:*:*:stream/order\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:*:*:stream/o*s\"")), PUT, STREAM, MR_OPINION_ALLOW},
    {ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:us-west-2:*:stream/*\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:us-east-1:999999999999:stream/*\"")), PUT, STREAM,
     MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"arn:aws:s3:*:*:stream/orders\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"arn:aws:*:stream/orders:*:*\"")), PUT, STREAM, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"" STREAM "\"")), "kinesis:SubscribeToShard", CONSUMER, MR_OPINION_NONE},
    {ONE(ALLOW("\"*\"", "\"" STREAM "/consumer/*\"")), "kinesis:SubscribeToShard", CONSUMER,
     MR_OPINION_ALLOW},
    {ONE(ALLOW("\"*\"", "\"" STREAM "/consumer/reports:*\"")), "kinesis:SubscribeToShard", CONSUMER,
     MR_OPINION_ALLOW},
    {ONE(ALLOW("\"*\"", "[\"" STREAM "x\",\"" STREAM "\"]")), PUT, STREAM, MR_OPINION_ALLOW},
    /* a deny wins, wherever it stands */
    {TWO(ALLOW("\"*\"", "\"*\""), DENY("\"kinesis:Put*\"", "\"*\"")), PUT, STREAM, MR_OPINION_DENY},
    {TWO(DENY("\"kinesis:Put*\"", "\"*\""), ALLOW("\"*\"", "\"*\"")), PUT, STREAM, MR_OPINION_DENY},
    {TWO(ALLOW("\"*\"", "\"*\""), DENY("\"kinesis:Get*\"", "\"*\"")), PUT, STREAM,
     MR_OPINION_ALLOW},
    {TWO(ALLOW("\"*\"", "\"*\""), DENY("\"*\"", "\"" STREAM "x\"")), PUT, STREAM, MR_OPINION_ALLOW},
    /* negated */
    {ONE("\"Effect\":\"Allow\",\"NotAction\":\"kinesis:Delete*\",\"Resource\":\"*\""), PUT, STREAM,
     MR_OPINION_ALLOW},
    {ONE("\"Effect\":\"Allow\",\"NotAction\":\"kinesis:Put*\",\"Resource\":\"*\""), PUT, STREAM,
     MR_OPINION_NONE},
    {ONE("\"Effect\":\"Deny\",\"Action\":\"*\",\"NotResource\":\"" STREAM "\""), PUT, STREAM,
     MR_OPINION_NONE},
    {ONE("\"Effect\":\"Deny\",\"Action\":\"*\",\"NotResource\":\"" STREAM "x\""), PUT, STREAM,
     MR_OPINION_DENY},
    /* what cannot be judged is against the caller */
    {ONE(ALLOW("\"*\"", "\"*\"") ",\"Condition\":{\"Bool\":{\"a\":\"true\"}}"), PUT, STREAM,
     MR_OPINION_NONE},
    {ONE(DENY("\"*\"", "\"*\"") ",\"Condition\":{\"Bool\":{\"a\":\"true\"}}"), PUT, STREAM,
     MR_OPINION_DENY},
    /* the document itself */
    {"{\"Version\":\"2008-10-17\",\"Id\":\"x\",\"Statement\":{\"Sid\":\"1\"," ALLOW("\"*\"",
                                                                                    "\"*\"") "}}",
     PUT, STREAM, MR_OPINION_ALLOW},
    {"{\"Statement\":{\"Effect\":\"\\u0041llow\",\"Action\":\"kinesis:\\u0050ut*\","
     "\"Resource\":\"*\"}}",
     PUT, STREAM, MR_OPINION_ALLOW},
};

static void a_user_may_what_his_policies_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        enum mr_opinion opinion =
            ask(MR_POLICY_IDENTITY, asked[i].document, asked[i].action, asked[i].resource, ALICE);

        if (opinion != asked[i].opinion)
            fail_msg("%s\nsays %d, not %d, of %s on %s", asked[i].document, (int)opinion,
                     (int)asked[i].opinion, asked[i].action, asked[i].resource);
    }
}

/* ---- of a resource ------------------------------------------------------------------------ */

#define FOR(principal) ONE(ALLOW("\"*\"", "\"*\"") ",\"Principal\":" principal)
#define AGAINST(principal) ONE(DENY("\"*\"", "\"*\"") ",\"Principal\":" principal)

static const struct {
    const char *document;
    enum mr_opinion opinion; /* of Alice */
} principals[] = {
    {FOR("\"*\""), MR_OPINION_ALLOW},
    {FOR("{\"AWS\":\"*\"}"), MR_OPINION_ALLOW},
    {FOR("{\"AWS\":\"" ALICE "\"}"), MR_OPINION_ALLOW},
    {FOR("{\"AWS\":[\"" ALICE "x\",\"" ALICE "\"]}"), MR_OPINION_ALLOW},
    {FOR("{\"AWS\":\"" ACCOUNT "\"}"), MR_OPINION_ALLOW_ACCOUNT},
    {FOR("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":root\"}"), MR_OPINION_ALLOW_ACCOUNT},
    {AGAINST("{\"AWS\":\"" ACCOUNT "\"}"), MR_OPINION_DENY},
    {AGAINST("{\"AWS\":\"" ALICE "\"}"), MR_OPINION_DENY},
    /* those that almost match */
    {FOR("{\"AWS\":\"" ALICE "x\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":user/alic\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":user/Alice\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":role/alice\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":rootx\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"arn:aws:iam::023456789012:user/alice\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"arn:aws:iam::023456789012:root\"}"), MR_OPINION_NONE},
    {FOR("{\"AWS\":\"023456789012\"}"), MR_OPINION_NONE},
    {FOR("{\"Service\":\"" ALICE "\"}"), MR_OPINION_NONE},
    {FOR("{\"Federated\":\"*\"}"), MR_OPINION_NONE},
    {AGAINST("{\"AWS\":\"" ALICE "x\"}"), MR_OPINION_NONE},
    /* whom they spare is not judged */
    {ONE(ALLOW("\"*\"", "\"*\"") ",\"NotPrincipal\":{\"AWS\":\"" ALICE "\"}"), MR_OPINION_NONE},
    {ONE(DENY("\"*\"", "\"*\"") ",\"NotPrincipal\":{\"AWS\":\"" ALICE "\"}"), MR_OPINION_DENY},
    {ONE(DENY("\"*\"", "\"*\"") ",\"Principal\":{\"Service\":\"x\"},\"Condition\":{}"),
     MR_OPINION_NONE},
};

static void a_resource_says_who_may(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof principals / sizeof *principals; i++) {
        enum mr_opinion opinion =
            ask(MR_POLICY_RESOURCE, principals[i].document, PUT, STREAM, ALICE);

        if (opinion != principals[i].opinion)
            fail_msg("%s\nsays %d, not %d", principals[i].document, (int)opinion,
                     (int)principals[i].opinion);
    }
}

/* ---- what is none ------------------------------------------------------------------------- */

static const char *const malformed[] = {
    "",
    "x",
    "[]",
    "null",
    "{}",
    "{\"Statement\":[]} x",
    "{\"Statement\":[]}{}",
    "{\"Statement\":[],\"Statement\":[]}",
    "{\"statement\":[]}",
    "{\"Statement\":[],\"Other\":1}",
    "{\"Statement\":null}",
    "{\"Statement\":\"x\"}",
    "{\"Statement\":[[]]}",
    "{\"Statement\":[{}]}",
    "{\"Version\":\"2012-10-18\",\"Statement\":[]}",
    "{\"Version\":2012,\"Statement\":[]}",
    "{\"Version\":\"2012-10-17\",\"Version\":\"2012-10-17\",\"Statement\":[]}",
    ONE("\"Effect\":\"allow\",\"Action\":\"*\",\"Resource\":\"*\""),
    ONE("\"Effect\":\"Allowed\",\"Action\":\"*\",\"Resource\":\"*\""),
    ONE("\"Effect\":[\"Allow\"],\"Action\":\"*\",\"Resource\":\"*\""),
    ONE("\"Action\":\"*\",\"Resource\":\"*\""),
    ONE("\"Effect\":\"Allow\",\"Resource\":\"*\""),
    ONE("\"Effect\":\"Allow\",\"Action\":\"*\""),
    ONE("\"Effect\":\"Allow\",\"Action\":\"*\",\"NotAction\":\"*\",\"Resource\":\"*\""),
    ONE("\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"NotResource\":\"*\""),
    ONE("\"Effect\":\"Allow\",\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\""),
    ONE("\"Effect\":\"Deny\",\"Action\":\"x:y\",\"Action\":\"*\",\"Resource\":\"*\""),
    ONE("\"effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\""),
    ONE(ALLOW("\"PutRecord\"", "\"*\"")),
    ONE(ALLOW("\"kinesis:\"", "\"*\"")),
    ONE(ALLOW("\":PutRecord\"", "\"*\"")),
    ONE(ALLOW("\"\"", "\"*\"")),
    ONE(ALLOW("1", "\"*\"")),
    ONE(ALLOW("{}", "\"*\"")),
    ONE(ALLOW("[[\"*\"]]", "\"*\"")),
    ONE(ALLOW("\"*\"", "\"orders\"")),
    ONE(ALLOW("\"*\"", "\"\"")),
    ONE(ALLOW("\"*\"", "\"**\"")),
    ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:*\"")),
    ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:*:*\"")),
    ONE(ALLOW("\"*\"", "\"*:aws:kinesis:*:*:stream/x\"")),
    ONE(ALLOW("\"*\"", "\"arn:aws:kinesis:*:*:stream/${aws:username}\"")),
    ONE(ALLOW("\"*\"", "null")),
    ONE(ALLOW("\"*\"", "\"*\"") ",\"Condition\":[]"),
    ONE(ALLOW("\"*\"", "\"*\"") ",\"Condition\":\"x\""),
    ONE(ALLOW("\"*\"", "\"*\"") ",\"Sid\":1"),
    ONE(ALLOW("\"*\"", "\"*\"") ","),
};

static void is_refused(enum mr_policy_kind kind, const char *document)
{
    struct mr_policy *policy;
    mr_error error;

    if (!mr_policy_read(&policy, kind, bytes_of(document), &error))
        fail_msg("%s\nis taken", document);
    assert_int_equal(error.status, MR_INVALID);
    assert_non_null(strstr(error.message, "the policy is wrong near byte "));
}

static void what_is_no_policy_is_refused(void **state)
{
    static const char *const principals_refused[] = {
        ONE(ALLOW("\"*\"", "\"*\"")), /* has none */
        FOR("\"" ALICE "\""),
        FOR("[\"*\"]"),
        FOR("null"),
        FOR("{\"aws\":\"*\"}"),
        FOR("{\"AWS\":\"alice\"}"),
        FOR("{\"AWS\":\"arn:aws:iam::" ACCOUNT ":user/*\"}"),
        FOR("{\"AWS\":\"arn:aws:iam::*:root\"}"),
        FOR("{\"AWS\":\"1234\"}"),
        FOR("{\"AWS\":1}"),
        FOR("\"*\",\"NotPrincipal\":\"*\""),
    };

    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        is_refused(MR_POLICY_IDENTITY, malformed[i]);
        is_refused(MR_POLICY_RESOURCE, malformed[i]);
    }
    for (size_t i = 0; i < sizeof principals_refused / sizeof *principals_refused; i++)
        is_refused(MR_POLICY_RESOURCE, principals_refused[i]);
    is_refused(MR_POLICY_IDENTITY, FOR("\"*\"")); /* a user's is about that user */
}

/* Every cut of a good one is refused, and does no harm. */
static void no_part_of_a_policy_is_one(void **state)
{
    static const char whole[] =
        TWO(ALLOW("[\"kinesis:*\"]", "\"" STREAM "\""), DENY("\"kinesis:Delete*\"", "[\"*\"]"));
    char part[sizeof whole];

    (void)state;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        memcpy(part, whole, size);
        part[size] = 0;
        is_refused(MR_POLICY_IDENTITY, part);
    }
}

static void wildcards_take_no_longer_than_they_must(void **state)
{
    char document[2000] = "", action[1200] = "kinesis:";

    (void)state;
    snprintf(document, sizeof document,
             "{\"Statement\":{\"Effect\":\"Allow\",\"Resource\":\"*\",\"Action\":\"kinesis:");
    for (int i = 0; i < 300; i++)
        strcat(document, "*a");
    strcat(document, "b\"}}");
    memset(action + 8, 'a', 1000);
    action[1008] = 0;
    assert_int_equal(ask(MR_POLICY_IDENTITY, document, action, STREAM, ALICE), MR_OPINION_NONE);
    action[1007] = 'b';
    assert_int_equal(ask(MR_POLICY_IDENTITY, document, action, STREAM, ALICE), MR_OPINION_ALLOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_may_what_his_policies_say),
        cmocka_unit_test(a_resource_says_who_may),
        cmocka_unit_test(what_is_no_policy_is_refused),
        cmocka_unit_test(no_part_of_a_policy_is_one),
        cmocka_unit_test(wildcards_take_no_longer_than_they_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
