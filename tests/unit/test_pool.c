#include "os/thread.h"
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

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

/* The pool's user looks when it is asked to, and as long as it is told to. */
static void jobs_that_wait_for_each_other_all_begin(void **state)
{
    enum { ROUNDS = 300, JOBS = 3 };
    _Atomic uint32_t look_word = 0;
    struct mr_pool *pool = mr_pool_new(1, JOBS, &look_word);
    (void)state;

    for (int round = 0; round < ROUNDS; round++) {
        _Atomic uint32_t here = 0;
        struct meeting meetings[JOBS];
        uint32_t seen = atomic_load(&look_word);

        for (int i = 0; i < JOBS; i++) {
            meetings[i] = (struct meeting){{.run = meet}, &here, JOBS};
            mr_pool_add(pool, &meetings[i].job);
        }
        while (atomic_load(&here) < JOBS) {
            bool again = atomic_load(&look_word) != seen;

            seen = atomic_load(&look_word);
            while (again)
                again = mr_pool_look(pool);
            if (atomic_load(&here) < JOBS)
                mr_word_wait(&look_word, seen, 1);
        }
        /* The jobs are done with what is on our stack. */
        mr_pool_free(pool);
        pool = mr_pool_new(1, JOBS, &look_word);
    }
    mr_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jobs_that_wait_for_each_other_all_begin)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
