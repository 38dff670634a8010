#include "wire/in.h"

#include <string.h>

/* ---- numbers ------------------------------------------------------------------------------ */

/* Rounded down and clamped. */
static int64_t integer_of(double value)
{
    int64_t integer;

    if (value >= 0x1p63)
        return INT64_MAX;
    if (value <= -0x1p63)
        return INT64_MIN;
    integer = (int64_t)value;
    return (double)integer > value ? integer - 1 : integer;
}

/* A float counts so many units, an integer is taken as it is. */
static bool number(struct mr_in *in, int64_t *value, double units)
{
    double real;

    if (mr_cbor_kind_next(&in->cbor) != MR_CBOR_FLOAT)
        return mr_cbor_integer(&in->cbor, value);
    if (!mr_cbor_float(&in->cbor, &real))
        return false;
    *value = integer_of(real * units);
    return true;
}

static bool cbor_number(struct mr_in *in, int64_t *value)
{
    return number(in, value, 1);
}

/* Kinesis counts milliseconds, where RFC 8949 has seconds; a float is in seconds. */
static bool cbor_time_ms(struct mr_in *in, int64_t *value)
{
    return number(in, value, 1000);
}

/* ---- texts and blobs ---------------------------------------------------------------------- */

static bool take_string(struct mr_in *in, mr_bytes *bytes)
{
    struct mr_cbor_string string;
    uint8_t *joined;

    if (!mr_cbor_string(&in->cbor, &string))
        return false;
    if (!string.is_chunked) {
        *bytes = string.raw;
        return true;
    }
    joined = mr_arena_take(in->arena, string.size);
    mr_cbor_join(&string, joined);
    *bytes = (mr_bytes){joined, string.size};
    return true;
}

static bool cbor_blob(struct mr_in *in, mr_bytes *bytes, mr_bytes *wrong)
{
    (void)wrong;
    return take_string(in, bytes);
}

/* ---- the rest ----------------------------------------------------------------------------- */

static enum mr_in_kind cbor_kind(struct mr_in *in)
{
    static const enum mr_in_kind kinds[] = {
        [MR_CBOR_FAULT] = MR_IN_FAULT,  [MR_CBOR_NULL] = MR_IN_NULL,
        [MR_CBOR_BOOL] = MR_IN_BOOL,    [MR_CBOR_INTEGER] = MR_IN_NUMBER,
        [MR_CBOR_FLOAT] = MR_IN_NUMBER, [MR_CBOR_BYTES] = MR_IN_BYTES,
        [MR_CBOR_TEXT] = MR_IN_TEXT,    [MR_CBOR_ARRAY] = MR_IN_LIST,
        [MR_CBOR_MAP] = MR_IN_MAP,
    };

    return kinds[mr_cbor_kind_next(&in->cbor)];
}

static bool cbor_truth(struct mr_in *in, int64_t *value)
{
    bool truth;

    if (!mr_cbor_bool(&in->cbor, &truth))
        return false;
    *value = truth;
    return true;
}

static bool cbor_enter(struct mr_in *in)
{
    return mr_cbor_enter(&in->cbor);
}

static bool cbor_next(struct mr_in *in, mr_bytes *key)
{
    if (!mr_cbor_next(&in->cbor))
        return false;
    if (!key)
        return true;
    if (mr_cbor_kind_next(&in->cbor) != MR_CBOR_TEXT) {
        in->cbor.is_fault = true;
        return false;
    }
    return take_string(in, key);
}

static bool cbor_skip(struct mr_in *in)
{
    return mr_cbor_skip(&in->cbor);
}

static bool cbor_done(struct mr_in *in)
{
    return mr_cbor_done(&in->cbor);
}

const struct mr_in_format mr_in_cbor = {cbor_kind,   cbor_truth, cbor_number, cbor_time_ms,
                                        take_string, cbor_blob,  cbor_enter,  cbor_next,
                                        cbor_skip,   cbor_done};
