#include "server/http2.h"

#include "server/inside.h"

#include "base/check.h"
#include "base/memory.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#define STREAM_WINDOW_BYTES (1 << 20)
#define CONNECTION_WINDOW_BYTES (4 << 20)
#define SETTING_COUNT_MAX 32

/* A client that cancels streams, or makes us reset them, costs work and pays none. Each connection
 * has so many for free, and so many more a second. */
#define RESETS_FREE 1000
#define RESETS_PER_S 33
#define ERRORS_FREE 100
#define ERRORS_PER_S 10

struct bucket {
    uint32_t tokens, free;
    uint32_t per_s;
    uint64_t filled_ms;
};

struct mr_http2 {
    nghttp2_session *session;
    struct bucket resets, errors;
    uint64_t late_ms; /* when to look at the streams next */
    uint64_t head_ms; /* a head began that is not complete; 0: none */
    bool is_refused;  /* said, and GOAWAY sent */
    bool is_stopping;
};

struct mr_http2_setup {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
};

static const struct mr_server_limits *limits_of(const struct mr_connection *connection)
{
    return &connection->worker->server->config.limits;
}

static uint64_t now_of(const struct mr_connection *connection)
{
    return mr_loop_now_ms(connection->worker->loop);
}

static bool bucket_take(struct bucket *bucket, uint64_t now_ms)
{
    uint64_t more = (now_ms - bucket->filled_ms) * bucket->per_s / 1000;

    if (more > 0) {
        bucket->tokens =
            more > bucket->free - bucket->tokens ? bucket->free : bucket->tokens + (uint32_t)more;
        bucket->filled_ms = now_ms;
    }
    if (bucket->tokens == 0)
        return false;
    bucket->tokens--;
    return true;
}

/* Says why, and says goodbye. */
static void refuse_connection(struct mr_connection *connection, enum mr_refusal refusal)
{
    if (connection->http2->is_refused)
        return;
    connection->http2->is_refused = true;
    mr_connection_refuse(connection, refusal);
    nghttp2_session_terminate_session(connection->http2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static struct mr_exchange *exchange_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static uint64_t exchange_deadline(const struct mr_exchange *exchange)
{
    const struct mr_server_limits *limits = limits_of(exchange->connection);

    if (exchange->http2.is_lingering)
        return exchange->since_ms + limits->linger_ms;
    switch (exchange->state) {
    case EXCHANGE_READING:
        return exchange->body.is_waiting
                   ? NEVER_MS
                   : exchange->since_ms + limits->body_ms +
                         exchange->body.size * 1000 / limits->body_bytes_per_s;
    case EXCHANGE_ANSWERING:
        if (exchange->is_feed_idle)
            return NEVER_MS;
        return exchange->since_ms + (exchange->feed.fill ? limits->feed_ms : limits->read_ms);
    default:
        return NEVER_MS;
    }
}

/* ---- answers ------------------------------------------------------------------------------ */

static nghttp2_nv field_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t read_answer(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct mr_exchange *exchange = source->ptr;
    mr_bytes *rest = &exchange->rest;
    ssize_t size;

    (void)session;
    (void)stream;
    (void)context;
    if (exchange->feed.fill) {
        size = mr_exchange_fill(exchange, to, room);
        if (size < 0)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        return size > 0 ? size : size < 0 ? 0 : NGHTTP2_ERR_DEFERRED;
    }
    if (room > rest->size)
        room = rest->size;
    if (room)
        memcpy(to, rest->data, room);
    rest->data = (const char *)rest->data + room;
    rest->size -= room;
    exchange->since_ms = mr_loop_now_ms(exchange->worker->loop);
    if (rest->size == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)room;
}

static bool answer(struct mr_exchange *exchange, const struct mr_response *response)
{
    struct mr_connection *connection = exchange->connection;
    bool is_feed = exchange->feed.fill != NULL;
    bool is_head =
        exchange->request.method.size == 4 && memcmp(exchange->request.method.data, "HEAD", 4) == 0;
    size_t body_bytes = exchange->rest.size ? exchange->rest.size : response->body.size;
    nghttp2_data_provider provider = {.source.ptr = exchange, .read_callback = read_answer};
    nghttp2_nv fields[36];
    size_t count = 0;
    char status[12], length[24];

    snprintf(status, sizeof status, "%u", response->status);
    snprintf(length, sizeof length, "%zu", body_bytes);
    fields[count++] = field_nv(":status", status);
    fields[count++] = field_nv("date", mr_worker_date(connection->worker));
    if (!is_feed && response->status != 204 && response->status != 304)
        fields[count++] = field_nv("content-length", length);
    for (size_t i = 0; i < response->field_count; i++) {
        const struct mr_field *field = &response->fields[i];
        fields[count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)field->name.data,
                                       (uint8_t *)(uintptr_t)field->value.data, field->name.size,
                                       field->value.size, NGHTTP2_NV_FLAG_NONE};
    }
    if (!is_feed && !exchange->rest.size && response->body.size && !is_head) {
        void *copy =
            memcpy(mr_alloc(response->body.size), response->body.data, response->body.size);
        exchange->rest = (mr_bytes){copy, response->body.size};
        exchange->rest_data = copy;
        exchange->rest_free = mr_free;
    }
    if (nghttp2_submit_response(connection->http2->session, exchange->http2.stream, fields, count,
                                is_head || (!is_feed && !exchange->rest.size) ? NULL : &provider) !=
        0)
        nghttp2_submit_rst_stream(connection->http2->session, NGHTTP2_FLAG_NONE,
                                  exchange->http2.stream, NGHTTP2_INTERNAL_ERROR);
    return false; /* done when the stream is closed */
}

/* Answers for the server itself. */
static void refuse(struct mr_exchange *exchange, enum mr_refusal refusal)
{
    static const struct mr_field plain = {{"content-type", 12}, {"text/plain", 10}};
    char text[80];
    struct mr_response response = {
        .status = mr_refusal_http_status(refusal), .fields = &plain, .field_count = 1};

    mr_connection_refuse(exchange->connection, refusal);
    response.body.data = text;
    response.body.size = (size_t)snprintf(text, sizeof text, "%s\n", mr_refusal_text(refusal));
    exchange->state = EXCHANGE_ANSWERING;
    exchange->since_ms = now_of(exchange->connection);
    answer(exchange, &response);
}

/* ---- requests ----------------------------------------------------------------------------- */

/* Tells the client that it may send more, for what the body holds. */
static void window_open(struct mr_exchange *exchange)
{
    struct mr_http2_part *part = &exchange->http2;

    if (part->unconsumed_bytes)
        nghttp2_session_consume(exchange->connection->http2->session, part->stream,
                                part->unconsumed_bytes);
    part->unconsumed_bytes = 0;
}

static void handle(struct mr_exchange *exchange)
{
    window_open(exchange);
    mr_exchange_handle(exchange, 2);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct mr_connection *connection = context;
    struct mr_exchange *exchange;

    connection->http2->head_ms = now_of(connection);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    exchange = mr_exchange_take(connection);
    if (!exchange) {
        mr_connection_refuse(connection, MR_REFUSAL_REQUEST_COUNT);
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    }
    exchange->http2.stream = frame->hd.stream_id;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, exchange);
}

static void text_add(struct mr_exchange *exchange, mr_bytes *bytes, size_t *at, const uint8_t *from,
                     size_t size)
{
    *at = exchange->text.size;
    bytes->size = size;
    mr_pack_bytes(&exchange->text, (mr_bytes){from, size});
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context)
{
    struct mr_exchange *exchange = exchange_of(session, frame->hd.stream_id);
    struct mr_request *request;
    struct mr_http2_part *part;
    size_t at;

    (void)flags;
    (void)context;
    if (!exchange || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* a trailer */
    request = &exchange->request;
    part = &exchange->http2;
    if (exchange->text.size + name_size + value_size > MR_HEAD_BYTES_MAX) {
        part->refusal = MR_REFUSAL_HEAD_BYTES;
        return 0;
    }
    if (name[0] == ':') {
        if (name_size == 7 && memcmp(name, ":method", 7) == 0)
            text_add(exchange, &request->method, &part->method_at, value, value_size);
        else if (name_size == 5 && memcmp(name, ":path", 5) == 0)
            text_add(exchange, &request->path, &part->path_at, value, value_size);
        else if (name_size == 10 && memcmp(name, ":authority", 10) == 0)
            text_add(exchange, &request->host, &part->host_at, value, value_size);
        return 0;
    }
    if (request->field_count == MR_FIELD_COUNT_MAX) {
        part->refusal = MR_REFUSAL_FIELD_COUNT;
        return 0;
    }
    if (request->field_count == 0)
        part->fields_at = exchange->text.size;
    if (name_size == 14 && memcmp(name, "content-length", 14) == 0) {
        part->has_length = mr_length_parse((mr_bytes){value, value_size}, &part->length);
        if (!part->has_length)
            part->refusal = MR_REFUSAL_LENGTH;
    }
    text_add(exchange, &exchange->fields[request->field_count].name, &at, name, name_size);
    text_add(exchange, &exchange->fields[request->field_count++].value, &at, value, value_size);
    return 0;
}

static bool text_is(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* Sets the pointers, now that the text stays where it is. */
static enum mr_refusal request_complete(struct mr_exchange *exchange)
{
    struct mr_request *request = &exchange->request;
    struct mr_http2_part *part = &exchange->http2;
    const uint8_t *text = exchange->text.data, *at = text + part->fields_at;
    mr_bytes target;

    if (part->refusal)
        return part->refusal;
    request->method.data = text + part->method_at;
    request->host.data = text + part->host_at;
    for (size_t i = 0; i < request->field_count; i++) {
        exchange->fields[i].name.data = at;
        at += exchange->fields[i].name.size;
        exchange->fields[i].value.data = at;
        at += exchange->fields[i].value.size;
        if (request->host.size == 0 && text_is(exchange->fields[i].name, "host"))
            request->host = exchange->fields[i].value;
    }
    target = (mr_bytes){text + part->path_at, request->path.size};
    if (part->has_length && part->length > limits_of(exchange->connection)->body_bytes)
        return MR_REFUSAL_BODY_BYTES;
    return mr_target_parse(target, &request->path, &request->query);
}

static void head_complete(struct mr_exchange *exchange, bool is_end)
{
    enum mr_refusal refusal = request_complete(exchange);

    if (refusal)
        refuse(exchange, refusal);
    else if (is_end)
        handle(exchange);
    else if (exchange->http2.has_length)
        mr_exchange_reserve(exchange, exchange->http2.length);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct mr_connection *connection = context;
    struct mr_exchange *exchange = exchange_of(session, frame->hd.stream_id);
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    connection->http2->head_ms = 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (!exchange)
            return 0;
        exchange->http2.is_complete |= is_end;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            head_complete(exchange, is_end);
        else if (is_end && exchange->state == EXCHANGE_READING) /* behind trailers */
            handle(exchange);
        return 0;
    case NGHTTP2_DATA:
        if (!exchange)
            return 0;
        exchange->http2.is_complete |= is_end;
        if (is_end && exchange->state == EXCHANGE_READING)
            handle(exchange);
        return 0;
    case NGHTTP2_RST_STREAM:
        if (!bucket_take(&connection->http2->resets, now_of(connection)))
            refuse_connection(connection, MR_REFUSAL_H2_RESETS);
        return 0;
    default:
        return 0;
    }
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *context)
{
    struct mr_connection *connection = context;

    (void)session;
    (void)frame;
    (void)code;
    connection->http2->head_ms = 0;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t size, void *context)
{
    struct mr_exchange *exchange = exchange_of(session, stream);
    struct mr_connection *connection = context;
    struct mr_body *body;
    size_t needed;

    (void)flags;
    if (!exchange || exchange->state != EXCHANGE_READING) {
        nghttp2_session_consume_connection(session, size);
        return 0;
    }
    body = &exchange->body;
    exchange->http2.unconsumed_bytes += size;
    if (body->size + size > limits_of(connection)->body_bytes) {
        window_open(exchange);
        refuse(exchange, MR_REFUSAL_BODY_BYTES);
        return 0;
    }
    if (!exchange->http2.has_length && !body->reserved && body->size + size > MR_BODY_SMALL_BYTES)
        mr_exchange_reserve(exchange, limits_of(connection)->body_bytes);
    needed = body->size + size;
    if (exchange->http2.has_length && !body->is_waiting && needed < exchange->http2.length)
        needed = (size_t)exchange->http2.length;
    mr_body_extend(&connection->worker->bodies, body, needed);
    memcpy(body->data + body->size, data, size);
    body->size += size;
    if (!body->is_waiting)
        window_open(exchange);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
    struct mr_exchange *exchange = exchange_of(session, stream);
    struct mr_connection *connection = context;

    (void)code;
    if (!exchange)
        return 0;
    if (exchange->http2.unconsumed_bytes)
        nghttp2_session_consume_connection(session, exchange->http2.unconsumed_bytes);
    if (!connection->is_dead)
        mr_exchange_drop(exchange);
    if (!connection->exchanges)
        connection->since_ms = now_of(connection);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct mr_connection *connection = context;
    struct mr_exchange *exchange;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        /* The answer is complete and the request is not: it has no window to go on, and is reset
         * when the client had time to read why. */
        exchange = exchange_of(session, frame->hd.stream_id);
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && exchange &&
            !exchange->http2.is_complete) {
            exchange->http2.is_lingering = true;
            exchange->since_ms = now_of(connection);
            if (connection->http2->late_ms > exchange_deadline(exchange))
                connection->http2->late_ms = exchange_deadline(exchange);
        }
        return 0;
    case NGHTTP2_RST_STREAM:
        if (!bucket_take(&connection->http2->errors, now_of(connection)))
            refuse_connection(connection, MR_REFUSAL_H2_ERRORS);
        return 0;
    case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR && !connection->http2->is_refused) {
            connection->http2->is_refused = true;
            mr_connection_refuse(connection, frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM
                                                 ? MR_REFUSAL_H2_FLOOD
                                                 : MR_REFUSAL_H2_PROTOCOL);
        }
        return 0;
    default:
        return 0;
    }
}

/* ---- the session -------------------------------------------------------------------------- */

struct mr_http2_setup *mr_http2_setup_new(void)
{
    struct mr_http2_setup *setup = mr_new(struct mr_http2_setup);

    mr_check(nghttp2_session_callbacks_new(&setup->callbacks) == 0);
    mr_check(nghttp2_option_new(&setup->options) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(setup->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(setup->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(setup->callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(setup->callbacks,
                                                                 on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(setup->callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(setup->callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(setup->callbacks, on_frame_send);
    nghttp2_option_set_no_auto_window_update(setup->options, 1);
    nghttp2_option_set_max_settings(setup->options, SETTING_COUNT_MAX);
    return setup;
}

void mr_http2_setup_free(struct mr_http2_setup *setup)
{
    if (!setup)
        return;
    nghttp2_session_callbacks_del(setup->callbacks);
    nghttp2_option_del(setup->options);
    mr_free(setup);
}

void mr_http2_start(struct mr_connection *connection)
{
    struct mr_http2_setup *setup = connection->worker->server->http2;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_of(connection)->stream_count},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MR_HEAD_BYTES_MAX},
    };
    struct mr_http2 *http2 = mr_new(struct mr_http2);

    http2->resets = (struct bucket){RESETS_FREE, RESETS_FREE, RESETS_PER_S, now_of(connection)};
    http2->errors = (struct bucket){ERRORS_FREE, ERRORS_FREE, ERRORS_PER_S, now_of(connection)};
    connection->http2 = http2;
    connection->protocol = &mr_protocol_http2;
    if (nghttp2_session_server_new2(&http2->session, setup->callbacks, connection,
                                    setup->options) != 0)
        mr_out_of_memory(0);
    nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                            sizeof settings / sizeof *settings);
    nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0,
                                          CONNECTION_WINDOW_BYTES);
}

/* False: the connection is dead. */
static bool take(struct mr_connection *connection, const uint8_t *data, size_t size)
{
    ssize_t taken = nghttp2_session_mem_recv(connection->http2->session, data, size);

    if (connection->is_dead)
        return false;
    if (taken >= 0)
        return true;
    if (!connection->http2->is_refused)
        mr_connection_refuse(connection, taken == NGHTTP2_ERR_FLOODED ? MR_REFUSAL_H2_FLOOD
                                                                      : MR_REFUSAL_H2_PROTOCOL);
    mr_connection_drop(connection);
    return false;
}

static bool input(struct mr_connection *connection)
{
    uint8_t *scratch = connection->worker->scratch;
    size_t bytes = 0;

    if (connection->in.size) {
        struct mr_pack in = connection->in;
        bool is_alive;

        connection->in = (struct mr_pack){0};
        is_alive = take(connection, in.data, in.size);
        mr_pack_fini(&in);
        if (!is_alive)
            return false;
    }
    while (connection->is_readable && bytes < TURN_BYTES_MAX && !connection->is_blocked) {
        ssize_t got = mr_connection_read(connection, scratch, SCRATCH_BYTES);

        if (got == MR_SOCKET_GONE || got == 0)
            mr_connection_drop(connection); /* no stream outlives its connection */
        if (got <= 0 || !take(connection, scratch, (size_t)got))
            return false;
        bytes += (size_t)got;
        if (!connection->exchanges)
            connection->since_ms = now_of(connection);
    }
    return connection->is_readable && bytes >= TURN_BYTES_MAX;
}

static bool output(struct mr_connection *connection)
{
    nghttp2_session *session = connection->http2->session;
    bool made = false;

    while (connection->out.size < OUT_BYTES_MAX) {
        const uint8_t *data;
        ssize_t size = nghttp2_session_mem_send(session, &data);

        if (connection->is_dead)
            return false;
        if (size < 0) {
            mr_connection_drop(connection);
            return false;
        }
        if (size == 0)
            break;
        mr_pack_bytes(&connection->out, (mr_bytes){data, (size_t)size});
        made = true;
    }
    if (!made && ((!nghttp2_session_want_read(session) && !nghttp2_session_want_write(session)) ||
                  (connection->http2->is_stopping && !connection->exchanges)))
        connection->is_closing = true;
    return made;
}

static void resume(struct mr_exchange *exchange)
{
    if (exchange->state == EXCHANGE_READING)
        window_open(exchange);
    else
        nghttp2_session_resume_data(exchange->connection->http2->session, exchange->http2.stream);
    mr_connection_queue(exchange->connection);
}

static void stop(struct mr_connection *connection)
{
    nghttp2_session *session = connection->http2->session;

    connection->http2->is_stopping = true;
    nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, NULL,
                          0);
    for (struct mr_exchange *exchange = connection->exchanges; exchange; exchange = exchange->next)
        if (exchange->is_feed_idle) {
            exchange->is_feed_idle = false;
            nghttp2_session_resume_data(session, exchange->http2.stream);
        }
    mr_connection_queue(connection);
}

/* ---- what comes too slowly ---------------------------------------------------------------- */

/* The streams are looked at now and then: that is cheaper than a timer for each. */
static uint64_t deadline(const struct mr_connection *connection)
{
    const struct mr_server_limits *limits = limits_of(connection);
    uint64_t due_ms = connection->http2->late_ms;

    if (connection->http2->head_ms && due_ms > connection->http2->head_ms + limits->head_ms)
        due_ms = connection->http2->head_ms + limits->head_ms;
    if (!connection->exchanges && !connection->http2->head_ms)
        return connection->since_ms + limits->idle_ms;
    return due_ms;
}

static void exchange_late(struct mr_exchange *exchange)
{
    nghttp2_session *session = exchange->connection->http2->session;
    int32_t stream = exchange->http2.stream;

    if (exchange->state == EXCHANGE_READING) {
        refuse(exchange, MR_REFUSAL_BODY_LATE);
        return;
    }
    if (!exchange->http2.is_lingering)
        mr_connection_refuse(exchange->connection, MR_REFUSAL_READ_LATE);
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream,
                              exchange->http2.is_lingering ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    exchange->since_ms = now_of(exchange->connection);
}

static void late(struct mr_connection *connection)
{
    const struct mr_server_limits *limits = limits_of(connection);
    struct mr_http2 *http2 = connection->http2;
    uint64_t now_ms = now_of(connection);
    uint32_t least_ms = limits->body_ms < limits->read_ms ? limits->body_ms : limits->read_ms;

    if (http2->head_ms && now_ms >= http2->head_ms + limits->head_ms) {
        mr_connection_refuse(connection, MR_REFUSAL_HEAD_LATE);
        mr_connection_drop(connection);
        return;
    }
    if (!connection->exchanges) {
        nghttp2_session_terminate_session(http2->session, NGHTTP2_NO_ERROR);
        return;
    }
    http2->late_ms = now_ms + least_ms / 2 + 1; /* for what comes meanwhile */
    for (struct mr_exchange *each = connection->exchanges; each; each = each->next) {
        uint64_t due_ms = exchange_deadline(each);

        if (due_ms <= now_ms)
            exchange_late(each);
        else if (due_ms < http2->late_ms)
            http2->late_ms = due_ms;
    }
}

static void gone(struct mr_connection *connection)
{
    /* Streams still open are not closed by this, nor does it call back. */
    nghttp2_session_del(connection->http2->session);
    mr_free(connection->http2);
    connection->http2 = NULL;
}

const struct mr_protocol mr_protocol_http2 = {
    .input = input,
    .output = output,
    .answer = answer,
    .resume = resume,
    .stop = stop,
    .deadline = deadline,
    .late = late,
    .gone = gone,
};
