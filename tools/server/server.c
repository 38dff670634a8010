#include "server/inside.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 64
#define WORKER_COUNT_MAX 64

/* ---- settings ----------------------------------------------------------------------------- */

static void limits_complete(struct mr_server_limits *limits)
{
#define DEFAULT(name, value)                                                                       \
    if (limits->name == 0)                                                                         \
    limits->name = (value)
    DEFAULT(connection_count, 20000);
    DEFAULT(request_count, 65536);
    DEFAULT(stream_count, 128);
    DEFAULT(body_bytes, 16u << 20);
    DEFAULT(bodies_bytes, 512u << 20);
    DEFAULT(head_ms, 10000);
    DEFAULT(body_ms, 10000);
    DEFAULT(body_bytes_per_s, 16384);
    DEFAULT(read_ms, 30000);
    DEFAULT(feed_ms, 600000);
    DEFAULT(idle_ms, 120000);
    DEFAULT(linger_ms, 1000);
#undef DEFAULT
}

const char *mr_worker_date(struct mr_worker *worker)
{
    uint64_t now_s = mr_loop_now_ms(worker->loop) / 1000;

    if (now_s != worker->date_s) {
        time_t wall_s = time(NULL);
        struct tm parts;

        worker->date_s = now_s;
        gmtime_r(&wall_s, &parts);
        strftime(worker->date, sizeof worker->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    }
    return worker->date;
}

/* ---- accepting ---------------------------------------------------------------------------- */

static struct mr_worker *worker_with_fewest(struct mr_server *server)
{
    struct mr_worker *best = server->workers;
    uint32_t least = atomic_load_explicit(&best->connection_count, memory_order_relaxed);

    for (unsigned i = 1; i < server->worker_count; i++) {
        struct mr_worker *worker = &server->workers[i];
        uint32_t count = atomic_load_explicit(&worker->connection_count, memory_order_relaxed);

        if (count < least) {
            best = worker;
            least = count;
        }
    }
    return best;
}

/* No file is left for a connection: it is taken with the spare one and closed, else it would be
 * offered for ever. */
static bool shed(struct mr_server *server, char peer[MR_PEER_TEXT_BYTES])
{
    int fd;

    pthread_mutex_lock(&server->spare_lock);
    if (server->spare >= 0)
        close(server->spare);
    fd = mr_socket_accept(server->listener, peer);
    if (fd >= 0)
        mr_socket_close(fd);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pthread_mutex_unlock(&server->spare_lock);
    return fd >= 0;
}

static void listener_ready(struct mr_watch *watch, uint32_t events)
{
    struct mr_worker *acceptor = mr_container(watch, struct mr_worker, listener), *worker;
    struct mr_server *server = acceptor->server;
    char peer[MR_PEER_TEXT_BYTES] = "?";

    (void)events;
    for (unsigned i = 0; i < ACCEPTS_A_TURN && !acceptor->is_stopping; i++) {
        int fd = mr_socket_accept(watch->fd, peer);

        if (fd == -ECONNABORTED || fd == -EINTR)
            continue;
        if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
            mr_refusals_note(&acceptor->refusals, MR_REFUSAL_FILE_COUNT, peer);
            if (shed(server, peer))
                continue;
            return;
        }
        if (fd < 0)
            return;
        if (atomic_load(&server->connection_count) >= server->config.limits.connection_count) {
            mr_refusals_note(&acceptor->refusals, MR_REFUSAL_CONNECTION_COUNT, peer);
            mr_socket_close(fd);
            continue;
        }
        worker = worker_with_fewest(server);
        atomic_fetch_add(&server->connection_count, 1);
        atomic_fetch_add(&worker->connection_count, 1);
        mr_connection_start(worker, fd, peer);
    }
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void each_connection(struct mr_worker *worker, void (*act)(struct mr_connection *connection))
{
    struct mr_connection *next;

    for (struct mr_connection *each = worker->connections; each; each = next) {
        next = each->next;
        act(each);
    }
}

static void connection_stop(struct mr_connection *connection)
{
    connection->protocol->stop(connection);
}

static void connection_cut(struct mr_connection *connection)
{
    if (!connection->is_lingering)
        connection->worker->cut_count++;
    mr_connection_drop(connection);
}

static void stop_due(struct mr_timer *timer)
{
    struct mr_worker *worker = mr_container(timer, struct mr_worker, stop_timer);

    each_connection(worker, connection_cut);
    mr_loop_end(worker->loop);
}

static void stop_run(struct mr_task *task)
{
    struct mr_worker *worker = mr_container(task, struct mr_worker, stop);

    worker->is_stopping = true;
    mr_loop_unwatch(worker->loop, &worker->listener);
    mr_delays_hurry(worker);
    each_connection(worker, connection_stop);
    if (!worker->connections) {
        mr_loop_end(worker->loop);
        return;
    }
    worker->stop_timer.fire = stop_due;
    mr_timer_set(worker->loop, &worker->stop_timer,
                 mr_loop_now_ms(worker->loop) + worker->server->stop_ms);
}

/* ---- workers ------------------------------------------------------------------------------ */

static void *worker_run(void *context)
{
    struct mr_worker *worker = context;

    mr_exchanges_init(worker);
    mr_loop_run(worker->loop);
    return NULL;
}

static mr_status worker_open(struct mr_worker *worker, mr_error *error)
{
    const struct mr_server_config *config = &worker->server->config;
    unsigned count = worker->server->worker_count;
    mr_status status = mr_loop_open(&worker->loop, error);

    if (status != MR_OK)
        return status;
    worker->listener = (struct mr_watch){.fd = worker->server->listener, .ready = listener_ready};
    worker->stop.run = stop_run;
    worker->exchange_count_max = (config->limits.request_count + count - 1) / count;
    worker->scratch = mr_alloc(SCRATCH_BYTES);
    mr_bodies_init(&worker->bodies, config->limits.bodies_bytes / count);
    mr_refusals_init(&worker->refusals, worker->loop, config->diag, config->diag_context);
    /* A new connection wakes one loop, not all. */
    if (!mr_loop_watch(worker->loop, &worker->listener, EPOLLIN | EPOLLEXCLUSIVE))
        return mr_fail_os(error, errno, "cannot watch for connections");
    return MR_OK;
}

static void worker_close(struct mr_worker *worker)
{
    if (!worker->loop)
        return;
    mr_exchanges_init(worker); /* this thread acts for the loop now */
    worker->is_started = false;
    mr_loop_drain(worker->loop);
    mr_exchanges_fini(worker);
    mr_exchanges_init(NULL);
    mr_refusals_fini(&worker->refusals);
    mr_bodies_fini(&worker->bodies);
    mr_free(worker->scratch);
    mr_loop_close(worker->loop);
}

/* ---- the server --------------------------------------------------------------------------- */

static mr_status open_parts(struct mr_server *server, mr_error *error)
{
    const struct mr_server_config *config = &server->config;
    mr_status status = MR_OK;

    if (!config->tls_cert != !config->tls_key)
        return mr_fail(error, MR_INVALID, "TLS needs both a certificate and its key");
    if (config->tls_cert)
        status = mr_tls_setup_new(&server->tls, config->tls_cert, config->tls_key, error);
    if (status == MR_OK && config->listener)
        status = mr_socket_adopt(config->listener, &server->port, error);
    if (status == MR_OK && config->listener)
        server->listener = config->listener;
    else if (status == MR_OK)
        status = mr_socket_listen(config->address ? config->address : "127.0.0.1", config->port,
                                  &server->listener, &server->port, error);
    for (unsigned i = 0; i < server->worker_count && status == MR_OK; i++)
        status = worker_open(&server->workers[i], error);
    return status;
}

mr_status mr_server_open(struct mr_server **out, const struct mr_server_config *config,
                         mr_error *error)
{
    struct mr_server *server = mr_new(struct mr_server);
    mr_status status;

    mr_check(config->handle);
    server->config = *config;
    limits_complete(&server->config.limits);
    server->listener = -1;
    pthread_mutex_init(&server->spare_lock, NULL);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->http2 = mr_http2_setup_new();
    server->worker_count = config->loop_count ? config->loop_count : mr_core_count();
    if (server->worker_count > WORKER_COUNT_MAX)
        server->worker_count = WORKER_COUNT_MAX;
    server->workers = mr_alloc_zero(server->worker_count, sizeof *server->workers);
    for (unsigned i = 0; i < server->worker_count; i++) {
        server->workers[i].server = server;
        server->workers[i].index = i;
    }
    status = open_parts(server, error);
    if (status != MR_OK) {
        mr_server_close(server);
        return status;
    }
    for (unsigned i = 0; i < server->worker_count; i++) {
        char name[16];

        snprintf(name, sizeof name, "http-%u", i);
        server->workers[i].is_started = true;
        server->workers[i].thread = mr_thread_start(name, worker_run, &server->workers[i]);
    }
    *out = server;
    return MR_OK;
}

mr_status mr_server_reload(struct mr_server *server, mr_error *error)
{
    if (!server->tls)
        return MR_OK;
    return mr_tls_setup_reload(server->tls, server->config.tls_cert, server->config.tls_key, error);
}

uint16_t mr_server_port(const struct mr_server *server)
{
    return server->port;
}

size_t mr_server_stop(struct mr_server *server, uint32_t deadline_ms)
{
    size_t cut_count = 0;

    if (server->is_stopped)
        return 0;
    server->is_stopped = true;
    server->stop_ms = deadline_ms;
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers[i].is_started)
            mr_loop_post(server->workers[i].loop, &server->workers[i].stop);
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers[i].is_started)
            pthread_join(server->workers[i].thread, NULL);
    for (unsigned i = 0; i < server->worker_count; i++)
        cut_count += server->workers[i].cut_count;
    if (server->listener >= 0)
        mr_socket_close(server->listener);
    server->listener = -1;
    return cut_count;
}

void mr_server_close(struct mr_server *server)
{
    if (!server)
        return;
    mr_server_stop(server, 0);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_close(&server->workers[i]);
    if (server->spare >= 0)
        close(server->spare);
    pthread_mutex_destroy(&server->spare_lock);
    mr_tls_setup_free(server->tls);
    mr_http2_setup_free(server->http2);
    mr_free(server->workers);
    mr_free(server);
}
