/*
 * http_world.h - a server on a free port, what it was asked and what it said, and a client that sends
 * bytes as they are.
 *
 * The handler answers by path:
 *   /echo    the body, sent back
 *   /copy    the same, given to the server to free
 *   /about   "METHOD PATH ?QUERY HOST FIELDS BODY-BYTES VERSION TLS"
 *   /later   nothing: takes the reply for http_world_reply_next()
 *   /feed    a feed of world->feed_total bytes in parts of at most feed_part; then it waits
 */
#ifndef MR_TESTS_HTTP_WORLD_H
#define MR_TESTS_HTTP_WORLD_H

#include "server/server.h"

#include <pthread.h>
#include <stdatomic.h>

#define REPLY_COUNT_MAX 256 /* not taken */

struct http_world {
    struct mr_server *server;
    struct mr_server_config config; /* change it before http_world_open() */
    uint16_t port;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct {
        mr_reply reply;
        const struct mr_request *request;
    } replies[REPLY_COUNT_MAX]; /* used again */
    size_t reply_count, reply_taken;
    char diag[16384]; /* lines said */

    size_t feed_total, feed_part;
    bool feed_ends;             /* else it waits for http_world_feed_more() */
    uint32_t feed_wait_ms;      /* asks to be asked again */
    mr_reply feed_reply;        /* of the last one */
    _Atomic size_t feed_filled; /* bytes asked for and given, all feeds */
    _Atomic size_t feed_asked, feed_closed, handled, freed;
    _Atomic bool feed_stopped; /* a feed was told to stop */
};

void http_world_init(struct http_world *world);
void http_world_open(struct http_world *world);
void http_world_close(struct http_world *world);

/* Waits for the next /later request. */
mr_reply http_world_reply_next(struct http_world *world, const struct mr_request **request);
void http_world_reply_text(mr_reply reply, unsigned status, const char *text);
void http_world_feed_more(struct http_world *world, size_t bytes);

/* Waits until the server has said a line with this text. */
void http_world_wait_diag(struct http_world *world, const char *text);
bool http_world_has_diag(struct http_world *world, const char *text);
/* Waits until *value is at least that. */
void http_world_wait_for(_Atomic size_t *value, size_t least);

/* A client: blocking, of bytes. */
int client_connect(const struct http_world *world);
void client_send(int fd, const void *data, size_t size);
void client_say(int fd, const char *text);
bool client_try_send(int fd, const void *data, size_t size); /* false: the server has closed */
size_t client_read(int fd, void *to, size_t size);           /* less: the end came first */

struct client_answer {
    unsigned status; /* 0: the connection was closed before one */
    bool closes;     /* said that it would */
    size_t size;
    char *body; /* NUL behind it; free it */
    char head[4096];
};
/* Reads one answer, with its length or in chunks; 100 Continue is one, too. */
struct client_answer client_answer(int fd);
void client_answer_of_head(int fd, struct client_answer *answer); /* up to its body */

#endif
