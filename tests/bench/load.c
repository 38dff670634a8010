#include "bench/load.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/pack.h"
#include "os/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES_MAX 4096
#define ROOM_BYTES ((size_t)64 << 10)
#define SILENCE_MS 30000 /* then the server is taken for dead */

static void die(const char *what, const char *bytes, size_t size)
{
    fprintf(stderr, "load: %s: %.*s\n", what, (int)(size < 600 ? size : 600), bytes);
    exit(1);
}

/* ---- answers ------------------------------------------------------------------------------ */

size_t mr_load_head(const char *bytes, size_t size, uint64_t *body_bytes, bool *is_chunked)
{
    static const char status[] = "HTTP/1.1 200 ",
                      length[] = "content-length:", chunked[] = "transfer-encoding: chunked";
    const char *end = memmem(bytes, size, "\r\n\r\n", 4), *line = bytes;

    if (!end && size >= HEAD_BYTES_MAX)
        die("the answer's head has no end", bytes, size);
    if (!end)
        return 0;
    if (memcmp(bytes, status, sizeof status - 1) != 0)
        die("the answer is", bytes, size);
    *body_bytes = 0;
    *is_chunked = false;
    while (line < end) {
        line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1;
        if (strncasecmp(line, length, sizeof length - 1) == 0)
            *body_bytes = strtoull(line + sizeof length - 1, NULL, 10);
        if (strncasecmp(line, chunked, sizeof chunked - 1) == 0)
            *is_chunked = true;
    }
    return (size_t)(end + 4 - bytes);
}

/* ---- a connection ------------------------------------------------------------------------- */

struct link {
    int fd;
    bool waits_for_room;
    mr_bytes rest; /* of the request, not sent yet */
    uint64_t start_ns, body_left;
    size_t head_bytes; /* received of a head that is not complete */
    char head[HEAD_BYTES_MAX];
};

struct worker {
    struct mr_load *load;
    pthread_t thread;
    int epoll;
    struct link *links;
    unsigned link_count;
    size_t next_request;
    uint64_t from_ns, until_ns, last_ns; /* counts from, sends until, was answered last */
    uint64_t answer_count, answer_bytes;
    unsigned under_way;
    struct mr_bench_spread spread;
    char *room;
};

int mr_load_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect", strerror(errno), 100);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void watch(struct worker *worker, struct link *link, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};

    mr_check(epoll_ctl(worker->epoll, how, link->fd, &event) == 0);
}

static void send_rest(struct worker *worker, struct link *link)
{
    while (link->rest.size) {
        ssize_t size =
            send(link->fd, link->rest.data, link->rest.size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno != EAGAIN)
            die("cannot send", strerror(errno), 100);
        if (size < 0)
            break;
        link->rest.data = (const char *)link->rest.data + size;
        link->rest.size -= (size_t)size;
    }
    if (link->waits_for_room != (link->rest.size > 0)) {
        link->waits_for_room = link->rest.size > 0;
        watch(worker, link, EPOLL_CTL_MOD,
              EPOLLIN | (link->waits_for_room ? (uint32_t)EPOLLOUT : 0));
    }
}

static void send_next(struct worker *worker, struct link *link)
{
    link->rest = worker->load->requests[worker->next_request++ % worker->load->request_count];
    link->start_ns = mr_bench_now_ns();
    worker->under_way++;
    send_rest(worker, link);
}

static void answered(struct worker *worker, struct link *link)
{
    uint64_t now_ns = mr_bench_now_ns();

    worker->under_way--;
    if (now_ns >= worker->from_ns) {
        worker->answer_count++;
        worker->last_ns = now_ns;
        mr_bench_spread_add(&worker->spread, now_ns - link->start_ns);
    }
    if (now_ns < worker->until_ns)
        send_next(worker, link);
}

/* A head's bytes, and perhaps all of its body. */
static void take_head(struct worker *worker, struct link *link, char *bytes, size_t size)
{
    const char *expected = worker->load->expected;
    uint64_t body_bytes;
    bool is_chunked;
    size_t head = mr_load_head(bytes, size, &body_bytes, &is_chunked);

    if (!head) {
        if (bytes != link->head)
            memcpy(link->head, bytes, size);
        link->head_bytes = size;
        return;
    }
    link->head_bytes = 0;
    if (is_chunked || body_bytes < size - head)
        die("the answer has no length of its own", bytes, size);
    if (expected && size > head && !memmem(bytes + head, size - head, expected, strlen(expected)))
        die("the answer is not as expected", bytes, size);
    link->body_left = body_bytes - (size - head);
    if (link->body_left == 0)
        answered(worker, link);
}

static void receive(struct worker *worker, struct link *link)
{
    bool in_body = link->body_left > 0;
    char *to = link->head_bytes ? link->head + link->head_bytes : worker->room;
    size_t room = link->head_bytes ? HEAD_BYTES_MAX - link->head_bytes : ROOM_BYTES;
    ssize_t size;

    if (in_body) /* MSG_TRUNC: it is not looked at, so it need not be copied */
        size = recv(link->fd, NULL, link->body_left, MSG_DONTWAIT | MSG_TRUNC);
    else
        size = recv(link->fd, to, room, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0)
        die("the server closed a connection", size ? strerror(errno) : "", 100);
    if (mr_bench_now_ns() >= worker->from_ns)
        worker->answer_bytes += (uint64_t)size;
    if (!in_body) {
        take_head(worker, link, link->head_bytes ? link->head : to,
                  link->head_bytes + (size_t)size);
        return;
    }
    link->body_left -= (uint64_t)size;
    if (link->body_left == 0)
        answered(worker, link);
}

/* ---- a window ----------------------------------------------------------------------------- */

static void *work(void *context)
{
    struct worker *worker = context;
    struct epoll_event events[64];

    for (unsigned i = 0; i < worker->link_count; i++) {
        worker->links[i].fd = mr_load_connect(worker->load->port);
        watch(worker, &worker->links[i], EPOLL_CTL_ADD, EPOLLIN);
        send_next(worker, &worker->links[i]);
    }
    while (worker->under_way) {
        int count = epoll_wait(worker->epoll, events, 64, SILENCE_MS);

        if (count == 0)
            die("the server is silent", "", 0);
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;

            if (events[i].events & EPOLLOUT)
                send_rest(worker, link);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                receive(worker, link);
        }
    }
    return NULL;
}

double mr_load_run(struct mr_load *load, uint32_t window_ms)
{
    unsigned thread_count = load->thread_count;
    struct worker *workers = mr_alloc_zero(thread_count, sizeof *workers);
    uint64_t from_ns = mr_bench_now_ns() + load->warm_ms * UINT64_C(1000000);
    double rate = 0;

    for (unsigned i = 0; i < thread_count; i++) {
        struct worker *worker = &workers[i];

        worker->load = load;
        worker->epoll = epoll_create1(EPOLL_CLOEXEC);
        worker->link_count = load->connection_count / thread_count;
        worker->links = mr_alloc_zero(worker->link_count, sizeof *worker->links);
        worker->next_request = load->request_count * i / thread_count;
        worker->room = mr_alloc(ROOM_BYTES);
        worker->from_ns = from_ns;
        worker->until_ns = worker->from_ns + window_ms * UINT64_C(1000000);
        worker->thread = mr_thread_start("load", work, worker);
    }
    load->spread = (struct mr_bench_spread){0};
    load->answer_bytes_per_s = 0;
    for (unsigned i = 0; i < thread_count; i++) {
        struct worker *worker = &workers[i];

        pthread_join(worker->thread, NULL);
        mr_check(worker->answer_count > 0);
        rate += (double)worker->answer_count * 1e9 / (double)(worker->last_ns - from_ns);
        load->answer_bytes_per_s +=
            (double)worker->answer_bytes * 1e9 / (double)(worker->last_ns - from_ns);
        mr_bench_spread_merge(&load->spread, &worker->spread);
        for (unsigned k = 0; k < worker->link_count; k++)
            close(worker->links[k].fd);
        close(worker->epoll);
        mr_free(worker->links);
        mr_free(worker->room);
    }
    mr_free(workers);
    return rate;
}

/* ---- one by one --------------------------------------------------------------------------- */

mr_bytes mr_load_call(uint16_t port, mr_bytes request)
{
    static struct mr_pack answer = {.limit = (size_t)1 << 30};
    int fd = mr_load_connect(port);
    uint64_t body_bytes = 0;
    size_t head = 0;
    bool is_chunked;

    answer.size = 0;
    for (size_t at = 0; at < request.size;) {
        ssize_t size = send(fd, (const char *)request.data + at, request.size - at, MSG_NOSIGNAL);

        if (size <= 0)
            die("cannot send", strerror(errno), 100);
        at += (size_t)size;
    }
    while (!head || answer.size < head + body_bytes) {
        ssize_t size = recv(fd, mr_pack_extend(&answer, ROOM_BYTES), ROOM_BYTES, 0);

        if (size <= 0)
            die("the server closed the connection", (const char *)answer.data, answer.size);
        answer.size -= ROOM_BYTES - (size_t)size;
        if (!head)
            head = mr_load_head((const char *)answer.data, answer.size, &body_bytes, &is_chunked);
    }
    close(fd);
    return (mr_bytes){answer.data + head, (size_t)body_bytes};
}
