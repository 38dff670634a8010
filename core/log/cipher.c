#include "log/cipher.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/fail.h"
#include "base/memory.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <string.h>

#define NONCE_BYTES 12
#define TAG_BYTES 16
#define WRAP_NONCE_AT 8
#define WRAPPED_AT 20
#define WRAP_TAG_AT 52
#define COUNT_AT 68
#define TAG_AT 76

struct mr_data_key {
    uint8_t secret[KEY_BYTES];
    uint8_t wrapped[COUNT_AT]; /* as an envelope begins */
    _Atomic uint64_t count;    /* of uses */
};

struct mr_cipher {
    EVP_CIPHER *method;
    EVP_CIPHER_CTX *state;
};

struct mr_cipher *mr_cipher_new(void)
{
    struct mr_cipher *cipher = mr_new(struct mr_cipher);

    cipher->method = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    cipher->state = EVP_CIPHER_CTX_new();
    mr_check(cipher->method && cipher->state);
    return cipher;
}

void mr_cipher_free(struct mr_cipher *cipher)
{
    if (!cipher)
        return;
    EVP_CIPHER_CTX_free(cipher->state);
    EVP_CIPHER_free(cipher->method);
    mr_free(cipher);
}

/* What is authenticated without being encrypted: two pieces, each may be empty. */
struct seen {
    mr_bytes head, place;
};

static void begin(struct mr_cipher *cipher, const uint8_t *secret, const uint8_t *nonce,
                  const struct seen *seen, int encrypts)
{
    int size;

    mr_check(EVP_CipherInit_ex(cipher->state, cipher->method, NULL, secret, nonce, encrypts) == 1);
    if (seen->head.size)
        mr_check(EVP_CipherUpdate(cipher->state, NULL, &size, seen->head.data,
                                  (int)seen->head.size) == 1);
    if (seen->place.size)
        mr_check(EVP_CipherUpdate(cipher->state, NULL, &size, seen->place.data,
                                  (int)seen->place.size) == 1);
}

static void encrypt(struct mr_cipher *cipher, const uint8_t *secret, const uint8_t *nonce,
                    const struct seen *seen, mr_bytes plain, uint8_t *out, uint8_t *tag)
{
    int size;

    begin(cipher, secret, nonce, seen, 1);
    mr_check(EVP_CipherUpdate(cipher->state, out, &size, plain.data, (int)plain.size) == 1 &&
             (size_t)size == plain.size);
    mr_check(EVP_CipherFinal_ex(cipher->state, out + size, &size) == 1);
    mr_check(EVP_CIPHER_CTX_ctrl(cipher->state, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1);
}

static bool decrypt(struct mr_cipher *cipher, const uint8_t *secret, const uint8_t *nonce,
                    const struct seen *seen, mr_bytes bytes, uint8_t *out, const uint8_t *tag)
{
    uint8_t expected[TAG_BYTES];
    int size;

    memcpy(expected, tag, sizeof expected);
    begin(cipher, secret, nonce, seen, 0);
    mr_check(EVP_CipherUpdate(cipher->state, out, &size, bytes.data, (int)bytes.size) == 1 &&
             (size_t)size == bytes.size);
    mr_check(EVP_CIPHER_CTX_ctrl(cipher->state, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, expected) == 1);
    return EVP_CipherFinal_ex(cipher->state, out + size, &size) == 1;
}

static void nonce_of(uint8_t nonce[NONCE_BYTES], const uint8_t *envelope)
{
    memcpy(nonce, envelope + COUNT_AT, 8);
    memset(nonce + 8, 0, NONCE_BYTES - 8);
}

mr_status mr_data_key_new(struct mr_data_key **out, struct mr_key_file *keys, uint64_t master,
                          mr_error *error)
{
    struct mr_master_key wrapping;
    struct mr_data_key *key;
    struct mr_cipher *cipher;
    mr_status status = mr_key_file_find(keys, master, &wrapping, error);

    if (status)
        return status;
    key = mr_new(struct mr_data_key);
    mr_check(RAND_priv_bytes(key->secret, KEY_BYTES) == 1);
    mr_store64(key->wrapped, master);
    mr_check(RAND_bytes(key->wrapped + WRAP_NONCE_AT, NONCE_BYTES) == 1);
    cipher = mr_cipher_new();
    encrypt(cipher, wrapping.secret, key->wrapped + WRAP_NONCE_AT, &(struct seen){0},
            (mr_bytes){key->secret, KEY_BYTES}, key->wrapped + WRAPPED_AT,
            key->wrapped + WRAP_TAG_AT);
    mr_cipher_free(cipher);
    OPENSSL_cleanse(&wrapping, sizeof wrapping);
    *out = key;
    return MR_OK;
}

void mr_data_key_free(struct mr_data_key *key)
{
    if (!key)
        return;
    OPENSSL_cleanse(key->secret, KEY_BYTES);
    mr_free(key);
}

void mr_encrypt(struct mr_cipher *cipher, struct mr_data_key *key, mr_bytes place, mr_bytes plain,
                uint8_t *out)
{
    const struct seen seen = {{out, TAG_AT}, place};
    uint8_t nonce[NONCE_BYTES];

    memcpy(out, key->wrapped, sizeof key->wrapped);
    mr_store64(out + COUNT_AT, atomic_fetch_add(&key->count, 1)); /* E3 */
    nonce_of(nonce, out);
    encrypt(cipher, key->secret, nonce, &seen, plain, out + ENVELOPE_BYTES, out + TAG_AT);
}

mr_status mr_decrypt(struct mr_cipher *cipher, struct mr_key_file *keys, mr_bytes place,
                     uint8_t *bytes, size_t size, mr_bytes *plain, mr_error *error)
{
    const struct seen seen = {{bytes, TAG_AT}, place};
    uint8_t secret[KEY_BYTES], nonce[NONCE_BYTES];
    struct mr_master_key wrapping;
    mr_status status;
    bool good;

    if (size < ENVELOPE_BYTES)
        return mr_fail(error, MR_CORRUPT, "an envelope of %zu bytes is cut", size);
    status = mr_key_file_find(keys, mr_load64(bytes), &wrapping, error);
    if (status)
        return status;
    *plain = (mr_bytes){bytes + ENVELOPE_BYTES, size - ENVELOPE_BYTES};
    nonce_of(nonce, bytes);
    good = decrypt(cipher, wrapping.secret, bytes + WRAP_NONCE_AT, &(struct seen){0},
                   (mr_bytes){bytes + WRAPPED_AT, KEY_BYTES}, secret, bytes + WRAP_TAG_AT) &&
           decrypt(cipher, secret, nonce, &seen, *plain, bytes + ENVELOPE_BYTES, bytes + TAG_AT);
    OPENSSL_cleanse(&wrapping, sizeof wrapping);
    OPENSSL_cleanse(secret, sizeof secret);
    return good ? MR_OK
                : mr_fail(error, MR_CORRUPT,
                          "encrypted bytes were changed, or are not at their place");
}
