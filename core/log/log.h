/*
 * log.h - the door of core/log: many logs (one a shard) kept in one directory, durable together.
 *
 * An append is durable when its group is in the shared journal; segments, compressed, are made from
 * it in the background. Besides records the journal carries the owner's entries: opaque bytes that
 * the owner (core/stream's catalog) applies to a state of its own, in the one order of everything.
 *
 *     append ──> open group ──commit──> journal ──publish──> tails, owner ──flush──> segments
 *                                       (durable)            (readable)             (compressed)
 *                                                    checkpoint: journal space is free again
 *
 * Each arrow is a step; threads.c runs them on threads, tests run them one by one with
 * mr_log_step() to try every interleaving.
 *
 * Threads     Every call may come from any thread, except as noted. Owner callbacks come from the
 *             publishing thread (or from the caller of mr_log_open() and mr_log_step()).
 */
#ifndef MR_LOG_LOG_H
#define MR_LOG_LOG_H

#include "millrace.h"
#include "os/clock.h"
#include "os/fs.h"

#include <stdatomic.h>

struct mr_log;
struct mr_log_append;

/* Names a log in the whole directory, for ever: the owner counts up from 0. */
typedef uint32_t mr_log_id;

/* ---- the owner ---------------------------------------------------------------------------- */

struct mr_log_owner {
    /* At opening, once, before any apply(): the state of the last checkpoint, as snapshot() packed
     * it; bytes.size is 0 in a new directory. The owner calls mr_log_add() for each log that
     * exists. CORRUPT. */
    mr_status (*restore)(void *context, struct mr_log *log, mr_bytes bytes, mr_error *error);

    /* An entry is durable (or was recovered): change the state. number is the entry's place in the
     * order of everything: every record put before it has a smaller one, every later record a
     * larger. append is NULL during recovery; else the owner may set append->entry_status and
     * append->entry_value for the waiter. The owner calls mr_log_add() and mr_log_drop_stream()
     * from here. CORRUPT if it cannot be decoded: opening fails. */
    mr_status (*apply)(void *context, struct mr_log *log, mr_bytes entry, uint64_t number,
                       int64_t at_ms, struct mr_log_append *append, mr_error *error);

    /* Packs the state as of the last apply(); bytes are taken over and freed with mr_free(). */
    void (*snapshot)(void *context, uint8_t **bytes, size_t *size);

    /* From the housekeeping thread, about once a second, and in MR_LOG_STEP_HOUSEKEEP: the place
     * to call mr_log_trim(). May be NULL. */
    void (*housekeep)(void *context, struct mr_log *log);
    void *context;
};

/* ---- open and close ----------------------------------------------------------------------- */

struct mr_log_config {
    struct mr_fs *fs;
    struct mr_clock *clock;
    const char *directory;
    const char *key_file; /* NULL: mr_key_file_new()'s default */
    struct mr_log_owner owner;
    mr_sync sync;
    uint32_t sync_interval_ms;
    uint64_t journal_bytes; /* of a new directory: a multiple of 4096 */
    bool journal_prewrite;
    uint64_t segment_bytes;
    uint64_t memory_bytes;
    bool manual;       /* no threads: mr_log_step() does all the work */
    bool journal_only; /* measuring only: drop records once published, never flush */
    bool salvage;      /* recover around damaged parts of the journal, reporting what they cost */
    uint32_t mutant;   /* tests only: a planted bug, see enum mr_log_mutant; 0 is none */
    void (*diag)(void *context, const char *line);
    void *diag_context;
};

/* LOCKED, IO, NO_SPACE, CORRUPT, FORMAT; NO_KEY: what is to be recovered is encrypted. */
mr_status mr_log_open(struct mr_log **log, const struct mr_log_config *config, mr_error *error);
/* Publishes and flushes all, checkpoints, and gives the journal's disk space back. No cursor may be
 * open and no append waiting. After mr_log_step(ABANDON) nothing is written. NULL is allowed. */
void mr_log_close(struct mr_log *log);

/* A log exists: from restore() and apply() only. stream: the log's segments live with those of the
 * same stream number. The first record's number is above every number given out before. */
void mr_log_add(struct mr_log *log, mr_log_id id, uint32_t stream);
/* Forgets one log (its records are gone) / all logs of a stream, and its segments. From apply(). */
void mr_log_drop(struct mr_log *log, mr_log_id id);
void mr_log_drop_stream(struct mr_log *log, uint32_t stream);

/* ---- encryption --------------------------------------------------------------------------- */

/* The master key for what is to be encrypted from now on: the first of the key file, which is read anew
 * and made if it is missing. NO_KEY, BUSY, IO, NO_SPACE. */
mr_status mr_log_first_key(struct mr_log *log, uint64_t *key_id, mr_error *error);

/* What the stream's encrypted appends are to be wrapped by from now on, in new data keys; 0: there are
 * none to come. From restore() and apply() only. */
void mr_log_encrypt(struct mr_log *log, uint32_t stream, uint64_t key_id);

/* ---- append ------------------------------------------------------------------------------- */

/* Frames are what a run is made of: lengths, flags, [explicit hash key], partition key, data. */
size_t mr_frame_bytes(const mr_put *put); /* at most put's sizes + MR_FRAME_BYTES_MORE */
uint8_t *mr_frame_write(uint8_t *out, const mr_put *put); /* returns the end */
#define MR_FRAME_BYTES_MORE 32
#define MR_RUN_BYTES_GOOD (16u << 10) /* cut runs at about this size: blocks fill better */

/* Consecutive records of one log, put together: they share their arrival time and have consecutive
 * numbers. */
struct mr_log_run {
    mr_log_id log;
    uint32_t record_count; /* >= 1 */
    uint64_t record_bytes; /* keys + data: for the counters */
    mr_bytes frames;       /* at most MR_RUN_BYTES_GOOD, or one record; data NULL: of the puts */
    uint32_t first_put;    /* then this is the first of them, in the append's */
    uint64_t first_number; /* out */
};

/* One atomic append: runs and at most one entry. Caller's memory, in place until done(). */
struct mr_log_append {
    struct mr_log_run *runs; /* copied by mr_log_append(), but for first_number of no use after */
    size_t run_count;
    const mr_put *puts; /* of runs without frames of their own, which are made where they belong */
    const uint32_t *next_put; /* next_put[i] comes behind puts[i] in its run */
    mr_bytes entry;           /* size 0: none. It comes before the runs */
    uint64_t key_id; /* 0: not encrypted; else as mr_log_encrypt() says for the runs' stream */

    /* Called once, when the append is durable and readable or has failed (status). In the order of
     * appends. From the publishing thread: be short. NULL: somebody waits with mr_log_wait(). */
    void (*done)(struct mr_log_append *append);
    void *context;

    /* out */
    mr_status status;
    mr_error error; /* filled when status is not OK */
    int64_t at_ms;
    uint64_t entry_number;
    mr_status entry_status;
    uint64_t entry_value;

    struct mr_log_append *next; /* the log's, as is the next */
    uint64_t group_serial;
    _Atomic uint32_t is_done;
};

/* Queues the append; its numbers and time are set on return. Waits up to wait_ms for room in the
 * journal and in memory. BUSY, NO_SPACE, IO, NO_KEY: then nothing is queued and done() is not called. */
mr_status mr_log_append(struct mr_log *log, struct mr_log_append *append, uint32_t wait_ms,
                        mr_error *error);

/* Waits until an append that was queued with done NULL is done; returns its status. One wake-up serves
 * all waiters of a group. In manual mode it runs the steps itself. */
mr_status mr_log_wait(struct mr_log *log, struct mr_log_append *append, mr_error *error);

/* mr_log_append() with done NULL, then mr_log_wait(). */
mr_status mr_log_append_wait(struct mr_log *log, struct mr_log_append *append, uint32_t wait_ms,
                             mr_error *error);

/* ---- read --------------------------------------------------------------------------------- */

struct mr_log_cursor; /* one thread at a time */

/* What every record of the log shares; number and time_s of the base are filled for each record. */
mr_status mr_log_cursor_open(struct mr_log_cursor **cursor, struct mr_log *log, mr_log_id id,
                             mr_sequence base, mr_error *error);
void mr_log_cursor_close(struct mr_log_cursor *cursor);

void mr_log_cursor_seek(struct mr_log_cursor *cursor, uint64_t number); /* first with >= number */
mr_status mr_log_cursor_seek_time(struct mr_log_cursor *cursor, int64_t time_ms, mr_error *error);

struct mr_log_records {
    const mr_record *records; /* valid until the next call on the cursor */
    size_t count;
    bool at_tip;        /* nothing published was left behind these */
    int64_t reached_ms; /* arrival of the last record returned or skipped; 0: none yet */
};

/* At most count_max records from one block, skipping those that arrived before horizon_ms. Never
 * waits. count 0 with at_tip: nothing new. CLOSED: the log was dropped. CORRUPT: names the file and
 * place; the next call goes on behind the damage. NO_KEY: they are encrypted; the next call tries
 * again. */
mr_status mr_log_cursor_next(struct mr_log_cursor *cursor, size_t count_max, int64_t horizon_ms,
                             struct mr_log_records *records, mr_error *error);
uint64_t mr_log_cursor_number(
    const struct mr_log_cursor *cursor); /* of the next record, at least */

/* The number of the newest published record of a log, 0 if none; CLOSED if the log is gone. */
mr_status mr_log_tip(struct mr_log *log, mr_log_id id, uint64_t *number);

/* A watcher is called once, from the bell thread, when its log has a record with a number >= from, is
 * rung or dropped; from this call if the log is gone already. */
struct mr_log_watcher {
    void (*ready)(struct mr_log_watcher *watcher);
    void *context;
    struct mr_log_watcher *next, **link; /* the log's */
    bool armed;
};
void mr_log_watch(struct mr_log *log, mr_log_id id, uint64_t from, struct mr_log_watcher *watcher);
/* When it returns, ready() is not running and will not be called (unless called from ready()). */
void mr_log_unwatch(struct mr_log *log, struct mr_log_watcher *watcher);
/* Wakes the watchers of a log: the owner closed it. */
void mr_log_ring(struct mr_log *log, mr_log_id id);

/* ---- retention, figures, steps ------------------------------------------------------------ */

/* Drops segments of the stream whose newest record arrived before horizon_ms (L8); their files go
 * with the next checkpoint. */
void mr_log_trim(struct mr_log *log, uint32_t stream, int64_t horizon_ms);

/* Flushes what is in memory and checkpoints, now. */
mr_status mr_log_checkpoint(struct mr_log *log, mr_error *error);

struct mr_log_figures {                              /* of one log or one stream */
    uint64_t record_count, record_bytes;             /* ever published */
    uint64_t segment_count, raw_bytes, stored_bytes; /* of a stream only */
    int64_t newest_ms; /* arrival of the newest record published, of a log only */
};
mr_status mr_log_figures(struct mr_log *log, mr_log_id id, struct mr_log_figures *figures);
void mr_log_stream_figures(struct mr_log *log, uint32_t stream, struct mr_log_figures *figures);
/* Fills the parts of mr_engine_stats that the log knows (all but streams and shards). */
void mr_log_stats(struct mr_log *log, struct mr_engine_stats *stats);

enum mr_log_step {
    MR_LOG_STEP_COMMIT, /* write and sync what lanes have in hand, else the open group */
    MR_LOG_STEP_LANE_0, /* one call of a committer: take the open group, write it, sync it */
    MR_LOG_STEP_LANE_1,
    MR_LOG_STEP_PUBLISH,    /* apply the oldest durable group */
    MR_LOG_STEP_FLUSH,      /* one stream's blocks to its segment */
    MR_LOG_STEP_CHECKPOINT, /* free journal space */
    MR_LOG_STEP_HOUSEKEEP,
    MR_LOG_STEP_BELL,    /* call watchers */
    MR_LOG_STEP_ABANDON, /* for a crash: close will write nothing */
};
/* Manual mode. Says whether there was something to do. */
bool mr_log_step(struct mr_log *log, enum mr_log_step step);

/* Classic mistakes that the crash tests plant to see that they are found. */
enum mr_log_mutant {
    MR_MUTANT_NONE,
    MR_MUTANT_ACK_BEFORE_SYNC,          /* publish before the journal is synced */
    MR_MUTANT_HEADER_CHECKSUM_ONLY,     /* a group's payload is not covered */
    MR_MUTANT_EARLY_REUSE,              /* journal space is free before the checkpoint is durable */
    MR_MUTANT_NO_RESYNC,                /* recovery shows groups it did not sync again */
    MR_MUTANT_NO_EPOCH,                 /* stale groups pass for new ones */
    MR_MUTANT_CHECKPOINT_IN_PLACE,      /* the only copy is overwritten */
    MR_MUTANT_SEGMENT_NOT_SYNCED,       /* checkpoint before the segments are durable */
    MR_MUTANT_SEGMENT_NOT_CUT,          /* recovery appends behind what a crash left */
    MR_MUTANT_FLUSH_SKIPS_OPEN_CHUNK,   /* the tail moves past records still in memory only */
    MR_MUTANT_REPLAY_TWICE,             /* records already in segments are replayed */
    MR_MUTANT_RETRY_SYNC,               /* a failed sync is tried again and believed */
    MR_MUTANT_UNLINK_BEFORE_CHECKPOINT, /* segments go before the manifest forgets them */
    MR_MUTANT_ANSWER_BEHIND_HOLE,       /* a group is believed though the one before it failed */
    MR_MUTANT_COUNT
};

/* ---- verify ------------------------------------------------------------------------------- */

struct mr_log_finding {
    bool damage;      /* else a remark */
    const char *text; /* one line: file, place, what is affected, what to do */
};
struct mr_log_verify_totals {
    uint64_t file_count, byte_count, block_count, record_count, group_count, damage_count;
    uint64_t locked_block_count; /* their checksums are good, and their keys are not at hand */
};
/* Reads every file of a directory that nobody has open and checks every checksum and promise (L5).
 * report is called for each finding. The status is OK when the reading itself went well: look at
 * totals->damage_count. LOCKED, NOT_FOUND, FORMAT, IO. progress (may be NULL) gets bytes done of
 * all. */
mr_status mr_log_verify(struct mr_fs *fs, const char *directory, const char *key_file,
                        void (*report)(void *context, const struct mr_log_finding *finding),
                        void (*progress)(void *context, uint64_t done, uint64_t all), void *context,
                        struct mr_log_verify_totals *totals, mr_error *error);

#endif
