/*
 * remote.c - the service over HTTP: opening, closing, and the loop of its thread, which owns libcurl
 * and every exchange that is under way.
 */
#include "wire/remote.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "os/entropy.h"

#include <limits.h>

/* Subscriptions come and go; so many connections without work are kept. */
#define IDLE_CONNECTIONS_MIN 16
#define WAIT_MAX_NS ((uint64_t)INT_MAX * 1000000)

static struct mr_remote *remote_of(mr_service *service)
{
    return (struct mr_remote *)(void *)service;
}

/* ---- calls -------------------------------------------------------------------------------- */

static void take_call(mr_service *service, struct mr_call *call)
{
    struct mr_remote *remote = remote_of(service);
    struct mr_exchange *exchange;

    call->refusal = (struct mr_refusal){0};
    call->response = NULL;
    call->subscription = NULL;
    if (!mr_request_check(call->action, call->request, call->arena, &call->refusal)) {
        call->done(call);
        return;
    }
    exchange = mr_exchange_new(remote, call);
    pthread_mutex_lock(&remote->inbox.lock);
    *remote->inbox.last = exchange;
    remote->inbox.last = &exchange->next;
    pthread_mutex_unlock(&remote->inbox.lock);
    curl_multi_wakeup(remote->multi);
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* Takes the calls that came; false: no more will. */
static bool take_inbox(struct mr_remote *remote)
{
    bool is_closing;

    pthread_mutex_lock(&remote->inbox.lock);
    if (remote->inbox.first) {
        *remote->ready_last = remote->inbox.first;
        remote->ready_last = remote->inbox.last;
        remote->inbox.first = NULL;
        remote->inbox.last = &remote->inbox.first;
    }
    is_closing = remote->inbox.is_closing;
    pthread_mutex_unlock(&remote->inbox.lock);
    return !is_closing;
}

static void make_ready(struct mr_remote *remote, struct mr_exchange *exchange)
{
    exchange->next = NULL;
    *remote->ready_last = exchange;
    remote->ready_last = &exchange->next;
}

/* Those whose time has come are ready again. */
static void wake_resting(struct mr_remote *remote)
{
    uint64_t now_ns = remote->clock->monotonic_ns(remote->clock);
    struct mr_exchange **at = &remote->resting, *exchange;

    while ((exchange = *at)) {
        if (exchange->begins_ns > now_ns) {
            at = &exchange->next;
            continue;
        }
        *at = exchange->next;
        make_ready(remote, exchange);
    }
}

static bool may_begin(const struct mr_remote *remote)
{
    return remote->ready && remote->active_count < remote->settings.numbers.connection_count;
}

/* Until one can begin that is not waiting for the network. */
static int wait_ms(const struct mr_remote *remote)
{
    uint64_t now_ns = remote->clock->monotonic_ns(remote->clock), least_ns = UINT64_MAX;

    if (may_begin(remote))
        return 0;
    for (struct mr_exchange *exchange = remote->resting; exchange; exchange = exchange->next)
        if (exchange->begins_ns < least_ns)
            least_ns = exchange->begins_ns;
    if (least_ns <= now_ns)
        return 0;
    return least_ns - now_ns < WAIT_MAX_NS ? (int)((least_ns - now_ns) / 1000000) + 1 : INT_MAX;
}

static void begin_ready(struct mr_remote *remote)
{
    struct mr_exchange *exchange;

    while (may_begin(remote)) {
        exchange = remote->ready;
        remote->ready = exchange->next;
        if (!remote->ready)
            remote->ready_last = &remote->ready;
        remote->active_count += !exchange->events;
        mr_exchange_begin(exchange);
    }
}

static void end_transfer(struct mr_remote *remote, struct mr_exchange *exchange, CURLcode code)
{
    struct mr_events *events = exchange->events;
    struct mr_call *call = exchange->call;

    curl_multi_remove_handle(remote->multi, exchange->easy);
    if (!call) { /* a subscription that runs */
        mr_events_end(events, code);
        mr_exchange_free(exchange);
        return;
    }
    remote->active_count -= !events;
    if (events)
        mr_events_restart(events);
    if (mr_exchange_end(exchange, code)) {
        mr_exchange_free(exchange);
        call->done(call);
        return;
    }
    exchange->next = remote->resting;
    remote->resting = exchange;
}

static void end_transfers(struct mr_remote *remote)
{
    struct mr_exchange *exchange;
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(remote->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        end_transfer(remote, exchange, message->data.result);
    }
}

static void *run(void *context)
{
    struct mr_remote *remote = context;
    int running_count;

    while (take_inbox(remote)) {
        wake_resting(remote);
        begin_ready(remote);
        mr_check(curl_multi_perform(remote->multi, &running_count) == CURLM_OK);
        mr_events_serve(remote);
        end_transfers(remote);
        mr_events_serve(remote);
        mr_check(curl_multi_poll(remote->multi, NULL, 0, wait_ms(remote), NULL) == CURLM_OK);
    }
    return NULL;
}

/* ---- open and close ----------------------------------------------------------------------- */

static void close_remote(mr_service *service)
{
    struct mr_remote *remote = remote_of(service);

    pthread_mutex_lock(&remote->inbox.lock);
    remote->inbox.is_closing = true;
    pthread_mutex_unlock(&remote->inbox.lock);
    curl_multi_wakeup(remote->multi);
    pthread_join(remote->thread, NULL);
    curl_multi_cleanup(remote->multi);
    pthread_mutex_destroy(&remote->inbox.lock);
    mr_remote_settings_fini(&remote->settings);
    mr_free(remote);
}

static void init_curl(void)
{
    mr_check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

mr_status mr_service_connect(mr_service **service, const struct mr_remote_config *config,
                             mr_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct mr_remote *remote = mr_new(struct mr_remote);
    mr_status status;
    uint64_t seed;

    pthread_once(&once, init_curl);
    status = mr_remote_settings_init(&remote->settings, config, error);
    if (status) {
        mr_free(remote);
        return status;
    }
    mr_entropy(&seed, sizeof seed);
    remote->random = mr_random_of(seed);
    remote->service = (struct mr_service){.call = take_call, .close = close_remote};
    remote->clock = mr_clock_real();
    remote->inbox.last = &remote->inbox.first;
    remote->ready_last = &remote->ready;
    pthread_mutex_init(&remote->inbox.lock, NULL);
    remote->multi = curl_multi_init();
    mr_check(remote->multi);
    curl_multi_setopt(remote->multi, CURLMOPT_MAXCONNECTS,
                      (long)remote->settings.numbers.connection_count + IDLE_CONNECTIONS_MIN);
    remote->thread = mr_thread_start("mr-remote", run, remote);
    *service = &remote->service;
    return MR_OK;
}
