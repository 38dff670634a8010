/*
 * sender.h - records on their way at given moments: what gen and replay have in common. Records go
 * in batches as large as what is due; throttled ones come again, later each time.
 */
#ifndef MR_TOOLS_REPLAY_SENDER_H
#define MR_TOOLS_REPLAY_SENDER_H

#include "base/random.h"
#include "put_pipe.h"
#include "replay/schedule.h"

#include <stdatomic.h>

#define MR_SENDER_RETRIES_MAX 12 /* more would take longer than a minute */

/* What came of the records for one shard. */
struct mr_sent_shard {
    uint64_t stored_count, stored_bytes;
    uint64_t throttled_count, throttled_bytes; /* each time it happened */
};

struct mr_sent {
    uint64_t count, bytes; /* given to mr_sender_put() */
    uint64_t stored_count, stored_bytes;
    uint64_t rejected_count;  /* all that were not stored in the end */
    uint64_t throttled_count; /* each time it happened */
    struct mr_lateness lateness;
    struct mr_sent_shard *shards; /* by shard id */
    size_t shard_count;
};

struct mr_again;

/* A record to send; its bytes are copied. */
struct mr_sending {
    uint64_t line; /* names it where it is rejected; 0: none */
    mr_bytes key, data;
    const mr_hash_key *hash_key;
};

struct mr_sender {
    /* To be set before the start: */
    const struct mr_place *place;
    const char *stream;
    unsigned retries_max;
    bool strict; /* the first record rejected stops all */
    void (*reject)(void *context, uint64_t line, const char *why); /* of either thread */
    /* Of the acknowledging thread, which writes sent.stored, .rejected, .throttled and .shards. */
    void (*progress)(void *context, const struct mr_sender *sender);
    void *context;
    uint64_t input_bytes; /* of the input, so far: comes back in progress */

    struct mr_put_pipe *pipe;
    struct mr_put_batch *batch; /* being filled */
    uint8_t *attempts;          /* of each record of each batch */
    uint64_t batch_due_ns;      /* of the batch's first record */
    _Atomic uint64_t late_ns;   /* of the last batch sent by a schedule */
    uint64_t done_bytes;        /* input_bytes of what is acknowledged */
    struct mr_random random;
    atomic_bool stopped;
    mr_error error; /* why, when it was not the caller */
    struct mr_sent sent;
    _Atomic uint64_t closed_count; /* records stored or rejected, of sent.count */

    pthread_mutex_t lock; /* of the records that wait for another attempt */
    struct mr_again *first[MR_SENDER_RETRIES_MAX + 1], *last[MR_SENDER_RETRIES_MAX + 1];
    size_t again_bytes;
};

void mr_sender_start(struct mr_sender *sender);

/* Waits until due_ns (monotonic; 0 is at once) and sends. False: all is stopped, by a failure or an
 * interrupt, and the record was not taken. */
bool mr_sender_put(struct mr_sender *sender, const struct mr_sending *record, uint64_t due_ns);

/* Waits until due_ns; what is at hand goes out. False as above. */
bool mr_sender_wait(struct mr_sender *sender, uint64_t due_ns);

/* Sends what is at hand: before the caller waits for something else. */
void mr_sender_flush(struct mr_sender *sender);

/* Sends what is left, waits for every answer. Then sent and error may be looked at; end it with
 * mr_sender_fini(). */
void mr_sender_finish(struct mr_sender *sender);
void mr_sender_fini(struct mr_sender *sender);

#endif
