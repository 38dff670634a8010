/*
 * inside.h - what the files of consumer/ share.
 *
 *     sync.c        ListShards ──> leases for new shards         (its own thread)
 *     leases.c      list, renew, take, steal, give back          (its own thread)
 *     shard_task.c  fetch ──> unpack ──> your records()          (threads of the pool)
 *     consumer.c    timers, stop                                 (the thread of mr_consumer_run())
 *
 * Locks       `lock` guards the tables: what is seen, the shards, the tasks. It is never held across
 *             a call of a store, of the service, or of yours. A task's `lease_lock` guards its lease
 *             and is held while the store changes it; taken before `lock`, never within.
 */
#ifndef MR_CONSUMER_INSIDE_H
#define MR_CONSUMER_INSIDE_H

#include "balance.h"
#include "base/random.h"
#include "fetch.h"
#include "os/clock.h"
#include "os/thread.h"
#include "pool.h"
#include "service/service.h"

/* ---- tasks -------------------------------------------------------------------------------- */

enum task_state { STARTING, READING, ENDING, ENDED, DONE };

/* What others ask of a task. */
enum task_ask {
    ASK_LOST = 1,    /* the lease is somebody else's */
    ASK_STOP = 2,    /* stop, and give the lease back */
    ASK_HAND = 4,    /* stop, and hand the lease over to its new owner */
    ASK_RESTART = 8, /* begin again at the checkpoint */
};

struct mr_shard_task {
    struct mr_consumer *consumer;
    mr_shard_id shard;
    char shard_text[MR_SHARD_TEXT_BYTES];
    mr_mark begin; /* the shard's first */

    /* Scheduling: */
    struct mr_pool_job job;
    _Atomic uint32_t queue;  /* enum in shard_task.c */
    _Atomic uint64_t due_ns; /* wake it then; UINT64_MAX: never */
    _Atomic uint32_t asked;  /* enum task_ask */
    _Atomic bool is_done;    /* nothing runs or will: free it */

    /* Of the thread that runs it: */
    enum task_state state;
    void *user;
    bool is_started, is_read_to_end;
    mr_mark after; /* records up to here are not delivered */
    struct mr_unpack unpack;
    uint32_t failures; /* in a row */
    uint64_t paused_until_ns;
    uint64_t sync_seen; /* of ENDING: the sync that must be over */

    pthread_mutex_t fetch_lock; /* who looks at `fetch` from outside */
    struct mr_fetch *fetch;

    struct {
        pthread_mutex_t lock;
        mr_lease lease;
        mr_lease unsure; /* what a failed update may have written */
        bool is_unsure, is_fenced;
        _Atomic uint64_t renewed_ns; /* before the store was asked; read without the lock */
        mr_mark delivered;
        bool may_end; /* SHARD_END may be checkpointed */
    } held;

    _Atomic int64_t behind_ms;
    _Atomic uint64_t record_count, record_bytes, batch_count, busy_us, checkpoint_count;
};

struct mr_known;
struct mr_shard_task *mr_task_new(struct mr_consumer *consumer, const mr_lease *lease,
                                  const struct mr_known *known, uint64_t renewed_ns);
const struct mr_known *mr_known_find(const struct mr_known *known, size_t count, mr_shard_id shard);
void mr_task_free(struct mr_shard_task *task); /* is_done */

/* Runs it soon. From any thread. */
void mr_task_wake(struct mr_shard_task *task);
void mr_task_ask(struct mr_shard_task *task, enum task_ask ask);
/* Wakes it, or what it fetches, if the moment has come. */
void mr_task_look(struct mr_shard_task *task, uint64_t now_ns);

/* ---- held leases (hold.c) ------------------------------------------------------------------ */

/* Writes a change of a lease that is ours: CONFLICT only if it is so no more. Hold held.lock. */
mr_status mr_hold_change(struct mr_shard_task *task, mr_lease *to, mr_error *error);
void mr_hold_renew(struct mr_shard_task *task);
/* Makes it free, or its new owner's. */
void mr_hold_release(struct mr_shard_task *task, bool hand);
bool mr_hold_is_valid(struct mr_shard_task *task); /* by our own clock */

/* ---- the consumer -------------------------------------------------------------------------- */

/* A shard of the stream. */
struct mr_known {
    mr_shard_id shard, parents[2];
    mr_hash_key first_key, last_key;
    mr_mark begin;
    bool is_open;
};

struct mr_consumer {
    struct mr_consumer_config config; /* its texts are copies */
    struct mr_clock *clock;
    mr_service *service;
    mr_lease_store *leases;
    char *stream, *application, *worker, *fan_out_name;
    struct mr_pool *pool;
    _Atomic uint32_t run_word;  /* of mr_consumer_run(): changed and woken when it should look */
    _Atomic uint32_t stop_word; /* 1: stop */

    pthread_mutex_t lock;
    struct mr_seen *seen; /* in shard order */
    size_t seen_count, seen_capacity;
    struct mr_known *known; /* in shard order */
    size_t known_count;
    struct mr_shard_task **tasks;
    size_t task_count, task_capacity;
    mr_error fatal; /* why it cannot go on */

    struct {
        pthread_t thread;
        _Atomic uint32_t word;        /* changed: look */
        _Atomic uint64_t asked, done; /* counts of syncs */
        _Atomic bool is_stopping;
    } sync;
    char *fan_out_arn; /* set before the first sync is done */

    struct {
        pthread_t thread;
        _Atomic uint32_t word;
        struct mr_random random;
        _Atomic bool is_stopping, is_sharing;
    } leaser;

    _Atomic uint32_t calls; /* of the service, under way */

    _Atomic uint64_t record_count, record_bytes, checkpoint_count, renewal_count, taken_count,
        stolen_count, lost_count, handed_count, store_failure_count, read_failure_count,
        throttled_count, dropped_count;
};

mr_status mr_consumer_open_with(mr_consumer **consumer, const struct mr_consumer_config *config,
                                struct mr_clock *clock, mr_error *error);

static inline uint64_t mr_consumer_now_ns(const struct mr_consumer *consumer)
{
    return consumer->clock->monotonic_ns(consumer->clock);
}

/* Says a logfmt line; quotes in error->message are the reader's problem no more than ours. */
__attribute__((format(printf, 2, 3))) void mr_consumer_say(struct mr_consumer *consumer,
                                                           const char *format, ...);
void mr_consumer_fail(struct mr_consumer *consumer, const mr_error *error); /* run() ends */
void mr_consumer_look(struct mr_consumer *consumer); /* wakes mr_consumer_run() */
void mr_consumer_sleep(struct mr_consumer *consumer, _Atomic uint32_t *word, uint32_t seen,
                       uint64_t until_ns);
void mr_word_change(_Atomic uint32_t *word);

/* ---- the threads --------------------------------------------------------------------------- */

void *mr_sync_run(void *consumer);
void mr_sync_ask(struct mr_consumer *consumer);
/* The leases that the shards lack, parents first; fresh memory. */
mr_lease *mr_sync_missing(const struct mr_known *known, size_t known_count,
                          const struct mr_seen *seen, size_t seen_count, const mr_position *from,
                          size_t *count);

void *mr_leaser_run(void *consumer);
void mr_leaser_give_back(struct mr_consumer *consumer);

/* ---- calls of the service ------------------------------------------------------------------- */

/* What an exception is as a status: the consumer's reaction to it. */
mr_status mr_refusal_status(const struct mr_refusal *refusal, mr_error *error);
/* Blocks until it is answered. */
mr_status mr_call_wait(struct mr_consumer *consumer, enum mr_action action, const void *request,
                       struct mr_arena *arena, struct mr_call *call, mr_error *error);
mr_bytes mr_bytes_of(const char *text);

#endif
