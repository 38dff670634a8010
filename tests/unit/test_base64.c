#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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

static void reads_in_place_what_it_wrote(void **state)
{
    uint8_t data[256], text[400];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t count = 0; count <= sizeof data; count++) {
        mr_base64_encode((mr_bytes){data, count}, (char *)text);
        assert_true(mr_base64_decode((mr_bytes){text, MR_BASE64_BYTES(count)}, text, &size));
        assert_int_equal(size, count);
        assert_memory_equal(text, data, count);
    }
}

static void refuses_what_nobody_writes(void **state)
{
    static const char *const bad[] = {"Z",    "Zg",       "Zg=",  "====",   "Z===", "Zh==",
                                      "Zm9=", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm-_", "=Zg="};
    uint8_t out[16];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mr_base64_decode((mr_bytes){bad[i], strlen(bad[i])}, out, &size))
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_examples_of_the_rfc),
        cmocka_unit_test(reads_in_place_what_it_wrote),
        cmocka_unit_test(refuses_what_nobody_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
