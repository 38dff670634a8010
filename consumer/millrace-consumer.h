/*
 * millrace-consumer.h - read all shards of a stream, together with other workers.
 *
 * The workers of one application share leases: one a shard, held by one worker at a time, with the
 * checkpoint in it. For each lease that it holds, a worker runs one shard task:
 *
 *     STARTING ──> READING ──> ENDING ──> done: the shard is closed, and read to its end
 *         │           │           │
 *         └───────────┴───────────┴─────> done: the lease was lost, handed over, or we stop
 *
 * Ownership   Records and their bytes are yours until your records() returns. Pointers in configs
 *             must live as long as the consumer; texts are copied.
 * Threads     Calls for one shard never overlap; calls for different shards run at the same time,
 *             each as long as it likes: a slow shard has a thread of its own. A consumer may be
 *             stopped and looked at from any thread, a task while its started() to done() last.
 * Errors      As in millrace.h. What goes wrong inside - an endpoint that is away, a store that
 *             fails - is told to diag(), tried again, and counted in the metrics.
 *
 * The promises (C1-C9) are listed in consumer/README.md.
 */
#ifndef MILLRACE_CONSUMER_H
#define MILLRACE_CONSUMER_H

#include <millrace.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_consumer mr_consumer;
typedef struct mr_shard_task mr_shard_task;

/* ---- places ------------------------------------------------------------------------------- */

/* In the order in which checkpoints grow. */
typedef enum mr_mark_kind {
    MR_MARK_AT_TIME, /* not begun yet: where the application begins */
    MR_MARK_TRIM_HORIZON,
    MR_MARK_LATEST,
    MR_MARK_RECORD, /* of a checkpoint: through this record */
    MR_MARK_SHARD_END,
} mr_mark_kind;

/*
 * Where a record stands in its shard. Many user records that were put as one (aggregated) have one
 * sequence number and count their sub-sequence numbers from 0 on.
 */
typedef struct mr_mark {
    mr_mark_kind kind;
    uint64_t sub_sequence;
    uint64_t sequence[3]; /* the sequence number in binary, lowest word first */
} mr_mark;

/* Below, equal, above: negative, 0, positive. */
int mr_mark_compare(const mr_mark *a, const mr_mark *b);

#define MR_MARK_TEXT_BYTES 59
/* The sequence number in decimal, or "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END". */
void mr_mark_format(const mr_mark *place, char text[MR_MARK_TEXT_BYTES]);
/* Reads that. INVALID. */
mr_status mr_mark_parse(const char *text, uint64_t sub_sequence, mr_mark *place, mr_error *error);

/* ---- your code ---------------------------------------------------------------------------- */

typedef struct mr_consumer_record {
    mr_bytes partition_key, data;
    mr_mark mark;
    int64_t arrival_ms;
    bool has_explicit_hash_key;
    mr_hash_key explicit_hash_key;
} mr_consumer_record;

typedef struct mr_consumer_batch {
    const mr_consumer_record *records;
    size_t count;
    int64_t behind_ms; /* how old the place reached is; 0 at the tip */
} mr_consumer_batch;

/* Any call left NULL does nothing. state is what started() returned. */
struct mr_processor {
    /* The first call: records through `from` will not come (again). */
    void *(*started)(void *context, mr_shard_task *task, const mr_mark *from);
    void (*records)(void *state, mr_shard_task *task, const mr_consumer_batch *batch);
    /* All records were delivered: mr_checkpoint(task, NULL) says so to the children's sake, which
     * wait for it. Called again, a second later, until that has succeeded. NULL: done for you. */
    void (*shard_ended)(void *state, mr_shard_task *task);
    /* Another worker has the shard, or will soon. Nothing can be checkpointed any more. */
    void (*lease_lost)(void *state, mr_shard_task *task);
    /* The worker stops or hands the shard over: the last chance to checkpoint. */
    void (*stopping)(void *state, mr_shard_task *task);
    /* The last call, always: free state. */
    void (*done)(void *state);
};

/*
 * Says that all records through `through` need not come again; NULL: all that were delivered, those
 * of a records() that is running included, or in shard_ended() the end of the shard. Blocks until
 * the store has it. From any thread. FENCED: the lease has moved, nothing was written: stop working
 * on this shard. INVALID: behind the checkpoint before, or not delivered yet. CLOSED: this shard has
 * been ended. Else the store failed (the message says how): try again; until one succeeds the
 * checkpoint before may be the one that counts.
 */
mr_status mr_checkpoint(mr_shard_task *task, const mr_mark *through, mr_error *error);

mr_shard_id mr_shard_task_shard(const mr_shard_task *task);
mr_mark mr_shard_task_checkpoint(mr_shard_task *task); /* the last one accepted */

/* For processors that fail: when the call under way returns, done() follows, and a second later
 * started() again, from the checkpoint. */
void mr_shard_task_restart(mr_shard_task *task);

/* ---- leases ------------------------------------------------------------------------------- */

#define MR_WORKER_BYTES_MAX 127      /* a worker's name */
#define MR_APPLICATION_BYTES_MAX 255 /* an application's: letters, digits, '_', '.', '-' */

typedef struct mr_lease {
    mr_shard_id shard;
    mr_shard_id parents[2], children[2]; /* MR_NO_SHARD where there is none, or it is not known */
    bool has_range;
    mr_hash_key first_key, last_key;
    char owner[MR_WORKER_BYTES_MAX + 1];   /* "": free */
    char handing[MR_WORKER_BYTES_MAX + 1]; /* the owner before, while it finishes; "": none */
    uint64_t counter;                      /* grows with every change: who knows it knows the row */
    uint64_t switches;                     /* of the owner since the last checkpoint */
    mr_mark checkpoint;
    int64_t began_ms; /* of a shard begun at its tip or a time: that moment; 0: not begun */
} mr_lease;

/* A lease that somebody made unreadable: the store's list() gives it with a fault, and nobody works
 * on its shard until it is corrected. */
typedef bool mr_lease_visit(void *context, const mr_lease *lease, const char *fault);

/*
 * Where leases live. A store of your own needs only this much. Calls come from several threads, may
 * block, and must be durable when they return.
 */
typedef struct mr_lease_store mr_lease_store;
struct mr_lease_store {
    /* Visits all leases, in any order, until visit returns false. */
    mr_status (*list)(mr_lease_store *store, mr_lease_visit *visit, void *context, mr_error *error);
    mr_status (*get)(mr_lease_store *store, mr_shard_id shard, mr_lease *lease,
                     mr_error *error); /* NOT_FOUND */
    mr_status (*create)(mr_lease_store *store, const mr_lease *lease, mr_error *error); /* EXISTS */
    /* Makes it `to` if its counter is still that of `from`. CONFLICT, NOT_FOUND. */
    mr_status (*update)(mr_lease_store *store, const mr_lease *from, const mr_lease *to,
                        mr_error *error);
    mr_status (*remove)(mr_lease_store *store, const mr_lease *lease,
                        mr_error *error); /* the same */
    void (*close)(mr_lease_store *store);
};

/* In memory, for the workers of one process; they may share one. */
mr_status mr_lease_store_memory(mr_lease_store **store, mr_error *error);

/* In the engine's own journal, with the stream. INVALID. */
mr_status mr_lease_store_engine(mr_lease_store **store, mr_engine *engine, const char *stream,
                                const char *application, mr_error *error);

/* In an SQLite file, made if missing, shared by the processes of one machine. INVALID, IO. */
mr_status mr_lease_store_file(mr_lease_store **store, const char *path, const char *stream,
                              const char *application, mr_error *error);

/*
 * In a table of DynamoDB in the KCL's own layout, made with its first lease: named as the
 * application, unless the KCL was told another name. The poster is mr_poster_connect()'s of millrace-remote.h, to
 * "dynamodb", and must outlive the store. With workers of KCL 1 and 2 in the application set
 * handover_ms to 0: they do not hand over.
 */
typedef struct mr_poster mr_poster;
mr_status mr_lease_store_dynamodb(mr_lease_store **store, mr_poster *poster, const char *table,
                                  mr_error *error);

/* Close the consumers that use it first. NULL is allowed. */
void mr_lease_store_close(mr_lease_store *store);

/* Visits the names of applications with leases of a stream until visit returns false. */
mr_status mr_applications_engine(mr_engine *engine, const char *stream,
                                 bool (*visit)(void *context, const char *application),
                                 void *context, mr_error *error);
mr_status mr_applications_file(const char *path, const char *stream,
                               bool (*visit)(void *context, const char *application), void *context,
                               mr_error *error);

/* ---- consumer ----------------------------------------------------------------------------- */

typedef enum mr_retrieval {
    MR_RETRIEVE_POLL,    /* GetRecords; an engine in this process is read without polling */
    MR_RETRIEVE_FAN_OUT, /* SubscribeToShard, as a registered consumer */
} mr_retrieval;

/* Start from MR_CONSUMER_CONFIG_DEFAULT and set what stands before `from`. */
struct mr_consumer_config {
    size_t struct_bytes; /* set by the default; lets the struct grow at its end */
    mr_service *service;
    const char *stream;
    const char *application;
    const char *worker; /* a name of its own for each worker; NULL: made of host, process, chance */
    mr_lease_store *leases;
    struct mr_processor processor;
    void *processor_context;

    mr_position from; /* where new applications begin: TRIM_HORIZON, LATEST, AT_TIME */
    mr_retrieval retrieval;
    const char *fan_out_name;  /* NULL: the application's name */
    uint32_t lease_ms;         /* 100..3600000; a holder silent for so long loses its leases */
    uint32_t handover_ms;      /* for stopping() when a lease is stolen; 0: it is lost at once */
    uint32_t lease_count_max;  /* held by this worker */
    uint32_t steal_count_max;  /* at a time, to balance; 1.. */
    uint32_t thread_count_max; /* 1..4096 calls of yours at the same time */
    uint32_t batch_count_max;  /* 1..10000 records a read; of aggregates there are more inside */
    uint32_t call_ms;          /* between two GetRecords of a shard, at least */
    uint32_t poll_ms;          /* the same where nothing new came */
    uint32_t shard_sync_ms;    /* how often to look for new shards */
    bool calls_when_empty;     /* records() for reads without records, too */
    /* An aggregate with a key of another shard was put while shards changed, and is dropped, as the
     * KCL does, for its producer puts its records again. True: deliver it, for producers that do
     * not, and for streams whose records have no keys. */
    bool keeps_strays;
    void (*diag)(void *context, const char *line); /* one logfmt line, no newline; any thread */
    void *diag_context;
};
#define MR_CONSUMER_CONFIG_DEFAULT                                                                 \
    ((struct mr_consumer_config){.struct_bytes = sizeof(struct mr_consumer_config),                \
                                 .from = {.start = MR_START_TRIM_HORIZON},                         \
                                 .lease_ms = 10000,                                                \
                                 .handover_ms = 30000,                                             \
                                 .lease_count_max = UINT32_MAX,                                    \
                                 .steal_count_max = 8,                                             \
                                 .thread_count_max = 256,                                          \
                                 .batch_count_max = 10000,                                         \
                                 .call_ms = 200,                                                   \
                                 .poll_ms = 1000,                                                  \
                                 .shard_sync_ms = 30000})

/* Checks the config; nothing runs yet. INVALID. */
mr_status mr_consumer_open(mr_consumer **consumer, const struct mr_consumer_config *config,
                           mr_error *error);

/*
 * Works until mr_consumer_stop(): then stopping() or done() have been called for every task, and the
 * leases given back; MR_OK. Or until it cannot go on: NOT_FOUND (the stream), DENIED. Once.
 */
mr_status mr_consumer_run(mr_consumer *consumer, mr_error *error);

/* Asks mr_consumer_run() to end. From any thread, and from a signal handler. */
void mr_consumer_stop(mr_consumer *consumer);

/* mr_consumer_run() must have returned, or never been called. NULL is allowed. */
void mr_consumer_close(mr_consumer *consumer);

/* ---- metrics ------------------------------------------------------------------------------ */

struct mr_consumer_shard {
    mr_shard_id shard;
    const char *owner; /* "": free; the rest but checkpoint is 0 for shards of others */
    mr_mark checkpoint;
    bool is_ours;
    int64_t behind_ms;
    uint64_t record_count, record_bytes, batch_count;
    uint64_t busy_us; /* spent in records() */
    uint64_t checkpoint_count;
};

struct mr_consumer_metrics {
    uint32_t lease_count, our_lease_count, worker_count; /* lease_count: of shards not ended */
    int64_t behind_ms_max;                               /* over our shards */
    uint64_t record_count, record_bytes;                 /* delivered, ever */
    uint64_t checkpoint_count, renewal_count;
    uint64_t taken_count, stolen_count, lost_count, handed_count;
    uint64_t store_failure_count, read_failure_count, throttled_count;
    uint64_t dropped_count; /* of aggregates with keys of other shards */
};
void mr_consumer_metrics(mr_consumer *consumer, struct mr_consumer_metrics *metrics);

/* Visits the shards, in id order, until visit returns false. visit must not call the consumer. */
void mr_consumer_shards(mr_consumer *consumer,
                        bool (*visit)(void *context, const struct mr_consumer_shard *shard),
                        void *context);

/* Both as Prometheus text. Like snprintf(): returns what it takes, without the NUL. */
size_t mr_consumer_metrics_text(mr_consumer *consumer, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
