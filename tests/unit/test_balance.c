/*
 * Which leases a worker takes: simulated rounds of workers that see the same table. Shares become
 * equal, dead workers' leases are taken, children wait, and a balanced table is left alone (C4, C8).
 */
#include "balance.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LEASES 60
#define WORKERS_MAX 7
#define LEASE_NS 1000

struct table {
    struct mr_seen seen[LEASES];
    uint64_t now_ns;
    bool lives[WORKERS_MAX];
    uint32_t most[WORKERS_MAX]; /* lease_count_max */
};

static struct mr_random random_numbers;

static void name_of(unsigned worker, char name[16])
{
    snprintf(name, 16, "worker-%u", worker);
}

static void init(struct table *table)
{
    *table = (struct table){.now_ns = 5 * LEASE_NS};
    for (size_t i = 0; i < LEASES; i++)
        table->seen[i].lease = mr_lease_of((mr_shard_id)i, MR_MARK_TRIM_HORIZON);
    for (size_t i = 0; i < WORKERS_MAX; i++)
        table->most[i] = UINT32_MAX;
}

static uint32_t count_of(const struct table *table, unsigned worker)
{
    uint32_t count = 0;
    char name[16];

    name_of(worker, name);
    for (size_t i = 0; i < LEASES; i++)
        count += strcmp(table->seen[i].lease.owner, name) == 0;
    return count;
}

/* One worker looks and takes; its leases and those of other living ones are renewed. */
static size_t take_turn(struct table *table, unsigned worker)
{
    struct mr_balance balance = {.now_ns = table->now_ns,
                                 .lease_ns = LEASE_NS,
                                 .lease_count_max = table->most[worker],
                                 .steal_count_max = 3};
    size_t chosen[LEASES], stolen, count;
    char name[16], owner[16];

    name_of(worker, name);
    balance.worker = name;
    for (size_t i = 0; i < LEASES; i++) {
        struct mr_seen *seen = &table->seen[i];

        seen->is_ours = strcmp(seen->lease.owner, name) == 0;
        for (unsigned k = 0; k < WORKERS_MAX; k++) {
            name_of(k, owner);
            if (table->lives[k] && strcmp(seen->lease.owner, owner) == 0)
                seen->since_ns = table->now_ns;
        }
    }
    count =
        mr_balance(&balance, table->seen, LEASES, mr_random_next(&random_numbers), chosen, &stolen);
    for (size_t i = 0; i < count; i++) {
        struct mr_seen *seen = &table->seen[chosen[i]];

        assert_true(mr_seen_is_ready(table->seen, LEASES, chosen[i]));
        assert_false(seen->is_ours);
        assert_true(mr_seen_is_free(&balance, seen) == (i < stolen));
        strcpy(seen->lease.owner, name);
        seen->since_ns = table->now_ns;
    }
    return count;
}

static size_t take_turns(struct table *table, unsigned rounds)
{
    size_t taken = 0;

    for (unsigned round = 0; round < rounds; round++, table->now_ns += LEASE_NS / 4) {
        taken = 0;
        for (unsigned worker = 0; worker < WORKERS_MAX; worker++)
            if (table->lives[worker])
                taken += take_turn(table, worker);
    }
    return taken;
}

static void shares_become_equal_and_then_rest(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= WORKERS_MAX; workers++) {
        struct table table;

        init(&table);
        for (unsigned worker = 0; worker < workers; worker++) {
            table.lives[worker] = true;
            take_turns(&table, worker ? 1 : 3);
        }
        take_turns(&table, 60);
        for (unsigned worker = 0; worker < workers; worker++)
            assert_in_range(count_of(&table, worker), LEASES / workers,
                            (LEASES + workers - 1) / workers);
        assert_int_equal(take_turns(&table, 5), 0);
    }
}

static void a_dead_workers_leases_are_taken_once_it_has_been_silent(void **state)
{
    struct table table;
    (void)state;

    init(&table);
    table.lives[0] = table.lives[1] = table.lives[2] = true;
    take_turns(&table, 60);
    table.lives[1] = false;
    take_turns(&table, 3);
    assert_int_equal(count_of(&table, 1), LEASES / 3);
    take_turns(&table, 3);
    assert_int_equal(count_of(&table, 1), 0);
    assert_int_equal(count_of(&table, 0) + count_of(&table, 2), LEASES);
}

static void what_others_may_not_take_is_left_for_nobody(void **state)
{
    struct table table;
    (void)state;

    init(&table);
    table.lives[0] = table.lives[1] = true;
    table.most[0] = 5;
    take_turns(&table, 60);
    assert_int_equal(count_of(&table, 0), 5);
    assert_int_equal(count_of(&table, 1), LEASES - 5);
}

/* C4 */
static void children_wait_for_all_their_parents(void **state)
{
    struct table table;
    (void)state;

    init(&table);
    table.lives[0] = true;
    table.seen[9].lease.parents[0] = 3;
    table.seen[9].lease.parents[1] = 4;
    table.seen[10].lease.parents[0] = 1000; /* long gone */
    table.seen[20].is_faulty = true;
    table.seen[21].lease.parents[0] = 20;
    take_turns(&table, 5);
    assert_string_equal(table.seen[9].lease.owner, "");
    assert_string_not_equal(table.seen[10].lease.owner, "");
    assert_string_equal(table.seen[20].lease.owner, "");
    assert_string_equal(table.seen[21].lease.owner, "");
    table.seen[3].lease.checkpoint = MR_MARK(SHARD_END);
    take_turns(&table, 5);
    assert_string_equal(table.seen[9].lease.owner, "");
    table.seen[4].lease.checkpoint = MR_MARK(SHARD_END);
    take_turns(&table, 5);
    assert_string_not_equal(table.seen[9].lease.owner, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_become_equal_and_then_rest),
        cmocka_unit_test(a_dead_workers_leases_are_taken_once_it_has_been_silent),
        cmocka_unit_test(what_others_may_not_take_is_left_for_nobody),
        cmocka_unit_test(children_wait_for_all_their_parents),
    };

    random_numbers = seed_random();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
