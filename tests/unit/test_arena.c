/* Arenas: what is taken does not overlap and is aligned, the limit holds, a reset forgets. */
#include "base/arena.h"

#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void gives_memory_that_does_not_overlap(void **state)
{
    struct mr_random random = seed_random();
    struct mr_arena arena = MR_ARENA((size_t)64 << 20);
    uint8_t *taken[500];
    size_t sizes[500];
    (void)state;

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 500; i++) {
            sizes[i] = mr_random_below(&random, i % 50 == 0 ? 40000 : 200);
            taken[i] = mr_arena_take(&arena, sizes[i]);
            assert_int_equal((uintptr_t)taken[i] % 16, 0);
            memset(taken[i], (int)i, sizes[i]);
        }
        for (size_t i = 0; i < 500; i++)
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(taken[i][k], (uint8_t)i);
        mr_arena_reset(&arena);
        assert_int_equal(arena.used, 0);
    }
    mr_arena_fini(&arena);
}

static void keeps_of_a_reservation_what_was_written(void **state)
{
    struct mr_arena arena = MR_ARENA(1 << 20);
    uint8_t *first, *second;
    (void)state;

    first = mr_arena_reserve(&arena, 100000);
    memset(first, 'a', 100000);
    mr_arena_keep(&arena, 10);
    assert_int_equal(mr_arena_left(&arena), (1 << 20) - 10);
    second = mr_arena_take(&arena, 10);
    memset(second, 'b', 10);
    assert_memory_equal(first, "aaaaaaaaaa", 10);
    mr_arena_fini(&arena);
}

static void prints_texts_of_any_length(void **state)
{
    struct mr_arena arena = MR_ARENA(1 << 20);
    mr_bytes text = mr_arena_print(&arena, "%0*d", 50000, 7);
    (void)state;

    assert_int_equal(text.size, 50000);
    assert_int_equal(((const char *)text.data)[49999], '7');
    assert_int_equal(((const char *)text.data)[50000], 0);
    mr_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_memory_that_does_not_overlap),
        cmocka_unit_test(keeps_of_a_reservation_what_was_written),
        cmocka_unit_test(prints_texts_of_any_length),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
