/* wait.c - for one's own append. */
#include "base/fail.h"
#include "os/thread.h"
#include "stream/engine.h"

static void wake(struct mr_log_append *append)
{
    _Atomic uint32_t *is_done = append->context;

    atomic_store_explicit(is_done, 1, memory_order_release);
    /* The waiter may be gone by now: then nobody sleeps at this address, or wakes once in vain. */
    mr_word_wake(is_done, false);
}

void mr_wait_prepare(struct mr_wait *wait)
{
    wait->append.done = wake;
    wait->append.context = &wait->is_done;
}

/* Nobody else makes it durable. */
static bool work(struct mr_log *log)
{
    bool committed = mr_log_step(log, MR_LOG_STEP_COMMIT);

    return mr_log_step(log, MR_LOG_STEP_PUBLISH) || committed;
}

mr_status mr_wait_finish(struct mr_engine *engine, struct mr_wait *wait, mr_error *error)
{
    while (!atomic_load_explicit(&wait->is_done, memory_order_acquire)) {
        if (!engine->is_manual)
            mr_word_wait(&wait->is_done, 0, UINT32_MAX);
        else if (!work(engine->log))
            return mr_fail(error, MR_CLOSED, "the engine was abandoned");
    }
    if (wait->append.status && error)
        *error = wait->append.error;
    return wait->append.status;
}

mr_status mr_entry_commit(struct mr_engine *engine, struct mr_wait *wait, mr_bytes entry,
                          mr_error *error)
{
    mr_status status;

    mr_wait_prepare(wait);
    wait->append.entry = entry;
    status = mr_log_append(engine->log, &wait->append, MR_PUT_WAIT_MS, error);
    return status ? status : mr_wait_finish(engine, wait, error);
}
