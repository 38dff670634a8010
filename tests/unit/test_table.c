#include "base/table.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void has_nothing_at_first(void **state)
{
    struct mr_table table = {0};
    size_t place = 0;

    (void)state;
    assert_null(mr_table_get(&table, bytes_of("a")));
    assert_null(mr_table_remove(&table, bytes_of("a")));
    assert_null(mr_table_next(&table, &place));
    mr_table_fini(&table);
}

static void tells_keys_apart_by_all_their_bytes(void **state)
{
    struct mr_table table = {0};
    int values[4];
    const mr_bytes keys[4] = {{NULL, 0}, {"\0", 1}, {"\0\0", 2}, {"\0a", 2}};

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_null(mr_table_put(&table, keys[i], &values[i]));
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(mr_table_get(&table, keys[i]), &values[i]);
    mr_table_fini(&table);
}

static void put_replaces_value_and_key(void **state)
{
    struct mr_table table = {0};
    char first_key[] = "name", second_key[] = "name";
    int first, second;

    (void)state;
    assert_null(mr_table_put(&table, bytes_of(first_key), &first));
    assert_ptr_equal(mr_table_put(&table, bytes_of(second_key), &second), &first);
    first_key[0] = 'x'; /* the table does not look at it any more */
    assert_ptr_equal(mr_table_get(&table, bytes_of("name")), &second);
    assert_int_equal(table.count, 1);
    mr_table_fini(&table);
}

#define KEY_COUNT 600

struct entry {
    char key[16];
    bool is_in, is_seen;
};

static void visits_all_once(const struct mr_table *table, struct entry *entries)
{
    size_t place = 0, seen = 0;
    struct entry *entry;

    for (size_t i = 0; i < KEY_COUNT; i++)
        entries[i].is_seen = false;
    while ((entry = mr_table_next(table, &place))) {
        assert_true(entry->is_in && !entry->is_seen);
        entry->is_seen = true;
        seen++;
    }
    assert_int_equal(seen, table->count);
}

/* Fill and empty in waves, so that chains grow, break and close around the end of the slots. */
static void agrees_with_a_plain_array(void **state)
{
    struct mr_random random = seed_random();
    static struct entry entries[KEY_COUNT];
    struct mr_table table = {0};
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < KEY_COUNT; i++)
        snprintf(entries[i].key, sizeof entries[i].key, "%zu", i);
    for (int step = 0; step < 60000; step++) {
        struct entry *entry = &entries[mr_random_below(&random, KEY_COUNT)];
        mr_bytes key = bytes_of(entry->key);
        bool fills = step / 2000 % 2 == 0;
        if (mr_random_below(&random, 4) > 0 ? fills : !fills) {
            assert_ptr_equal(mr_table_put(&table, key, entry), entry->is_in ? entry : NULL);
            count += !entry->is_in;
            entry->is_in = true;
        } else {
            assert_ptr_equal(mr_table_remove(&table, key), entry->is_in ? entry : NULL);
            count -= entry->is_in;
            entry->is_in = false;
        }
        assert_int_equal(table.count, count);
        if (step % 500 == 0) {
            for (size_t i = 0; i < KEY_COUNT; i++)
                assert_ptr_equal(mr_table_get(&table, bytes_of(entries[i].key)),
                                 entries[i].is_in ? &entries[i] : NULL);
            visits_all_once(&table, entries);
        }
    }
    mr_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_nothing_at_first),
        cmocka_unit_test(tells_keys_apart_by_all_their_bytes),
        cmocka_unit_test(put_replaces_value_and_key),
        cmocka_unit_test(agrees_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
