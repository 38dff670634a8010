/* Threads that do what would block others: every job once, in order, and all before they stop. */
#include "base/memory.h"
#include "os/thread.h"
#include "os/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define JOB_COUNT 20000

struct count {
    struct mr_workers *workers;
    _Atomic uint32_t begun, ended;
    uint32_t order[JOB_COUNT]; /* by when a job began */
};

struct numbered {
    struct mr_job job; /* first */
    struct count *count;
    uint32_t number, again;
};

static void note(struct mr_job *job)
{
    struct numbered *numbered = (struct numbered *)(void *)job;
    struct count *count = numbered->count;

    count->order[atomic_fetch_add(&count->begun, 1)] = numbered->number;
    atomic_fetch_add(&count->ended, 1);
}

static struct numbered *jobs_of(struct count *count)
{
    struct numbered *jobs = mr_alloc_zero(JOB_COUNT, sizeof *jobs);

    for (uint32_t i = 0; i < JOB_COUNT; i++)
        jobs[i] = (struct numbered){.job.run = note, .count = count, .number = i};
    return jobs;
}

static void one_thread_runs_jobs_in_their_order(void **state)
{
    struct count *count = mr_new(struct count);
    struct numbered *jobs = jobs_of(count);

    (void)state;
    count->workers = mr_workers_new("test", 1);
    for (uint32_t i = 0; i < JOB_COUNT; i++)
        mr_workers_add(count->workers, &jobs[i].job);
    mr_workers_free(count->workers); /* what is queued is done first */
    assert_int_equal(count->ended, JOB_COUNT);
    for (uint32_t i = 0; i < JOB_COUNT; i++)
        assert_int_equal(count->order[i], i);
    mr_free(jobs);
    mr_free(count);
}

static void many_threads_run_each_job_once(void **state)
{
    struct count *count = mr_new(struct count);
    struct numbered *jobs = jobs_of(count);
    uint8_t *seen = mr_alloc_zero(JOB_COUNT, 1);

    (void)state;
    count->workers = mr_workers_new("test", 4);
    for (uint32_t i = 0; i < JOB_COUNT; i++)
        mr_workers_add(count->workers, &jobs[i].job);
    mr_workers_free(count->workers);
    assert_int_equal(count->ended, JOB_COUNT);
    for (uint32_t i = 0; i < JOB_COUNT; i++)
        assert_int_equal(seen[count->order[i]]++, 0);
    mr_free(seen);
    mr_free(jobs);
    mr_free(count);
}

static void add_again(struct mr_job *job)
{
    struct numbered *numbered = (struct numbered *)(void *)job;

    atomic_fetch_add(&numbered->count->begun, 1);
    if (numbered->again-- > 0)
        mr_workers_add(numbered->count->workers, job);
    else
        mr_free(numbered);
}

static void a_job_may_add_itself_and_free_itself(void **state)
{
    struct count *count = mr_new(struct count);

    (void)state;
    count->workers = mr_workers_new("test", 3);
    for (uint32_t i = 0; i < 10; i++) {
        struct numbered *numbered = mr_new(struct numbered);

        *numbered = (struct numbered){.job.run = add_again, .count = count, .again = 99};
        mr_workers_add(count->workers, &numbered->job);
    }
    mr_workers_free(count->workers); /* even those that are added while it stops */
    assert_int_equal(count->begun, 1000);
    mr_free(count);
}

struct meeting {
    struct mr_job job; /* first */
    _Atomic uint32_t *there;
};

/* Goes on only when both are there. */
static void meet(struct mr_job *job)
{
    _Atomic uint32_t *there = ((struct meeting *)(void *)job)->there;

    atomic_fetch_add(there, 1);
    mr_word_wake(there, true);
    while (atomic_load(there) < 2)
        mr_word_wait(there, 1, UINT32_MAX);
}

static void a_job_that_waits_holds_up_no_other(void **state)
{
    _Atomic uint32_t there = 0;
    struct meeting first = {{.run = meet}, &there}, second = {{.run = meet}, &there};
    struct mr_workers *workers = mr_workers_new("test", 2);

    (void)state;
    mr_workers_add(workers, &first.job);
    mr_workers_add(workers, &second.job);
    mr_workers_free(workers);
    assert_int_equal(there, 2);
    mr_workers_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_runs_jobs_in_their_order),
        cmocka_unit_test(many_threads_run_each_job_once),
        cmocka_unit_test(a_job_may_add_itself_and_free_itself),
        cmocka_unit_test(a_job_that_waits_holds_up_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
