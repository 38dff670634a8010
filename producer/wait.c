/* wait.c - who waits for answers: for room in the buffer, or for all that was put before. */
#include "base/fail.h"
#include "base/memory.h"
#include "stage.h"

#include <inttypes.h>

/* Waits for the next answers. Hold the lock. False: the time is over. */
static bool wait_once(struct mr_intake *intake, uint64_t until_ns)
{
    struct mr_clock *clock = mr_clock_real();

    if (clock->monotonic_ns(clock) >= until_ns)
        return false;
    intake->waiter_count++;
    mr_condition_wait_until(&intake->changed, &intake->lock, until_ns);
    intake->waiter_count--;
    return true;
}

static uint64_t in_ms(uint32_t ms)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock) + (uint64_t)ms * 1000000;
}

mr_status mr_producer_wait(mr_producer *producer, uint32_t timeout_ms, mr_error *error)
{
    struct mr_intake *intake = &producer->intake;
    uint64_t until_ns = in_ms(timeout_ms);
    size_t bytes_max = mr_intake_room_at(intake);
    bool goes_on = true;
    mr_status status = MR_OK;

    pthread_mutex_lock(&intake->lock);
    while (goes_on && intake->pending_bytes > bytes_max)
        goes_on = wait_once(intake, until_ns);
    if (intake->pending_bytes > bytes_max)
        status = mr_fail(error, MR_TIMEOUT, "after %" PRIu32 " ms %zu of %zu bytes are unanswered",
                         timeout_ms, intake->pending_bytes, producer->config.buffer_bytes);
    pthread_mutex_unlock(&intake->lock);
    return status;
}

mr_status mr_producer_flush(mr_producer *producer, uint32_t timeout_ms, mr_error *error)
{
    struct mr_intake *intake = &producer->intake;
    uint64_t until_ns = in_ms(timeout_ms);
    bool goes_on = true;
    uint32_t flush;
    mr_status status = MR_OK;

    pthread_mutex_lock(&intake->lock);
    intake->urgent_count++;
    mr_intake_end_chunk(intake);
    flush = mr_intake_next_flush(intake);
    if (intake->unanswered[intake->flush_count - 1] > 0) { /* else the last one will do */
        mr_grow(intake->unanswered, intake->flush_count, intake->flush_capacity);
        intake->unanswered[intake->flush_count++] = 0;
    } else {
        flush--;
    }
    pthread_mutex_unlock(&intake->lock);
    mr_producer_wake(producer);

    pthread_mutex_lock(&intake->lock);
    while (goes_on && (int32_t)(intake->flush_first - flush) <= 0)
        goes_on = wait_once(intake, until_ns);
    if ((int32_t)(intake->flush_first - flush) <= 0)
        status = mr_fail(error, MR_TIMEOUT, "%zu records are unanswered after %" PRIu32 " ms",
                         intake->pending_count, timeout_ms);
    intake->urgent_count--;
    pthread_mutex_unlock(&intake->lock);
    return status;
}
