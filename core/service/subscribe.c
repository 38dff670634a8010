/*
 * subscribe.c - SubscribeToShard: the records of a shard, pushed.
 *
 * A subscription holds one event. When that has been handed out and the next is asked for, a worker
 * reads on (FETCHING); if there is nothing, the subscription waits for the reader to ring, for the
 * moment of the next empty event, or for its end (WAITING). Whoever makes it FETCHING queues the
 * job, so that the reader has one user at a time.
 */
#include "base/memory.h"
#include "service/inside.h"

#include <string.h>

#define EVENT_BYTES ((size_t)1 << 20) /* of data; more if one record has more */
#define EVENT_EVERY_MS 5000
#define TAKE_OVER_MS 5000 /* then another call ends this subscription */
#define BYTES_PER_S ((uint32_t)2 << 20)
#define BATCH_COUNT 2000

enum stage { HELD, FETCHING, WAITING, PREPARED, ENDED };

struct mr_local_subscription {
    struct mr_subscription subscription; /* first */
    struct mr_local *local;
    struct mr_named named;
    uint32_t stream_id;
    int64_t consumer_created_ms;
    mr_shard_id shard;
    uint64_t began_ns, ends_ns, event_ns; /* event_ns: when the last event was made; 0: none */

    /* Of the worker that fetches: */
    mr_reader *reader;
    mr_batch batch;
    size_t taken; /* of the batch */
    struct mr_bucket bytes;
    struct mr_job job;

    /* Of whoever was given the event: */
    struct mr_arena arena;
    struct mr_api_subscribe_to_shard_event event;

    pthread_mutex_t lock;
    pthread_cond_t is_quiet;
    enum stage stage;
    bool wants_ready, is_rung, is_last, is_superseded, is_closing;
    uint32_t ringing_count; /* calls of ready() under way: one may bring the next before it ends */
    struct mr_refusal refusal; /* of the end */

    struct mr_alarm alarm;
    struct mr_local_subscription *next, **link; /* of all */
};

static struct mr_local_subscription *of(struct mr_subscription *subscription)
{
    return (struct mr_local_subscription *)(void *)subscription;
}

static uint64_t now_ns(const struct mr_local *local)
{
    return local->clock->monotonic_ns(local->clock);
}

/* ---- waking ------------------------------------------------------------------------------- */

/* Hold the lock. */
static void fetch_soon(struct mr_local_subscription *subscription)
{
    subscription->stage = FETCHING;
    mr_workers_add(subscription->local->workers, &subscription->job);
}

static void wake(struct mr_local_subscription *subscription)
{
    pthread_mutex_lock(&subscription->lock);
    if (subscription->stage == WAITING && !subscription->is_closing)
        fetch_soon(subscription);
    else
        subscription->is_rung = true;
    pthread_mutex_unlock(&subscription->lock);
}

static void ring_reader(void *context)
{
    wake(context);
}

static void ring_alarm(struct mr_alarm *alarm)
{
    wake((struct mr_local_subscription *)(void *)((char *)alarm -
                                                  offsetof(struct mr_local_subscription, alarm)));
}

void mr_subscriptions_wake(struct mr_local *local)
{
    pthread_mutex_lock(&local->subscriptions.lock);
    for (struct mr_local_subscription *each = local->subscriptions.first; each; each = each->next)
        wake(each);
    pthread_mutex_unlock(&local->subscriptions.lock);
}

/* ---- fetching ----------------------------------------------------------------------------- */

enum fetched { FETCHED_EVENT, FETCHED_NOTHING, FETCHED_END };

/* Its stream and its consumer are there, and not about to go. */
static bool is_subscribed(struct mr_local_subscription *subscription, bool *is_encrypted)
{
    struct mr_local *local = subscription->local;
    int64_t now_ms = mr_local_now_ms(local);
    struct mr_local_stream *stream;
    struct mr_local_consumer *consumer = NULL;

    pthread_rwlock_rdlock(&local->lock);
    stream = mr_local_find(local, subscription->named.name);
    if (stream && stream->id == subscription->stream_id)
        consumer = mr_local_consumer_find(local, stream, subscription->named.consumer);
    if (consumer && (consumer->created_ms != subscription->consumer_created_ms ||
                     mr_phase_at(&consumer->phase, now_ms) == STATUS_DELETING))
        consumer = NULL;
    *is_encrypted = consumer && stream->is_encrypted;
    pthread_rwlock_unlock(&local->lock);
    return consumer;
}

static enum fetched end_with(struct mr_local_subscription *subscription, enum mr_exception type,
                             const char *text)
{
    subscription->refusal =
        (struct mr_refusal){type, mr_arena_copy(&subscription->arena, mr_text(text))};
    return FETCHED_END;
}

/* A stand-in, so that what answers calls answers events, too. */
static struct mr_call call_of(struct mr_local_subscription *subscription)
{
    return (struct mr_call){.action = MR_ACTION_SUBSCRIBE_TO_SHARD, .arena = &subscription->arena};
}

/* The last event: no more to go on from, but the children (K3). */
static void make_last(struct mr_local_subscription *subscription)
{
    struct mr_api_subscribe_to_shard_event *event = &subscription->event;
    struct mr_call call = call_of(subscription);
    struct mr_shard_view view;

    event->continuation_sequence_number = (mr_bytes){0};
    event->millis_behind_latest = MR_NUMBER(0);
    if (!mr_shard_look(subscription->local->engine, subscription->named.name, subscription->shard,
                       &view, NULL))
        event->child_shards = mr_children_of(&call, &view, &event->child_shards_count);
    subscription->is_last = true;
}

static void count_event(struct mr_local_subscription *subscription, uint64_t bytes)
{
    const struct mr_api_subscribe_to_shard_event *event = &subscription->event;
    struct mr_meter *meter = &subscription->local->meter;
    struct mr_stream_meter *stream = mr_meter_begin(meter, subscription->named.name);
    uint64_t *consumer = mr_meter_consumer(stream, subscription->named.consumer);
    uint64_t *shard = mr_meter_shard(stream, subscription->shard);

    consumer[MR_CONSUMER_EVENT_SUCCESS]++;
    consumer[MR_CONSUMER_EVENT_BYTES] += bytes;
    consumer[MR_CONSUMER_EVENT_RECORDS] += event->records_count;
    consumer[MR_CONSUMER_EVENT_BEHIND] = (uint64_t)event->millis_behind_latest.value;
    shard[MR_SHARD_OUTGOING_BYTES] += bytes;
    shard[MR_SHARD_OUTGOING_RECORDS] += event->records_count;
    mr_meter_end(meter);
}

/* An event of what is left of the batch, as much as an event holds. */
static enum fetched make_event(struct mr_local_subscription *subscription, bool is_encrypted)
{
    struct mr_api_subscribe_to_shard_event *event = &subscription->event;
    size_t left = subscription->batch.count - subscription->taken, bytes = 0;
    struct mr_call call = call_of(subscription);
    mr_sequence reached = mr_reader_position(subscription->reader);

    *event = (struct mr_api_subscribe_to_shard_event){
        .records = mr_arena_array(&subscription->arena, struct mr_api_record, left),
        .millis_behind_latest = MR_NUMBER(subscription->batch.behind_ms)};
    for (; left > 0 && bytes < EVENT_BYTES; left--) {
        const mr_record *record = &subscription->batch.records[subscription->taken++];
        struct mr_api_record *answer = &event->records[event->records_count++];

        *answer = (struct mr_api_record){
            .sequence_number = mr_sequence_text(&call, &record->sequence),
            .data = record->data, /* it stays where it is until the next event */
            .approximate_arrival_timestamp = MR_NUMBER(record->arrival_ms)};
        if (!answer->data.data)
            answer->data.data = "";
        if (record->partition_key.size > 0)
            answer->partition_key = record->partition_key;
        if (is_encrypted)
            answer->encryption_type = mr_text("KMS");
        bytes += record->data.size + record->partition_key.size;
        reached = record->sequence;
    }
    if (left == 0 && subscription->batch.end_of_shard && event->records_count == 0)
        make_last(subscription);
    else
        event->continuation_sequence_number = mr_sequence_text(&call, &reached); /* K4 */
    if (subscription->local->config.limit_fan_out)
        mr_bucket_charge(&subscription->bytes, now_ns(subscription->local), BYTES_PER_S, bytes);
    subscription->event_ns = now_ns(subscription->local);
    count_event(subscription, bytes);
    return FETCHED_EVENT;
}

static enum fetched fetch_batch(struct mr_local_subscription *subscription)
{
    mr_error error;
    mr_status status;

    subscription->taken = 0;
    subscription->batch = (mr_batch){0};
    status = mr_reader_next(subscription->reader, BATCH_COUNT, 0, &subscription->batch, &error);
    if (status == MR_CLOSED || status == MR_NOT_FOUND)
        return end_with(subscription, MR_EXCEPTION_NOT_FOUND, error.message);
    if (status == MR_NO_KEY)
        return end_with(subscription, MR_EXCEPTION_KMS_NOT_FOUND, error.message);
    if (status)
        return end_with(subscription, MR_EXCEPTION_INTERNAL_FAILURE, error.message);
    return subscription->batch.count > 0 || subscription->batch.end_of_shard ? FETCHED_EVENT
                                                                             : FETCHED_NOTHING;
}

static enum fetched fetch(struct mr_local_subscription *subscription)
{
    struct mr_local *local = subscription->local;
    uint64_t now = now_ns(local);
    bool is_encrypted, is_due, is_superseded;
    enum fetched fetched = FETCHED_EVENT;

    pthread_mutex_lock(&subscription->lock);
    is_superseded = subscription->is_superseded;
    pthread_mutex_unlock(&subscription->lock);
    mr_arena_reset(&subscription->arena);
    if (subscription->is_last || is_superseded || now >= subscription->ends_ns)
        return FETCHED_END;
    if (!is_subscribed(subscription, &is_encrypted))
        return end_with(subscription, MR_EXCEPTION_NOT_FOUND,
                        "The consumer or its stream does not exist any more.");
    is_due = !subscription->event_ns ||
             now - subscription->event_ns >= (uint64_t)EVENT_EVERY_MS * 1000000;
    if (local->config.limit_fan_out && !mr_bucket_has_some(&subscription->bytes, now, BYTES_PER_S))
        return FETCHED_NOTHING;
    if (subscription->taken == subscription->batch.count)
        fetched = fetch_batch(subscription);
    if (fetched == FETCHED_NOTHING && is_due)
        fetched = FETCHED_EVENT;
    return fetched == FETCHED_EVENT ? make_event(subscription, is_encrypted) : fetched;
}

/* How long until something is to be done even if nobody rings. */
static uint32_t patience_ms(const struct mr_local_subscription *subscription)
{
    uint64_t now = now_ns(subscription->local);
    uint64_t until = subscription->event_ns + (uint64_t)EVENT_EVERY_MS * 1000000;

    if (!mr_bucket_has_some(&subscription->bytes, now, BYTES_PER_S))
        return 20;
    if (until > subscription->ends_ns)
        until = subscription->ends_ns;
    return until > now ? (uint32_t)((until - now) / 1000000) + 1 : 1;
}

/* Nothing to give: waits, unless somebody rang meanwhile. True: it waits. */
static bool wait_for_more(struct mr_local_subscription *subscription)
{
    bool waits;

    if (subscription->taken == subscription->batch.count)
        mr_reader_watch(subscription->reader, ring_reader, subscription);
    pthread_mutex_lock(&subscription->lock);
    waits = !subscription->is_rung;
    subscription->is_rung = false;
    if (waits) {
        subscription->stage = WAITING;
        mr_local_alarm(subscription->local, &subscription->alarm, patience_ms(subscription));
        pthread_cond_broadcast(&subscription->is_quiet);
    }
    pthread_mutex_unlock(&subscription->lock);
    return waits;
}

static void work(struct mr_job *job)
{
    struct mr_local_subscription *subscription =
        (struct mr_local_subscription *)(void *)((char *)job -
                                                 offsetof(struct mr_local_subscription, job));
    enum fetched fetched;
    bool rings;

    do
        fetched = fetch(subscription);
    while (fetched == FETCHED_NOTHING && !wait_for_more(subscription));
    if (fetched == FETCHED_NOTHING)
        return; /* it may be fetching again, or gone, by now */

    pthread_mutex_lock(&subscription->lock);
    subscription->stage = fetched == FETCHED_END ? ENDED : PREPARED;
    rings = subscription->wants_ready && !subscription->is_closing;
    subscription->wants_ready = false;
    subscription->ringing_count += rings;
    if (!rings)
        pthread_cond_broadcast(&subscription->is_quiet);
    pthread_mutex_unlock(&subscription->lock);
    if (!rings)
        return; /* who closes it waits for fetching and ringing only: it may be gone by now */

    subscription->subscription.ready(subscription->subscription.ready_context);
    pthread_mutex_lock(&subscription->lock);
    subscription->ringing_count--;
    pthread_cond_broadcast(&subscription->is_quiet);
    pthread_mutex_unlock(&subscription->lock);
}

/* ---- the subscriber's side ---------------------------------------------------------------- */

static enum mr_subscription_state next(struct mr_subscription *base,
                                       const struct mr_api_subscribe_to_shard_event **event,
                                       struct mr_refusal *refusal)
{
    struct mr_local_subscription *subscription = of(base);
    enum mr_subscription_state state = MR_SUBSCRIPTION_WAIT;

    pthread_mutex_lock(&subscription->lock);
    if (subscription->stage == PREPARED) {
        subscription->stage = HELD;
        *event = &subscription->event;
        state = MR_SUBSCRIPTION_EVENT;
    } else if (subscription->stage == ENDED) {
        *refusal = subscription->refusal;
        state = MR_SUBSCRIPTION_END;
    } else {
        subscription->wants_ready = true;
        if (subscription->stage == HELD)
            fetch_soon(subscription);
    }
    pthread_mutex_unlock(&subscription->lock);
    return state;
}

static void take_off(struct mr_local_subscription *subscription)
{
    pthread_mutex_lock(&subscription->local->subscriptions.lock);
    *subscription->link = subscription->next;
    if (subscription->next)
        subscription->next->link = subscription->link;
    pthread_mutex_unlock(&subscription->local->subscriptions.lock);
}

static void close_subscription(struct mr_subscription *base)
{
    struct mr_local_subscription *subscription = of(base);

    take_off(subscription);
    pthread_mutex_lock(&subscription->lock);
    subscription->is_closing = true;
    while (subscription->stage == FETCHING || subscription->ringing_count > 0)
        pthread_cond_wait(&subscription->is_quiet, &subscription->lock);
    pthread_mutex_unlock(&subscription->lock);
    mr_alarm_stop(subscription->local->alarms, &subscription->alarm);
    mr_reader_watch(subscription->reader, NULL, NULL);
    mr_reader_close(subscription->reader);
    pthread_cond_destroy(&subscription->is_quiet);
    pthread_mutex_destroy(&subscription->lock);
    mr_arena_fini(&subscription->arena);
    mr_free(subscription);
}

/* ---- SubscribeToShard --------------------------------------------------------------------- */

static bool look(struct mr_local *local, struct mr_call *call, struct mr_named *named,
                 struct mr_local_stream *stream, struct mr_local_consumer *consumer)
{
    const struct mr_api_subscribe_to_shard_request *request = call->request;
    const struct mr_local_consumer *found;

    if (!mr_name_resource(local, call, request->consumer_arn, named) ||
        !mr_local_look(local, call, named, false, stream))
        return false;
    found = mr_local_consumer_find(local, stream, named->consumer);
    if (!found || found->created_ms / 1000 != named->consumer_created_s)
        return mr_refuse(call, MR_EXCEPTION_NOT_FOUND, "Consumer %s, account %s not found.",
                         named->consumer, local->account);
    *consumer = *found;
    if (mr_phase_at(&found->phase, mr_local_now_ms(local)) == STATUS_ACTIVE)
        return true;
    return mr_refuse(call, MR_EXCEPTION_IN_USE,
                     "Consumer %s under account %s not ACTIVE, instead in state %s",
                     named->consumer, local->account,
                     mr_status_kind_name(mr_phase_at(&found->phase, mr_local_now_ms(local))));
}

/* Adds it to all; one that is there for the same consumer and shard must give way, or is too new
 * for that. */
static bool put_on(struct mr_local *local, struct mr_call *call,
                   struct mr_local_subscription *subscription)
{
    struct mr_local_subscription *each, *old = NULL;
    char shard[MR_SHARD_TEXT_BYTES];
    bool is_free;

    pthread_mutex_lock(&local->subscriptions.lock);
    for (each = local->subscriptions.first; each && !old; each = each->next)
        if (each->shard == subscription->shard && each->stream_id == subscription->stream_id &&
            !each->is_superseded && strcmp(each->named.consumer, subscription->named.consumer) == 0)
            old = each;
    is_free = !old || !local->config.limit_fan_out ||
              subscription->began_ns - old->began_ns >= (uint64_t)TAKE_OVER_MS * 1000000;
    if (is_free) {
        if (old) {
            pthread_mutex_lock(&old->lock);
            old->is_superseded = true;
            pthread_mutex_unlock(&old->lock);
            wake(old);
        }
        subscription->link = &local->subscriptions.first;
        subscription->next = local->subscriptions.first;
        if (subscription->next)
            subscription->next->link = &subscription->next;
        local->subscriptions.first = subscription;
    }
    pthread_mutex_unlock(&local->subscriptions.lock);
    mr_shard_format(subscription->shard, shard);
    return is_free ||
           mr_refuse(call, MR_EXCEPTION_IN_USE,
                     "Another active subscription exists for this consumer: %s:%s:%s:%s",
                     local->account, subscription->named.name, shard, subscription->named.consumer);
}

static void count_subscription(struct mr_local *local, const struct mr_named *named,
                               enum mr_consumer_figure figure)
{
    mr_meter_consumer(mr_meter_begin(&local->meter, named->name), named->consumer)[figure]++;
    mr_meter_end(&local->meter);
}

static void begin(struct mr_local *local, struct mr_call *call, const struct mr_named *named,
                  const struct mr_local_stream *stream, const struct mr_local_consumer *consumer,
                  mr_reader *reader, mr_shard_id shard)
{
    struct mr_local_subscription *subscription = mr_new(struct mr_local_subscription);

    subscription->subscription =
        (struct mr_subscription){.next = next, .close = close_subscription};
    subscription->local = local;
    subscription->named = *named;
    subscription->stream_id = stream->id;
    subscription->consumer_created_ms = consumer->created_ms;
    subscription->shard = shard;
    subscription->began_ns = now_ns(local);
    subscription->ends_ns = subscription->began_ns + (uint64_t)local->config.fan_out_s * 1000000000;
    subscription->reader = reader;
    subscription->job.run = work;
    subscription->alarm.ring = ring_alarm;
    subscription->arena = MR_ARENA((size_t)64 << 20);
    pthread_mutex_init(&subscription->lock, NULL);
    pthread_cond_init(&subscription->is_quiet, NULL);
    if (put_on(local, call, subscription)) {
        call->subscription = &subscription->subscription;
        count_subscription(local, named, MR_CONSUMER_SUBSCRIBE_SUCCESS);
        return;
    }
    count_subscription(local, named, MR_CONSUMER_SUBSCRIBE_EXCEEDED);
    mr_reader_close(reader);
    pthread_cond_destroy(&subscription->is_quiet);
    pthread_mutex_destroy(&subscription->lock);
    mr_free(subscription);
}

static bool find_position(struct mr_local *local, struct mr_call *call,
                          const struct mr_named *named, mr_shard_id id, mr_position *position)
{
    const struct mr_api_subscribe_to_shard_request *request = call->request;
    const struct mr_api_starting_position *asked = request->starting_position;
    const struct mr_asked position_asked = {asked->type, asked->sequence_number, asked->timestamp,
                                            "SubscribeToShard"};
    char text[MR_SHARD_TEXT_BYTES];
    struct mr_shard_view view;

    if (!mr_shard_look(local->engine, named->name, id, &view, NULL))
        return mr_position_of(local, call, named->name, &view.shard, &position_asked, position);
    mr_shard_format(id, text);
    return mr_refuse(call, MR_EXCEPTION_NOT_FOUND,
                     "Shard %s in stream %s under account %s does not exist", text, named->name,
                     local->account);
}

void mr_do_subscribe_to_shard(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_subscribe_to_shard_request *request = call->request;
    struct mr_reader_config config = {0};
    struct mr_local_consumer consumer = {0};
    struct mr_local_stream stream;
    struct mr_named named;
    mr_reader *reader;
    mr_shard_id shard;
    mr_error error;
    mr_status status;

    if (!look(local, call, &named, &stream, &consumer))
        return;
    if (!mr_shard_id_of(request->shard_id, &shard)) {
        mr_refuse(call, MR_EXCEPTION_NOT_FOUND,
                  "Could not find shard %.*s in stream %s under account %s.",
                  TEXT(request->shard_id), named.name, local->account);
        return;
    }
    if (!find_position(local, call, &named, shard, &config.from) ||
        !mr_goes_on(call, request->dry_run))
        return;
    status = mr_reader_open(&reader, local->engine, named.name, shard, &config, &error);
    if (status)
        mr_refuse_status(local, call, named.name, status, &error);
    else
        begin(local, call, &named, &stream, &consumer, reader, shard);
}
