/*
 * sign.h - Signature Version 4: requests signed as AWS wants it, in a header; and its parts, for who
 * checks a signature (tools/server/verify.c).
 */
#ifndef MR_WIRE_SIGN_H
#define MR_WIRE_SIGN_H

#include "base/pack.h"
#include "wire/digest.h"

#define MR_SIGN_TIME_BYTES 17 /* "20150830T123600Z" and its NUL */

void mr_sign_time(int64_t wall_ms, char text[MR_SIGN_TIME_BYTES]);

#define MR_SIGN_ALGORITHM "AWS4-HMAC-SHA256"
#define MR_SIGN_HEX_BYTES 65 /* 64 digits and a NUL: hashes, signatures */

/* The key of a day, a region and a service; date is the first 8 characters of a time. */
void mr_sign_key(const char *secret, const char *date, const char *region, const char *service,
                 struct mr_seal *key);

/* SHA-256, as text. */
void mr_sign_hash(mr_bytes bytes, char hex[MR_SIGN_HEX_BYTES]);

/* Appends the value of a header field as it is signed: trimmed, single spaces. */
void mr_sign_put_value(struct mr_pack *out, mr_bytes value);

/* The signature of a canonical request; scope is "20150830/us-east-1/kinesis/aws4_request". */
void mr_sign_seal(const struct mr_seal *key, mr_bytes time, mr_bytes scope, mr_bytes request,
                  char signature[MR_SIGN_HEX_BYTES]);

struct mr_sign_field {
    const char *name; /* in lower case */
    mr_bytes value;
};

struct mr_sign {
    const char *access_key_id, *secret;
    const char *region, *service;
    const char *time;                   /* of x-amz-date, which must be among the fields */
    const char *method, *path;          /* the path encoded; "/" */
    const char *query;                  /* encoded and in order; "" */
    const struct mr_sign_field *fields; /* what is signed, in the order of their names */
    size_t field_count;
    mr_bytes body;
};

/* Appends the value of the Authorization header. */
void mr_sign(const struct mr_sign *sign, struct mr_pack *out);

#endif
