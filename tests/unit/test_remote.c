/*
 * The service over HTTP against a server that misbehaves by a script: what is sent, what is tried
 * again and what is not, and what becomes of answers that are cut, slow, wrong or no answers at all.
 */
#include "base/check.h"
#include "base/memory.h"
#include "millrace-remote.h"
#include "os/socket.h"
#include "os/thread.h"
#include "wire/wire.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define JSON "Content-Type: application/x-amz-json-1.1\r\n"

/* ---- the server --------------------------------------------------------------------------- */

#define STEPS_MAX 8

/* It answers the n-th request with the n-th step; a connection after another. */
static struct {
    int listener;
    uint16_t port;
    pthread_t thread;
    struct step {
        struct mr_pack bytes; /* what it writes */
        bool stays;           /* open, silent, until the test ends; else it closes */
    } steps[STEPS_MAX];
    size_t step_count;
    _Atomic uint32_t request_count, is_over;
    char request[65536]; /* the last one */
} server;

/* Reads one request whole; false: the client is gone, or it is over. */
static bool read_request(int fd)
{
    size_t size = 0, wanted = SIZE_MAX;

    while (size < wanted && size < sizeof server.request - 1) {
        ssize_t got = recv(fd, server.request + size, sizeof server.request - 1 - size, 0);
        char *end, *length;

        if (got <= 0)
            return false;
        size += (size_t)got;
        server.request[size] = 0;
        end = strstr(server.request, "\r\n\r\n");
        length = strcasestr(server.request, "content-length:");
        if (end && length)
            wanted = (size_t)(end + 4 - server.request) + strtoul(length + 15, NULL, 10);
    }
    return true;
}

static void serve_connection(int fd)
{
    uint32_t index;
    const struct step *step;

    if (!read_request(fd))
        return;
    index = atomic_fetch_add(&server.request_count, 1);
    mr_word_wake(&server.request_count, true);
    if (index >= server.step_count)
        return;
    step = &server.steps[index];
    for (size_t sent = 0; sent < step->bytes.size;) {
        ssize_t size = send(fd, step->bytes.data + sent, step->bytes.size - sent, MSG_NOSIGNAL);

        if (size <= 0)
            return;
        sent += (size_t)size;
    }
    while (step->stays && !atomic_load(&server.is_over))
        mr_word_wait(&server.is_over, 0, UINT32_MAX);
}

static void *serve(void *context)
{
    (void)context;
    while (!atomic_load(&server.is_over)) {
        int fd = accept(server.listener, NULL, NULL);

        if (fd < 0)
            break;
        serve_connection(fd);
        shutdown(fd, SHUT_RDWR);
        close(fd);
    }
    return NULL;
}

static struct mr_pack *add_step(void)
{
    struct step *step = &server.steps[server.step_count++];

    mr_check(server.step_count <= STEPS_MAX);
    step->stays = false;
    return &step->bytes;
}

static void put(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, (mr_bytes){text, strlen(text)});
}

/* An answer with its length. */
static void will_answer(const char *status, const char *body)
{
    struct mr_pack *out = add_step();
    char head[200];

    snprintf(head, sizeof head, "HTTP/1.1 %s\r\n" JSON "Content-Length: %zu\r\n\r\n", status,
             strlen(body));
    put(out, head);
    put(out, body);
}

static void will_write(const char *bytes)
{
    put(add_step(), bytes);
}

static void will_hang(void)
{
    add_step();
    server.steps[server.step_count - 1].stays = true;
}

/* ---- the client --------------------------------------------------------------------------- */

static mr_service *service;
static struct mr_remote_config config;

static int setup(void **state)
{
    mr_error error;
    (void)state;

    memset(&server, 0, sizeof server);
    mr_check(mr_socket_listen("127.0.0.1", 0, &server.listener, &server.port, &error) == MR_OK);
    /* This server waits. */
    mr_check(fcntl(server.listener, F_SETFL, 0) == 0);
    config = MR_REMOTE_CONFIG_DEFAULT;
    config.format = MR_REMOTE_JSON;
    config.region = "eu-west-3";
    config.access_key_id = "AKID";
    config.secret_access_key = "SECRET";
    config.attempt_count = 3;
    config.backoff_ms = 1;
    config.backoff_max_ms = 2;
    return 0;
}

static void start(void)
{
    static char endpoint[64];
    mr_error error;

    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", server.port);
    config.endpoint = endpoint;
    server.thread = mr_thread_start("scripted", serve, NULL);
    if (mr_service_connect(&service, &config, &error))
        fail_msg("%s", error.message);
}

static int teardown(void **state)
{
    (void)state;
    mr_service_close(service);
    service = NULL;
    atomic_store(&server.is_over, 1);
    mr_word_wake(&server.is_over, true);
    shutdown(server.listener, SHUT_RDWR);
    if (server.thread)
        pthread_join(server.thread, NULL);
    close(server.listener);
    for (size_t i = 0; i < STEPS_MAX; i++)
        mr_pack_fini(&server.steps[i].bytes);
    return 0;
}

struct asked {
    struct mr_arena arena;
    struct mr_call call;
    _Atomic uint32_t is_done;
};

static void wake(struct mr_call *call)
{
    struct asked *asked = call->context;

    atomic_store(&asked->is_done, 1);
    mr_word_wake(&asked->is_done, true);
}

static void ask(struct asked *asked, enum mr_action action, void *request)
{
    *asked = (struct asked){.arena = MR_ARENA((size_t)64 << 20)};
    asked->call = (struct mr_call){.action = action,
                                   .request = request,
                                   .arena = &asked->arena,
                                   .done = wake,
                                   .context = asked};
    service->call(service, &asked->call);
    while (!atomic_load(&asked->is_done))
        mr_word_wait(&asked->is_done, 0, UINT32_MAX);
}

/* Asks for the names of streams; says "name", or "SomeException: message". */
static const char *list(void)
{
    static char told[2000];
    struct mr_api_list_streams_request request = {.limit = MR_NUMBER(7)};
    const struct mr_api_list_streams_response *response;
    struct asked asked;

    ask(&asked, MR_ACTION_LIST_STREAMS, &request);
    response = asked.call.response;
    if (asked.call.refusal.type)
        snprintf(told, sizeof told, "%s: %.*s", mr_exceptions[asked.call.refusal.type].name,
                 (int)asked.call.refusal.message.size,
                 asked.call.refusal.message.data ? (const char *)asked.call.refusal.message.data
                                                 : "");
    else
        snprintf(told, sizeof told, "%.*s", (int)response->stream_names[0].size,
                 (const char *)response->stream_names[0].data);
    mr_arena_fini(&asked.arena);
    return told;
}

static void list_says(const char *start_of_it)
{
    const char *told = list();

    if (strncmp(told, start_of_it, strlen(start_of_it)) != 0)
        fail_msg("it says not '%s' but '%s'", start_of_it, told);
}

static uint32_t asked_times(void)
{
    return atomic_load(&server.request_count);
}

#define GOOD "{\"StreamNames\":[\"good\"],\"HasMoreStreams\":false}"

/* ---- requests ----------------------------------------------------------------------------- */

static bool has(const char *text)
{
    return strcasestr(server.request, text) != NULL;
}

static void requests_are_what_kinesis_wants(void **state)
{
    (void)state;
    config.session_token = "TOKEN";
    will_answer("200 OK", GOOD);
    start();
    list_says("good");
    assert_true(has("POST / HTTP/1.1\r\n"));
    assert_true(has("x-amz-target: Kinesis_20131202.ListStreams\r\n"));
    assert_true(has("content-type: application/x-amz-json-1.1\r\n"));
    assert_true(has("x-amz-security-token: TOKEN\r\n"));
    assert_true(has("authorization: AWS4-HMAC-SHA256 Credential=AKID/"));
    assert_true(has("/eu-west-3/kinesis/aws4_request, SignedHeaders=content-type;host;x-amz-date;"
                    "x-amz-security-token;x-amz-target, Signature="));
    assert_true(has("\r\n\r\n{\"Limit\":7}"));
    assert_false(has("expect:"));
}

static void bad_requests_never_leave(void **state)
{
    struct mr_api_list_streams_request request = {.limit = MR_NUMBER(0)};
    struct asked asked;
    (void)state;

    start();
    ask(&asked, MR_ACTION_LIST_STREAMS, &request);
    assert_int_equal(asked.call.refusal.type, MR_EXCEPTION_VALIDATION);
    assert_int_equal(asked_times(), 0);
    mr_arena_fini(&asked.arena);
}

/* ---- what is tried again ------------------------------------------------------------------ */

static void what_passes_is_tried_again(void **state)
{
    static const char throttled[] =
        "{\"__type\":\"ProvisionedThroughputExceededException\",\"message\":\"slow\"}";
    (void)state;

    config.attempt_count = 8;
    will_answer("500 Oh", "{\"__type\":\"InternalFailureException\"}");
    will_answer("400 No", throttled);
    will_answer("400 No",
                "{\"__type\":\"LimitExceededException\",\"message\":\"Rate exceeded for x.\"}");
    will_answer("503 Busy", "<html>no JSON</html>");
    will_answer("429 Busy", "{\"__type\":\"x.y#ThrottlingException\"}");
    will_write("");                                                            /* gone */
    will_write("HTTP/1.1 200 OK\r\n" JSON "Content-Length: 50\r\n\r\n{\"Str"); /* cut */
    will_answer("200 OK", GOOD);
    start();
    list_says("good");
    assert_int_equal(asked_times(), 8);
}

static void what_does_not_pass_is_told_at_once(void **state)
{
    (void)state;
    will_answer("400 No", "{\"__type\":\"ResourceNotFoundException\",\"message\":\"none\"}");
    will_answer("400 No", "{\"__type\":\"SerializationException\",\"Message\":\"capital\"}");
    will_answer("400 No", "{\"__type\":\"LimitExceededException\",\"message\":\"a quota\"}");
    will_answer("400 No", "{\"__type\":\"a#NobodyKnowsException\",\"message\":\"why\"}");
    start();
    list_says("ResourceNotFoundException: none");
    list_says("SerializationException: capital");
    list_says("LimitExceededException: a quota");
    list_says("AccessDeniedException: NobodyKnowsException: why");
    assert_int_equal(asked_times(), 4);
}

static void attempts_end(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        will_answer("500 Oh", "{\"__type\":\"InternalFailureException\",\"message\":\"broken\"}");
    start();
    list_says("InternalFailureException: broken");
    assert_int_equal(asked_times(), 3);
}

/* ---- no answers --------------------------------------------------------------------------- */

static void garbage_is_no_answer(void **state)
{
    (void)state;
    will_answer("200 OK", "{\"StreamNames\":[\"a\"");
    will_answer("200 OK", "");
    will_answer("200 OK", "[]");
    will_answer("200 OK", "{\"StreamNames\":[{}],\"HasMoreStreams\":false}");
    start();
    for (int i = 0; i < 4; i++)
        list_says("InternalFailureException: the answer of http");
    assert_int_equal(asked_times(), 4); /* a 200 is not asked for again */
}

static void no_http_is_no_answer(void **state)
{
    (void)state;
    config.attempt_count = 1;
    will_write("\x16\x03\x01 no HTTP\r\n\r\n");
    start();
    list_says("ServiceUnavailableException: http");
}

static void silence_ends(void **state)
{
    (void)state;
    config.attempt_count = 1;
    config.timeout_ms = 50;
    will_hang();
    start();
    list_says("ServiceUnavailableException: http");
}

static void an_answer_that_lacks_something_is_none(void **state)
{
    struct mr_api_describe_stream_summary_request request = {.stream_name = {"s", 1}};
    struct asked asked;
    (void)state;

    will_answer("200 OK", "{}");
    start();
    ask(&asked, MR_ACTION_DESCRIBE_STREAM_SUMMARY, &request);
    assert_int_equal(asked.call.refusal.type, MR_EXCEPTION_INTERNAL_FAILURE);
    mr_arena_fini(&asked.arena);
}

static void results_are_as_many_as_records(void **state)
{
    struct mr_api_put_records_request_entry entries[2] = {
        {.partition_key = {"a", 1}, .data = {"1", 1}},
        {.partition_key = {"b", 1}, .data = {"2", 1}}};
    struct mr_api_put_records_request request = {
        .stream_name = {"s", 1}, .records = entries, .records_count = 2};
    struct asked asked;
    (void)state;

    will_answer("200 OK", "{\"Records\":[{\"SequenceNumber\":\"1\",\"ShardId\":\"shardId-0\"}]}");
    start();
    ask(&asked, MR_ACTION_PUT_RECORDS, &request);
    assert_int_equal(asked.call.refusal.type, MR_EXCEPTION_INTERNAL_FAILURE);
    mr_arena_fini(&asked.arena);
}

static void nobody_there_is_told(void **state)
{
    (void)state;
    close(server.listener); /* its port is nobody's */
    start();
    list_says("ServiceUnavailableException: http://127.0.0.1:");
}

/* ---- events ------------------------------------------------------------------------------- */

static _Atomic uint32_t ready_count;

static void note_ready(void *context)
{
    (void)context;
    atomic_fetch_add(&ready_count, 1);
    mr_word_wake(&ready_count, true);
}

static struct mr_pack *will_stream(void)
{
    struct mr_pack *out = add_step();

    put(out, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n\r\n");
    return out;
}

static void put_event(struct mr_pack *out, size_t data_bytes)
{
    uint8_t *data = mr_alloc_zero(1, data_bytes);
    struct mr_api_record record = {.sequence_number = {"1", 1}, .data = {data, data_bytes}};
    const struct mr_api_subscribe_to_shard_event event = {.records = &record,
                                                          .records_count = 1,
                                                          .continuation_sequence_number = {"2", 1},
                                                          .millis_behind_latest = MR_NUMBER(3)};

    mr_event_records(MR_FORMAT_JSON, &event, out);
    mr_free(data);
}

static void subscribe(struct asked *asked)
{
    static struct mr_api_starting_position position = {.type = {"LATEST", 6}};
    static const char arn[] =
        "arn:aws:kinesis:eu-west-3:000000000000:stream/s/consumer/c:1571142500";
    struct mr_api_subscribe_to_shard_request request = {.consumer_arn = {arn, sizeof arn - 1},
                                                        .shard_id = {"shardId-000000000000", 20},
                                                        .starting_position = &position};

    atomic_store(&ready_count, 0);
    ask(asked, MR_ACTION_SUBSCRIBE_TO_SHARD, &request);
    if (asked->call.subscription)
        asked->call.subscription->ready = note_ready;
}

/* The bytes of the next event's record; 0 at the end. */
static size_t next_bytes(struct asked *asked, struct mr_refusal *refusal)
{
    const struct mr_api_subscribe_to_shard_event *event;

    for (;;) {
        uint32_t seen = atomic_load(&ready_count);

        switch (asked->call.subscription->next(asked->call.subscription, &event, refusal)) {
        case MR_SUBSCRIPTION_EVENT:
            return event->records[0].data.size;
        case MR_SUBSCRIPTION_END:
            return 0;
        case MR_SUBSCRIPTION_WAIT:
            mr_word_wait(&ready_count, seen, UINT32_MAX);
            break;
        }
    }
}

static void unsubscribe(struct asked *asked)
{
    asked->call.subscription->close(asked->call.subscription);
    mr_arena_fini(&asked->arena);
}

static void events_come_one_by_one(void **state)
{
    struct mr_pack *out = will_stream();
    struct mr_refusal refusal;
    struct asked asked;
    (void)state;

    mr_event_initial(MR_FORMAT_JSON, out);
    put_event(out, 1);
    put_event(out, 3000000); /* larger than any buffer on the way */
    for (size_t i = 2; i < 300; i++)
        put_event(out, i);
    start();
    subscribe(&asked);
    assert_non_null(asked.call.subscription);
    assert_int_equal(next_bytes(&asked, &refusal), 1);
    assert_int_equal(next_bytes(&asked, &refusal), 3000000);
    for (size_t i = 2; i < 300; i++)
        assert_int_equal(next_bytes(&asked, &refusal), i);
    assert_int_equal(next_bytes(&asked, &refusal), 0);
    assert_int_equal(refusal.type, MR_EXCEPTION_NONE);
    unsubscribe(&asked);
}

static void exceptions_end_the_events(void **state)
{
    const struct mr_refusal wanted = {MR_EXCEPTION_NOT_FOUND, {"gone", 4}};
    struct mr_pack *out = will_stream();
    struct mr_refusal refusal;
    struct asked asked;
    (void)state;

    mr_event_initial(MR_FORMAT_JSON, out);
    put_event(out, 5);
    mr_event_exception(MR_FORMAT_JSON, &wanted, out);
    mr_event_exception(MR_FORMAT_JSON, &wanted, will_stream()); /* instead of the first */
    start();
    subscribe(&asked);
    assert_int_equal(next_bytes(&asked, &refusal), 5);
    assert_int_equal(next_bytes(&asked, &refusal), 0);
    assert_int_equal(refusal.type, MR_EXCEPTION_NOT_FOUND);
    assert_memory_equal(refusal.message.data, "gone", 4);
    unsubscribe(&asked);

    subscribe(&asked);
    assert_null(asked.call.subscription);
    assert_int_equal(asked.call.refusal.type, MR_EXCEPTION_NOT_FOUND);
    mr_arena_fini(&asked.arena);
}

static void damaged_and_cut_events_are_told(void **state)
{
    struct mr_pack *out = will_stream();
    struct mr_refusal refusal;
    struct asked asked;
    (void)state;

    mr_event_initial(MR_FORMAT_JSON, out);
    put_event(out, 5);
    put_event(out, 6);
    out->data[out->size - 10] ^= 1;
    out = will_stream();
    mr_event_initial(MR_FORMAT_JSON, out);
    put_event(out, 7);
    out->size -= 3;
    start();
    for (int i = 0; i < 2; i++) {
        subscribe(&asked);
        if (i == 0)
            assert_int_equal(next_bytes(&asked, &refusal), 5);
        assert_int_equal(next_bytes(&asked, &refusal), 0);
        assert_int_equal(refusal.type, MR_EXCEPTION_INTERNAL_FAILURE);
        unsubscribe(&asked);
    }
}

static void a_subscription_is_tried_again_before_it_began(void **state)
{
    struct mr_refusal refusal;
    struct mr_pack *out;
    struct asked asked;
    (void)state;

    will_answer("500 Oh", "{\"__type\":\"InternalFailureException\"}");
    out = will_stream();
    mr_event_initial(MR_FORMAT_JSON, out);
    put_event(out, 9);
    start();
    subscribe(&asked);
    assert_non_null(asked.call.subscription);
    assert_int_equal(next_bytes(&asked, &refusal), 9);
    unsubscribe(&asked);
}

static void a_subscription_is_closed_while_nothing_comes(void **state)
{
    struct mr_pack *out = will_stream();
    struct mr_refusal refusal;
    const struct mr_api_subscribe_to_shard_event *event;
    struct asked asked;
    (void)state;

    mr_event_initial(MR_FORMAT_JSON, out);
    server.steps[0].stays = true;
    start();
    subscribe(&asked);
    assert_int_equal(asked.call.subscription->next(asked.call.subscription, &event, &refusal),
                     MR_SUBSCRIPTION_WAIT);
    unsubscribe(&asked);
}

/* ---- configs ------------------------------------------------------------------------------ */

static void bad_configs_are_told(void **state)
{
    static const char *const endpoints[] = {"ftp://x", "nothing", "http://", "http:///"};
    mr_error error;
    (void)state;

    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        config.endpoint = endpoints[i];
        assert_int_equal(mr_service_connect(&service, &config, &error), MR_INVALID);
    }
    config.endpoint = "http://127.0.0.1";
    config.attempt_count = 0;
    assert_int_equal(mr_service_connect(&service, &config, &error), MR_INVALID);
    assert_non_null(strstr(error.message, "attempt_count"));
    config.attempt_count = 1;
    config.secret_access_key = NULL;
    assert_int_equal(mr_service_connect(&service, &config, &error), MR_INVALID);
    config.struct_bytes = 1;
    assert_int_equal(mr_service_connect(&service, &config, &error), MR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_what_kinesis_wants),
        TEST(bad_requests_never_leave),
        TEST(what_passes_is_tried_again),
        TEST(what_does_not_pass_is_told_at_once),
        TEST(attempts_end),
        TEST(garbage_is_no_answer),
        TEST(no_http_is_no_answer),
        TEST(silence_ends),
        TEST(an_answer_that_lacks_something_is_none),
        TEST(results_are_as_many_as_records),
        TEST(nobody_there_is_told),
        TEST(events_come_one_by_one),
        TEST(exceptions_end_the_events),
        TEST(damaged_and_cut_events_are_told),
        TEST(a_subscription_is_tried_again_before_it_began),
        TEST(a_subscription_is_closed_while_nothing_comes),
        TEST(bad_configs_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
