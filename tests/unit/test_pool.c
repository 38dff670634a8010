#include "os/thread.h"
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sched.h>

struct meeting {
    struct mr_pool_job job; /* first */
    _Atomic uint32_t *here;
    uint32_t wanted;
};

/* Stays until all others have come. */
static void meet(struct mr_pool_job *job)
{
    struct meeting *meeting = (struct meeting *)(void *)job;
    _Atomic uint32_t *here = meeting->here;
    uint32_t wanted = meeting->wanted, now;

    atomic_fetch_add(here, 1);
    mr_word_wake(here, true);
    while ((now = atomic_load(here)) < wanted)
        mr_word_wait(here, now, 1000);
}

/* Adds jobs that wait for each other to a pool of one thread, and does as a pool's user must: looks
 * when it is asked to (seen: what it knows of the word, so that it misses nothing between two calls),
 * and as long as it is told to. */
static void begin_all(struct mr_pool *pool, _Atomic uint32_t *look_word, uint32_t *seen,
                      struct meeting *meetings, uint32_t count)
{
    _Atomic uint32_t *here = meetings->here;

    for (uint32_t i = 0; i < count; i++)
        mr_pool_add(pool, &meetings[i].job);
    while (atomic_load(here) < count) {
        bool again = atomic_load(look_word) != *seen;

        *seen = atomic_load(look_word);
        while (again)
            again = mr_pool_look(pool);
        sched_yield();
    }
}

static void jobs_that_wait_for_each_other_all_begin(void **state)
{
    enum { ROUNDS = 300, JOBS = 3 };
    (void)state;

    for (int round = 0; round < ROUNDS; round++) {
        _Atomic uint32_t look_word = 0, first = 0, here = 0;
        uint32_t seen = 0;
        struct mr_pool *pool = mr_pool_new(1, JOBS, &look_word);
        struct meeting alone = {{.run = meet}, &first, 1}, meetings[JOBS];

        for (int i = 0; i < JOBS; i++)
            meetings[i] = (struct meeting){{.run = meet}, &here, JOBS};
        /* Most often the thread is idle again by now. */
        begin_all(pool, &look_word, &seen, &alone, 1);
        for (int i = 0; i < 20; i++)
            sched_yield();
        begin_all(pool, &look_word, &seen, meetings, JOBS);
        mr_pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jobs_that_wait_for_each_other_all_begin)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
