#include "base/md5.h"
#include "support/seed.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE_MAX_TRIED 256

static const mr_md5_lanes all_lanes[] = {MR_MD5_LANES_1, MR_MD5_LANES_4, MR_MD5_LANES_16,
                                         MR_MD5_LANES_16_WIDE};
#define LANES_COUNT (sizeof all_lanes / sizeof all_lanes[0])

static void fill(struct mr_random *random, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)mr_random_next(random);
}

static void openssl_md5(const void *data, size_t size, uint8_t digest[MR_MD5_BYTES])
{
    assert_int_equal(EVP_Digest(data, size, digest, NULL, EVP_md5(), NULL), 1);
}

static mr_hash_key openssl_key(mr_bytes key)
{
    uint8_t digest[MR_MD5_BYTES];
    mr_hash_key number = {0, 0};

    openssl_md5(key.data, key.size, digest);
    for (int i = 0; i < 8; i++) {
        number.hi = number.hi << 8 | digest[i];
        number.lo = number.lo << 8 | digest[i + 8];
    }
    return number;
}

static void assert_keys_equal(mr_hash_key a, mr_hash_key b)
{
    assert_true(a.hi == b.hi && a.lo == b.lo);
}

static void hashes_every_size_as_openssl_does(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        uint8_t ours[MR_MD5_BYTES], theirs[MR_MD5_BYTES];
        uint8_t *bytes = malloc(size ? size : 1); /* its end is guarded under a sanitizer */
        fill(&random, bytes, size);
        mr_md5((mr_bytes){bytes, size}, ours);
        openssl_md5(bytes, size, theirs);
        assert_memory_equal(ours, theirs, sizeof ours);
        assert_keys_equal(mr_hash_key_of((mr_bytes){bytes, size}),
                          openssl_key((mr_bytes){bytes, size}));
        free(bytes);
    }
}

static void hashes_nothing_at_null(void **state)
{
    mr_hash_key key = mr_hash_key_of((mr_bytes){NULL, 0}), many;
    const mr_bytes empty = {NULL, 0};

    (void)state;
    assert_true(key.hi == 0xd41d8cd98f00b204 && key.lo == 0xe9800998ecf8427e); /* RFC 1321, A.5 */
    for (size_t kind = 0; kind < LANES_COUNT; kind++) {
        if (!mr_md5_use(all_lanes[kind]))
            continue;
        mr_hash_keys_of(&empty, sizeof empty, 1, &many);
        assert_keys_equal(many, key);
    }
}

/* Groups of every count, so that every number of lanes is left empty, with keys of random sizes. */
static void check_groups(struct mr_random *random, size_t size_bound)
{
    enum { COUNT_MAX = 40 };

    for (size_t count = 0; count <= COUNT_MAX; count++) {
        mr_put puts[COUNT_MAX];
        mr_bytes keys[COUNT_MAX];
        mr_hash_key out[COUNT_MAX + 1];
        memset(out, 0xee, sizeof out);
        for (size_t i = 0; i < count; i++) {
            size_t size = (size_t)mr_random_below(random, size_bound);
            uint8_t *bytes = malloc(size ? size : 1);
            fill(random, bytes, size);
            keys[i] = (mr_bytes){bytes, size};
            puts[i] = (mr_put){.partition_key = keys[i]};
        }
        mr_hash_keys_of(keys, sizeof keys[0], count, out);
        for (size_t i = 0; i < count; i++)
            assert_keys_equal(out[i], openssl_key(keys[i]));
        assert_true(out[count].hi == 0xeeeeeeeeeeeeeeee); /* nothing behind the end */
        memset(out, 0xee, sizeof out);
        mr_hash_keys_of(&puts[0].partition_key, sizeof puts[0], count, out);
        for (size_t i = 0; i < count; i++) {
            assert_keys_equal(out[i], openssl_key(keys[i]));
            free((void *)(uintptr_t)keys[i].data);
        }
    }
}

/* Messages that end at any time in lanes that others go on in. */
static void check_messages(struct mr_random *random, size_t size_bound)
{
    enum { COUNT_MAX = 40 };

    for (size_t count = 0; count <= COUNT_MAX; count++) {
        mr_bytes messages[COUNT_MAX];
        uint8_t out[COUNT_MAX + 1][MR_MD5_BYTES], theirs[MR_MD5_BYTES];
        memset(out, 0xee, sizeof out);
        for (size_t i = 0; i < count; i++) {
            size_t size = (size_t)mr_random_below(random, size_bound);
            uint8_t *bytes = malloc(size ? size : 1);
            fill(random, bytes, size);
            messages[i] = (mr_bytes){bytes, size};
        }
        mr_md5_many(messages, count, out);
        for (size_t i = 0; i < count; i++) {
            openssl_md5(messages[i].data, messages[i].size, theirs);
            assert_memory_equal(out[i], theirs, sizeof theirs);
            free((void *)(uintptr_t)messages[i].data);
        }
        assert_int_equal(out[count][0], 0xee); /* nothing behind the end */
    }
}

static void check_lanes(mr_md5_lanes lanes)
{
    struct mr_random random = seed_random();

    if (!mr_md5_use(lanes))
        skip();
    assert_int_equal(mr_md5_used(), lanes);
    for (int round = 0; round < 5; round++) {
        check_groups(&random, 32);                 /* all in one register */
        check_groups(&random, 56);                 /* all in lanes */
        check_groups(&random, 70);                 /* some too long for a lane */
        check_groups(&random, SIZE_MAX_TRIED + 1); /* most of them */
        check_messages(&random, 200);
        check_messages(&random, 5000);
    }
    mr_md5_use(MR_MD5_LANES_BEST);
}

static void hashes_keys_one_by_one_as_openssl_does(void **state)
{
    (void)state;
    check_lanes(MR_MD5_LANES_1);
}

static void hashes_keys_in_4_lanes_as_openssl_does(void **state)
{
    (void)state;
    check_lanes(MR_MD5_LANES_4);
}

static void hashes_keys_in_16_lanes_as_openssl_does(void **state)
{
    (void)state;
    check_lanes(MR_MD5_LANES_16);
}

static void hashes_keys_in_16_wide_lanes_as_openssl_does(void **state)
{
    (void)state;
    check_lanes(MR_MD5_LANES_16_WIDE);
}

static void every_size_fits_every_lane(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < LANES_COUNT; kind++) {
        if (!mr_md5_use(all_lanes[kind]))
            continue;
        for (size_t lane = 0; lane < 16; lane++)
            for (size_t size = 0; size < 60; size++) {
                uint8_t bytes[60];
                mr_bytes keys[16];
                mr_hash_key out[16];
                memset(bytes, 0xff, sizeof bytes);
                for (size_t i = 0; i < 16; i++)
                    keys[i] = (mr_bytes){bytes, i == lane ? size : 3};
                mr_hash_keys_of(keys, sizeof keys[0], 16, out);
                for (size_t i = 0; i < 16; i++)
                    assert_keys_equal(out[i], mr_hash_key_of(keys[i]));
            }
    }
    mr_md5_use(MR_MD5_LANES_BEST);
}

static void chooses_the_most_lanes_there_are(void **state)
{
    mr_md5_lanes best = mr_md5_use(MR_MD5_LANES_16_WIDE) ? MR_MD5_LANES_16_WIDE
                        : mr_md5_use(MR_MD5_LANES_16)    ? MR_MD5_LANES_16
                                                         : MR_MD5_LANES_4;

    (void)state;
    assert_true(mr_md5_use(MR_MD5_LANES_1));
    assert_false(mr_md5_use(MR_MD5_LANES_COUNT));
    assert_int_equal(mr_md5_used(), MR_MD5_LANES_1);
    assert_true(mr_md5_use(MR_MD5_LANES_BEST));
    assert_int_equal(mr_md5_used(), best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_every_size_as_openssl_does),
        cmocka_unit_test(hashes_nothing_at_null),
        cmocka_unit_test(hashes_keys_one_by_one_as_openssl_does),
        cmocka_unit_test(hashes_keys_in_4_lanes_as_openssl_does),
        cmocka_unit_test(hashes_keys_in_16_lanes_as_openssl_does),
        cmocka_unit_test(hashes_keys_in_16_wide_lanes_as_openssl_does),
        cmocka_unit_test(every_size_fits_every_lane),
        cmocka_unit_test(chooses_the_most_lanes_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
