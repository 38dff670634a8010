/*
 * millrace.h - the engine: durable, ordered, sharded streams kept in one directory.
 *
 * A stream is a set of shards. A shard owns a range of the 128-bit hash space and is an append-only
 * sequence of records. A record goes to the open shard whose range contains the MD5 of its
 * partition key (or its explicit hash key). Within a shard, sequence numbers only grow; after a
 * split or a merge the children's start above the parents'.
 *
 * Ownership   mr_bytes never owns what it points to. What you pass in is copied before the call
 *             returns, unless the call says otherwise; what you get out is valid until the moment
 *             named there.
 * Threads     An mr_engine may be used from any thread. An mr_reader belongs to one thread at a
 *             time. Your callbacks run on the engine's own threads, never under a lock of ours:
 *             they may call the engine, except for the calls that block (named below) and
 *             mr_engine_close(). They must be short: the next group of puts waits for them.
 * Errors      Calls return mr_status; MR_OK is 0. Pass an mr_error to learn more, or NULL. A call
 *             that fails has changed nothing unless its comment says so.
 * Units       *_ms milliseconds (moments are since 1970-01-01 UTC), *_bytes bytes, *_count items.
 * Memory      Sizes are bounded by the config; malloc failing within those bounds aborts (see
 *             mr_on_out_of_memory). Input too large is MR_LIMIT, never an abort.
 *
 * The promises (L1-L9, S1-S4) that these calls keep are listed in core/README.md.
 */
#ifndef MILLRACE_H
#define MILLRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MR_VERSION "0.1.0"

/* ---- values ------------------------------------------------------------------------------- */

/* Borrowed bytes; data may be NULL when size is 0. */
typedef struct mr_bytes {
    const void *data;
    size_t size;
} mr_bytes;

/* A point of the hash space: an unsigned 128-bit number. */
typedef struct mr_hash_key {
    uint64_t hi, lo;
} mr_hash_key;

/* A shard of one stream, counted from 0 in the order of creation, never reused. */
typedef uint32_t mr_shard_id;
#define MR_NO_SHARD UINT32_MAX
#define MR_SHARD_TEXT_BYTES 32 /* "shardId-000000000007" and its NUL */

/*
 * A record's place in its shard. `number` alone orders the records of a shard: it grows through the
 * whole engine, with gaps in each shard. The other fields complete the 56-digit decimal number that
 * AWS shows (layout version 2): tools that read shard and time out of one keep working.
 */
typedef struct mr_sequence {
    uint64_t number;    /* 0 is before every record; at most 2^63-1 */
    uint32_t shard;     /* the shard's id in its stream */
    uint32_t created_s; /* when the shard was created, seconds since 1970 */
    uint32_t time_s;    /* when the record arrived, at least created_s */
} mr_sequence;
#define MR_SEQUENCE_TEXT_BYTES 57 /* 56 digits and a NUL */

#define MR_PARTITION_KEY_CHARS_MAX 256  /* Unicode characters, as Kinesis counts them */
#define MR_PARTITION_KEY_BYTES_MAX 1024 /* the same in UTF-8 bytes */
#define MR_RECORD_BYTES_MAX (10u << 20) /* data + partition key; Kinesis since October 2025 */
#define MR_BATCH_BYTES_MAX (12u << 20)  /* sum over one put call, 64 bytes a record included */
#define MR_NAME_BYTES_MAX 128           /* stream names: letters, digits, '_', '.', '-' */

typedef struct mr_record {
    mr_bytes partition_key; /* may be empty: put without a key (see mr_put) */
    mr_bytes data;
    mr_sequence sequence;
    int64_t arrival_ms;
    bool has_explicit_hash_key; /* explicit_hash_key was given with the put */
    mr_hash_key explicit_hash_key;
} mr_record;

/* ---- errors ------------------------------------------------------------------------------- */

/* X(name, value, retryable, text): the one table behind the enum and mr_status_*(). */
#define MR_STATUS_MAP(X)                                                                           \
    X(OK, 0, 0, "success")                                                                         \
    X(INVALID, -1, 0, "an argument is outside its documented range")                               \
    X(NOT_FOUND, -2, 0, "no such stream, shard or property")                                       \
    X(EXISTS, -3, 0, "a stream of that name exists")                                               \
    X(BUSY, -4, 1, "the engine cannot take more at this moment")                                   \
    X(LIMIT, -5, 0, "a size or a count is over its limit")                                         \
    X(THROTTLED, -6, 1, "the shard is over its rate")                                              \
    X(EXPIRED, -7, 0, "the position is older than what is retained")                               \
    X(CLOSED, -8, 0, "the shard, stream or handle is closed")                                      \
    X(TIMEOUT, -9, 1, "the deadline passed first; the outcome may be unknown")                     \
    X(UNAVAILABLE, -10, 1, "the server cannot be reached")                                         \
    X(DENIED, -11, 0, "the credentials do not allow this")                                         \
    X(LOCKED, -12, 0, "another process has the directory open")                                    \
    X(IO, -13, 0, "the operating system refused a read, write or sync")                            \
    X(NO_SPACE, -14, 1, "the disk is full")                                                        \
    X(CORRUPT, -15, 0, "stored bytes fail their checksum or format")                               \
    X(FORMAT, -16, 0, "written by a newer version of millrace")                                    \
    X(CONFLICT, -17, 0, "the property has another version than expected")                          \
    X(FENCED, -18, 0, "another worker holds this lease now")                                       \
    X(NO_KEY, -19, 0, "the key of encrypted records is not at hand")

typedef enum mr_status {
#define X(name, value, retryable, text) MR_##name = value,
    MR_STATUS_MAP(X)
#undef X
} mr_status;

/* Filled by the call that failed; untouched by one that succeeded. Holds no memory. */
typedef struct mr_error {
    mr_status status;
    int os_errno; /* 0 when the operating system was not involved */
    char message[240];
} mr_error;

const char *mr_status_name(mr_status status); /* "NOT_FOUND"; never NULL */
const char *mr_status_text(mr_status status); /* a sentence; never NULL */
bool mr_status_retryable(mr_status status);   /* the same call may succeed later */

/* ---- engine ------------------------------------------------------------------------------- */

typedef struct mr_engine mr_engine;

typedef enum mr_sync {
    MR_SYNC_EACH,     /* an acknowledged record survives power loss */
    MR_SYNC_INTERVAL, /* survives a killed process; power loss may take sync_interval_ms */
} mr_sync;

/* What a shard takes and gives; 0 lifts a limit. */
struct mr_limits {
    uint32_t write_bytes_per_s; /* data + partition key */
    uint32_t write_records_per_s;
    uint32_t read_bytes_per_s; /* shared by all limited readers of the shard */
    uint32_t read_calls_per_s;
};
#define MR_LIMITS_NONE ((struct mr_limits){0, 0, 0, 0})
/* A provisioned Kinesis shard: 1 MiB/s and 1,000 records/s in, 2 MiB/s and 5 calls/s out. */
#define MR_LIMITS_KINESIS ((struct mr_limits){1u << 20, 1000, 2u << 20, 5})

/* Start from MR_ENGINE_CONFIG_DEFAULT and change what you need. */
struct mr_engine_config {
    size_t struct_bytes; /* set by the default; lets the struct grow at its end */
    mr_sync sync;
    uint32_t sync_interval_ms; /* 1..60000, for MR_SYNC_INTERVAL */
    uint64_t journal_bytes;    /* 32 MiB..64 GiB, of a new directory; reserved on disk while open */
    bool journal_prewrite;  /* write the journal once at opening: faster syncs from the first put */
    uint64_t segment_bytes; /* 1 MiB..4 GiB; retention drops whole segments */
    uint64_t memory_bytes;  /* records kept in memory, besides 48 KiB a shard that is written to */
    uint32_t shard_count_max; /* open shards of all streams */
    struct mr_limits limits;
    void (*diag)(void *context, const char *line); /* one logfmt line, no newline; any thread */
    void *diag_context;
    const char *key_file; /* of mr_stream_encrypt(); NULL: $XDG_CONFIG_HOME/millrace/keys, else
                             ~/.config/millrace/keys */
};
#define MR_ENGINE_CONFIG_DEFAULT                                                                   \
    ((struct mr_engine_config){.struct_bytes = sizeof(struct mr_engine_config),                    \
                               .sync = MR_SYNC_EACH,                                               \
                               .sync_interval_ms = 50,                                             \
                               .journal_bytes = (uint64_t)256 << 20,                               \
                               .segment_bytes = (uint64_t)256 << 20,                               \
                               .memory_bytes = (uint64_t)24 << 20,                                 \
                               .shard_count_max = 100000})

/*
 * Opens directory, creating it if missing, and recovers what a crash left behind. config may be
 * NULL for the default. LOCKED, IO, NO_SPACE, CORRUPT, FORMAT, INVALID; NO_KEY: a crash left encrypted
 * records to be recovered. Close *engine with
 * mr_engine_close().
 */
mr_status mr_engine_open(mr_engine **engine, const char *directory,
                         const struct mr_engine_config *config, mr_error *error);

/*
 * Finishes the puts under way, makes all durable, and releases everything. Readers must be closed
 * and no other call may be running. NULL is allowed.
 */
void mr_engine_close(mr_engine *engine);

/* Replaces the limits of every shard from now on. */
void mr_engine_limit(mr_engine *engine, const struct mr_limits *limits);

/* Trims what retention allows to forget and frees its disk space now, not within the minute. */
mr_status mr_engine_trim(mr_engine *engine, mr_error *error);

struct mr_engine_stats {
    /* what opening found */
    bool recovered;                  /* the last process did not close the directory */
    uint64_t recovered_record_count; /* read back from the journal */
    uint64_t recovered_journal_bytes;
    uint32_t recovery_ms;
    /* now */
    uint64_t stream_count, shard_count, open_shard_count;
    uint64_t record_count, record_bytes; /* put so far and still in streams that exist */
    uint64_t segment_count;
    uint64_t segment_raw_bytes, segment_stored_bytes; /* before and after compression */
    uint64_t journal_used_bytes, journal_bytes;
    uint64_t memory_bytes;        /* held by records in memory */
    uint64_t group_count;         /* groups of puts made durable since opening */
    const char *read_only_reason; /* NULL, or why puts are refused; valid until close */
};
void mr_engine_stats(mr_engine *engine, struct mr_engine_stats *stats);

/* Called instead of abort() when malloc fails; must not return. Process-wide. */
void mr_on_out_of_memory(void (*handler)(size_t bytes));

/* ---- streams and shards ------------------------------------------------------------------- */

/* The changes in this part block until durable; after a crash each is done or not begun. */

/*
 * shard_count 1..shard_count_max, of equal hash key ranges. EXISTS, LIMIT, INVALID.
 */
mr_status mr_stream_create(mr_engine *engine, const char *stream, uint32_t shard_count,
                           mr_error *error);

/* Forgets the stream and its records. Readers of it get CLOSED. NOT_FOUND. */
mr_status mr_stream_delete(mr_engine *engine, const char *stream, mr_error *error);

/* 24..8760 hours. What a shorter retention has hidden a longer one does not bring back. */
mr_status mr_stream_retain(mr_engine *engine, const char *stream, uint32_t hours, mr_error *error);

/*
 * From now on what is put is encrypted on the disk (AES-256-GCM), or is not any more; what is there
 * stays as it is, and is read as ever. Data keys of the stream's own are wrapped by the first master
 * key of config.key_file, which is made if it is missing: keep a copy of it, apart from the data.
 * Called again it reads that file anew, and what comes gets new data keys (rotation). A put or a read
 * that lacks its key fails with NO_KEY, which says what to do; nothing is lost by it, and all else goes
 * on. NOT_FOUND; NO_KEY: the file can be read by others, is damaged, or cannot be made.
 */
mr_status mr_stream_encrypt(mr_engine *engine, const char *stream, bool is_on, mr_error *error);

struct mr_stream_info {
    char name[MR_NAME_BYTES_MAX + 1];
    uint32_t id; /* never reused in a directory */
    int64_t created_ms;
    uint32_t retention_hours;
    uint32_t shard_count, open_shard_count; /* shard_count: open, or closed and retained */
    uint64_t record_count, record_bytes;    /* ever put */
    uint64_t segment_count, segment_raw_bytes, segment_stored_bytes;
    bool is_encrypted; /* what is put now */
};
/* NOT_FOUND. */
mr_status mr_stream_describe(mr_engine *engine, const char *stream, struct mr_stream_info *info,
                             mr_error *error);

/* Visits streams in name order until visit returns false. visit may call the engine. */
void mr_stream_each(mr_engine *engine,
                    bool (*visit)(void *context, const struct mr_stream_info *info), void *context);

typedef struct mr_shard {
    mr_shard_id id, parent,
        adjacent_parent;             /* MR_NO_SHARD where there is none or it is forgotten */
    mr_hash_key first_key, last_key; /* inclusive */
    mr_sequence first_sequence;      /* below every record of the shard; number is 0 */
    bool is_closed;
    mr_sequence last_sequence; /* of a closed shard: not below any record; else all 0 */
    int64_t created_ms, closed_ms;
    uint64_t record_count, record_bytes; /* ever put */
} mr_shard;

/* Visits shards, open and closed, in id order until visit returns false. NOT_FOUND. */
mr_status mr_shard_each(mr_engine *engine, const char *stream,
                        bool (*visit)(void *context, const mr_shard *shard), void *context,
                        mr_error *error);

/* The open shard that takes this partition key now. NOT_FOUND. */
mr_status mr_shard_where(mr_engine *engine, const char *stream, mr_bytes partition_key,
                         mr_shard *shard, mr_hash_key *hash_key, mr_error *error);

/*
 * Closes shard and opens two children: [first_key, at - 1] and [at, last_key]. at must be above
 * first_key + 1 and below last_key, as in Kinesis; NULL means the middle. NOT_FOUND, INVALID,
 * LIMIT, CLOSED. children may be NULL.
 */
mr_status mr_shard_split(mr_engine *engine, const char *stream, mr_shard_id shard,
                         const mr_hash_key *at, mr_shard_id children[2], mr_error *error);

/* Closes two shards whose ranges touch, in either order, and opens one for both. child may be NULL.
 */
mr_status mr_shard_merge(mr_engine *engine, const char *stream, mr_shard_id shard,
                         mr_shard_id adjacent, mr_shard_id *child, mr_error *error);

/*
 * Reshards to shard_count open shards of equal ranges, in one step. A shard whose range is one of
 * them already stays open. INVALID, LIMIT, NOT_FOUND.
 */
mr_status mr_stream_scale(mr_engine *engine, const char *stream, uint32_t shard_count,
                          mr_error *error);

/* ---- put ---------------------------------------------------------------------------------- */

typedef struct mr_put {
    mr_bytes partition_key; /* 1..256 characters of UTF-8; empty only with an explicit hash key */
    mr_bytes data;          /* 0..MR_RECORD_BYTES_MAX less the key */
    const mr_hash_key *explicit_hash_key; /* NULL: the partition key's MD5 */
} mr_put;

typedef struct mr_put_result {
    mr_status status; /* OK, INVALID, LIMIT, THROTTLED; or why none of the batch was stored */
    mr_sequence sequence;
    int64_t arrival_ms;
} mr_put_result;

/*
 * Puts a batch and blocks until its records are as durable as config.sync says, and readable. Good
 * records are stored even where others are refused: MR_OK means that results[] is filled, look at
 * each status. Stored together or not at all after a crash. NOT_FOUND, LIMIT (the batch is over
 * MR_BATCH_BYTES_MAX), NO_SPACE and BUSY (nothing was stored: the disk is full, or did not keep up
 * for 30 s), NO_KEY (the stream's key is not at hand), IO (refused, or its write failed: of the latter the next opening may find all or nothing).
 */
mr_status mr_put_records(mr_engine *engine, const char *stream, const mr_put *puts, size_t count,
                         mr_put_result *results, mr_error *error);

/*
 * The same without waiting: results[] must live until done() is called, exactly once, with what
 * mr_put_records() would have returned; puts[] and their bytes are free when the call returns. If
 * the call itself fails, done() is not called; if every record is refused, it is called from within
 * this call. Blocks only while the journal is full, up to 30 s. Batches submitted by one thread get
 * their places in the order of submission.
 */
mr_status mr_put_submit(mr_engine *engine, const char *stream, const mr_put *puts, size_t count,
                        mr_put_result *results, void (*done)(void *context, mr_status status),
                        void *context, mr_error *error);

/*
 * mr_put_submit() for a thread that must not wait: BUSY at once while the journal is full or a stream
 * is about to change. Try again, or leave it to a thread that may wait.
 */
mr_status mr_put_offer(mr_engine *engine, const char *stream, const mr_put *puts, size_t count,
                       mr_put_result *results, void (*done)(void *context, mr_status status),
                       void *context, mr_error *error);

/*
 * Where the records of a put come from, if they may come again: the places from `from` up to `to` of
 * something that counts, as a partition of a Kafka topic does. With the records the stream remembers how
 * far it has taken each origin, durably, and until it is deleted.
 */
#define MR_ORIGIN_BYTES_MAX 400
typedef struct mr_origin {
    const char *name; /* 1..MR_ORIGIN_BYTES_MAX bytes */
    uint64_t from, to;
} mr_origin;

/*
 * mr_put_submit() for such records: all are stored, and with them that the origin is taken up to `to`;
 * or none is and the call fails. CONFLICT: it is taken beyond `from` already. INVALID, LIMIT, THROTTLED:
 * a record is refused (results[] say which; the others are BUSY). BUSY: another put of this origin is under way, or there was
 * no room in the journal for wait_ms. If done is NULL, the call waits until the records are durable.
 */
mr_status mr_put_from(mr_engine *engine, const char *stream, const mr_origin *origin,
                      const mr_put *puts, size_t count, mr_put_result *results, uint32_t wait_ms,
                      void (*done)(void *context, mr_status status), void *context,
                      mr_error *error);

/* How far a stream has taken an origin; 0: nothing of it. NOT_FOUND, INVALID. */
mr_status mr_origin_position(mr_engine *engine, const char *stream, const char *origin,
                             uint64_t *position, mr_error *error);

/* ---- read --------------------------------------------------------------------------------- */

typedef enum mr_start {
    MR_START_TRIM_HORIZON, /* the oldest record retained */
    MR_START_LATEST,       /* after the newest record at the time of opening */
    MR_START_AT,           /* the first record whose number is >= sequence.number */
    MR_START_AFTER,        /* the first record whose number is > sequence.number */
    MR_START_AT_TIME,      /* the first record that arrived at time_ms or later */
} mr_start;

typedef struct mr_position {
    mr_start start;
    mr_sequence sequence; /* MR_START_AT, MR_START_AFTER: only number is looked at */
    int64_t time_ms;      /* MR_START_AT_TIME */
} mr_position;

typedef struct mr_batch {
    const mr_record *records; /* they and their bytes: valid until the next call on the reader */
    size_t count;             /* 0 when wait_ms passed with nothing new */
    int64_t behind_ms;        /* how old the place reached is; 0 when nothing newer exists */
    bool end_of_shard;        /* the shard is closed and fully read: no more will come */
} mr_batch;

typedef struct mr_reader mr_reader;

struct mr_reader_config {
    mr_position from;
    bool limited; /* counts against the shard's read limits, as GetRecords does: THROTTLED */
};

/* NOT_FOUND. Close with mr_reader_close() before the engine is closed. */
mr_status mr_reader_open(mr_reader **reader, mr_engine *engine, const char *stream,
                         mr_shard_id shard, const struct mr_reader_config *config, mr_error *error);

/*
 * Returns records in sequence order, at most record_count_max (1..10000), waiting up to wait_ms for
 * the first. It returns what it has at hand: fewer than asked does not mean the end. Records that
 * retention has hidden are skipped. Only durable records are seen. CLOSED when the stream was
 * deleted, CORRUPT names the file and place of a damaged block: the next call goes on behind it;
 * NO_KEY: the records are encrypted, the next call tries again.
 */
mr_status mr_reader_next(mr_reader *reader, size_t record_count_max, uint32_t wait_ms,
                         mr_batch *batch, mr_error *error);

/*
 * Calls ready() once, from a thread of the engine, when mr_reader_next() has something to return:
 * records, the end of the shard, or an error. At most one watch at a time; a second call replaces
 * the first. NULL unwatches: when it returns, ready() is not running and will not be called.
 */
void mr_reader_watch(mr_reader *reader, void (*ready)(void *context), void *context);

/* Where the reader stands: reopening MR_START_AFTER this continues without loss or repetition. */
mr_sequence mr_reader_position(const mr_reader *reader);

void mr_reader_close(mr_reader *reader);

/* ---- properties --------------------------------------------------------------------------- */

/*
 * A property is a small durable value with a name, of a stream or of the engine (stream NULL):
 * checkpoints, leases, tags. They are entries of the same journal as records, in one order.
 */
#define MR_PROPERTY_NAME_BYTES_MAX 512
#define MR_PROPERTY_VALUE_BYTES_MAX (64u << 10)
#define MR_ANY_VERSION UINT64_MAX

/*
 * Sets a property if its version is expected_version (0: it must not exist; MR_ANY_VERSION: do not
 * look). A value whose data is NULL removes it. Blocks until durable. *version (may be NULL) gets
 * the new version, which grows with each change. CONFLICT, NOT_FOUND (the stream), LIMIT.
 */
mr_status mr_property_set(mr_engine *engine, const char *stream, const char *name, mr_bytes value,
                          uint64_t expected_version, uint64_t *version, mr_error *error);

/* Visits the properties whose name begins with prefix, in name order, until visit returns false.
 * The arguments of visit are valid during the call only. NOT_FOUND: the stream. */
mr_status mr_property_each(mr_engine *engine, const char *stream, const char *prefix,
                           bool (*visit)(void *context, const char *name, mr_bytes value,
                                         uint64_t version),
                           void *context, mr_error *error);

/* ---- service ------------------------------------------------------------------------------ */

/*
 * The Kinesis API over streams: what millrace-producer.h and millrace-consumer.h work on. This one
 * is over an engine in this process; millrace-remote.h has one over the network.
 */
typedef struct mr_service mr_service;

/* At most one over an engine, which must outlive it. Without delays and without limits of calls;
 * the engine's limits of shards hold. IO, CORRUPT. */
mr_status mr_service_open(mr_service **service, mr_engine *engine, mr_error *error);

/* No call on it may be under way. NULL is allowed. */
void mr_service_close(mr_service *service);

/* ---- text --------------------------------------------------------------------------------- */

/* AWS's 56-digit form. A closed shard's last_sequence and every first_sequence have one, too. */
void mr_sequence_format(const mr_sequence *sequence, char text[MR_SEQUENCE_TEXT_BYTES]);
/* Reads that form. INVALID. */
mr_status mr_sequence_parse(const char *text, mr_sequence *sequence, mr_error *error);

#define MR_HASH_KEY_TEXT_BYTES 40 /* 39 decimal digits and a NUL */
void mr_hash_key_format(mr_hash_key key, char text[MR_HASH_KEY_TEXT_BYTES]);
mr_status mr_hash_key_parse(const char *text, mr_hash_key *key, mr_error *error);
mr_hash_key mr_hash_key_of(mr_bytes partition_key); /* its MD5 */

void mr_shard_format(mr_shard_id shard, char text[MR_SHARD_TEXT_BYTES]);
/* "shardId-000000000007", and as AWS allows "shardId-7" and "7". INVALID. */
mr_status mr_shard_parse(const char *text, mr_shard_id *shard, mr_error *error);

#ifdef __cplusplus
}
#endif
#endif
