/*
 * cbor.h - CBOR in (RFC 8949), as a pull reader like json.h: ask for what you expect, in order.
 *
 * After the first fault every call fails. Nothing is allocated; what comes in one piece is borrowed
 * from the input. Tags are stepped over. Of floats, NaN is a fault.
 */
#ifndef MR_BASE_CBOR_H
#define MR_BASE_CBOR_H

#include "millrace.h"

#define MR_CBOR_DEPTH_MAX 32 /* arrays and maps inside each other */

enum mr_cbor_kind {
    MR_CBOR_FAULT,
    MR_CBOR_NULL, /* and undefined */
    MR_CBOR_BOOL,
    MR_CBOR_INTEGER,
    MR_CBOR_FLOAT,
    MR_CBOR_BYTES,
    MR_CBOR_TEXT,
    MR_CBOR_ARRAY,
    MR_CBOR_MAP,
};

struct mr_cbor {
    const uint8_t *at, *end;
    bool is_fault;
    unsigned depth;
    uint64_t left[MR_CBOR_DEPTH_MAX + 1]; /* items; UINT64_MAX: until the break */
};

/* Bytes or text. If it came in chunks, size is the sum of them and mr_cbor_join() puts them
 * together. */
struct mr_cbor_string {
    mr_bytes raw; /* in one piece: the string; else the chunks with their heads */
    size_t size;
    bool is_chunked;
};

struct mr_cbor mr_cbor_of(mr_bytes in);

/* What kind of value comes; tags before it are taken. FAULT at the end of the input, too. */
enum mr_cbor_kind mr_cbor_kind_next(struct mr_cbor *cbor);

bool mr_cbor_null(struct mr_cbor *cbor);
bool mr_cbor_bool(struct mr_cbor *cbor, bool *value);
bool mr_cbor_integer(struct mr_cbor *cbor, int64_t *value); /* clamped to 64 bits */
bool mr_cbor_float(struct mr_cbor *cbor, double *value);
/* Text is checked to be UTF-8, each chunk of it. */
bool mr_cbor_string(struct mr_cbor *cbor, struct mr_cbor_string *string);
void mr_cbor_join(const struct mr_cbor_string *string, uint8_t *out); /* string->size bytes */

/* Steps into an array or a map. */
bool mr_cbor_enter(struct mr_cbor *cbor);
/* True when one more item or pair follows; false at the end, which is then left, or on a fault.
 * After a pair's key comes its value. */
bool mr_cbor_next(struct mr_cbor *cbor);

/* Takes one whole value of any kind. */
bool mr_cbor_skip(struct mr_cbor *cbor);

/* True when nothing is left and there was no fault. */
bool mr_cbor_done(const struct mr_cbor *cbor);

#endif
