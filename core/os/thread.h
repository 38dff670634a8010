/* thread.h - named threads, and words one can wait on: the few things pthread lacks. */
#ifndef MR_OS_THREAD_H
#define MR_OS_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts run(context) with all signals blocked; name: at most 15 characters, shown by top -H.
 * Aborts if the system has no thread to give. Join with pthread_join(). */
pthread_t mr_thread_start(const char *name, void *(*run)(void *context), void *context);

/* Sleeps until *word is not `seen`, somebody wakes the word, or timeout_ms passed (UINT32_MAX:
 * never). May return early: look at your condition again. */
void mr_word_wait(_Atomic uint32_t *word, uint32_t seen, uint32_t timeout_ms);
void mr_word_wake(_Atomic uint32_t *word, bool all);

/* Waits on a condition variable made by mr_condition_init() until a time of mr_clock_real(). */
void mr_condition_init(pthread_cond_t *condition);
void mr_condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex,
                             uint64_t monotonic_ns);

unsigned mr_core_count(void); /* processors this process may use; at least 1 */

/* Whole pages from the system, zeroed, aligned for DIRECT files; untouched pages cost nothing. */
void *mr_pages_take(size_t bytes);
void mr_pages_give(void *pages, size_t bytes);
/* Gives the memory of these pages back to the system; they read as 0 afterwards. */
void mr_pages_forget(void *pages, size_t bytes);

#endif
