/* test_key_statistics.c - sketches against exact answers on small data, and against known
 * distributions on large. */
#include "../../tools/keys/distinct.h"
#include "../../tools/keys/spread.h"
#include "../../tools/keys/top.h"
#include "support/near.h"
#include "support/seed.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mr_hash_key id_of(uint64_t key)
{
    return mr_hash_key_of((mr_bytes){&key, sizeof key});
}

/* ---- Space-Saving --------------------------------------------------------------------------- */

#define KEYS 100000

/* Draws keys 0.. of which key i is as likely as 1 / (i + 1)^exponent. */
struct zipf {
    double sums[KEYS];
};

static void zipf_init(struct zipf *zipf, double exponent)
{
    double sum = 0;

    for (int i = 0; i < KEYS; i++)
        zipf->sums[i] = sum += pow(i + 1, -exponent);
}

static uint64_t zipf_draw(const struct zipf *zipf, struct mr_random *random)
{
    double at = (double)(mr_random_next(random) >> 11) * 0x1p-53 * zipf->sums[KEYS - 1];
    size_t low = 0, high = KEYS - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (zipf->sums[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void bounds_hold(const struct mr_top *top, const uint64_t *exact)
{
    bool *is_listed = mr_alloc_zero(KEYS, sizeof *is_listed);
    const struct mr_top_key **list = mr_alloc(top->capacity * sizeof *list);
    size_t count = mr_top_list(top, list, top->capacity);
    uint64_t key, sum = 0;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(list[i]->text_bytes, sizeof key);
        memcpy(&key, list[i]->text, sizeof key);
        is_listed[key] = true;
        assert_true(list[i]->weight - list[i]->error <= exact[key]);
        assert_true(exact[key] <= list[i]->weight);
        assert_true(i == 0 || list[i]->weight <= list[i - 1]->weight);
        sum += list[i]->weight;
    }
    assert_true(sum <= top->sum);
    assert_true(mr_top_floor(top) <= top->sum / top->capacity);
    for (size_t i = 0; i < KEYS; i++)
        assert_true(is_listed[i] || exact[i] <= mr_top_floor(top));
    mr_free(list);
    mr_free(is_listed);
}

static void heavy_hitters_of_zipf_are_within_their_bounds(void **state)
{
    static struct zipf zipf;
    struct mr_random random = seed_random();
    uint64_t *exact = mr_alloc(KEYS * sizeof *exact);

    (void)state;
    for (int tenths = 0; tenths <= 15; tenths += 5) {
        struct mr_top top;

        zipf_init(&zipf, tenths / 10.0);
        mr_top_init(&top, 500);
        memset(exact, 0, KEYS * sizeof *exact);
        for (int i = 0; i < 300000; i++) {
            uint64_t key = zipf_draw(&zipf, &random);
            uint64_t weight = 1 + mr_random_below(&random, tenths % 2 ? 1000 : 1);

            exact[key] += weight;
            mr_top_add(&top, id_of(key), (mr_bytes){&key, sizeof key}, weight, (uint64_t)i / 100);
        }
        bounds_hold(&top, exact);
        mr_top_fini(&top);
    }
    mr_free(exact);
}

/* Batches of any size, whose keys come and go while they are added. */
static void batches_keep_the_same_bounds(void **state)
{
    static struct zipf zipf;
    struct mr_random random = seed_random();
    uint64_t *exact = mr_alloc_zero(KEYS, sizeof *exact);
    struct mr_top top;

    (void)state;
    zipf_init(&zipf, 0.9);
    mr_top_init(&top, 200);
    for (int round = 0; round < 3000; round++) {
        uint64_t keys[MR_TOP_BATCH], seconds[MR_TOP_BATCH] = {0};
        uint32_t weights[MR_TOP_BATCH];
        mr_hash_key ids[MR_TOP_BATCH];
        mr_bytes texts[MR_TOP_BATCH];
        struct mr_top_batch batch = {1 + mr_random_below(&random, MR_TOP_BATCH), ids, texts,
                                     seconds};

        for (size_t i = 0; i < batch.count; i++) {
            keys[i] = (zipf_draw(&zipf, &random) + (uint64_t)round / 100) % KEYS;
            weights[i] = (uint32_t)mr_random_below(&random, 100);
            ids[i] = id_of(keys[i]);
            texts[i] = (mr_bytes){&keys[i], sizeof keys[i]};
            exact[keys[i]] += weights[i];
        }
        mr_top_add_batch(&top, &batch, weights);
    }
    bounds_hold(&top, exact);
    mr_top_fini(&top);
    mr_free(exact);
}

static void few_keys_are_counted_exactly(void **state)
{
    struct mr_top top;
    const struct mr_top_key *list[10];

    (void)state;
    mr_top_init(&top, 10);
    for (uint64_t key = 0; key < 10; key++)
        for (uint64_t i = 0; i <= key; i++)
            mr_top_add(&top, id_of(key), (mr_bytes){&key, sizeof key}, 2, i / 4);
    assert_int_equal(mr_top_list(&top, list, 10), 10);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(list[i]->weight, 2 * (10 - i));
        assert_int_equal(list[i]->error, 0);
    }
    assert_int_equal(list[0]->peak, 8);
    assert_int_equal(mr_top_floor(&top), 2);
    mr_top_fini(&top);
}

/* ---- HyperLogLog ---------------------------------------------------------------------------- */

static void different_keys_are_counted_within_2_percent(void **state)
{
    struct mr_distinct *distinct = mr_new(struct mr_distinct);
    uint64_t key = 0;

    (void)state;
    assert_near(mr_distinct_count(distinct), 0, 0);
    for (uint64_t target = 10; target <= 3000000; target *= 3) {
        for (; key < target; key++)
            mr_distinct_add(distinct, id_of(key));
        mr_distinct_add(distinct, id_of(target / 2)); /* again: changes nothing */
        assert_near(mr_distinct_count(distinct), (double)target, 0.02 * (double)target);
    }
    mr_free(distinct);
}

/* ---- evenness ------------------------------------------------------------------------------- */

static void add_key(struct mr_spread *spread, struct mr_top *top, uint64_t key, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        mr_spread_add(spread, id_of(key), 7);
        mr_top_add(top, id_of(key), (mr_bytes){&key, sizeof key}, 1, 0);
    }
}

static void evenness_of_few_keys_is_exact(void **state)
{
    struct mr_spread spread = {0};
    struct mr_evenness evenness;
    struct mr_top top;

    (void)state;
    mr_top_init(&top, 10);
    for (uint64_t key = 0; key < 4; key++)
        add_key(&spread, &top, key, 25);
    mr_spread_measure(&spread, &top, false, 4, &evenness);
    assert_near(evenness.gini, 0, 1e-9);
    assert_near(evenness.effective_keys, 4, 1e-9);
    assert_near(evenness.lorenz[50], 0.5, 1e-9);

    add_key(&spread, &top, 3, 100); /* 25, 25, 25, 125: shares of 1/8 and 5/8 */
    mr_spread_measure(&spread, &top, false, 4, &evenness);
    assert_near(evenness.effective_keys, 1 / (3.0 / 64 + 25.0 / 64), 1e-9);
    assert_near(evenness.gini, 0.375, 1e-9);
    assert_near(evenness.lorenz[75], 0.375, 1e-9);
    assert_near(evenness.lorenz[100], 1, 1e-9);
    mr_spread_measure(&spread, &top, true, 4, &evenness); /* all records have 7 bytes */
    assert_near(evenness.gini, 0.375, 1e-9);
    mr_spread_fini(&spread);
    mr_top_fini(&top);
}

/* 400,000 keys, twice as often the lower half, and one key that has a third of all. */
static void evenness_of_many_keys_is_near(void **state)
{
    const uint64_t keys = 400000;
    double sum = 600000 + 300000, squares = 200000 * 4.0 + 200000 + 9e10;
    struct mr_spread spread = {0};
    struct mr_evenness evenness;
    struct mr_top top;
    /* The area under the Lorenz curve, whose corners are (1/2, 2/9) and, but for one key, (1, 6/9). */
    double gini = 1 - (0.5 * 2 / 9 + 0.5 * (2.0 / 9 + 6.0 / 9));

    (void)state;
    mr_top_init(&top, 1000);
    for (uint64_t key = 0; key < keys; key++) {
        add_key(&spread, &top, key, key < keys / 2 ? 2 : 1);
        if (key % 4 == 0)
            add_key(&spread, &top, 1000000, 3);
    }
    mr_spread_measure(&spread, &top, false, (double)keys + 1, &evenness);
    assert_near(evenness.effective_keys, sum * sum / squares, 0.02 * sum * sum / squares);
    assert_near(evenness.gini, gini, 0.01);
    assert_near(evenness.lorenz[50], 2.0 / 9, 0.01);
    mr_spread_fini(&spread);
    mr_top_fini(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heavy_hitters_of_zipf_are_within_their_bounds),
        cmocka_unit_test(batches_keep_the_same_bounds),
        cmocka_unit_test(few_keys_are_counted_exactly),
        cmocka_unit_test(different_keys_are_counted_within_2_percent),
        cmocka_unit_test(evenness_of_few_keys_is_exact),
        cmocka_unit_test(evenness_of_many_keys_is_near),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
