/* Memory for bodies, against a model: contents stay, reservations add up, the first to wait goes
 * first. */
#include "server/body.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BODY_COUNT 20
#define LIMIT (4u << 20)

static void keeps_contents_and_the_limit(void **state)
{
    struct mr_random random = seed_random();
    struct mr_bodies bodies;
    struct mr_body body[BODY_COUNT] = {{0}};
    uint64_t sizes[BODY_COUNT] = {0}, reserved = 0;

    (void)state;
    mr_bodies_init(&bodies, LIMIT);
    for (int step = 0; step < 20000; step++) {
        size_t i = (size_t)mr_random_below(&random, BODY_COUNT);
        struct mr_body *next;

        if (sizes[i] == 0) {
            sizes[i] =
                1 + mr_random_below(&random, mr_random_below(&random, 2) ? 100000 : LIMIT + 9);
            mr_body_reserve(&bodies, &body[i], sizes[i]);
        } else if (!body[i].is_waiting && body[i].size < sizes[i]) {
            size_t more = 1 + (size_t)mr_random_below(&random, sizes[i] - body[i].size);
            mr_body_extend(&bodies, &body[i], body[i].size + more);
            memset(body[i].data + body[i].size, (int)i + 1, more);
            body[i].size += more;
        } else {
            for (size_t k = 0; k < body[i].size; k += 997)
                assert_int_equal(body[i].data[k], i + 1);
            mr_body_release(&bodies, &body[i]);
            sizes[i] = 0;
        }
        while ((next = mr_bodies_next(&bodies)))
            assert_false(next->is_waiting);
        reserved = 0;
        for (size_t k = 0; k < BODY_COUNT; k++)
            if (!body[k].is_waiting)
                reserved += body[k].reserved;
        assert_int_equal(bodies.reserved, reserved);
        assert_true(reserved <= LIMIT + 9);
        assert_true(reserved > 0 || !bodies.first); /* a body alone is never kept waiting */
    }
    for (size_t i = 0; i < BODY_COUNT; i++)
        mr_body_release(&bodies, &body[i]);
    mr_bodies_fini(&bodies);
}

static void those_who_wait_go_in_order(void **state)
{
    struct mr_body body[4] = {{0}};
    struct mr_bodies bodies;

    (void)state;
    mr_bodies_init(&bodies, 1 << 20);
    assert_true(mr_body_reserve(&bodies, &body[0], 1 << 20));
    assert_false(mr_body_reserve(&bodies, &body[1], 1 << 20));
    assert_false(mr_body_reserve(&bodies, &body[2], 100000));
    assert_true(mr_body_reserve(&bodies, &body[3], MR_BODY_SMALL_BYTES));
    assert_null(mr_bodies_next(&bodies));
    mr_body_release(&bodies, &body[0]);
    assert_ptr_equal(mr_bodies_next(&bodies), &body[1]);
    assert_null(mr_bodies_next(&bodies));
    mr_body_release(&bodies, &body[2]); /* gives up waiting */
    mr_body_release(&bodies, &body[1]);
    assert_null(mr_bodies_next(&bodies));
    assert_int_equal(bodies.reserved, 0);
    mr_body_release(&bodies, &body[3]);
    mr_bodies_fini(&bodies);
}

static void memory_is_used_again(void **state)
{
    struct mr_body body = {0};
    struct mr_bodies bodies;
    uint8_t *first;

    (void)state;
    mr_bodies_init(&bodies, 1 << 20);
    mr_body_extend(&bodies, &body, 5000);
    first = body.data;
    memset(first, 1, 5000 + MR_BODY_SLACK_BYTES);
    mr_body_release(&bodies, &body);
    mr_body_extend(&bodies, &body, 16384);
    assert_ptr_equal(body.data, first);
    mr_body_release(&bodies, &body);
    mr_bodies_fini(&bodies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_contents_and_the_limit),
        cmocka_unit_test(those_who_wait_go_in_order),
        cmocka_unit_test(memory_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
