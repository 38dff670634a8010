/*
 * inside.h - what the server's parts share.
 *
 *   worker      one loop with its thread, connections and exchanges
 *   connection  a socket, its TLS, what is read and not understood, what is said and not written
 *   exchange    a request and its answer; outlives its connection while the handler has it
 *   protocol    how a connection's bytes become exchanges: sniffing, HTTP/1, HTTP/2
 *
 * A connection works in turns: read, answer, write, then say what to wait for. Whatever happens to it
 * outside of its turn queues one.
 */
#ifndef MR_SERVER_INSIDE_H
#define MR_SERVER_INSIDE_H

#include "base/pack.h"
#include "os/loop.h"
#include "os/socket.h"
#include "os/thread.h"
#include "server/body.h"
#include "server/head.h"
#include "server/http2.h"
#include "server/refusal.h"
#include "server/server.h"
#include "server/tls.h"

#define SCRATCH_BYTES (64u << 10)
#define OUT_BYTES_MAX (64u << 10)  /* when so much waits to be written, no more is made */
#define COPY_BYTES_MAX (16u << 10) /* bodies of answers up to here are copied */
#define TURN_BYTES_MAX (1u << 20)  /* read by a connection before others have their turn */
#define SLOT_COUNT 64              /* exchanges allocated at a time */
#define BLOCK_COUNT 1024           /* of so many exchanges each */
#define NEVER_MS UINT64_MAX

#define mr_container(member_of, type, member) ((type *)((char *)(member_of)-offsetof(type, member)))

enum mr_exchange_state {
    EXCHANGE_FREE,
    EXCHANGE_READING,   /* the request is not complete */
    EXCHANGE_HANDLED,   /* the handler has it */
    EXCHANGE_ANSWERING, /* the answer is being sent */
};

struct mr_exchange {
    struct mr_worker *worker;
    struct mr_connection *connection;  /* NULL: the client is gone */
    struct mr_exchange *next, *before; /* of its connection, or of those that are free */
    enum mr_exchange_state state;
    uint32_t slot, generation;
    uint64_t since_ms; /* the state began, or the answer moved */

    struct mr_request request;
    struct mr_field fields[MR_FIELD_COUNT_MAX];
    char peer[MR_PEER_TEXT_BYTES];
    struct mr_pack text; /* what the request's head points into */
    struct mr_body body;

    mr_bytes rest; /* of the answer's body, not yet sent */
    void *rest_data;
    void (*rest_free)(void *data);
    struct mr_feed feed; /* fill is NULL: none */
    bool is_feed_idle;   /* it had nothing */
    bool is_feed_over;   /* it has said its end */
    struct mr_timer timer;
    struct mr_task wake;
    _Atomic bool is_woken;

    struct mr_http2_part {
        int32_t stream;
        enum mr_refusal refusal; /* to be answered with this once the head is complete */
        bool is_complete;        /* the client has sent its end */
        bool is_lingering;       /* all is answered, and not all was sent */
        bool has_length;
        uint64_t length;                    /* announced */
        size_t unconsumed_bytes;            /* of the body, for which no window was given back */
        size_t method_at, path_at, host_at; /* in text; sizes are in request */
        size_t fields_at;                   /* names and values stand one behind the other */
    } http2;
};

struct mr_protocol {
    bool (*input)(struct mr_connection *connection);  /* reads; true: there is more to read */
    bool (*output)(struct mr_connection *connection); /* when all is written; true: made more */
    /* Takes the answer; true: all of it, the exchange is done. A body over COPY_BYTES_MAX is rest.*/
    bool (*answer)(struct mr_exchange *exchange, const struct mr_response *response);
    void (*resume)(struct mr_exchange *exchange); /* its feed was woken, or its body may come */
    void (*stop)(struct mr_connection *connection);
    uint64_t (*deadline)(const struct mr_connection *connection);
    void (*late)(struct mr_connection *connection);
    void (*gone)(struct mr_connection *connection); /* before its exchanges are dropped */
};
extern const struct mr_protocol mr_protocol_http1, mr_protocol_http2;

struct mr_http1 {
    enum {
        HTTP1_HEAD,
        HTTP1_BODY,
        HTTP1_CHUNKS,
        HTTP1_HANDLED,
        HTTP1_SENDING,
        HTTP1_FEEDING,
        HTTP1_CLOSED,
    } state;
    size_t scanned;
    uint64_t body_bytes;
    struct mr_chunks chunks;
    struct mr_exchange *exchange;
    bool is_http_1_0, keeps_alive, is_head_begun;
    bool is_held; /* until its answers are written */
};

struct mr_connection {
    struct mr_watch watch;
    struct mr_timer timer;
    struct mr_task turn;
    struct mr_worker *worker; /* set before the first turn, on its own loop */
    struct mr_connection *next, *before;
    const struct mr_protocol *protocol;
    struct mr_tls *tls;
    struct mr_exchange *exchanges;
    struct mr_pack in, out; /* from in_at and out_at */
    size_t in_at, out_at;
    struct mr_exchange *sending; /* its rest goes behind out */
    uint64_t since_ms, written_ms;
    bool is_new, is_dead, is_queued, is_in_turn;
    bool is_readable;  /* there may be more to read than was read */
    bool is_ended;     /* nothing more will be read */
    bool is_blocked;   /* the socket takes no more */
    bool is_resumed;   /* there is something to do for the next turn, whatever is readable */
    bool is_closing;   /* close when all is written */
    bool is_lingering; /* all is written; waits for the client to close */
    struct mr_http1 http1;
    struct mr_http2 *http2;
    char peer[MR_PEER_TEXT_BYTES];
};

struct mr_worker {
    struct mr_server *server;
    unsigned index;
    struct mr_loop *loop;
    pthread_t thread;
    struct mr_watch listener;
    struct mr_task stop, start;
    struct mr_timer stop_timer;
    bool is_stopping, is_started;
    size_t cut_count;
    struct mr_connection *connections;
    _Atomic uint32_t connection_count; /* given to it and not closed; others look at it */
    struct mr_bodies bodies;
    struct mr_refusals refusals;
    uint8_t *scratch; /* SCRATCH_BYTES, for whoever has its turn */
    char date[32];
    uint64_t date_s;

    _Atomic(struct mr_exchange *) blocks[BLOCK_COUNT];
    struct mr_exchange *free;
    struct mr_delay *delays; /* of mr_reply_later() */
    uint32_t exchange_count, exchange_count_max, exchange_made_count;
};

struct mr_server {
    struct mr_server_config config;
    int listener, spare; /* spare: a file to close when there is none left for a connection */
    pthread_mutex_t spare_lock;
    uint16_t port;
    struct mr_tls_setup *tls;
    struct mr_http2_setup *http2;
    struct mr_worker *workers;
    unsigned worker_count;
    uint32_t stop_ms;
    bool is_stopped;
    _Atomic uint32_t connection_count;
};

/* exchange.c */
struct mr_exchange *mr_exchange_take(struct mr_connection *connection); /* NULL: too many */
void mr_exchange_handle(struct mr_exchange *exchange, unsigned version);
/* The connection has no more to do with it. */
void mr_exchange_drop(struct mr_exchange *exchange);
/* Reserves memory for its body; false: resume() will be called. */
bool mr_exchange_reserve(struct mr_exchange *exchange, uint64_t bytes);
/* Asks the feed for at most room bytes: more than 0; 0: nothing now; -1: the end. */
ssize_t mr_exchange_fill(struct mr_exchange *exchange, uint8_t *to, size_t room);
void mr_exchanges_init(struct mr_worker *worker);
void mr_delays_hurry(struct mr_worker *worker); /* runs what waits for its time */
void mr_exchanges_fini(struct mr_worker *worker);

/* connection.c */
void mr_connection_start(struct mr_worker *worker, int fd, const char *peer);
void mr_connection_queue(struct mr_connection *connection); /* a turn */
void mr_connection_drop(struct mr_connection *connection);
void mr_connection_refuse(struct mr_connection *connection, enum mr_refusal refusal); /* says so */
ssize_t mr_connection_read(struct mr_connection *connection, void *to, size_t size);
void mr_connection_keep(struct mr_connection *connection, mr_bytes bytes); /* behind `in` */

/* server.c */
const char *mr_worker_date(struct mr_worker *worker); /* as HTTP writes it, 29 characters */

#endif
