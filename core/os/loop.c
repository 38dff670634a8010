#include "os/loop.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENT_COUNT 256

struct mr_loop {
    int epoll;
    bool ended;
    uint64_t now_ms;
    struct mr_watch bell; /* rung by mr_loop_post() when the loop sleeps */

    struct mr_timer **timers; /* a heap by key_ms */
    size_t timer_count, timer_capacity;

    struct mr_task *later, **later_end;
    _Alignas(64) _Atomic(struct mr_task *) posted; /* newest first */
    _Atomic bool sleeping;
};

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void bell_ready(struct mr_watch *bell, uint32_t events)
{
    uint64_t count;

    (void)events;
    (void)!read(bell->fd, &count, sizeof count); /* posted tasks are looked at every turn anyway */
}

mr_status mr_loop_open(struct mr_loop **out, mr_error *error)
{
    struct mr_loop *loop = aligned_alloc(_Alignof(struct mr_loop), sizeof *loop);

    if (!loop)
        mr_out_of_memory(sizeof *loop);
    *loop = (struct mr_loop){.epoll = -1, .bell = {.fd = -1, .ready = bell_ready}};
    loop->later_end = &loop->later;
    loop->now_ms = clock_ms();
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll < 0 || loop->bell.fd < 0 || !mr_loop_watch(loop, &loop->bell, EPOLLIN)) {
        mr_status status = mr_fail_os(error, errno, "cannot make an event loop");
        mr_loop_close(loop);
        return status;
    }
    *out = loop;
    return MR_OK;
}

void mr_loop_close(struct mr_loop *loop)
{
    if (!loop)
        return;
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->bell.fd >= 0)
        close(loop->bell.fd);
    mr_free(loop->timers);
    free(loop);
}

uint64_t mr_loop_now_ms(const struct mr_loop *loop)
{
    return loop->now_ms;
}

void mr_loop_end(struct mr_loop *loop)
{
    loop->ended = true;
}

/* ---- files -------------------------------------------------------------------------------- */

bool mr_loop_watch(struct mr_loop *loop, struct mr_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (epoll_ctl(loop->epoll, watch->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd,
                  &event) != 0)
        return false;
    watch->is_watched = true;
    watch->events = events;
    return true;
}

void mr_loop_unwatch(struct mr_loop *loop, struct mr_watch *watch)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->is_watched = false;
    watch->events = 0;
}

/* ---- times -------------------------------------------------------------------------------- */

static struct mr_timer *timer_at(const struct mr_loop *loop, size_t place)
{
    return loop->timers[place - 1];
}

static void timer_lay(struct mr_loop *loop, size_t place, struct mr_timer *timer)
{
    loop->timers[place - 1] = timer;
    timer->place = place;
}

/* Moves timer from a free place up or down to where it belongs. */
static void timer_sift(struct mr_loop *loop, size_t place, struct mr_timer *timer)
{
    while (place > 1 && timer_at(loop, place / 2)->key_ms > timer->key_ms) {
        timer_lay(loop, place, timer_at(loop, place / 2));
        place /= 2;
    }
    for (;;) {
        size_t child = place * 2;
        if (child < loop->timer_count &&
            timer_at(loop, child + 1)->key_ms < timer_at(loop, child)->key_ms)
            child++;
        if (child > loop->timer_count || timer_at(loop, child)->key_ms >= timer->key_ms)
            break;
        timer_lay(loop, place, timer_at(loop, child));
        place = child;
    }
    timer_lay(loop, place, timer);
}

void mr_timer_set(struct mr_loop *loop, struct mr_timer *timer, uint64_t due_ms)
{
    timer->due_ms = due_ms;
    if (timer->place && due_ms >= timer->key_ms)
        return; /* it moves when the loop comes to its old time */
    timer->key_ms = due_ms;
    if (!timer->place) {
        mr_grow(loop->timers, loop->timer_count, loop->timer_capacity);
        timer->place = ++loop->timer_count;
    }
    timer_sift(loop, timer->place, timer);
}

void mr_timer_clear(struct mr_loop *loop, struct mr_timer *timer)
{
    size_t place = timer->place;
    struct mr_timer *last;

    if (!place)
        return;
    timer->place = 0;
    last = loop->timers[--loop->timer_count];
    if (last != timer)
        timer_sift(loop, place, last);
}

static void timers_fire(struct mr_loop *loop)
{
    while (loop->timer_count && loop->timers[0]->key_ms <= loop->now_ms) {
        struct mr_timer *timer = loop->timers[0];

        if (timer->due_ms > loop->now_ms) {
            timer->key_ms = timer->due_ms;
            timer_sift(loop, 1, timer);
            continue;
        }
        mr_timer_clear(loop, timer);
        timer->fire(timer);
    }
}

/* ---- tasks -------------------------------------------------------------------------------- */

void mr_loop_later(struct mr_loop *loop, struct mr_task *task)
{
    task->next = NULL;
    *loop->later_end = task;
    loop->later_end = &task->next;
}

void mr_loop_post(struct mr_loop *loop, struct mr_task *task)
{
    const uint64_t one = 1;
    struct mr_task *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);

    do
        task->next = newest;
    while (!atomic_compare_exchange_weak(&loop->posted, &newest, task));
    /* task may be gone from here on */
    if (atomic_load(&loop->sleeping) && atomic_exchange(&loop->sleeping, false))
        mr_check(write(loop->bell.fd, &one, sizeof one) == sizeof one);
}

/* Moves what others have posted behind what is queued here, oldest first. */
static void tasks_collect(struct mr_loop *loop)
{
    struct mr_task *task = atomic_exchange(&loop->posted, NULL), *oldest = NULL;

    while (task) {
        struct mr_task *next = task->next;
        task->next = oldest;
        oldest = task;
        task = next;
    }
    while (oldest) {
        task = oldest;
        oldest = oldest->next;
        mr_loop_later(loop, task);
    }
}

static void tasks_run(struct mr_loop *loop)
{
    struct mr_task *task = loop->later;

    loop->later = NULL;
    loop->later_end = &loop->later;
    while (task) {
        struct mr_task *next = task->next;
        task->run(task);
        task = next;
    }
}

void mr_loop_drain(struct mr_loop *loop)
{
    for (tasks_collect(loop); loop->later; tasks_collect(loop))
        tasks_run(loop);
}

/* ---- turns -------------------------------------------------------------------------------- */

static int sleep_ms(const struct mr_loop *loop)
{
    uint64_t key_ms;

    if (loop->later)
        return 0;
    if (!loop->timer_count)
        return -1;
    key_ms = loop->timers[0]->key_ms;
    if (key_ms <= loop->now_ms)
        return 0;
    return key_ms - loop->now_ms > 60000 ? 60000 : (int)(key_ms - loop->now_ms);
}

void mr_loop_run(struct mr_loop *loop)
{
    struct epoll_event events[EVENT_COUNT];

    loop->now_ms = clock_ms();
    while (!loop->ended) {
        int timeout = sleep_ms(loop), count;

        /* Posters look at `sleeping` after they posted, we at `posted` after we set it: one of
         * the two sees the other. */
        if (timeout != 0) {
            atomic_store(&loop->sleeping, true);
            if (atomic_load(&loop->posted))
                timeout = 0;
        }
        count = epoll_wait(loop->epoll, events, EVENT_COUNT, timeout);
        atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
        mr_check(count >= 0 || errno == EINTR);
        loop->now_ms = clock_ms();
        for (int i = 0; i < count; i++) {
            struct mr_watch *watch = events[i].data.ptr;
            watch->ready(watch, events[i].events);
        }
        timers_fire(loop);
        tasks_collect(loop);
        tasks_run(loop);
    }
}
