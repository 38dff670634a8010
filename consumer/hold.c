/*
 * hold.c - a lease that is ours: renewed, given the checkpoint, given back. Every change expects the
 * counter that we wrote last, so whoever has changed the row since fences us (C3).
 */
#include "inside.h"

#include "base/fail.h"

#include <string.h>

bool mr_hold_is_valid(struct mr_shard_task *task)
{
    const struct mr_consumer *consumer = task->consumer;

    return mr_consumer_now_ns(consumer) - atomic_load(&task->held.renewed_ns) <
           (uint64_t)consumer->config.lease_ms * 1000000;
}

static mr_status lose(struct mr_shard_task *task)
{
    task->held.is_fenced = true;
    mr_task_ask(task, ASK_LOST);
    return MR_CONFLICT;
}

/* The row is another than we wrote: it may be one that a failed call has written after all; or its
 * new owner lets us finish. */
static mr_status look_again(struct mr_shard_task *task, mr_error *error)
{
    struct mr_consumer *consumer = task->consumer;
    const char *worker = consumer->worker;
    mr_lease row;
    mr_status status = consumer->leases->get(consumer->leases, task->shard, &row, error);

    if (status == MR_NOT_FOUND || status == MR_CORRUPT)
        return lose(task);
    if (status)
        return status;
    if (row.counter != task->held.lease.counter &&
        !(task->held.is_unsure && row.counter == task->held.unsure.counter &&
          strcmp(row.owner, task->held.unsure.owner) == 0 &&
          mr_mark_compare(&row.checkpoint, &task->held.unsure.checkpoint) == 0)) {
        if (strcmp(row.handing, worker) != 0 || strcmp(row.owner, worker) == 0 ||
            mr_mark_compare(&row.checkpoint, &task->held.lease.checkpoint) < 0)
            return lose(task);
        mr_task_ask(task, ASK_HAND);
    }
    task->held.lease = row;
    task->held.is_unsure = false;
    return MR_OK;
}

/* Copies what is about the owner from the row that counts. */
static void follow(const struct mr_shard_task *task, mr_lease *to)
{
    const mr_lease *lease = &task->held.lease;

    if (to->owner[0] && strcmp(to->owner, lease->owner) != 0) {
        memcpy(to->owner, lease->owner, sizeof to->owner);
        memcpy(to->handing, lease->handing, sizeof to->handing);
    }
    to->counter = lease->counter + 1;
}

mr_status mr_hold_change(struct mr_shard_task *task, mr_lease *to, mr_error *error)
{
    struct mr_consumer *consumer = task->consumer;
    uint64_t now_ns = mr_consumer_now_ns(consumer);
    mr_status status = MR_OK;

    if (task->held.is_fenced)
        return MR_CONFLICT;
    if (task->held.is_unsure)
        status = look_again(task, error);
    for (int tries = 0; !status && tries < 2; tries++) {
        follow(task, to);
        status = consumer->leases->update(consumer->leases, &task->held.lease, to, error);
        if (!status) {
            task->held.lease = *to;
            task->held.renewed_ns = now_ns;
            return MR_OK;
        }
        if (status != MR_CONFLICT && status != MR_NOT_FOUND)
            break;
        status = tries == 0 ? look_again(task, error) : lose(task);
    }
    if (status && status != MR_CONFLICT) {
        task->held.unsure = *to;
        task->held.is_unsure = true;
        consumer->store_failure_count++;
    }
    return status;
}

void mr_hold_renew(struct mr_shard_task *task)
{
    struct mr_consumer *consumer = task->consumer;
    mr_error error = {0};
    mr_status status = MR_OK;
    mr_lease to;

    pthread_mutex_lock(&task->held.lock);
    to = task->held.lease;
    if (!mr_lease_is_ended(&to))
        status = mr_hold_change(task, &to, &error);
    pthread_mutex_unlock(&task->held.lock);
    if (!status)
        consumer->renewal_count++;
    else if (status != MR_CONFLICT)
        mr_consumer_say(consumer, "event=renew-failed shard=%s status=%s reason=\"%s\"",
                        task->shard_text, mr_status_name(status), error.message);
}

void mr_hold_release(struct mr_shard_task *task, bool hand)
{
    struct mr_consumer *consumer = task->consumer;
    mr_error error = {0};
    mr_status status = MR_OK;
    mr_lease to;

    pthread_mutex_lock(&task->held.lock);
    to = task->held.lease;
    if (!hand || strcmp(to.owner, consumer->worker) == 0)
        to.owner[0] = 0;
    to.handing[0] = 0;
    if (!mr_lease_is_ended(&task->held.lease)) {
        status = mr_hold_change(task, &to, &error);
        if (!status && to.owner[0])
            consumer->handed_count++;
    }
    task->held.is_fenced = true;
    pthread_mutex_unlock(&task->held.lock);
    if (status && status != MR_CONFLICT)
        mr_consumer_say(consumer, "event=release-failed shard=%s status=%s reason=\"%s\"",
                        task->shard_text, mr_status_name(status), error.message);
}

/* ---- checkpoints -------------------------------------------------------------------------- */

/* Where a checkpoint is to be; hold the lock. */
static mr_status choose(const struct mr_shard_task *task, const mr_mark *through, mr_mark *place,
                        mr_error *error)
{
    const mr_lease *lease = &task->held.lease;
    char text[MR_MARK_TEXT_BYTES], last[MR_MARK_TEXT_BYTES];

    *place = through ? *through : task->held.may_end ? MR_MARK(SHARD_END) : task->held.delivered;
    mr_mark_format(place, text);
    if (mr_mark_compare(place, &lease->checkpoint) < 0) {
        mr_mark_format(&lease->checkpoint, last);
        return mr_fail(error, MR_INVALID, "%s: a checkpoint at %s is behind the one before, at %s",
                       task->shard_text, text, last);
    }
    if (mr_mark_compare(place, &task->held.delivered) > 0 &&
        !(place->kind == MR_MARK_SHARD_END && task->held.may_end))
        return mr_fail(error, MR_INVALID,
                       "%s: a checkpoint at %s is beyond the records that were delivered",
                       task->shard_text, text); /* C1 */
    return MR_OK;
}

static void add_children(struct mr_consumer *consumer, mr_lease *lease)
{
    size_t count = 0;

    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->known_count && count < 2; i++)
        if (consumer->known[i].parents[0] == lease->shard ||
            consumer->known[i].parents[1] == lease->shard)
            lease->children[count++] = consumer->known[i].shard;
    pthread_mutex_unlock(&consumer->lock);
}

static mr_status checkpoint(struct mr_shard_task *task, const mr_mark *through, mr_error *error)
{
    mr_lease to = task->held.lease;
    mr_status status;

    if (mr_lease_is_ended(&to))
        return mr_fail(error, MR_CLOSED, "%s: its end has been checkpointed", task->shard_text);
    if (task->held.is_fenced)
        return MR_CONFLICT;
    status = choose(task, through, &to.checkpoint, error);
    if (status)
        return status;
    to.switches = 0;
    if (mr_lease_is_ended(&to)) {
        add_children(task->consumer, &to);
        to.owner[0] = to.handing[0] = 0;
    }
    return mr_hold_change(task, &to, error);
}

mr_status mr_checkpoint(mr_shard_task *task, const mr_mark *through, mr_error *error)
{
    mr_status status;

    pthread_mutex_lock(&task->held.lock);
    status = checkpoint(task, through, error);
    pthread_mutex_unlock(&task->held.lock);
    if (status == MR_CONFLICT)
        return mr_fail(error, MR_FENCED,
                       "%s: another worker has this lease, or will have it: stop working on the "
                       "shard",
                       task->shard_text);
    if (!status) {
        task->checkpoint_count++;
        task->consumer->checkpoint_count++;
    }
    return status;
}

mr_mark mr_shard_task_checkpoint(mr_shard_task *task)
{
    mr_mark place;

    pthread_mutex_lock(&task->held.lock);
    place = task->held.lease.checkpoint;
    pthread_mutex_unlock(&task->held.lock);
    return place;
}
