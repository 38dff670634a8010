#include "base/memory.h"
#include "base/u128.h"
#include "stream/range.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_key_is(mr_hash_key key, const char *text)
{
    char written[MR_HASH_KEY_TEXT_BYTES];

    mr_hash_key_format(key, written);
    assert_string_equal(written, text);
}

static bool equal(const struct mr_range *a, const struct mr_range *b)
{
    return mr_hash_key_equal(a->first, b->first) && mr_hash_key_equal(a->last, b->last);
}

static struct mr_range *uniform(uint32_t count)
{
    struct mr_range *ranges = mr_alloc(count * sizeof *ranges);

    for (uint32_t i = 0; i < count; i++)
        ranges[i] = mr_range_uniform(count, i);
    return ranges;
}

static mr_hash_key any_key(struct mr_random *random)
{
    return (mr_hash_key){mr_random_next(random), mr_random_next(random)};
}

static int compare_keys(const void *a, const void *b)
{
    return mr_hash_key_compare(*(const mr_hash_key *)a, *(const mr_hash_key *)b);
}

/* Up to *count ranges; borders near each other, near those of uniform ranges and at the ends of the
 * space are as frequent as others. *count becomes what there is. */
static struct mr_range *any_ranges(struct mr_random *random, size_t *count)
{
    mr_hash_key *starts = mr_alloc(*count * sizeof *starts);
    struct mr_range *ranges = mr_alloc(*count * sizeof *ranges);
    size_t kept = 0;

    starts[0] = (mr_hash_key){0, 0};
    for (size_t i = 1; i < *count; i++) {
        uint32_t parts = 1 + (uint32_t)mr_random_below(random, 40);
        mr_hash_key near = mr_range_uniform(parts, (uint32_t)mr_random_below(random, parts)).first;
        switch (mr_random_below(random, 4)) {
        case 0:
            starts[i] = any_key(random);
            break;
        case 1:
            starts[i] = near;
            break;
        case 2: /* around the end of the space, too */
            near = mr_hash_key_add(near, (mr_hash_key){0, mr_random_below(random, 5)});
            starts[i] = mr_hash_key_sub(near, (mr_hash_key){0, 2});
            break;
        default:
            starts[i] = mr_hash_key_next(starts[i - 1]);
        }
    }
    qsort(starts, *count, sizeof *starts, compare_keys);
    for (size_t i = 0; i < *count; i++) {
        if (kept > 0) {
            if (mr_hash_key_equal(ranges[kept - 1].first, starts[i]))
                continue;
            ranges[kept - 1].last = mr_hash_key_previous(starts[i]);
        }
        ranges[kept++] = (struct mr_range){starts[i], MR_HASH_KEY_MAX};
    }
    *count = kept;
    mr_free(starts);
    return ranges;
}

/* ---- one range ----------------------------------------------------------------------------- */

static void divides_evenly_as_kinesis_does(void **state)
{
    (void)state;
    assert_key_is(mr_range_uniform(1, 0).first, "0");
    assert_key_is(mr_range_uniform(1, 0).last, "340282366920938463463374607431768211455");
    assert_key_is(mr_range_uniform(2, 0).last, "170141183460469231731687303715884105727");
    assert_key_is(mr_range_uniform(2, 1).first, "170141183460469231731687303715884105728");
    assert_key_is(mr_range_uniform(3, 0).last, "113427455640312821154458202477256070484");
    assert_key_is(mr_range_uniform(3, 2).first, "226854911280625642308916404954512140970");
    assert_key_is(mr_range_uniform(3, 2).last, "340282366920938463463374607431768211455");
}

/* S1 */
static void even_ranges_cover_the_space_once(void **state)
{
    static const uint32_t counts[] = {999, 1000, 1024, 4096, 10000, 65537, 100000};

    (void)state;
    for (uint32_t i = 1; i < 130 + sizeof counts / sizeof counts[0]; i++) {
        uint32_t count = i < 130 ? i : counts[i - 130];
        struct mr_range *ranges = uniform(count);
        assert_true(mr_range_covers(ranges, count));
        /* Equal but for the last, which has less than one key more for each range. */
        for (uint32_t r = 0; r < count; r++) {
            mr_hash_key width = mr_hash_key_sub(ranges[r].last, ranges[r].first);
            mr_hash_key common = mr_hash_key_sub(ranges[0].last, ranges[0].first);
            mr_hash_key more = mr_hash_key_sub(width, common);
            assert_true(more.hi == 0 && more.lo < (r == count - 1 ? count : 1));
        }
        mr_free(ranges);
    }
}

static void has_both_its_ends(void **state)
{
    const struct mr_range range = {{1, 5}, {2, 5}};

    (void)state;
    assert_true(mr_range_has(&range, (mr_hash_key){1, 5}));
    assert_true(mr_range_has(&range, (mr_hash_key){2, 0}));
    assert_true(mr_range_has(&range, (mr_hash_key){2, 5}));
    assert_false(mr_range_has(&range, (mr_hash_key){1, 4}));
    assert_false(mr_range_has(&range, (mr_hash_key){2, 6}));
    assert_false(mr_range_has(&range, (mr_hash_key){0, 5}));
}

static void touches_only_what_follows_at_once(void **state)
{
    const struct mr_range whole = {{0, 0}, MR_HASH_KEY_MAX};
    const struct mr_range a = {{0, 0}, {4, UINT64_MAX}}, b = {{5, 0}, {6, 0}}, c = {{5, 1}, {6, 0}};

    (void)state;
    assert_true(mr_range_touches(&a, &b));
    assert_false(mr_range_touches(&b, &a));
    assert_false(mr_range_touches(&a, &c));
    assert_false(mr_range_touches(&a, &a));
    assert_false(mr_range_touches(&whole, &whole)); /* the space is not a ring */
}

static void halves_in_the_middle(void **state)
{
    const struct mr_range whole = {{0, 0}, MR_HASH_KEY_MAX}, four = {{0, 10}, {0, 13}};
    const struct mr_range upper = {{UINT64_C(1) << 63, 0}, MR_HASH_KEY_MAX};

    (void)state;
    assert_key_is(mr_range_middle(&whole), "170141183460469231731687303715884105728");
    assert_key_is(mr_range_middle(&upper), "255211775190703847597530955573826158592");
    assert_key_is(mr_range_middle(&four), "12");
    assert_true(mr_range_splits_at(&four, mr_range_middle(&four)));
}

static void splits_where_kinesis_splits(void **state)
{
    const struct mr_range range = {{0, 10}, {0, 14}}, narrow = {{0, 10}, {0, 12}};

    (void)state;
    for (uint64_t at = 0; at < 20; at++) {
        assert_int_equal(mr_range_splits_at(&range, (mr_hash_key){0, at}), at == 12 || at == 13);
        assert_false(mr_range_splits_at(&narrow, (mr_hash_key){0, at}));
    }
}

/* S1 */
static void sees_every_gap_and_overlap(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    assert_false(mr_range_covers(NULL, 0));
    for (int round = 0; round < 300; round++) {
        size_t count = 2 + mr_random_below(&random, 12);
        struct mr_range *ranges = any_ranges(&random, &count);
        assert_true(mr_range_covers(ranges, count));
        for (size_t i = 0; i < count; i++) {
            struct mr_range kept = ranges[i];
            ranges[i].first = mr_hash_key_next(kept.first);
            assert_false(mr_range_covers(ranges, count));
            ranges[i].first = mr_hash_key_previous(kept.first);
            assert_false(mr_range_covers(ranges, count));
            ranges[i] = kept;
            ranges[i].last = mr_hash_key_next(kept.last);
            assert_false(mr_range_covers(ranges, count));
            ranges[i].last = mr_hash_key_previous(kept.last);
            assert_false(mr_range_covers(ranges, count));
            ranges[i] = kept;
        }
        if (count > 1) {
            assert_false(mr_range_covers(ranges, count - 1));
            assert_false(mr_range_covers(ranges + 1, count - 1));
        }
        mr_free(ranges);
    }
}

/* ---- routing ------------------------------------------------------------------------------- */

static void check_find(const struct mr_range *ranges, size_t count, struct mr_random *random)
{
    mr_hash_key *starts = mr_alloc(count * sizeof *starts);

    for (size_t i = 0; i < count; i++)
        starts[i] = ranges[i].first;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mr_range_find(starts, count, ranges[i].first), i);
        assert_int_equal(mr_range_find(starts, count, ranges[i].last), i);
    }
    for (int i = 0; i < 100; i++) {
        mr_hash_key key = any_key(random);
        size_t found = mr_range_find(starts, count, key);
        assert_in_range(found, 0, count - 1);
        assert_true(mr_range_has(&ranges[found], key));
    }
    mr_free(starts);
}

static void finds_the_range_of_every_key(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (uint32_t i = 1; i < 300; i++) {
        size_t count = 1 + mr_random_below(&random, i);
        struct mr_range *ranges = any_ranges(&random, &count);
        check_find(ranges, count, &random);
        mr_free(ranges);
        ranges = uniform(i);
        check_find(ranges, i, &random);
        mr_free(ranges);
    }
}

/* ---- plans --------------------------------------------------------------------------------- */

/* Every range that a plan knows, carried out step by step. */
struct world {
    struct mr_range *ranges;
    bool *is_open;
    unsigned *depths; /* how many steps in a row led here */
    size_t count, given_count;
};

static void close_range(struct world *world, uint32_t range)
{
    assert_true(range < world->count);
    assert_true(world->is_open[range]); /* nothing is closed twice, or before it is opened */
    world->is_open[range] = false;
}

static void open_range(struct world *world, struct mr_range range, unsigned depth)
{
    assert_false(mr_hash_key_below(range.last, range.first));
    world->ranges[world->count] = range;
    world->depths[world->count] = depth;
    world->is_open[world->count++] = true;
}

static struct world carry_out(const struct mr_range_plan *plan, const struct mr_range *ranges,
                              size_t count)
{
    size_t capacity = count + plan->opened_count;
    struct world world = {.ranges = mr_alloc(capacity * sizeof *world.ranges),
                          .is_open = mr_alloc_zero(capacity, sizeof *world.is_open),
                          .depths = mr_alloc_zero(capacity, sizeof *world.depths),
                          .given_count = count};

    for (size_t i = 0; i < count; i++)
        open_range(&world, ranges[i], 0);
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct mr_range_step *step = &plan->steps[i];
        struct mr_range closed = world.ranges[step->closes];
        unsigned depth = world.depths[step->closes] + 1;
        close_range(&world, step->closes);
        if (step->is_merge) {
            struct mr_range upper = world.ranges[step->closes_also];
            unsigned upper_depth = world.depths[step->closes_also] + 1;
            close_range(&world, step->closes_also);
            assert_true(mr_range_touches(&closed, &upper));
            open_range(&world, (struct mr_range){closed.first, upper.last},
                       depth > upper_depth ? depth : upper_depth);
        } else {
            assert_true(mr_hash_key_below(closed.first, step->at));
            open_range(&world, (struct mr_range){closed.first, mr_hash_key_previous(step->at)},
                       depth);
            open_range(&world, (struct mr_range){step->at, closed.last}, depth);
        }
    }
    assert_int_equal(world.count, capacity);
    return world;
}

static void world_free(struct world *world)
{
    mr_free(world->ranges);
    mr_free(world->is_open);
    mr_free(world->depths);
}

static int compare_ranges(const void *a, const void *b)
{
    return compare_keys(&((const struct mr_range *)a)->first, &((const struct mr_range *)b)->first);
}

static bool is_among(const struct mr_range *range, const struct mr_range *ranges, size_t count)
{
    const struct mr_range *found = bsearch(range, ranges, count, sizeof *ranges, compare_ranges);
    return found && equal(found, range);
}

/* Two halvings: as many splits as one range may need, then as many merges. */
static unsigned depth_max(size_t count)
{
    unsigned depth = 0;

    while ((size_t)1 << depth < count + 1)
        depth++;
    return 2 * (depth + 1);
}

static void check_plan(const struct mr_range *ranges, size_t count, const struct mr_range *targets,
                       size_t target_count)
{
    struct mr_range_plan plan = mr_range_plan(ranges, count, targets, target_count);
    struct world world = carry_out(&plan, ranges, count);
    struct mr_range *open = mr_alloc(world.count * sizeof *open);
    size_t open_count = 0, new_borders = 0, old_borders = 0;

    for (size_t i = 0; i < world.count; i++) {
        if (world.is_open[i])
            open[open_count++] = world.ranges[i];
        assert_true(world.depths[i] <= depth_max(count > target_count ? count : target_count));
    }
    qsort(open, open_count, sizeof *open, compare_ranges);
    assert_int_equal(open_count, target_count);
    for (size_t i = 0; i < target_count; i++)
        assert_true(equal(&open[i], &targets[i]));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(world.is_open[i], is_among(&ranges[i], targets, target_count));

    /* No step too many: each split makes a border that was missing, each merge removes one. */
    for (size_t i = 0; i < target_count; i++)
        new_borders += !bsearch(&targets[i], ranges, count, sizeof *ranges, compare_ranges);
    for (size_t i = 0; i < count; i++)
        old_borders += !bsearch(&ranges[i], targets, target_count, sizeof *targets, compare_ranges);
    assert_int_equal(plan.step_count, new_borders + old_borders);
    assert_int_equal(plan.opened_count, 2 * new_borders + old_borders);
    mr_free(open);
    world_free(&world);
    mr_range_plan_fini(&plan);
}

/* S1 */
static void any_division_becomes_an_even_one(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t count = 1 + mr_random_below(&random, 40);
        uint32_t target_count = 1 + (uint32_t)mr_random_below(&random, 40);
        struct mr_range *ranges = any_ranges(&random, &count), *targets = uniform(target_count);
        check_plan(ranges, count, targets, target_count);
        mr_free(ranges);
        mr_free(targets);
    }
}

/* S1 */
static void any_division_becomes_any_other(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t count = 1 + mr_random_below(&random, 40), target_count = 1 + count / 2;
        struct mr_range *ranges = any_ranges(&random, &count);
        struct mr_range *targets = any_ranges(&random, &target_count);
        check_plan(ranges, count, targets, target_count);
        mr_free(ranges);
        mr_free(targets);
    }
}

static void scales_far_up_and_down(void **state)
{
    static const uint32_t counts[][2] = {{1, 4096}, {4096, 1}, {1000, 999}, {3, 1000}, {1000, 7}};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct mr_range *ranges = uniform(counts[i][0]), *targets = uniform(counts[i][1]);
        check_plan(ranges, counts[i][0], targets, counts[i][1]);
        mr_free(ranges);
        mr_free(targets);
    }
}

static void an_even_division_stays_as_it_is(void **state)
{
    (void)state;
    for (uint32_t count = 1; count < 50; count++) {
        struct mr_range *ranges = uniform(count);
        struct mr_range_plan plan = mr_range_plan(ranges, count, ranges, count);
        assert_int_equal(plan.step_count, 0);
        assert_int_equal(plan.opened_count, 0);
        mr_range_plan_fini(&plan);
        mr_free(ranges);
    }
}

static void doubling_splits_each_and_halving_merges_pairs(void **state)
{
    struct mr_range *two = uniform(2), *four = uniform(4);
    struct mr_range_plan up = mr_range_plan(two, 2, four, 4), down = mr_range_plan(four, 4, two, 2);

    (void)state;
    assert_int_equal(up.step_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_false(up.steps[i].is_merge);
        assert_int_equal(up.steps[i].closes, i);
        assert_true(mr_hash_key_equal(up.steps[i].at, four[2 * i + 1].first));
    }
    assert_int_equal(down.step_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(down.steps[i].is_merge);
        assert_int_equal(down.steps[i].closes, 2 * i);
        assert_int_equal(down.steps[i].closes_also, 2 * i + 1);
    }
    mr_range_plan_fini(&up);
    mr_range_plan_fini(&down);
    mr_free(two);
    mr_free(four);
}

/* 3 -> 6 is three splits, 6 -> 3 three merges, though floor(2^128 / 6) * 2 is not floor(2^128 / 3). */
static void scaling_keeps_borders_that_rounding_moved(void **state)
{
    static const uint32_t counts[] = {3, 5, 7, 100, 999};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint32_t count = counts[i];
        struct mr_range *few = uniform(count);
        struct mr_range *many = mr_alloc(2 * count * sizeof *many);
        struct mr_range_plan plan;

        mr_range_targets(few, count, many, 2 * count);
        plan = mr_range_plan(few, count, many, 2 * count);
        assert_int_equal(plan.step_count, count);
        mr_range_plan_fini(&plan);
        mr_range_targets(many, 2 * count, few, count);
        plan = mr_range_plan(many, 2 * count, few, count);
        assert_int_equal(plan.step_count, count);
        mr_range_plan_fini(&plan);
        mr_free(few);
        mr_free(many);
    }
}

static void targets_cover_the_space_and_are_even_but_for_rounding(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t count = 1 + mr_random_below(&random, 40);
        uint32_t target_count = 1 + (uint32_t)mr_random_below(&random, 60);
        struct mr_range *ranges = any_ranges(&random, &count);
        struct mr_range *targets = mr_alloc(target_count * sizeof *targets);

        mr_range_targets(ranges, count, targets, target_count);
        assert_true(mr_range_covers(targets, target_count));
        for (uint32_t i = 0; i < target_count; i++) {
            mr_u128 even = mr_hash_key_wide(mr_range_uniform(target_count, i).first);
            mr_u128 first = mr_hash_key_wide(targets[i].first);

            assert_true((first > even ? first - even : even - first) <= (mr_u128)1 << 32);
        }
        mr_free(ranges);
        mr_free(targets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divides_evenly_as_kinesis_does),
        cmocka_unit_test(even_ranges_cover_the_space_once),
        cmocka_unit_test(has_both_its_ends),
        cmocka_unit_test(touches_only_what_follows_at_once),
        cmocka_unit_test(halves_in_the_middle),
        cmocka_unit_test(splits_where_kinesis_splits),
        cmocka_unit_test(sees_every_gap_and_overlap),
        cmocka_unit_test(finds_the_range_of_every_key),
        cmocka_unit_test(any_division_becomes_an_even_one),
        cmocka_unit_test(any_division_becomes_any_other),
        cmocka_unit_test(scales_far_up_and_down),
        cmocka_unit_test(an_even_division_stays_as_it_is),
        cmocka_unit_test(doubling_splits_each_and_halving_merges_pairs),
        cmocka_unit_test(scaling_keeps_borders_that_rounding_moved),
        cmocka_unit_test(targets_cover_the_space_and_are_even_but_for_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
