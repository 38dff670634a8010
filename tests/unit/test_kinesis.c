/*
 * The Kinesis handler over real sockets and a service of our own: what the front end refuses, in which
 * order and words; what the service is told, and how its answers are; event streams whose reader
 * leaves, whose service fails, whose server stops.
 */
#include "server/kinesis.h"
#include "support/http_world.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define JSON "Content-Type: application/x-amz-json-1.1\r\n"
#define CBOR "Content-Type: application/x-amz-cbor-1.1\r\n"
#define TARGET(name) "X-Amz-Target: Kinesis_20131202." name "\r\n"
#define SIGNED                                                                                     \
    "X-Amz-Date: 20261122T100000Z\r\nAuthorization: AWS4-HMAC-SHA256 "                             \
    "Credential=AKID/20261122/eu-west-3/kinesis/aws4_request, SignedHeaders=host, Signature=0\r\n"

/* ---- the service -------------------------------------------------------------------------- */

static struct fake {
    struct mr_service service;
    struct mr_refusal refusal; /* of every call */
    bool is_late;              /* calls are kept */
    struct mr_call *kept;
    char region[40];
    _Atomic size_t called, closed;

    struct mr_subscription subscription;
    pthread_mutex_t lock;
    unsigned events_left, record_count; /* to be had now; records in each */
    bool is_ended, wants_ready;
    struct mr_refusal end;
    _Atomic size_t waited, left;
} fake;

static struct mr_api_record records[64];
static uint8_t record_data[16384];

static enum mr_subscription_state next(struct mr_subscription *subscription,
                                       const struct mr_api_subscribe_to_shard_event **event,
                                       struct mr_refusal *refusal)
{
    static struct mr_api_subscribe_to_shard_event the_event;
    enum mr_subscription_state state = MR_SUBSCRIPTION_WAIT;
    (void)subscription;

    pthread_mutex_lock(&fake.lock);
    if (fake.events_left) {
        fake.events_left--;
        the_event =
            (struct mr_api_subscribe_to_shard_event){.records = records,
                                                     .records_count = fake.record_count,
                                                     .continuation_sequence_number = {"7", 1},
                                                     .millis_behind_latest = MR_NUMBER(0)};
        *event = &the_event;
        state = MR_SUBSCRIPTION_EVENT;
    } else if (fake.is_ended) {
        *refusal = fake.end;
        state = MR_SUBSCRIPTION_END;
    } else {
        fake.wants_ready = true;
        fake.waited++;
    }
    pthread_mutex_unlock(&fake.lock);
    return state;
}

static void leave(struct mr_subscription *subscription)
{
    (void)subscription;
    fake.left++;
}

static void call_service(struct mr_service *service, struct mr_call *call)
{
    (void)service;
    snprintf(fake.region, sizeof fake.region, "%.*s", (int)call->region.size,
             call->region.size ? (const char *)call->region.data : "");
    call->refusal = fake.refusal;
    if (call->action == MR_ACTION_PUT_RECORD) {
        const struct mr_api_put_record_request *request = call->request;
        struct mr_api_put_record_response *response =
            mr_arena_new(call->arena, struct mr_api_put_record_response);

        response->shard_id = request->stream_name;
        response->sequence_number = request->data;
        call->response = response;
    } else if (call->action == MR_ACTION_SUBSCRIBE_TO_SHARD) {
        fake.subscription = (struct mr_subscription){.next = next, .close = leave};
        call->subscription = &fake.subscription;
    }
    fake.kept = call;
    fake.called++; /* last: somebody waits for it */
    if (!fake.is_late)
        call->done(call);
}

static void close_service(struct mr_service *service)
{
    (void)service;
    fake.closed++;
}

/* ---- the world ---------------------------------------------------------------------------- */

static struct http_world world;
static struct mr_kinesis *kinesis;

static int setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    pthread_mutex_init(&fake.lock, NULL);
    fake.service = (struct mr_service){.call = call_service, .close = close_service};
    kinesis = mr_kinesis_of(&fake.service, false);
    http_world_init(&world);
    world.config.handle = mr_kinesis_handle;
    world.config.context = kinesis;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mr_server_stop(world.server, 10000);
    mr_kinesis_drain(kinesis);
    http_world_close(&world);
    mr_kinesis_close(kinesis);
    assert_int_equal(fake.closed, 1);
    pthread_mutex_destroy(&fake.lock);
    return 0;
}

static int ask(const char *method, const char *path, const char *fields, const char *body)
{
    int fd = client_connect(&world);
    char text[4096];

    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s",
             method, path, fields, strlen(body), body);
    client_say(fd, text);
    return fd;
}

/* Of a POST. */
static struct client_answer answer_to(const char *path, const char *fields, const char *body)
{
    int fd = ask("POST", path, fields, body);
    struct client_answer answer = client_answer(fd);

    close(fd);
    return answer;
}

static void assert_answer(const char *path, const char *fields, const char *body, unsigned status,
                          const char *wanted)
{
    struct client_answer answer = answer_to(path, fields, body);

    assert_string_equal(answer.body, wanted);
    assert_int_equal(answer.status, status);
    assert_non_null(strcasestr(answer.head, "x-amzn-requestid: "));
    assert_non_null(strcasestr(answer.head, "x-amz-id-2: "));
    free(answer.body);
}

/* ---- the front end ------------------------------------------------------------------------ */

#define FORBIDDEN                                                                                  \
    "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be "        \
    "authorized</Message>\n</AccessDeniedException>\n"
#define BARE(type) "{\"__type\":\"" type "\"}"
#define WORDS(type, text) "{\"__type\":\"" type "\",\"message\":\"" text "\"}"
#define PLAIN(type)                                                                                \
    "{\"Output\":{\"__type\":\"com.amazon.coral.service#" type "\"},\"Version\":\"1.0\"}"

static void checks_a_request_in_the_order_of_kinesis(void **state)
{
    static const struct {
        const char *path, *fields, *body;
        unsigned status;
        const char *wanted;
    } cases[] = {
        /* An empty body comes before all but the method, */
        {"/", JSON TARGET("ListStreams"), "", 400, BARE("SerializationException")},
        {"/", JSON TARGET("Dance"), "", 400, BARE("UnknownOperationException")},
        {"/", JSON, "", 400, BARE("UnknownOperationException")},
        /* then a content type that nobody knows, */
        {"/", "Content-Type: text/plain\r\n", "{}", 403, FORBIDDEN},
        {"/", "X-Amz-Target: Kinesis_20131202\r\n", "{}", 403, FORBIDDEN},
        {"/", "Content-Type: text/plain\r\n" TARGET("Dance"), "{}", 404,
         "<UnknownOperationException/>\n"},
        /* syntax, and the type that is not spoken, */
        {"/", "Content-Type: application/json\r\n" TARGET("ListStreams"), "{", 400,
         PLAIN("SerializationException")},
        {"/", "Content-Type: application/json; a=b\r\n" TARGET("ListStreams"), "{}", 404,
         PLAIN("UnknownOperationException")},
        {"/", JSON TARGET("Dance"), "{", 400, BARE("SerializationException")},
        {"/", JSON TARGET("ListStreams"), "[]", 400, BARE("SerializationException")},
        /* the operation, */
        {"/", JSON TARGET("Dance"), "{}", 400, BARE("UnknownOperationException")},
        {"/", JSON "X-Amz-Target: DynamoDB_20120810.ListStreams\r\n", "{}", 400,
         BARE("UnknownOperationException")},
        {"/", JSON, "{}", 400, BARE("UnknownOperationException")},
        /* authentication, before types, */
        {"/", JSON TARGET("ListStreams"), "{\"Limit\":\"x\"}", 400,
         WORDS("MissingAuthenticationTokenException", "Missing Authentication Token")},
        {"/?a&X-Amz-Algorithm=b", SIGNED JSON TARGET("ListStreams"), "{}", 400,
         WORDS("InvalidSignatureException",
               "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP "
               "header.")},
        {"/", JSON "Authorization: A Credential=, Signature=x\r\n" TARGET("ListStreams"), "{}", 400,
         WORDS("IncompleteSignatureException",
               "Authorization header requires 'Credential' parameter. Authorization header "
               "requires 'SignedHeaders' parameter. Authorization header requires existence of "
               "either a 'X-Amz-Date' or a 'Date' header. Authorization=A Credential=, "
               "Signature=x")},
        {"/?X-Amz-Algorithm=a&X-Amz-Signature=b", JSON TARGET("ListStreams"), "{}", 400,
         WORDS("IncompleteSignatureException",
               "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string "
               "parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must "
               "include 'X-Amz-Date'. Re-examine the query-string parameters.")},
        /* then types. */
        {"/", SIGNED JSON TARGET("ListStreams"), "{\"Limit\":\"x\"}", 400,
         "{\"__type\":\"SerializationException\",\"Message\":\"class java.lang.String can not be "
         "converted to an Integer\"}"},
    };
    (void)state;

    http_world_open(&world);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(cases[i].path, cases[i].fields, cases[i].body, cases[i].status,
                      cases[i].wanted);
    assert_int_equal(fake.called, 0);
}

static void other_methods_are_forbidden(void **state)
{
    static const char *const methods[] = {"GET", "PUT", "DELETE", "OPTIONS"};
    (void)state;

    http_world_open(&world);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        int fd = ask(methods[i], "/", SIGNED JSON TARGET("ListStreams"), "{}");
        struct client_answer answer = client_answer(fd);

        assert_int_equal(answer.status, 403);
        assert_string_equal(answer.body, FORBIDDEN);
        assert_null(strcasestr(answer.head, "content-type"));
        free(answer.body);
        close(fd);
    }
}

static void browsers_may_ask(void **state)
{
    struct client_answer answer;
    int fd;
    (void)state;

    http_world_open(&world);
    fd = ask("OPTIONS", "/",
             "Origin: http://x\r\nAccess-Control-Request-Headers: a,b\r\n"
             "Access-Control-Request-Method: POST\r\n",
             "");
    answer = client_answer(fd);
    assert_int_equal(answer.status, 200);
    assert_non_null(strcasestr(answer.head, "access-control-allow-origin: *\r\n"));
    assert_non_null(strcasestr(answer.head, "access-control-allow-headers: a,b\r\n"));
    assert_non_null(strcasestr(answer.head, "access-control-allow-methods: POST\r\n"));
    assert_null(strcasestr(answer.head, "x-amz-id-2"));
    free(answer.body);
    close(fd);
    answer = answer_to("/", SIGNED JSON TARGET("CreateStream") "Origin: http://x\r\n", "{}");
    assert_int_equal(answer.status, 200);
    assert_non_null(strcasestr(answer.head, "access-control-allow-origin: *\r\n"));
    assert_non_null(strcasestr(answer.head, "access-control-expose-headers: x-amzn-RequestId,"));
    free(answer.body);
}

static void errors_of_cbor_requests_are_cbor(void **state)
{
    struct client_answer answer;
    (void)state;

    http_world_open(&world);
    answer = answer_to("/", CBOR TARGET("ListStreams"), "{}");
    assert_int_equal(answer.status, 400);
    assert_non_null(strcasestr(answer.head, "content-type: application/x-amz-cbor-1.1\r\n"));
    assert_non_null(memmem(answer.body, answer.size, "SerializationException", 22));
    assert_true(answer.body[0] != '{');
    free(answer.body);
}

/* ---- calls -------------------------------------------------------------------------------- */

#define PUT_BODY "{\"StreamName\":\"s\",\"Data\":\"MTIz\",\"PartitionKey\":\"k\"}"

static void a_call_is_passed_on_and_answered(void **state)
{
    (void)state;
    http_world_open(&world);
    assert_answer("/", SIGNED JSON TARGET("PutRecord"), PUT_BODY, 200,
                  "{\"ShardId\":\"s\",\"SequenceNumber\":\"123\"}");
    assert_string_equal(fake.region, "eu-west-3");
    /* An answer without members is without a body. */
    assert_answer("/", SIGNED JSON TARGET("CreateStream"), "{\"StreamName\":\"s\"}", 200, "");
}

/* Signed in the query, where slashes may be written in two ways. */
static void a_query_names_the_region(void **state)
{
    static const char *const credentials[] = {"K%2F20261122%2Fus-west-2%2Fkinesis%2Faws4_request",
                                              "K%2f20261122%2fus-west-2%2fkinesis%2faws4_request",
                                              "K/20261122/us-west-2/kinesis/aws4_request"};
    char path[300];
    (void)state;

    http_world_open(&world);
    for (size_t i = 0; i < sizeof credentials / sizeof *credentials; i++) {
        snprintf(
            path, sizeof path,
            "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s&X-Amz-Date=20261122T100000Z"
            "&X-Amz-SignedHeaders=host&X-Amz-Signature=0",
            credentials[i]);
        fake.region[0] = 0;
        assert_answer(path, JSON TARGET("CreateStream"), "{\"StreamName\":\"s\"}", 200, "");
        assert_string_equal(fake.region, "us-west-2");
    }
}

static void odd_regions_are_none(void **state)
{
    (void)state;
    http_world_open(&world);
    assert_answer("/",
                  "Date: x\r\nAuthorization: A Credential=a/b/c:d/e, SignedHeaders=host, "
                  "Signature=0\r\n" JSON TARGET("CreateStream"),
                  "{}", 200, "");
    assert_string_equal(fake.region, "");
}

static void refusals_have_their_status(void **state)
{
    (void)state;
    http_world_open(&world);
    fake.refusal = (struct mr_refusal){MR_EXCEPTION_NOT_FOUND, {"no", 2}};
    assert_answer("/", SIGNED JSON TARGET("CreateStream"), "{}", 400,
                  WORDS("ResourceNotFoundException", "no"));
    fake.refusal = (struct mr_refusal){MR_EXCEPTION_INTERNAL_FAILURE, {"oh", 2}};
    assert_answer("/", SIGNED JSON TARGET("CreateStream"), "{}", 500,
                  WORDS("InternalFailureException", "oh"));
}

static void an_answer_may_come_when_the_client_has_left(void **state)
{
    int fd;
    (void)state;

    fake.is_late = true;
    http_world_open(&world);
    fd = ask("POST", "/", SIGNED JSON TARGET("PutRecord"), PUT_BODY);
    http_world_wait_for(&fake.called, 1);
    close(fd);
    fake.kept->done(fake.kept);
}

/* ---- event streams ------------------------------------------------------------------------ */

#define SUBSCRIBE_BODY                                                                             \
    "{\"ConsumerARN\":\"c\",\"ShardId\":\"s\",\"StartingPosition\":{\"Type\":\"LATEST\"}}"

static void offer_events(unsigned count, bool is_ended)
{
    bool rings;

    pthread_mutex_lock(&fake.lock);
    fake.events_left = count;
    fake.is_ended = is_ended;
    rings = fake.wants_ready;
    fake.wants_ready = false;
    pthread_mutex_unlock(&fake.lock);
    if (rings)
        fake.subscription.ready(fake.subscription.ready_context);
}

/* The next message of an answer without its chunks; 0: the end. */
static size_t message_at(const struct client_answer *answer, size_t *at, const char *word)
{
    const uint8_t *bytes = (const uint8_t *)answer->body + *at;
    size_t size;

    if (*at == answer->size)
        return 0;
    size = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    assert_true(*at + size <= answer->size);
    assert_non_null(memmem(bytes, size, word, strlen(word)));
    *at += size;
    return size;
}

static struct client_answer subscribe(void)
{
    int fd = ask("POST", "/", SIGNED JSON TARGET("SubscribeToShard"), SUBSCRIBE_BODY);
    struct client_answer answer;

    http_world_wait_for(&fake.called, 1);
    offer_events(3, true);
    answer = client_answer(fd);
    assert_int_equal(answer.status, 200);
    assert_non_null(
        strcasestr(answer.head, "content-type: application/vnd.amazon.eventstream\r\n"));
    close(fd);
    return answer;
}

static void a_stream_begins_goes_on_and_ends(void **state)
{
    struct client_answer answer;
    size_t at = 0;
    (void)state;

    http_world_open(&world);
    answer = subscribe();
    message_at(&answer, &at, "initial-response");
    for (unsigned i = 0; i < 3; i++)
        message_at(&answer, &at, "\"ContinuationSequenceNumber\":\"7\"");
    assert_int_equal(at, answer.size);
    http_world_wait_for(&fake.left, 1);
    free(answer.body);
}

static void a_failure_is_the_last_message(void **state)
{
    struct client_answer answer;
    size_t at = 0;
    (void)state;

    fake.end = (struct mr_refusal){MR_EXCEPTION_IN_USE, {"taken over", 10}};
    http_world_open(&world);
    answer = subscribe();
    message_at(&answer, &at, "initial-response");
    for (unsigned i = 0; i < 3; i++)
        message_at(&answer, &at, "SubscribeToShardEvent");
    message_at(&answer, &at, "ResourceInUseException");
    assert_int_equal(at, answer.size);
    free(answer.body);
}

static void large_messages_come_whole(void **state)
{
    struct client_answer answer;
    size_t at = 0;
    (void)state;

    for (size_t i = 0; i < 64; i++)
        records[i] = (struct mr_api_record){.sequence_number = {"7", 1},
                                            .data = {record_data, sizeof record_data},
                                            .partition_key = {"k", 1}};
    fake.record_count = 64;
    http_world_open(&world);
    answer = subscribe();
    message_at(&answer, &at, "initial-response");
    for (unsigned i = 0; i < 3; i++)
        assert_true(message_at(&answer, &at, "SubscribeToShardEvent") > 64 * 16384 * 4 / 3);
    assert_int_equal(at, answer.size);
    free(answer.body);
}

static void the_subscription_is_left_with_the_client(void **state)
{
    int fd;
    (void)state;

    http_world_open(&world);
    fd = ask("POST", "/", SIGNED JSON TARGET("SubscribeToShard"), SUBSCRIBE_BODY);
    http_world_wait_for(&fake.waited, 1);
    close(fd);
    http_world_wait_for(&fake.left, 1);
}

static void a_stopping_server_ends_streams_well(void **state)
{
    struct client_answer answer;
    size_t at = 0;
    int fd;
    (void)state;

    http_world_open(&world);
    fd = ask("POST", "/", SIGNED JSON TARGET("SubscribeToShard"), SUBSCRIBE_BODY);
    http_world_wait_for(&fake.waited, 1);
    assert_int_equal(mr_server_stop(world.server, 10000), 0);
    answer = client_answer(fd);
    message_at(&answer, &at, "initial-response");
    assert_int_equal(at, answer.size);
    assert_int_equal(fake.left, 1);
    free(answer.body);
    close(fd);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(checks_a_request_in_the_order_of_kinesis),
        test(other_methods_are_forbidden),
        test(browsers_may_ask),
        test(errors_of_cbor_requests_are_cbor),
        test(a_call_is_passed_on_and_answered),
        test(a_query_names_the_region),
        test(odd_regions_are_none),
        test(refusals_have_their_status),
        test(an_answer_may_come_when_the_client_has_left),
        test(a_stream_begins_goes_on_and_ends),
        test(a_failure_is_the_last_message),
        test(large_messages_come_whole),
        test(the_subscription_is_left_with_the_client),
        test(a_stopping_server_ends_streams_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
