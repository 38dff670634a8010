#include "os/thread.h"

#include "base/check.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(_Atomic uint32_t) == 4, "the kernel waits on 32 plain bits");

pthread_t mr_thread_start(const char *name, void *(*run)(void *context), void *context)
{
    sigset_t all, before;
    pthread_t thread;
    int failure;

    mr_check(strlen(name) <= 15);
    /* A thread inherits the mask: signals stay the business of the program's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        fprintf(stderr, "millrace: cannot start a thread: %s; raise the limit (ulimit -u)\n",
                strerror(failure));
        abort();
    }
    (void)pthread_setname_np(thread, name);
    return thread;
}

void mr_word_wait(_Atomic uint32_t *word, uint32_t seen, uint32_t timeout_ms)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                               .tv_nsec = (long)(timeout_ms % 1000) * 1000000};

    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout_ms == UINT32_MAX ? NULL : &timeout,
            NULL, 0);
}

void mr_word_wake(_Atomic uint32_t *word, bool all)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, all ? INT_MAX : 1, NULL, NULL, 0);
}

void mr_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    mr_check(pthread_cond_init(condition, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

void mr_condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex,
                             uint64_t monotonic_ns)
{
    struct timespec until = {.tv_sec = (time_t)(monotonic_ns / 1000000000u),
                             .tv_nsec = (long)(monotonic_ns % 1000000000u)};
    int failure = pthread_cond_timedwait(condition, mutex, &until);

    mr_check(failure == 0 || failure == ETIMEDOUT);
}

unsigned mr_core_count(void)
{
    cpu_set_t allowed;
    long online;

    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return (unsigned)CPU_COUNT(&allowed);
    online = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than a cpu_set_t has bits */
    return online > 0 ? (unsigned)online : 1;
}

void *mr_pages_take(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (pages == MAP_FAILED)
        mr_out_of_memory(bytes);
    return pages;
}

void mr_pages_give(void *pages, size_t bytes)
{
    if (pages)
        mr_check(munmap(pages, bytes) == 0);
}

void mr_pages_forget(void *pages, size_t bytes)
{
    mr_check(madvise(pages, bytes, MADV_DONTNEED) == 0);
}
