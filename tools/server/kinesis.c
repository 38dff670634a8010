#include "server/kinesis.h"

#include "base/base64.h"
#include "base/memory.h"
#include "base/random.h"
#include "os/clock.h"
#include "os/entropy.h"
#include "os/loop.h"
#include "os/thread.h"
#include "server/admin.h"
#include "server/audit.h"
#include "server/fault.h"
#include "server/front.h"
#include "server/latency.h"
#include "server/metrics.h"
#include "server/part.h"
#include "wire/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIB ((size_t)1 << 20)
#define REQUEST_BYTES(body_bytes) (5 * (body_bytes) + 4 * MIB) /* decoded: see mr_decode() */
#define ANSWER_BYTES(body_bytes) (8 * (body_bytes) + 64 * MIB) /* its parts, or what is wrong */
#define BODY_BYTES_MAX ((size_t)1 << 30)                       /* of an answer */
#define FIGURES_BYTES_MAX ((size_t)1 << 30)
#define PACK_BYTES_KEPT ((size_t)256 << 10) /* by a feed, from one event to the next */

struct mr_kinesis {
    struct mr_service *service;
    bool has_region, is_local; /* is_local: of mr_service_local_open() */
    struct mr_guard *guard;
    struct mr_audit *audit;
    struct mr_faults *faults;
    enum mr_reach metrics;
    struct mr_admin admin;
    struct mr_latencies latencies;
    _Atomic uint32_t call_count; /* that the service has */
};

/* A request under way. */
struct exchange {
    struct mr_call call; /* first */
    struct mr_kinesis *kinesis;
    struct mr_arena arena;
    const struct mr_request *request; /* until it is answered */
    mr_reply reply;
    struct mr_task task;
    struct mr_front front;
    struct mr_call_origin origin; /* if the call has one */
    uint64_t began_ns;
    struct mr_fault_rule fault; /* its cut and error, if it is hit */
    bool is_cross_origin, is_hit;
    char request_id[37];
};

/* ---- heads -------------------------------------------------------------------------------- */

#define ID_2_BYTES 72

struct head {
    struct mr_field fields[10];
    size_t count;
    char id_2[MR_BASE64_BYTES(ID_2_BYTES)];
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
static void make_id(char id[37])
{
    uint64_t high = next_random(), low = next_random();

    memcpy(id, "00000000-0000-4000-0000-000000000000", 37);
    put_hex(id, high >> 32, 8);
    put_hex(id + 9, high >> 16, 4);
    put_hex(id + 15, high, 3);
    put_hex(id + 19, (low >> 48 & 0x3fff) | 0x8000, 4);
    put_hex(id + 24, low, 12);
}

static void add_id_2(struct head *head)
{
    uint64_t random[ID_2_BYTES / 8];

    for (size_t i = 0; i < ID_2_BYTES / 8; i++)
        random[i] = next_random();
    mr_base64_encode((mr_bytes){random, sizeof random}, head->id_2);
    add_bytes(head, "x-amz-id-2", (mr_bytes){head->id_2, sizeof head->id_2});
}

static void begin_head(struct head *head, const struct exchange *exchange, const char *type)
{
    head->count = 0;
    add(head, "x-amzn-RequestId", exchange->request_id);
    add_id_2(head);
    if (type)
        add(head, "Content-Type", type);
    if (!exchange->is_cross_origin)
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

static void add_position(struct head *head, const struct exchange *exchange,
                         char text[MR_POSITION_FIELD_BYTES])
{
    if (!exchange->call.origin || !exchange->origin.is_known)
        return;
    snprintf(text, MR_POSITION_FIELD_BYTES, "%" PRIu64, exchange->origin.position);
    add(head, MR_POSITION_FIELD, text);
}

static void send_refusal(const struct exchange *exchange, const struct mr_refusal *refusal)
{
    struct mr_pack body = MR_PACK(BODY_BYTES_MAX);
    char position[MR_POSITION_FIELD_BYTES];
    struct head head;

    mr_encode_refusal(exchange->front.format, refusal, &body);
    begin_head(&head, exchange, mr_format_type(exchange->front.format));
    add(&head, "x-amzn-ErrorType", mr_exceptions[refusal->type].name);
    add_position(&head, exchange, position);
    send_pack(exchange->reply, mr_exceptions[refusal->type].http, &head, &body);
}

static void send_response(const struct exchange *exchange)
{
    const struct mr_action_info *action = &mr_actions[exchange->call.action];
    struct mr_pack body = MR_PACK(BODY_BYTES_MAX);
    char position[MR_POSITION_FIELD_BYTES];
    struct head head;

    if (action->answer == MR_ANSWER_STRUCTURE)
        mr_encode(exchange->front.format, action->response, exchange->call.response, &body);
    begin_head(&head, exchange, mr_format_type(exchange->front.format));
    add_position(&head, exchange, position);
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
    feed->format = exchange->front.format;
    feed->reply = exchange->reply;
    feed->message = MR_PACK(BODY_BYTES_MAX);
    feed->subscription->ready = wake_feed;
    feed->subscription->ready_context = feed;
    mr_event_initial(feed->format, &feed->message);
    begin_head(&head, exchange, "application/vnd.amazon.eventstream");
    response.field_count = head.count;
    mr_reply_feed(exchange->reply, &response, &(struct mr_feed){feed, fill_feed, close_feed});
}

/* ---- requests without a call -------------------------------------------------------------- */

static void send_xml(const struct exchange *exchange, unsigned status, const char *text)
{
    struct head head;

    begin_head(&head, exchange, NULL);
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
    begin_head(&head, exchange, "application/json");
    send_text(exchange->reply, refusal->type == MR_EXCEPTION_UNKNOWN_OPERATION ? 404 : 400, &head,
              text);
}

static void send_preflight(const struct exchange *exchange, const struct mr_request *request)
{
    mr_bytes headers = mr_request_field(request, "access-control-request-headers"),
             method = mr_request_field(request, "access-control-request-method");
    struct head head = {.count = 0};

    add(&head, "x-amzn-RequestId", exchange->request_id);
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

    begin_head(&head, exchange, "application/json");
    send_text(exchange->reply, 200, &head, "{\"status\":\"ok\"}\n");
}

static void send_page(const struct exchange *exchange, unsigned status, const char *type,
                      struct mr_pack *body)
{
    struct head head;

    begin_head(&head, exchange, type);
    send_pack(exchange->reply, status, &head, body);
}

static void send_admin(const struct exchange *exchange, const struct mr_request *request)
{
    struct mr_pack body = MR_PACK(BODY_BYTES_MAX);
    unsigned status = mr_admin_answer(&exchange->kinesis->admin, request, &body);

    send_page(exchange, status, "application/json", &body);
}

static void send_metrics(struct exchange *exchange, const struct mr_request *request)
{
    const struct mr_kinesis *kinesis = exchange->kinesis;
    struct mr_pack body = MR_PACK(BODY_BYTES_MAX);

    if (kinesis->metrics == MR_REACH_LOCAL && !mr_request_is_local(request)) {
        mr_pack_bytes(&body, text_of("metrics are for this machine: serve --metrics on\n"));
        send_page(exchange, 403, "text/plain", &body);
        return;
    }
    exchange->arena.limit = FIGURES_BYTES_MAX;
    mr_metrics_write(
        &body,
        kinesis->is_local ? mr_service_local_figures(kinesis->service, &exchange->arena) : NULL,
        &kinesis->latencies);
    send_page(exchange, 200, MR_METRICS_TYPE, &body);
}

/* What is asked of the server, not of Kinesis. */
static bool answer_page(struct exchange *exchange, const struct mr_request *request)
{
    const struct mr_kinesis *kinesis = exchange->kinesis;
    static const char admin[] = "/admin/";

    if (kinesis->metrics != MR_REACH_NONE && mr_part_is(request->method, "GET") &&
        mr_part_is(request->path, "/metrics"))
        send_metrics(exchange, request);
    else if (kinesis->admin.warp && request->path.size >= sizeof admin - 1 &&
             memcmp(request->path.data, admin, sizeof admin - 1) == 0)
        send_admin(exchange, request);
    else
        return false;
    return true;
}

/* ---- exchanges ---------------------------------------------------------------------------- */

static void end_exchange(struct exchange *exchange)
{
    mr_pass_end(&exchange->front.pass);
    mr_arena_fini(&exchange->arena);
    mr_free(exchange);
}

static uint64_t now_ns(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock);
}

/* Before it is answered, for then the request is gone. */
static void note(struct exchange *exchange, const struct mr_refusal *refusal)
{
    struct mr_kinesis *kinesis = exchange->kinesis;
    const struct mr_front *front = &exchange->front;

    if (front->action == MR_ACTION_COUNT)
        return;
    mr_latency_note(&kinesis->latencies, front->action, now_ns() - exchange->began_ns,
                    refusal->type);
    if (kinesis->audit)
        mr_audit_note(kinesis->audit, &(struct mr_audit_call){.request = exchange->request,
                                                              .action = front->action,
                                                              .structure = front->structure,
                                                              .caller = front->pass.caller,
                                                              .key_id = front->key_id,
                                                              .region = front->region,
                                                              .request_id = exchange->request_id,
                                                              .refusal = refusal});
}

static void finish(struct exchange *exchange)
{
    struct mr_call *call = &exchange->call;

    note(exchange, &call->refusal);
    if (exchange->is_hit && exchange->fault.cut == MR_FAULT_CUT_AFTER) {
        if (call->subscription)
            call->subscription->close(call->subscription);
        mr_reply_cut(exchange->reply);
    } else if (call->refusal.type) {
        send_refusal(exchange, &call->refusal);
    } else if (call->subscription) {
        send_events(exchange);
    } else {
        send_response(exchange);
    }
    end_exchange(exchange);
}

static void finish_task(struct mr_task *task)
{
    finish((struct exchange *)(void *)((char *)task - offsetof(struct exchange, task)));
}

static void done(struct mr_call *call)
{
    struct exchange *exchange = (struct exchange *)(void *)call;
    struct mr_kinesis *kinesis = exchange->kinesis;

    /* An answer this small is made on its loop: the engine's thread goes on at once, nothing is
     * copied, and memory is freed where it was taken. */
    if (call->action == MR_ACTION_PUT_RECORD) {
        exchange->task.run = finish_task;
        mr_reply_post(exchange->reply, &exchange->task);
    } else {
        finish(exchange);
    }
    atomic_fetch_sub(&kinesis->call_count, 1);
}

/* False: it is refused. */
static bool read_origin(struct exchange *exchange)
{
    const struct mr_refusal refusal = {MR_EXCEPTION_INVALID_ARGUMENT,
                                       text_of(MR_ORIGIN_FIELD " is not FROM TO NAME")};
    mr_bytes field = mr_request_field(exchange->request, MR_ORIGIN_FIELD);

    if (field.size == 0)
        return true;
    if (mr_origin_read(field, &exchange->arena, &exchange->origin.origin)) {
        exchange->call.origin = &exchange->origin;
        return true;
    }
    note(exchange, &refusal);
    send_refusal(exchange, &refusal);
    end_exchange(exchange);
    return false;
}

static void begin_call(struct exchange *exchange)
{
    struct mr_service *service = exchange->kinesis->service;

    /* Whatever the request has used, the answer has its own. */
    exchange->arena.limit = exchange->arena.used + ANSWER_BYTES(exchange->request->body.size);
    exchange->call = (struct mr_call){.action = exchange->front.action,
                                      .request = exchange->front.structure,
                                      .arena = &exchange->arena,
                                      .caller = exchange->front.pass.caller,
                                      .done = done};
    if (!exchange->kinesis->has_region)
        exchange->call.region = exchange->front.region;
    if (!read_origin(exchange))
        return;
    atomic_fetch_add(&exchange->kinesis->call_count, 1);
    service->call(service, &exchange->call);
}

/* ---- faults ------------------------------------------------------------------------------- */

static bool is_hit(struct exchange *exchange)
{
    struct mr_kinesis *kinesis = exchange->kinesis;
    char stream[MR_NAME_BYTES_MAX + 1] = "";

    if (!kinesis->faults || !mr_faults_are_set(kinesis->faults))
        return false;
    if (kinesis->is_local)
        mr_service_local_stream_of(kinesis->service, exchange->front.action,
                                   exchange->front.structure, stream);
    return mr_faults_hit(kinesis->faults, exchange->front.action, stream, &exchange->fault);
}

static void go_on(void *context)
{
    struct exchange *exchange = context;
    const struct mr_refusal refusal = {
        exchange->fault.error, text_of("This is a fault that a rule of the server asked for.")};

    if (exchange->fault.cut == MR_FAULT_CUT_BEFORE) {
        mr_reply_cut(exchange->reply);
    } else if (exchange->fault.error) {
        note(exchange, &refusal);
        send_refusal(exchange, &refusal);
    } else {
        begin_call(exchange);
        return;
    }
    end_exchange(exchange);
}

static void begin(struct exchange *exchange)
{
    exchange->is_hit = is_hit(exchange);
    if (!exchange->is_hit)
        begin_call(exchange);
    else if (exchange->fault.delay_ms)
        mr_reply_later(exchange->reply, exchange->fault.delay_ms, go_on, exchange);
    else
        go_on(exchange);
}

/* ---- requests ----------------------------------------------------------------------------- */

void mr_kinesis_handle(void *context, const struct mr_request *request)
{
    static const char forbidden[] =
        "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be "
        "authorized</Message>\n</AccessDeniedException>\n";
    struct mr_kinesis *kinesis = context;
    struct exchange *exchange = mr_new(struct exchange);

    exchange->kinesis = kinesis;
    exchange->request = request;
    exchange->began_ns = now_ns();
    make_id(exchange->request_id);
    exchange->arena = MR_ARENA(REQUEST_BYTES(request->body.size));
    exchange->reply = request->reply;
    exchange->is_cross_origin = mr_request_field(request, "origin").size != 0;
    if (answer_page(exchange, request)) {
        end_exchange(exchange);
        return;
    }
    mr_front_read(request, kinesis->guard, &exchange->arena, &exchange->front);
    switch (exchange->front.verdict) {
    case MR_FRONT_CALL:
        begin(exchange);
        return;
    case MR_FRONT_REFUSED:
        note(exchange, &exchange->front.refusal);
        send_refusal(exchange, &exchange->front.refusal);
        break;
    case MR_FRONT_FORBIDDEN:
        send_xml(exchange, 403, forbidden);
        break;
    case MR_FRONT_UNKNOWN:
        send_xml(exchange, 404, "<UnknownOperationException/>\n");
        break;
    case MR_FRONT_PLAIN:
        send_plain(exchange, &exchange->front.refusal);
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

void mr_kinesis_attend(struct mr_kinesis *kinesis, const struct mr_kinesis_config *config)
{
    kinesis->guard = config->guard;
    kinesis->audit = config->audit;
    kinesis->faults = config->faults;
    kinesis->metrics = config->metrics;
    kinesis->admin = (struct mr_admin){.faults = config->faults,
                                       .warp = config->has_admin ? config->warp : NULL,
                                       .service = kinesis->is_local ? kinesis->service : NULL};
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
    service_config.clock = config->warp ? &config->warp->clock : NULL;
    status = mr_service_local_open(&service, engine, &service_config, error);
    if (status)
        return status;
    *kinesis = mr_kinesis_of(service, config->region != NULL);
    (*kinesis)->is_local = true;
    mr_kinesis_attend(*kinesis, config);
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
