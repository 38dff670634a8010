/* Split, merge, scale: what they refuse, what they leave, and that a crash leaves all or nothing. */
#include "base/memory.h"
#include "base/random.h"
#include "base/u128.h"
#include "stream/range.h"
#include "support/seed.h"
#include "support/stream_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SHARDS_MAX 400

static void create(struct stream_world *world, uint32_t shard_count)
{
    assert_int_equal(mr_stream_create(world->engine, "s", shard_count, NULL), MR_OK);
}

static void split(struct stream_world *world, mr_shard_id shard)
{
    assert_int_equal(mr_shard_split(world->engine, "s", shard, NULL, NULL, NULL), MR_OK);
}

/* ---- split -------------------------------------------------------------------------------- */

static void a_split_gives_two_children_that_share_the_range(void **state)
{
    struct stream_world *world = *state;
    const mr_hash_key at = {1, 0};
    mr_shard_id children[2];
    mr_shard shards[8];

    create(world, 2);
    sim_clock_advance(&world->clock, 5500);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, &at, children, NULL), MR_OK);
    assert_int_equal(children[0], 2);
    assert_int_equal(children[1], 3);
    assert_string_equal(stream_world_shards(world, "s"), "[0] 1 2<0 3<0 ");
    assert_int_equal(stream_world_list(world, "s", shards, 8), 4);
    assert_true(mr_hash_key_equal(shards[2].first_key, shards[0].first_key));
    assert_true(mr_hash_key_equal(shards[2].last_key, mr_hash_key_previous(at)));
    assert_true(mr_hash_key_equal(shards[3].first_key, at));
    assert_true(mr_hash_key_equal(shards[3].last_key, shards[0].last_key));
    assert_int_equal(shards[0].closed_ms, shards[2].created_ms);
    assert_int_equal(shards[0].last_sequence.number, INT64_MAX);
    assert_int_equal(shards[0].last_sequence.time_s, shards[0].closed_ms / 1000);
    assert_int_equal(shards[2].first_sequence.number, 0);
    assert_int_equal(shards[2].first_sequence.created_s, shards[0].closed_ms / 1000 + 1);
    assert_int_equal(shards[1].last_sequence.number, 0);
    stream_world_crash(world);
    assert_string_equal(stream_world_shards(world, "s"), "[0] 1 2<0 3<0 ");
}

static void a_split_is_refused_where_kinesis_refuses_it(void **state)
{
    struct stream_world *world = *state;
    const mr_hash_key last = mr_range_uniform(2, 0).last, one = {0, 1}, two = {0, 2},
                      below_last = mr_hash_key_previous(last);
    mr_error error;

    create(world, 2);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, &one, NULL, &error), MR_INVALID);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, &last, NULL, &error), MR_INVALID);
    assert_int_equal(mr_shard_split(world->engine, "s", 1, &two, NULL, &error), MR_INVALID);
    assert_int_equal(mr_shard_split(world->engine, "s", 2, NULL, NULL, &error), MR_NOT_FOUND);
    assert_int_equal(mr_shard_split(world->engine, "t", 0, NULL, NULL, &error), MR_NOT_FOUND);
    assert_string_equal(stream_world_shards(world, "s"), "0 1 ");
    assert_int_equal(mr_shard_split(world->engine, "s", 0, &two, NULL, &error), MR_OK);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, &two, NULL, &error), MR_CLOSED);
    assert_int_equal(mr_shard_split(world->engine, "s", 2, NULL, NULL, &error), MR_INVALID);
    assert_int_equal(mr_shard_split(world->engine, "s", 3, &below_last, NULL, &error), MR_OK);
}

/* ---- merge -------------------------------------------------------------------------------- */

static void a_merge_takes_neighbours_in_either_order(void **state)
{
    struct stream_world *world = *state;
    mr_shard_id child;
    mr_shard shards[8];

    create(world, 4);
    assert_int_equal(mr_shard_merge(world->engine, "s", 2, 1, &child, NULL), MR_OK);
    assert_int_equal(child, 4);
    assert_string_equal(stream_world_shards(world, "s"), "0 [1] [2] 3 4<1+2 ");
    stream_world_list(world, "s", shards, 8);
    assert_true(mr_hash_key_equal(shards[4].first_key, shards[1].first_key));
    assert_true(mr_hash_key_equal(shards[4].last_key, shards[2].last_key));
    assert_int_equal(mr_shard_merge(world->engine, "s", 0, 3, NULL, NULL), MR_INVALID);
    assert_int_equal(mr_shard_merge(world->engine, "s", 0, 0, NULL, NULL), MR_INVALID);
    assert_int_equal(mr_shard_merge(world->engine, "s", 0, 1, NULL, NULL), MR_CLOSED);
    assert_int_equal(mr_shard_merge(world->engine, "s", 0, 9, NULL, NULL), MR_NOT_FOUND);
    assert_int_equal(mr_shard_merge(world->engine, "t", 0, 1, NULL, NULL), MR_NOT_FOUND);
    assert_int_equal(mr_shard_merge(world->engine, "s", 0, 4, NULL, NULL), MR_OK);
    assert_int_equal(mr_shard_merge(world->engine, "s", 5, 3, NULL, NULL), MR_OK);
    assert_string_equal(stream_world_shards(world, "s"), "[0] [1] [2] [3] [4<1+2] [5<0+4] 6<5+3 ");
}

/* ---- scale -------------------------------------------------------------------------------- */

static void a_scale_ends_with_so_many_equal_shards(void **state)
{
    static const uint32_t targets[] = {4, 4, 6, 3, 1, 8, 16, 15, 2};
    struct stream_world *world = *state;
    static mr_shard shards[SHARDS_MAX];

    create(world, 2);
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        size_t count, open_count = 0;

        assert_int_equal(mr_stream_scale(world->engine, "s", targets[i], NULL), MR_OK);
        count = stream_world_list(world, "s", shards, SHARDS_MAX);
        for (size_t j = 0; j < count; j++)
            open_count += !shards[j].is_closed;
        assert_int_equal(open_count, targets[i]);
        if (i == 1)
            assert_string_equal(stream_world_shards(world, "s"),
                                "[0] [1] 2<0 3<0 4<1 5<1 "); /* 4 to 4: nothing to do */
    }
    assert_int_equal(mr_stream_scale(world->engine, "s", 0, NULL), MR_INVALID);
    assert_int_equal(mr_stream_scale(world->engine, "t", 1, NULL), MR_NOT_FOUND);
}

static void the_limit_of_open_shards_holds_for_all_streams(void **state)
{
    struct stream_world *world = *state;

    stream_world_close(world);
    world->config.shard_count_max = 10;
    stream_world_open(world);
    create(world, 4);
    assert_int_equal(mr_stream_create(world->engine, "t", 7, NULL), MR_LIMIT);
    assert_int_equal(mr_stream_create(world->engine, "t", 5, NULL), MR_OK);
    assert_int_equal(mr_stream_scale(world->engine, "s", 6, NULL), MR_LIMIT);
    split(world, 0);
    assert_int_equal(mr_shard_split(world->engine, "s", 1, NULL, NULL, NULL), MR_LIMIT);
    assert_int_equal(mr_shard_merge(world->engine, "s", 1, 2, NULL, NULL), MR_OK);
    assert_int_equal(mr_stream_scale(world->engine, "s", 5, NULL), MR_OK);
    assert_int_equal(mr_stream_delete(world->engine, "t", NULL), MR_OK);
    assert_int_equal(mr_stream_scale(world->engine, "s", 10, NULL), MR_OK);
}

/* ---- records through reshards ------------------------------------------------------------- */

static bool covers(struct stream_world *world)
{
    static mr_shard shards[SHARDS_MAX];
    size_t count = stream_world_list(world, "s", shards, SHARDS_MAX);
    mr_hash_key next = {0, 0};
    bool wrapped = false;

    for (size_t i = 0; i < count && !wrapped; i++)
        if (!shards[i].is_closed && mr_hash_key_equal(shards[i].first_key, next)) {
            next = mr_hash_key_next(shards[i].last_key);
            wrapped = mr_hash_key_equal(next, (mr_hash_key){0, 0});
            i = SIZE_MAX; /* and from the first again */
        }
    return wrapped;
}

static void change_randomly(struct stream_world *world, struct mr_random *random)
{
    static mr_shard shards[SHARDS_MAX];
    size_t count = stream_world_list(world, "s", shards, SHARDS_MAX);
    const mr_shard *shard = &shards[mr_random_below(random, count)];
    mr_status status;

    if (mr_random_below(random, 4) == 0) {
        status =
            mr_stream_scale(world->engine, "s", 1 + (uint32_t)mr_random_below(random, 6), NULL);
        assert_int_equal(status, MR_OK);
    } else if (mr_random_below(random, 2)) {
        status = mr_shard_split(world->engine, "s", shard->id, NULL, NULL, NULL);
        assert_true(shard->is_closed ? status == MR_CLOSED : status == MR_OK);
    } else {
        status = mr_shard_merge(world->engine, "s", shard->id, shards[0].id, NULL, NULL);
        assert_true(status == MR_OK || status == MR_INVALID || status == MR_CLOSED);
    }
}

/* Reads every shard, parents before children, and checks that each key's records come in the order
 * of their puts. */
static void check_order_per_key(struct stream_world *world, uint32_t put_count, unsigned key_count)
{
    static mr_shard shards[SHARDS_MAX];
    size_t count = stream_world_list(world, "s", shards, SHARDS_MAX);
    uint32_t *next = mr_alloc_zero(key_count, sizeof *next), seen = 0;

    for (size_t i = 0; i < count; i++) {
        char *rest = mr_copy_text(stream_world_read(world, "s", shards[i].id, FROM_START));

        for (char *word = strtok(rest, " "); word && *word != '!'; word = strtok(NULL, " ")) {
            unsigned key, order;

            assert_int_equal(sscanf(word, "%u:%u", &key, &order), 2);
            assert_int_equal(order, next[key]++); /* S2 */
            seen++;
        }
        mr_free(rest);
    }
    assert_int_equal(seen, put_count);
    mr_free(next);
}

static void each_key_keeps_its_order_through_any_chain_of_reshards(void **state) /* S2 */
{
    enum { KEYS = 20, PUTS = 600 };
    struct stream_world *world = *state;
    struct mr_random random = seed_random();
    uint32_t order[KEYS] = {0}, put_count = 0;

    create(world, 2);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < PUTS / 30; i++) {
            unsigned key = (unsigned)mr_random_below(&random, KEYS);
            char name[16], text[32];

            snprintf(name, sizeof name, "key-%u", key);
            snprintf(text, sizeof text, "%u:%u", key, order[key]++);
            stream_world_put(world, "s", name, text);
            put_count++;
        }
        sim_clock_advance(&world->clock, mr_random_below(&random, 400));
        change_randomly(world, &random);
        assert_true(covers(world)); /* S1 */
        if (mr_random_below(&random, 10) == 0)
            stream_world_crash(world);
    }
    check_order_per_key(world, put_count, KEYS);
    stream_world_reopen(world);
    check_order_per_key(world, put_count, KEYS);
}

static void puts_given_a_place_before_a_reshard_stay_with_the_parent(void **state) /* S2 */
{
    struct stream_world *world = *state;
    mr_put puts[2] = {{.partition_key = {"k", 1}, .data = {"before", 6}},
                      {.partition_key = {"k", 1}, .data = {"after", 5}}};
    mr_put_result results[2];
    mr_shard shards[4];

    create(world, 1);
    assert_int_equal(mr_put_records(world->engine, "s", &puts[0], 1, &results[0], NULL), MR_OK);
    split(world, 0);
    assert_int_equal(mr_put_records(world->engine, "s", &puts[1], 1, &results[1], NULL), MR_OK);
    stream_world_list(world, "s", shards, 4);
    assert_int_equal(results[0].sequence.shard, 0);
    assert_true(results[1].sequence.shard > 0);
    assert_true(results[1].sequence.number > results[0].sequence.number);
    assert_int_equal(results[1].sequence.created_s, shards[1].first_sequence.created_s);
    assert_true(results[1].sequence.time_s >= results[1].sequence.created_s);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "before !");
    assert_string_equal(stream_world_read(world, "s", results[1].sequence.shard, FROM_START),
                        "after ");
}

/* ---- crashes ------------------------------------------------------------------------------ */

struct attempt {
    mr_status (*change)(struct stream_world *world);
    const char *before, *after;
    unsigned done_count, not_begun_count;
};

static mr_status try_split(struct stream_world *world)
{
    return mr_shard_split(world->engine, "s", 1, NULL, NULL, NULL);
}

static mr_status try_scale(struct stream_world *world)
{
    return mr_stream_scale(world->engine, "s", 3, NULL);
}

static mr_status try_delete(struct stream_world *world)
{
    return mr_stream_delete(world->engine, "s", NULL);
}

static const char *shown(struct stream_world *world)
{
    struct mr_stream_info info;

    return mr_stream_describe(world->engine, "s", &info, NULL) ? ""
                                                               : stream_world_shards(world, "s");
}

/* The process stops at the number-th change of the disk; then the power goes, too. */
static bool crash_at(void *context, uint64_t number)
{
    struct attempt *attempt = context;
    struct stream_world world;
    bool was_reached;
    mr_status status;

    stream_world_init(&world);
    create(&world, 2);
    stream_world_put(&world, "s", "k", "kept");
    sim_disk_stop(world.disk, number);
    status = attempt->change(&world);
    was_reached = sim_disk_stopped(world.disk);
    stream_world_crash(&world);
    if (status == MR_OK || strcmp(shown(&world), attempt->before) != 0) { /* S3 */
        assert_string_equal(shown(&world), attempt->after);
        attempt->done_count++;
    } else {
        attempt->not_begun_count++;
    }
    stream_world_fini(&world);
    return was_reached;
}

static void a_crash_leaves_a_change_done_or_not_begun(void **state) /* S3 */
{
    static struct attempt attempts[] = {
        {try_split, "0 1 ", "0 [1] 2<1 3<1 ", 0, 0},
        {try_scale, "0 1 ", "", 0, 0},
        {try_delete, "0 1 ", "", 0, 0},
    };
    struct stream_world *world = *state;
    char *after;

    create(world, 2);
    assert_int_equal(mr_stream_scale(world->engine, "s", 3, NULL), MR_OK);
    after = mr_copy_text(stream_world_shards(world, "s"));
    attempts[1].after = after;
    for (int i = 0; i < 3; i++) {
        uint64_t number = 1;

        while (crash_at(&attempts[i], number))
            number++;
        assert_true(attempts[i].not_begun_count >= 1);
        assert_true(attempts[i].done_count >= 1);
    }
    mr_free(after);
}

/* ---- a look at one ------------------------------------------------------------------------ */

/* Field by field: what lies between them is anything. */
static void assert_same_shard(const mr_shard *a, const mr_shard *b)
{
    char texts[4][MR_SEQUENCE_TEXT_BYTES];

    mr_sequence_format(&a->first_sequence, texts[0]);
    mr_sequence_format(&b->first_sequence, texts[1]);
    mr_sequence_format(&a->last_sequence, texts[2]);
    mr_sequence_format(&b->last_sequence, texts[3]);
    assert_string_equal(texts[0], texts[1]);
    assert_string_equal(texts[2], texts[3]);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->parent, b->parent);
    assert_int_equal(a->adjacent_parent, b->adjacent_parent);
    assert_memory_equal(&a->first_key, &b->first_key, sizeof a->first_key);
    assert_memory_equal(&a->last_key, &b->last_key, sizeof a->last_key);
    assert_int_equal(a->is_closed, b->is_closed);
    assert_int_equal(a->created_ms, b->created_ms);
    assert_int_equal(a->closed_ms, b->closed_ms);
}

/* A look at each shard says what the list of all says, and its children are those whose parent it
 * is in that list. */
static void assert_looks_are_true(struct stream_world *world)
{
    mr_shard shards[SHARDS_MAX];
    size_t count = stream_world_list(world, "s", shards, SHARDS_MAX), open_count = 0;
    struct mr_shard_view view;

    for (size_t i = 0; i < count; i++)
        open_count += !shards[i].is_closed;
    for (size_t i = 0; i < count; i++) {
        size_t child_count = 0;

        assert_int_equal(mr_shard_look(world->engine, "s", shards[i].id, &view, NULL), MR_OK);
        assert_same_shard(&view.shard, &shards[i]);
        assert_int_equal(view.open_shard_count, open_count);
        for (size_t j = 0; j < count; j++)
            if (shards[j].parent == shards[i].id || shards[j].adjacent_parent == shards[i].id)
                assert_int_equal(view.children[child_count++].id, shards[j].id);
        assert_int_equal(view.child_count, child_count);
    }
}

static void one_shard_is_found_with_its_children(void **state)
{
    struct stream_world *world = *state;
    struct mr_random random = seed_random();
    struct mr_shard_view view;
    mr_error error;

    create(world, 3);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(
            mr_stream_scale(world->engine, "s", 1 + (uint32_t)mr_random_below(&random, 12), NULL),
            MR_OK);
        assert_looks_are_true(world);
        if (i % 2)
            stream_world_reopen(world);
        assert_looks_are_true(world);
    }
    sim_clock_advance(&world->clock, INT64_C(25) * 3600000);
    stream_world_housekeep(world); /* the closed ones are forgotten */
    stream_world_work(world);
    assert_looks_are_true(world);
    assert_int_equal(
        mr_shard_where(world->engine, "s", (mr_bytes){"k", 1}, &view.shard, NULL, NULL), MR_OK);
    split(world, view.shard.id);
    assert_looks_are_true(world);
    assert_int_equal(mr_shard_look(world->engine, "s", 0, &view, &error), MR_NOT_FOUND);
    assert_string_equal(error.message, "stream s has no shardId-000000000000");
    assert_int_equal(mr_shard_look(world->engine, "t", 0, &view, &error), MR_NOT_FOUND);
    assert_string_equal(error.message, "there is no stream t");
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, stream_world_set_up, stream_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_split_gives_two_children_that_share_the_range),
        WORLD_TEST(a_split_is_refused_where_kinesis_refuses_it),
        WORLD_TEST(a_merge_takes_neighbours_in_either_order),
        WORLD_TEST(a_scale_ends_with_so_many_equal_shards),
        WORLD_TEST(the_limit_of_open_shards_holds_for_all_streams),
        WORLD_TEST(each_key_keeps_its_order_through_any_chain_of_reshards),
        WORLD_TEST(puts_given_a_place_before_a_reshard_stay_with_the_parent),
        WORLD_TEST(a_crash_leaves_a_change_done_or_not_begun),
        WORLD_TEST(one_shard_is_found_with_its_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
