#define OPENSSL_API_COMPAT 0x10100000L /* SHA256_Init() and its like: no allocation, no locks */
#include "wire/digest.h"

#include <openssl/crypto.h>
#include <string.h>

#define BLOCK_BYTES SHA256_CBLOCK
#define INNER 0x36 /* RFC 2104: what the key is mixed with */
#define OUTER 0x5c

static void add(SHA256_CTX *state, mr_bytes bytes)
{
    if (bytes.size > 0)
        SHA256_Update(state, bytes.data, bytes.size);
}

void mr_digest(mr_bytes bytes, uint8_t out[MR_DIGEST_BYTES])
{
    SHA256_CTX state;

    SHA256_Init(&state);
    add(&state, bytes);
    SHA256_Final(out, &state);
}

/* ---- HMAC --------------------------------------------------------------------------------- */

static void begin(SHA256_CTX *state, const uint8_t key[BLOCK_BYTES], uint8_t with)
{
    uint8_t block[BLOCK_BYTES];

    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] = key[i] ^ with;
    SHA256_Init(state);
    add(state, (mr_bytes){block, BLOCK_BYTES});
    OPENSSL_cleanse(block, BLOCK_BYTES);
}

void mr_seal_init(struct mr_seal *seal, mr_bytes key)
{
    uint8_t block[BLOCK_BYTES] = {0};

    if (key.size > BLOCK_BYTES)
        mr_digest(key, block);
    else if (key.size > 0)
        memcpy(block, key.data, key.size);
    begin(&seal->inner, block, INNER);
    begin(&seal->outer, block, OUTER);
    OPENSSL_cleanse(block, BLOCK_BYTES);
}

void mr_seal(const struct mr_seal *seal, mr_bytes text, uint8_t out[MR_DIGEST_BYTES])
{
    SHA256_CTX state = seal->inner;

    add(&state, text);
    SHA256_Final(out, &state); /* which wipes the state */
    state = seal->outer;
    add(&state, (mr_bytes){out, MR_DIGEST_BYTES});
    SHA256_Final(out, &state);
}
