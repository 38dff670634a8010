#include "support/http_world.h"

#include "base/check.h"
#include "base/memory.h"
#include "os/clock.h"
#include "os/thread.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 60

/* ---- the handler -------------------------------------------------------------------------- */

static struct http_world *the_world; /* for body_free, which has no context */

static void counted_free(void *data)
{
    mr_free(data);
    atomic_fetch_add(&the_world->freed, 1);
}

static void feed_fill(void *context, struct mr_part *part)
{
    struct http_world *world = context;
    size_t filled = atomic_load(&world->feed_filled), left;

    atomic_fetch_add(&world->feed_asked, 1);
    if (part->is_stopping) {
        atomic_store(&world->feed_stopped, true);
        part->is_end = true;
        return;
    }
    pthread_mutex_lock(&world->lock);
    left = world->feed_total - filled;
    pthread_mutex_unlock(&world->lock);
    part->size = part->room < world->feed_part ? part->room : world->feed_part;
    if (part->size > left)
        part->size = left;
    for (size_t i = 0; i < part->size; i++)
        part->to[i] = (uint8_t)('a' + (filled + i) % 26);
    atomic_fetch_add(&world->feed_filled, part->size);
    part->is_end = world->feed_ends && part->size == left;
    part->wait_ms = world->feed_wait_ms;
}

static void feed_close(void *context)
{
    struct http_world *world = context;
    atomic_fetch_add(&world->feed_closed, 1);
}

static bool path_is(const struct mr_request *request, const char *path)
{
    return request->path.size == strlen(path) &&
           memcmp(request->path.data, path, request->path.size) == 0;
}

static void about(const struct mr_request *request)
{
    char text[1024];
    struct mr_response response = {.status = 200, .body.data = text};

    response.body.size = (size_t)snprintf(
        text, sizeof text, "%.*s %.*s ?%.*s %.*s %zu %zu %u %d", (int)request->method.size,
        (const char *)request->method.data, (int)request->path.size,
        (const char *)request->path.data, (int)request->query.size,
        request->query.data ? (const char *)request->query.data : "", (int)request->host.size,
        request->host.data ? (const char *)request->host.data : "", request->field_count,
        request->body.size, request->version, request->is_tls);
    if (response.body.size >= sizeof text)
        response.body.size = sizeof text - 1;
    mr_reply_send(request->reply, &response);
}

static void handle(void *context, const struct mr_request *request)
{
    struct http_world *world = context;
    const struct mr_field type = {{"Content-Type", 12}, {"application/octet-stream", 24}};
    struct mr_response response = {.status = 200, .fields = &type, .field_count = 1};
    const struct mr_feed feed = {.context = world, .fill = feed_fill, .close = feed_close};

    atomic_fetch_add(&world->handled, 1);
    if (path_is(request, "/echo")) {
        response.body = request->body;
        mr_reply_send(request->reply, &response);
    } else if (path_is(request, "/copy")) {
        response.body.data =
            memcpy(mr_alloc(request->body.size + 1), request->body.data, request->body.size);
        response.body.size = request->body.size;
        response.body_free = counted_free;
        mr_reply_send(request->reply, &response);
    } else if (path_is(request, "/later")) {
        pthread_mutex_lock(&world->lock);
        mr_check(world->reply_count < world->reply_taken + REPLY_COUNT_MAX);
        world->replies[world->reply_count % REPLY_COUNT_MAX].request = request;
        world->replies[world->reply_count++ % REPLY_COUNT_MAX].reply = request->reply;
        pthread_cond_broadcast(&world->changed);
        pthread_mutex_unlock(&world->lock);
    } else if (path_is(request, "/feed")) {
        pthread_mutex_lock(&world->lock);
        world->feed_reply = request->reply;
        pthread_mutex_unlock(&world->lock);
        mr_reply_feed(request->reply, &response, &feed);
    } else {
        about(request);
    }
}

static void diag(void *context, const char *line)
{
    struct http_world *world = context;
    size_t used;

    pthread_mutex_lock(&world->lock);
    used = strlen(world->diag);
    snprintf(world->diag + used, sizeof world->diag - used, "%s\n", line);
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

void http_world_init(struct http_world *world)
{
    memset(world, 0, sizeof *world);
    pthread_mutex_init(&world->lock, NULL);
    mr_condition_init(&world->changed);
    world->feed_part = SIZE_MAX;
    world->config = (struct mr_server_config){
        .loop_count = 2, .handle = handle, .context = world, .diag = diag, .diag_context = world};
    the_world = world;
}

void http_world_open(struct http_world *world)
{
    mr_error error = {0};

    if (mr_server_open(&world->server, &world->config, &error) != MR_OK) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    world->port = mr_server_port(world->server);
    mr_check(world->port != 0);
}

void http_world_close(struct http_world *world)
{
    mr_server_close(world->server);
    pthread_mutex_destroy(&world->lock);
    pthread_cond_destroy(&world->changed);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static uint64_t patience_end(void)
{
    struct mr_clock *clock = mr_clock_real();
    return clock->monotonic_ns(clock) + (uint64_t)PATIENCE_S * 1000000000u;
}

static void wait_change(struct http_world *world, uint64_t end_ns)
{
    struct mr_clock *clock = mr_clock_real();

    mr_check(clock->monotonic_ns(clock) < end_ns);
    mr_condition_wait_until(&world->changed, &world->lock, end_ns);
}

mr_reply http_world_reply_next(struct http_world *world, const struct mr_request **request)
{
    uint64_t end_ns = patience_end();
    mr_reply reply;

    pthread_mutex_lock(&world->lock);
    while (world->reply_taken == world->reply_count)
        wait_change(world, end_ns);
    if (request)
        *request = world->replies[world->reply_taken % REPLY_COUNT_MAX].request;
    reply = world->replies[world->reply_taken++ % REPLY_COUNT_MAX].reply;
    pthread_mutex_unlock(&world->lock);
    return reply;
}

void http_world_reply_text(mr_reply reply, unsigned status, const char *text)
{
    const struct mr_response response = {.status = status, .body = {text, strlen(text)}};
    mr_reply_send(reply, &response);
}

void http_world_feed_more(struct http_world *world, size_t bytes)
{
    mr_reply reply;

    pthread_mutex_lock(&world->lock);
    world->feed_total += bytes;
    reply = world->feed_reply;
    pthread_mutex_unlock(&world->lock);
    mr_reply_wake(reply);
}

bool http_world_has_diag(struct http_world *world, const char *text)
{
    bool has;

    pthread_mutex_lock(&world->lock);
    has = strstr(world->diag, text) != NULL;
    pthread_mutex_unlock(&world->lock);
    return has;
}

void http_world_wait_diag(struct http_world *world, const char *text)
{
    uint64_t end_ns = patience_end();

    pthread_mutex_lock(&world->lock);
    while (!strstr(world->diag, text))
        wait_change(world, end_ns);
    pthread_mutex_unlock(&world->lock);
}

void http_world_wait_for(_Atomic size_t *value, size_t least)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t end_ns = patience_end();

    while (atomic_load(value) < least) {
        mr_check(clock->monotonic_ns(clock) < end_ns);
        sched_yield();
    }
}

/* ---- the client --------------------------------------------------------------------------- */

int client_connect(const struct http_world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(world->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    mr_check(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    mr_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

bool client_try_send(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

void client_send(int fd, const void *data, size_t size)
{
    mr_check(client_try_send(fd, data, size));
}

void client_say(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

size_t client_read(int fd, void *to, size_t size)
{
    char *at = to;
    size_t got = 0;

    while (got < size) {
        ssize_t more = recv(fd, at + got, size - got, 0);
        if (more <= 0)
            break;
        got += (size_t)more;
    }
    return got;
}

/* Up to and with the next line end. */
static size_t read_line(int fd, char *to, size_t room)
{
    size_t size = 0;

    while (size + 1 < room && client_read(fd, to + size, 1) == 1)
        if (to[size++] == '\n')
            break;
    to[size] = '\0';
    return size;
}

void client_answer_of_head(int fd, struct client_answer *answer)
{
    size_t used = 0, line;

    memset(answer, 0, sizeof *answer);
    while ((line = read_line(fd, answer->head + used, sizeof answer->head - used)) > 2)
        used += line;
    if (used && line == 2)
        sscanf(answer->head, "HTTP/1.1 %u ", &answer->status);
    answer->closes = strcasestr(answer->head, "\r\nconnection: close\r\n") != NULL;
}

struct client_answer client_answer(int fd)
{
    struct client_answer answer;
    const char *length;

    client_answer_of_head(fd, &answer);
    length = strcasestr(answer.head, "\r\ncontent-length: ");
    if (length) {
        answer.size = strtoul(length + 18, NULL, 10);
        answer.body = mr_alloc(answer.size + 1);
        mr_check(client_read(fd, answer.body, answer.size) == answer.size);
    } else if (strcasestr(answer.head, "\r\ntransfer-encoding: chunked\r\n")) {
        char line[64];
        size_t size;

        do {
            mr_check(read_line(fd, line, sizeof line) > 2);
            size = strtoul(line, NULL, 16);
            answer.body = mr_resize(answer.body, answer.size + size + 1);
            mr_check(client_read(fd, answer.body + answer.size, size) == size);
            answer.size += size;
            mr_check(read_line(fd, line, sizeof line) == 2);
        } while (size > 0);
    }
    if (!answer.body)
        answer.body = mr_alloc(1);
    answer.body[answer.size] = '\0';
    return answer;
}
