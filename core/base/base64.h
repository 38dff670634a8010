/* base64.h - bytes as text (RFC 4648, with padding). */
#ifndef MR_BASE_BASE64_H
#define MR_BASE_BASE64_H

#include "millrace.h"

#define MR_BASE64_BYTES(bytes) (((bytes) + 2) / 3 * 4)

/* Writes MR_BASE64_BYTES(in.size) characters, no NUL. */
void mr_base64_encode(mr_bytes in, char *out);

/* Writes at most in.size / 4 * 3 bytes; out may be in's own memory. False unless in is what
 * encode() makes. */
bool mr_base64_decode(mr_bytes in, uint8_t *out, size_t *size);

#endif
