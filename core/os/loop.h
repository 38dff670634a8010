/*
 * loop.h - one thread's events: files that are ready, times that have come, tasks of other threads.
 *
 * A loop belongs to the thread that runs it; only mr_loop_post() may be called by others. Nothing
 * here allocates per event: watches, timers and tasks are parts of the objects they serve.
 *
 * Lifetime    An event of this turn may be under way for an object that another event has just
 *             ended: end it, and free it in a task (mr_loop_later()), which runs after them all.
 */
#ifndef MR_OS_LOOP_H
#define MR_OS_LOOP_H

#include "millrace.h"

#include <sys/epoll.h>

struct mr_loop;

/* Set ready and fd once, the rest to 0. Ready is told EPOLLIN, EPOLLOUT, ... */
struct mr_watch {
    int fd;
    uint32_t events; /* what is watched for */
    bool is_watched;
    void (*ready)(struct mr_watch *watch, uint32_t events);
};

/* Set fire once, the rest to 0. */
struct mr_timer {
    void (*fire)(struct mr_timer *timer);
    uint64_t due_ms; /* when it fires, in the loop's time */
    uint64_t key_ms; /* when the loop looks at it: not after due_ms */
    size_t place;    /* in the loop's heap, from 1; 0: not set */
};

/* Set run once. A task may be queued in one place at a time. */
struct mr_task {
    void (*run)(struct mr_task *task);
    struct mr_task *next;
};

/* IO. Close with mr_loop_close(), which does not run what is still queued. */
mr_status mr_loop_open(struct mr_loop **loop, mr_error *error);
void mr_loop_close(struct mr_loop *loop);

/* Serves until a task, timer or watch calls mr_loop_end(). */
void mr_loop_run(struct mr_loop *loop);
void mr_loop_end(struct mr_loop *loop);

/* The time as of this turn; only grows, any start. */
uint64_t mr_loop_now_ms(const struct mr_loop *loop);

/* Watches the file for these events (level-triggered), in place of those before; 0: only hang-ups
 * and errors. False when the system has no room. Closing the file ends its watch. */
bool mr_loop_watch(struct mr_loop *loop, struct mr_watch *watch, uint32_t events);
void mr_loop_unwatch(struct mr_loop *loop, struct mr_watch *watch);

/* Setting a later time than before costs next to nothing. */
void mr_timer_set(struct mr_loop *loop, struct mr_timer *timer, uint64_t due_ms);
void mr_timer_clear(struct mr_loop *loop, struct mr_timer *timer);

/* Runs task when the events at hand are served; one queued by a task runs in the next turn. */
void mr_loop_later(struct mr_loop *loop, struct mr_task *task);

/* The same from any thread, in the order of posting. Wakes the loop at most once per sleep. */
void mr_loop_post(struct mr_loop *loop, struct mr_task *task);

/* Runs all that is queued, on a loop that no longer runs. */
void mr_loop_drain(struct mr_loop *loop);

#endif
