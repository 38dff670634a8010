/* Heads and chunks as bytes: what is understood, and each form that is refused. */
#include "server/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct mr_field fields[MR_FIELD_COUNT_MAX];

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void assert_bytes(mr_bytes bytes, const char *text)
{
    assert_int_equal(bytes.size, strlen(text));
    if (bytes.size)
        assert_memory_equal(bytes.data, text, bytes.size);
}

/* Finds and parses; in memory of its own, so that a sanitizer sees a step too far. */
static enum mr_refusal parse(mr_bytes bytes, struct mr_head *head, size_t *end)
{
    static char *copy;
    size_t scanned = 0;
    enum mr_refusal refusal;

    free(copy);
    copy = malloc(bytes.size ? bytes.size : 1);
    memcpy(copy, bytes.data, bytes.size);
    refusal = mr_head_find((mr_bytes){copy, bytes.size}, &scanned, end);
    head->fields = fields;
    if (!refusal && *end)
        refusal = mr_head_parse((mr_bytes){copy, *end}, head);
    return refusal;
}

static void understands_a_request(void **state)
{
    const char *text =
        "POST /a/b?x=1&y HTTP/1.1\r\nHost: kinesis:4567\r\nContent-Length: 12\r\n"
        "X-Amz-Target:Kinesis_20131202.PutRecord\r\nEmpty:\r\nTab: a\tb \t\r\n\r\nbody";
    struct mr_head head;
    size_t end;

    (void)state;
    assert_int_equal(parse(bytes_of(text), &head, &end), MR_REFUSAL_NONE);
    assert_int_equal(end, strlen(text) - 4);
    assert_bytes(head.method, "POST");
    assert_bytes(head.path, "/a/b");
    assert_bytes(head.query, "x=1&y");
    assert_bytes(head.host, "kinesis:4567");
    assert_int_equal(head.body_bytes, 12);
    assert_int_equal(head.field_count, 5);
    assert_bytes(head.fields[2].name, "X-Amz-Target");
    assert_bytes(head.fields[2].value, "Kinesis_20131202.PutRecord");
    assert_bytes(head.fields[3].value, "");
    assert_bytes(head.fields[4].value, "a\tb");
    assert_true(head.keeps_alive);
    assert_false(head.is_chunked);
}

static void knows_when_to_keep_alive(void **state)
{
    static const struct {
        const char *text;
        bool keeps_alive;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE ,\tCLOSE\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mr_head head;
        size_t end;

        assert_int_equal(parse(bytes_of(cases[i].text), &head, &end), MR_REFUSAL_NONE);
        assert_int_equal(head.keeps_alive, cases[i].keeps_alive);
    }
}

static void understands_targets_as_sent_to_proxies(void **state)
{
    struct mr_head head;
    size_t end;

    (void)state;
    assert_int_equal(parse(bytes_of("GET HTTP://b:1/c?d HTTP/1.1\r\nHost: a\r\n\r\n"), &head, &end),
                     MR_REFUSAL_NONE);
    assert_bytes(head.host, "b:1");
    assert_bytes(head.path, "/c");
    assert_bytes(head.query, "d");
    assert_int_equal(parse(bytes_of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), &head, &end),
                     MR_REFUSAL_NONE);
    assert_bytes(head.path, "*");
}

#define H "GET / HTTP/1.1\r\nHost: a\r\n"

static void refuses_each_malformed_form(void **state)
{
    static const struct {
        const char *text;
        enum mr_refusal refusal;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\r\n\r\n", MR_REFUSAL_BARE_NEWLINE},
        {"GET / HTTP/1.1\r\nHost: a\n\r\n", MR_REFUSAL_BARE_NEWLINE},
        {H "\n", MR_REFUSAL_BARE_NEWLINE},
        {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", MR_REFUSAL_BARE_NEWLINE},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET /\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET  / HTTP/1.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET /  HTTP/1.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {" GET / HTTP/1.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET / HTTP/1.1 \r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET / http/1.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET / HTTP/1.10\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET / HTTP/x.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"G\x01T / HTTP/1.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"G{T / HTTP/1.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n\r\n", MR_REFUSAL_REQUEST_LINE},
        {"GET / HTTP/2.0\r\n\r\n", MR_REFUSAL_VERSION},
        {"GET / HTTP/1.2\r\n\r\n", MR_REFUSAL_VERSION},
        {"GET / HTTP/0.9\r\n\r\n", MR_REFUSAL_VERSION},
        {"GET a HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET /\r HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET /\x7f HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET /\xc3\xa4 HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET ** HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET ftp://a/ HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET http:/// HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET http://a HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"GET http://u@a/ HTTP/1.1\r\n\r\n", MR_REFUSAL_TARGET},
        {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", MR_REFUSAL_TARGET},
        {H "a b: c\r\n\r\n", MR_REFUSAL_FIELD_NAME},
        {H "a : c\r\n\r\n", MR_REFUSAL_FIELD_NAME},
        {H ": c\r\n\r\n", MR_REFUSAL_FIELD_NAME},
        {H "abc\r\n\r\n", MR_REFUSAL_FIELD_NAME},
        {H "a\xc3: c\r\n\r\n", MR_REFUSAL_FIELD_NAME},
        {H "a\r: c\r\n\r\n", MR_REFUSAL_FIELD_NAME},
        {H "a: b\rc\r\n\r\n", MR_REFUSAL_FIELD_VALUE},
        {H "a: b\x1f\r\n\r\n", MR_REFUSAL_FIELD_VALUE},
        {H "a: 12345678\x7f\r\n\r\n", MR_REFUSAL_FIELD_VALUE},
        {H "a: 1234567\x01"
           "8\r\n\r\n",
         MR_REFUSAL_FIELD_VALUE},
        {H " b: c\r\n\r\n", MR_REFUSAL_FIELD_FOLDED},
        {H "a: b\r\n\tc\r\n\r\n", MR_REFUSAL_FIELD_FOLDED},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", MR_REFUSAL_FIELD_FOLDED},
        {"GET / HTTP/1.1\r\na: b\r\n\r\n", MR_REFUSAL_HOST},
        {H "HOST: a\r\n\r\n", MR_REFUSAL_HOST},
        {H "Content-Length: +1\r\n\r\n", MR_REFUSAL_LENGTH},
        {H "Content-Length: -1\r\n\r\n", MR_REFUSAL_LENGTH},
        {H "Content-Length: 1,1\r\n\r\n", MR_REFUSAL_LENGTH},
        {H "Content-Length: 0x1\r\n\r\n", MR_REFUSAL_LENGTH},
        {H "Content-Length: 1 1\r\n\r\n", MR_REFUSAL_LENGTH},
        {H "Content-Length:\r\n\r\n", MR_REFUSAL_LENGTH},
        {H "Content-Length: 1234567890123\r\n\r\n", MR_REFUSAL_LENGTH},
        {H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", MR_REFUSAL_LENGTH_TWICE},
        {H "content-length: 1\r\nContent-Length: 1\r\n\r\n", MR_REFUSAL_LENGTH_TWICE},
        {H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", MR_REFUSAL_LENGTH_AND_CODING},
        {H "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", MR_REFUSAL_LENGTH_AND_CODING},
        {H "Transfer-Encoding: gzip, chunked\r\n\r\n", MR_REFUSAL_CODING},
        {H "Transfer-Encoding: xchunked\r\n\r\n", MR_REFUSAL_CODING},
        {H "Transfer-Encoding: identity\r\n\r\n", MR_REFUSAL_CODING},
        {H "Transfer-Encoding:\r\n\r\n", MR_REFUSAL_CODING},
        {H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", MR_REFUSAL_CODING},
        {H "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", MR_REFUSAL_CODING},
        {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", MR_REFUSAL_CODING_VERSION},
        {H "Expect: 200-maybe\r\n\r\n", MR_REFUSAL_EXPECTATION},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mr_head head;
        size_t end;
        enum mr_refusal refusal = parse(bytes_of(cases[i].text), &head, &end);

        if (refusal != cases[i].refusal)
            print_message("%s\n: %s\n", cases[i].text, mr_refusal_text(refusal));
        assert_int_equal(refusal, cases[i].refusal);
    }
}

static void refuses_a_nul_anywhere(void **state)
{
    static const char text[] = H "Content-Length: 5\r\nabc: 123456789\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char copy[sizeof text];
        struct mr_head head;
        size_t end;

        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        if (parse((mr_bytes){copy, sizeof text - 1}, &head, &end) == MR_REFUSAL_NONE)
            assert_int_equal(end, 0); /* it was in the end, which has not come then */
    }
}

static void finds_the_end_wherever_reads_are_cut(void **state)
{
    static const char text[] = H "a: b\r\n\r\nGET";

    (void)state;
    for (size_t first = 0; first < sizeof text - 4; first++) {
        size_t scanned = 0, end = 99;

        assert_int_equal(mr_head_find((mr_bytes){text, first}, &scanned, &end), MR_REFUSAL_NONE);
        assert_int_equal(end, 0);
        assert_int_equal(scanned, first);
        assert_int_equal(mr_head_find((mr_bytes){text, sizeof text - 1}, &scanned, &end),
                         MR_REFUSAL_NONE);
        assert_int_equal(end, sizeof text - 4);
    }
}

static void bounds_heads_in_bytes_and_fields(void **state)
{
    char *text = malloc(MR_HEAD_BYTES_MAX + 100);
    struct mr_head head;
    size_t end, at = 0;

    (void)state;
    /* 63 more fields fit, 64 do not. */
    at = (size_t)sprintf(text, H);
    for (int i = 0; i < 63; i++)
        at += (size_t)sprintf(text + at, "f%d: v\r\n", i);
    memcpy(text + at, "\r\n", 3);
    assert_int_equal(parse(bytes_of(text), &head, &end), MR_REFUSAL_NONE);
    assert_int_equal(head.field_count, 64);
    memcpy(text + at, "g: v\r\n\r\n", 9);
    assert_int_equal(parse(bytes_of(text), &head, &end), MR_REFUSAL_FIELD_COUNT);

    /* The largest head, and one byte more; and one that does not end. */
    at = (size_t)sprintf(text, H "a: ");
    memset(text + at, 'x', MR_HEAD_BYTES_MAX);
    memcpy(text + MR_HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(parse((mr_bytes){text, MR_HEAD_BYTES_MAX}, &head, &end), MR_REFUSAL_NONE);
    assert_int_equal(end, MR_HEAD_BYTES_MAX);
    memcpy(text + MR_HEAD_BYTES_MAX - 4, "xx\r\n\r\n", 6);
    assert_int_equal(parse((mr_bytes){text, MR_HEAD_BYTES_MAX + 2}, &head, &end),
                     MR_REFUSAL_HEAD_BYTES);
    assert_int_equal(parse((mr_bytes){text, MR_HEAD_BYTES_MAX}, &head, &end),
                     MR_REFUSAL_HEAD_BYTES);
    free(text);
}

/* ---- chunks ------------------------------------------------------------------------------- */

/* Reads it all, in pieces of at most step bytes; gives the body's size, or -1. */
static int read_chunks(mr_bytes bytes, size_t step, char *body, size_t *used)
{
    const uint8_t *at = bytes.data, *stop = at + bytes.size;
    struct mr_chunks chunks = {0};
    int size = 0;

    while (at < stop && !chunks.is_complete) {
        const uint8_t *end = (size_t)(stop - at) > step ? at + step : stop;

        while (at < end && !chunks.is_complete) {
            mr_bytes piece;

            if (mr_chunks_read(&chunks, &at, end, &piece))
                return -1;
            if (piece.size)
                memcpy(body + size, piece.data, piece.size);
            size += (int)piece.size;
        }
    }
    *used = (size_t)(at - (const uint8_t *)bytes.data);
    return chunks.is_complete ? size : -2;
}

static void reads_chunks_wherever_reads_are_cut(void **state)
{
    static const char text[] = "5\r\nhello\r\n0001;a=\"b\";c\r\n \r\nA\r\n0123456789\r\n0\r\n"
                               "Trailer: x\r\nb:\r\n\r\nGET /";

    (void)state;
    for (size_t step = 1; step < sizeof text; step++) {
        char body[64];
        size_t used;

        assert_int_equal(read_chunks(bytes_of(text), step, body, &used), 16);
        assert_memory_equal(body, "hello 0123456789", 16);
        assert_int_equal(used, sizeof text - 1 - 5);
    }
}

static void refuses_malformed_chunks(void **state)
{
    static const char *const cases[] = {
        "\r\n",        "g\r\n",    " 1\r\na\r\n", "1 \r\na\r\n",    "-1\r\n",     "0x1\r\n",
        "1\na\r\n",    "1\r\na\n", "1\r\nab\r\n", "1\r\n\r\n\r\n",  "1\ra",       "123456789\r\n",
        "1;a\x01\r\n", "1;a\n",    "0\r\n\n",     "0\r\n a: b\r\n", "0\r\n:\r\n", "0\r\na\n",
        "0\r\na\x7f",  "0\r\n\rx", "1;\r\r\n",    "1\r\naX\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[64];
        size_t used;

        if (read_chunks(bytes_of(cases[i]), 100, body, &used) != -1)
            fail_msg("taken: %s", cases[i]);
    }
}

static void bounds_what_chunks_carry_besides(void **state)
{
    size_t bytes = 20000, used;
    char *text = malloc(bytes), body[8];

    (void)state;
    memset(text, 'a', bytes);
    memcpy(text, "1;", 2);
    assert_int_equal(read_chunks((mr_bytes){text, bytes}, bytes, body, &used), -1);
    memcpy(text, "0\r\n", 3);
    assert_int_equal(read_chunks((mr_bytes){text, bytes}, bytes, body, &used), -1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_a_request),
        cmocka_unit_test(knows_when_to_keep_alive),
        cmocka_unit_test(understands_targets_as_sent_to_proxies),
        cmocka_unit_test(refuses_each_malformed_form),
        cmocka_unit_test(refuses_a_nul_anywhere),
        cmocka_unit_test(finds_the_end_wherever_reads_are_cut),
        cmocka_unit_test(bounds_heads_in_bytes_and_fields),
        cmocka_unit_test(reads_chunks_wherever_reads_are_cut),
        cmocka_unit_test(refuses_malformed_chunks),
        cmocka_unit_test(bounds_what_chunks_carry_besides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
