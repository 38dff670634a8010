/*
 * Lease stores keep the promises of struct mr_lease_store, all in the same way: in memory, in an
 * engine, in an SQLite file, and where MR_DYNAMODB names an endpoint in DynamoDB; and what they keep comes back from bytes and from rows that somebody
 * edited only as it was.
 */
#include "dynamo_item.h"
#include "lease.h"
#include "millrace-remote.h"
#include "support/seed.h"

#include "base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STREAM "s"

/* ---- the stores --------------------------------------------------------------------------- */

enum { MEMORY, ENGINE, FILE_STORE, DYNAMODB, STORE_MAX };

struct world {
    char directory[200], path[220];
    mr_engine *engine;
    mr_lease_store *stores[STORE_MAX];
    int store_count;
    mr_poster *poster;
};

static void must(mr_status status, const mr_error *error)
{
    if (status)
        fail_msg("%s: %s", mr_status_name(status), error->message);
}

static void open_stores(struct world *world, const char *application)
{
    mr_error error;

    must(mr_lease_store_memory(&world->stores[MEMORY], &error), &error);
    must(mr_lease_store_engine(&world->stores[ENGINE], world->engine, STREAM, application, &error),
         &error);
    must(mr_lease_store_file(&world->stores[FILE_STORE], world->path, STREAM, application, &error),
         &error);
    if (!world->poster)
        return;
    must(mr_lease_store_dynamodb(&world->stores[DYNAMODB], world->poster, application, &error),
         &error);
}

static void close_stores(struct world *world)
{
    for (int i = 0; i < world->store_count; i++)
        mr_lease_store_close(world->stores[i]);
}

static int open_world(void **state)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    struct mr_remote_config remote = MR_REMOTE_CONFIG_DEFAULT;
    struct world *world = mr_new(struct world);
    const char *temporary = getenv("TMPDIR");
    mr_error error;

    snprintf(world->directory, sizeof world->directory, "%s/store.XXXXXX",
             temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof world->path, "%s/leases", world->directory);
    config.sync = MR_SYNC_INTERVAL;
    config.journal_bytes = (uint64_t)32 << 20;
    must(mr_engine_open(&world->engine, world->directory, &config, &error), &error);
    must(mr_stream_create(world->engine, STREAM, 1, &error), &error);
    world->store_count = DYNAMODB;
    remote.endpoint = getenv("MR_DYNAMODB");
    if (remote.endpoint) {
        must(mr_poster_connect(&world->poster, &remote, "dynamodb", &error), &error);
        world->store_count++;
    }
    open_stores(world, "app");
    *state = world;
    return 0;
}

static bool remove_one(void *store, const mr_lease *lease, const char *fault)
{
    mr_lease_store *of = store;
    mr_error error;

    assert_null(fault);
    must(of->remove(of, lease, &error), &error);
    return true;
}

/* Its table outlives the test. */
static void empty(mr_lease_store *store)
{
    mr_error error;

    must(store->list(store, remove_one, store, &error), &error);
}

static int close_world(void **state)
{
    struct world *world = *state;
    char command[300];

    if (world->poster)
        empty(world->stores[DYNAMODB]);
    close_stores(world);
    mr_poster_close(world->poster);
    mr_engine_close(world->engine);
    snprintf(command, sizeof command, "rm -rf '%s'", world->directory);
    assert_int_equal(system(command), 0);
    mr_free(world);
    return 0;
}

/* ---- leases ------------------------------------------------------------------------------- */

static struct mr_random random_numbers;

static void random_text(char text[MR_WORKER_BYTES_MAX + 1])
{
    size_t size = (size_t)mr_random_below(&random_numbers, MR_WORKER_BYTES_MAX + 1);

    for (size_t i = 0; i < size; i++)
        text[i] = (char)(1 + mr_random_below(&random_numbers, 127));
    text[size] = 0;
}

static mr_shard_id random_shard(void)
{
    return mr_random_below(&random_numbers, 2) ? MR_NO_SHARD
                                               : (mr_shard_id)mr_random_below(&random_numbers, 9);
}

static mr_lease random_lease(mr_shard_id shard)
{
    mr_lease lease = mr_lease_of(shard, (mr_mark_kind)mr_random_below(&random_numbers, 5));

    if (lease.checkpoint.kind == MR_MARK_RECORD) {
        for (int i = 0; i < 3; i++)
            lease.checkpoint.sequence[i] = mr_random_next(&random_numbers) >> (i == 2);
        lease.checkpoint.sub_sequence = mr_random_below(&random_numbers, 1000);
    }
    random_text(lease.owner);
    random_text(lease.handing);
    lease.counter = mr_random_below(&random_numbers, 1000000);
    lease.switches = mr_random_below(&random_numbers, 9);
    lease.began_ms = (int64_t)mr_random_below(&random_numbers, 2000000000000);
    lease.parents[0] = random_shard();
    lease.children[0] = random_shard();
    if (lease.parents[0] != MR_NO_SHARD && mr_random_below(&random_numbers, 2))
        lease.parents[1] = lease.parents[0] + 1;
    lease.has_range = mr_random_below(&random_numbers, 2);
    if (lease.has_range)
        lease.last_key = (mr_hash_key){mr_random_next(&random_numbers), 7};
    return lease;
}

static void assert_same(const mr_lease *a, const mr_lease *b)
{
    struct mr_pack left = {0}, right = {0};

    assert_int_equal(a->shard, b->shard);
    mr_lease_pack(&left, a);
    mr_lease_pack(&right, b);
    assert_int_equal(left.size, right.size);
    assert_memory_equal(left.data, right.data, left.size);
    mr_pack_fini(&left);
    mr_pack_fini(&right);
}

struct seen {
    mr_lease leases[16];
    size_t count, faulty;
    char fault[200];
};

static bool see(void *context, const mr_lease *lease, const char *fault)
{
    struct seen *seen = context;

    if (fault) {
        seen->faulty++;
        snprintf(seen->fault, sizeof seen->fault, "%s", fault);
    } else {
        seen->leases[seen->count++] = *lease;
    }
    return true;
}

/* ---- the contract ------------------------------------------------------------------------- */

static void what_is_written_is_read(void **state)
{
    struct world *world = *state;
    mr_error error;

    for (int i = 0; i < world->store_count; i++) {
        mr_lease_store *store = world->stores[i];

        for (int tries = 0; tries < 50; tries++) {
            mr_lease lease = random_lease(5), next = random_lease(5), got;
            struct seen seen = {0};

            must(store->create(store, &lease, &error), &error);
            must(store->get(store, 5, &got, &error), &error);
            assert_same(&got, &lease);
            next.counter = lease.counter + 1;
            must(store->update(store, &lease, &next, &error), &error);
            must(store->list(store, see, &seen, &error), &error);
            assert_int_equal(seen.count, 1);
            assert_same(&seen.leases[0], &next);
            must(store->remove(store, &next, &error), &error);
            assert_int_equal(store->get(store, 5, &got, &error), MR_NOT_FOUND);
        }
    }
}

/* C3 */
static void only_who_knows_the_counter_changes_a_lease(void **state)
{
    struct world *world = *state;
    mr_error error;

    for (int i = 0; i < world->store_count; i++) {
        mr_lease_store *store = world->stores[i];
        mr_lease lease = random_lease(5), stale = lease, next = lease, got;

        must(store->create(store, &lease, &error), &error);
        assert_int_equal(store->create(store, &lease, &error), MR_EXISTS);
        stale.counter++;
        next.counter += 2;
        assert_int_equal(store->update(store, &stale, &next, &error), MR_CONFLICT);
        assert_int_equal(store->remove(store, &stale, &error), MR_CONFLICT);
        must(store->get(store, 5, &got, &error), &error);
        assert_same(&got, &lease);
        stale.shard = next.shard = 6;
        assert_int_equal(store->update(store, &stale, &next, &error), MR_NOT_FOUND);
        assert_int_equal(store->remove(store, &stale, &error), MR_NOT_FOUND);
        must(store->remove(store, &lease, &error), &error);
    }
}

struct race {
    mr_lease_store *store;
    uint64_t won;
};

static void *count_up(void *context)
{
    struct race *race = context;
    mr_error error;

    while (race->won < 50) {
        mr_lease lease, next;
        mr_status status = race->store->get(race->store, 1, &lease, &error);

        next = lease;
        next.counter++;
        next.switches++;
        if (!status)
            status = race->store->update(race->store, &lease, &next, &error);
        race->won += !status;
        if (status && status != MR_CONFLICT && status != MR_BUSY)
            return context;
    }
    return NULL;
}

static void of_many_at_once_one_wins(void **state)
{
    struct world *world = *state;
    mr_error error;

    for (int i = 0; i < world->store_count; i++) {
        mr_lease_store *store = world->stores[i], *other = NULL;
        struct race races[4];
        pthread_t threads[4];
        mr_lease lease = mr_lease_of(1, MR_MARK_TRIM_HORIZON);

        must(store->create(store, &lease, &error), &error);
        if (i == FILE_STORE) /* as another process has it */
            must(mr_lease_store_file(&other, world->path, STREAM, "app", &error), &error);
        for (int t = 0; t < 4; t++) {
            races[t] = (struct race){.store = other && t % 2 ? other : store};
            pthread_create(&threads[t], NULL, count_up, &races[t]);
        }
        for (int t = 0; t < 4; t++) {
            void *failed;

            pthread_join(threads[t], &failed);
            assert_null(failed);
        }
        must(store->get(store, 1, &lease, &error), &error);
        assert_int_equal(lease.switches, 200);
        mr_lease_store_close(other);
    }
}

static bool add_name(void *context, const char *application)
{
    strcat(context, application);
    strcat(context, " ");
    return true;
}

static void applications_are_apart_and_have_names(void **state)
{
    struct world *world = *state, other = *world;
    mr_lease lease = mr_lease_of(1, MR_MARK_LATEST), got;
    char names[100] = "";
    mr_error error;

    open_stores(&other, "app.2");
    for (int i = ENGINE; i < world->store_count; i++) {
        mr_lease_store *first = world->stores[i], *second = other.stores[i];

        must(first->create(first, &lease, &error), &error);
        assert_int_equal(second->get(second, 1, &got, &error), MR_NOT_FOUND);
        must(second->create(second, &lease, &error), &error);
    }
    must(mr_applications_engine(world->engine, STREAM, add_name, names, &error), &error);
    must(mr_applications_file(world->path, STREAM, add_name, names, &error), &error);
    assert_string_equal(names, "app.2 app app app.2 ");
    if (other.poster)
        empty(other.stores[DYNAMODB]);
    close_stores(&other);
    for (size_t i = 0; i < 3; i++) {
        const char *const bad[] = {"", "a/b", "a b"};

        assert_int_equal(
            mr_lease_store_engine(&other.stores[0], world->engine, STREAM, bad[i], &error),
            MR_INVALID);
    }
}

/* ---- edited ------------------------------------------------------------------------------- */

static void run_sql(const struct world *world, const char *text)
{
    sqlite3 *database;

    assert_int_equal(sqlite3_open(world->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void rows_that_somebody_spoiled_are_faults(void **state)
{
    static const char *const edits[] = {
        "UPDATE leases SET counter = 'x'",
        "UPDATE leases SET counter = -1",
        "UPDATE leases SET checkpoint = 'somewhere'",
        "UPDATE leases SET checkpoint = ''",
        "UPDATE leases SET sub_sequence = 'first'",
        "UPDATE leases SET parent = 'mother'",
        "UPDATE leases SET first_key = 'x', last_key = '1'",
        "UPDATE leases SET owner = printf('%200s', 'x')",
        "UPDATE leases SET shard = 'shard'",
    };
    struct world *world = *state;
    mr_lease_store *store = world->stores[FILE_STORE];
    mr_error error;

    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        mr_lease lease = mr_lease_of(3, MR_MARK_LATEST), next = lease;
        struct seen seen = {0};

        must(store->create(store, &lease, &error), &error);
        run_sql(world, edits[i]);
        must(store->list(store, see, &seen, &error), &error);
        assert_int_equal(seen.count, 0);
        assert_int_equal(seen.faulty, 1);
        assert_true(strlen(seen.fault) > 10);
        next.counter = 77;
        run_sql(world, "DELETE FROM leases");
        assert_int_equal(store->update(store, &lease, &next, &error), MR_NOT_FOUND);
    }
    must(store->create(store, &(mr_lease){.shard = 3}, &error), &error);
    run_sql(world, "UPDATE leases SET checkpoint = '12345', sub_sequence = 6, counter = 9");
    {
        mr_lease got;
        char text[MR_MARK_TEXT_BYTES];

        must(store->get(store, 3, &got, &error), &error);
        mr_mark_format(&got.checkpoint, text);
        assert_string_equal(text, "12345");
        assert_int_equal(got.checkpoint.sub_sequence, 6);
        assert_int_equal(got.counter, 9);
    }
}

static void a_file_that_is_no_database_is_left_alone(void **state)
{
    struct world *world = *state;
    mr_lease_store *store;
    mr_error error;
    char path[240];
    FILE *file;

    snprintf(path, sizeof path, "%s.text", world->path);
    file = fopen(path, "w");
    fprintf(file, "%4096s", "not a database");
    fclose(file);
    assert_int_equal(mr_lease_store_file(&store, path, STREAM, "app", &error), MR_CORRUPT);
    assert_non_null(strstr(error.message, "no lease file"));
}

static void packed_leases_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    for (int tries = 0; tries < 200; tries++) {
        mr_lease lease = random_lease(1), got;
        struct mr_pack pack = {0};
        const char *fault;

        mr_lease_pack(&pack, &lease);
        assert_true(mr_lease_unpack((mr_bytes){pack.data, pack.size}, 1, &got, &fault));
        assert_same(&got, &lease);
        for (size_t size = 0; size < pack.size; size++)
            assert_false(mr_lease_unpack((mr_bytes){pack.data, size}, 1, &got, &fault));
        mr_pack_u8(&pack, 0);
        assert_false(mr_lease_unpack((mr_bytes){pack.data, pack.size}, 1, &got, &fault));
        pack.data[0] = 2;
        assert_false(mr_lease_unpack((mr_bytes){pack.data, pack.size}, 1, &got, &fault));
        assert_non_null(strstr(fault, "newer"));
        mr_pack_fini(&pack);
    }
}

/* ---- DynamoDB's items ---------------------------------------------------------------------- */

static void items_are_read_as_written(void **state)
{
    (void)state;
    for (int tries = 0; tries < 200; tries++) {
        mr_lease lease = random_lease(4), got;
        struct mr_pack pack = {0};
        struct mr_json json;
        const char *fault;

        mr_item_write(&pack, &lease);
        json = mr_json_of((mr_bytes){pack.data, pack.size});
        assert_int_equal(mr_item_read(&json, &got, &fault), MR_ITEM_LEASE);
        assert_true(mr_json_done(&json));
        if (lease.parents[0] == MR_NO_SHARD)
            lease.parents[1] = MR_NO_SHARD;
        assert_same(&got, &lease);
        mr_pack_fini(&pack);
    }
}

static enum mr_item read_item(const char *text, mr_lease *lease, const char **fault)
{
    struct mr_json json = mr_json_of((mr_bytes){text, strlen(text)});

    *fault = "";
    return mr_item_read(&json, lease, fault);
}

static void the_kcls_items_are_read(void **state)
{
    const char *fault;
    mr_lease lease;
    (void)state;

    assert_int_equal(
        read_item("{\"leaseKey\":{\"S\":\"shardId-000000000007\"},\"leaseOwner\":{\"S\":\"w1\"},"
                  "\"leaseCounter\":{\"N\":\"42\"},\"ownerSwitchesSinceCheckpoint\":{\"N\":\"0\"},"
                  "\"checkpoint\":{\"S\":"
                  "\"49546986683135544286507457936321625675700192471156785154\"},"
                  "\"checkpointSubSequenceNumber\":{\"N\":\"3\"},\"parentShardId\":{\"SS\":"
                  "[\"shardId-000000000001\",\"shardId-000000000002\"]},"
                  "\"throughputKBps\":{\"N\":\"1.5\"},\"startingHashKey\":{\"S\":\"0\"},"
                  "\"endingHashKey\":{\"S\":\"340282366920938463463374607431768211455\"},"
                  "\"pendingCheckpointState\":{\"B\":\"AAAA\"}}",
                  &lease, &fault),
        MR_ITEM_LEASE);
    assert_int_equal(lease.shard, 7);
    assert_int_equal(lease.counter, 42);
    assert_int_equal(lease.parents[1], 2);
    assert_true(lease.has_range);
    assert_int_equal(lease.checkpoint.sub_sequence, 3);
    assert_int_equal(mr_mark_number(&lease.checkpoint), 469);
    assert_int_equal(
        read_item("{\"leaseKey\":{\"S\":\"Leader\"},\"entityType\":{\"S\":\"LEADER\"}}", &lease,
                  &fault),
        MR_ITEM_OTHER);
    assert_int_equal(
        read_item("{\"leaseKey\":{\"S\":\"shardId-1\"},\"checkpoint\":{\"S\":\"LATEST\"}}", &lease,
                  &fault),
        MR_ITEM_FAULTY);
    assert_string_equal(fault, "its leaseCounter is no number");
    assert_int_equal(read_item("{\"leaseKey\":{\"S\":", &lease, &fault), MR_ITEM_NONE);
}

/* ---- marks -------------------------------------------------------------------------------- */

static void marks_are_in_the_kcls_order_and_come_back_from_text(void **state)
{
    static const char *const rising[] = {
        "AT_TIMESTAMP",
        "TRIM_HORIZON",
        "LATEST",
        "0",
        "9",
        "10",
        "49546986683135544286507457936321625675700192471156785154",
        "49546986683135544286507457936321625675700192471156785155",
        "6277101735386680763835789423207666416102355444464034512895",
        "SHARD_END"};
    mr_mark marks[10], mark;
    mr_sequence sequence;
    char text[MR_MARK_TEXT_BYTES];
    mr_error error;
    (void)state;

    for (size_t i = 0; i < 10; i++) {
        must(mr_mark_parse(rising[i], 0, &marks[i], &error), &error);
        mr_mark_format(&marks[i], text);
        assert_string_equal(text, rising[i]);
        for (size_t k = 0; k <= i; k++) {
            int order = mr_mark_compare(&marks[k], &marks[i]);

            assert_int_equal(order, k == i ? 0 : -1);
        }
    }
    must(mr_mark_parse(rising[6], 1, &mark, &error), &error);
    assert_int_equal(mr_mark_compare(&marks[6], &mark), -1);
    assert_int_equal(mr_mark_compare(&mark, &marks[7]), -1);
    must(mr_sequence_parse(rising[6], &sequence, &error), &error);
    mark = mr_mark_of(&sequence);
    assert_int_equal(mr_mark_compare(&mark, &marks[6]), 0);
    assert_int_equal(mr_mark_number(&mark), sequence.number);
    assert_int_equal(mr_mark_parse("", 0, &mark, &error), MR_INVALID);
    assert_int_equal(mr_mark_parse("12x", 0, &mark, &error), MR_INVALID);
    assert_int_equal(mr_mark_parse("-1", 0, &mark, &error), MR_INVALID);
    assert_int_equal(mr_mark_parse("6277101735386680763835789423207666416102355444464034512896", 0,
                                   &mark, &error),
                     MR_INVALID); /* 2^192 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, open_world, close_world),
        cmocka_unit_test_setup_teardown(only_who_knows_the_counter_changes_a_lease, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(of_many_at_once_one_wins, open_world, close_world),
        cmocka_unit_test_setup_teardown(applications_are_apart_and_have_names, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(rows_that_somebody_spoiled_are_faults, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_database_is_left_alone, open_world,
                                        close_world),
        cmocka_unit_test(packed_leases_are_read_whole_or_not_at_all),
        cmocka_unit_test(items_are_read_as_written),
        cmocka_unit_test(the_kcls_items_are_read),
        cmocka_unit_test(marks_are_in_the_kcls_order_and_come_back_from_text),
    };

    random_numbers = seed_random();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
