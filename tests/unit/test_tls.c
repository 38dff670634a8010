/* TLS on the same port as plain HTTP, with a certificate made here. */
#include "base/check.h"
#include "support/http_world.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

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
static char cert_path[512], key_path[512];

static void write_files(EVP_PKEY *key, X509 *cert)
{
    FILE *file = fopen(key_path, "w");

    mr_check(file && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
    file = fopen(cert_path, "w");
    mr_check(file && PEM_write_X509(file, cert) == 1);
    fclose(file);
}

static int make_certificate(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    const char *folder = getenv("TMPDIR");

    (void)state;
    snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder ? folder : "/tmp");
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder ? folder : "/tmp");
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    mr_check(X509_sign(cert, key, EVP_sha256()) > 0);
    write_files(key, cert);
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    http_world_init(&world);
    world.config.tls_cert = cert_path;
    world.config.tls_key = key_path;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_world_close(&world);
    return 0;
}

static SSL *tls_connect(SSL_CTX *context, const char *protocols)
{
    SSL *ssl = SSL_new(context);

    SSL_set_fd(ssl, client_connect(&world));
    if (protocols)
        SSL_set_alpn_protos(ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void tls_close(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void tls_say(SSL *ssl, const void *bytes, size_t size)
{
    size_t written;

    assert_int_equal(SSL_write_ex(ssl, bytes, size, &written), 1);
    assert_int_equal(written, size);
}

static void assert_read(SSL *ssl, const void *bytes, size_t size)
{
    char *got = malloc(size);
    size_t at = 0, some;

    while (at < size && SSL_read_ex(ssl, got + at, size - at, &some) == 1)
        at += some;
    assert_int_equal(at, size);
    assert_memory_equal(got, bytes, size);
    free(got);
}

/* Reads a head up to its empty line. */
static void read_head(SSL *ssl, char *head, size_t room)
{
    size_t size = 0, some;

    while (size + 1 < room && (size < 4 || memcmp(head + size - 4, "\r\n\r\n", 4) != 0)) {
        assert_int_equal(SSL_read_ex(ssl, head + size, 1, &some), 1);
        size++;
    }
    head[size] = '\0';
}

static void echo(SSL *ssl, const char *bytes, size_t size)
{
    char head[512];
    int length = snprintf(head, sizeof head,
                          "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", size);

    tls_say(ssl, head, (size_t)length);
    if (size)
        tls_say(ssl, bytes, size);
    read_head(ssl, head, sizeof head);
    assert_memory_equal(head, "HTTP/1.1 200 ", 13);
    assert_read(ssl, bytes, size);
}

static void speaks_http1_of_all_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 100000, 10 << 20};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char *bytes = malloc(10 << 20);
    SSL *ssl;

    (void)state;
    for (size_t i = 0; i < 10 << 20; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    http_world_open(&world);
    ssl = tls_connect(context, "\x08http/1.1");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        echo(ssl, bytes, sizes[i]);
    tls_close(ssl);
    SSL_CTX_free(context);
    free(bytes);
}

static void agrees_on_a_protocol(void **state)
{
    static const struct {
        const char *offered, *chosen;
    } cases[] = {
        {"\x02h2", "h2"},
        {"\x02h2\x08http/1.1", "h2"},
        {"\x08http/1.1\x02h2", "h2"},
        {"\x08http/1.1", "http/1.1"},
        {NULL, ""},
    };
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

    (void)state;
    http_world_open(&world);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SSL *ssl = tls_connect(context, cases[i].offered);
        const unsigned char *name;
        unsigned size;

        SSL_get0_alpn_selected(ssl, &name, &size);
        assert_int_equal(size, strlen(cases[i].chosen));
        assert_memory_equal(name ? name : (const unsigned char *)"", cases[i].chosen, size);
        if (i >= 3) {
            echo(ssl, "hello", 5);
        } else {
            tls_say(ssl, preface, sizeof preface - 1);
            assert_read(ssl, "\0\0\x12\4", 4); /* SETTINGS */
        }
        tls_close(ssl);
    }
    /* Without agreement the first bytes tell. */
    SSL *ssl = tls_connect(context, NULL);
    tls_say(ssl, preface, sizeof preface - 1);
    assert_read(ssl, "\0\0\x12\4", 4);
    tls_close(ssl);
    SSL_CTX_free(context);
}

static void plain_http_has_the_same_port(void **state)
{
    struct client_answer answer;
    int fd;

    (void)state;
    http_world_open(&world);
    fd = client_connect(&world);
    client_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    answer = client_answer(fd);
    assert_string_equal(answer.body, "GET / ? a 1 0 1 0");
    free(answer.body);
    close(fd);
}

static void feeds_end_with_a_notice(void **state)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char head[512], *expected = malloc(300000);
    SSL *ssl;
    size_t some;

    (void)state;
    world.feed_total = 300000;
    world.feed_ends = true;
    http_world_open(&world);
    ssl = tls_connect(context, NULL);
    tls_say(ssl, "GET /feed HTTP/1.0\r\n\r\n", 22);
    read_head(ssl, head, sizeof head);
    for (size_t i = 0; i < 300000; i++)
        expected[i] = (char)('a' + i % 26);
    assert_read(ssl, expected, 300000);
    assert_int_equal(SSL_read_ex(ssl, head, 1, &some), 0);
    assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN); /* not cut off */
    tls_close(ssl);
    SSL_CTX_free(context);
    free(expected);
}

static void refuses_old_versions_and_nonsense(void **state)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    char byte;
    int fd;

    (void)state;
    world.config.limits.head_ms = 60;
    http_world_open(&world);
    SSL_set_security_level(ssl, 0);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    SSL_set_fd(ssl, client_connect(&world));
    assert_int_not_equal(SSL_connect(ssl), 1);
    tls_close(ssl);
    SSL_CTX_free(context);
    fd = client_connect(&world);
    client_send(fd, "\x16\x03\x01\x00\x05hello", 10);
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    close(fd);
    http_world_wait_diag(&world, "kind=HANDSHAKE ");

    fd = client_connect(&world);
    client_send(fd, "\x16\x03\x01", 3);
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    close(fd);
    http_world_wait_diag(&world, "kind=HANDSHAKE_LATE");
}

static void says_which_file_is_unusable(void **state)
{
    struct mr_server_config config = world.config;
    struct mr_server *server;
    mr_error error;

    (void)state;
    http_world_open(&world);
    config.tls_cert = key_path;
    assert_int_equal(mr_server_open(&server, &config, &error), MR_INVALID);
    assert_non_null(strstr(error.message, key_path));
    config.tls_cert = cert_path;
    config.tls_key = cert_path;
    assert_int_equal(mr_server_open(&server, &config, &error), MR_INVALID);
    assert_non_null(strstr(error.message, cert_path));
}

#define each(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(speaks_http1_of_all_sizes),         each(agrees_on_a_protocol),
        each(plain_http_has_the_same_port),      each(feeds_end_with_a_notice),
        each(refuses_old_versions_and_nonsense), each(says_which_file_is_unusable),
    };
    return cmocka_run_group_tests(tests, make_certificate, NULL);
}
