/* Base64: every way it is done against OpenSSL, at every length and place, and what is refused. */
#include "base/base64.h"

#include "base/memory.h"
#include "base/random.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#define SIZE_MAX_TRIED 300

static const mr_base64_way ways[] = {MR_BASE64_BYTEWISE, MR_BASE64_SSSE3, MR_BASE64_AVX2};

static void fill(struct mr_random *random, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)mr_random_next(random);
}

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* Runs what with each way that this processor has. */
static void each_way(void (*what)(void))
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (mr_base64_use(ways[i]))
            what();
    assert_true(mr_base64_use(MR_BASE64_BEST));
}

/* ---- encode ------------------------------------------------------------------------------- */

static void compare_encoding(void)
{
    struct mr_random random = mr_random_of(seed_choose());
    unsigned char expected[MR_BASE64_BYTES(SIZE_MAX_TRIED) + 1];

    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        /* Exactly as large as they may be used, so that the sanitizer sees a byte too many. */
        uint8_t *bytes = mr_alloc(size + 1);
        char *text = mr_alloc(MR_BASE64_BYTES(size) + 1);

        fill(&random, bytes, size);
        text[MR_BASE64_BYTES(size)] = '!';
        mr_base64_encode((mr_bytes){bytes, size}, text);
        assert_int_equal(EVP_EncodeBlock(expected, bytes, (int)size), MR_BASE64_BYTES(size));
        assert_memory_equal(text, expected, MR_BASE64_BYTES(size));
        assert_int_equal(text[MR_BASE64_BYTES(size)], '!');
        mr_free(bytes);
        mr_free(text);
    }
}

static void writes_the_examples_of_the_rfc(void **state)
{
    static const char *const examples[] = {
        "",     "",         "f",     "Zg==",     "fo",     "Zm8=",     "foo",          "Zm9v",
        "foob", "Zm9vYg==", "fooba", "Zm9vYmE=", "foobar", "Zm9vYmFy", "\xff\xfe\xfb", "//77"};
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i += 2) {
        size_t size = strlen(examples[i]);
        mr_base64_encode((mr_bytes){examples[i], size}, text);
        assert_int_equal(MR_BASE64_BYTES(size), strlen(examples[i + 1]));
        assert_memory_equal(text, examples[i + 1], MR_BASE64_BYTES(size));
    }
}

static void encodes_as_openssl_does(void **state)
{
    (void)state;
    each_way(compare_encoding);
}

/* ---- decode ------------------------------------------------------------------------------- */

static void decode_back(void)
{
    struct mr_random random = mr_random_of(seed_choose());

    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        size_t text_bytes = MR_BASE64_BYTES(size), decoded;
        uint8_t *bytes = mr_alloc(size + 1), *out = mr_alloc(text_bytes / 4 * 3 + 1);
        char *text = mr_alloc(text_bytes + 1);

        fill(&random, bytes, size);
        mr_base64_encode((mr_bytes){bytes, size}, text);
        assert_true(mr_base64_decode((mr_bytes){text, text_bytes}, out, &decoded));
        assert_int_equal(decoded, size);
        assert_memory_equal(out, bytes, size);
        /* In its own memory. */
        assert_true(mr_base64_decode((mr_bytes){text, text_bytes}, (uint8_t *)text, &decoded));
        assert_int_equal(decoded, size);
        assert_memory_equal(text, bytes, size);
        mr_free(bytes);
        mr_free(out);
        mr_free(text);
    }
}

static void decodes_what_it_encodes(void **state)
{
    (void)state;
    each_way(decode_back);
}

static bool is_digit(unsigned byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '+' || byte == '/';
}

static void try_every_byte(void)
{
    uint8_t text[128], out[96];

    for (size_t place = 0; place < sizeof text; place++)
        for (unsigned byte = 0; byte < 256; byte++) {
            memset(text, 'A', sizeof text);
            text[place] = (uint8_t)byte;
            assert_int_equal(mr_base64_decode_digits((mr_bytes){text, sizeof text}, out),
                             is_digit(byte) ? sizeof text : place / 4 * 4);
        }
}

static void stops_at_every_byte_that_is_no_digit(void **state)
{
    (void)state;
    each_way(try_every_byte);
}

static void gives_every_digit_its_value_everywhere(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t text[64], out[48];
    (void)state;

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!mr_base64_use(ways[i]))
            continue;
        for (size_t place = 0; place < sizeof text; place++)
            for (unsigned value = 0; value < 64; value++) {
                unsigned bit = (unsigned)place * 6, group;

                memset(text, 'A', sizeof text);
                text[place] = (uint8_t)digits[value];
                assert_int_equal(mr_base64_decode_digits((mr_bytes){text, sizeof text}, out), 64);
                group = (unsigned)out[bit / 24 * 3] << 16 | (unsigned)out[bit / 24 * 3 + 1] << 8 |
                        out[bit / 24 * 3 + 2];
                assert_int_equal(group, value << (18 - bit % 24));
            }
    }
    assert_true(mr_base64_use(MR_BASE64_BEST));
}

static void refuses_what_encoding_never_makes(void **state)
{
    static const char *const wrong[] = {"A",    "AA",    "AAA",  "AAAAA",    "A===", "====",
                                        "AA=A", "AB==",  "AAB=", "AA==AAAA", "=AAA", "AA A",
                                        "AA-_", "AAA\n", "Zm9=", "Zg==Zg==", "Zm 9"};
    uint8_t out[16];
    size_t size;
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(mr_base64_decode(text_of(wrong[i]), out, &size));
    assert_true(mr_base64_decode(text_of("AA=="), out, &size));
    assert_int_equal(size, 1);
    assert_true(mr_base64_decode(text_of(""), out, &size));
    assert_int_equal(size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_examples_of_the_rfc),
        cmocka_unit_test(encodes_as_openssl_does),
        cmocka_unit_test(decodes_what_it_encodes),
        cmocka_unit_test(stops_at_every_byte_that_is_no_digit),
        cmocka_unit_test(gives_every_digit_its_value_everywhere),
        cmocka_unit_test(refuses_what_encoding_never_makes),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
