/*
 * inside.h - struct mr_log, shared by the files of core/log only.
 *
 * Locks, in the order in which they may be taken together:
 *     sealing       held while a group is taken and sealed: it has the hash of the one before
 *     publishing    held while a group is published; whoever holds it sees a state between two groups
 *     flushing      held while a flush enters its result, and while a checkpoint copies the manifest
 *     stores_lock   the tables of tails and stores
 *     sequencer     the open group, numbers and time, journal space
 *     tail->lock    one tail's chunks and places
 *     cache_lock    the order of flushed chunks
 *     bell_lock     watchers
 *     keys_lock     data keys
 */
#ifndef MR_LOG_INSIDE_H
#define MR_LOG_INSIDE_H

#include "log/journal.h"
#include "log/segment.h"
#include "log/spool.h"
#include "log/tail.h"

#include <string.h>

#define GROUP_COUNT 4u
#define LANE_COUNT 2u
#define GROUP_BYTES_GOOD (2u << 20) /* a group does not grow on beyond it */
#define BYTES_PER_ACTIVE_TAIL (48u << 10)
#define EFFORT_HOLD_NS 250000000ull
#define EFFORT_HOLD_NS_MAX (32 * EFFORT_HOLD_NS)
#define FLUSH_BLOCKS_MAX 256u /* of one stream at a time: others wait no longer than that */
#define EFFORT_BLOCKS 16u     /* of them, before the effort is chosen again */

/* Why something makes no progress for now (a full disk); status OK: it does. */
struct mr_hitch {
    mr_status status;
    mr_error error;
};

/* Puts that will be made durable together. */
struct mr_group {
    struct mr_group *next;
    uint8_t *bytes;  /* GROUP_BYTES_MAX, of which only what is used takes memory */
    uint32_t used;   /* header and payload; GROUP_HEADER_BYTES when empty */
    uint64_t serial; /* counts groups: waiters of a group share a word to sleep on */
    struct mr_group_header header;
    struct mr_log_append *first, **last; /* in order */
    _Atomic uint32_t writer_count;       /* appends that still write into it; more by append.c */
    uint32_t waiter_count;
    bool is_encrypted; /* something in it is: then the group is, as a whole */
    uint64_t hash;     /* once written */
    bool is_synced;
    mr_status status;
    mr_error error;
};

/*
 * A committer. There are two, so that one group is written while another is synced: they reach the disk
 * in any order, and are answered in theirs.
 */
struct mr_lane {
    struct mr_log *log;
    struct mr_file
        *file; /* the journal, opened for each: to each is told which of its syncs failed */
    struct mr_group *group; /* in hand, or NULL */
    uint8_t *bytes;         /* its, as they are written */
    uint8_t *encrypted;     /* GROUP_BYTES_MAX, made when first needed */
    bool is_written;
    bool is_asleep; /* lock: sequencer */
    _Atomic uint32_t word;
};

/* One stream's segments. */
struct mr_store {
    _Atomic uint32_t reference_count; /* the table, each tail, and who works on it */
    struct mr_store *next_ready;
    uint32_t stream, tail_count;
    bool is_dropped, is_ready;
    struct mr_segment *segments; /* oldest first; only the last may be unsealed. Lock: flushing */
    uint32_t segment_count, segment_capacity;
    _Atomic uint64_t version; /* grows when places move: a reader that found nothing looks again */
    int64_t roll_ms;          /* a segment is sealed when its records span that much */
    bool is_new;              /* its folder has not been made in this life */
    struct mr_tail *ready;    /* tails with complete blocks */
    uint64_t key_id;          /* as mr_log_encrypt() said. Lock: keys_lock, as of the next */
    struct mr_data_key *key;  /* for its encrypted blocks; NULL: to be made. The log's */
};

/* A segment's file to be removed once no checkpoint names it. */
struct mr_doomed {
    struct mr_doomed *next;
    uint32_t stream, segment;
    bool is_whole_stream; /* then the folder, too; segment is not looked at */
};

struct mr_log {
    struct mr_log_config config;
    char directory[MR_PATH_BYTES];
    struct mr_fs *fs;
    struct mr_clock *clock;
    struct mr_file *lock_file;
    uint64_t directory_id;
    uint32_t epoch;
    uint64_t checkpoint_serial;
    struct mr_journal journal;
    bool is_abandoned;
    bool is_recovering; /* opening: everything runs on one thread */

    /* sequencer */
    pthread_mutex_t sequencer;
    pthread_cond_t room; /* journal space, memory or a group came free */
    uint32_t room_waiter_count;
    struct mr_group groups[GROUP_COUNT];
    struct mr_group *open, *free;
    struct mr_group *flying, **flying_last; /* taken by lanes, in order, the oldest not synced */
    uint64_t next_serial, next_number, next_lsn; /* next_lsn: behind the open group's begin */
    int64_t last_ms;
    uint64_t tail_lsn;      /* journal space from here on is in use */
    uint64_t written_lsn;   /* all before it is written */
    uint64_t durable_lsn;   /* all before it is synced */
    uint64_t previous_hash; /* of the newest group sealed; lock: sealing */
    uint64_t synced_ns;     /* MR_SYNC_INTERVAL: when the journal was synced */
    bool is_dirty;          /* MR_SYNC_INTERVAL: written since */
    mr_status failed;       /* why puts are refused for good */
    mr_error failure;
    struct mr_hitch flush_hitch, checkpoint_hitch;
    uint64_t group_count;
    pthread_mutex_t sealing;
    struct mr_lane lanes[LANE_COUNT];
    uint32_t lane_count; /* 1 with MR_SYNC_INTERVAL: there is no sync to wait for */

    /* publishing */
    pthread_mutex_t publishing;
    struct mr_group *queue_first, **queue_last; /* durable, not published; lock: sequencer */
    struct mr_lsn published;                    /* behind the newest group published */
    uint64_t published_number;                  /* the first number that is not */
    uint64_t restored_lsn;                      /* entries before it are in the owner's snapshot */
    _Atomic uint32_t wait_words[GROUP_COUNT];

    /* tails and stores */
    pthread_rwlock_t stores_lock;
    struct mr_tail **tails; /* by id; NULL where dropped */
    size_t tail_capacity, tail_count;
    struct mr_store **stores; /* sorted by stream */
    size_t store_count, store_capacity;

    /* memory */
    _Atomic uint64_t pending_bytes; /* chunks not flushed */
    _Atomic uint64_t cached_bytes;  /* chunks flushed */
    _Atomic uint64_t active_count;  /* tails with a chunk in memory */
    pthread_mutex_t cache_lock;
    struct mr_chunk *cache_first, *cache_last;

    /* flushing */
    pthread_mutex_t flush_turn; /* one flush at a time; taken before all others */
    pthread_mutex_t flushing;
    pthread_mutex_t ready_lock; /* the ready lists; taken last */
    struct mr_store *ready_first, **ready_last;
    struct mr_codec *codec; /* the flusher's */
    enum mr_codec_effort effort;
    uint64_t effort_ns, effort_hold_ns; /* since when, and how long before trying a better one */
    struct mr_spool spool;
    uint8_t *flush_raw;
    size_t flush_raw_capacity;
    uint32_t next_segment;
    struct mr_doomed *doomed;

    /* encryption */
    struct mr_key_file *keys;
    pthread_mutex_t keys_lock;
    struct mr_data_key **data_keys; /* all that were made, until the end */
    size_t data_key_count, data_key_capacity;
    _Atomic(struct mr_data_key *) journal_key; /* NULL: nothing encrypted was appended yet */
    _Atomic uint64_t ready_key_id; /* the master key that was there when last looked for; 0: none */
    struct mr_cipher *cipher;      /* of who seals groups, and of recovery */

    /* checkpoint */
    pthread_mutex_t checkpointing;

    /* bell */
    pthread_mutex_t bell_lock;
    pthread_cond_t bell_idle;
    struct mr_tail *rung_first;     /* tails whose watchers are to be called */
    struct mr_log_watcher *calling; /* being called just now */
    pthread_t bell_thread_id;

    /* readers' codecs, to be taken and given back */
    pthread_mutex_t codecs_lock;
    struct mr_codec *codecs[16];
    uint32_t codec_count;

    /* threads */
    pthread_t threads[4 + LANE_COUNT];
    uint32_t thread_count;
    _Atomic bool is_stopping;
    _Atomic uint32_t publish_word, flush_word, keep_word, bell_word;
    bool is_publish_asleep; /* lock: sequencer */
    _Atomic bool is_flush_asleep, is_any_ready;
    _Atomic uint64_t flushed_ns;     /* when the last flush was */
    _Atomic uint64_t look_again_lsn; /* nothing old is to be flushed before this is published */

    struct mr_engine_stats stats; /* what recovery found */
};

/* A logfmt line to the owner's diag, if any. */
__attribute__((format(printf, 2, 3))) void mr_log_diag(struct mr_log *log, const char *format, ...);

/* ---- log.c: the tables ---- */
/* Goes through the tails of a store (NULL: of all), by id: *next is 0 at first, the result NULL at the
 * end. stores_lock held. */
struct mr_tail *mr_log_next_tail(const struct mr_log *log, const struct mr_store *store,
                                 size_t *next);
struct mr_tail *mr_log_tail_hold(struct mr_log *log, mr_log_id id);      /* NULL: no such log */
struct mr_store *mr_log_store_hold(struct mr_log *log, uint32_t stream); /* NULL: none */
/* No more puts: the first reason stays. */
void mr_log_fail(struct mr_log *log, mr_status status, const mr_error *error);
bool mr_log_has_failed(struct mr_log *log);
/* Sets one of the log's hitches: puts that find no room say why. */
void mr_log_set_hitch(struct mr_log *log, struct mr_hitch *hitch, mr_status status,
                      const mr_error *error);

/* ---- encrypt.c ---- */
/* What is wrapped by this master key can be encrypted from now on. NO_KEY. */
mr_status mr_log_need_key(struct mr_log *log, uint64_t key_id, mr_error *error);
/* The data key for blocks of the stream. NO_KEY. */
mr_status mr_log_store_key(struct mr_log *log, struct mr_store *store, struct mr_data_key **key,
                           mr_error *error);
/* The group's bytes as the lane is to write them, not sealed yet. Lock: sealing. */
uint8_t *mr_log_encrypt_group(struct mr_log *log, struct mr_lane *lane,
                              const struct mr_group *group);
/* The payload of a group that was read, decrypted in place if it is encrypted. CORRUPT, NO_KEY. */
mr_status mr_log_open_group(struct mr_log *log, const struct mr_group_header *header,
                            uint8_t *group, mr_bytes *payload, mr_error *error);
void mr_log_forget_keys(struct mr_log *log); /* at closing */

/* ---- append.c ---- */
void mr_group_reset(struct mr_group *group);
uint64_t mr_log_memory_max(struct mr_log *log);
void mr_log_make_room(struct mr_log *log); /* wakes one that waits for room; sequencer held */
void mr_group_await_writers(struct mr_group *group); /* it is not open any more */

/* ---- commit.c ---- */
/* One call of the disk: takes the open group, writes it, or syncs it. false: nothing to do. */
bool mr_lane_step(struct mr_lane *lane);
bool mr_lane_commit(struct mr_lane *lane); /* a whole group */
bool mr_log_commit(struct mr_log *log);    /* what lanes have in hand, else the open group */
/* Whether the open group should be written now; sequencer held, as for the next. */
bool mr_log_commit_is_due(const struct mr_log *log);
struct mr_lane *mr_log_wake_lane(struct mr_log *log);  /* to be poked, or NULL: nothing is due */
void mr_log_sync_if_due(struct mr_log *log, bool now); /* MR_SYNC_INTERVAL */

/* ---- publish.c ---- */
bool mr_log_publish(struct mr_log *log);
/* Applies one group's payload: to tails and owner. first: its first append, NULL in recovery. */
mr_status mr_log_publish_group(struct mr_log *log, const struct mr_group_header *header,
                               mr_bytes payload, struct mr_log_append *first, mr_error *error);

/* ---- flush.c ---- */
/* Writes complete blocks of one stream, at most FLUSH_BLOCKS_MAX; false: none, or stuck. */
bool mr_log_flush(struct mr_log *log);
/* Ends blocks in progress whose first record's group is before this lsn: then they are complete. */
void mr_log_complete_old(struct mr_log *log, uint64_t before);
/* Whether memory or the journal ask for a flush, as far as can be told without looking at tails. */
bool mr_log_flush_is_due(struct mr_log *log, uint64_t live_bytes, uint64_t published_lsn);
/* Flushes what pressure asks for; false: there is nothing to do now. */
bool mr_log_flush_by_pressure(struct mr_log *log);
void mr_log_forget_ready(struct mr_log *log); /* at closing: nothing is flushed any more */
void mr_log_note_ready(struct mr_log *log, struct mr_tail *tail); /* it has complete blocks */
void mr_log_trim_cache(struct mr_log *log);
/* The group of the oldest record that is only in memory and journal; the published end if none. */
struct mr_lsn mr_log_oldest_pending(struct mr_log *log);

/* Remembers to remove a segment's file after the next checkpoint. Lock: flushing. */
void mr_log_doom(struct mr_log *log, uint32_t stream, uint32_t segment);

/* ---- repack.c ---- */
bool mr_log_repack(struct mr_log *log); /* one segment; false: none, or no time for it */

/* ---- checkpoint.c ---- */
mr_status mr_log_write_checkpoint(struct mr_log *log, bool is_clean, mr_error *error);

/* ---- recover.c ---- */
mr_status mr_log_recover(struct mr_log *log, mr_error *error);

/* ---- watch.c ---- */
void mr_log_ring_tail(struct mr_log *log, struct mr_tail *tail);
bool mr_log_call_watchers(struct mr_log *log);

/* ---- threads.c ---- */
void mr_log_start_threads(struct mr_log *log);
void mr_log_stop_threads(struct mr_log *log);
void mr_log_poke(_Atomic uint32_t *word);

#endif
