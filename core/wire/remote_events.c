/*
 * remote_events.c - a subscription over HTTP: the messages of an event stream, pulled one by one.
 *
 * Bytes come on the service's thread, messages leave on the reader's. The transfer is paused while a
 * whole message lies there, so that a slow reader costs one message and a buffer of libcurl's.
 */
#include "base/memory.h"
#include "wire/remote.h"

#include <stdio.h>
#include <string.h>

struct mr_events {
    struct mr_subscription subscription;
    struct mr_remote *remote;
    struct mr_exchange *exchange; /* the thread's own; NULL: the transfer has ended */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t dropped;
    struct mr_pack bytes; /* from `taken` on: what has come and was not pulled */
    size_t taken;
    bool is_answered; /* the call: there is a subscription */
    bool is_paused;   /* the transfer */
    bool wants_more;  /* it may go on */
    bool wants_ready; /* next() had nothing */
    bool is_over;     /* nothing comes after `bytes` */
    bool is_closed;   /* by its reader */
    bool is_dropped;  /* the thread has forgotten it */
    CURLcode code;    /* of the end */
    char reason[CURL_ERROR_SIZE];

    bool is_listed; /* with the inbox's lock: among its news */
    struct mr_events *next;

    /* The reader's own: */
    struct mr_arena arena; /* of the event pulled last */
};

static struct mr_events *events_of(struct mr_subscription *subscription)
{
    return (struct mr_events *)(void *)subscription;
}

static bool is_own_thread(const struct mr_events *events)
{
    return pthread_equal(pthread_self(), events->remote->thread);
}

/* Tells the thread that there is something to do; it looks for itself what. */
static void tell(struct mr_events *events)
{
    struct mr_remote *remote = events->remote;

    pthread_mutex_lock(&remote->inbox.lock);
    if (!events->is_listed) {
        events->is_listed = true;
        events->next = remote->inbox.news;
        remote->inbox.news = events;
    }
    pthread_mutex_unlock(&remote->inbox.lock);
    if (!is_own_thread(events))
        curl_multi_wakeup(remote->multi);
}

/* ---- messages ----------------------------------------------------------------------------- */

enum piece { PIECE_NONE, PIECE_WHOLE, PIECE_BROKEN };

/* What lies in front; with the lock. */
static enum piece look(const struct mr_events *events, struct mr_event_message *message,
                       size_t *size)
{
    mr_bytes left;

    if (events->bytes.size == events->taken)
        return PIECE_NONE;
    left = (mr_bytes){events->bytes.data + events->taken, events->bytes.size - events->taken};
    if (!mr_event_cut(left, message, size))
        return PIECE_BROKEN;
    return *size ? PIECE_WHOLE : PIECE_NONE;
}

static bool has_piece(const struct mr_events *events)
{
    struct mr_event_message message;
    size_t size;

    return look(events, &message, &size) != PIECE_NONE;
}

static void take(struct mr_events *events, size_t size)
{
    events->taken += size;
    if (events->taken == events->bytes.size)
        events->taken = events->bytes.size = 0;
    if (!events->is_paused || has_piece(events))
        return;
    events->is_paused = false;
    events->wants_more = true;
    tell(events);
}

static bool is_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static void refuse(struct mr_refusal *refusal, enum mr_exception type, const char *text)
{
    *refusal = (struct mr_refusal){type, {text, strlen(text)}};
}

#define EXCEPTION_BYTES_MAX ((size_t)64 << 10)

/* The exception that a message tells; what it says lies in the arena. */
static void read_exception(const struct mr_events *events, const struct mr_event_message *message,
                           struct mr_arena *arena, struct mr_refusal *refusal)
{
    enum mr_exception type = mr_exception_find(message->type);
    mr_bytes payload = message->payload;
    const struct mr_api_failure *failure;
    void *structure;

    *refusal = (struct mr_refusal){.type = type ? type : MR_EXCEPTION_INTERNAL_FAILURE};
    if (payload.size == 0 || payload.size > EXCEPTION_BYTES_MAX ||
        payload.size > mr_arena_left(arena))
        return;
    refusal->message = payload = mr_arena_copy(arena, payload);
    if (!is_text(message->kind, "exception") ||
        !mr_decode_answer(events->remote->settings.format, payload, MR_SHAPE_failure, arena,
                          &structure))
        return;
    failure = structure;
    refusal->message = failure->message.data ? failure->message : failure->capital_message;
}

/* ---- the reader --------------------------------------------------------------------------- */

#define ARENA_BYTES ((size_t)5 * MR_EVENT_BYTES_MAX)

/* The end, when no message is left: what came of a next one is part of it. */
static void read_end(const struct mr_events *events, struct mr_refusal *refusal)
{
    *refusal = (struct mr_refusal){0};
    if (events->code != CURLE_OK)
        refuse(refusal, MR_EXCEPTION_SERVICE_UNAVAILABLE, events->reason);
    else if (events->bytes.size > events->taken)
        refuse(refusal, MR_EXCEPTION_INTERNAL_FAILURE, "the events end within one");
}

/* Moves the message in front into the arena. */
static enum mr_subscription_state pull(struct mr_events *events, struct mr_event_message *message,
                                       struct mr_refusal *refusal)
{
    enum mr_subscription_state state = MR_SUBSCRIPTION_END;
    size_t size;

    pthread_mutex_lock(&events->lock);
    switch (look(events, message, &size)) {
    case PIECE_BROKEN:
        refuse(refusal, MR_EXCEPTION_INTERNAL_FAILURE, "the events arrive damaged");
        break;
    case PIECE_NONE:
        if (events->is_over) {
            read_end(events, refusal);
            break;
        }
        events->wants_ready = true;
        state = MR_SUBSCRIPTION_WAIT;
        break;
    case PIECE_WHOLE:
        message->kind = mr_arena_copy(&events->arena, message->kind);
        message->type = mr_arena_copy(&events->arena, message->type);
        message->payload = mr_arena_copy(&events->arena, message->payload);
        take(events, size);
        state = MR_SUBSCRIPTION_EVENT;
        break;
    }
    pthread_mutex_unlock(&events->lock);
    return state;
}

static enum mr_subscription_state read_event(struct mr_events *events,
                                             const struct mr_event_message *message,
                                             const struct mr_api_subscribe_to_shard_event **event,
                                             struct mr_refusal *refusal)
{
    void *structure;

    if (!is_text(message->kind, "event")) {
        read_exception(events, message, &events->arena, refusal);
        return MR_SUBSCRIPTION_END;
    }
    if (!mr_decode_answer(events->remote->settings.format, message->payload,
                          MR_SHAPE_subscribe_to_shard_event, &events->arena, &structure)) {
        refuse(refusal, MR_EXCEPTION_INTERNAL_FAILURE, "an event is none that Kinesis sends");
        return MR_SUBSCRIPTION_END;
    }
    *event = structure;
    return MR_SUBSCRIPTION_EVENT;
}

static enum mr_subscription_state next_event(struct mr_subscription *subscription,
                                             const struct mr_api_subscribe_to_shard_event **event,
                                             struct mr_refusal *refusal)
{
    struct mr_events *events = events_of(subscription);
    enum mr_subscription_state state;
    struct mr_event_message message;

    *refusal = (struct mr_refusal){0};
    do {
        mr_arena_reset(&events->arena);
        state = pull(events, &message, refusal);
    } while (state == MR_SUBSCRIPTION_EVENT && is_text(message.kind, "event") &&
             !is_text(message.type, "SubscribeToShardEvent")); /* a kind that we do not know */
    return state == MR_SUBSCRIPTION_EVENT ? read_event(events, &message, event, refusal) : state;
}

static void drop(struct mr_events *events)
{
    struct mr_exchange *exchange = events->exchange;

    if (!exchange)
        return;
    events->exchange = NULL;
    curl_multi_remove_handle(events->remote->multi, exchange->easy);
    mr_exchange_free(exchange);
}

static void unlist(struct mr_events *events)
{
    struct mr_remote *remote = events->remote;

    pthread_mutex_lock(&remote->inbox.lock);
    for (struct mr_events **at = &remote->inbox.news; *at; at = &(*at)->next)
        if (*at == events) {
            *at = events->next;
            break;
        }
    pthread_mutex_unlock(&remote->inbox.lock);
}

static void close_events(struct mr_subscription *subscription)
{
    struct mr_events *events = events_of(subscription);

    if (is_own_thread(events)) {
        unlist(events);
        drop(events);
        mr_events_free(events);
        return;
    }
    pthread_mutex_lock(&events->lock);
    events->is_closed = true;
    tell(events);
    while (!events->is_dropped)
        pthread_cond_wait(&events->dropped, &events->lock);
    pthread_mutex_unlock(&events->lock);
    mr_events_free(events);
}

struct mr_events *mr_events_new(struct mr_exchange *exchange)
{
    struct mr_events *events = mr_new(struct mr_events);

    events->subscription = (struct mr_subscription){.next = next_event, .close = close_events};
    events->remote = exchange->remote;
    events->exchange = exchange;
    events->bytes = MR_PACK(0);
    events->arena = MR_ARENA(ARENA_BYTES);
    pthread_mutex_init(&events->lock, NULL);
    mr_condition_init(&events->dropped);
    return events;
}

void mr_events_free(struct mr_events *events)
{
    if (!events)
        return;
    mr_pack_fini(&events->bytes);
    mr_arena_fini(&events->arena);
    pthread_mutex_destroy(&events->lock);
    pthread_cond_destroy(&events->dropped);
    mr_free(events);
}

/* ---- the thread --------------------------------------------------------------------------- */

size_t mr_events_write(struct mr_events *events, const void *bytes, size_t size)
{
    bool is_news;

    pthread_mutex_lock(&events->lock);
    if (has_piece(events)) {
        events->is_paused = true;
        pthread_mutex_unlock(&events->lock);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (events->taken > 0) {
        events->bytes.size -= events->taken;
        memmove(events->bytes.data, events->bytes.data + events->taken, events->bytes.size);
        events->taken = 0;
    }
    mr_pack_bytes(&events->bytes, (mr_bytes){bytes, size});
    is_news = has_piece(events) && (events->wants_ready || !events->is_answered);
    pthread_mutex_unlock(&events->lock);
    if (is_news)
        tell(events);
    return size;
}

void mr_events_restart(struct mr_events *events)
{
    pthread_mutex_lock(&events->lock);
    events->bytes.size = events->taken = 0;
    events->is_paused = events->wants_more = false;
    pthread_mutex_unlock(&events->lock);
}

void mr_events_end(struct mr_events *events, CURLcode code)
{
    const char *reason = events->exchange->reason;

    pthread_mutex_lock(&events->lock);
    events->exchange = NULL;
    events->is_over = true;
    events->code = code;
    snprintf(events->reason, sizeof events->reason, "%s",
             *reason ? reason : curl_easy_strerror(code));
    pthread_mutex_unlock(&events->lock);
    tell(events);
}

/* The first message answers the call: with a subscription, or why there is none. */
static void answer(struct mr_events *events)
{
    struct mr_exchange *exchange = events->exchange;
    struct mr_call *call = exchange->call;
    struct mr_event_message message;
    enum piece piece;
    size_t size;

    pthread_mutex_lock(&events->lock);
    piece = look(events, &message, &size);
    if (piece == PIECE_WHOLE && is_text(message.kind, "event")) {
        if (is_text(message.type, "initial-response"))
            take(events, size);
        events->is_answered = true;
        call->subscription = &events->subscription;
        exchange->call = NULL; /* the reader owns the events from now on */
    } else if (piece == PIECE_WHOLE) {
        read_exception(events, &message, call->arena, &call->refusal);
    } else if (piece == PIECE_BROKEN) {
        refuse(&call->refusal, MR_EXCEPTION_INTERNAL_FAILURE, "the events arrive damaged");
    }
    pthread_mutex_unlock(&events->lock);
    if (call->refusal.type) {
        drop(events); /* which frees them, too */
        call->done(call);
    } else if (call->subscription) {
        call->done(call);
    }
}

static void serve(struct mr_events *events)
{
    bool is_closed, wants_more, is_ready;

    pthread_mutex_lock(&events->lock);
    is_closed = events->is_closed;
    wants_more = events->wants_more;
    is_ready = events->wants_ready && (events->is_over || has_piece(events));
    events->wants_more = false;
    if (is_ready)
        events->wants_ready = false;
    pthread_mutex_unlock(&events->lock);
    if (is_closed) {
        unlist(events); /* it may have told twice */
        drop(events);
        pthread_mutex_lock(&events->lock);
        events->is_dropped = true;
        pthread_cond_signal(&events->dropped);
        pthread_mutex_unlock(&events->lock); /* its reader frees it */
        return;
    }
    if (wants_more && events->exchange)
        curl_easy_pause(events->exchange->easy, CURLPAUSE_CONT);
    if (!events->is_answered && events->exchange)
        answer(events);
    else if (is_ready)
        events->subscription.ready(events->subscription.ready_context);
}

void mr_events_serve(struct mr_remote *remote)
{
    struct mr_events *events;

    for (;;) {
        pthread_mutex_lock(&remote->inbox.lock);
        events = remote->inbox.news;
        if (events) {
            remote->inbox.news = events->next;
            events->is_listed = false;
        }
        pthread_mutex_unlock(&remote->inbox.lock);
        if (!events)
            return;
        serve(events);
    }
}
