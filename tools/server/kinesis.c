#include "server/kinesis.h"

#include "base/base64.h"
#include "base/memory.h"
#include "base/random.h"
#include "os/entropy.h"
#include "os/thread.h"
#include "server/front.h"

#include <stdio.h>
#include <string.h>

#define MIB ((size_t)1 << 20)
#define REQUEST_BYTES(body_bytes) (5 * (body_bytes) + 4 * MIB) /* decoded: see mr_decode() */
#define ANSWER_BYTES(body_bytes) (8 * (body_bytes) + 64 * MIB) /* its parts, or what is wrong */
#define BODY_BYTES_MAX ((size_t)1 << 30)                       /* of an answer */
#define PACK_BYTES_KEPT ((size_t)256 << 10) /* by a feed, from one event to the next */

struct mr_kinesis {
    struct mr_service *service;
    bool has_region;
    struct mr_guard *guard;
    _Atomic uint32_t call_count;
};

/* A request under way. */
struct exchange {
    struct mr_call call; /* first */
    struct mr_kinesis *kinesis;
    struct mr_arena arena;
    mr_reply reply;
    struct mr_pass pass;
    enum mr_format format;
    bool is_cross_origin;
};

/* ---- heads -------------------------------------------------------------------------------- */

#define ID_2_BYTES 72

struct head {
    struct mr_field fields[10];
    size_t count;
    char request_id[37], id_2[MR_BASE64_BYTES(ID_2_BYTES)];
};

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void add_bytes(struct head *head, const char *name, mr_bytes value)
{
    head->fields[head->count++] = (struct mr_field){text_of(name), value};
}

static void add(struct head *head, const char *name, const char *value)
{
    add_bytes(head, name, text_of(value));
}

/* Ids need be unique, not secret. */
static uint64_t next_random(void)
{
    static _Thread_local struct mr_random random;
    static _Thread_local bool is_seeded;
    uint64_t seed;

    if (!is_seeded) {
        mr_entropy(&seed, sizeof seed);
        random = mr_random_of(seed);
        is_seeded = true;
    }
    return mr_random_next(&random);
}

static void put_hex(char *to, uint64_t value, unsigned count)
{
    while (count-- > 0) {
        to[count] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

/* A UUID of version 4. */
static void add_request_id(struct head *head)
{
    uint64_t high = next_random(), low = next_random();

    memcpy(head->request_id, "00000000-0000-4000-0000-000000000000", sizeof head->request_id);
    put_hex(head->request_id, high >> 32, 8);
    put_hex(head->request_id + 9, high >> 16, 4);
    put_hex(head->request_id + 15, high, 3);
    put_hex(head->request_id + 19, (low >> 48 & 0x3fff) | 0x8000, 4);
    put_hex(head->request_id + 24, low, 12);
    add(head, "x-amzn-RequestId", head->request_id);
}

static void add_id_2(struct head *head)
{
    uint64_t random[ID_2_BYTES / 8];

    for (size_t i = 0; i < ID_2_BYTES / 8; i++)
        random[i] = next_random();
    mr_base64_encode((mr_bytes){random, sizeof random}, head->id_2);
    add_bytes(head, "x-amz-id-2", (mr_bytes){head->id_2, sizeof head->id_2});
}

static void begin_head(struct head *head, bool is_cross_origin, const char *type)
{
    head->count = 0;
    add_request_id(head);
    add_id_2(head);
    if (type)
        add(head, "Content-Type", type);
    if (!is_cross_origin)
        return;
    add(head, "Access-Control-Allow-Origin", "*");
    add(head, "Access-Control-Expose-Headers",
        "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date");
}

/* ---- answers ------------------------------------------------------------------------------ */

/* Takes over the body. */
static void send_pack(mr_reply reply, unsigned status, const struct head *head,
                      struct mr_pack *body)
{
    struct mr_response response = {.status = status,
                                   .fields = head->fields,
                                   .field_count = head->count,
                                   .body = {body->data, body->size},
                                   .body_free = mr_free};

    if (body->size == 0) {
        mr_pack_fini(body);
        response.body_free = NULL;
        response.body.data = NULL;
    }
    mr_reply_send(reply, &response);
}

static void send_text(mr_reply reply, unsigned status, const struct head *head, const char *text)
{
    struct mr_response response = {.status = status,
                                   .fields = head->fields,
                                   .field_count = head->count,
                                   .body = text_of(text)};

    mr_reply_send(reply, &response);
}

static void send_refusal(const struct exchange *exchange, const struct mr_refusal *refusal)
{
    struct mr_pack body = MR_PACK(BODY_BYTES_MAX);
    struct head head;

    mr_encode_refusal(exchange->format, refusal, &body);
    begin_head(&head, exchange->is_cross_origin, mr_format_type(exchange->format));
    add(&head, "x-amzn-ErrorType", mr_exceptions[refusal->type].name);
    send_pack(exchange->reply, mr_exceptions[refusal->type].http, &head, &body);
}

static void send_response(const struct exchange *exchange)
{
    const struct mr_action_info *action = &mr_actions[exchange->call.action];
    struct mr_pack body = MR_PACK(BODY_BYTES_MAX);
    struct head head;

    if (action->answer == MR_ANSWER_STRUCTURE)
        mr_encode(exchange->format, action->response, exchange->call.response, &body);
    begin_head(&head, exchange->is_cross_origin, mr_format_type(exchange->format));
    send_pack(exchange->reply, 200, &head, &body);
}

/* ---- event streams ------------------------------------------------------------------------ */

struct feed {
    struct mr_subscription *subscription;
    enum mr_format format;
    mr_reply reply;
    struct mr_pack message; /* one at a time, so that a slow reader holds no more */
    size_t sent;
    bool is_over;
};

/* Makes the next message; false: there is none now, or ever. */
static bool next_message(struct feed *feed)
{
    const struct mr_api_subscribe_to_shard_event *event;
    struct mr_refusal refusal = {0};

    if (feed->message.capacity > PACK_BYTES_KEPT)
        mr_pack_fini(&feed->message);
    feed->message.size = feed->sent = 0;
    if (feed->is_over)
        return false;
    switch (feed->subscription->next(feed->subscription, &event, &refusal)) {
    case MR_SUBSCRIPTION_EVENT:
        mr_event_records(feed->format, event, &feed->message);
        return true;
    case MR_SUBSCRIPTION_END:
        feed->is_over = true;
        if (refusal.type)
            mr_event_exception(feed->format, &refusal, &feed->message);
        return refusal.type != MR_EXCEPTION_NONE;
    default:
        return false;
    }
}

static void fill_feed(void *context, struct mr_part *part)
{
    struct feed *feed = context;
    size_t size;

    while (part->size < part->room) {
        if (feed->sent == feed->message.size) {
            part->is_end = part->is_stopping || (!next_message(feed) && feed->is_over);
            if (part->is_end || feed->message.size == 0)
                return;
        }
        size = feed->message.size - feed->sent;
        if (size > part->room - part->size)
            size = part->room - part->size;
        memcpy(part->to + part->size, feed->message.data + feed->sent, size);
        part->size += size;
        feed->sent += size;
    }
}

static void close_feed(void *context)
{
    struct feed *feed = context;

    feed->subscription->close(feed->subscription);
    mr_pack_fini(&feed->message);
    mr_free(feed);
}

static void wake_feed(void *context)
{
    struct feed *feed = context;

    mr_reply_wake(feed->reply);
}

static void send_events(const struct exchange *exchange)
{
    struct feed *feed = mr_new(struct feed);
    struct head head;
    struct mr_response response = {.status = 200, .fields = head.fields};

    feed->subscription = exchange->call.subscription;
    feed->format = exchange->format;
    feed->reply = exchange->reply;
    feed->message = MR_PACK(BODY_BYTES_MAX);
    feed->subscription->ready = wake_feed;
    feed->subscription->ready_context = feed;
    mr_event_initial(feed->format, &feed->message);
    begin_head(&head, exchange->is_cross_origin, "application/vnd.amazon.eventstream");
    response.field_count = head.count;
    mr_reply_feed(exchange->reply, &response, &(struct mr_feed){feed, fill_feed, close_feed});
}

/* ---- requests without a call -------------------------------------------------------------- */

static void send_xml(const struct exchange *exchange, unsigned status, const char *text)
{
    struct head head;

    begin_head(&head, exchange->is_cross_origin, NULL);
    send_text(exchange->reply, status, &head, text);
}

/* The form in which the framework below Kinesis speaks by itself. */
static void send_plain(const struct exchange *exchange, const struct mr_refusal *refusal)
{
    struct head head;
    char text[160];

    snprintf(text, sizeof text,
             "{\"Output\":{\"__type\":\"com.amazon.coral.service#%s\"},\"Version\":\"1.0\"}",
             mr_exceptions[refusal->type].name);
    begin_head(&head, exchange->is_cross_origin, "application/json");
    send_text(exchange->reply, refusal->type == MR_EXCEPTION_UNKNOWN_OPERATION ? 404 : 400, &head,
              text);
}

static void send_preflight(const struct exchange *exchange, const struct mr_request *request)
{
    mr_bytes headers = mr_request_field(request, "access-control-request-headers"),
             method = mr_request_field(request, "access-control-request-method");
    struct head head = {.count = 0};

    add_request_id(&head);
    add(&head, "Access-Control-Allow-Origin", "*");
    if (headers.size)
        add_bytes(&head, "Access-Control-Allow-Headers", headers);
    if (method.size)
        add_bytes(&head, "Access-Control-Allow-Methods", method);
    add(&head, "Access-Control-Max-Age", "172800");
    send_text(exchange->reply, 200, &head, "");
}

static void send_health(const struct exchange *exchange)
{
    struct head head;

    begin_head(&head, exchange->is_cross_origin, "application/json");
    send_text(exchange->reply, 200, &head, "{\"status\":\"ok\"}\n");
}

/* ---- exchanges ---------------------------------------------------------------------------- */

static void end_exchange(struct exchange *exchange)
{
    struct mr_kinesis *kinesis = exchange->kinesis;

    mr_pass_end(&exchange->pass);
    mr_arena_fini(&exchange->arena);
    mr_free(exchange);
    atomic_fetch_sub(&kinesis->call_count, 1);
}

static void done(struct mr_call *call)
{
    struct exchange *exchange = (struct exchange *)(void *)call;

    if (call->refusal.type)
        send_refusal(exchange, &call->refusal);
    else if (call->subscription)
        send_events(exchange);
    else
        send_response(exchange);
    end_exchange(exchange);
}

static void begin_call(struct exchange *exchange, const struct mr_front *front, size_t body_bytes)
{
    struct mr_service *service = exchange->kinesis->service;

    /* Whatever the request has used, the answer has its own. */
    exchange->arena.limit = exchange->arena.used + ANSWER_BYTES(body_bytes);
    exchange->call = (struct mr_call){.action = front->action,
                                      .request = front->structure,
                                      .arena = &exchange->arena,
                                      .caller = exchange->pass.caller,
                                      .done = done};
    if (!exchange->kinesis->has_region)
        exchange->call.region = front->region;
    service->call(service, &exchange->call);
}

void mr_kinesis_handle(void *context, const struct mr_request *request)
{
    static const char forbidden[] =
        "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be "
        "authorized</Message>\n</AccessDeniedException>\n";
    struct mr_kinesis *kinesis = context;
    struct exchange *exchange = mr_new(struct exchange);
    struct mr_front front;

    atomic_fetch_add(&kinesis->call_count, 1);
    exchange->kinesis = kinesis;
    exchange->arena = MR_ARENA(REQUEST_BYTES(request->body.size));
    exchange->reply = request->reply;
    exchange->is_cross_origin = mr_request_field(request, "origin").size != 0;
    mr_front_read(request, kinesis->guard, &exchange->arena, &front);
    exchange->pass = front.pass;
    exchange->format = front.format;
    switch (front.verdict) {
    case MR_FRONT_CALL:
        begin_call(exchange, &front, request->body.size);
        return;
    case MR_FRONT_REFUSED:
        send_refusal(exchange, &front.refusal);
        break;
    case MR_FRONT_FORBIDDEN:
        send_xml(exchange, 403, forbidden);
        break;
    case MR_FRONT_UNKNOWN:
        send_xml(exchange, 404, "<UnknownOperationException/>\n");
        break;
    case MR_FRONT_PLAIN:
        send_plain(exchange, &front.refusal);
        break;
    case MR_FRONT_PREFLIGHT:
        send_preflight(exchange, request);
        break;
    case MR_FRONT_HEALTH:
        send_health(exchange);
        break;
    }
    end_exchange(exchange);
}

/* ---- open and close ----------------------------------------------------------------------- */

struct mr_kinesis *mr_kinesis_of(struct mr_service *service, bool has_region)
{
    struct mr_kinesis *kinesis = mr_new(struct mr_kinesis);

    kinesis->service = service;
    kinesis->has_region = has_region;
    return kinesis;
}

void mr_kinesis_guard(struct mr_kinesis *kinesis, struct mr_guard *guard)
{
    kinesis->guard = guard;
}

mr_status mr_kinesis_open(struct mr_kinesis **kinesis, mr_engine *engine,
                          const struct mr_kinesis_config *config, mr_error *error)
{
    struct mr_service_config service_config = MR_SERVICE_CONFIG_DEFAULT;
    struct mr_service *service;
    mr_status status;

    if (config->account_id)
        service_config.account_id = config->account_id;
    if (config->region)
        service_config.region = config->region;
    if (config->shard_count_max)
        service_config.shard_count_max = config->shard_count_max;
    service_config.state_delay_ms = config->state_delay_ms;
    service_config.limit_calls = service_config.limit_fan_out = config->has_limits;
    status = mr_service_local_open(&service, engine, &service_config, error);
    if (status)
        return status;
    *kinesis = mr_kinesis_of(service, config->region != NULL);
    mr_kinesis_guard(*kinesis, config->guard);
    return MR_OK;
}

void mr_kinesis_drain(struct mr_kinesis *kinesis)
{
    uint32_t count;

    /* Whoever ends a call wakes nobody: it happens once in a server's life that somebody waits. */
    while ((count = atomic_load(&kinesis->call_count)))
        mr_word_wait(&kinesis->call_count, count, 1);
}

void mr_kinesis_close(struct mr_kinesis *kinesis)
{
    if (!kinesis)
        return;
    kinesis->service->close(kinesis->service);
    mr_free(kinesis);
}
