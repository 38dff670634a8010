#include "server/inside.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>

#define OUT_BYTES_KEPT 4096
#define WRITES_A_TURN 16

static const struct mr_protocol protocol_sniff;

static const struct mr_server_limits *limits_of(const struct mr_connection *connection)
{
    return &connection->worker->server->config.limits;
}

static uint64_t now_of(const struct mr_connection *connection)
{
    return mr_loop_now_ms(connection->worker->loop);
}

void mr_connection_queue(struct mr_connection *connection)
{
    if (connection->is_queued || connection->is_in_turn)
        return;
    connection->is_queued = true;
    mr_loop_later(connection->worker->loop, &connection->turn);
}

void mr_connection_drop(struct mr_connection *connection)
{
    struct mr_worker *worker = connection->worker;

    if (connection->is_dead)
        return;
    connection->is_dead = true;
    connection->protocol->gone(connection);
    while (connection->exchanges)
        mr_exchange_drop(connection->exchanges);
    mr_timer_clear(worker->loop, &connection->timer);
    if (connection->before)
        connection->before->next = connection->next;
    else
        worker->connections = connection->next;
    if (connection->next)
        connection->next->before = connection->before;
    if (connection->tls)
        mr_tls_free(connection->tls);
    mr_socket_close(connection->watch.fd);
    mr_pack_fini(&connection->in);
    mr_pack_fini(&connection->out);
    atomic_fetch_sub(&worker->connection_count, 1);
    atomic_fetch_sub(&worker->server->connection_count, 1);
    if (worker->is_stopping && !worker->connections)
        mr_loop_end(worker->loop);
    /* Other events of this turn may still name it: its last turn frees it. */
    connection->is_in_turn = false;
    mr_connection_queue(connection);
}

void mr_connection_refuse(struct mr_connection *connection, enum mr_refusal refusal)
{
    mr_refusals_note(&connection->worker->refusals, refusal, connection->peer);
}

ssize_t mr_connection_read(struct mr_connection *connection, void *to, size_t size)
{
    ssize_t got = connection->tls ? mr_tls_read(connection->tls, to, size)
                                  : mr_socket_read(connection->watch.fd, to, size);

    /* A short read has emptied the socket, but not what OpenSSL holds back. */
    if (got == MR_SOCKET_WAIT || (got > 0 && (size_t)got < size && !connection->tls))
        connection->is_readable = false;
    if (got == 0) {
        connection->is_readable = false;
        connection->is_ended = true;
    }
    return got;
}

void mr_connection_keep(struct mr_connection *connection, mr_bytes bytes)
{
    mr_pack_bytes(&connection->in, bytes);
}

/* ---- writing ------------------------------------------------------------------------------ */

static size_t out_left(const struct mr_connection *connection)
{
    return connection->out.size - connection->out_at;
}

static ssize_t write_some(struct mr_connection *connection)
{
    struct mr_exchange *sending = connection->sending;
    mr_bytes out = {connection->out.data + connection->out_at, out_left(connection)};
    mr_bytes rest = sending ? sending->rest : (mr_bytes){NULL, 0};
    ssize_t size;

    if (connection->out.size == 0)
        out.data = NULL;
    if (connection->tls)
        size = mr_tls_write(connection->tls, out.size ? out : rest);
    else
        size = mr_socket_write(connection->watch.fd, out, rest);
    if (size <= 0)
        return size;
    if ((size_t)size < out.size) {
        connection->out_at += (size_t)size;
        return size;
    }
    connection->out.size = connection->out_at = 0;
    if (connection->out.capacity > OUT_BYTES_KEPT)
        mr_pack_fini(&connection->out);
    if (sending) {
        size_t sent = (size_t)size - out.size;
        sending->rest.data = (const char *)rest.data + sent;
        sending->rest.size -= sent;
    }
    return size;
}

static bool has_output(const struct mr_connection *connection)
{
    return out_left(connection) > 0 || (connection->sending && connection->sending->rest.size > 0);
}

/* Writes what there is and what the protocol makes; false: not all of it. */
static bool flush(struct mr_connection *connection)
{
    for (unsigned count = 0; !connection->is_blocked; count++) {
        if (!has_output(connection)) {
            if (!connection->protocol->output(connection) || connection->is_dead)
                return !connection->is_dead;
            continue;
        }
        if (count >= WRITES_A_TURN) {
            connection->is_resumed = true;
            return false;
        }
        switch (write_some(connection)) {
        case MR_SOCKET_GONE:
            mr_connection_drop(connection);
            return false;
        case MR_SOCKET_WAIT:
            connection->is_blocked = true;
            connection->written_ms = now_of(connection);
            return false;
        default:
            break;
        }
    }
    return false;
}

/* All is written, and nothing more will be: the client reads the end, then closes. A close with
 * unread bytes here would take back what it has not read yet. */
static void finish(struct mr_connection *connection)
{
    if (connection->is_ended) {
        mr_connection_drop(connection);
        return;
    }
    if (connection->tls)
        mr_tls_finish(connection->tls);
    mr_socket_finish(connection->watch.fd);
    connection->is_lingering = true;
    connection->since_ms = now_of(connection);
}

/* ---- turns -------------------------------------------------------------------------------- */

static bool linger(struct mr_connection *connection)
{
    ssize_t got = 1;

    for (size_t bytes = 0; got > 0 && connection->is_readable && bytes < TURN_BYTES_MAX;
         bytes += (size_t)got) {
        got = mr_socket_read(connection->watch.fd, connection->worker->scratch, SCRATCH_BYTES);
        if (got == MR_SOCKET_WAIT)
            connection->is_readable = false;
    }
    if (got == 0 || got == MR_SOCKET_GONE)
        mr_connection_drop(connection);
    return connection->is_readable;
}

/* A feed's client may take its time: its consumer is at work on what it has. */
static bool has_feed(const struct mr_connection *connection)
{
    for (const struct mr_exchange *each = connection->exchanges; each; each = each->next)
        if (each->feed.fill)
            return true;
    return false;
}

static uint64_t deadline(const struct mr_connection *connection)
{
    if (connection->is_lingering)
        return connection->since_ms + limits_of(connection)->linger_ms;
    if (connection->is_blocked && has_output(connection))
        return connection->written_ms + (has_feed(connection) ? limits_of(connection)->feed_ms
                                                              : limits_of(connection)->read_ms);
    return connection->protocol->deadline(connection);
}

static void settle(struct mr_connection *connection)
{
    struct mr_loop *loop = connection->worker->loop;
    uint32_t events = (connection->is_readable || connection->is_ended ? 0u : (uint32_t)EPOLLIN) |
                      (connection->is_blocked ? (uint32_t)EPOLLOUT : 0u);
    uint64_t due_ms = deadline(connection);

    if ((events != connection->watch.events || !connection->watch.is_watched) &&
        !mr_loop_watch(loop, &connection->watch, events)) {
        mr_connection_refuse(connection, MR_REFUSAL_FILE_COUNT);
        mr_connection_drop(connection);
        return;
    }
    if (due_ms != NEVER_MS)
        mr_timer_set(loop, &connection->timer, due_ms);
}

static void turn(struct mr_connection *connection)
{
    bool again;

    connection->is_in_turn = true;
    connection->is_resumed = false;
    again = connection->is_lingering ? linger(connection) : connection->protocol->input(connection);
    if (!connection->is_dead && !connection->is_lingering && flush(connection) &&
        connection->is_closing)
        finish(connection);
    connection->is_in_turn = false;
    if (connection->is_dead)
        return;
    settle(connection);
    if (!connection->is_dead && (again || connection->is_resumed))
        mr_connection_queue(connection);
}

static void turn_task(struct mr_task *task)
{
    struct mr_connection *connection = mr_container(task, struct mr_connection, turn);

    connection->is_queued = false;
    if (connection->is_dead) {
        mr_free(connection);
        return;
    }
    if (connection->is_new) {
        struct mr_worker *worker = connection->worker;

        connection->is_new = false;
        connection->next = worker->connections;
        if (connection->next)
            connection->next->before = connection;
        worker->connections = connection;
        if (worker->is_stopping || !worker->is_started) {
            mr_connection_drop(connection);
            return;
        }
        connection->since_ms = now_of(connection);
    }
    turn(connection);
}

static void ready(struct mr_watch *watch, uint32_t events)
{
    struct mr_connection *connection = mr_container(watch, struct mr_connection, watch);

    if (connection->is_dead)
        return;
    if (events & (EPOLLERR | EPOLLHUP)) {
        mr_connection_drop(connection);
        return;
    }
    if (events & EPOLLIN)
        connection->is_readable = true;
    if (events & EPOLLOUT)
        connection->is_blocked = false;
    turn(connection);
}

static void timer_fire(struct mr_timer *timer)
{
    struct mr_connection *connection = mr_container(timer, struct mr_connection, timer);
    uint64_t due_ms = deadline(connection);

    if (due_ms > now_of(connection)) {
        if (due_ms != NEVER_MS)
            mr_timer_set(connection->worker->loop, timer, due_ms);
        return;
    }
    if (connection->is_lingering) {
        mr_connection_drop(connection);
    } else if (connection->is_blocked && has_output(connection)) {
        mr_connection_refuse(connection, MR_REFUSAL_READ_LATE);
        mr_connection_drop(connection);
    } else {
        connection->protocol->late(connection);
        mr_connection_queue(connection);
    }
}

void mr_connection_start(struct mr_worker *worker, int fd, const char *peer)
{
    struct mr_connection *connection = mr_new(struct mr_connection);

    connection->worker = worker;
    connection->watch = (struct mr_watch){.fd = fd, .ready = ready};
    connection->timer.fire = timer_fire;
    connection->turn.run = turn_task;
    connection->protocol = &protocol_sniff;
    connection->is_new = connection->is_readable = connection->is_queued = true;
    strncpy(connection->peer, peer, sizeof connection->peer - 1);
    mr_loop_post(worker->loop, &connection->turn);
}

/* ---- what is spoken here? ----------------------------------------------------------------- */

static bool refuse(struct mr_connection *connection, enum mr_refusal refusal)
{
    mr_connection_refuse(connection, refusal);
    mr_connection_drop(connection);
    return false;
}

/* Whether TLS is done or not spoken; else the connection is dead or waits. */
static bool sniff_tls(struct mr_connection *connection)
{
    struct mr_tls_setup *setup = connection->worker->server->tls;
    bool for_write;

    if (!setup || connection->in.size > 0)
        return true;
    if (!connection->tls) {
        uint8_t first;
        ssize_t got = mr_socket_peek(connection->watch.fd, &first, 1);

        if (got == MR_SOCKET_WAIT)
            connection->is_readable = false;
        else if (got <= 0)
            mr_connection_drop(connection);
        if (got <= 0)
            return false;
        if (first != 0x16)
            return true;
        connection->tls = mr_tls_new(setup, connection->watch.fd);
        connection->since_ms = now_of(connection);
    }
    if (mr_tls_is_done(connection->tls))
        return true;
    switch (mr_tls_handshake(connection->tls, &for_write)) {
    case MR_SOCKET_WAIT:
        connection->is_readable = false;
        connection->is_blocked = for_write;
        connection->written_ms = now_of(connection);
        return false;
    case MR_SOCKET_GONE:
        return refuse(connection, MR_REFUSAL_HANDSHAKE);
    default:
        connection->since_ms = now_of(connection);
        return true;
    }
}

static bool sniff_input(struct mr_connection *connection)
{
    static const char http2[] = "PRI ";
    bool is_shaking = connection->tls && !mr_tls_is_done(connection->tls);
    uint8_t *scratch = connection->worker->scratch;
    ssize_t got;
    size_t size;

    if ((!connection->is_readable && !is_shaking) || !sniff_tls(connection))
        return false;
    got = mr_connection_read(connection, scratch, SCRATCH_BYTES);
    if (got == 0 || got == MR_SOCKET_GONE)
        mr_connection_drop(connection);
    if (got <= 0)
        return false;
    if (connection->in.size == 0)
        connection->since_ms = now_of(connection);
    mr_connection_keep(connection, (mr_bytes){scratch, (size_t)got});

    size = connection->in.size < 4 ? connection->in.size : 4;
    if ((connection->tls && mr_tls_wants_http2(connection->tls)) ||
        (size == 4 && memcmp(connection->in.data, http2, 4) == 0)) {
        mr_http2_start(connection);
    } else if (memcmp(connection->in.data, http2, size) == 0) {
        return connection->is_readable; /* perhaps */
    } else if (connection->in.data[0] > 0x20 && connection->in.data[0] < 0x7f) {
        connection->protocol = &mr_protocol_http1;
        connection->http1.is_head_begun = true;
    } else {
        return refuse(connection,
                      connection->in.data[0] == 0x16 ? MR_REFUSAL_NO_TLS : MR_REFUSAL_PROTOCOL);
    }
    return connection->protocol->input(connection);
}

static bool sniff_output(struct mr_connection *connection)
{
    (void)connection;
    return false;
}

static uint64_t sniff_deadline(const struct mr_connection *connection)
{
    const struct mr_server_limits *limits = limits_of(connection);
    bool has_begun =
        connection->in.size > 0 || (connection->tls && !mr_tls_is_done(connection->tls));

    return connection->since_ms + (has_begun ? limits->head_ms : limits->idle_ms);
}

static void sniff_late(struct mr_connection *connection)
{
    if (connection->tls && !mr_tls_is_done(connection->tls))
        mr_connection_refuse(connection, MR_REFUSAL_HANDSHAKE_LATE);
    else if (connection->in.size > 0)
        mr_connection_refuse(connection, MR_REFUSAL_HEAD_LATE);
    mr_connection_drop(connection);
}

static void sniff_gone(struct mr_connection *connection)
{
    (void)connection;
}

static const struct mr_protocol protocol_sniff = {
    .input = sniff_input,
    .output = sniff_output,
    .stop = mr_connection_drop,
    .deadline = sniff_deadline,
    .late = sniff_late,
    .gone = sniff_gone,
};
