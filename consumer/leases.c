/*
 * leases.c - the thread that keeps this worker's share of the leases: renews what is ours every third
 * of lease_ms, lists all every quarter, takes what is free and steals what is too much for others.
 *
 * Whether an owner lives we judge by our own monotonic clock: has its counter changed since we first
 * saw it as it is? Nobody's wall clock matters (C6). A dead worker's last renewal is seen within a
 * quarter of lease_ms, and its leases are tried for exactly lease_ms later (C8).
 */
#include "inside.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define LIST_MS_MAX 500 /* while we wait for a lease that is handed over */

struct leaser {
    struct mr_consumer *consumer;
    uint64_t lease_ns, renew_ns, list_ns; /* how often */
    uint64_t listed_ns;                   /* when; 0: never */
    uint64_t sync_seen;                   /* the sync that the list was made after */
    bool wants_list, has_listed;
};

/* NULL: there is no such shard in the stream. */
static const struct mr_known *shard_of(const struct mr_consumer *consumer, mr_shard_id shard)
{
    return mr_known_find(consumer->known, consumer->known_count, shard);
}

static void say_failed(struct mr_consumer *consumer, const char *what, mr_status status,
                       const mr_error *error)
{
    consumer->store_failure_count++;
    mr_consumer_say(consumer, "event=%s status=%s reason=\"%s\"", what, mr_status_name(status),
                    error->message);
}

/* ---- the list ----------------------------------------------------------------------------- */

struct listing {
    struct mr_consumer *consumer;
    struct mr_seen *items;
    size_t count, capacity;
    uint64_t now_ns;
};

static bool take(void *context, const mr_lease *lease, const char *fault)
{
    struct listing *listing = context;
    char text[MR_SHARD_TEXT_BYTES] = "unknown";

    if (lease->shard != MR_NO_SHARD)
        mr_shard_format(lease->shard, text);
    if (fault)
        mr_consumer_say(listing->consumer,
                        "event=lease-unreadable shard=%s reason=\"%s\" "
                        "hint=\"correct or delete its row\"",
                        text, fault);
    if (lease->shard == MR_NO_SHARD)
        return true;
    mr_grow(listing->items, listing->count, listing->capacity);
    listing->items[listing->count++] =
        (struct mr_seen){.lease = *lease, .is_faulty = fault, .since_ns = listing->now_ns};
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct mr_seen *left = a, *right = b;

    return (left->lease.shard > right->lease.shard) - (left->lease.shard < right->lease.shard);
}

/* What we knew of a lease before. */
static void carry_over(struct mr_consumer *consumer, struct mr_seen *seen)
{
    const struct mr_seen *before =
        mr_seen_find(consumer->seen, consumer->seen_count, seen->lease.shard);

    if (!before)
        return;
    seen->is_coming = before->is_coming;
    seen->asked_ns = before->asked_ns;
    if (before->lease.counter == seen->lease.counter &&
        strcmp(before->lease.owner, seen->lease.owner) == 0)
        seen->since_ns = before->since_ns;
}

/* A lease is ours as long as a task of ours is there, whatever its row says: no shard has two. */
static void mark_ours(struct mr_consumer *consumer, struct listing *listing)
{
    for (size_t i = 0; i < consumer->task_count; i++) {
        struct mr_seen *seen =
            mr_seen_find(listing->items, listing->count, consumer->tasks[i]->shard);

        if (seen)
            seen->is_ours = true;
    }
}

/* Rows that somebody has deleted although their shards are there: with what we last knew, so that
 * nothing is read twice or skipped. Fresh memory. */
static struct mr_seen *find_deleted(struct mr_consumer *consumer, struct listing *listing,
                                    size_t *count)
{
    struct mr_seen *deleted = NULL;
    size_t capacity = 0;

    *count = 0;
    for (size_t i = 0; i < consumer->seen_count; i++) {
        const struct mr_seen *before = &consumer->seen[i];

        if (before->is_faulty || !shard_of(consumer, before->lease.shard) ||
            mr_seen_find(listing->items, listing->count, before->lease.shard))
            continue;
        mr_grow(deleted, *count, capacity);
        deleted[(*count)++] = *before;
    }
    return deleted;
}

static void restore(struct mr_consumer *consumer, struct mr_seen *deleted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mr_lease *lease = &deleted[i].lease;
        mr_error error = {0};
        mr_status status;

        lease->owner[0] = lease->handing[0] = 0;
        lease->counter++;
        status = consumer->leases->create(consumer->leases, lease, &error);
        if (status && status != MR_EXISTS)
            say_failed(consumer, "restore-failed", status, &error);
        else
            mr_consumer_say(consumer,
                            "event=lease-restored shard=%u reason=\"its row was deleted\"",
                            lease->shard);
    }
    mr_free(deleted);
}

static bool list(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    struct listing listing = {.consumer = consumer, .now_ns = mr_consumer_now_ns(consumer)};
    uint64_t sync_seen = atomic_load(&consumer->sync.done);
    struct mr_seen *old, *deleted;
    size_t deleted_count;
    mr_error error = {0};
    mr_status status = consumer->leases->list(consumer->leases, take, &listing, &error);

    leaser->listed_ns = listing.now_ns;
    if (status) {
        say_failed(consumer, "list-failed", status, &error);
        mr_free(listing.items);
        return false;
    }
    if (listing.count > 0)
        qsort(listing.items, listing.count, sizeof *listing.items, compare);
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < listing.count; i++)
        carry_over(consumer, &listing.items[i]);
    mark_ours(consumer, &listing);
    deleted = find_deleted(consumer, &listing, &deleted_count);
    old = consumer->seen;
    consumer->seen = listing.items;
    consumer->seen_count = listing.count;
    pthread_mutex_unlock(&consumer->lock);
    mr_free(old);
    restore(consumer, deleted, deleted_count);
    leaser->wants_list = deleted_count > 0;
    leaser->has_listed = true;
    leaser->sync_seen = sync_seen;
    return true;
}

/* ---- taking ------------------------------------------------------------------------------- */

/* Only this thread changes the table, so it looks at it without the lock. */

static void begin_task(struct mr_consumer *consumer, struct mr_seen *seen, uint64_t renewed_ns)
{
    struct mr_shard_task *task;

    pthread_mutex_lock(&consumer->lock);
    task = mr_task_new(consumer, &seen->lease, shard_of(consumer, seen->lease.shard), renewed_ns);
    mr_grow(consumer->tasks, consumer->task_count, consumer->task_capacity);
    consumer->tasks[consumer->task_count++] = task;
    seen->is_ours = true;
    seen->is_coming = false;
    pthread_mutex_unlock(&consumer->lock);
    consumer->taken_count++;
    mr_consumer_say(consumer, "event=lease-taken shard=%s", task->shard_text);
    mr_task_wake(task);
}

/* Makes it so, if nobody has changed the row since we saw it. */
static bool change(struct leaser *leaser, struct mr_seen *seen, mr_lease *to)
{
    struct mr_consumer *consumer = leaser->consumer;
    uint64_t now_ns = mr_consumer_now_ns(consumer);
    mr_error error = {0};
    mr_status status;

    to->counter = seen->lease.counter + 1;
    status = consumer->leases->update(consumer->leases, &seen->lease, to, &error);
    if (status) {
        /* Whoever was faster, or the row itself: see it in the next list. */
        if (status != MR_CONFLICT && status != MR_NOT_FOUND)
            say_failed(consumer, "take-failed", status, &error);
        leaser->wants_list = true;
        return false;
    }
    pthread_mutex_lock(&consumer->lock);
    seen->lease = *to;
    seen->since_ns = now_ns;
    pthread_mutex_unlock(&consumer->lock);
    return true;
}

static void take_over(struct leaser *leaser, struct mr_seen *seen)
{
    struct mr_consumer *consumer = leaser->consumer;
    uint64_t now_ns = mr_consumer_now_ns(consumer);
    mr_lease to = seen->lease;

    memcpy(to.owner, consumer->worker, strlen(consumer->worker) + 1);
    to.handing[0] = 0;
    to.switches++;
    if (change(leaser, seen, &to))
        begin_task(consumer, seen, now_ns);
}

/* From a living worker: it finishes first (C7). */
static void steal(struct leaser *leaser, struct mr_seen *seen)
{
    struct mr_consumer *consumer = leaser->consumer;
    uint64_t since_ns = seen->since_ns;
    mr_lease to = seen->lease;

    if (consumer->config.handover_ms == 0) {
        take_over(leaser, seen);
        consumer->stolen_count += seen->is_ours;
        return;
    }
    memcpy(to.handing, to.owner, sizeof to.handing);
    memcpy(to.owner, consumer->worker, strlen(consumer->worker) + 1);
    to.switches++;
    if (change(leaser, seen, &to)) {
        consumer->stolen_count++;
        seen->is_coming = true;
        seen->asked_ns = seen->since_ns;
        seen->since_ns = since_ns; /* C8: we are no sign of life of its owner */
    }
}

/* Leases that others are finishing for us: they have, or their time is over. */
static void receive(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    uint64_t now_ns = mr_consumer_now_ns(consumer);

    for (size_t i = 0; i < consumer->seen_count; i++) {
        struct mr_seen *seen = &consumer->seen[i];

        if (!seen->is_coming)
            continue;
        if (strcmp(seen->lease.owner, consumer->worker) != 0 || mr_lease_is_ended(&seen->lease)) {
            seen->is_coming = false;
        } else if (!seen->lease.handing[0] || now_ns - seen->since_ns >= leaser->lease_ns ||
                   now_ns - seen->asked_ns >= consumer->config.handover_ms * MS) {
            take_over(leaser, seen);
        }
    }
}

static void balance(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    const struct mr_balance as = {.worker = consumer->worker,
                                  .now_ns = mr_consumer_now_ns(consumer),
                                  .lease_ns = leaser->lease_ns,
                                  .lease_count_max = consumer->config.lease_count_max,
                                  .steal_count_max = consumer->config.steal_count_max};
    size_t count, stolen, *chosen = mr_alloc((consumer->seen_count + 1) * sizeof *chosen);

    count = mr_balance(&as, consumer->seen, consumer->seen_count,
                       mr_random_next(&consumer->leaser.random), chosen, &stolen);
    for (size_t i = 0; i < count && !atomic_load(&consumer->stop_word); i++) {
        if (i < stolen)
            take_over(leaser, &consumer->seen[chosen[i]]);
        else
            steal(leaser, &consumer->seen[chosen[i]]);
    }
    mr_free(chosen);
}

/* Leases of shards that were read to their end and have left the stream. */
static bool is_left_over(struct mr_consumer *consumer, const struct mr_seen *seen)
{
    bool is_known;

    if (seen->is_ours || seen->is_faulty || !mr_lease_is_ended(&seen->lease))
        return false;
    pthread_mutex_lock(&consumer->lock);
    is_known = shard_of(consumer, seen->lease.shard);
    pthread_mutex_unlock(&consumer->lock);
    return !is_known;
}

static void clean_up(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    mr_error error = {0};

    for (size_t i = 0; i < consumer->seen_count; i++)
        if (is_left_over(consumer, &consumer->seen[i]) &&
            !consumer->leases->remove(consumer->leases, &consumer->seen[i].lease, &error))
            leaser->wants_list = true;
}

/* ---- our tasks ---------------------------------------------------------------------------- */

static struct mr_shard_task *task_at(struct mr_consumer *consumer, size_t index)
{
    struct mr_shard_task *task = NULL;

    pthread_mutex_lock(&consumer->lock);
    if (index < consumer->task_count)
        task = consumer->tasks[index];
    pthread_mutex_unlock(&consumer->lock);
    return task;
}

/* Rows of ours that others have changed: fenced, or asked to hand over, now and not at the next
 * renewal. */
static void look_at_rows(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    struct mr_shard_task *task;

    for (size_t i = 0; (task = task_at(consumer, i)); i++) {
        const struct mr_seen *seen =
            mr_seen_find(consumer->seen, consumer->seen_count, task->shard);

        if ((!seen || strcmp(seen->lease.owner, consumer->worker) != 0) &&
            !(atomic_load(&task->asked) & (ASK_LOST | ASK_HAND)))
            mr_hold_renew(task);
    }
}

/* Frees those that are done. */
static void reap(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    bool has_freed = false;

    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->task_count;) {
        struct mr_shard_task *task = consumer->tasks[i];
        struct mr_seen *seen;

        if (!task->is_done) {
            i++;
            continue;
        }
        seen = mr_seen_find(consumer->seen, consumer->seen_count, task->shard);
        if (seen) {
            seen->is_ours = false;
            seen->lease = task->held.lease; /* what we wrote last */
            seen->since_ns = mr_consumer_now_ns(consumer);
        }
        consumer->tasks[i] = consumer->tasks[--consumer->task_count];
        leaser->wants_list = true; /* its children may be ready */
        mr_task_free(task);
        has_freed = true;
    }
    pthread_mutex_unlock(&consumer->lock);
    if (has_freed)
        mr_consumer_look(consumer);
}

/* Renews what is due; returns when the next will be. */
static uint64_t renew(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    struct mr_shard_task *task;
    uint64_t next_ns = UINT64_MAX;

    for (size_t i = 0; (task = task_at(consumer, i)); i++) {
        uint64_t now_ns = mr_consumer_now_ns(consumer);
        uint64_t due_ns = atomic_load(&task->held.renewed_ns) + leaser->renew_ns;

        if (now_ns - atomic_load(&task->held.renewed_ns) >= leaser->lease_ns)
            mr_task_wake(task); /* it sees that it has lost the lease */
        if (now_ns >= due_ns) {
            mr_hold_renew(task);
            due_ns = now_ns + leaser->renew_ns;
            /* After a failure sooner: there is time for more than one try. */
            if (atomic_load(&task->held.renewed_ns) < now_ns)
                due_ns = now_ns + leaser->renew_ns / 4;
        }
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    return next_ns;
}

/* ---- the thread --------------------------------------------------------------------------- */

/* When the next owner will have been silent for too long. */
static uint64_t next_expiry(const struct leaser *leaser)
{
    const struct mr_consumer *consumer = leaser->consumer;
    uint64_t now_ns = mr_consumer_now_ns(consumer), next_ns = UINT64_MAX;

    for (size_t i = 0; i < consumer->seen_count; i++) {
        const struct mr_seen *seen = &consumer->seen[i];
        uint64_t at_ns = seen->since_ns + leaser->lease_ns;

        if (!seen->is_ours && seen->lease.owner[0] && at_ns > now_ns && at_ns < next_ns)
            next_ns = at_ns;
    }
    return next_ns;
}

static bool is_waiting(const struct mr_consumer *consumer)
{
    for (size_t i = 0; i < consumer->seen_count; i++)
        if (consumer->seen[i].is_coming)
            return true;
    return false;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Lists and takes if it is time; returns when it will be. */
static uint64_t share(struct leaser *leaser)
{
    struct mr_consumer *consumer = leaser->consumer;
    uint64_t now_ns = mr_consumer_now_ns(consumer), every_ns = leaser->list_ns;

    if (is_waiting(consumer))
        every_ns = least(every_ns, LIST_MS_MAX * MS);
    if (!leaser->has_listed || now_ns - leaser->listed_ns >= every_ns || leaser->wants_list ||
        leaser->sync_seen != atomic_load(&consumer->sync.done)) {
        leaser->wants_list = false;
        if (!list(leaser))
            return now_ns + leaser->list_ns / 4;
        clean_up(leaser);
        look_at_rows(leaser);
    }
    receive(leaser);
    balance(leaser);
    if (leaser->wants_list)
        return now_ns + leaser->list_ns / 8;
    if (is_waiting(consumer))
        every_ns = least(every_ns, LIST_MS_MAX * MS);
    return least(leaser->listed_ns + every_ns, next_expiry(leaser));
}

void *mr_leaser_run(void *context)
{
    struct mr_consumer *consumer = context;
    uint64_t lease_ns = consumer->config.lease_ms * MS;
    struct leaser leaser = {.consumer = consumer,
                            .lease_ns = lease_ns,
                            .renew_ns = lease_ns / 3,
                            .list_ns = lease_ns / 4};

    for (uint32_t seen;
         seen = atomic_load(&consumer->leaser.word), !atomic_load(&consumer->leaser.is_stopping);) {
        uint64_t until_ns;

        reap(&leaser);
        until_ns = renew(&leaser);
        atomic_store(&consumer->leaser.is_sharing, true); /* run() waits for tasks that begin now */
        if (atomic_load(&consumer->sync.done) > 0 && !atomic_load(&consumer->stop_word))
            until_ns = least(until_ns, share(&leaser));
        atomic_store(&consumer->leaser.is_sharing, false);
        if (atomic_load(&consumer->stop_word))
            mr_consumer_look(consumer);
        mr_consumer_sleep(consumer, &consumer->leaser.word, seen, until_ns);
    }
    return NULL;
}

void mr_leaser_give_back(struct mr_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->task_count; i++)
        mr_task_ask(consumer->tasks[i], ASK_STOP);
    pthread_mutex_unlock(&consumer->lock);
}
