/* The catalog: entries applied in order, snapshots that are the same state, damage that is seen. */
#include "stream/catalog.h"

#include "base/memory.h"
#include "base/random.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define START_MS INT64_C(1700000000000)
#define HOUR_MS INT64_C(3600000)

/* ---- a catalog without a log -------------------------------------------------------------- */

struct fixture {
    struct mr_catalog catalog;
    uint64_t number;
    int64_t at_ms;
    struct mr_log_append append; /* of the last entry */
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.number = 1, .at_ms = START_MS};
    mr_catalog_init(&f->catalog);
}

/* Applies what was packed, and empties the pack. */
static mr_status apply(struct fixture *f, struct mr_pack *entry)
{
    mr_error error;
    mr_status status = mr_catalog_apply(&f->catalog, NULL, (mr_bytes){entry->data, entry->size},
                                        f->number, f->at_ms, &f->append, &error);

    if (status)
        assert_int_equal(error.status, status);
    f->number++;
    mr_pack_fini(entry);
    return status;
}

static void create(struct fixture *f, const char *name, uint32_t shard_count)
{
    struct mr_pack entry = {0};

    mr_pack_stream_create(&entry, f->catalog.next_stream, f->catalog.next_log, shard_count, 24,
                          name);
    assert_int_equal(apply(f, &entry), MR_OK);
}

static mr_status reshard(struct fixture *f, const char *name, const struct mr_reshard_step *steps,
                         size_t count)
{
    const struct mr_stream *stream = mr_catalog_find(&f->catalog, name);
    struct mr_pack entry = {0};

    mr_pack_reshard(&entry, stream->id, stream->next_shard, f->catalog.next_log, steps, count);
    return apply(f, &entry);
}

static mr_status set(struct fixture *f, uint64_t scope, const char *name, const char *value,
                     uint64_t expected_version)
{
    struct mr_pack entry = {0};

    mr_pack_property(&entry, scope, name, (mr_bytes){value, value ? strlen(value) : 0},
                     expected_version);
    assert_int_equal(apply(f, &entry), MR_OK);
    return f->append.entry_status;
}

static mr_status forget(struct fixture *f, const char *name, mr_shard_id shard)
{
    struct mr_pack entry = {0};

    mr_pack_shard_forget(&entry, mr_catalog_find(&f->catalog, name)->id, &shard, 1);
    return apply(f, &entry);
}

static struct mr_pack snapshot(struct mr_catalog *catalog)
{
    struct mr_pack pack = {0};

    mr_catalog_snapshot(catalog, &pack);
    return pack;
}

static void assert_same(struct mr_catalog *a, struct mr_catalog *b)
{
    struct mr_pack left = snapshot(a), right = snapshot(b);

    assert_int_equal(left.size, right.size);
    assert_memory_equal(left.data, right.data, left.size);
    assert_int_equal(a->shard_count, b->shard_count);
    assert_int_equal(a->open_shard_count, b->open_shard_count);
    assert_int_equal(a->property_bytes, b->property_bytes);
    mr_pack_fini(&left);
    mr_pack_fini(&right);
}

static void assert_unchanged(struct mr_catalog *catalog, const struct mr_pack *before)
{
    struct mr_pack after = snapshot(catalog);

    assert_int_equal(before->size, after.size);
    assert_memory_equal(before->data, after.data, after.size);
    mr_pack_fini(&after);
}

/* ---- random entries ----------------------------------------------------------------------- */

static bool pack_random_reshard(struct mr_catalog *catalog, struct mr_random *random,
                                struct mr_stream *stream, struct mr_pack *entry)
{
    size_t index = mr_random_below(random, stream->open_count);
    const struct mr_shard_state *shard = stream->open[index];
    struct mr_reshard_step step = {.closes = shard->id, .at = mr_range_middle(&shard->range)};

    if (mr_random_below(random, 2) && index + 1 < stream->open_count) {
        step.is_merge = true;
        step.closes_also = stream->open[index + 1]->id;
    } else if (!mr_range_splits_at(&shard->range, step.at)) {
        return false;
    }
    mr_pack_reshard(entry, stream->id, stream->next_shard, catalog->next_log, &step, 1);
    return true;
}

static bool pack_random_forget(struct mr_random *random, struct mr_stream *stream,
                               struct mr_pack *entry)
{
    mr_shard_id closed[64];
    size_t count = 0;

    for (size_t i = 0; i < stream->shard_count && count < 64; i++)
        if (stream->shards[i]->closed_number && mr_random_below(random, 2))
            closed[count++] = stream->shards[i]->id;
    if (count > 0)
        mr_pack_shard_forget(entry, stream->id, closed, count);
    return count > 0;
}

/* Packs an entry that fits; false when the dice gave none. */
static bool pack_random(struct mr_catalog *catalog, struct mr_random *random, struct mr_pack *entry)
{
    struct mr_stream *stream = catalog->stream_count
                                   ? catalog->by_id[mr_random_below(random, catalog->stream_count)]
                                   : NULL;
    char name[32];

    snprintf(name, sizeof name, "name-%u", (unsigned)mr_random_below(random, 12));
    switch (mr_random_below(random, 16)) {
    case 0:
    case 1:
        if (mr_catalog_find(catalog, name))
            return false;
        mr_pack_stream_create(entry, catalog->next_stream, catalog->next_log,
                              1 + (uint32_t)mr_random_below(random, 9), 24, name);
        return true;
    case 2:
        if (stream)
            mr_pack_stream_delete(entry, stream->id);
        return stream;
    case 3:
        if (stream)
            mr_pack_retention(entry, stream->id, 24 + (uint32_t)mr_random_below(random, 8737));
        return stream;
    case 4:
    case 5:
        return stream && pack_random_forget(random, stream, entry);
    case 6:
    case 7:
    case 8:
    case 9:
        mr_pack_property(entry, stream ? MR_SCOPE_STREAM(stream->id) : MR_SCOPE_ENGINE, name,
                         (mr_bytes){mr_random_below(random, 4) ? name : NULL, 5},
                         mr_random_below(random, 3) ? MR_ANY_VERSION
                                                    : mr_random_below(random, 200));
        return true;
    default:
        return stream && pack_random_reshard(catalog, random, stream, entry);
    }
}

static void assert_covered(const struct mr_catalog *catalog) /* S1 */
{
    for (size_t i = 0; i < catalog->stream_count; i++) {
        const struct mr_stream *stream = catalog->by_id[i];
        struct mr_range *ranges = mr_alloc(stream->open_count * sizeof *ranges);

        for (size_t j = 0; j < stream->open_count; j++) {
            ranges[j] = stream->open[j]->range;
            assert_false(stream->open[j]->is_closed);
            assert_ptr_equal(mr_stream_where(stream, ranges[j].first), stream->open[j]);
            assert_ptr_equal(mr_stream_where(stream, ranges[j].last), stream->open[j]);
        }
        assert_true(mr_range_covers(ranges, stream->open_count));
        mr_free(ranges);
    }
}

static void a_snapshot_is_the_same_state_for_all_that_follows(void **state)
{
    struct mr_random random = seed_random();
    (void)state;

    for (int round = 0; round < 30; round++) {
        struct fixture a, b;

        fixture_init(&a);
        fixture_init(&b);
        for (int i = 0; i < 150; i++) {
            struct mr_pack entry = {0}, copy = {0};

            if (!pack_random(&a.catalog, &random, &entry))
                continue;
            mr_pack_bytes(&copy, (mr_bytes){entry.data, entry.size});
            a.at_ms = b.at_ms = a.at_ms + (int64_t)mr_random_below(&random, 5000);
            assert_int_equal(apply(&a, &entry), MR_OK);
            assert_int_equal(apply(&b, &copy), MR_OK);
            assert_int_equal(a.append.entry_status, b.append.entry_status);
            assert_int_equal(a.append.entry_value, b.append.entry_value);
            if (mr_random_below(&random, 10) == 0) { /* b restarts from its snapshot */
                struct mr_pack bytes = snapshot(&b.catalog);

                mr_catalog_fini(&b.catalog);
                mr_catalog_init(&b.catalog);
                assert_int_equal(
                    mr_catalog_restore(&b.catalog, NULL, (mr_bytes){bytes.data, bytes.size}, NULL),
                    MR_OK);
                mr_pack_fini(&bytes);
            }
            assert_same(&a.catalog, &b.catalog);
            assert_covered(&a.catalog);
        }
        mr_catalog_fini(&a.catalog);
        mr_catalog_fini(&b.catalog);
    }
}

/* ---- damage ------------------------------------------------------------------------------- */

static void make_rich(struct fixture *f)
{
    struct mr_reshard_step split = {.closes = 1};

    fixture_init(f);
    create(f, "first", 3);
    create(f, "second", 1);
    split.at = mr_range_middle(&mr_catalog_find(&f->catalog, "first")->open[1]->range);
    assert_int_equal(reshard(f, "first", &split, 1), MR_OK);
    assert_int_equal(set(f, MR_SCOPE_ENGINE, "owner", "me", 0), MR_OK);
    assert_int_equal(set(f, MR_SCOPE_STREAM(1), "lease/0", "worker 7", 0), MR_OK);
}

/* A damaged snapshot is refused, or means just what it says. */
static void restore_damaged(mr_bytes bytes)
{
    struct mr_catalog catalog;
    mr_error error;
    mr_status status;

    mr_catalog_init(&catalog);
    status = mr_catalog_restore(&catalog, NULL, bytes, &error);
    if (status) {
        assert_true(status == MR_CORRUPT || status == MR_FORMAT);
    } else {
        struct mr_pack again = snapshot(&catalog);

        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
        mr_pack_fini(&again);
    }
    mr_catalog_fini(&catalog);
}

static void no_damage_to_a_snapshot_makes_another_one(void **state)
{
    struct fixture f;
    struct mr_pack good;
    (void)state;

    make_rich(&f);
    good = snapshot(&f.catalog);
    for (size_t i = 0; i < good.size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            good.data[i] ^= (uint8_t)(1u << bit);
            restore_damaged((mr_bytes){good.data, good.size});
            good.data[i] ^= (uint8_t)(1u << bit);
        }
    for (size_t size = 1; size < good.size; size++) {
        struct mr_catalog catalog;
        uint8_t *cut = mr_alloc(size); /* so that a sanitizer sees reads behind it */

        memcpy(cut, good.data, size);
        mr_catalog_init(&catalog);
        assert_int_equal(mr_catalog_restore(&catalog, NULL, (mr_bytes){cut, size}, NULL),
                         MR_CORRUPT);
        mr_catalog_fini(&catalog);
        mr_free(cut);
    }
    mr_pack_fini(&good);
    mr_catalog_fini(&f.catalog);
}

static void two_shards_never_share_a_log(void **state)
{
    struct fixture f;
    struct mr_pack bytes;
    struct mr_catalog catalog;
    (void)state;

    make_rich(&f);
    mr_catalog_find(&f.catalog, "second")->shards[0]->log =
        mr_catalog_find(&f.catalog, "first")->shards[2]->log;
    bytes = snapshot(&f.catalog);
    mr_catalog_init(&catalog);
    assert_int_equal(mr_catalog_restore(&catalog, NULL, (mr_bytes){bytes.data, bytes.size}, NULL),
                     MR_CORRUPT);
    mr_catalog_fini(&catalog);
    mr_pack_fini(&bytes);
    mr_catalog_fini(&f.catalog);
}

static void an_entry_cut_short_or_too_long_is_refused(void **state)
{
    struct mr_random random = seed_random();
    struct fixture f;
    struct mr_pack before;
    (void)state;

    make_rich(&f);
    before = snapshot(&f.catalog);
    for (int i = 0; i < 300; i++) {
        struct mr_pack entry = {0};

        if (!pack_random(&f.catalog, &random, &entry))
            continue;
        for (size_t size = 0; size <= entry.size + 1; size++) {
            struct mr_pack part = {0};

            if (size == entry.size)
                continue;
            mr_pack_bytes(&part, (mr_bytes){entry.data, size < entry.size ? size : entry.size});
            if (size > entry.size)
                mr_pack_u8(&part, 0);
            assert_int_equal(apply(&f, &part), MR_CORRUPT);
            assert_unchanged(&f.catalog, &before);
        }
        mr_pack_fini(&entry);
    }
    mr_pack_fini(&before);
    mr_catalog_fini(&f.catalog);
}

static void a_reshard_that_does_not_fit_changes_nothing(void **state)
{
    static const struct mr_hash_key quarter = {UINT64_C(1) << 62, 0};
    const struct mr_reshard_step cases[][2] = {
        {{.closes = 0}, {0}},                                     /* a split at its first key */
        {{.closes = 2, .at = quarter}, {0}},                      /* outside its range */
        {{.closes = 1, .at = quarter}, {0}},                      /* closed before */
        {{.closes = 9, .at = quarter}, {0}},                      /* never there */
        {{.is_merge = true, .closes = 0, .closes_also = 2}, {0}}, /* do not touch */
        {{.is_merge = true, .closes = 4, .closes_also = 3}, {0}}, /* the wrong way round */
        {{.is_merge = true, .closes = 0, .closes_also = 0}, {0}},
        {{.is_merge = true, .closes = 3, .closes_also = 4},
         {.is_merge = true, .closes = 0, .closes_also = 3}}, /* closed by the first step */
        {{.is_merge = true, .closes = 3, .closes_also = 4},
         {.is_merge = true, .closes = 5, .closes_also = 6}}, /* not opened yet */
    };
    struct fixture f;
    struct mr_pack before;
    (void)state;

    make_rich(&f); /* "first" has 0 [1: 3 4] 2 */
    before = snapshot(&f.catalog);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool two = cases[i][1].is_merge;

        assert_int_equal(reshard(&f, "first", cases[i], two ? 2 : 1), MR_CORRUPT);
        assert_unchanged(&f.catalog, &before);
    }
    mr_pack_fini(&before);
    mr_catalog_fini(&f.catalog);
}

static void numbers_given_out_are_never_taken_again(void **state)
{
    struct fixture f;
    struct mr_pack entry = {0};
    struct mr_reshard_step step = {.closes = 0, .at = {UINT64_C(1) << 63, 0}};
    (void)state;

    fixture_init(&f);
    create(&f, "a", 1);
    mr_pack_stream_create(&entry, 0, 1, 1, 24, "b"); /* the stream */
    assert_int_equal(apply(&f, &entry), MR_CORRUPT);
    mr_pack_stream_create(&entry, 1, 0, 1, 24, "b"); /* the log */
    assert_int_equal(apply(&f, &entry), MR_CORRUPT);
    mr_pack_stream_create(&entry, 1, 1, 1, 24, "a"); /* the name */
    assert_int_equal(apply(&f, &entry), MR_CORRUPT);
    mr_pack_reshard(&entry, 0, 0, 1, &step, 1); /* the shard */
    assert_int_equal(apply(&f, &entry), MR_CORRUPT);
    mr_pack_reshard(&entry, 0, 1, 0, &step, 1); /* the log */
    assert_int_equal(apply(&f, &entry), MR_CORRUPT);
    /* Behind an entry that a salvage lost there is a gap. */
    mr_pack_stream_create(&entry, 5, 50, 1, 24, "b");
    assert_int_equal(apply(&f, &entry), MR_OK);
    assert_int_equal(f.catalog.next_stream, 6);
    assert_int_equal(f.catalog.next_log, 51);
    mr_catalog_fini(&f.catalog);
}

/* ---- what entries mean -------------------------------------------------------------------- */

static void children_come_after_their_parents_in_every_sequence(void **state)
{
    struct mr_random random = seed_random();
    struct fixture f;
    const struct mr_stream *stream;
    (void)state;

    fixture_init(&f);
    create(&f, "a", 4);
    stream = mr_catalog_find(&f.catalog, "a");
    for (int i = 0; i < 200; i++) { /* many within a second */
        struct mr_pack entry = {0};

        if (!pack_random_reshard(&f.catalog, &random, f.catalog.by_id[0], &entry))
            continue;
        f.at_ms += (int64_t)mr_random_below(&random, 300);
        assert_int_equal(apply(&f, &entry), MR_OK);
    }
    for (size_t i = 0; i < stream->shard_count; i++) {
        const struct mr_shard_state *child = stream->shards[i];
        const mr_shard_id parents[2] = {child->parent, child->adjacent_parent};

        for (int p = 0; p < 2; p++) {
            const struct mr_shard_state *parent = mr_stream_find(stream, parents[p]);
            char end[MR_SEQUENCE_TEXT_BYTES], start[MR_SEQUENCE_TEXT_BYTES];

            if (!parent)
                continue;
            assert_true(parent->closed_number == child->opened_number); /* S2 */
            mr_sequence_format(
                &(mr_sequence){INT64_MAX, parent->id, parent->created_s,
                               mr_shard_second(parent->created_s, parent->closed_ms)},
                end);
            mr_sequence_format(&(mr_sequence){0, child->id, child->created_s, child->created_s},
                               start);
            assert_true(strcmp(end, start) < 0);
            assert_true(child->created_s > parent->closed_ms / 1000);
        }
    }
    mr_catalog_fini(&f.catalog);
}

static void a_property_changes_only_from_the_expected_version(void **state)
{
    const struct mr_property *property;
    uint64_t first, second;
    struct fixture f;
    (void)state;

    fixture_init(&f);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "1", 7), MR_CONFLICT);
    assert_int_equal(f.append.entry_value, 0);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "1", 0), MR_OK);
    first = f.append.entry_value;
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "2", 0), MR_CONFLICT);
    assert_int_equal(f.append.entry_value, first);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "2", first), MR_OK);
    second = f.append.entry_value;
    assert_true(second > first);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "3", first), MR_CONFLICT);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "4", MR_ANY_VERSION), MR_OK);
    property = mr_properties_get(&f.catalog.properties, "p");
    assert_int_equal(property->version, f.append.entry_value);
    assert_int_equal(property->value_bytes, 1);
    assert_int_equal(property->value[0], '4');

    /* Removed and set again: no version comes back. */
    second = f.append.entry_value;
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", NULL, second), MR_OK);
    assert_null(mr_properties_get(&f.catalog.properties, "p"));
    assert_int_equal(f.catalog.property_bytes, 0);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "5", second), MR_CONFLICT);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "5", 0), MR_OK);
    assert_true(f.append.entry_value > second);
    mr_catalog_fini(&f.catalog);
}

static void properties_of_streams_are_apart_and_go_with_them(void **state)
{
    struct mr_pack entry = {0};
    struct fixture f;
    (void)state;

    fixture_init(&f);
    create(&f, "a", 1);
    create(&f, "b", 1);
    assert_int_equal(set(&f, MR_SCOPE_STREAM(0), "p", "of a", 0), MR_OK);
    assert_int_equal(set(&f, MR_SCOPE_STREAM(1), "p", "of b", 0), MR_OK);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "engine's", 0), MR_OK);
    assert_int_equal(f.catalog.property_bytes, 3 * 1 + 4 + 4 + 8);
    mr_pack_stream_delete(&entry, 0);
    assert_int_equal(apply(&f, &entry), MR_OK);
    assert_int_equal(f.catalog.property_bytes, 2 * 1 + 4 + 8);
    assert_int_equal(set(&f, MR_SCOPE_STREAM(0), "p", "late", MR_ANY_VERSION), MR_NOT_FOUND);
    assert_int_equal(mr_properties_get(&f.catalog.properties, "p")->value_bytes, 8);
    mr_catalog_fini(&f.catalog);
}

static void properties_have_a_limit_that_still_lets_them_shrink(void **state)
{
    struct fixture f;
    (void)state;

    fixture_init(&f);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "1234567890", 0), MR_OK);
    f.catalog.property_bytes = MR_PROPERTIES_BYTES_MAX + 5; /* as if others took it */
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "q", "1", 0), MR_LIMIT);
    assert_null(mr_properties_get(&f.catalog.properties, "q"));
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "12345678901", MR_ANY_VERSION), MR_LIMIT);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", "123456789", MR_ANY_VERSION), MR_OK);
    assert_int_equal(set(&f, MR_SCOPE_ENGINE, "p", NULL, MR_ANY_VERSION), MR_OK);
    mr_catalog_fini(&f.catalog);
}

static void properties_stay_in_name_order(void **state)
{
    struct mr_random random = seed_random();
    struct mr_properties properties = {0};
    (void)state;

    for (uint64_t i = 1; i <= 2000; i++) {
        char name[16];

        snprintf(name, sizeof name, "%u", (unsigned)mr_random_below(&random, 500));
        mr_properties_set(&properties, name,
                          (mr_bytes){mr_random_below(&random, 3) ? name : NULL, 1}, i);
    }
    assert_true(properties.count > 100);
    for (size_t i = 1; i < properties.count; i++)
        assert_true(strcmp(properties.items[i - 1]->name, properties.items[i]->name) < 0);
    mr_properties_fini(&properties);
}

static void longer_retention_brings_nothing_back(void **state)
{
    struct mr_pack entry = {0};
    struct fixture f;
    const struct mr_stream *stream;
    int64_t hidden_before;
    (void)state;

    fixture_init(&f);
    create(&f, "a", 1);
    stream = mr_catalog_find(&f.catalog, "a");
    f.at_ms += 100 * HOUR_MS;
    hidden_before = mr_stream_horizon_ms(stream, f.at_ms);
    assert_int_equal(hidden_before, f.at_ms - 24 * HOUR_MS);
    mr_pack_retention(&entry, stream->id, 8760);
    assert_int_equal(apply(&f, &entry), MR_OK);
    assert_int_equal(mr_stream_horizon_ms(stream, f.at_ms), hidden_before);
    assert_int_equal(mr_stream_horizon_ms(stream, f.at_ms + HOUR_MS), hidden_before);
    assert_int_equal(mr_stream_horizon_ms(stream, f.at_ms + 8760 * HOUR_MS), f.at_ms);
    mr_pack_retention(&entry, stream->id, 24);
    assert_int_equal(apply(&f, &entry), MR_OK);
    assert_int_equal(mr_stream_horizon_ms(stream, f.at_ms + HOUR_MS), f.at_ms - 23 * HOUR_MS);
    mr_catalog_fini(&f.catalog);
}

static void only_closed_shards_are_forgotten(void **state)
{
    struct fixture f;
    const struct mr_stream *stream;
    (void)state;

    make_rich(&f); /* "first" has 0 [1: 3 4] 2 */
    stream = mr_catalog_find(&f.catalog, "first");
    assert_int_equal(forget(&f, "first", 0), MR_CORRUPT);
    assert_int_equal(stream->shard_count, 5);
    assert_int_equal(forget(&f, "first", 1), MR_OK);
    assert_null(mr_stream_find(stream, 1));
    assert_int_equal(stream->shard_count, 4);
    assert_int_equal(f.catalog.shard_count, 5);
    assert_int_equal(mr_stream_find(stream, 3)->parent, 1); /* as it was born */
    assert_int_equal(forget(&f, "first", 1), MR_OK);        /* asked for twice */
    assert_int_equal(stream->shard_count, 4);
    mr_catalog_fini(&f.catalog);
}

static void a_held_stream_outlives_its_deletion(void **state)
{
    struct mr_pack entry = {0};
    struct fixture f;
    struct mr_stream *stream;
    struct mr_shard_state *shard;
    (void)state;

    fixture_init(&f);
    create(&f, "a", 2);
    stream = mr_stream_take(mr_catalog_find(&f.catalog, "a"));
    shard = mr_shard_take(stream->shards[1]);
    mr_pack_stream_delete(&entry, 0);
    assert_int_equal(apply(&f, &entry), MR_OK);
    assert_null(mr_catalog_find(&f.catalog, "a"));
    assert_true(stream->is_deleted);
    mr_stream_give(stream);
    assert_int_equal(shard->log, 1);
    mr_shard_give(shard);
    create(&f, "a", 1); /* the name is free, its number is not */
    assert_int_equal(mr_catalog_find(&f.catalog, "a")->id, 1);
    mr_catalog_fini(&f.catalog);
}

static void names_of_streams_are_checked(void **state)
{
    char name[MR_NAME_BYTES_MAX + 2];
    (void)state;

    memset(name, 'x', sizeof name);
    assert_true(mr_stream_name_is_valid((mr_bytes){name, MR_NAME_BYTES_MAX}));
    assert_false(mr_stream_name_is_valid((mr_bytes){name, MR_NAME_BYTES_MAX + 1}));
    assert_false(mr_stream_name_is_valid((mr_bytes){name, 0}));
    for (int c = 0; c < 256; c++) {
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_';

        name[1] = (char)c;
        assert_int_equal(mr_stream_name_is_valid((mr_bytes){name, 3}), good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_the_same_state_for_all_that_follows),
        cmocka_unit_test(no_damage_to_a_snapshot_makes_another_one),
        cmocka_unit_test(two_shards_never_share_a_log),
        cmocka_unit_test(an_entry_cut_short_or_too_long_is_refused),
        cmocka_unit_test(a_reshard_that_does_not_fit_changes_nothing),
        cmocka_unit_test(numbers_given_out_are_never_taken_again),
        cmocka_unit_test(children_come_after_their_parents_in_every_sequence),
        cmocka_unit_test(a_property_changes_only_from_the_expected_version),
        cmocka_unit_test(properties_of_streams_are_apart_and_go_with_them),
        cmocka_unit_test(properties_have_a_limit_that_still_lets_them_shrink),
        cmocka_unit_test(properties_stay_in_name_order),
        cmocka_unit_test(longer_retention_brings_nothing_back),
        cmocka_unit_test(only_closed_shards_are_forgotten),
        cmocka_unit_test(a_held_stream_outlives_its_deletion),
        cmocka_unit_test(names_of_streams_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
