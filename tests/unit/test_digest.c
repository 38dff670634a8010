/* SHA-256 and HMAC as libcrypto's own one-call functions make them, and as RFC 4231 says. */
#include "wire/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BYTES_MAX 200 /* some blocks of 64, on both sides of their bounds */

static mr_bytes text(const char *string)
{
    return (mr_bytes){string, strlen(string)};
}

static void expect_hex(const uint8_t got[MR_DIGEST_BYTES], const char *expected)
{
    char hex[2 * MR_DIGEST_BYTES + 1];

    for (size_t i = 0; i < MR_DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", got[i]);
    assert_string_equal(hex, expected);
}

static void digests_nothing(void **state)
{
    uint8_t out[MR_DIGEST_BYTES];
    (void)state;

    mr_digest((mr_bytes){0}, out);
    expect_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void seals_what_the_rfc_seals(void **state)
{
    uint8_t out[MR_DIGEST_BYTES], key[131];
    struct mr_seal seal;
    (void)state;

    mr_seal_init(&seal, text("Jefe"));
    mr_seal(&seal, text("what do ya want for nothing?"), out);
    expect_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");

    memset(key, 0xaa, sizeof key);
    mr_seal_init(&seal, (mr_bytes){key, sizeof key});
    mr_seal(&seal, text("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    expect_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* With each size of key and of text: what one call gives, from a seal that is used again and again. */
static void seals_as_libcrypto_does(void **state)
{
    uint8_t key[BYTES_MAX], bytes[BYTES_MAX], sealed[MR_DIGEST_BYTES], expected[MR_DIGEST_BYTES];
    (void)state;

    RAND_bytes(key, sizeof key);
    RAND_bytes(bytes, sizeof bytes);
    for (size_t key_size = 0; key_size <= BYTES_MAX; key_size++) {
        struct mr_seal seal;

        mr_seal_init(&seal, (mr_bytes){key, key_size});

        for (size_t size = 0; size <= BYTES_MAX; size += 7) {
            HMAC(EVP_sha256(), key, (int)key_size, bytes, size, expected, NULL);
            mr_seal(&seal, (mr_bytes){bytes, size}, sealed);
            assert_memory_equal(sealed, expected, sizeof sealed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_nothing),
        cmocka_unit_test(seals_what_the_rfc_seals),
        cmocka_unit_test(seals_as_libcrypto_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
