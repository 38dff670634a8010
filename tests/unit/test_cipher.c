/* Envelopes: what was encrypted comes back, at its place, with its key, unchanged; or not at all. */
#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"
#include "log/cipher.h"
#include "support/seed.h"
#include "support/sim_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct sim_disk *disk;
    struct mr_key_file *keys;
    struct mr_cipher *cipher;
    struct mr_data_key *key;
    uint64_t master;
};

static const mr_bytes place = {"segment 7, byte 4096", 20};

static int set_up(void **state)
{
    struct fixture *f = mr_new(struct fixture);

    f->disk = sim_disk_new(1);
    f->keys = mr_key_file_new(sim_disk_fs(f->disk), "keys");
    f->cipher = mr_cipher_new();
    assert_int_equal(mr_key_file_first(f->keys, true, &f->master, NULL), MR_OK);
    assert_int_equal(mr_data_key_new(&f->key, f->keys, f->master, NULL), MR_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    mr_data_key_free(f->key);
    mr_cipher_free(f->cipher);
    mr_key_file_free(f->keys);
    sim_disk_free(f->disk);
    mr_free(f);
    return 0;
}

static bool holds(const uint8_t *bytes, size_t size, const char *text)
{
    return memmem(bytes, size, text, strlen(text)) != NULL;
}

static void what_was_encrypted_comes_back(void **state)
{
    static const size_t sizes[] = {1, 15, 16, 17, 4096, 65536, 3000001};
    struct mr_random random = seed_random();
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *plain = mr_alloc(sizes[i]), *out = mr_alloc(ENVELOPE_BYTES + sizes[i]);
        mr_bytes found;

        for (size_t n = 0; n < sizes[i]; n++)
            plain[n] = (uint8_t)mr_random_next(&random);
        if (i % 2) { /* where it lies */
            memcpy(out + ENVELOPE_BYTES, plain, sizes[i]);
            mr_encrypt(f->cipher, f->key, place, (mr_bytes){out + ENVELOPE_BYTES, sizes[i]}, out);
        } else {
            mr_encrypt(f->cipher, f->key, place, (mr_bytes){plain, sizes[i]}, out);
        }
        if (sizes[i] >= 16)
            assert_memory_not_equal(out + ENVELOPE_BYTES, plain, sizes[i]);
        assert_int_equal(
            mr_decrypt(f->cipher, f->keys, place, out, ENVELOPE_BYTES + sizes[i], &found, NULL),
            MR_OK);
        assert_int_equal(found.size, sizes[i]);
        assert_memory_equal(found.data, plain, sizes[i]);
        mr_free(plain);
        mr_free(out);
    }
}

/* E4: of envelope, bytes and place; a changed name of the master key is one that is not there. */
static void any_changed_bit_is_noticed(void **state)
{
    static const char text[] = "recognisable-key recognisable-data";
    uint8_t whole[ENVELOPE_BYTES + sizeof text], copy[sizeof whole];
    struct fixture *f = *state;
    mr_bytes found;

    mr_encrypt(f->cipher, f->key, place, (mr_bytes){text, sizeof text}, whole);
    assert_false(holds(whole, sizeof whole, "recognisable"));
    for (size_t bit = 0; bit < 8 * sizeof whole; bit++) {
        memcpy(copy, whole, sizeof whole);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(mr_decrypt(f->cipher, f->keys, place, copy, sizeof copy, &found, NULL),
                         bit < 64 ? MR_NO_KEY : MR_CORRUPT);
    }
    memcpy(copy, whole, sizeof whole);
    assert_int_equal(mr_decrypt(f->cipher, f->keys, (mr_bytes){"segment 7, byte 8192", 20}, copy,
                                sizeof copy, &found, NULL),
                     MR_CORRUPT);
    for (size_t size = 0; size < sizeof whole; size++) {
        memcpy(copy, whole, sizeof whole);
        assert_int_equal(mr_decrypt(f->cipher, f->keys, place, copy, size, &found, NULL),
                         MR_CORRUPT);
    }
}

/* E3: of one key each count once, and no two keys are the same. */
static void no_nonce_is_used_twice(void **state)
{
    enum { USES = 1000, KEYS = 50 };
    static uint8_t wrapped[KEYS][32];
    uint8_t out[ENVELOPE_BYTES + 1], before[ENVELOPE_BYTES + 1];
    struct fixture *f = *state;

    for (uint64_t i = 0; i < USES; i++) {
        mr_encrypt(f->cipher, f->key, place, (mr_bytes){"x", 1}, out);
        assert_int_equal(mr_load64(out + 68), i);
        if (i > 0)
            assert_memory_equal(out, before, 68); /* one key, wrapped once */
        memcpy(before, out, sizeof out);
    }
    for (int i = 0; i < KEYS; i++) {
        struct mr_data_key *key;

        assert_int_equal(mr_data_key_new(&key, f->keys, f->master, NULL), MR_OK);
        mr_encrypt(f->cipher, key, place, (mr_bytes){"x", 1}, out);
        memcpy(wrapped[i], out + 20, 32);
        for (int n = 0; n < i; n++)
            assert_memory_not_equal(wrapped[i], wrapped[n], 32);
        assert_memory_not_equal(out + 8, before + 8, 12);
        mr_data_key_free(key);
    }
}

static void another_key_file_opens_nothing(void **state)
{
    struct fixture *f = *state;
    struct mr_key_file *other = mr_key_file_new(sim_disk_fs(f->disk), "other");
    uint8_t out[ENVELOPE_BYTES + 1];
    struct mr_data_key *key;
    uint64_t id;
    mr_bytes found;
    mr_error error;

    mr_encrypt(f->cipher, f->key, place, (mr_bytes){"x", 1}, out);
    assert_int_equal(mr_key_file_first(other, true, &id, NULL), MR_OK);
    assert_int_equal(mr_decrypt(f->cipher, other, place, out, sizeof out, &found, &error),
                     MR_NO_KEY);
    assert_non_null(strstr(error.message, "other lacks key"));
    assert_int_equal(mr_data_key_new(&key, other, f->master, &error), MR_NO_KEY);
    mr_store64(out, id); /* a lie */
    assert_int_equal(mr_decrypt(f->cipher, other, place, out, sizeof out, &found, &error),
                     MR_CORRUPT);
    mr_key_file_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_encrypted_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_changed_bit_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_nonce_is_used_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_file_opens_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
