/* sign.h - requests signed as AWS wants it: Signature Version 4, in a header. */
#ifndef MR_WIRE_SIGN_H
#define MR_WIRE_SIGN_H

#include "base/pack.h"

#define MR_SIGN_KEY_BYTES 32
#define MR_SIGN_TIME_BYTES 17 /* "20150830T123600Z" and its NUL */

void mr_sign_time(int64_t wall_ms, char text[MR_SIGN_TIME_BYTES]);

/* The key of a day, a region and a service; date is the first 8 characters of a time. */
void mr_sign_key(const char *secret, const char *date, const char *region, const char *service,
                 uint8_t key[MR_SIGN_KEY_BYTES]);

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
