/* The engine's other calls: configs, streams and their listing, properties, across restarts. */
#include "support/stream_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- config ------------------------------------------------------------------------------- */

static mr_status open_with(const struct mr_engine_config *config, mr_error *error)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct sim_clock clock;
    struct mr_engine_world outside = {
        .fs = sim_disk_fs(disk), .clock = &clock.base, .manual = true};
    struct mr_engine *engine = NULL;
    mr_status status;

    sim_clock_init(&clock);
    status = mr_engine_open_with(&engine, "d", config, &outside, error);
    if (!status)
        mr_engine_close(engine);
    sim_disk_free(disk);
    return status;
}

static void a_config_out_of_range_is_refused_by_name(void **state)
{
    struct mr_engine_config config;
    mr_error error;
    (void)state;

#define REFUSES(name, value)                                                                       \
    config = MR_ENGINE_CONFIG_DEFAULT;                                                             \
    config.name = value;                                                                           \
    assert_int_equal(open_with(&config, &error), MR_INVALID);                                      \
    assert_non_null(strstr(error.message, #name))
    REFUSES(sync_interval_ms, 0);
    REFUSES(sync_interval_ms, 60001);
    REFUSES(journal_bytes, (32u << 20) - 1);
    REFUSES(journal_bytes, ((uint64_t)64 << 30) + 1);
    REFUSES(segment_bytes, (1u << 20) - 1);
    REFUSES(segment_bytes, ((uint64_t)4 << 30) + 1);
    REFUSES(shard_count_max, 0);
    REFUSES(sync, (mr_sync)7);
    REFUSES(struct_bytes, sizeof config + 1);
    REFUSES(struct_bytes, 0);
#undef REFUSES
    /* An older program's struct ended earlier: the rest is the default. */
    config = MR_ENGINE_CONFIG_DEFAULT;
    config.struct_bytes = offsetof(struct mr_engine_config, shard_count_max);
    config.shard_count_max = 0;
    assert_int_equal(open_with(&config, &error), MR_OK);
    mr_engine_close(NULL);
}

/* ---- streams ------------------------------------------------------------------------------ */

struct names {
    char text[256];
    mr_engine *engine;
    const char *deletes; /* while it is visited */
};

static bool visit_name(void *context, const struct mr_stream_info *info)
{
    struct names *names = context;

    strcat(strcat(names->text, info->name), " ");
    if (names->deletes)
        assert_int_equal(mr_stream_delete(names->engine, names->deletes, NULL), MR_OK);
    names->deletes = NULL;
    return strcmp(info->name, "stop") != 0;
}

static const char *list(struct stream_world *world, const char *deletes)
{
    static struct names names;

    names = (struct names){.engine = world->engine, .deletes = deletes};
    mr_stream_each(world->engine, visit_name, &names);
    return names.text;
}

static void streams_are_listed_by_name(void **state)
{
    static const char *const names[] = {"m", "Z", "a.b", "a", "zz", "-", "stop"};
    struct stream_world *world = *state;

    assert_string_equal(list(world, NULL), "");
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(mr_stream_create(world->engine, names[i], 1, NULL), MR_OK);
    assert_string_equal(list(world, NULL), "- Z a a.b m stop ");
    stream_world_crash(world);
    assert_string_equal(list(world, NULL), "- Z a a.b m stop ");
    assert_string_equal(list(world, "a.b"), "- Z a m stop "); /* gone before its turn */
}

static void a_stream_is_created_once_and_described(void **state)
{
    struct stream_world *world = *state;
    struct mr_stream_info info;
    struct mr_engine_stats stats;
    int64_t created_ms;
    mr_error error;

    sim_clock_advance(&world->clock, 1234);
    created_ms = world->clock.wall_ms;
    assert_int_equal(mr_stream_create(world->engine, "s", 3, NULL), MR_OK);
    assert_int_equal(mr_stream_create(world->engine, "s", 3, &error), MR_EXISTS);
    assert_int_equal(mr_stream_create(world->engine, "", 3, &error), MR_INVALID);
    assert_int_equal(mr_stream_create(world->engine, "a b", 3, &error), MR_INVALID);
    assert_int_equal(mr_stream_create(world->engine, "t", 0, &error), MR_INVALID);
    assert_int_equal(mr_stream_create(world->engine, "t", 100001, &error), MR_LIMIT);
    assert_int_equal(mr_stream_describe(world->engine, "t", &info, &error), MR_NOT_FOUND);
    assert_int_equal(mr_stream_describe(world->engine, "s", &info, &error), MR_OK);
    assert_string_equal(info.name, "s");
    assert_int_equal(info.id, 0);
    assert_int_equal(info.created_ms, created_ms);
    assert_int_equal(info.retention_hours, 24);
    assert_int_equal(info.shard_count, 3);
    assert_int_equal(info.open_shard_count, 3);
    stream_world_put(world, "s", "key", "12345");
    assert_int_equal(mr_stream_describe(world->engine, "s", &info, &error), MR_OK);
    assert_int_equal(info.record_count, 1);
    assert_int_equal(info.record_bytes, 8);
    mr_engine_stats(world->engine, &stats);
    assert_int_equal(stats.stream_count, 1);
    assert_int_equal(stats.open_shard_count, 3);
    assert_int_equal(stats.record_count, 1);
    assert_int_equal(mr_stream_delete(world->engine, "s", NULL), MR_OK);
    assert_int_equal(mr_stream_delete(world->engine, "s", &error), MR_NOT_FOUND);
    assert_int_equal(mr_stream_create(world->engine, "s", 1, NULL), MR_OK);
    assert_int_equal(mr_stream_describe(world->engine, "s", &info, &error), MR_OK);
    assert_int_equal(info.id, 1); /* numbers are never used again */
    assert_int_equal(info.record_count, 0);
}

/* ---- properties --------------------------------------------------------------------------- */

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

struct seen {
    char text[512];
    struct stream_world *world;
    bool sets;
};

static bool visit_property(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);

    snprintf(seen->text + used, sizeof seen->text - used, "%s=%.*s ", name, (int)value.size,
             (const char *)value.data);
    assert_true(version > 0);
    if (seen->sets)
        assert_int_equal(
            mr_property_set(seen->world->engine, "s", name, text_of("new"), version, NULL, NULL),
            MR_OK);
    return strcmp(name, "stop") != 0;
}

static const char *properties(struct stream_world *world, const char *stream, const char *prefix,
                              bool sets)
{
    static struct seen seen;

    seen = (struct seen){.world = world, .sets = sets};
    assert_int_equal(mr_property_each(world->engine, stream, prefix, visit_property, &seen, NULL),
                     MR_OK);
    return seen.text;
}

static void properties_are_visited_by_prefix_in_name_order(void **state)
{
    static const char *const names[] = {"lease/2", "lease/10", "stop", "lease", "lease/1", "zzz"};
    struct stream_world *world = *state;

    assert_int_equal(mr_stream_create(world->engine, "s", 1, NULL), MR_OK);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(
            mr_property_set(world->engine, "s", names[i], text_of(names[i] + 3), 0, NULL, NULL),
            MR_OK);
    assert_int_equal(mr_property_set(world->engine, NULL, "lease/9", text_of("x"), 0, NULL, NULL),
                     MR_OK);
    assert_string_equal(properties(world, "s", "lease/", false),
                        "lease/1=se/1 lease/10=se/10 lease/2=se/2 ");
    assert_string_equal(properties(world, NULL, "", false), "lease/9=x ");
    assert_string_equal(properties(world, "s", "nothing", false), "");
    assert_string_equal(properties(world, "s", "s", false), "stop=p ");
    assert_string_equal(properties(world, "s", "lease/", true), /* it may call the engine */
                        "lease/1=se/1 lease/10=se/10 lease/2=se/2 ");
    stream_world_crash(world);
    assert_string_equal(properties(world, "s", "lease/", false),
                        "lease/1=new lease/10=new lease/2=new ");
    assert_string_equal(properties(world, NULL, "", false), "lease/9=x ");
    assert_int_equal(mr_property_each(world->engine, "t", "", visit_property, NULL, NULL),
                     MR_NOT_FOUND);
}

static void a_property_set_with_a_stale_version_says_so(void **state)
{
    struct stream_world *world = *state;
    static char big[(64 << 10) + 1], name[514];
    uint64_t version, newer;
    mr_error error;

    memset(name, 'n', sizeof name - 1);
    assert_int_equal(mr_property_set(world->engine, NULL, "p", text_of("1"), 0, &version, NULL),
                     MR_OK);
    assert_int_equal(mr_property_set(world->engine, NULL, "p", text_of("2"), version, &newer, NULL),
                     MR_OK);
    assert_true(newer > version);
    assert_int_equal(mr_property_set(world->engine, NULL, "p", text_of("3"), version, NULL, &error),
                     MR_CONFLICT);
    assert_int_equal(error.status, MR_CONFLICT);
    assert_int_equal(mr_property_set(world->engine, "t", "p", text_of("3"), version, NULL, &error),
                     MR_NOT_FOUND);
    assert_int_equal(mr_property_set(world->engine, NULL, "", text_of("3"), 0, NULL, NULL),
                     MR_LIMIT);
    assert_int_equal(mr_property_set(world->engine, NULL, name, text_of("3"), 0, NULL, NULL),
                     MR_LIMIT);
    assert_int_equal(
        mr_property_set(world->engine, NULL, "q", (mr_bytes){big, sizeof big}, 0, NULL, NULL),
        MR_LIMIT);
    assert_int_equal(
        mr_property_set(world->engine, NULL, "q", (mr_bytes){big, sizeof big - 1}, 0, NULL, NULL),
        MR_OK);
    assert_int_equal(mr_property_set(world->engine, NULL, "p", (mr_bytes){0}, newer, NULL, NULL),
                     MR_OK);
    assert_int_equal(mr_property_set(world->engine, NULL, "p", (mr_bytes){"", 0}, 0, NULL, NULL),
                     MR_OK); /* empty is a value */
    assert_string_equal(properties(world, NULL, "p", false), "p= ");
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, stream_world_set_up, stream_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_out_of_range_is_refused_by_name),
        WORLD_TEST(streams_are_listed_by_name),
        WORLD_TEST(a_stream_is_created_once_and_described),
        WORLD_TEST(properties_are_visited_by_prefix_in_name_order),
        WORLD_TEST(a_property_set_with_a_stale_version_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
