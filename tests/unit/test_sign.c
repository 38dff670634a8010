/* Signature Version 4 by the vectors that AWS published: its documentation's and its test suite's. */
#include "wire/sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TIME "20150830T123600Z"

static mr_bytes text(const char *string)
{
    return (mr_bytes){string, strlen(string)};
}

static void keys_are_derived(void **state)
{
    static const struct {
        const char *date, *key;
    } cases[] = {
        {"20120215", "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"},
        {"20150830", "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t expected[MR_DIGEST_BYTES], sealed[MR_DIGEST_BYTES], bytes[MR_DIGEST_BYTES];
        struct mr_seal key;

        for (size_t at = 0; at < sizeof bytes; at++)
            sscanf(cases[i].key + 2 * at, "%2hhx", &bytes[at]);
        HMAC(EVP_sha256(), bytes, sizeof bytes, (const uint8_t *)TIME, strlen(TIME), expected,
             NULL);
        mr_sign_key(SECRET, cases[i].date, "us-east-1", "iam", &key);
        mr_seal(&key, text(TIME), sealed);
        assert_memory_equal(sealed, expected, sizeof sealed);
    }
}

static void expect(struct mr_sign *sign, const char *expected)
{
    struct mr_pack out = {0};

    sign->access_key_id = "AKIDEXAMPLE";
    sign->secret = SECRET;
    sign->region = "us-east-1";
    sign->time = TIME;
    sign->path = "/";
    mr_sign(sign, &out);
    mr_pack_u8(&out, 0);
    assert_string_equal((const char *)out.data, expected);
    mr_pack_fini(&out);
}

#define CREDENTIAL(service)                                                                        \
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" service "/aws4_request, "

static void the_example_of_the_documentation(void **state)
{
    const struct mr_sign_field fields[] = {
        {"content-type", text("application/x-www-form-urlencoded; charset=utf-8")},
        {"host", text("iam.amazonaws.com")},
        {"x-amz-date", text(TIME)}};
    struct mr_sign sign = {.service = "iam",
                           .method = "GET",
                           .query = "Action=ListUsers&Version=2010-05-08",
                           .fields = fields,
                           .field_count = 3};
    (void)state;

    expect(&sign,
           CREDENTIAL("iam") "SignedHeaders=content-type;host;x-amz-date, Signature="
                             "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

static void plain_requests_of_the_suite(void **state)
{
    static const struct {
        const char *method, *query, *signature;
    } cases[] = {
        {"GET", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"POST", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"GET", "Param1=value1&Param2=value2",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    };
    const struct mr_sign_field fields[] = {{"host", text("example.amazonaws.com")},
                                           {"x-amz-date", text(TIME)}};
    char expected[300];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mr_sign sign = {.service = "service",
                               .method = cases[i].method,
                               .query = cases[i].query,
                               .fields = fields,
                               .field_count = 2};

        snprintf(expected, sizeof expected,
                 CREDENTIAL("service") "SignedHeaders=host;x-amz-date, Signature=%s",
                 cases[i].signature);
        expect(&sign, expected);
    }
}

static void values_are_trimmed(void **state)
{
    const struct mr_sign_field fields[] = {{"host", text("example.amazonaws.com")},
                                           {"my-header1", text(" value1 ")},
                                           {"my-header2", text("\t\"a   b   c\" ")},
                                           {"x-amz-date", text(TIME)}};
    struct mr_sign sign = {
        .service = "service", .method = "GET", .query = "", .fields = fields, .field_count = 4};
    (void)state;

    expect(&sign, CREDENTIAL("service") "SignedHeaders=host;my-header1;my-header2;x-amz-date, "
                                        "Signature="
                                        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757"
                                        "a9c736");
}

static void bodies_are_signed(void **state)
{
    const struct mr_sign_field fields[] = {
        {"content-type", text("application/x-www-form-urlencoded")},
        {"host", text("example.amazonaws.com")},
        {"x-amz-date", text(TIME)}};
    struct mr_sign sign = {.service = "service",
                           .method = "POST",
                           .query = "",
                           .fields = fields,
                           .field_count = 3,
                           .body = text("Param1=value1")};
    (void)state;

    expect(&sign, CREDENTIAL("service") "SignedHeaders=content-type;host;x-amz-date, Signature="
                                        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe"
                                        "09473a");
}

static void times_are_written_as_aws_does(void **state)
{
    char time[MR_SIGN_TIME_BYTES];
    (void)state;

    mr_sign_time(1440938160999, time);
    assert_string_equal(time, TIME);
    mr_sign_time(0, time);
    assert_string_equal(time, "19700101T000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_derived),
        cmocka_unit_test(the_example_of_the_documentation),
        cmocka_unit_test(plain_requests_of_the_suite),
        cmocka_unit_test(values_are_trimmed),
        cmocka_unit_test(bodies_are_signed),
        cmocka_unit_test(times_are_written_as_aws_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
