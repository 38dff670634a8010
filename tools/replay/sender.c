#include "replay/sender.h"

#include "base/memory.h"
#include "command.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define AGAIN_BYTES_MAX ((size_t)64 << 20)
#define FIRST_PAUSE_NS 100000000ull
#define LONGEST_PAUSE_NS 10000000000ull
#define LOOK_NS 100000000ull /* how long it sleeps without looking up */

/* A throttled record, until its next attempt. */
struct mr_again {
    struct mr_again *next;
    uint64_t due_ns, line;
    size_t key_size, data_size;
    bool has_hash_key;
    mr_hash_key hash_key;
    uint8_t bytes[];
};

static uint64_t now_ns(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock);
}

/* ---- answers: of the acknowledging thread -------------------------------------------------- */

static void reject(struct mr_sender *sender, uint64_t line, const char *why)
{
    sender->sent.rejected_count++;
    sender->reject(sender->context, line, why);
    if (sender->strict)
        atomic_store(&sender->stopped, true);
}

static struct mr_sent_shard *shard_of(struct mr_sent *sent, uint32_t shard)
{
    if (shard >= sent->shard_count) {
        size_t count = (size_t)shard + 1;

        sent->shards = mr_resize(sent->shards, count * sizeof *sent->shards);
        memset(sent->shards + sent->shard_count, 0,
               (count - sent->shard_count) * sizeof *sent->shards);
        sent->shard_count = count;
    }
    return &sent->shards[shard];
}

/* Doubles with each attempt, and a random half of it is left out, so that they do not come together. */
static uint64_t pause_ns(struct mr_sender *sender, unsigned attempt)
{
    uint64_t pause = FIRST_PAUSE_NS << attempt;

    pause = pause < LONGEST_PAUSE_NS ? pause : LONGEST_PAUSE_NS;
    return pause / 2 + mr_random_below(&sender->random, pause / 2);
}

static void keep_for_later(struct mr_sender *sender, const mr_put *put, uint64_t line,
                           unsigned attempt)
{
    size_t key_size = put->partition_key.size, data_size = put->data.size;
    struct mr_again *again = mr_alloc(sizeof *again + key_size + data_size);

    *again = (struct mr_again){.due_ns = now_ns() + pause_ns(sender, attempt),
                               .line = line,
                               .key_size = key_size,
                               .data_size = data_size,
                               .has_hash_key = put->explicit_hash_key != NULL};
    if (put->explicit_hash_key)
        again->hash_key = *put->explicit_hash_key;
    if (key_size)
        memcpy(again->bytes, put->partition_key.data, key_size);
    if (data_size)
        memcpy(again->bytes + key_size, put->data.data, data_size);

    pthread_mutex_lock(&sender->lock);
    if (sender->last[attempt])
        sender->last[attempt]->next = again;
    else
        sender->first[attempt] = again;
    sender->last[attempt] = again;
    sender->again_bytes += key_size + data_size;
    pthread_mutex_unlock(&sender->lock);
}

static void note_throttled(struct mr_sender *sender, const struct mr_put_batch *batch, size_t i)
{
    const mr_put *put = &batch->puts[i];
    struct mr_sent_shard *shard = shard_of(&sender->sent, batch->results[i].sequence.shard);
    unsigned attempt =
        sender->attempts[(size_t)(batch - sender->pipe->batches) * MR_PUT_BATCH_RECORDS + i];

    sender->sent.throttled_count++;
    shard->throttled_count++;
    shard->throttled_bytes += put->partition_key.size + put->data.size;
    if (attempt < sender->retries_max && !atomic_load(&sender->stopped)) {
        keep_for_later(sender, put, batch->lines[i], attempt + 1);
        return;
    }
    reject(sender, batch->lines[i], "throttled: the shard is over its rate");
    atomic_fetch_add(&sender->closed_count, 1);
}

static void note_failure(struct mr_sender *sender, const struct mr_put_batch *batch)
{
    if (atomic_exchange(&sender->stopped, true))
        return;
    sender->error = batch->error;
    if (sender->error.status)
        return;
    sender->error.status = batch->status;
    snprintf(sender->error.message, sizeof sender->error.message, "the records were not stored: %s",
             mr_status_text(batch->status));
}

static void acknowledge(void *context, const struct mr_put_batch *batch)
{
    struct mr_sender *sender = context;
    uint64_t closed_count = 0, stored_count = 0,
             stored_bytes = 0; /* apart from what senders write */

    if (batch->status)
        note_failure(sender, batch);
    for (size_t i = 0; i < batch->count; i++) {
        mr_status status = batch->status ? batch->status : batch->results[i].status;
        size_t bytes = batch->puts[i].partition_key.size + batch->puts[i].data.size;

        if (status == MR_THROTTLED && !batch->status) {
            note_throttled(sender, batch, i);
            continue;
        }
        closed_count++;
        if (status) {
            reject(sender, batch->lines[i], mr_status_text(status));
        } else {
            struct mr_sent_shard *shard = shard_of(&sender->sent, batch->results[i].sequence.shard);

            shard->stored_count++;
            shard->stored_bytes += bytes;
            stored_count++;
            stored_bytes += bytes;
        }
    }
    sender->sent.stored_count += stored_count;
    sender->sent.stored_bytes += stored_bytes;
    atomic_fetch_add(&sender->closed_count, closed_count);
    if (batch->input_bytes)
        sender->done_bytes = batch->input_bytes;
    if (sender->progress)
        sender->progress(sender->context, sender);
}

/* ---- sending ------------------------------------------------------------------------------ */

void mr_sender_start(struct mr_sender *sender)
{
    /* The kernel may wake us 50 us late to save power: a schedule is worth more. */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    pthread_mutex_init(&sender->lock, NULL);
    sender->random = mr_random_of(now_ns());
    sender->attempts = mr_alloc_zero(MR_PUT_BATCHES, MR_PUT_BATCH_RECORDS);
    sender->pipe = mr_new(struct mr_put_pipe);
    *sender->pipe = (struct mr_put_pipe){.engine = sender->place->engine,
                                         .service = sender->place->service,
                                         .once = true, /* that is what we do */
                                         .stream = sender->stream,
                                         .acknowledge = acknowledge,
                                         .context = sender};
    mr_put_pipe_start(sender->pipe);
    sender->batch = mr_put_pipe_take(sender->pipe);
}

static void submit(struct mr_sender *sender)
{
    if (sender->batch->count == 0)
        return;
    if (sender->batch_due_ns) {
        uint64_t now = now_ns();
        uint64_t late_ns = now > sender->batch_due_ns ? now - sender->batch_due_ns : 0;

        mr_lateness_add(&sender->sent.lateness, late_ns, sender->batch->count);
        atomic_store(&sender->late_ns, late_ns);
    }
    sender->batch->input_bytes = sender->input_bytes;
    mr_put_pipe_submit(sender->pipe, sender->batch);
    sender->batch = mr_put_pipe_take(sender->pipe);
    sender->batch_due_ns = 0;
}

static mr_bytes copy(uint8_t **scratch, mr_bytes bytes)
{
    mr_bytes copied = {*scratch, bytes.size};

    if (bytes.size)
        memcpy(*scratch, bytes.data, bytes.size);
    *scratch += bytes.size;
    return copied;
}

static void add(struct mr_sender *sender, const struct mr_sending *record, unsigned attempt,
                uint64_t due_ns)
{
    size_t bytes = record->key.size + record->data.size, at;
    struct mr_put_batch *batch = sender->batch;

    if (!mr_put_batch_fits(batch, bytes)) {
        submit(sender);
        batch = sender->batch;
        mr_put_batch_fits(batch, bytes);
    }
    at = batch->count++;
    batch->bytes += bytes;
    batch->lines[at] = record->line;
    batch->puts[at] = (mr_put){.partition_key = copy(&batch->scratch_at, record->key),
                               .data = copy(&batch->scratch_at, record->data)};
    if (record->hash_key) {
        batch->hash_keys[at] = *record->hash_key;
        batch->puts[at].explicit_hash_key = &batch->hash_keys[at];
    }
    sender->attempts[(size_t)(batch - sender->pipe->batches) * MR_PUT_BATCH_RECORDS + at] =
        (uint8_t)attempt;
    if (!sender->batch_due_ns)
        sender->batch_due_ns = due_ns;
}

/* Takes one record whose next attempt is due; else *next_ns is when the first will be, 0: none. */
static struct mr_again *take_again(struct mr_sender *sender, uint64_t now, unsigned *attempt,
                                   uint64_t *next_ns)
{
    struct mr_again *again = NULL;

    *next_ns = 0;
    pthread_mutex_lock(&sender->lock);
    for (unsigned i = 1; !again && i <= sender->retries_max; i++) {
        struct mr_again *first = sender->first[i];

        if (!first)
            continue;
        if (first->due_ns > now) {
            if (!*next_ns || first->due_ns < *next_ns)
                *next_ns = first->due_ns;
            continue;
        }
        again = first;
        *attempt = i;
        sender->first[i] = first->next;
        if (!first->next)
            sender->last[i] = NULL;
        sender->again_bytes -= first->key_size + first->data_size;
    }
    pthread_mutex_unlock(&sender->lock);
    return again;
}

/* Sends all whose next attempt is due; returns when the next one is, 0: none waits. */
static uint64_t send_again(struct mr_sender *sender, uint64_t now)
{
    struct mr_again *again;
    unsigned attempt;
    uint64_t next_ns;

    while ((again = take_again(sender, now, &attempt, &next_ns))) {
        const uint8_t *bytes = again->bytes;
        struct mr_sending record = {.line = again->line,
                                    .key = {bytes, again->key_size},
                                    .data = {bytes + again->key_size, again->data_size},
                                    .hash_key = again->has_hash_key ? &again->hash_key : NULL};

        add(sender, &record, attempt, 0);
        mr_free(again);
    }
    return next_ns;
}

void mr_sender_flush(struct mr_sender *sender)
{
    submit(sender);
}

static bool is_over(struct mr_sender *sender)
{
    return atomic_load(&sender->stopped) || mr_interrupted();
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                          .tv_nsec = (long)(at_ns % 1000000000)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static bool has_room(struct mr_sender *sender)
{
    bool has;

    pthread_mutex_lock(&sender->lock);
    has = sender->again_bytes < AGAIN_BYTES_MAX;
    pthread_mutex_unlock(&sender->lock);
    return has;
}

bool mr_sender_wait(struct mr_sender *sender, uint64_t due_ns)
{
    while (!is_over(sender)) {
        uint64_t now = now_ns(), wake_ns = now + LOOK_NS;
        uint64_t again_ns = sender->retries_max ? send_again(sender, now) : 0;

        if (due_ns <= now && has_room(sender))
            return true;
        submit(sender);
        if (due_ns > now && due_ns < wake_ns)
            wake_ns = due_ns;
        if (again_ns && again_ns < wake_ns)
            wake_ns = again_ns;
        sleep_until(wake_ns);
    }
    return false;
}

bool mr_sender_put(struct mr_sender *sender, const struct mr_sending *record, uint64_t due_ns)
{
    /* Without a schedule the clock is looked at once a batch. */
    if ((due_ns || sender->batch->count == 0) && !mr_sender_wait(sender, due_ns))
        return false;
    add(sender, record, 0, due_ns);
    sender->sent.count++;
    sender->sent.bytes += record->key.size + record->data.size;
    return true;
}

/* After a failure or an interrupt, what waits for another attempt has had its last. */
static void drop_again(struct mr_sender *sender)
{
    for (unsigned i = 0; i <= MR_SENDER_RETRIES_MAX; i++)
        for (struct mr_again *again = sender->first[i], *next; again; again = next) {
            next = again->next;
            reject(sender, again->line, "throttled, and given up when all was stopped");
            mr_free(again);
        }
}

void mr_sender_finish(struct mr_sender *sender)
{
    submit(sender);
    while (sender->retries_max && atomic_load(&sender->closed_count) < sender->sent.count &&
           !is_over(sender)) {
        uint64_t now = now_ns(), again_ns = send_again(sender, now);

        submit(sender);
        sleep_until(again_ns && again_ns < now + LOOK_NS / 20 ? again_ns : now + LOOK_NS / 20);
    }
    mr_put_pipe_submit(sender->pipe, sender->batch);
    mr_put_pipe_finish(sender->pipe);
    drop_again(sender);
}

void mr_sender_fini(struct mr_sender *sender)
{
    mr_free(sender->pipe);
    mr_free(sender->attempts);
    mr_free(sender->sent.shards);
    pthread_mutex_destroy(&sender->lock);
}
