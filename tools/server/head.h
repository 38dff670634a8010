/*
 * head.h - HTTP/1 as bytes: where a head ends, what it says, and chunked bodies.
 *
 * A strict subset of RFC 9112, since what two readers understand differently is how requests are
 * smuggled: lines end in CR LF, nothing is folded, one Content-Length of digits only, or one
 * Transfer-Encoding that is "chunked", never both.
 */
#ifndef MR_SERVER_HEAD_H
#define MR_SERVER_HEAD_H

#include "server/refusal.h"
#include "server/server.h"

#define MR_HEAD_BYTES_MAX (64u << 10)
#define MR_FIELD_COUNT_MAX 64

struct mr_head {
    mr_bytes method, path, query, host; /* parts of the bytes parsed; host may be empty */
    struct mr_field *fields;            /* the caller's, of MR_FIELD_COUNT_MAX */
    size_t field_count;
    bool is_http_1_0;
    bool keeps_alive;
    bool is_chunked;
    bool expects_continue;
    uint64_t body_bytes; /* of a body that is not chunked */
};

/*
 * Looks for the end of the head that bytes begin with. *end is its size, or 0 when there is none
 * yet; *scanned remembers where to go on when more bytes have come: start with 0.
 */
enum mr_refusal mr_head_find(mr_bytes bytes, size_t *scanned, size_t *end);

/* Parses a head found; it borrows from the bytes. Set head->fields before. */
enum mr_refusal mr_head_parse(mr_bytes bytes, struct mr_head *head);

/* Splits a target as it stands in HTTP/1 and HTTP/2: a path, perhaps a query; or "*". */
enum mr_refusal mr_target_parse(mr_bytes target, mr_bytes *path, mr_bytes *query);

/* Digits only, at most 12 of them. */
bool mr_length_parse(mr_bytes text, uint64_t *length);

bool mr_bytes_same_text(mr_bytes bytes, const char *text); /* whatever the case of letters */

/* Where a chunked body stands. Start from {0}. */
struct mr_chunks {
    unsigned state;
    uint64_t left;    /* of this chunk */
    size_t digits;    /* of its size */
    size_t aside;     /* bytes of extensions and trailers so far */
    bool is_complete; /* the end has been read */
};

/*
 * Reads on at *at, not past end, up to the next piece of the body, which may be empty, and moves
 * *at behind it. Call again while *at < end and the body is not complete.
 */
enum mr_refusal mr_chunks_read(struct mr_chunks *chunks, const uint8_t **at, const uint8_t *end,
                               mr_bytes *piece);

#endif
