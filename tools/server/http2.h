/* http2.h - the narrow way to HTTP/2: only http2.c knows the library that speaks it. */
#ifndef MR_SERVER_HTTP2_H
#define MR_SERVER_HTTP2_H

#include <stdint.h>

struct mr_connection;
struct mr_http2;       /* one connection's */
struct mr_http2_setup; /* shared by all connections */

struct mr_http2_setup *mr_http2_setup_new(void);
void mr_http2_setup_free(struct mr_http2_setup *setup);

/* The connection speaks HTTP/2 from its next byte on. */
void mr_http2_start(struct mr_connection *connection);

#endif
