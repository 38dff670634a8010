/*
 * server.h - an HTTP server, whatever it serves: HTTP/1.1, HTTP/2 and, with a certificate, TLS, all on
 * one port, told apart by a connection's first bytes.
 *
 * Requests    Your handler is called on one of the server's threads (loops) once a request is
 *             complete, body and all. Answer it there, or later from any thread: with mr_reply_send(), or
 *             with mr_reply_feed() when the body comes bit by bit. The request and its bytes stay
 *             valid until you answer, even if the client is gone: so answer every request, once.
 *             An answer to one that is gone, answered already, or of a server that has stopped, is
 *             dropped. Requests of one HTTP/1 connection come one after the other, those of an
 *             HTTP/2 connection side by side.
 * Threads     A handler must not block: other connections of its loop wait. All calls but open,
 *             stop and close may be made from any thread, until mr_server_close().
 * Bad input   What breaks the protocol, comes too slowly or is too large is refused by the server
 *             itself and said in one logfmt line, at most once a second for each reason and loop.
 */
#ifndef MR_SERVER_SERVER_H
#define MR_SERVER_SERVER_H

#include "millrace.h"

/* ---- requests ----------------------------------------------------------------------------- */

/* Which request to answer: stays good when the request is gone, then it is nobody's. */
typedef struct mr_reply {
    struct mr_worker *worker;
    uint32_t slot, generation;
} mr_reply;

struct mr_field {
    mr_bytes name, value;
};

struct mr_request {
    mr_reply reply;
    mr_bytes method;               /* "POST" */
    mr_bytes path;                 /* from its '/' to before a '?', not decoded; or "*" */
    mr_bytes query;                /* behind the '?', not decoded */
    mr_bytes host;                 /* Host or :authority; may be empty */
    const struct mr_field *fields; /* in their order; over HTTP/2 names are lower-case */
    size_t field_count;
    mr_bytes body;    /* 64 more bytes behind it may be read, whatever they hold */
    const char *peer; /* "127.0.0.1:50000" */
    unsigned version; /* 1 or 2 */
    bool is_tls;
};

struct mr_server;

/* The value of the first field of that name, in any case; data is NULL when there is none. */
mr_bytes mr_request_field(const struct mr_request *request, const char *name);

/* ---- answers ------------------------------------------------------------------------------ */

/*
 * What to answer. The server adds date, content-length and what the protocol needs. Fields, and a
 * body without a free function, are copied; they may be parts of the request.
 */
struct mr_response {
    unsigned status; /* 200..599 */
    const struct mr_field *fields;
    size_t field_count; /* at most 32 */
    mr_bytes body;
    void (*body_free)(void *data); /* NULL, or takes over body.data: called once, from any thread */
};

void mr_reply_send(mr_reply reply, const struct mr_response *response);

/* Closes its connection instead of an answer, and with it all that is under way there: trouble, for
 * those who test what they do about it. */
void mr_reply_cut(mr_reply reply);

/* Calls run() so much later on the request's loop, or at once if the server stops. Only from its
 * handler. */
void mr_reply_later(mr_reply reply, uint32_t ms, void (*run)(void *context), void *context);

/* Runs the task on the request's loop, soon, or when the server is closed. From any thread. */
struct mr_task;
void mr_reply_post(mr_reply reply, struct mr_task *task);

/* A body that comes bit by bit. What a feed is asked, and what it says. */
struct mr_part {
    uint8_t *to;      /* fill this with at most room bytes */
    size_t room;      /* at least 1, seldom more than 16 KiB */
    bool is_stopping; /* the server stops: end where the client can stand it */

    size_t size;      /* how much you filled in; 0 with neither of these: nothing now */
    bool is_end;      /* no more will come */
    uint32_t wait_ms; /* after nothing: ask again after so long, even if nobody wakes; 0: never */
};

/*
 * Both are called on a loop, one at a time, never after close. fill is asked only when the client
 * has room for more: a slow one costs no more than a buffer. It must not block.
 */
struct mr_feed {
    void *context;
    void (*fill)(void *context, struct mr_part *part);
    void (*close)(void *context); /* once: the end was sent, the client is gone, or the answer was
                                     dropped; possibly before mr_reply_feed() returns */
};

/* response: without a body. */
void mr_reply_feed(mr_reply reply, const struct mr_response *response, const struct mr_feed *feed);

/* Asks a feed that had nothing; cheap, and many at once are one. Harmless when it is gone. */
void mr_reply_wake(mr_reply reply);

/* ---- the server --------------------------------------------------------------------------- */

/* A field that is 0 takes the value in parentheses. */
struct mr_server_limits {
    uint32_t connection_count; /* (20000) at once; further ones are closed */
    uint32_t request_count;    /* (65536) at once; further ones get 503 */
    uint32_t stream_count;     /* (128) requests at once on an HTTP/2 connection */
    uint64_t body_bytes;       /* (16 MiB) of one request; larger ones get 413 */
    uint64_t bodies_bytes;     /* (512 MiB) of all requests, but for small ones: others wait */
    uint32_t head_ms;          /* (10000) for a head, or a TLS handshake, from its first byte */
    uint32_t body_ms;          /* (10000) for a body, plus the time it takes at body_bytes_per_s */
    uint32_t body_bytes_per_s; /* (16384) */
    uint32_t read_ms;          /* (30000) until the client reads more of its answer */
    uint32_t feed_ms;          /* (600000) the same for a feed */
    uint32_t idle_ms;          /* (120000) between requests */
    uint32_t linger_ms;        /* (1000) for a refused client to read why */
};

struct mr_server_config {
    const char *address;  /* NULL: "127.0.0.1" */
    uint16_t port;        /* 0: any free one, see mr_server_port() */
    int listener;         /* a socket that listens already, instead of those; 0: none */
    unsigned loop_count;  /* 0: one per processor */
    const char *tls_cert; /* files in PEM, the certificate with its chain; NULL: no TLS */
    const char *tls_key;
    void (*handle)(void *context, const struct mr_request *request);
    void *context;
    void (*diag)(void *context, const char *line); /* may be NULL; one logfmt line, any thread */
    void *diag_context;
    struct mr_server_limits limits;
};

/* Serves when it returns. INVALID: address, certificate or key; IO. Close it in the end. */
mr_status mr_server_open(struct mr_server **server, const struct mr_server_config *config,
                         mr_error *error);

/* Reads certificate and key again, for connections to come; those there are stay as they are, and if
 * it fails all does. */
mr_status mr_server_reload(struct mr_server *server, mr_error *error);

uint16_t mr_server_port(const struct mr_server *server);

/*
 * Accepts no more, lets requests under way be answered, tells feeds to end, and cuts what is left
 * after deadline_ms. Its threads have ended when it returns. Returns how many connections were cut.
 */
size_t mr_server_stop(struct mr_server *server, uint32_t deadline_ms);

/* Stops at once if it has not stopped, and releases everything. No other call may be running or
 * come later, on replies neither. NULL is allowed. */
void mr_server_close(struct mr_server *server);

#endif
