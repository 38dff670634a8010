/*
 * shard_task.c - one shard's life with us: begin at its checkpoint, deliver, end. A task runs on one
 * thread of the pool at a time, a batch at a time, so your calls for a shard never overlap (C5) and
 * its records come in the order of its source (C2).
 */
#include "inside.h"

#include "base/fail.h"
#include "base/memory.h"

#include <string.h>

#define PAUSE_MS 1000 /* of a processor that failed */
#define PAUSE_LEAST_MS 50u
#define PAUSE_MOST_MS 5000

static void run(struct mr_pool_job *job);

/* ---- scheduling --------------------------------------------------------------------------- */

enum { RESTING, QUEUED, RUNNING, RUNNING_AGAIN, OVER };

void mr_task_wake(struct mr_shard_task *task)
{
    uint32_t queue = atomic_load(&task->queue);

    for (;;) {
        uint32_t next = queue == RESTING ? QUEUED : RUNNING_AGAIN;

        if (queue != RESTING && queue != RUNNING)
            return;
        if (atomic_compare_exchange_weak(&task->queue, &queue, next)) {
            if (next == QUEUED)
                mr_pool_add(task->consumer->pool, &task->job);
            return;
        }
    }
}

static void wake(void *context)
{
    mr_task_wake(context);
}

void mr_task_ask(struct mr_shard_task *task, enum task_ask ask)
{
    atomic_fetch_or(&task->asked, (uint32_t)ask);
    mr_task_wake(task);
}

void mr_shard_task_restart(mr_shard_task *task)
{
    mr_task_ask(task, ASK_RESTART);
}

void mr_task_look(struct mr_shard_task *task, uint64_t now_ns)
{
    if (now_ns < atomic_load(&task->due_ns))
        return;
    atomic_store(&task->due_ns, UINT64_MAX);
    pthread_mutex_lock(&task->fetch_lock);
    if (task->fetch && task->fetch->due)
        task->fetch->due(task->fetch);
    pthread_mutex_unlock(&task->fetch_lock);
    mr_task_wake(task);
}

static void rest_until(struct mr_shard_task *task, uint64_t due_ns)
{
    uint64_t before = atomic_exchange(&task->due_ns, due_ns);

    if (due_ns < before)
        mr_consumer_look(task->consumer);
}

static void pause_ms(struct mr_shard_task *task, uint32_t ms)
{
    task->paused_until_ns = mr_consumer_now_ns(task->consumer) + (uint64_t)ms * 1000000;
    rest_until(task, task->paused_until_ns);
}

/* C9: what failed is tried again, each time a little later. */
static void back_off(struct mr_shard_task *task)
{
    uint32_t ms = PAUSE_LEAST_MS << (task->failures < 7 ? task->failures : 7);

    task->failures++;
    pause_ms(task, ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS);
}

/* ---- parts -------------------------------------------------------------------------------- */

static void close_fetch(struct mr_shard_task *task)
{
    struct mr_fetch *fetch = task->fetch;

    if (!fetch)
        return;
    pthread_mutex_lock(&task->fetch_lock);
    task->fetch = NULL;
    pthread_mutex_unlock(&task->fetch_lock);
    fetch->close(fetch);
}

/* The end of what started() began. */
static void close_user(struct mr_shard_task *task)
{
    if (task->is_started && task->consumer->config.processor.done)
        task->consumer->config.processor.done(task->user);
    task->is_started = false;
    close_fetch(task);
}

static void fail_read(struct mr_shard_task *task, mr_status status, const mr_error *error)
{
    struct mr_consumer *consumer = task->consumer;

    consumer->read_failure_count++;
    mr_consumer_say(consumer, "event=read-failed shard=%s status=%s reason=\"%s\"",
                    task->shard_text, mr_status_name(status), error->message);
    back_off(task);
}

static void look_for_children(struct mr_shard_task *task)
{
    struct mr_consumer *consumer = task->consumer;

    task->state = ENDING;
    task->sync_seen = atomic_load(&consumer->sync.asked) + 1;
    mr_sync_ask(consumer);
}

/* ---- STARTING ----------------------------------------------------------------------------- */

/* A shard begun at its tip remembers when: whoever begins it again before the first checkpoint does
 * not skip what has come since (C1). */
static mr_status note_beginning(struct mr_shard_task *task, mr_lease *lease, mr_error *error)
{
    struct mr_consumer *consumer = task->consumer;
    mr_status status = MR_OK;
    mr_lease to;

    pthread_mutex_lock(&task->held.lock);
    *lease = to = task->held.lease;
    if (to.checkpoint.kind == MR_MARK_LATEST && to.began_ms == 0) {
        to.began_ms = consumer->clock->wall_ms(consumer->clock);
        status = mr_hold_change(task, &to, error);
    }
    pthread_mutex_unlock(&task->held.lock);
    if (lease->checkpoint.kind == MR_MARK_AT_TIME && lease->began_ms == 0)
        lease->began_ms = consumer->config.from.time_ms;
    return status;
}

static mr_status check_begin(const struct mr_shard_task *task, const mr_lease *lease,
                             mr_error *error)
{
    char text[MR_MARK_TEXT_BYTES];

    if (lease->checkpoint.kind != MR_MARK_RECORD || task->begin.kind != MR_MARK_RECORD ||
        mr_mark_compare(&lease->checkpoint, &task->begin) >= 0)
        return MR_OK;
    mr_mark_format(&lease->checkpoint, text);
    return mr_fail(error, MR_INVALID,
                   "the checkpoint %s lies before the shard: was the stream deleted and made "
                   "again? Reset the application's leases",
                   text);
}

static mr_status open_fetch(struct mr_shard_task *task, const mr_lease *lease, mr_error *error)
{
    struct mr_consumer *consumer = task->consumer;
    const struct mr_fetch_from from = {.consumer = consumer,
                                       .shard = task->shard,
                                       .after = lease->checkpoint,
                                       .began_ms = lease->began_ms,
                                       .ready = wake,
                                       .context = task};
    struct mr_fetch *fetch;
    mr_status status = check_begin(task, lease, error);

    if (status)
        return status;
    if (consumer->config.retrieval == MR_RETRIEVE_FAN_OUT)
        status = mr_fetch_subscribe(&fetch, &from, error);
    else if (consumer->service->engine)
        status = mr_fetch_read(&fetch, &from, error);
    else
        status = mr_fetch_poll(&fetch, &from, error);
    if (status)
        return status;
    pthread_mutex_lock(&task->fetch_lock);
    task->fetch = fetch;
    pthread_mutex_unlock(&task->fetch_lock);
    return MR_OK;
}

static bool start(struct mr_shard_task *task)
{
    const struct mr_processor *processor = &task->consumer->config.processor;
    mr_lease lease;
    mr_error error = {0};
    mr_status status = note_beginning(task, &lease, &error);

    if (!status)
        status = open_fetch(task, &lease, &error);
    if (status == MR_NOT_FOUND) {
        look_for_children(task); /* and if there is still such a shard */
        return true;
    }
    if (status == MR_CONFLICT)
        return true; /* lost: it has been asked to end */
    if (status) {
        fail_read(task, status, &error);
        return false;
    }
    task->after = lease.checkpoint;
    pthread_mutex_lock(&task->held.lock);
    task->held.delivered = lease.checkpoint;
    pthread_mutex_unlock(&task->held.lock);
    task->is_started = true;
    task->user = processor->started ? processor->started(task->consumer->config.processor_context,
                                                         task, &lease.checkpoint)
                                    : task->consumer->config.processor_context;
    task->state = READING;
    return true;
}

/* ---- READING ------------------------------------------------------------------------------ */

static void say_dropped(struct mr_shard_task *task)
{
    task->consumer->dropped_count += task->unpack.dropped;
    mr_consumer_say(task->consumer,
                    "event=aggregate-dropped shard=%s records=%llu reason=\"keys of other shards\"",
                    task->shard_text, (unsigned long long)task->unpack.dropped);
}

static void count(struct mr_shard_task *task, uint64_t busy_ns)
{
    struct mr_consumer *consumer = task->consumer;

    task->batch_count++;
    task->record_count += task->unpack.count;
    task->record_bytes += task->unpack.bytes;
    task->busy_us += busy_ns / 1000;
    consumer->record_count += task->unpack.count;
    consumer->record_bytes += task->unpack.bytes;
}

static void deliver(struct mr_shard_task *task, const struct mr_fetched *fetched)
{
    struct mr_consumer *consumer = task->consumer;
    struct mr_unpack *unpack = &task->unpack;
    const mr_consumer_batch batch = {unpack->records, unpack->count, fetched->behind_ms};
    uint64_t began_ns;

    if (batch.count > 0) {
        pthread_mutex_lock(&task->held.lock);
        task->held.delivered = batch.records[batch.count - 1].mark;
        pthread_mutex_unlock(&task->held.lock);
        task->after = MR_MARK(TRIM_HORIZON); /* what follows is above it */
    } else if (!consumer->config.calls_when_empty) {
        return;
    }
    began_ns = mr_consumer_now_ns(consumer);
    if (consumer->config.processor.records)
        consumer->config.processor.records(task->user, task, &batch);
    count(task, mr_consumer_now_ns(consumer) - began_ns);
}

/* False: there is nothing to do now. */
static bool read_on(struct mr_shard_task *task)
{
    struct mr_fetched fetched;
    mr_error error = {0};

    switch (task->fetch->next(task->fetch, &fetched, &error)) {
    case MR_FETCH_RECORDS:
        task->failures = 0;
        task->behind_ms = fetched.behind_ms;
        if (fetched.due_ns != UINT64_MAX)
            rest_until(task, fetched.due_ns); /* to fetch ahead meanwhile */
        mr_unpack(&task->unpack, &fetched, &task->after);
        if (task->unpack.dropped > 0)
            say_dropped(task);
        deliver(task, &fetched);
        if (task->unpack.is_wrong) {
            mr_fail(&error, MR_CORRUPT, "a record's sequence number is none; reading again");
            close_user(task);
            task->state = STARTING;
            fail_read(task, MR_CORRUPT, &error);
            return false;
        }
        return true;
    case MR_FETCH_WAIT:
        task->behind_ms = 0;
        rest_until(task, fetched.due_ns);
        return false;
    case MR_FETCH_END:
        task->is_read_to_end = true;
        task->behind_ms = 0;
        look_for_children(task);
        return true;
    case MR_FETCH_FAILED:
        break;
    }
    if (error.status == MR_NOT_FOUND || error.status == MR_CLOSED) {
        look_for_children(task);
        return true;
    }
    fail_read(task, error.status, &error);
    return false;
}

/* ---- ENDING, ENDED ------------------------------------------------------------------------ */

static bool is_known(struct mr_consumer *consumer, mr_shard_id shard)
{
    bool is_found;

    pthread_mutex_lock(&consumer->lock);
    is_found = mr_known_find(consumer->known, consumer->known_count, shard);
    pthread_mutex_unlock(&consumer->lock);
    return is_found;
}

/* C4: the children have leases before their parent's says that it is done. */
static bool wait_for_sync(struct mr_shard_task *task)
{
    struct mr_consumer *consumer = task->consumer;

    if (atomic_load(&consumer->sync.done) < task->sync_seen)
        return false; /* it wakes us */
    if (!task->is_read_to_end && is_known(consumer, task->shard)) {
        close_user(task);
        task->state = STARTING;
        back_off(task);
        return false;
    }
    if (!task->is_read_to_end)
        mr_consumer_say(consumer,
                        "event=shard-forgotten shard=%s reason=\"retention has removed it\"",
                        task->shard_text);
    pthread_mutex_lock(&task->held.lock);
    task->held.may_end = true;
    pthread_mutex_unlock(&task->held.lock);
    task->state = ENDED;
    return true;
}

static void finish(struct mr_shard_task *task)
{
    close_user(task);
    task->state = DONE;
}

static bool end(struct mr_shard_task *task)
{
    const struct mr_processor *processor = &task->consumer->config.processor;
    mr_error error = {0};
    mr_status status = MR_OK;

    close_fetch(task);
    if (task->is_started && processor->shard_ended)
        processor->shard_ended(task->user, task);
    else
        status = mr_checkpoint(task, NULL, &error);
    if (mr_shard_task_checkpoint(task).kind == MR_MARK_SHARD_END) {
        finish(task);
        return true;
    }
    if (!atomic_load(&task->asked)) /* else it is lost, or stops */
        mr_consumer_say(task->consumer,
                        "event=end-not-checkpointed shard=%s status=%s reason=\"%s\"",
                        task->shard_text, mr_status_name(status),
                        status ? error.message
                               : "shard_ended() must mr_checkpoint(task, NULL): calling it again");
    pause_ms(task, PAUSE_MS);
    return false;
}

/* ---- what others ask ---------------------------------------------------------------------- */

static void lose(struct mr_shard_task *task)
{
    const struct mr_processor *processor = &task->consumer->config.processor;

    pthread_mutex_lock(&task->held.lock);
    task->held.is_fenced = true;
    pthread_mutex_unlock(&task->held.lock);
    task->consumer->lost_count++;
    mr_consumer_say(task->consumer, "event=lease-lost shard=%s", task->shard_text);
    if (task->is_started && processor->lease_lost)
        processor->lease_lost(task->user, task);
    finish(task);
}

static void stop(struct mr_shard_task *task)
{
    const struct mr_processor *processor = &task->consumer->config.processor;

    if (task->is_started && processor->stopping)
        processor->stopping(task->user, task);
    finish(task);
    mr_hold_release(task, true);
}

static void restart(struct mr_shard_task *task)
{
    atomic_fetch_and(&task->asked, ~(uint32_t)ASK_RESTART);
    close_user(task);
    task->is_read_to_end = false;
    task->state = STARTING;
    pause_ms(task, PAUSE_MS);
}

/* True: it has ended, or has something to do at once. */
static bool step(struct mr_shard_task *task)
{
    uint32_t asked = atomic_load(&task->asked);

    if (asked & ASK_LOST || !mr_hold_is_valid(task)) {
        lose(task);
        return true;
    }
    if (asked & (ASK_STOP | ASK_HAND)) {
        stop(task);
        return true;
    }
    if (asked & ASK_RESTART)
        restart(task);
    if (mr_consumer_now_ns(task->consumer) < task->paused_until_ns) {
        rest_until(task, task->paused_until_ns);
        return false;
    }
    switch (task->state) {
    case STARTING:
        return start(task);
    case READING:
        return read_on(task);
    case ENDING:
        return wait_for_sync(task);
    case ENDED:
        return end(task);
    case DONE:
        break;
    }
    return true;
}

static void run(struct mr_pool_job *job)
{
    struct mr_shard_task *task =
        (struct mr_shard_task *)(void *)((char *)job - offsetof(struct mr_shard_task, job));
    struct mr_consumer *consumer = task->consumer;
    uint32_t running = RUNNING;
    bool goes_on;

    atomic_store(&task->queue, RUNNING);
    do
        goes_on = step(task);
    while (goes_on && task->state != DONE && !mr_pool_has_waiting(consumer->pool));
    if (!goes_on && atomic_compare_exchange_strong(&task->queue, &running, RESTING))
        return;
    if (task->state != DONE) {
        atomic_store(&task->queue, QUEUED);
        mr_pool_add(consumer->pool, &task->job);
        return;
    }
    atomic_store(&task->queue, OVER);
    pthread_mutex_lock(&consumer->lock);
    task->is_done = true; /* from here on it may be freed at any time */
    pthread_mutex_unlock(&consumer->lock);
    mr_word_change(&consumer->leaser.word);
}

/* ---- new and free ------------------------------------------------------------------------- */

struct mr_shard_task *mr_task_new(struct mr_consumer *consumer, const mr_lease *lease,
                                  const struct mr_known *known, uint64_t renewed_ns)
{
    struct mr_shard_task *task = mr_new(struct mr_shard_task);

    task->consumer = consumer;
    task->shard = lease->shard;
    mr_shard_format(lease->shard, task->shard_text);
    task->begin = known ? known->begin : MR_MARK(TRIM_HORIZON);
    task->unpack.keeps_strays = consumer->config.keeps_strays || !known;
    if (known) {
        task->unpack.first_key = known->first_key;
        task->unpack.last_key = known->last_key;
    }
    task->job.run = run;
    task->due_ns = UINT64_MAX;
    task->held.lease = *lease;
    task->held.renewed_ns = renewed_ns;
    task->held.delivered = lease->checkpoint;
    pthread_mutex_init(&task->fetch_lock, NULL);
    pthread_mutex_init(&task->held.lock, NULL);
    return task;
}

void mr_task_free(struct mr_shard_task *task)
{
    mr_unpack_fini(&task->unpack);
    pthread_mutex_destroy(&task->fetch_lock);
    pthread_mutex_destroy(&task->held.lock);
    mr_free(task);
}

mr_shard_id mr_shard_task_shard(const mr_shard_task *task)
{
    return task->shard;
}
