/* The loop: timers however they are moved, tasks of many threads, files. */
#include "os/loop.h"
#include "os/socket.h"
#include "support/seed.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct mr_loop *loop;

static int setup(void **state)
{
    (void)state;
    return mr_loop_open(&loop, NULL) == MR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mr_loop_close(loop);
    return 0;
}

/* ---- timers ------------------------------------------------------------------------------- */

#define TIMER_COUNT 500

static struct timed {
    struct mr_timer timer;
    uint64_t wanted_ms;
    unsigned fired;
} timed[TIMER_COUNT];
static size_t fired_count, fired_wanted;

static void timed_fire(struct mr_timer *timer)
{
    struct timed *each = (struct timed *)(void *)timer;

    each->fired++;
    assert_int_equal(timer->due_ms, each->wanted_ms);
    assert_true(mr_loop_now_ms(loop) >= each->wanted_ms);
    if (++fired_count == fired_wanted)
        mr_loop_end(loop);
}

static void timers_fire_once_and_never_early_however_moved(void **state)
{
    struct mr_random random = seed_random();
    uint64_t now_ms = mr_loop_now_ms(loop);

    (void)state;
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < TIMER_COUNT; i++) {
            timed[i].timer.fire = timed_fire;
            timed[i].wanted_ms = now_ms + mr_random_below(&random, 100);
            mr_timer_set(loop, &timed[i].timer, timed[i].wanted_ms);
            if (mr_random_below(&random, 5) == 0) {
                mr_timer_clear(loop, &timed[i].timer);
                timed[i].wanted_ms = 0;
            }
        }
    for (size_t i = 0; i < TIMER_COUNT; i++)
        fired_wanted += timed[i].wanted_ms != 0;
    mr_loop_run(loop);
    for (size_t i = 0; i < TIMER_COUNT; i++)
        assert_int_equal(timed[i].fired, timed[i].wanted_ms != 0);
}

/* ---- tasks -------------------------------------------------------------------------------- */

#define THREAD_COUNT 4
#define POST_COUNT 20000

static struct posted {
    struct mr_task task;
    unsigned thread, index;
} posts[THREAD_COUNT][POST_COUNT];
static unsigned seen[THREAD_COUNT];
static size_t seen_count;

static void posted_run(struct mr_task *task)
{
    struct posted *posted = (struct posted *)(void *)task;

    assert_int_equal(posted->index, seen[posted->thread]++);
    if (++seen_count == THREAD_COUNT * POST_COUNT)
        mr_loop_end(loop);
}

static void *post_all(void *context)
{
    struct posted *own = context;

    for (unsigned i = 0; i < POST_COUNT; i++)
        mr_loop_post(loop, &own[i].task);
    return NULL;
}

static void tasks_of_threads_all_run_in_their_order(void **state)
{
    pthread_t threads[THREAD_COUNT];

    (void)state;
    for (unsigned t = 0; t < THREAD_COUNT; t++)
        for (unsigned i = 0; i < POST_COUNT; i++)
            posts[t][i] = (struct posted){{posted_run, NULL}, t, i};
    for (unsigned t = 0; t < THREAD_COUNT; t++)
        pthread_create(&threads[t], NULL, post_all, posts[t]);
    mr_loop_run(loop);
    for (unsigned t = 0; t < THREAD_COUNT; t++)
        pthread_join(threads[t], NULL);
    assert_int_equal(seen_count, THREAD_COUNT * POST_COUNT);
}

static struct mr_task again_task;
static unsigned again_count;

static void again_run(struct mr_task *task)
{
    if (++again_count < 1000)
        mr_loop_later(loop, task);
    else
        mr_loop_end(loop);
}

static void a_task_may_queue_itself(void **state)
{
    (void)state;
    again_task.run = again_run;
    mr_loop_later(loop, &again_task);
    mr_loop_run(loop);
    assert_int_equal(again_count, 1000);
}

static void drains_what_is_queued_when_it_has_ended(void **state)
{
    struct posted late = {{posted_run, NULL}, 0, 0};

    (void)state;
    seen[0] = 0;
    mr_loop_post(loop, &late.task);
    mr_loop_drain(loop);
    assert_int_equal(seen[0], 1);
}

/* ---- files -------------------------------------------------------------------------------- */

static struct mr_watch watch;
static uint32_t got_events[4];
static size_t got_count;

static void watch_ready(struct mr_watch *ready, uint32_t events)
{
    assert_ptr_equal(ready, &watch);
    got_events[got_count++] = events;
    if (got_count == 1) {
        assert_true(mr_loop_watch(loop, &watch, EPOLLIN));
    } else {
        mr_loop_unwatch(loop, &watch);
        mr_loop_end(loop);
    }
}

static void tells_what_a_file_is_ready_for(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    watch = (struct mr_watch){.fd = ends[0], .ready = watch_ready};
    assert_true(mr_loop_watch(loop, &watch, EPOLLOUT));
    assert_int_equal(mr_socket_write(ends[1], (mr_bytes){"ab", 2}, (mr_bytes){"c", 1}), 3);
    mr_loop_run(loop);
    assert_int_equal(got_events[0], EPOLLOUT);
    assert_int_equal(got_events[1], EPOLLIN);
    close(ends[0]);
    close(ends[1]);
}

#define each(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(timers_fire_once_and_never_early_however_moved),
        each(tasks_of_threads_all_run_in_their_order),
        each(a_task_may_queue_itself),
        each(drains_what_is_queued_when_it_has_ended),
        each(tells_what_a_file_is_ready_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
