/*
 * HTTP/1.1 over real sockets: what clients may do, what they may not, how slowly, how much, and what
 * happens when they leave or the server does.
 */
#include "os/socket.h"
#include "support/http_world.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define H "Host: a\r\n"

static struct http_world world;

static int setup(void **state)
{
    (void)state;
    http_world_init(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_world_close(&world);
    return 0;
}

static void assert_answer(int fd, unsigned status, const char *body)
{
    struct client_answer answer = client_answer(fd);

    assert_int_equal(answer.status, status);
    if (body)
        assert_string_equal(answer.body, body);
    free(answer.body);
}

static void assert_ended(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static char *pattern(size_t size)
{
    char *bytes = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    return bytes;
}

/* ---- what clients may do ------------------------------------------------------------------ */

static void hands_over_the_request(void **state)
{
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd,
               "PUT /x/y?a=b HTTP/1.1\r\nHost: kinesis\r\nX: y\r\nContent-Length: 3\r\n\r\nabc");
    assert_answer(fd, 200, "PUT /x/y ?a=b kinesis 3 3 1 0");
    client_say(fd, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_answer(fd, 200, "GET / ? a 1 0 1 0");
    client_say(fd, "HEAD / HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n");
    struct client_answer answer;
    client_answer_of_head(fd, &answer); /* has a length and no body */
    assert_non_null(strstr(answer.head, "Content-Length: 18\r\n"));
    assert_answer(fd, 200, "GET /2 ? a 1 0 1 0");
    close(fd);
}

static void takes_a_request_byte_by_byte(void **state)
{
    static const char text[] = "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"
                               "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                               "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\na: b\r\n\r\n";
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    for (size_t i = 0; i < sizeof text - 1; i++)
        client_send(fd, text + i, 1);
    assert_answer(fd, 200, "hello");
    assert_answer(fd, 200, "hello");
    close(fd);
}

/* Bodies of all sizes around the limits of buffers, with a length and in chunks. */
static void echoes_bodies_of_all_sizes(void **state)
{
    static const size_t sizes[] = {0,     1,     4095,  4096,    4097,    16384,    16385,
                                   65535, 65536, 65537, 1 << 20, 5000001, 10 << 20, 16 << 20};
    char *bytes = pattern(16 << 20);
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int way = 0; way < 3; way++) {
            struct client_answer answer;
            char head[160];

            if (way < 2) {
                sprintf(head, "POST /%s HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n",
                        way ? "copy" : "echo", sizes[i]);
                client_say(fd, head);
                client_send(fd, bytes, sizes[i]);
            } else {
                client_say(fd, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
                for (size_t at = 0, step = 1; at < sizes[i]; at += step, step = step * 3 + 1) {
                    if (step > sizes[i] - at)
                        step = sizes[i] - at;
                    sprintf(head, "%zx\r\n", step);
                    client_say(fd, head);
                    client_send(fd, bytes + at, step);
                    client_say(fd, "\r\n");
                }
                client_say(fd, "0\r\n\r\n");
            }
            answer = client_answer(fd);
            assert_int_equal(answer.status, 200);
            assert_int_equal(answer.size, sizes[i]);
            assert_memory_equal(answer.body, bytes, sizes[i]);
            free(answer.body);
        }
    }
    http_world_wait_for(&world.freed, sizeof sizes / sizeof *sizes);
    close(fd);
    free(bytes);
}

static void answers_pipelined_requests_in_order(void **state)
{
    enum { COUNT = 3000 };
    char *text = malloc(COUNT * 64), expected[64];
    size_t size = 0;
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    for (int i = 0; i < COUNT; i++)
        size += (size_t)sprintf(text + size, "GET /%d HTTP/1.1\r\n" H "\r\n", i);
    client_send(fd, text, size);
    for (int i = 0; i < COUNT; i++) {
        sprintf(expected, "GET /%d ? a 1 0 1 0", i);
        assert_answer(fd, 200, expected);
    }
    close(fd);
    free(text);
}

static void pipelined_requests_wait_for_late_answers(void **state)
{
    mr_reply first, second;
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET /later HTTP/1.1\r\n" H "\r\nGET /later HTTP/1.1\r\n" H "\r\n"
                   "GET /now HTTP/1.1\r\n" H "\r\n");
    first = http_world_reply_next(&world, NULL);
    http_world_reply_text(first, 200, "first");
    second = http_world_reply_next(&world, NULL);
    http_world_reply_text(second, 400, "second");
    assert_answer(fd, 200, "first");
    assert_answer(fd, 400, "second");
    assert_answer(fd, 200, "GET /now ? a 1 0 1 0");
    close(fd);
}

/* A client that asks and does not listen must not fill our memory with answers. */
static void does_not_answer_who_does_not_read(void **state)
{
    enum { COUNT = 400, BODY = 16000 };
    char *text = malloc(BODY + 200), *body = pattern(BODY);
    size_t size;
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    size = (size_t)sprintf(text, "POST /echo HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", BODY);
    memcpy(text + size, body, BODY);
    size += BODY;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < COUNT; i++)
            client_send(fd, text, size);
        _exit(0);
    }
    for (int i = 0; i < COUNT; i++) {
        struct client_answer answer = client_answer(fd);
        assert_int_equal(answer.size, BODY);
        assert_memory_equal(answer.body, body, BODY);
        free(answer.body);
    }
    close(fd);
    free(text);
    free(body);
}

static void continues_when_asked_to(void **state)
{
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_answer(fd, 100, NULL);
    client_say(fd, "hello");
    assert_answer(fd, 200, "hello");
    client_say(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\n"
                   "Content-Length: 99999999\r\n\r\n");
    assert_answer(fd, 413, NULL);
    assert_ended(fd);
    close(fd);
}

static void closes_when_told_to(void **state)
{
    struct client_answer answer;
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET /a HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    answer = client_answer(fd);
    assert_true(answer.closes);
    free(answer.body);
    assert_ended(fd);
    close(fd);

    fd = client_connect(&world);
    client_say(fd, "GET /a HTTP/1.0\r\n\r\n");
    assert_answer(fd, 200, "GET /a ?  0 0 1 0");
    assert_ended(fd);
    close(fd);

    fd = client_connect(&world);
    client_say(fd, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_answer(fd, 200, NULL);
    client_say(fd, "GET /a HTTP/1.0\r\n\r\n");
    assert_answer(fd, 200, NULL);
    assert_ended(fd);
    close(fd);
}

static void answers_a_client_that_says_no_more(void **state)
{
    mr_reply reply;
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET /later HTTP/1.1\r\n" H "\r\nGET /b HTTP/1.1\r\n" H "\r\n");
    shutdown(fd, SHUT_WR);
    reply = http_world_reply_next(&world, NULL);
    http_world_reply_text(reply, 200, "late");
    assert_answer(fd, 200, "late");
    assert_answer(fd, 200, "GET /b ? a 1 0 1 0");
    assert_ended(fd);
    close(fd);
}

/* ---- what they may not -------------------------------------------------------------------- */

static void refuses_and_closes(void **state)
{
    static const struct {
        const char *text, *kind;
        unsigned status;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\n\n", "kind=BARE_NEWLINE", 400},
        {"GET  / HTTP/1.1\r\n\r\n", "kind=REQUEST_LINE", 400},
        {"GET / HTTP/3.0\r\n\r\n", "kind=VERSION", 505},
        {"GET / HTTP/1.1\r\n\r\n", "kind=HOST", 400},
        {"GET / HTTP/1.1\r\n" H "a: b\r\n c\r\n\r\n", "kind=FIELD_FOLDED", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
         "kind=LENGTH_TWICE", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\nGET /smuggled HTTP/1.1\r\n" H "\r\n",
         "kind=LENGTH_AND_CODING", 400},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", "kind=CODING ", 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\nhello", "kind=CHUNK", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 16777217\r\n\r\n", "kind=BODY_BYTES", 413},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1000001\r\na",
         "kind=BODY_BYTES", 413},
        {"POST / HTTP/1.1\r\n" H "Expect: a miracle\r\n\r\n", "kind=EXPECTATION", 417},
        {"\x16\x03\x01", "kind=NO_TLS", 0},
        {"\x80", "kind=PROTOCOL", 0},
    };

    (void)state;
    http_world_open(&world);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = client_connect(&world);

        client_say(fd, cases[i].text);
        assert_answer(fd, cases[i].status, NULL);
        assert_ended(fd);
        http_world_wait_diag(&world, cases[i].kind);
        close(fd);
    }
    assert_int_equal(atomic_load(&world.handled), 0);
}

static void refuses_a_head_without_end(void **state)
{
    char *head = malloc(70000);
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    memset(head, 'a', 70000);
    memcpy(head, "GET / HTTP/1.1\r\na: ", 19);
    client_try_send(fd, head, 70000);
    assert_answer(fd, 431, NULL);
    http_world_wait_diag(&world, "kind=HEAD_BYTES");
    close(fd);
    free(head);
}

/* The client is in the middle of a large upload, and reads the answer only behind it. */
static void refused_uploads_read_why(void **state)
{
    char *bytes = pattern(4 << 20);
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "POST / HTTP/1.1\r\n" H "Content-Length: 99000000\r\n\r\n");
    client_send(fd, bytes, 4 << 20);
    assert_answer(fd, 413, "the body is too large\n");
    close(fd);
    free(bytes);
}

/* The sum of the counts said, and in how many lines. */
static size_t count_said(size_t *line_count)
{
    size_t sum = 0;

    *line_count = 0;
    pthread_mutex_lock(&world.lock);
    for (const char *at = world.diag; (at = strstr(at, "count=")); at++) {
        sum += strtoul(at + 6, NULL, 10);
        ++*line_count;
    }
    pthread_mutex_unlock(&world.lock);
    return sum;
}

static void says_repeats_once_a_second(void **state)
{
    size_t line_count;

    (void)state;
    world.config.loop_count = 1;
    http_world_open(&world);
    for (int i = 0; i < 100; i++) {
        int fd = client_connect(&world);
        client_say(fd, "\x01");
        assert_ended(fd);
        close(fd);
    }
    assert_true(http_world_has_diag(&world, "kind=PROTOCOL count=1 peer=\"127.0.0.1:"));
    while (count_said(&line_count) < 100) /* the rest is said by itself */
        sched_yield();
    assert_true(line_count < 50);
}

/* ---- slow senders and slow readers -------------------------------------------------------- */

static void slow_heads_and_bodies_are_late(void **state)
{
    int fd;

    (void)state;
    world.config.limits.head_ms = 60;
    world.config.limits.body_ms = 60;
    http_world_open(&world);

    fd = client_connect(&world);
    client_say(fd, "GET / HT");
    assert_answer(fd, 408, NULL);
    assert_ended(fd);
    http_world_wait_diag(&world, "kind=HEAD_LATE");
    close(fd);

    fd = client_connect(&world); /* the second request's head, too */
    client_say(fd, "GET / HTTP/1.1\r\n" H "\r\nGET");
    assert_answer(fd, 200, NULL);
    assert_answer(fd, 408, NULL);
    close(fd);

    fd = client_connect(&world); /* not even enough to tell what it speaks */
    client_say(fd, "P");
    assert_ended(fd);
    close(fd);

    fd = client_connect(&world);
    client_say(fd, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhell");
    assert_answer(fd, 408, NULL);
    assert_ended(fd);
    http_world_wait_diag(&world, "kind=BODY_LATE");
    close(fd);

    fd = client_connect(&world);
    client_say(fd, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhel");
    assert_answer(fd, 408, NULL);
    close(fd);
}

/* A byte now and then does not keep a body alive: it has to come at a rate. */
static void dribbled_bodies_are_late(void **state)
{
    int fd, count = 0;

    (void)state;
    world.config.limits.body_ms = 50;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "POST / HTTP/1.1\r\n" H "Content-Length: 100000\r\n\r\n");
    for (; count < 100000; count++) {
        struct timeval pause = {.tv_usec = 5000};
        char byte;

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
        if (recv(fd, &byte, 1, 0) > 0 || !client_try_send(fd, "x", 1))
            break;
    }
    assert_true(count < 1000);
    http_world_wait_diag(&world, "kind=BODY_LATE");
    close(fd);
}

static void idle_connections_are_closed(void **state)
{
    int fd, silent;

    (void)state;
    world.config.limits.idle_ms = 60;
    http_world_open(&world);
    silent = client_connect(&world);
    fd = client_connect(&world);
    client_say(fd, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_answer(fd, 200, NULL);
    assert_ended(fd);
    assert_ended(silent);
    assert_string_equal(world.diag, "");
    close(fd);
    close(silent);
}

static void slow_readers_are_cut(void **state)
{
    char *bytes = pattern(16 << 20);
    int fd, small = 4096;

    (void)state;
    world.config.limits.read_ms = 100;
    http_world_open(&world);
    fd = client_connect(&world);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_say(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 16777216\r\n\r\n");
    client_send(fd, bytes, 16 << 20);
    http_world_wait_diag(&world, "kind=READ_LATE");
    close(fd);
    free(bytes);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void bounds_connections(void **state)
{
    int fds[4];

    (void)state;
    world.config.limits.connection_count = 3;
    http_world_open(&world);
    for (int i = 0; i < 4; i++) {
        fds[i] = client_connect(&world);
        if (i < 3) {
            client_say(fds[i], "GET / HTTP/1.1\r\n" H "\r\n");
            assert_answer(fds[i], 200, NULL);
        }
    }
    assert_ended(fds[3]);
    http_world_wait_diag(&world, "kind=CONNECTION_COUNT");
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

static void bounds_requests(void **state)
{
    int fds[3];

    (void)state;
    world.config.limits.request_count = 2;
    world.config.loop_count = 1;
    http_world_open(&world);
    for (int i = 0; i < 2; i++) {
        fds[i] = client_connect(&world);
        client_say(fds[i], "GET /later HTTP/1.1\r\n" H "\r\n");
    }
    http_world_wait_for(&world.handled, 2);
    fds[2] = client_connect(&world);
    client_say(fds[2], "GET / HTTP/1.1\r\n" H "\r\n");
    assert_answer(fds[2], 503, NULL);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

/* Two large bodies fit, so the third waits until one is answered; a small one does not. */
static void large_bodies_wait_for_others(void **state)
{
    enum { SIZE = 1 << 20 };
    char *bytes = pattern(SIZE);
    int fds[4];
    mr_reply replies[3];

    (void)state;
    world.config.loop_count = 1;
    world.config.limits.bodies_bytes = 2 * SIZE + 1000;
    http_world_open(&world);
    for (int i = 0; i < 3; i++) {
        fds[i] = client_connect(&world);
        client_say(fds[i], i == 1 ? "POST /later HTTP/1.1\r\n" H
                                    "Transfer-Encoding: chunked\r\n\r\n"
                                    "5\r\nhello\r\n0\r\n\r\n"
                                  : "POST /later HTTP/1.1\r\n" H "Content-Length: 1048576\r\n\r\n");
        if (i != 1)
            client_send(fds[i], bytes, SIZE);
        replies[i] = http_world_reply_next(&world, NULL);
    }
    fds[3] = client_connect(&world);
    client_say(fds[3], "POST /later HTTP/1.1\r\n" H "Content-Length: 1048576\r\n\r\n");
    client_send(fds[3], bytes, 1000);
    /* Another request behind it on the same loop has been served: so this one waits. */
    int other = client_connect(&world);
    client_say(other, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_answer(other, 200, NULL);
    assert_int_equal(atomic_load(&world.handled), 4);

    http_world_reply_text(replies[0], 200, "done");
    assert_answer(fds[0], 200, "done");
    client_send(fds[3], bytes + 1000, SIZE - 1000);
    const struct mr_request *request;
    mr_reply last = http_world_reply_next(&world, &request);
    assert_int_equal(request->body.size, SIZE);
    assert_memory_equal(request->body.data, bytes, SIZE);
    http_world_reply_text(last, 200, "last");
    assert_answer(fds[3], 200, "last");
    http_world_reply_text(replies[1], 200, "");
    http_world_reply_text(replies[2], 200, "");
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close(other);
    free(bytes);
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void idle_connections_cost_little(void **state)
{
    enum { COUNT = 1000 };
    static int fds[COUNT];
    size_t before = 0, after;

    (void)state;
    mr_files_allow_most();
    http_world_open(&world);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_connect(&world);
        if (i == 9)
            before = resident_bytes();
        client_say(fds[i], "GET / HTTP/1.1\r\n" H "\r\n");
        assert_answer(fds[i], 200, NULL);
    }
    after = resident_bytes();
    print_message("%zu bytes each\n", (after - before) / (COUNT - 10));
    assert_true(after - before < COUNT * (size_t)16384);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
}

/* ---- answers from elsewhere --------------------------------------------------------------- */

static void *answer_all(void *context)
{
    size_t count = *(size_t *)context;

    for (size_t i = 0; i < count; i++) {
        const struct mr_request *request;
        mr_reply reply = http_world_reply_next(&world, &request);
        const struct mr_field field = {{"X-Path", 6}, request->query};
        const struct mr_response response = {
            .status = 200, .fields = &field, .field_count = 1, .body = request->body};

        mr_reply_send(reply, &response);
        http_world_reply_text(reply, 400, "nobody's any more");
        mr_reply_wake(reply);
    }
    return NULL;
}

/* Answered by threads that are not the loop's, with parts of the request. */
static void is_answered_from_other_threads(void **state)
{
    enum { CLIENTS = 8, ROUNDS = 30, BIG = 100000 };
    size_t count = CLIENTS * ROUNDS / 2;
    char *bytes = pattern(BIG), head[128];
    pthread_t threads[2];
    int fds[CLIENTS];

    (void)state;
    http_world_open(&world);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, answer_all, &count);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_connect(&world);
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = round % 3 == 0 ? BIG : (size_t)round;

        for (int i = 0; i < CLIENTS; i++) {
            sprintf(head, "POST /later?%d HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", i, size);
            client_say(fds[i], head);
            client_send(fds[i], bytes, size);
        }
        for (int i = 0; i < CLIENTS; i++) {
            struct client_answer answer = client_answer(fds[i]);

            sprintf(head, "\r\nX-Path: %d\r\n", i);
            assert_non_null(strstr(answer.head, head));
            assert_int_equal(answer.size, size);
            assert_memory_equal(answer.body, bytes, size);
            free(answer.body);
        }
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    free(bytes);
}

/* The request stays readable, and its answer goes nowhere, not to the next client. */
static void clients_may_leave_before_the_answer(void **state)
{
    const struct mr_request *request;
    struct linger reset = {.l_onoff = 1};
    mr_reply left, stays;
    int fd, other;

    (void)state;
    world.config.loop_count = 1;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "POST /later HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
    left = http_world_reply_next(&world, &request);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd); /* a reset */

    other = client_connect(&world);
    client_say(other, "GET / HTTP/1.1\r\n" H "\r\n"); /* the loop has seen the reset behind this */
    assert_answer(other, 200, NULL);
    assert_memory_equal(request->body.data, "hello", 5);
    client_say(other, "GET /later HTTP/1.1\r\n" H "\r\n");
    stays = http_world_reply_next(&world, NULL);
    http_world_reply_text(left, 200, "for nobody");
    http_world_reply_text(stays, 200, "for you");
    assert_answer(other, 200, "for you");
    http_world_reply_text(left, 200, "for nobody");
    http_world_reply_text(stays, 200, "again");
    client_say(other, "GET /x HTTP/1.1\r\n" H "\r\n");
    assert_answer(other, 200, "GET /x ? a 1 0 1 0");
    close(other);
}

/* ---- feeds -------------------------------------------------------------------------------- */

static void assert_feed_bytes(const char *bytes, size_t at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (char)('a' + (at + i) % 26))
            fail_msg("byte %zu", at + i);
}

static void feeds_come_whole(void **state)
{
    int fd;

    (void)state;
    world.feed_total = 1000000;
    world.feed_ends = true;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET /feed HTTP/1.1\r\n" H "\r\nGET /next HTTP/1.1\r\n" H "\r\n");
    struct client_answer answer = client_answer(fd);
    assert_int_equal(answer.size, 1000000);
    assert_feed_bytes(answer.body, 0, answer.size);
    free(answer.body);
    assert_answer(fd, 200, "GET /next ? a 1 0 1 0");
    http_world_wait_for(&world.feed_closed, 1);
    close(fd);

    world.feed_filled = 0; /* HTTP/1.0 has no chunks: the end is the connection's */
    fd = client_connect(&world);
    client_say(fd, "GET /feed HTTP/1.0\r\n\r\n");
    client_answer_of_head(fd, &answer);
    assert_true(answer.closes);
    char *bytes = malloc(1000001);
    assert_int_equal(client_read(fd, bytes, 1000001), 1000000);
    assert_feed_bytes(bytes, 0, 1000000);
    free(bytes);
    close(fd);
}

static void woken_feeds_go_on(void **state)
{
    struct client_answer answer;
    char chunk[32];
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET /feed HTTP/1.1\r\n" H "\r\n");
    client_answer_of_head(fd, &answer);
    for (size_t i = 0; i < 500; i++) {
        http_world_feed_more(&world, 10);
        assert_int_equal(client_read(fd, chunk, 18), 18);
        assert_memory_equal(chunk, "000a\r\n", 6);
        assert_feed_bytes(chunk + 6, i * 10, 10);
    }
    shutdown(fd, SHUT_WR); /* a client that listens to a feed and closes is gone */
    http_world_wait_for(&world.feed_closed, 1);
    mr_reply_wake(world.feed_reply);
    close(fd);
}

static void feeds_are_asked_again_in_time(void **state)
{
    int fd;

    (void)state;
    world.feed_wait_ms = 5;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET /feed HTTP/1.1\r\n" H "\r\n");
    http_world_wait_for(&world.feed_asked, 10);
    close(fd);
    http_world_wait_for(&world.feed_closed, 1);
}

/* Only as much is made as the sockets and one buffer hold. */
static void slow_listeners_bound_a_feed(void **state)
{
    struct client_answer answer;
    size_t filled, again;
    int fd, small = 4096, large = 1 << 20;
    char *bytes = malloc(1 << 20);

    (void)state;
    world.feed_total = (size_t)1 << 30;
    http_world_open(&world);
    fd = client_connect(&world);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_say(fd, "GET /feed HTTP/1.1\r\n" H "\r\n");
    client_answer_of_head(fd, &answer);
    do { /* until other requests pass and it does not move: the loop has nothing to do for it */
        int other = client_connect(&world);
        filled = atomic_load(&world.feed_filled);
        for (int i = 0; i < 20; i++) {
            client_say(other, "GET / HTTP/1.1\r\n" H "\r\n");
            assert_answer(other, 200, NULL);
        }
        close(other);
        again = atomic_load(&world.feed_filled);
    } while (again != filled);
    assert_true(filled < (size_t)8 << 20);
    print_message("%zu bytes made\n", filled);

    /* And it goes on when the client does. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    while (atomic_load(&world.feed_filled) <= filled + (1 << 20))
        assert_int_equal(client_read(fd, bytes, 1 << 16), 1 << 16);
    close(fd);
    http_world_wait_for(&world.feed_closed, 1);
    free(bytes);
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void *stop_run(void *context)
{
    *(size_t *)context = mr_server_stop(world.server, 30000);
    return NULL;
}

static void stops_gracefully(void **state)
{
    struct client_answer answer;
    size_t cut_count = 99;
    pthread_t thread;
    mr_reply reply;
    int idle, busy, feed;

    (void)state;
    world.config.loop_count = 1;
    http_world_open(&world);
    idle = client_connect(&world);
    client_say(idle, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_answer(idle, 200, NULL);
    busy = client_connect(&world);
    client_say(busy, "GET /later HTTP/1.1\r\n" H "\r\n");
    reply = http_world_reply_next(&world, NULL);
    feed = client_connect(&world);
    client_say(feed, "GET /feed HTTP/1.1\r\n" H "\r\n");
    http_world_wait_for(&world.feed_asked, 1);

    pthread_create(&thread, NULL, stop_run, &cut_count);
    assert_ended(idle);
    answer = client_answer(feed);
    assert_int_equal(answer.status, 200);
    free(answer.body);
    assert_true(world.feed_stopped);
    http_world_reply_text(reply, 200, "in time");
    answer = client_answer(busy);
    assert_string_equal(answer.body, "in time");
    assert_true(answer.closes);
    free(answer.body);
    assert_ended(busy);
    close(idle);
    close(busy);
    close(feed);
    pthread_join(thread, NULL);
    assert_int_equal(cut_count, 0);
    assert_int_equal(atomic_load(&world.feed_closed), 1);
}

static void stops_at_the_deadline_at_last(void **state)
{
    mr_reply reply;
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET /later HTTP/1.1\r\n" H "\r\n");
    reply = http_world_reply_next(&world, NULL);
    assert_int_equal(mr_server_stop(world.server, 50), 1);
    assert_ended(fd);
    http_world_reply_text(reply, 200, "too late"); /* dropped, not lost memory */
    mr_reply_wake(reply);
    close(fd);
}

static void opens_only_what_it_can(void **state)
{
    struct mr_server_config config = {.handle = world.config.handle};
    struct mr_server *second;
    mr_error error;

    (void)state;
    http_world_open(&world);
    config.port = world.port;
    assert_int_equal(mr_server_open(&second, &config, &error), MR_IO);
    assert_non_null(strstr(error.message, "in use"));
    config.port = 0;
    config.address = "no such address";
    assert_int_equal(mr_server_open(&second, &config, &error), MR_INVALID);
    config.address = NULL;
    config.tls_cert = "/nowhere/cert.pem";
    assert_int_equal(mr_server_open(&second, &config, &error), MR_INVALID);
    config.tls_key = "/nowhere/key.pem";
    assert_int_equal(mr_server_open(&second, &config, &error), MR_INVALID);
    assert_non_null(strstr(error.message, "/nowhere/cert.pem"));
}

#define each(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(hands_over_the_request),
        each(takes_a_request_byte_by_byte),
        each(echoes_bodies_of_all_sizes),
        each(answers_pipelined_requests_in_order),
        each(pipelined_requests_wait_for_late_answers),
        each(does_not_answer_who_does_not_read),
        each(continues_when_asked_to),
        each(closes_when_told_to),
        each(answers_a_client_that_says_no_more),
        each(refuses_and_closes),
        each(refuses_a_head_without_end),
        each(refused_uploads_read_why),
        each(says_repeats_once_a_second),
        each(slow_heads_and_bodies_are_late),
        each(dribbled_bodies_are_late),
        each(idle_connections_are_closed),
        each(slow_readers_are_cut),
        each(bounds_connections),
        each(bounds_requests),
        each(large_bodies_wait_for_others),
        each(idle_connections_cost_little),
        each(is_answered_from_other_threads),
        each(clients_may_leave_before_the_answer),
        each(feeds_come_whole),
        each(woken_feeds_go_on),
        each(feeds_are_asked_again_in_time),
        each(slow_listeners_bound_a_feed),
        each(stops_gracefully),
        each(stops_at_the_deadline_at_last),
        each(opens_only_what_it_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
