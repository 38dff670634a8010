/*
 * subscribe.c - the source that is SubscribeToShard: events as they are pushed; after five minutes, or
 * when the connection breaks, another subscription from the continuation number of the last event.
 */
#include "inside.h"

#include "base/fail.h"
#include "base/memory.h"

#include <string.h>

#define ANSWER_BYTES_MAX ((size_t)4 << 20)
#define AGAIN_MS 1000 /* after a refusal */

struct subscribe {
    struct mr_fetch fetch; /* first */
    struct mr_fetch_from from;
    mr_mark after; /* where the next subscription begins */
    bool is_exact, is_at_end;
    uint64_t next_call_ns;

    pthread_mutex_t lock; /* of all below */
    struct mr_arena arena;
    struct mr_call call;
    struct mr_api_subscribe_to_shard_request request;
    struct mr_api_starting_position position;
    char shard[MR_SHARD_TEXT_BYTES];
    bool is_flying, is_closed;
    struct mr_subscription *subscription;
    mr_error error; /* status MR_OK: none */
};

static struct subscribe *subscribe_of(struct mr_fetch *fetch)
{
    return (struct subscribe *)(void *)fetch;
}

static void free_subscribe(struct subscribe *subscribe)
{
    if (subscribe->subscription)
        subscribe->subscription->close(subscribe->subscription);
    mr_arena_fini(&subscribe->arena);
    pthread_mutex_destroy(&subscribe->lock);
    mr_free(subscribe);
}

/* ---- subscribing -------------------------------------------------------------------------- */

static void done(struct mr_call *call)
{
    struct subscribe *subscribe = call->context;
    struct mr_consumer *consumer = subscribe->from.consumer;
    bool is_closed;

    pthread_mutex_lock(&subscribe->lock);
    subscribe->is_flying = false;
    is_closed = subscribe->is_closed;
    subscribe->subscription = call->subscription;
    if (call->refusal.type)
        mr_refusal_status(&call->refusal, &subscribe->error);
    if (subscribe->subscription) {
        subscribe->subscription->ready = subscribe->from.ready;
        subscribe->subscription->ready_context = subscribe->from.context;
    }
    if (!is_closed)
        subscribe->from.ready(subscribe->from.context);
    pthread_mutex_unlock(&subscribe->lock);
    if (is_closed)
        free_subscribe(subscribe);
    if (atomic_fetch_sub(&consumer->calls, 1) == 1)
        mr_consumer_look(consumer);
}

static void begin(struct subscribe *subscribe)
{
    struct mr_consumer *consumer = subscribe->from.consumer;
    struct mr_clock *clock = consumer->clock;

    mr_arena_reset(&subscribe->arena);
    subscribe->position = mr_fetch_position(&subscribe->arena, &subscribe->after,
                                            subscribe->from.began_ms, subscribe->is_exact);
    subscribe->request = (struct mr_api_subscribe_to_shard_request){
        .consumer_arn = mr_bytes_of(consumer->fan_out_arn),
        .shard_id = mr_bytes_of(subscribe->shard),
        .starting_position = &subscribe->position};
    subscribe->call = (struct mr_call){.action = MR_ACTION_SUBSCRIBE_TO_SHARD,
                                       .request = &subscribe->request,
                                       .arena = &subscribe->arena,
                                       .done = done,
                                       .context = subscribe};
    /* Should it break before the first event, what came since is not to be missed. */
    if (subscribe->after.kind == MR_MARK_LATEST && subscribe->from.began_ms == 0)
        subscribe->from.began_ms = clock->wall_ms(clock);
    subscribe->is_flying = true;
    consumer->calls++;
    consumer->service->call(consumer->service, &subscribe->call);
}

/* ---- events ------------------------------------------------------------------------------- */

static enum mr_fetch_state take_event(struct subscribe *subscribe,
                                      const struct mr_api_subscribe_to_shard_event *event,
                                      struct mr_fetched *fetched)
{
    fetched->shown = event->records;
    fetched->count = event->records_count;
    fetched->behind_ms = event->millis_behind_latest.value;
    if (event->continuation_sequence_number.data) {
        if (mr_mark_read(event->continuation_sequence_number, &subscribe->after))
            subscribe->is_exact = true;
    } else {
        subscribe->is_at_end = true;
    }
    return MR_FETCH_RECORDS;
}

/* Its five minutes are over, or it broke. */
static enum mr_fetch_state take_end(struct subscribe *subscribe, const struct mr_refusal *refusal,
                                    struct mr_fetched *fetched, mr_error *error)
{
    struct mr_consumer *consumer = subscribe->from.consumer;

    subscribe->subscription->close(subscribe->subscription);
    subscribe->subscription = NULL;
    if (subscribe->is_at_end)
        return MR_FETCH_END;
    if (mr_refusal_status(refusal, error) == MR_NOT_FOUND)
        return MR_FETCH_FAILED;
    subscribe->next_call_ns =
        mr_consumer_now_ns(consumer) + (refusal->type ? AGAIN_MS * UINT64_C(1000000) : 0);
    fetched->due_ns = subscribe->next_call_ns;
    return MR_FETCH_WAIT;
}

static enum mr_fetch_state read_on(struct subscribe *subscribe, struct mr_fetched *fetched,
                                   mr_error *error)
{
    const struct mr_api_subscribe_to_shard_event *event;
    struct mr_refusal refusal = {0};

    switch (subscribe->subscription->next(subscribe->subscription, &event, &refusal)) {
    case MR_SUBSCRIPTION_EVENT:
        return take_event(subscribe, event, fetched);
    case MR_SUBSCRIPTION_WAIT:
        return MR_FETCH_WAIT;
    case MR_SUBSCRIPTION_END:
        break;
    }
    return take_end(subscribe, &refusal, fetched, error);
}

/* ---- the source --------------------------------------------------------------------------- */

/* A refusal: some other subscription is still there, or worse. */
static enum mr_fetch_state take_error(struct subscribe *subscribe, struct mr_fetched *fetched,
                                      mr_error *error)
{
    struct mr_consumer *consumer = subscribe->from.consumer;

    *error = subscribe->error;
    subscribe->error.status = MR_OK;
    if (error->status != MR_BUSY && error->status != MR_THROTTLED)
        return MR_FETCH_FAILED;
    consumer->throttled_count++;
    fetched->due_ns = subscribe->next_call_ns =
        mr_consumer_now_ns(consumer) + AGAIN_MS * UINT64_C(1000000);
    return MR_FETCH_WAIT;
}

static enum mr_fetch_state next(struct mr_fetch *fetch, struct mr_fetched *fetched, mr_error *error)
{
    struct subscribe *subscribe = subscribe_of(fetch);
    bool is_flying, is_there, has_error;

    *fetched = (struct mr_fetched){.due_ns = UINT64_MAX};
    pthread_mutex_lock(&subscribe->lock);
    is_flying = subscribe->is_flying;
    is_there = subscribe->subscription;
    has_error = subscribe->error.status;
    pthread_mutex_unlock(&subscribe->lock);
    if (is_flying)
        return MR_FETCH_WAIT;
    if (is_there)
        return read_on(subscribe, fetched, error);
    if (has_error)
        return take_error(subscribe, fetched, error);
    if (mr_consumer_now_ns(subscribe->from.consumer) >= subscribe->next_call_ns)
        begin(subscribe);
    else
        fetched->due_ns = subscribe->next_call_ns;
    return MR_FETCH_WAIT;
}

static void close_fetch(struct mr_fetch *fetch)
{
    struct subscribe *subscribe = subscribe_of(fetch);
    bool is_flying;

    pthread_mutex_lock(&subscribe->lock);
    is_flying = subscribe->is_flying;
    subscribe->is_closed = true;
    pthread_mutex_unlock(&subscribe->lock);
    if (!is_flying)
        free_subscribe(subscribe); /* else done() does */
}

mr_status mr_fetch_subscribe(struct mr_fetch **fetch, const struct mr_fetch_from *from,
                             mr_error *error)
{
    struct subscribe *subscribe;

    if (!from->consumer->fan_out_arn)
        return mr_fail(error, MR_UNAVAILABLE, "the consumer is not registered yet");
    subscribe = mr_new(struct subscribe);
    subscribe->fetch = (struct mr_fetch){.next = next, .close = close_fetch};
    subscribe->from = *from;
    subscribe->after = from->after;
    subscribe->arena = MR_ARENA(ANSWER_BYTES_MAX);
    mr_shard_format(from->shard, subscribe->shard);
    pthread_mutex_init(&subscribe->lock, NULL);
    *fetch = &subscribe->fetch;
    return MR_OK;
}
