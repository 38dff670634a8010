#include "server/inside.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>
#include <strings.h>

#define TEXT_BYTES_KEPT 4096
#define RESPONSE_FIELD_COUNT_MAX 32

static _Thread_local struct mr_worker *here; /* whose loop this thread runs */

static void feed_due(struct mr_timer *timer);
static void wake_run(struct mr_task *task);

mr_bytes mr_request_field(const struct mr_request *request, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < request->field_count; i++) {
        const struct mr_field *field = &request->fields[i];
        if (field->name.size == size && strncasecmp(field->name.data, name, size) == 0)
            return field->value;
    }
    return (mr_bytes){NULL, 0};
}

/* ---- slots -------------------------------------------------------------------------------- */

void mr_exchanges_init(struct mr_worker *worker)
{
    here = worker;
}

void mr_exchanges_fini(struct mr_worker *worker)
{
    for (size_t i = 0; i < BLOCK_COUNT; i++) {
        struct mr_exchange *block = atomic_load(&worker->blocks[i]);

        for (size_t k = 0; block && k < SLOT_COUNT; k++) {
            mr_body_release(&worker->bodies, &block[k].body);
            mr_pack_fini(&block[k].text);
        }
        mr_free(block);
    }
}

static bool block_add(struct mr_worker *worker)
{
    struct mr_exchange *block;
    uint32_t first = worker->exchange_made_count;

    if (first / SLOT_COUNT == BLOCK_COUNT)
        return false;
    block = mr_alloc_zero(SLOT_COUNT, sizeof *block);
    for (uint32_t i = SLOT_COUNT; i-- > 0;) {
        block[i].worker = worker;
        block[i].slot = first + i;
        block[i].generation = 1;
        block[i].timer.fire = feed_due;
        block[i].wake.run = wake_run;
        block[i].next = worker->free;
        worker->free = &block[i];
    }
    worker->exchange_made_count += SLOT_COUNT;
    /* Other threads find exchanges here, to wake them. */
    atomic_store_explicit(&worker->blocks[first / SLOT_COUNT], block, memory_order_release);
    return true;
}

static struct mr_exchange *exchange_at(mr_reply reply)
{
    struct mr_exchange *block;

    if (reply.slot / SLOT_COUNT >= BLOCK_COUNT)
        return NULL;
    block =
        atomic_load_explicit(&reply.worker->blocks[reply.slot / SLOT_COUNT], memory_order_acquire);
    return block ? &block[reply.slot % SLOT_COUNT] : NULL;
}

struct mr_exchange *mr_exchange_take(struct mr_connection *connection)
{
    struct mr_worker *worker = connection->worker;
    struct mr_exchange *exchange;

    if (worker->exchange_count == worker->exchange_count_max ||
        (!worker->free && !block_add(worker)))
        return NULL;
    worker->exchange_count++;
    exchange = worker->free;
    worker->free = exchange->next;
    exchange->state = EXCHANGE_READING;
    exchange->since_ms = mr_loop_now_ms(worker->loop);
    exchange->connection = connection;
    exchange->before = NULL;
    exchange->next = connection->exchanges;
    if (exchange->next)
        exchange->next->before = exchange;
    connection->exchanges = exchange;
    memcpy(exchange->peer, connection->peer, sizeof exchange->peer);
    exchange->request = (struct mr_request){
        .reply = {worker, exchange->slot, exchange->generation},
        .fields = exchange->fields,
        .peer = exchange->peer,
        .is_tls = connection->tls != NULL,
    };
    memset(&exchange->http2, 0, sizeof exchange->http2);
    return exchange;
}

/* Gives back what the request needed; others may wait for it. */
static void request_release(struct mr_exchange *exchange)
{
    struct mr_bodies *bodies = &exchange->worker->bodies;
    struct mr_body *next;

    if (exchange->text.capacity > TEXT_BYTES_KEPT)
        mr_pack_fini(&exchange->text);
    exchange->text.size = 0;
    mr_body_release(bodies, &exchange->body);
    while ((next = mr_bodies_next(bodies))) {
        struct mr_exchange *waiter = mr_container(next, struct mr_exchange, body);
        waiter->since_ms = mr_loop_now_ms(waiter->worker->loop);
        waiter->connection->protocol->resume(waiter);
    }
}

static void unlink_connection(struct mr_exchange *exchange)
{
    struct mr_connection *connection = exchange->connection;

    if (!connection)
        return;
    if (exchange->before)
        exchange->before->next = exchange->next;
    else
        connection->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->before = exchange->before;
    if (connection->sending == exchange)
        connection->sending = NULL;
    exchange->connection = NULL;
}

static void free_rest(struct mr_exchange *exchange)
{
    if (exchange->rest_free)
        exchange->rest_free(exchange->rest_data);
    exchange->rest_free = NULL;
    exchange->rest = (mr_bytes){NULL, 0};
}

void mr_exchange_drop(struct mr_exchange *exchange)
{
    struct mr_worker *worker = exchange->worker;
    struct mr_feed feed = exchange->feed;

    unlink_connection(exchange);
    if (exchange->state == EXCHANGE_HANDLED)
        return; /* until the handler's answer comes */
    mr_timer_clear(worker->loop, &exchange->timer);
    free_rest(exchange);
    exchange->feed = (struct mr_feed){0};
    exchange->is_feed_idle = exchange->is_feed_over = false;
    exchange->state = EXCHANGE_FREE;
    exchange->generation++;
    exchange->next = worker->free;
    worker->free = exchange;
    worker->exchange_count--;
    request_release(exchange);
    if (feed.close)
        feed.close(feed.context);
}

bool mr_exchange_reserve(struct mr_exchange *exchange, uint64_t bytes)
{
    return mr_body_reserve(&exchange->worker->bodies, &exchange->body, bytes);
}

void mr_exchange_handle(struct mr_exchange *exchange, unsigned version)
{
    static const uint8_t nothing[MR_BODY_SLACK_BYTES];
    const struct mr_server_config *config = &exchange->worker->server->config;
    struct mr_body *body = &exchange->body;

    exchange->request.version = version;
    exchange->request.body = (mr_bytes){body->data ? body->data : nothing, body->size};
    exchange->state = EXCHANGE_HANDLED;
    config->handle(config->context, &exchange->request);
}

/* ---- answers ------------------------------------------------------------------------------ */

/* An answer on its way from another thread; fields, text and a small body stand behind it. */
struct answer {
    struct mr_task task;
    mr_reply reply;
    struct mr_response response;
    struct mr_feed feed;
    struct mr_field fields[];
};

static void answer_discard(const struct mr_response *response, const struct mr_feed *feed)
{
    if (response->body_free)
        response->body_free((void *)(uintptr_t)response->body.data);
    if (feed && feed->close)
        feed->close(feed->context);
}

/* On the loop. */
static void deliver(mr_reply reply, const struct mr_response *given, const struct mr_feed *feed)
{
    struct mr_exchange *exchange = exchange_at(reply);
    struct mr_response response = *given;
    struct mr_connection *connection;

    if (!exchange || exchange->generation != reply.generation ||
        exchange->state != EXCHANGE_HANDLED) {
        answer_discard(&response, feed);
        return;
    }
    exchange->state = EXCHANGE_ANSWERING;
    exchange->since_ms = mr_loop_now_ms(exchange->worker->loop);
    if (!exchange->connection) {
        answer_discard(&response, feed);
        mr_exchange_drop(exchange);
        return;
    }
    connection = exchange->connection;
    if (response.status == 0) {
        mr_connection_drop(connection);
        return;
    }
    if (feed)
        exchange->feed = *feed;
    if (response.body.size > COPY_BYTES_MAX) {
        if (!response.body_free) {
            response.body.data =
                memcpy(mr_alloc(response.body.size), response.body.data, response.body.size);
            response.body_free = mr_free;
        }
        exchange->rest = response.body;
        exchange->rest_data = (void *)(uintptr_t)response.body.data;
        exchange->rest_free = response.body_free;
        response.body_free = NULL;
    }
    if (connection->protocol->answer(exchange, &response))
        mr_exchange_drop(exchange);
    else
        request_release(exchange);
    answer_discard(&response, NULL);
    mr_connection_queue(connection);
}

static void answer_run(struct mr_task *task)
{
    struct answer *answer = mr_container(task, struct answer, task);

    deliver(answer->reply, &answer->response, answer->feed.fill ? &answer->feed : NULL);
    mr_free(answer);
}

static mr_bytes text_copy(char **at, mr_bytes bytes)
{
    char *start = *at;

    if (bytes.size)
        memcpy(start, bytes.data, bytes.size);
    *at += bytes.size;
    return (mr_bytes){start, bytes.size};
}

static void answer_post(mr_reply reply, const struct mr_response *response,
                        const struct mr_feed *feed)
{
    size_t fields_bytes = response->field_count * sizeof(struct mr_field);
    size_t bytes = sizeof(struct answer) + fields_bytes;
    bool is_copied = !response->body_free && response->body.size <= COPY_BYTES_MAX;
    struct answer *answer;
    char *at;

    for (size_t i = 0; i < response->field_count; i++)
        bytes += response->fields[i].name.size + response->fields[i].value.size;
    answer = mr_alloc(bytes + (is_copied ? response->body.size : 0));
    answer->task.run = answer_run;
    answer->reply = reply;
    answer->response = *response;
    answer->feed = feed ? *feed : (struct mr_feed){0};
    at = (char *)answer->fields + fields_bytes;
    for (size_t i = 0; i < response->field_count; i++) {
        answer->fields[i].name = text_copy(&at, response->fields[i].name);
        answer->fields[i].value = text_copy(&at, response->fields[i].value);
    }
    answer->response.fields = answer->fields;
    if (is_copied) {
        answer->response.body = text_copy(&at, response->body);
    } else if (!response->body_free) {
        at = mr_alloc(response->body.size);
        answer->response.body_free = mr_free;
        answer->response.body = text_copy(&at, response->body);
    }
    mr_loop_post(reply.worker->loop, &answer->task);
}

static void reply(mr_reply to, const struct mr_response *response, const struct mr_feed *feed)
{
    mr_check(response->status >= 200 && response->status <= 599 &&
             response->field_count <= RESPONSE_FIELD_COUNT_MAX);
    if (here == to.worker)
        deliver(to, response, feed);
    else
        answer_post(to, response, feed);
}

void mr_reply_send(mr_reply to, const struct mr_response *response)
{
    reply(to, response, NULL);
}

void mr_reply_feed(mr_reply to, const struct mr_response *response, const struct mr_feed *feed)
{
    mr_check(response->body.size == 0 && !response->body_free && feed->fill);
    reply(to, response, feed);
}

/* Never within the connection's turn, which goes on behind its handler. */
void mr_reply_cut(mr_reply to)
{
    answer_post(to, &(struct mr_response){.status = 0}, NULL);
}

/* ---- later -------------------------------------------------------------------------------- */

struct mr_delay {
    struct mr_timer timer;
    struct mr_worker *worker;
    struct mr_delay *next, **link;
    void (*run)(void *context);
    void *context;
};

static void delay_due(struct mr_timer *timer)
{
    struct mr_delay *delay = mr_container(timer, struct mr_delay, timer);

    *delay->link = delay->next;
    if (delay->next)
        delay->next->link = delay->link;
    delay->run(delay->context);
    mr_free(delay);
}

void mr_reply_later(mr_reply to, uint32_t ms, void (*run)(void *context), void *context)
{
    struct mr_worker *worker = to.worker;
    struct mr_delay *delay;

    mr_check(here == worker);
    if (worker->is_stopping) {
        run(context);
        return;
    }
    delay = mr_new(struct mr_delay);
    *delay = (struct mr_delay){.timer.fire = delay_due,
                               .worker = worker,
                               .next = worker->delays,
                               .link = &worker->delays,
                               .run = run,
                               .context = context};
    if (delay->next)
        delay->next->link = &delay->next;
    worker->delays = delay;
    mr_timer_set(worker->loop, &delay->timer, mr_loop_now_ms(worker->loop) + ms);
}

void mr_reply_post(mr_reply to, struct mr_task *task)
{
    mr_loop_post(to.worker->loop, task);
}

void mr_delays_hurry(struct mr_worker *worker)
{
    while (worker->delays) {
        mr_timer_clear(worker->loop, &worker->delays->timer);
        delay_due(&worker->delays->timer);
    }
}

/* ---- feeds -------------------------------------------------------------------------------- */

static void feed_resume(struct mr_exchange *exchange)
{
    if (exchange->state != EXCHANGE_ANSWERING || !exchange->connection || !exchange->is_feed_idle)
        return;
    exchange->is_feed_idle = false;
    exchange->connection->protocol->resume(exchange);
}

static void feed_due(struct mr_timer *timer)
{
    feed_resume(mr_container(timer, struct mr_exchange, timer));
}

static void wake_run(struct mr_task *task)
{
    struct mr_exchange *exchange = mr_container(task, struct mr_exchange, wake);

    /* Before the feed is asked: what is new after this wakes again. */
    atomic_store(&exchange->is_woken, false);
    feed_resume(exchange);
}

void mr_reply_wake(mr_reply to)
{
    struct mr_exchange *exchange = exchange_at(to);

    /* The slot may have another exchange by now: then that one is asked for nothing. */
    if (exchange && !atomic_exchange(&exchange->is_woken, true))
        mr_loop_post(to.worker->loop, &exchange->wake);
}

ssize_t mr_exchange_fill(struct mr_exchange *exchange, uint8_t *to, size_t room)
{
    struct mr_loop *loop = exchange->worker->loop;
    struct mr_part part = {.to = to, .room = room, .is_stopping = exchange->worker->is_stopping};

    if (exchange->is_feed_over)
        return -1;
    exchange->feed.fill(exchange->feed.context, &part);
    mr_check(part.size <= room);
    exchange->is_feed_over = part.is_end;
    if (part.size > 0) {
        exchange->since_ms = mr_loop_now_ms(loop);
        return (ssize_t)part.size;
    }
    if (part.is_end)
        return -1;
    exchange->is_feed_idle = true;
    if (part.wait_ms)
        mr_timer_set(loop, &exchange->timer, mr_loop_now_ms(loop) + part.wait_ms);
    else
        mr_timer_clear(loop, &exchange->timer);
    return 0;
}
