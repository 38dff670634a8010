/* tls.h - TLS on a socket that does not block, by OpenSSL. */
#ifndef MR_SERVER_TLS_H
#define MR_SERVER_TLS_H

#include "os/socket.h"

struct mr_tls_setup; /* certificate, key, what is allowed: shared by all connections */
struct mr_tls;       /* one connection's */

/* INVALID: the message says what is wrong with which file. */
mr_status mr_tls_setup_new(struct mr_tls_setup **setup, const char *cert, const char *key,
                           mr_error *error);
/* Reads them again, for connections to come. If it fails all stays as it is. Any thread. */
mr_status mr_tls_setup_reload(struct mr_tls_setup *setup, const char *cert, const char *key,
                              mr_error *error);
void mr_tls_setup_free(struct mr_tls_setup *setup);

struct mr_tls *mr_tls_new(struct mr_tls_setup *setup, int fd);
void mr_tls_free(struct mr_tls *tls);

/* 1: done; MR_SOCKET_WAIT, MR_SOCKET_GONE. *for_write: it waits to write, not to read. */
ssize_t mr_tls_handshake(struct mr_tls *tls, bool *for_write);
bool mr_tls_is_done(const struct mr_tls *tls); /* with the handshake */
bool mr_tls_wants_http2(const struct mr_tls *tls);

/* As mr_socket_read() and mr_socket_write(). Bytes read may wait inside: read until WAIT. */
ssize_t mr_tls_read(struct mr_tls *tls, void *to, size_t size);
ssize_t mr_tls_write(struct mr_tls *tls, mr_bytes bytes);
void mr_tls_finish(struct mr_tls *tls);

#endif
