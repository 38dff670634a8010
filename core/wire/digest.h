/*
 * digest.h - SHA-256, and HMAC with it. A request that is signed or checked needs three of these over a
 * few hundred bytes, where libcrypto's general functions take longer to begin than to work: so these are
 * the plain ones, and a key of HMAC is kept as the two digests that have taken it in.
 */
#ifndef MR_WIRE_DIGEST_H
#define MR_WIRE_DIGEST_H

#include "millrace.h"

#include <openssl/sha.h>

#define MR_DIGEST_BYTES 32

void mr_digest(mr_bytes bytes, uint8_t out[MR_DIGEST_BYTES]);

/* A key of HMAC, ready for use. It is as secret as the key: OPENSSL_cleanse() it. */
struct mr_seal {
    SHA256_CTX inner, outer;
};
void mr_seal_init(struct mr_seal *seal, mr_bytes key);
void mr_seal(const struct mr_seal *seal, mr_bytes text, uint8_t out[MR_DIGEST_BYTES]);

#endif
