/*
 * in.h - the reader of both formats: one decoder (decode.c) drives it.
 *
 * Text and blobs borrow from the body where they can, and lie in the arena where not. After a fault
 * in the syntax all calls fail; a value of another kind than asked for is no such fault: ask for the
 * kind first.
 */
#ifndef MR_WIRE_IN_H
#define MR_WIRE_IN_H

#include "base/arena.h"
#include "base/cbor.h"
#include "base/json.h"
#include "wire/wire.h"

enum mr_in_kind {
    MR_IN_FAULT,
    MR_IN_NULL,
    MR_IN_BOOL,
    MR_IN_NUMBER,
    MR_IN_TEXT,
    MR_IN_BYTES, /* CBOR only */
    MR_IN_LIST,
    MR_IN_MAP,
};

struct mr_in {
    const struct mr_in_format *format;
    struct mr_arena *arena;
    struct mr_json json;
    struct mr_cbor cbor;
};

struct mr_in_format {
    enum mr_in_kind (*kind)(struct mr_in *in);
    bool (*truth)(struct mr_in *in, int64_t *value);
    /* The number, rounded down and clamped to 64 bits. */
    bool (*number)(struct mr_in *in, int64_t *value);
    bool (*time_ms)(struct mr_in *in, int64_t *value);
    bool (*text)(struct mr_in *in, mr_bytes *text);
    /* The bytes of a blob; *wrong is set if the value was taken but is none, and says why. */
    bool (*blob)(struct mr_in *in, mr_bytes *bytes, mr_bytes *wrong);
    /* Into a list or a map; then next() says if an item follows, or with key set, a pair. */
    bool (*enter)(struct mr_in *in);
    bool (*next)(struct mr_in *in, mr_bytes *key);
    bool (*skip)(struct mr_in *in);
    bool (*done)(struct mr_in *in);
};

extern const struct mr_in_format mr_in_json, mr_in_cbor;

struct mr_in mr_in_of(enum mr_format format, mr_bytes body, struct mr_arena *arena);

#endif
