#include "support/api.h"

#include "base/check.h"
#include "base/memory.h"
#include "millrace-remote.h"
#include "os/thread.h"
#include "server/kinesis.h"
#include "stream/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the time ----------------------------------------------------------------------------- */

static struct api *api_of(struct mr_clock *clock)
{
    return (struct api *)(void *)((char *)clock - offsetof(struct api, clock));
}

static int64_t wall_ms(struct mr_clock *clock)
{
    return api_of(clock)->began_ms + api_of(clock)->advance_ms;
}

static uint64_t monotonic_ns(struct mr_clock *clock)
{
    return (uint64_t)api_of(clock)->advance_ms * 1000000;
}

/* ---- open and close ----------------------------------------------------------------------- */

enum api_way api_way = API_LOCAL;

static void must(mr_status status, const mr_error *error)
{
    if (status) {
        fprintf(stderr, "%s\n", error->message);
        mr_check(false);
    }
}

/* Puts a server and a client between. */
static void go_remote(struct api *api)
{
    struct mr_server_config server_config = {.handle = mr_kinesis_handle};
    struct mr_remote_config config = MR_REMOTE_CONFIG_DEFAULT;
    char endpoint[64];
    mr_error error;

    api->kinesis = mr_kinesis_of(api->service, true);
    server_config.context = api->kinesis;
    must(mr_server_open(&api->server, &server_config, &error), &error);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", mr_server_port(api->server));
    config.endpoint = endpoint;
    config.region = "us-east-1";
    config.access_key_id = config.secret_access_key = "x";
    config.format = api->way == API_REMOTE_JSON ? MR_REMOTE_JSON : MR_REMOTE_CBOR;
    config.attempt_count = 1; /* the first answer is what is looked at */
    must(mr_service_connect(&api->service, &config, &error), &error);
}

static void start(struct api *api)
{
    const struct mr_engine_world world = {.clock = &api->clock};
    mr_error error;

    must(mr_engine_open_with(&api->engine, api->directory, &api->engine_config, &world, &error),
         &error);
    must(mr_service_local_open(&api->service, api->engine, &api->config, &error), &error);
    if (api->way != API_LOCAL)
        go_remote(api);
}

static void stop(struct api *api)
{
    if (api->subscription)
        api->subscription->close(api->subscription);
    api->subscription = NULL;
    mr_service_close(api->service);
    if (api->server) {
        mr_server_stop(api->server, 10000);
        mr_kinesis_drain(api->kinesis);
        mr_server_close(api->server);
        mr_kinesis_close(api->kinesis);
    }
    mr_engine_close(api->engine);
}

struct api *api_open(void)
{
    const char *temporary = getenv("TMPDIR");
    struct api *api = mr_new(struct api);

    api->way = api_way;
    snprintf(api->directory, sizeof api->directory, "%s/api.XXXXXX",
             temporary ? temporary : "/tmp");
    mr_check(mkdtemp(api->directory));
    api->clock = (struct mr_clock){.wall_ms = wall_ms, .monotonic_ns = monotonic_ns};
    api->began_ms = mr_clock_real()->wall_ms(mr_clock_real());
    api->advance_ms = 1000;
    api->text = MR_PACK((size_t)256 << 20);
    api->engine_config = MR_ENGINE_CONFIG_DEFAULT;
    snprintf(api->key_file, sizeof api->key_file, "%s.keys", api->directory);
    api->engine_config.key_file = api->key_file;
    api->engine_config.sync = MR_SYNC_INTERVAL;
    api->engine_config.journal_bytes = (uint64_t)32 << 20;
    api->config = MR_SERVICE_CONFIG_DEFAULT;
    api->config.clock = &api->clock;
    api->config.state_delay_ms = 0;
    api->config.limit_calls = false;
    api->config.limit_fan_out = false;
    start(api);
    return api;
}

void api_reopen(struct api *api)
{
    stop(api);
    start(api);
}

void api_close(struct api *api)
{
    char command[300];

    stop(api);
    snprintf(command, sizeof command, "rm -rf '%s'", api->directory);
    mr_check(system(command) == 0);
    mr_pack_fini(&api->text);
    mr_free(api);
}

int api_set_up(void **state)
{
    *state = api_open();
    return 0;
}

int api_set_up_stream(void **state)
{
    *state = api_open();
    api_must(*state, "CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":1}");
    return 0;
}

int api_tear_down(void **state)
{
    api_close(*state);
    return 0;
}

/* ---- calls -------------------------------------------------------------------------------- */

static void wake(void *context)
{
    _Atomic uint32_t *is_done = context;

    atomic_store(is_done, 1);
    mr_word_wake(is_done, true);
}

static void done(struct mr_call *call)
{
    wake(call->context);
}

static bool wait_for(_Atomic uint32_t *word, uint32_t wait_ms)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t until_ns = clock->monotonic_ns(clock) + (uint64_t)wait_ms * 1000000, now_ns;

    while (!atomic_load(word) && (now_ns = clock->monotonic_ns(clock)) < until_ns)
        mr_word_wait(word, 0, (uint32_t)((until_ns - now_ns) / 1000000) + 1);
    return atomic_load(word);
}

static void add_text(struct api *api, mr_bytes text)
{
    mr_pack_bytes(&api->text, text);
}

static void add_refusal(struct api *api, const struct mr_refusal *refusal)
{
    const char *name = mr_exceptions[refusal->type].name;

    add_text(api, (mr_bytes){name, strlen(name)});
    add_text(api, (mr_bytes){": ", 2});
    if (refusal->message.data)
        add_text(api, refusal->message);
}

static void run(struct api *api, struct mr_call *call)
{
    _Atomic uint32_t is_done = 0;

    call->done = done;
    call->context = (void *)&is_done;
    api->service->call(api->service, call);
    mr_check(wait_for(&is_done, 60000));
    if (call->refusal.type)
        add_refusal(api, &call->refusal);
    else if (call->response)
        mr_encode(MR_FORMAT_JSON, mr_actions[call->action].response, call->response, &api->text);
    if (!call->subscription)
        return;
    if (api->subscription)
        api->subscription->close(api->subscription);
    api->subscription = call->subscription;
    api->subscription->ready = wake;
    api->subscription->ready_context = (void *)&api->is_ready;
}

const char *api_call(struct api *api, const char *action, const char *body)
{
    struct mr_arena arena = MR_ARENA((size_t)128 << 20);
    struct mr_call call = {.action = mr_action_find((mr_bytes){action, strlen(action)}),
                           .arena = &arena,
                           .caller = api->caller,
                           .origin = api->origin};
    struct mr_refusal refusal;

    mr_check(call.action < MR_ACTION_COUNT);
    api->text.size = 0;
    if (mr_decode(MR_FORMAT_JSON, (mr_bytes){body, strlen(body)}, mr_actions[call.action].request,
                  &arena, &call.request, &refusal))
        run(api, &call);
    else
        add_refusal(api, &refusal);
    mr_pack_u8(&api->text, 0);
    mr_arena_fini(&arena);
    return (const char *)api->text.data;
}

const char *api_callf(struct api *api, const char *action, const char *format, ...)
{
    char body[4096];
    va_list arguments;

    va_start(arguments, format);
    mr_check(vsnprintf(body, sizeof body, format, arguments) < (int)sizeof body);
    va_end(arguments);
    return api_call(api, action, body);
}

void api_expect(struct api *api, const char *action, const char *body, const char *expected)
{
    const char *answer = api_call(api, action, body);

    if (strcmp(answer, expected) != 0)
        fail_msg("%s %.400s\nanswers not\n%s\nbut\n%s", action, body, expected, answer);
}

void api_expect_part(struct api *api, const char *action, const char *body, const char *part)
{
    const char *answer = api_call(api, action, body);

    if (!strstr(answer, part))
        fail_msg("%s %.400s\nanswers nothing with\n%s\nbut\n%s", action, body, part, answer);
}

void api_must(struct api *api, const char *action, const char *body)
{
    const char *answer = api_call(api, action, body);

    if (answer[0] && answer[0] != '{')
        fail_msg("%s %.400s\nfails: %s", action, body, answer);
}

void api_begins(const char *answer, const char *start)
{
    if (strncmp(answer, start, strlen(start)) != 0)
        fail_msg("the answer does not begin with\n%s\nbut is\n%s", start, answer);
}

char *api_text(struct api *api, const char *name)
{
    char key[100];
    const char *start, *end;
    char *text;

    snprintf(key, sizeof key, "\"%s\":\"", name);
    start = strstr((const char *)api->text.data, key);
    if (!start)
        fail_msg("no %s in %s", name, (const char *)api->text.data);
    start += strlen(key);
    end = strchr(start, '"');
    text = mr_alloc((size_t)(end - start) + 1);
    memcpy(text, start, (size_t)(end - start));
    text[end - start] = 0;
    return text;
}

const char *api_event(struct api *api, uint32_t wait_ms)
{
    const struct mr_api_subscribe_to_shard_event *event;
    struct mr_subscription *subscription = api->subscription;
    enum mr_subscription_state state;
    struct mr_refusal refusal;

    api->text.size = 0;
    while ((state = subscription->next(subscription, &event, &refusal)) == MR_SUBSCRIPTION_WAIT) {
        if (!wait_for(&api->is_ready, wait_ms))
            break;
        atomic_store(&api->is_ready, 0);
    }
    if (state == MR_SUBSCRIPTION_EVENT)
        mr_encode(MR_FORMAT_JSON, MR_SHAPE_subscribe_to_shard_event, event, &api->text);
    else if (state == MR_SUBSCRIPTION_END && refusal.type)
        add_refusal(api, &refusal);
    else if (state == MR_SUBSCRIPTION_END)
        add_text(api, (mr_bytes){"END", 3});
    mr_pack_u8(&api->text, 0);
    return (const char *)api->text.data;
}
