#include "server/inside.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define KEEP_BYTES_MAX (MR_HEAD_BYTES_MAX + (16u << 10)) /* read and not understood yet */
#define PART_BYTES_MAX (16u << 10)                       /* of a feed in one chunk */

static const struct mr_server_limits *limits_of(const struct mr_connection *connection)
{
    return &connection->worker->server->config.limits;
}

/* ---- heads out ---------------------------------------------------------------------------- */

static const char *reason_of(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}

static void put(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, (mr_bytes){text, strlen(text)});
}

static void put_number(struct mr_pack *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10));
    mr_pack_bytes(out, (mr_bytes){digits + at, sizeof digits - at});
}

static void put_field(struct mr_pack *out, mr_bytes name, mr_bytes value)
{
    /* A line break in a field would begin another one. */
    mr_check(!value.size ||
             (!memchr(value.data, '\r', value.size) && !memchr(value.data, '\n', value.size)));
    mr_pack_bytes(out, name);
    put(out, ": ");
    mr_pack_bytes(out, value);
    put(out, "\r\n");
}

static bool has_body(unsigned status)
{
    return status != 204 && status != 304;
}

static void put_head(struct mr_connection *connection, const struct mr_response *response,
                     bool is_feed)
{
    struct mr_http1 *http1 = &connection->http1;
    struct mr_pack *out = &connection->out;

    put(out, "HTTP/1.1 ");
    put_number(out, response->status);
    put(out, " ");
    put(out, reason_of(response->status));
    put(out, "\r\nDate: ");
    put(out, mr_worker_date(connection->worker));
    put(out, "\r\n");
    for (size_t i = 0; i < response->field_count; i++)
        put_field(out, response->fields[i].name, response->fields[i].value);
    if (is_feed && !http1->is_http_1_0) {
        put(out, "Transfer-Encoding: chunked\r\n");
    } else if (!is_feed && has_body(response->status)) {
        put(out, "Content-Length: ");
        put_number(out, response->body.size);
        put(out, "\r\n");
    }
    if (!http1->keeps_alive)
        put(out, "Connection: close\r\n\r\n");
    else
        put(out, http1->is_http_1_0 ? "Connection: keep-alive\r\n\r\n" : "\r\n");
}

/* ---- the end of an exchange --------------------------------------------------------------- */

/* Ready for the next request, or for none. */
static void rewind_head(struct mr_connection *connection)
{
    struct mr_http1 *http1 = &connection->http1;

    http1->exchange = NULL;
    http1->scanned = 0;
    http1->is_head_begun = false;
    connection->since_ms = mr_loop_now_ms(connection->worker->loop);
    http1->state = http1->keeps_alive ? HTTP1_HEAD : HTTP1_CLOSED;
    connection->is_closing |= !http1->keeps_alive;
}

static void refuse(struct mr_connection *connection, enum mr_refusal refusal)
{
    static const struct mr_field plain = {{"Content-Type", 12}, {"text/plain", 10}};
    struct mr_http1 *http1 = &connection->http1;
    char text[80];
    struct mr_response response = {
        .status = mr_refusal_http_status(refusal), .fields = &plain, .field_count = 1};

    mr_connection_refuse(connection, refusal);
    if (http1->exchange)
        mr_exchange_drop(http1->exchange);
    http1->keeps_alive = false;
    response.body.data = text;
    response.body.size = (size_t)snprintf(text, sizeof text, "%s\n", mr_refusal_text(refusal));
    put_head(connection, &response, false);
    mr_pack_bytes(&connection->out, response.body);
    rewind_head(connection);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void handle(struct mr_connection *connection)
{
    connection->http1.state = HTTP1_HANDLED;
    mr_exchange_handle(connection->http1.exchange, 1);
}

static void head_take(struct mr_connection *connection, mr_bytes bytes)
{
    struct mr_http1 *http1 = &connection->http1;
    struct mr_exchange *exchange = mr_exchange_take(connection);
    struct mr_head head;
    enum mr_refusal refusal;

    if (!exchange) {
        refuse(connection, MR_REFUSAL_REQUEST_COUNT);
        return;
    }
    http1->exchange = exchange;
    mr_pack_bytes(&exchange->text, bytes);
    head.fields = exchange->fields;
    refusal = mr_head_parse((mr_bytes){exchange->text.data, bytes.size}, &head);
    http1->is_http_1_0 = head.is_http_1_0;
    if (!refusal && head.body_bytes > limits_of(connection)->body_bytes)
        refusal = MR_REFUSAL_BODY_BYTES;
    if (refusal) {
        refuse(connection, refusal);
        return;
    }
    exchange->request.method = head.method;
    exchange->request.path = head.path;
    exchange->request.query = head.query;
    exchange->request.host = head.host;
    exchange->request.field_count = head.field_count;
    http1->keeps_alive = head.keeps_alive && !connection->worker->is_stopping;
    http1->chunks = (struct mr_chunks){0};
    http1->body_bytes = head.body_bytes;
    if (!head.is_chunked && head.body_bytes == 0) {
        handle(connection);
        return;
    }
    http1->state = head.is_chunked ? HTTP1_CHUNKS : HTTP1_BODY;
    if (!head.is_chunked)
        mr_exchange_reserve(exchange, head.body_bytes);
    if (head.expects_continue)
        put(&connection->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

static struct mr_body *body_of(struct mr_connection *connection)
{
    return &connection->http1.exchange->body;
}

/* Where the rest of a body of known size goes. */
static uint8_t *body_room(struct mr_connection *connection, size_t *room)
{
    struct mr_body *body = body_of(connection);

    mr_body_extend(&connection->worker->bodies, body, (size_t)connection->http1.body_bytes);
    *room = (size_t)connection->http1.body_bytes - body->size;
    return body->data + body->size;
}

static void body_grown(struct mr_connection *connection, size_t size)
{
    struct mr_body *body = body_of(connection);

    body->size += size;
    if (body->size == connection->http1.body_bytes)
        handle(connection);
}

/* Reads chunks at *at; false: the body has to wait for memory. */
static bool chunks_take(struct mr_connection *connection, const uint8_t **at, const uint8_t *end)
{
    struct mr_http1 *http1 = &connection->http1;
    struct mr_body *body = body_of(connection);
    uint64_t most = limits_of(connection)->body_bytes;

    while (*at < end && !http1->chunks.is_complete) {
        enum mr_refusal refusal;
        mr_bytes piece;

        if (body->is_waiting)
            return false;
        /* Its size is not known: what is more than small is counted as large. */
        if (!body->reserved && body->size + http1->chunks.left > MR_BODY_SMALL_BYTES &&
            !mr_exchange_reserve(http1->exchange, most))
            return false;
        refusal = mr_chunks_read(&http1->chunks, at, end, &piece);
        if (!refusal && body->size + piece.size + http1->chunks.left > most)
            refusal = MR_REFUSAL_BODY_BYTES;
        if (refusal) {
            refuse(connection, refusal);
            return true;
        }
        if (piece.size) {
            mr_body_extend(&connection->worker->bodies, body, body->size + piece.size);
            memcpy(body->data + body->size, piece.data, piece.size);
            body->size += piece.size;
        }
    }
    if (http1->chunks.is_complete)
        handle(connection);
    return true;
}

/* Understands what it can of bytes; returns how many. */
static size_t consume(struct mr_connection *connection, mr_bytes bytes)
{
    struct mr_http1 *http1 = &connection->http1;
    const uint8_t *at = bytes.data, *end = at + bytes.size;

    while (at < end && !connection->is_dead) {
        size_t size = (size_t)(end - at);
        enum mr_refusal refusal;

        switch (http1->state) {
        case HTTP1_HEAD:
            if (connection->out.size - connection->out_at > OUT_BYTES_MAX)
                http1->is_held = true; /* asks and does not listen */
            if (http1->is_held)
                goto out;
            refusal = mr_head_find((mr_bytes){at, size}, &http1->scanned, &size);
            if (refusal)
                refuse(connection, refusal);
            else if (size == 0)
                goto out;
            else
                head_take(connection, (mr_bytes){at, size});
            at += size;
            break;
        case HTTP1_BODY:
            if (body_of(connection)->is_waiting)
                goto out;
            else {
                size_t room;
                uint8_t *to = body_room(connection, &room);

                size = size < room ? size : room;
                memcpy(to, at, size);
                at += size;
                body_grown(connection, size);
            }
            break;
        case HTTP1_CHUNKS:
            if (!chunks_take(connection, &at, end))
                goto out;
            break;
        case HTTP1_CLOSED:
            at = end;
            break;
        default:
            goto out;
        }
    }
out:
    return bytes.size - (size_t)(end - at);
}

/* ---- input -------------------------------------------------------------------------------- */

static mr_bytes kept_of(const struct mr_connection *connection)
{
    if (connection->in.size == 0)
        return (mr_bytes){NULL, 0};
    return (mr_bytes){connection->in.data + connection->in_at,
                      connection->in.size - connection->in_at};
}

static void head_begins(struct mr_connection *connection)
{
    if (connection->http1.state == HTTP1_HEAD && !connection->http1.is_head_begun) {
        connection->http1.is_head_begun = true;
        connection->since_ms = mr_loop_now_ms(connection->worker->loop);
    }
}

/* Understands what it can of what was kept. */
static void consume_kept(struct mr_connection *connection)
{
    mr_bytes kept = kept_of(connection);

    if (kept.size)
        connection->in_at += consume(connection, kept);
    if (connection->is_dead)
        return;
    if (connection->in_at < connection->in.size) {
        head_begins(connection);
        return;
    }
    connection->in_at = 0;
    mr_pack_fini(&connection->in); /* an idle connection holds no buffer */
}

/* Reads once, to where the bytes belong; false: nothing read, or no room. */
static bool read_once(struct mr_connection *connection, size_t *bytes)
{
    size_t room = SCRATCH_BYTES;
    uint8_t *to = connection->worker->scratch;
    bool is_kept = kept_of(connection).size > 0, is_body = false;
    ssize_t got;

    if (connection->http1.state == HTTP1_BODY && !is_kept) {
        if (body_of(connection)->is_waiting)
            return false;
        to = body_room(connection, &room);
        is_body = true;
    } else if (is_kept) {
        memmove(connection->in.data, kept_of(connection).data, kept_of(connection).size);
        connection->in.size -= connection->in_at;
        connection->in_at = 0;
        if (connection->in.size >= KEEP_BYTES_MAX)
            return false;
        room = KEEP_BYTES_MAX - connection->in.size;
        to = mr_pack_extend(&connection->in, room);
        connection->in.size -= room;
    } else if (connection->http1.state == HTTP1_CHUNKS && body_of(connection)->is_waiting) {
        return false;
    }

    got = mr_connection_read(connection, to, room);
    if (got == MR_SOCKET_GONE)
        mr_connection_drop(connection);
    if (got <= 0)
        return false;
    *bytes += (size_t)got;
    if (is_body) {
        body_grown(connection, (size_t)got);
    } else if (is_kept) {
        connection->in.size += (size_t)got;
        consume_kept(connection);
    } else {
        size_t used = consume(connection, (mr_bytes){to, (size_t)got});
        if (!connection->is_dead && used < (size_t)got) {
            mr_connection_keep(connection, (mr_bytes){to + used, (size_t)got - used});
            head_begins(connection);
        }
    }
    return !connection->is_dead;
}

static bool input(struct mr_connection *connection)
{
    struct mr_http1 *http1 = &connection->http1;
    size_t bytes = 0;

    consume_kept(connection);
    while (!connection->is_dead && connection->is_readable && bytes < TURN_BYTES_MAX)
        if (!read_once(connection, &bytes))
            break;
    if (connection->is_dead)
        return false;
    /* The client says no more: what it asked is answered, unless it waits for that on a feed. */
    if (connection->is_ended) {
        if (http1->state == HTTP1_HEAD)
            connection->is_closing = true;
        else if (http1->state == HTTP1_BODY || http1->state == HTTP1_CHUNKS ||
                 http1->state == HTTP1_FEEDING)
            mr_connection_drop(connection);
        return false;
    }
    return connection->is_readable && bytes >= TURN_BYTES_MAX;
}

/* ---- answers ------------------------------------------------------------------------------ */

static bool answer(struct mr_exchange *exchange, const struct mr_response *response)
{
    static const char head_method[] = "HEAD";
    struct mr_connection *connection = exchange->connection;
    struct mr_http1 *http1 = &connection->http1;
    bool is_feed = exchange->feed.fill != NULL;
    bool is_head = exchange->request.method.size == 4 &&
                   memcmp(exchange->request.method.data, head_method, 4) == 0;

    if ((is_feed && http1->is_http_1_0) || connection->worker->is_stopping)
        http1->keeps_alive = false;
    put_head(connection, response, is_feed);
    if (is_head || !has_body(response->status)) {
        rewind_head(connection);
        return true;
    }
    if (is_feed) {
        http1->state = HTTP1_FEEDING;
        return false;
    }
    if (exchange->rest.size) {
        http1->state = HTTP1_SENDING;
        connection->sending = exchange;
        return false;
    }
    mr_pack_bytes(&connection->out, response->body);
    rewind_head(connection);
    return true;
}

static void done(struct mr_connection *connection)
{
    mr_exchange_drop(connection->http1.exchange);
    rewind_head(connection);
    connection->is_resumed = true;
}

/* A chunk with what the feed has; false: nothing now. */
static bool feed(struct mr_connection *connection)
{
    static const char digits[] = "0123456789abcdef";
    struct mr_http1 *http1 = &connection->http1;
    struct mr_pack *out = &connection->out;
    size_t frame = http1->is_http_1_0 ? 0 : 6, start = out->size;
    ssize_t size;
    uint8_t *to;

    if (http1->exchange->is_feed_idle)
        return false;
    to = mr_pack_extend(out, frame + PART_BYTES_MAX + 2);
    size = mr_exchange_fill(http1->exchange, to + frame, PART_BYTES_MAX);
    out->size = start;
    if (size < 0) {
        if (frame)
            put(out, "0\r\n\r\n");
        done(connection);
        return true;
    }
    if (size == 0)
        return false;
    out->size += frame + (size_t)size;
    if (frame) {
        for (int i = 0; i < 4; i++)
            to[i] = (uint8_t)digits[size >> (12 - 4 * i) & 15];
        memcpy(to + 4, "\r\n", 2);
        put(out, "\r\n");
    }
    return true;
}

static bool output(struct mr_connection *connection)
{
    struct mr_http1 *http1 = &connection->http1;
    bool made = false;

    if (http1->is_held) {
        http1->is_held = false;
        connection->is_resumed = true;
    }
    if (http1->state == HTTP1_SENDING)
        done(connection);
    while (http1->state == HTTP1_FEEDING && connection->out.size < OUT_BYTES_MAX &&
           feed(connection))
        made = true;
    return made;
}

static void resume(struct mr_exchange *exchange)
{
    mr_connection_queue(exchange->connection);
}

static void stop(struct mr_connection *connection)
{
    struct mr_http1 *http1 = &connection->http1;

    http1->keeps_alive = false;
    if (http1->state == HTTP1_HEAD && kept_of(connection).size == 0 &&
        connection->out.size == connection->out_at)
        mr_connection_drop(connection);
    else if (http1->exchange && http1->state == HTTP1_FEEDING)
        http1->exchange->is_feed_idle = false;
    if (!connection->is_dead)
        mr_connection_queue(connection);
}

static uint64_t deadline(const struct mr_connection *connection)
{
    const struct mr_server_limits *limits = limits_of(connection);
    const struct mr_http1 *http1 = &connection->http1;
    const struct mr_exchange *exchange = http1->exchange;

    switch (http1->state) {
    case HTTP1_HEAD:
        return connection->since_ms + (http1->is_head_begun ? limits->head_ms : limits->idle_ms);
    case HTTP1_BODY:
    case HTTP1_CHUNKS:
        if (exchange->body.is_waiting)
            return NEVER_MS;
        return exchange->since_ms + limits->body_ms +
               exchange->body.size * 1000 / limits->body_bytes_per_s;
    default:
        return NEVER_MS;
    }
}

static void late(struct mr_connection *connection)
{
    if (connection->http1.state != HTTP1_HEAD)
        refuse(connection, MR_REFUSAL_BODY_LATE);
    else if (connection->http1.is_head_begun)
        refuse(connection, MR_REFUSAL_HEAD_LATE);
    else
        mr_connection_drop(connection);
}

static void gone(struct mr_connection *connection)
{
    connection->http1.exchange = NULL;
}

const struct mr_protocol mr_protocol_http1 = {
    .input = input,
    .output = output,
    .answer = answer,
    .resume = resume,
    .stop = stop,
    .deadline = deadline,
    .late = late,
    .gone = gone,
};
