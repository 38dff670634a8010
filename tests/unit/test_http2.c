/*
 * HTTP/2 over real sockets, by a client made of the same library and, for what that one would not
 * send, of bytes.
 */
#include "support/http_world.h"

#include <nghttp2/nghttp2.h>

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

/* ---- a client ----------------------------------------------------------------------------- */

struct stream {
    int32_t id;
    const char *body; /* to send */
    size_t size, sent;
    unsigned status;
    char *got;
    size_t got_size, got_capacity;
    bool is_closed;
    uint32_t code; /* of its end */
};

struct client {
    int fd;
    nghttp2_session *session;
    bool holds_window; /* does not take what it gets */
    bool is_gone;
    uint32_t goaway; /* its code, or UINT32_MAX */
};

static ssize_t client_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct stream *stream = source->ptr;
    size_t left = stream->size - stream->sent;

    (void)session;
    (void)id;
    (void)context;
    if (room > left)
        room = left;
    memcpy(to, stream->body + stream->sent, room);
    stream->sent += room;
    if (room == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)room;
}

static int got_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                      void *context)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void)flags;
    (void)context;
    (void)value_size;
    if (stream && name_size == 7 && memcmp(name, ":status", 7) == 0)
        stream->status = (unsigned)atoi((const char *)value);
    return 0;
}

static int got_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                    size_t size, void *context)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    struct client *client = context;

    (void)flags;
    while (stream->got_size + size >= stream->got_capacity) {
        stream->got_capacity = stream->got_capacity ? 2 * stream->got_capacity : 1 << 16;
        stream->got = realloc(stream->got, stream->got_capacity);
    }
    memcpy(stream->got + stream->got_size, data, size);
    stream->got_size += size;
    stream->got[stream->got_size] = '\0';
    if (!client->holds_window)
        nghttp2_session_consume(session, id, size);
    return 0;
}

static int got_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);

    (void)context;
    if (stream) {
        stream->is_closed = true;
        stream->code = code;
    }
    return 0;
}

static int got_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct client *client = context;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        client->goaway = frame->goaway.error_code;
    return 0;
}

static void client_begin(struct client *client, uint32_t window)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    *client = (struct client){.fd = client_connect(&world), .goaway = UINT32_MAX};
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, got_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, got_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, got_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, got_frame);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&client->session, callbacks, client, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings, 1);
}

static void client_end(struct client *client)
{
    nghttp2_session_del(client->session);
    close(client->fd);
}

static nghttp2_nv field_of(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void client_ask(struct client *client, struct stream *stream, const char *path,
                       const char *body, size_t size)
{
    nghttp2_nv fields[6];
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = client_body};
    char length[24];

    snprintf(length, sizeof length, "%zu", size);
    *stream = (struct stream){.body = body, .size = size};
    fields[0] = field_of(":method", body ? "POST" : "GET");
    fields[1] = field_of(":scheme", "http");
    fields[2] = field_of(":authority", "kinesis");
    fields[3] = field_of(":path", path);
    fields[4] = field_of("x-y", "z");
    fields[5] = field_of("content-length", length);
    stream->id = nghttp2_submit_request(client->session, NULL, fields, body ? 6 : 5,
                                        body ? &provider : NULL, stream);
    assert_true(stream->id > 0);
}

static void client_flush(struct client *client)
{
    const uint8_t *data;
    ssize_t size;

    while ((size = nghttp2_session_mem_send(client->session, &data)) > 0)
        if (!client_try_send(client->fd, data, (size_t)size))
            client->is_gone = true;
}

/* Sends and receives once. */
static void client_turn(struct client *client)
{
    static uint8_t buffer[65536];
    ssize_t size;

    client_flush(client);
    if (client->is_gone)
        return;
    size = recv(client->fd, buffer, sizeof buffer, 0);
    if (size <= 0)
        client->is_gone = true;
    else
        assert_int_equal(nghttp2_session_mem_recv(client->session, buffer, (size_t)size), size);
    client_flush(client);
}

static void client_wait(struct client *client, struct stream *stream)
{
    while (!stream->is_closed && !client->is_gone)
        client_turn(client);
}

static void assert_answer(struct client *client, struct stream *stream, unsigned status,
                          const char *body)
{
    client_wait(client, stream);
    assert_int_equal(stream->status, status);
    if (body)
        assert_string_equal(stream->got ? stream->got : "", body);
    free(stream->got);
    stream->got = NULL;
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
    struct client client;
    struct stream stream;

    (void)state;
    http_world_open(&world);
    client_begin(&client, 65535);
    client_ask(&client, &stream, "/x/y?a=b", "hello", 5);
    assert_answer(&client, &stream, 200, "POST /x/y ?a=b kinesis 2 5 2 0");
    client_ask(&client, &stream, "/", NULL, 0);
    assert_answer(&client, &stream, 200, "GET / ? kinesis 1 0 2 0");
    client_end(&client);
}

static void echoes_bodies_side_by_side(void **state)
{
    static const size_t sizes[] = {0, 1, 16384, 16385, 65536, 1 << 20, 10 << 20, 16 << 20};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    struct stream streams[2 * COUNT];
    char *bytes = pattern(16 << 20);
    struct client client;

    (void)state;
    http_world_open(&world);
    client_begin(&client, 1 << 20);
    for (int i = 0; i < 2 * COUNT; i++)
        client_ask(&client, &streams[i], i < COUNT ? "/echo" : "/copy", bytes, sizes[i % COUNT]);
    for (int i = 0; i < 2 * COUNT; i++) {
        client_wait(&client, &streams[i]);
        assert_int_equal(streams[i].status, 200);
        assert_int_equal(streams[i].got_size, sizes[i % COUNT]);
        if (streams[i].got_size)
            assert_memory_equal(streams[i].got, bytes, sizes[i % COUNT]);
        free(streams[i].got);
    }
    http_world_wait_for(&world.freed, COUNT);
    client_end(&client);
    free(bytes);
}

static void answers_in_the_order_they_come(void **state)
{
    struct stream streams[20];
    mr_reply replies[20];
    struct client client;

    (void)state;
    http_world_open(&world);
    client_begin(&client, 65535);
    for (int i = 0; i < 20; i++) {
        client_ask(&client, &streams[i], "/later", NULL, 0);
        client_flush(&client);
        replies[i] = http_world_reply_next(&world, NULL);
    }
    for (int i = 20; i-- > 0;) {
        char text[16];

        sprintf(text, "number %d", i);
        http_world_reply_text(replies[i], 200, text);
        assert_answer(&client, &streams[i], 200, text);
    }
    client_end(&client);
}

static void answers_nobody_after_a_reset(void **state)
{
    struct stream first, second;
    struct client client;
    mr_reply reply;

    (void)state;
    http_world_open(&world);
    client_begin(&client, 65535);
    client_ask(&client, &first, "/later", "hello", 5);
    client_flush(&client);
    reply = http_world_reply_next(&world, NULL);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, first.id, NGHTTP2_CANCEL);
    client_ask(&client, &second, "/echo", "x", 1);
    assert_answer(&client, &second, 200, "x");
    http_world_reply_text(reply, 200, "for nobody");
    client_ask(&client, &second, "/echo", "y", 1);
    assert_answer(&client, &second, 200, "y");
    assert_null(first.got);
    client_end(&client);
}

static void clients_may_leave_before_the_answer(void **state)
{
    struct stream streams[10];
    struct client client;

    (void)state;
    http_world_open(&world);
    client_begin(&client, 65535);
    for (int i = 0; i < 10; i++)
        client_ask(&client, &streams[i], i % 2 ? "/later" : "/feed", "hello", 5);
    client_flush(&client);
    http_world_wait_for(&world.handled, 10);
    client_end(&client);
    http_world_wait_for(&world.feed_closed, 5);
    for (int i = 0; i < 5; i++)
        http_world_reply_text(http_world_reply_next(&world, NULL), 200, "for nobody");
}

/* ---- feeds -------------------------------------------------------------------------------- */

static void assert_feed_bytes(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (char)('a' + i % 26))
            fail_msg("byte %zu", i);
}

static void woken_feeds_go_on(void **state)
{
    struct client client;
    struct stream feed;

    (void)state;
    http_world_open(&world);
    client_begin(&client, 65535);
    client_ask(&client, &feed, "/feed", NULL, 0);
    client_flush(&client);
    http_world_wait_for(&world.feed_asked, 1);
    for (size_t i = 1; i <= 300; i++) {
        http_world_feed_more(&world, 10);
        while (feed.got_size < i * 10)
            client_turn(&client);
    }
    assert_feed_bytes(feed.got, 3000);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, feed.id, NGHTTP2_CANCEL);
    client_flush(&client);
    http_world_wait_for(&world.feed_closed, 1);
    free(feed.got);
    client_end(&client);
}

/* A stream without window stops its feed and nobody else's. */
static void a_closed_window_bounds_a_feed(void **state)
{
    struct stream feed, other;
    struct client client;

    (void)state;
    world.feed_total = 100 << 20;
    http_world_open(&world);
    client_begin(&client, 20000);
    client.holds_window = true;
    client_ask(&client, &feed, "/feed", NULL, 0);
    while (feed.got_size < 20000)
        client_turn(&client);
    for (int i = 0; i < 10; i++) {
        client_ask(&client, &other, "/echo", "x", 1);
        assert_answer(&client, &other, 200, "x");
    }
    assert_int_equal(feed.got_size, 20000);
    assert_int_equal(atomic_load(&world.feed_filled), 20000);
    client.holds_window = false;
    nghttp2_session_consume(client.session, feed.id, 20000);
    while (feed.got_size < 1000000)
        client_turn(&client);
    assert_feed_bytes(feed.got, feed.got_size);
    free(feed.got);
    client_end(&client);
}

/* ---- bad input ---------------------------------------------------------------------------- */

static void refuses_what_is_too_large(void **state)
{
    char *bytes = pattern(17 << 20);
    struct client client;
    struct stream stream;
    char *path = malloc(70000);

    (void)state;
    world.config.limits.linger_ms = 50;
    http_world_open(&world);
    client_begin(&client, 65535);
    client_ask(&client, &stream, "/echo", bytes, (16 << 20) + 1);
    assert_answer(&client, &stream, 413, "the body is too large\n");
    http_world_wait_diag(&world, "kind=BODY_BYTES");

    memset(path, 'a', 70000);
    path[0] = '/';
    path[60000] = '\0';
    client_ask(&client, &stream, path, NULL, 0);
    assert_answer(&client, &stream, 200, NULL);
    nghttp2_nv fields[80];
    fields[0] = field_of(":method", "GET");
    fields[1] = field_of(":scheme", "http");
    fields[2] = field_of(":authority", "a");
    fields[3] = field_of(":path", "/");
    for (int i = 4; i < 80; i++)
        fields[i] = field_of("a", "b");
    stream = (struct stream){0};
    stream.id = nghttp2_submit_request(client.session, NULL, fields, 80, NULL, &stream);
    assert_answer(&client, &stream, 431, "too many fields\n");
    client_end(&client);
    free(path);
    free(bytes);
}

static void slow_bodies_are_late(void **state)
{
    struct client client;
    struct stream stream;

    (void)state;
    world.config.limits.body_ms = 60;
    world.config.limits.linger_ms = 50;
    http_world_open(&world);
    client_begin(&client, 65535);
    client_ask(&client, &stream, "/echo", NULL, 0);
    assert_answer(&client, &stream, 200, "");
    nghttp2_nv fields[4];
    fields[0] = field_of(":method", "POST");
    fields[1] = field_of(":scheme", "http");
    fields[2] = field_of(":authority", "a");
    fields[3] = field_of(":path", "/echo");
    stream = (struct stream){0};
    stream.id =
        nghttp2_submit_headers(client.session, NGHTTP2_FLAG_NONE, -1, NULL, fields, 4, &stream);
    assert_answer(&client, &stream, 408, NULL);
    http_world_wait_diag(&world, "kind=BODY_LATE");
    client_end(&client);
}

static void who_takes_no_answer_is_reset(void **state)
{
    struct client client;
    struct stream stream;
    char *bytes = pattern(200000);

    (void)state;
    world.config.limits.read_ms = 80;
    http_world_open(&world);
    client_begin(&client, 1000);
    client.holds_window = true;
    client_ask(&client, &stream, "/echo", bytes, 200000);
    client_wait(&client, &stream);
    assert_int_equal(stream.code, NGHTTP2_CANCEL);
    http_world_wait_diag(&world, "kind=READ_LATE");
    free(stream.got);
    free(bytes);
    client_end(&client);
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const uint8_t no_settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};

/* ":method GET", ":scheme http", ":path /", ":authority a" */
static const uint8_t get_block[] = {0x82, 0x86, 0x84, 0x41, 0x01, 'a'};

static size_t put_frame(uint8_t *to, uint8_t type, uint8_t flags, uint32_t id, const void *body,
                        size_t size)
{
    const uint8_t head[9] = {
        (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size,      type,       flags,
        (uint8_t)(id >> 24),   (uint8_t)(id >> 16),  (uint8_t)(id >> 8), (uint8_t)id};
    memcpy(to, head, 9);
    if (size)
        memcpy(to + 9, body, size);
    return 9 + size;
}

/* Sends frames by the thousand, in a thread, since the server answers meanwhile. */
static int raw_fd;
static size_t (*raw_frames)(uint8_t *to, uint32_t i);

static void *raw_send(void *context)
{
    static uint8_t frames[1 << 16];

    (void)context;
    if (!client_try_send(raw_fd, preface, sizeof preface - 1) ||
        !client_try_send(raw_fd, no_settings, sizeof no_settings))
        return NULL;
    for (uint32_t i = 0; i < 20000; i++)
        if (!client_try_send(raw_fd, frames, raw_frames(frames, i)))
            break;
    return NULL;
}

/* The server ends the connection and says why; others are served as before. */
static void assert_cut(size_t (*frames)(uint8_t *to, uint32_t i), const char *kind)
{
    static uint8_t buffer[65536];
    struct client client;
    struct stream stream;
    pthread_t thread;

    raw_fd = client_connect(&world);
    raw_frames = frames;
    pthread_create(&thread, NULL, raw_send, NULL);
    while (recv(raw_fd, buffer, sizeof buffer, 0) > 0)
        ;
    shutdown(raw_fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(raw_fd);
    http_world_wait_diag(&world, kind);
    client_begin(&client, 65535);
    client_ask(&client, &stream, "/", NULL, 0);
    assert_answer(&client, &stream, 200, NULL);
    client_end(&client);
}

static size_t rapid_reset(uint8_t *to, uint32_t i)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    size_t size = put_frame(to, 1, 5, 2 * i + 1, get_block, sizeof get_block);
    return size + put_frame(to + size, 3, 0, 2 * i + 1, cancel, 4);
}

/* Each stream is made to be reset by us: its window overflows. */
static size_t made_you_reset(uint8_t *to, uint32_t i)
{
    static const uint8_t most[4] = {0x7f, 0xff, 0xff, 0xff};
    size_t size = put_frame(to, 1, 4, 2 * i + 1, get_block, sizeof get_block);
    return size + put_frame(to + size, 8, 0, 2 * i + 1, most, 4);
}

static size_t continuations(uint8_t *to, uint32_t i)
{
    return i ? put_frame(to, 9, 0, 1, get_block, 0)
             : put_frame(to, 1, 1, 1, get_block, sizeof get_block);
}

static size_t settings_flood(uint8_t *to, uint32_t i)
{
    size_t size = 0;

    (void)i;
    for (int k = 0; k < 100; k++)
        size += put_frame(to + size, 4, 0, 0, NULL, 0);
    return size;
}

static size_t nonsense(uint8_t *to, uint32_t i)
{
    (void)i;
    return put_frame(to, 0, 0, 1, "data of no stream", 17);
}

static void cuts_rapid_resets(void **state)
{
    (void)state;
    http_world_open(&world);
    assert_cut(rapid_reset, "kind=H2_RESETS");
    assert_true(atomic_load(&world.handled) < 2000);
}

static void cuts_who_makes_us_reset(void **state)
{
    (void)state;
    http_world_open(&world);
    assert_cut(made_you_reset, "kind=H2_ERRORS");
}

static void cuts_endless_heads(void **state)
{
    (void)state;
    http_world_open(&world);
    assert_cut(continuations, "event=http_refused kind=H2_");
}

static void cuts_what_breaks_the_rules(void **state)
{
    (void)state;
    http_world_open(&world);
    assert_cut(nonsense, "kind=H2_PROTOCOL");
}

/* Nobody reads the acknowledgements, which are bounded, too. */
static void bounds_a_settings_flood(void **state)
{
    static uint8_t frames[1 << 16];
    int fd;

    (void)state;
    world.config.limits.read_ms = 200;
    http_world_open(&world);
    fd = client_connect(&world);
    client_send(fd, preface, sizeof preface - 1);
    for (uint32_t i = 0; i < 1000000; i++)
        if (!client_try_send(fd, frames, settings_flood(frames, i)))
            break;
    close(fd);
    http_world_wait_diag(&world, "event=http_refused");
}

static void heads_that_do_not_end_are_late(void **state)
{
    uint8_t frame[64], byte;
    int fd;

    (void)state;
    world.config.limits.head_ms = 60;
    http_world_open(&world);
    fd = client_connect(&world);
    client_send(fd, preface, sizeof preface - 1);
    client_send(fd, no_settings, sizeof no_settings);
    client_send(fd, frame, put_frame(frame, 1, 1, 1, get_block, sizeof get_block));
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    http_world_wait_diag(&world, "kind=HEAD_LATE");
    close(fd);
}

/* ---- ends --------------------------------------------------------------------------------- */

static void idle_connections_are_told_to_go(void **state)
{
    struct client client;
    struct stream stream;

    (void)state;
    world.config.limits.idle_ms = 60;
    http_world_open(&world);
    client_begin(&client, 65535);
    client_ask(&client, &stream, "/", NULL, 0);
    assert_answer(&client, &stream, 200, NULL);
    while (!client.is_gone)
        client_turn(&client);
    assert_int_equal(client.goaway, NGHTTP2_NO_ERROR);
    assert_string_equal(world.diag, "");
    client_end(&client);
}

static void *stop_run(void *context)
{
    *(size_t *)context = mr_server_stop(world.server, 30000);
    return NULL;
}

static void stops_gracefully(void **state)
{
    struct stream feed, later;
    struct client client;
    size_t cut_count = 99;
    pthread_t thread;

    (void)state;
    http_world_open(&world);
    client_begin(&client, 65535);
    client_ask(&client, &feed, "/feed", NULL, 0);
    client_ask(&client, &later, "/later", NULL, 0);
    client_flush(&client);
    mr_reply reply = http_world_reply_next(&world, NULL);
    pthread_create(&thread, NULL, stop_run, &cut_count);
    client_wait(&client, &feed);
    assert_int_equal(client.goaway, NGHTTP2_NO_ERROR);
    assert_int_equal(feed.code, NGHTTP2_NO_ERROR);
    http_world_reply_text(reply, 200, "in time");
    assert_answer(&client, &later, 200, "in time");
    while (!client.is_gone)
        client_turn(&client);
    client_end(&client);
    pthread_join(thread, NULL);
    assert_int_equal(cut_count, 0);
}

#define each(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(hands_over_the_request),
        each(echoes_bodies_side_by_side),
        each(answers_in_the_order_they_come),
        each(answers_nobody_after_a_reset),
        each(clients_may_leave_before_the_answer),
        each(woken_feeds_go_on),
        each(a_closed_window_bounds_a_feed),
        each(refuses_what_is_too_large),
        each(slow_bodies_are_late),
        each(who_takes_no_answer_is_reset),
        each(cuts_rapid_resets),
        each(cuts_who_makes_us_reset),
        each(cuts_endless_heads),
        each(cuts_what_breaks_the_rules),
        each(bounds_a_settings_flood),
        each(heads_that_do_not_end_are_late),
        each(idle_connections_are_told_to_go),
        each(stops_gracefully),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
