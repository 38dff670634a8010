#include "server/tls.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

struct mr_tls_setup {
    pthread_mutex_t lock;
    SSL_CTX *context; /* each connection keeps the one it began with */
};

/* struct mr_tls is OpenSSL's own SSL. */
static SSL *ssl_of(const struct mr_tls *tls)
{
    return (SSL *)(uintptr_t)tls;
}

static mr_status fail(mr_error *error, const char *what, const char *file)
{
    char reason[128] = "unusable";
    unsigned long code = ERR_peek_last_error();

    if (code)
        ERR_error_string_n(code, reason, sizeof reason);
    ERR_clear_error();
    return mr_fail(error, MR_INVALID, "TLS %s %s: %s", what, file, reason);
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *in, unsigned in_size, void *context)
{
    static const unsigned char known[] = "\x02h2\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_size, known, sizeof known - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static mr_status context_new(SSL_CTX **made, const char *cert, const char *key, mr_error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    mr_status status = MR_OK;

    mr_check(context);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need no memory */
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
        status = fail(error, "certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        status = fail(error, "key", key);
    else if (SSL_CTX_check_private_key(context) != 1)
        status = fail(error, "key does not fit the certificate:", key);
    if (status == MR_OK)
        *made = context;
    else
        SSL_CTX_free(context);
    return status;
}

mr_status mr_tls_setup_new(struct mr_tls_setup **setup, const char *cert, const char *key,
                           mr_error *error)
{
    SSL_CTX *context;
    mr_status status = context_new(&context, cert, key, error);

    if (status)
        return status;
    *setup = mr_new(struct mr_tls_setup);
    (*setup)->context = context;
    pthread_mutex_init(&(*setup)->lock, NULL);
    return MR_OK;
}

mr_status mr_tls_setup_reload(struct mr_tls_setup *setup, const char *cert, const char *key,
                              mr_error *error)
{
    SSL_CTX *context, *before;
    mr_status status = context_new(&context, cert, key, error);

    if (status)
        return status;
    pthread_mutex_lock(&setup->lock);
    before = setup->context;
    setup->context = context;
    pthread_mutex_unlock(&setup->lock);
    SSL_CTX_free(before);
    return MR_OK;
}

void mr_tls_setup_free(struct mr_tls_setup *setup)
{
    if (!setup)
        return;
    SSL_CTX_free(setup->context);
    pthread_mutex_destroy(&setup->lock);
    mr_free(setup);
}

struct mr_tls *mr_tls_new(struct mr_tls_setup *setup, int fd)
{
    SSL *ssl;

    pthread_mutex_lock(&setup->lock);
    ssl = SSL_new(setup->context);
    pthread_mutex_unlock(&setup->lock);
    if (!ssl || SSL_set_fd(ssl, fd) != 1)
        mr_out_of_memory(0);
    SSL_set_accept_state(ssl);
    return (struct mr_tls *)(void *)ssl;
}

void mr_tls_free(struct mr_tls *tls)
{
    SSL_free(ssl_of(tls));
}

static ssize_t outcome(SSL *ssl, int result, bool *for_write)
{
    if (result > 0)
        return result;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return MR_SOCKET_WAIT;
    case SSL_ERROR_WANT_WRITE:
        if (for_write)
            *for_write = true;
        return MR_SOCKET_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        return MR_SOCKET_GONE;
    }
}

ssize_t mr_tls_handshake(struct mr_tls *tls, bool *for_write)
{
    ssize_t result;

    ERR_clear_error();
    *for_write = false;
    result = outcome(ssl_of(tls), SSL_do_handshake(ssl_of(tls)), for_write);
    return result == 0 ? MR_SOCKET_GONE : result;
}

bool mr_tls_is_done(const struct mr_tls *tls)
{
    return SSL_is_init_finished(ssl_of(tls));
}

bool mr_tls_wants_http2(const struct mr_tls *tls)
{
    const unsigned char *name;
    unsigned size;

    SSL_get0_alpn_selected(ssl_of(tls), &name, &size);
    return size == 2 && memcmp(name, "h2", 2) == 0;
}

static int clamp(size_t size)
{
    return size > 1 << 30 ? 1 << 30 : (int)size;
}

ssize_t mr_tls_read(struct mr_tls *tls, void *to, size_t size)
{
    ERR_clear_error();
    return outcome(ssl_of(tls), SSL_read(ssl_of(tls), to, clamp(size)), NULL);
}

ssize_t mr_tls_write(struct mr_tls *tls, mr_bytes bytes)
{
    ssize_t result;

    ERR_clear_error();
    result = outcome(ssl_of(tls), SSL_write(ssl_of(tls), bytes.data, clamp(bytes.size)), NULL);
    return result == 0 ? MR_SOCKET_GONE : result;
}

void mr_tls_finish(struct mr_tls *tls)
{
    ERR_clear_error();
    SSL_shutdown(ssl_of(tls)); /* says that this is the end; whether it arrives is the client's */
    ERR_clear_error();
}
