/*
 * poll.c - the source that is GetRecords: one call ahead of what is delivered, at most one in call_ms
 * (5 a second is what a shard allows all its readers together), rarely where nothing new comes.
 */
#include "inside.h"

#include "base/fail.h"
#include "base/memory.h"

#include <string.h>

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define ITERATOR_BYTES_MAX 512
#define BACK_OFF_MS_MAX 5000
#define NONE (-1)

struct answer {
    struct mr_arena arena;
    struct mr_call call;
    struct mr_api_get_shard_iterator_request iterator;
    struct mr_api_get_records_request records;
    struct poll *poll;
};

struct poll {
    struct mr_fetch fetch; /* first */
    struct mr_fetch_from from;
    pthread_mutex_t lock; /* of all below */
    struct answer answers[2];
    int given, ready;                      /* indexes: what the task has; what is next for it */
    bool is_flying, is_at_end, is_closed;  /* is_flying: a call is under way */
    char iterator[ITERATOR_BYTES_MAX + 1]; /* "": to be got */
    mr_mark after;                         /* where to get one */
    bool is_exact;                         /* `after` has been seen, whole */
    uint64_t next_call_ns;
    uint32_t throttled; /* in a row */
    mr_error error;     /* status MR_OK: none */
};

static struct poll *poll_of(struct mr_fetch *fetch)
{
    return (struct poll *)(void *)fetch;
}

static uint64_t after_ms(const struct poll *poll, uint64_t ms)
{
    return mr_consumer_now_ns(poll->from.consumer) + ms * 1000000;
}

struct mr_api_starting_position mr_fetch_position(struct mr_arena *arena, const mr_mark *after,
                                                  int64_t began_ms, bool is_exact)
{
    struct mr_api_starting_position position = {.type = mr_bytes_of("TRIM_HORIZON")};
    char text[MR_MARK_TEXT_BYTES];

    if (after->kind == MR_MARK_RECORD) {
        mr_mark_format(after, text);
        position.type = mr_bytes_of(is_exact ? "AFTER_SEQUENCE_NUMBER" : "AT_SEQUENCE_NUMBER");
        position.sequence_number = mr_arena_copy(arena, mr_bytes_of(text));
    } else if (after->kind == MR_MARK_AT_TIME || (after->kind == MR_MARK_LATEST && began_ms > 0)) {
        position.type = mr_bytes_of("AT_TIMESTAMP");
        position.timestamp = MR_NUMBER(began_ms);
    } else if (after->kind == MR_MARK_LATEST) {
        position.type = mr_bytes_of("LATEST");
    }
    return position;
}

/* ---- calls -------------------------------------------------------------------------------- */

static void free_poll(struct poll *poll)
{
    for (int i = 0; i < 2; i++)
        mr_arena_fini(&poll->answers[i].arena);
    pthread_mutex_destroy(&poll->lock);
    mr_free(poll);
}

static void make_request(struct poll *poll, struct answer *answer)
{
    struct mr_consumer *consumer = poll->from.consumer;
    struct mr_api_starting_position position;
    char shard[MR_SHARD_TEXT_BYTES];

    mr_arena_reset(&answer->arena);
    if (poll->iterator[0]) {
        answer->records = (struct mr_api_get_records_request){
            .shard_iterator = mr_arena_copy(&answer->arena, mr_bytes_of(poll->iterator)),
            .limit = MR_NUMBER(consumer->config.batch_count_max)};
        answer->call.action = MR_ACTION_GET_RECORDS;
        answer->call.request = &answer->records;
        return;
    }
    position = mr_fetch_position(&answer->arena, &poll->after, poll->from.began_ms, poll->is_exact);
    mr_shard_format(poll->from.shard, shard);
    answer->iterator = (struct mr_api_get_shard_iterator_request){
        .stream_name = mr_bytes_of(consumer->stream),
        .shard_id = mr_arena_copy(&answer->arena, mr_bytes_of(shard)),
        .shard_iterator_type = position.type,
        .starting_sequence_number = position.sequence_number,
        .timestamp = position.timestamp};
    answer->call.action = MR_ACTION_GET_SHARD_ITERATOR;
    answer->call.request = &answer->iterator;
}

static void done(struct mr_call *call);

/* Hold the lock; it is released meanwhile, for the answer may come at once. */
static void call(struct poll *poll)
{
    struct mr_consumer *consumer = poll->from.consumer;
    struct answer *answer = &poll->answers[poll->given == 0];

    answer->call = (struct mr_call){.arena = &answer->arena, .done = done, .context = answer};
    make_request(poll, answer);
    poll->is_flying = true;
    if (answer->call.action == MR_ACTION_GET_RECORDS)
        poll->next_call_ns = after_ms(poll, consumer->config.call_ms);
    consumer->calls++;
    pthread_mutex_unlock(&poll->lock);
    consumer->service->call(consumer->service, &answer->call);
    pthread_mutex_lock(&poll->lock);
}

static bool may_call(const struct poll *poll)
{
    return !poll->is_flying && poll->ready == NONE && !poll->is_at_end && !poll->error.status;
}

/* ---- answers ------------------------------------------------------------------------------ */

static void take_refusal(struct poll *poll, const struct mr_refusal *refusal)
{
    struct mr_consumer *consumer = poll->from.consumer;
    uint64_t ms = (uint64_t)(consumer->config.call_ms + 1)
                  << (poll->throttled < 10 ? poll->throttled : 10);

    switch (mr_refusal_status(refusal, &poll->error)) {
    case MR_EXPIRED:
        poll->iterator[0] = 0;
        poll->error.status = MR_OK;
        break;
    case MR_THROTTLED:
        consumer->throttled_count++;
        poll->throttled++;
        poll->next_call_ns = after_ms(poll, ms < BACK_OFF_MS_MAX ? ms : BACK_OFF_MS_MAX);
        poll->error.status = MR_OK;
        break;
    default:
        poll->iterator[0] = 0;
    }
}

static void take_iterator(struct poll *poll, mr_bytes iterator)
{
    size_t size = iterator.size <= ITERATOR_BYTES_MAX ? iterator.size : 0;

    if (size > 0)
        memcpy(poll->iterator, iterator.data, size);
    poll->iterator[size] = 0;
}

/* The first iterator: what comes from now on is not to be missed, should we need another. */
static void take_first(struct poll *poll, const struct answer *answer)
{
    const struct mr_api_get_shard_iterator_response *response = answer->call.response;
    struct mr_clock *clock = poll->from.consumer->clock;

    take_iterator(poll, response->shard_iterator);
    if (poll->after.kind == MR_MARK_LATEST && poll->from.began_ms == 0)
        poll->from.began_ms = clock->wall_ms(clock);
    if (!poll->iterator[0])
        mr_fail(&poll->error, MR_UNAVAILABLE, "GetShardIterator answers without an iterator");
}

static void take_records(struct poll *poll, struct answer *answer)
{
    const struct mr_api_get_records_response *response = answer->call.response;
    uint32_t poll_ms = poll->from.consumer->config.poll_ms;
    size_t count = response->records_count;

    poll->throttled = 0;
    poll->ready = (int)(answer - poll->answers);
    poll->is_at_end = !response->next_shard_iterator.data;
    take_iterator(poll, response->next_shard_iterator);
    if (count > 0) {
        if (mr_mark_read(response->records[count - 1].sequence_number, &poll->after))
            poll->is_exact = true;
    } else if (response->millis_behind_latest.value == 0 && !poll->is_at_end) {
        uint64_t idle_ns = after_ms(poll, poll_ms);

        if (idle_ns > poll->next_call_ns)
            poll->next_call_ns = idle_ns;
    }
}

static void done(struct mr_call *call_done)
{
    struct answer *answer = call_done->context;
    struct poll *poll = answer->poll;
    struct mr_consumer *consumer = poll->from.consumer;
    bool is_closed;

    pthread_mutex_lock(&poll->lock);
    poll->is_flying = false;
    is_closed = poll->is_closed;
    if (call_done->refusal.type)
        take_refusal(poll, &call_done->refusal);
    else if (call_done->action == MR_ACTION_GET_SHARD_ITERATOR)
        take_first(poll, answer);
    else
        take_records(poll, answer);
    if (!is_closed)
        poll->from.ready(poll->from.context);
    pthread_mutex_unlock(&poll->lock);
    if (is_closed)
        free_poll(poll);
    if (atomic_fetch_sub(&consumer->calls, 1) == 1)
        mr_consumer_look(consumer);
}

/* ---- the source --------------------------------------------------------------------------- */

static enum mr_fetch_state give(struct poll *poll, struct mr_fetched *fetched)
{
    const struct mr_api_get_records_response *response = poll->answers[poll->ready].call.response;

    poll->given = poll->ready;
    poll->ready = NONE;
    fetched->shown = response->records;
    fetched->count = response->records_count;
    fetched->behind_ms = response->millis_behind_latest.value;
    return MR_FETCH_RECORDS;
}

/* Calls ahead if it is time for it; else says when it will be. */
static void go_on(struct poll *poll, struct mr_fetched *fetched)
{
    if (!may_call(poll))
        return;
    if (mr_consumer_now_ns(poll->from.consumer) >= poll->next_call_ns)
        call(poll);
    else
        fetched->due_ns = poll->next_call_ns;
}

static enum mr_fetch_state next(struct mr_fetch *fetch, struct mr_fetched *fetched, mr_error *error)
{
    struct poll *poll = poll_of(fetch);
    enum mr_fetch_state state = MR_FETCH_WAIT;

    *fetched = (struct mr_fetched){.due_ns = UINT64_MAX};
    pthread_mutex_lock(&poll->lock);
    poll->given = NONE;
    if (poll->ready != NONE)
        state = give(poll, fetched);
    else if (poll->error.status)
        state = MR_FETCH_FAILED;
    else if (poll->is_at_end)
        state = MR_FETCH_END;
    if (state == MR_FETCH_FAILED) {
        *error = poll->error;
        poll->error.status = MR_OK;
    }
    if (state == MR_FETCH_WAIT || state == MR_FETCH_RECORDS)
        go_on(poll, fetched);
    pthread_mutex_unlock(&poll->lock);
    return state;
}

static void due(struct mr_fetch *fetch)
{
    struct poll *poll = poll_of(fetch);

    pthread_mutex_lock(&poll->lock);
    if (may_call(poll) && mr_consumer_now_ns(poll->from.consumer) >= poll->next_call_ns)
        call(poll);
    pthread_mutex_unlock(&poll->lock);
}

static void close_fetch(struct mr_fetch *fetch)
{
    struct poll *poll = poll_of(fetch);
    bool is_flying;

    pthread_mutex_lock(&poll->lock);
    is_flying = poll->is_flying;
    poll->is_closed = true;
    pthread_mutex_unlock(&poll->lock);
    if (!is_flying)
        free_poll(poll); /* else done() does */
}

mr_status mr_fetch_poll(struct mr_fetch **fetch, const struct mr_fetch_from *from, mr_error *error)
{
    struct poll *poll = mr_new(struct poll);
    (void)error;

    poll->fetch = (struct mr_fetch){next, due, close_fetch};
    poll->from = *from;
    poll->after = from->after;
    poll->given = poll->ready = NONE;
    pthread_mutex_init(&poll->lock, NULL);
    for (int i = 0; i < 2; i++) {
        poll->answers[i].arena = MR_ARENA(ANSWER_BYTES_MAX);
        poll->answers[i].poll = poll;
    }
    *fetch = &poll->fetch;
    return MR_OK;
}
