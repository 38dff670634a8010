/* base64.h - bytes as text (RFC 4648, with padding), as fast as memory gives them. */
#ifndef MR_BASE_BASE64_H
#define MR_BASE_BASE64_H

#include "millrace.h"

#define MR_BASE64_BYTES(bytes) (((bytes) + 2) / 3 * 4)

/* Writes MR_BASE64_BYTES(in.size) characters, no NUL. */
void mr_base64_encode(mr_bytes in, char *out);

/* Writes at most in.size / 4 * 3 bytes; out may be in's own memory. False unless in is what
 * encode() makes. */
bool mr_base64_decode(mr_bytes in, uint8_t *out, size_t *size);

/*
 * Decodes groups of four digits, without padding, up to the first group that is none, and returns
 * the characters taken: 3 bytes are written for each 4. So the end of a text need not be known
 * before. out has room for in.size / 4 * 3 bytes and may be in's own memory.
 */
size_t mr_base64_decode_digits(mr_bytes in, uint8_t *out);

/* How it is done. */
typedef enum mr_base64_way {
    MR_BASE64_BEST, /* what the processor has; how a process starts */
    MR_BASE64_BYTEWISE,
    MR_BASE64_SSSE3, /* 16 characters at a time */
    MR_BASE64_AVX2,  /* 32 */
} mr_base64_way;

/* For tests and benches: false and no change where the processor cannot. Process-wide. */
bool mr_base64_use(mr_base64_way way);

#endif
