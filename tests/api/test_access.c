/* What callers may do through the API: every resource that a request names, however it names it (K6). */
#include "base/memory.h"
#include "service/access.h"
#include "support/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ACCOUNT "000000000000"
#define ARN(stream) "arn:aws:kinesis:us-east-1:" ACCOUNT ":stream/" stream
#define ALICE "arn:aws:iam::" ACCOUNT ":user/alice"
#define ALLOW(action, resource)                                                                    \
    "{\"Effect\":\"Allow\",\"Action\":\"kinesis:" action "\",\"Resource\":\"" resource "\"}"
#define DENY(action, resource)                                                                     \
    "{\"Effect\":\"Deny\",\"Action\":\"kinesis:" action "\",\"Resource\":\"" resource "\"}"
#define POLICY(statements) "{\"Statement\":[" statements "]}"

struct world {
    struct api *api;
    struct mr_policy *policy;
    struct mr_caller caller;
    char *consumer; /* the ARN of mine's */
};

static int open_world(void **state)
{
    struct world *world = mr_new(struct world);

    world->api = api_open();
    api_must(world->api, "CreateStream", "{\"StreamName\":\"mine\",\"ShardCount\":1}");
    api_must(world->api, "CreateStream", "{\"StreamName\":\"other\",\"ShardCount\":1}");
    api_must(world->api, "RegisterStreamConsumer",
             "{\"StreamARN\":\"" ARN("mine") "\",\"ConsumerName\":\"c\"}");
    world->consumer = api_text(world->api, "ConsumerARN");
    world->caller = (struct mr_caller){.arn = {ALICE, sizeof ALICE - 1},
                                       .account = {ACCOUNT, sizeof ACCOUNT - 1},
                                       .policies = &world->policy};
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    mr_policy_free(world->policy);
    mr_free(world->consumer);
    api_close(world->api);
    mr_free(world);
    return 0;
}

/* From now on Alice calls, and this is her policy. */
static void become(struct world *world, const char *document)
{
    mr_policy_free(world->policy);
    assert_int_equal(mr_policy_read(&world->policy, MR_POLICY_IDENTITY,
                                    (mr_bytes){document, strlen(document)}, NULL),
                     MR_OK);
    world->caller.policy_count = 1;
    world->api->caller = &world->caller;
}

static void may(struct world *world, const char *action, const char *body)
{
    const char *answer = api_call(world->api, action, body);

    if (strstr(answer, "AccessDenied"))
        fail_msg("%s %s: %s", action, body, answer);
}

static void may_not(struct world *world, const char *action, const char *body)
{
    const char *answer = api_call(world->api, action, body);

    if (strncmp(answer, "AccessDeniedException: User: " ALICE " is not authorized to perform: ",
                strlen("AccessDeniedException: User: " ALICE)) != 0)
        fail_msg("%s %s: not denied, but %s", action, body, answer);
}

/* As the resource's policy. */
static void attach(struct world *world, const char *arn, const char *document)
{
    const struct mr_caller *caller = world->api->caller;
    char escaped[1500], *out = escaped;

    for (const char *at = document; *at; at++) {
        if (*at == '"')
            *out++ = '\\';
        *out++ = *at;
    }
    *out = 0;
    world->api->caller = NULL;
    api_callf(world->api, "PutResourcePolicy", "{\"ResourceARN\":\"%s\",\"Policy\":\"%s\"}", arn,
              escaped);
    assert_string_equal((const char *)world->api->text.data, "");
    world->api->caller = caller;
}

static void without_a_policy_nothing_may_be_done(void **state)
{
    struct world *world = *state;

    become(world, POLICY(""));
    world->caller.policy_count = 0;
    may_not(world, "ListStreams", "{}");
    may_not(world, "DescribeLimits", "{}");
    may_not(world, "CreateStream", "{\"StreamName\":\"new\",\"ShardCount\":1}");
    may_not(world, "PutRecord",
            "{\"StreamName\":\"mine\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}");
    may_not(world, "DeleteStream", "{\"StreamName\":\"not-there\"}");
    world->api->caller = NULL;
    api_expect_part(world->api, "ListStreams", "{}", "\"mine\",\"other\"]");
}

static void denials_are_in_the_words_of_aws(void **state)
{
    struct world *world = *state;

    become(world, POLICY(ALLOW("*", "*") "," DENY("Delete*", "*")));
    api_expect(world->api, "DeleteStream", "{\"StreamName\":\"mine\"}",
               "AccessDeniedException: User: " ALICE
               " is not authorized to perform: kinesis:DeleteStream on resource: " ARN(
                   "mine") " with an explicit deny in an identity-based policy");
    become(world, POLICY(ALLOW("Get*", "*")));
    api_expect(world->api, "PutRecord",
               "{\"StreamName\":\"mine\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}",
               "AccessDeniedException: User: " ALICE
               " is not authorized to perform: kinesis:PutRecord on resource: " ARN(
                   "mine") " because no identity-based policy allows the kinesis:PutRecord action");
    api_expect(world->api, "ListStreams", "{}",
               "AccessDeniedException: User: " ALICE " is not authorized to perform: "
               "kinesis:ListStreams on resource: * because no identity-based policy allows the "
               "kinesis:ListStreams action");
}

static void a_stream_is_the_same_by_name_and_by_arn(void **state)
{
    struct world *world = *state;
    static const char *const ways[] = {
        "StreamName\":\"",
        "StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/",
        "StreamARN\":\"arn:aws:kinesis:eu-west-1:000000000000:stream/",
        "StreamARN\":\"arn:aws:kinesis:us-east-1:999999999999:stream/",
    };
    char body[200];

    become(world, POLICY(ALLOW("*", ARN("mine"))));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(body, sizeof body, "{\"%smine\"}", ways[i]);
        may(world, "DescribeStream", body);
        may(world, "ListShards", body);
        snprintf(body, sizeof body, "{\"%sother\"}", ways[i]);
        may_not(world, "DescribeStream", body);
        may_not(world, "ListShards", body);
        snprintf(body, sizeof body, "{\"%smin\"}", ways[i]);
        may_not(world, "DescribeStream", body);
    }
    /* All that is named must be allowed. */
    may_not(world, "DescribeStream",
            "{\"StreamName\":\"mine\",\"StreamARN\":\"" ARN("other") "\"}");
    may_not(world, "DescribeStream",
            "{\"StreamName\":\"other\",\"StreamARN\":\"" ARN("mine") "\"}");
}

static void iterators_and_tokens_name_a_stream(void **state)
{
    struct world *world = *state;
    char *mine, *other, *next, body[1000];

    api_must(world->api, "GetShardIterator",
             "{\"StreamName\":\"mine\",\"ShardId\":\"0\",\"ShardIteratorType\":\"LATEST\"}");
    mine = api_text(world->api, "ShardIterator");
    api_must(world->api, "GetShardIterator",
             "{\"StreamName\":\"other\",\"ShardId\":\"0\",\"ShardIteratorType\":\"LATEST\"}");
    other = api_text(world->api, "ShardIterator");
    api_must(world->api, "SplitShard",
             "{\"StreamName\":\"other\",\"ShardToSplit\":\"0\",\"NewStartingHashKey\":\"5\"}");
    api_must(world->api, "ListShards", "{\"StreamName\":\"other\",\"MaxResults\":1}");
    next = api_text(world->api, "NextToken");

    become(world, POLICY(ALLOW("*", ARN("mine"))));
    snprintf(body, sizeof body, "{\"ShardIterator\":\"%s\"}", mine);
    may(world, "GetRecords", body);
    snprintf(body, sizeof body, "{\"ShardIterator\":\"%s\"}", other);
    may_not(world, "GetRecords", body);
    snprintf(body, sizeof body, "{\"NextToken\":\"%s\"}", next);
    may_not(world, "ListShards", body);
    /* What is no token is refused as that. */
    api_expect(world->api, "GetRecords", "{\"ShardIterator\":\"AAAA\"}",
               "InvalidArgumentException: Invalid ShardIterator.");
    mr_free(mine);
    mr_free(other);
    mr_free(next);
}

static void a_consumer_is_the_same_by_arn_and_by_name(void **state)
{
    struct world *world = *state;
    char by_arn[400], forged[400], both[700];
    static const char by_name[] = "{\"StreamARN\":\"" ARN("mine") "\",\"ConsumerName\":\"c\"}";

    snprintf(by_arn, sizeof by_arn, "{\"ConsumerARN\":\"%s\"}", world->consumer);
    snprintf(both, sizeof both, "{\"ConsumerARN\":\"%s\",\"StreamARN\":\"" ARN("other") "\"}",
             world->consumer);
    /* Allowed for the stream alone. */
    become(world, POLICY(ALLOW("*", ARN("mine"))));
    may_not(world, "DescribeStreamConsumer", by_arn);
    may_not(world, "DescribeStreamConsumer", by_name);
    may_not(world, "DeregisterStreamConsumer", by_name);
    may(world, "ListStreamConsumers", "{\"StreamARN\":\"" ARN("mine") "\"}");
    /* For its consumers, too; but one is spared. */
    become(world, POLICY(ALLOW("*", ARN("mine*"))));
    may(world, "DescribeStreamConsumer", by_arn);
    may(world, "DescribeStreamConsumer", by_name);
    may_not(world, "DescribeStreamConsumer", both);
    become(world, POLICY(ALLOW("*", "*") "," DENY("*", ARN("mine/consumer/c:*"))));
    may_not(world, "DescribeStreamConsumer", by_arn);
    may_not(world, "DescribeStreamConsumer", by_name);
    may_not(world, "DeregisterStreamConsumer", by_name);
    /* A time of creation that is made up names no other. */
    snprintf(forged, sizeof forged, "{\"ConsumerARN\":\"" ARN("mine/consumer/c:1") "\"}");
    may_not(world, "DescribeStreamConsumer", forged);
    snprintf(
        forged, sizeof forged,
        "{\"ConsumerARN\":\"%s\",\"ShardId\":\"0\",\"StartingPosition\":{\"Type\":\"LATEST\"}}",
        world->consumer);
    may_not(world, "SubscribeToShard", forged);
}

static void a_resource_may_allow_and_deny(void **state)
{
    static const char put[] = "{\"StreamName\":\"mine\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}";
    struct world *world = *state;

    become(world, POLICY(""));
    may_not(world, "PutRecord", put);
    attach(world, ARN("mine"),
           "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ALICE
           "\"},\"Action\":\"kinesis:Put*\",\"Resource\":\"" ARN("mine") "\"}}");
    may(world, "PutRecord", put);
    may_not(world, "DescribeStream", "{\"StreamName\":\"mine\"}");
    may_not(world, "PutRecord",
            "{\"StreamName\":\"other\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}");
    /* It is there after a restart, and goes when it is deleted. */
    world->api->caller = NULL;
    api_reopen(world->api);
    world->api->caller = &world->caller;
    may(world, "PutRecord", put);
    world->api->caller = NULL;
    api_must(world->api, "DeleteResourcePolicy", "{\"ResourceARN\":\"" ARN("mine") "\"}");
    world->api->caller = &world->caller;
    may_not(world, "PutRecord", put);
    /* The account alone does not let its users in; that is left to their policies. */
    attach(world, ARN("mine"),
           "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ACCOUNT
           "\"},\"Action\":\"*\",\"Resource\":\"*\"}}");
    may_not(world, "PutRecord", put);
    /* A deny wins over what the caller's policy allows. */
    become(world, POLICY(ALLOW("*", "*")));
    may(world, "PutRecord", put);
    attach(world, ARN("mine"),
           "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"kinesis:Put*\","
           "\"Resource\":\"*\"}}");
    api_expect_part(world->api, "PutRecord", put,
                    " with an explicit deny in a resource-based policy");
    /* It goes with its stream, and does not come back with the name. */
    api_must(world->api, "DeleteStream",
             "{\"StreamName\":\"mine\",\"EnforceConsumerDeletion\":true}");
    api_must(world->api, "CreateStream", "{\"StreamName\":\"mine\",\"ShardCount\":1}");
    may(world, "PutRecord", put);
}

static void from_another_account_both_must_allow(void **state)
{
    static const char put[] = "{\"StreamName\":\"mine\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}";
    struct world *world = *state;

    become(world, POLICY(ALLOW("*", "*")));
    world->caller.account = (mr_bytes){"999999999999", 12};
    api_expect_part(world->api, "PutRecord", put,
                    " because no resource-based policy allows the kinesis:PutRecord action");
    attach(world, ARN("mine"),
           "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"999999999999\"},"
           "\"Action\":\"kinesis:PutRecord\",\"Resource\":\"*\"}}");
    may(world, "PutRecord", put);
    may_not(world, "DescribeStream", "{\"StreamName\":\"mine\"}");
    become(world, POLICY(ALLOW("Get*", "*")));
    may_not(world, "PutRecord", put);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(without_a_policy_nothing_may_be_done),      CASE(denials_are_in_the_words_of_aws),
        CASE(a_stream_is_the_same_by_name_and_by_arn),   CASE(iterators_and_tokens_name_a_stream),
        CASE(a_consumer_is_the_same_by_arn_and_by_name), CASE(a_resource_may_allow_and_deny),
        CASE(from_another_account_both_must_allow),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
