/*
 * stage.h - what the stages of a producer share: the records on their way, and who has them.
 *
 * All but the intake belongs to the producer's thread; it takes no lock there. A record is in one
 * place at a time: the intake, a lane, or a unit; and a unit in one: being filled, queued for its
 * shard's limit, ready, in a request, held, or waiting for the map.
 */
#ifndef MR_PRODUCER_STAGE_H
#define MR_PRODUCER_STAGE_H

#include "base/limit.h"
#include "base/pack.h"
#include "base/random.h"
#include "millrace-producer.h"
#include "os/thread.h"
#include "service/service.h"

#define MR_NEVER UINT64_MAX
#define MR_RECORDS_AHEAD 8

/* ---- records and units -------------------------------------------------------------------- */

/*
 * A piece of the buffer. Records stand in it one behind the other as they came, and it is free when
 * the last of them has been answered: so nothing is allocated, found or freed for a single record.
 */
struct mr_chunk {
    struct mr_chunk *next;         /* that came later; or free, too */
    struct mr_chunk *next_touched; /* records of it have been answered */
    size_t capacity, size;
    size_t record_count, answered_count;
    size_t taken, taken_count; /* bytes and records that the producer's thread has */
    bool is_touched;
    bool is_ended;  /* takes no more records */
    bool is_own;    /* it was made for its record */
    uint32_t flush; /* the last one before its records were put */
    _Alignas(16) uint8_t bytes[];
};

/* A record accepted and not answered, in a chunk. */
struct mr_pending {
    struct mr_pending *next; /* behind it in its lane */
    struct mr_chunk *chunk;
    void *token;
    uint64_t put_ns;
    mr_hash_key hash_key; /* by which it is routed */
    uint32_t key_bytes, data_bytes;
    uint32_t key_index, explicit_index; /* its keys' places in its aggregate */
    uint32_t attempt_count;             /* before this unit */
    bool has_explicit_hash_key;
    bool is_hashed;  /* hash_key is known */
    uint8_t bytes[]; /* partition key, data */
};

struct mr_queue {
    struct mr_pending *first, *last;
};

/* Where in a unit a key may be found: nothing is cleared, so that what it says has to be looked at. */
struct mr_name {
    uint16_t tag; /* of the key's hash */
    uint16_t index;
};

/*
 * Records that go the same way together. Of a shard: they become one record of the stream, an
 * aggregate if they are several. Loose ones, of any shards, become one each: where nothing depends
 * on the shard, they fill a request at once.
 */
struct mr_unit {
    struct mr_unit *next;
    struct mr_producer_shard *shard; /* while it is filled or queued there */
    mr_shard_id predicted;
    bool is_loose;
    struct mr_pending **records;
    size_t record_count, record_capacity;
    struct mr_lane **lanes; /* that it blocks; of loose records one each, in their order */
    size_t lane_count, lane_capacity;
    struct mr_pending *named_by; /* the last that brought a new key */
    struct mr_name *names;       /* a table of such records; or NULL */
    uint32_t key_count, explicit_count;
    uint32_t attempt_count;   /* requests that carried it */
    uint32_t attempts_before; /* the most of one of its records, in other units */
    uint32_t company_max;     /* records in its request: fewer after it was refused with others */
    size_t bytes;             /* as an aggregate; of loose ones keys and data */
    uint64_t due_ns;          /* no more company after this */
    uint64_t expires_ns;      /* when its oldest record does */
    uint64_t held_until_ns, sent_ns;
    mr_sequence sequence; /* once it has one */
};

struct mr_units {
    struct mr_unit *first, *last;
};

/*
 * What keeps the records of one partition key in order (P4): the unit that they are in, and those
 * behind it that wait until it lets go of the key. There are lanes only for keys that have a unit.
 */
struct mr_lane {
    struct mr_lane *next; /* in the table, or of the free ones */
    mr_hash_key hash;     /* of the key */
    struct mr_unit *unit;
    struct mr_queue waiting;
};

struct mr_lanes {
    struct mr_lane **buckets; /* a power of two */
    size_t bucket_count, count;
    struct mr_lane *free;
};

/* An open shard of the stream. */
struct mr_producer_shard {
    mr_shard_id id;
    mr_hash_key first, last;
    struct mr_unit *open;   /* being filled */
    struct mr_units queued; /* for the limit */
    struct mr_producer_shard *next_queued;
    bool is_queued, is_kept; /* is_kept: in the next map, too */
    struct mr_bucket bytes, records;
};

/* ---- parts ---------------------------------------------------------------------------------- */

/* Where records come in and answers let others wait no longer: shared by all threads. */
struct mr_intake {
    pthread_mutex_t lock;
    pthread_cond_t changed;        /* records were answered */
    struct mr_chunk *first, *last; /* that may have records to take; the last is being filled */
    struct mr_chunk *free;
    size_t chunk_bytes, free_bytes;
    size_t bytes_max;     /* P3 */
    size_t wakes_at;      /* so many records wake the thread */
    size_t came_count;    /* records not taken yet */
    size_t pending_count; /* records without answer */
    size_t pending_bytes; /* of the chunks that have one */
    bool is_closed;

    /* Flushes are numbered. How many chunks begun before flush i have a record without answer stands
     * at index i - flush_first; those are the flushes that are not over. */
    uint64_t *unanswered;
    size_t flush_count, flush_capacity;
    uint32_t flush_first;
    uint32_t urgent_count; /* who wants all sent without linger */
    uint32_t waiter_count;

    uint64_t put_count, put_bytes, refused_count;
};

/* Records that came in: from `at` to `end` in a chunk. */
struct mr_taken {
    struct mr_chunk *chunk;
    size_t at, end;
};

/* Records answered whose chunks do not know it yet. */
struct mr_given {
    struct mr_chunk *touched;
    size_t count;
};

/* A call that asks for shards; one at a time. */
struct mr_route_call {
    struct mr_call call;
    struct mr_arena arena;
    _Atomic bool is_answered;
    bool is_under_way;
};

struct mr_route_map {
    struct mr_producer_shard **shards; /* by their ranges, which cover the hash space */
    mr_hash_key *starts;
    size_t count;
    uint64_t asked_ns; /* when this map was asked for */

    struct mr_producer_shard **found; /* the next map, page by page */
    size_t found_count, found_capacity;
    uint64_t found_asked_ns;
    struct mr_route_call call;
    bool is_wanted;
    uint64_t wanted_from_ns; /* do not ask before */
    bool is_needed;          /* anything depends on a record's shard: else all units are loose */
};

/* A request. */
struct mr_sending {
    struct mr_call call;
    struct mr_producer *producer;
    struct mr_sending *next;
    struct mr_units units;
    size_t count; /* of records of the stream */
    struct mr_arena arena;
    struct mr_pack aggregates;
    mr_put *puts;        /* one each */
    mr_shard_id *shards; /* that they are meant for */
    mr_put_result *results;
    struct mr_puts batch; /* of them, for a service in this process */
};

/* Written by the producer's thread only, read by any. */
struct mr_producer_counts {
#define X(name, kind, help) _Atomic uint64_t name;
    MR_PRODUCER_METRICS_MAP(X)
#undef X
    _Atomic uint64_t latency_counts[MR_PRODUCER_LATENCY_BUCKETS];
    _Atomic uint64_t latency_us_sum;
};

struct mr_producer {
    struct mr_producer_config config;
    char *stream;
    size_t record_bytes_max; /* key and data, what the stream takes */
    struct mr_clock *clock;
    struct mr_random random;

    struct mr_intake intake;
    _Atomic(struct mr_sending *) answered; /* requests, the last first */
    _Atomic uint32_t woken;
    atomic_bool is_asleep;
    atomic_uint caller_count; /* threads of the service that are in here */
    _Atomic uint64_t close_by_ns;
    atomic_bool is_closing;

    uint64_t now_ns; /* of this step */
    bool is_urgent, is_aborting;
    bool has_more; /* records in the intake than a step takes */
    struct mr_lanes lanes;

    /* P4 without lanes: requests go whole, one behind the other, to a service that tells at once
     * whether they have their places. One that has none yet is a wall. After a refusal there are
     * lanes for a while: then what is in them goes first, without more coming in. */
    bool can_trust, is_trusting, is_emptying;
    uint64_t distrusted_ns;
    struct mr_sending *doubted;

    struct mr_route_map map;
    struct mr_unit *open_loose;
    uint64_t open_due_ns;                    /* no open unit is due before */
    struct mr_producer_shard *queued_shards; /* for the limit */
    struct mr_units ready;                   /* for a request */
    size_t ready_count, ready_bytes;
    uint64_t ready_due_ns;
    struct mr_sending *free_sendings;
    size_t under_way_count;
    struct mr_unit **held; /* a heap: the first to go on stands first */
    size_t held_count, held_capacity;
    struct mr_units unplaced; /* stored; where they are in the map, the next one says */
    struct mr_unit *free_units;
    struct mr_given given;
    uint64_t sweep_ns;
    char last_failure[200];
    struct mr_producer_counts counts;
    pthread_t thread;
};

/* ---- producer.c --------------------------------------------------------------------------- */

/* A producer without a thread, for who has the time in hand: calls mr_producer_step(). */
mr_status mr_producer_make(struct mr_producer **producer, const struct mr_producer_config *config,
                           struct mr_clock *clock, uint64_t seed, mr_error *error);
/* Does what there is to do; returns when there will be more, if nothing comes in before. */
uint64_t mr_producer_step(struct mr_producer *producer);
/* Nothing is under way any more. */
bool mr_producer_is_idle(struct mr_producer *producer);
void mr_producer_begin_close(struct mr_producer *producer, uint32_t timeout_ms);
void mr_producer_free(struct mr_producer *producer); /* when it is idle */
void mr_producer_wake(struct mr_producer *producer); /* any thread */

/* ---- intake.c ------------------------------------------------------------------------------- */

void mr_intake_init(struct mr_intake *intake, size_t bytes_max);
void mr_intake_fini(struct mr_intake *intake);
/* What has come, of one chunk; false: nothing. */
bool mr_intake_take(struct mr_intake *intake, struct mr_taken *taken);
/* So many are there; if not, the thread is woken when they are. */
bool mr_intake_has(struct mr_intake *intake, size_t count);
bool mr_intake_is_urgent(struct mr_intake *intake);
/* These are answered: chunks get free, and who waits for that goes on. */
void mr_intake_give(struct mr_intake *intake, struct mr_given *given);
/* The next record begins a chunk. Hold the lock. */
void mr_intake_end_chunk(struct mr_intake *intake);
/* Moves records that will stay for long out of chunks that others could leave, and tells where to. */
void mr_intake_move(struct mr_intake *intake, struct mr_pending **records, size_t count,
                    struct mr_given *given);

/* ---- chunk.c -------------------------------------------------------------------------------- */

struct mr_chunk *mr_chunk_new(size_t capacity);
/* Room for a record with so much data; NULL: there is none in this chunk. */
struct mr_pending *mr_chunk_add(struct mr_chunk *chunk, size_t key_bytes, size_t data_bytes);
/* Record by record: the next one. */
struct mr_pending *mr_taken_next(struct mr_taken *taken);
size_t mr_pending_size(size_t key_bytes, size_t data_bytes);
/* One of its records is not there any more. */
static inline void mr_given_add(struct mr_given *given, struct mr_chunk *chunk)
{
    given->count++;
    chunk->answered_count++;
    if (chunk->is_touched)
        return;
    chunk->is_touched = true;
    chunk->next_touched = given->touched;
    given->touched = chunk;
}

/* ---- lane.c --------------------------------------------------------------------------------- */

void mr_lanes_fini(struct mr_lanes *lanes);
void mr_lanes_prefetch(const struct mr_lanes *lanes, const mr_hash_key *hashes, size_t count);
struct mr_lane *mr_lane_get(struct mr_lanes *lanes, mr_hash_key hash); /* makes it if needed */
void mr_lane_drop(struct mr_lanes *lanes, struct mr_lane *lane);       /* it has no records */

/* ---- map.c ---------------------------------------------------------------------------------- */

mr_status mr_map_open(struct mr_producer *producer, mr_error *error);
void mr_map_fini(struct mr_producer *producer);
void mr_map_refresh(struct mr_producer *producer); /* it is out of date */
void mr_map_update(struct mr_producer *producer);  /* asks for the next, or takes it */
/* The shard that has the key, as of the last map. */
struct mr_producer_shard *mr_map_find(const struct mr_producer *producer, mr_hash_key key);

/* ---- unit.c --------------------------------------------------------------------------------- */

struct mr_unit *mr_unit_take(struct mr_producer *producer); /* empty, used again and again */
void mr_unit_give(struct mr_producer *producer, struct mr_unit *unit);
void mr_units_fini(struct mr_producer *producer);
/* From now on it blocks the lane, if there is one. */
void mr_unit_add(struct mr_producer *producer, struct mr_unit *unit, struct mr_pending *record,
                 struct mr_lane *lane);
/* One of its records, with its lane, goes another way. */
struct mr_unit *mr_unit_split(struct mr_producer *producer, struct mr_unit *loose, size_t index);
/* It will stay for long: its records leave the chunks of others. */
void mr_unit_move(struct mr_producer *producer, struct mr_unit *unit);

/* ---- the stages ----------------------------------------------------------------------------- */

/* route.c: takes records in; asks for a map if one is wanted. */
void mr_stage_route(struct mr_producer *producer);
/* P5: a unit that went to another shard than predicted: is that shard known, has it all its keys */
enum mr_place { MR_PLACE_GOOD, MR_PLACE_BAD, MR_PLACE_UNKNOWN };
enum mr_place mr_stage_route_judge(const struct mr_producer *producer, const struct mr_unit *unit);

/* Takes in a record that has come, or comes again. */
void mr_stage_route_admit(struct mr_producer *producer, struct mr_pending *record);
mr_hash_key mr_stage_route_lane(struct mr_pending *record); /* of its lane */

/* aggregate.c: fills units; false: the record has to wait in its lane (NULL: there is no order). */
bool mr_stage_aggregate_join(struct mr_producer *producer, struct mr_pending *record,
                             struct mr_lane *lane);
void mr_stage_aggregate(struct mr_producer *producer); /* ends those that are due */
/* Appends the unit's aggregate, unsigned. */
void mr_stage_aggregate_write(const struct mr_unit *unit, struct mr_pack *out);

/* limit.c: lets units pass as fast as their shards take them. */
void mr_stage_limit_add(struct mr_producer *producer, struct mr_unit *unit);
void mr_stage_limit(struct mr_producer *producer);
uint64_t mr_stage_limit_next(const struct mr_producer *producer);

/* collect.c: puts ready units into requests. */
void mr_stage_collect_add(struct mr_producer *producer, struct mr_unit *unit);
void mr_stage_collect(struct mr_producer *producer);
uint64_t mr_stage_collect_next(const struct mr_producer *producer);

/* send.c: makes the request, and reads its answer. */
void mr_stage_send(struct mr_producer *producer, struct mr_units units, size_t count, size_t bytes);
void mr_stage_send_answers(struct mr_producer *producer);
void mr_stage_send_fini(struct mr_producer *producer);
mr_status mr_stage_send_status(enum mr_exception type, bool *is_final);

/* request.c: sends it, and fills its results unless it is refused as a whole. True: what is sent
 * after it will be stored after it, if at all. */
bool mr_stage_request_call(struct mr_producer *producer, struct mr_sending *sending);
void mr_stage_request_read(struct mr_producer *producer, struct mr_sending *sending);
void mr_stage_note_failure(struct mr_producer *producer, mr_bytes name, mr_bytes message);

/* retry.c: what becomes of a unit that was answered, or never will be. */
void mr_stage_retry_deliver(struct mr_producer *producer, struct mr_unit *unit);
void mr_stage_retry_fail(struct mr_producer *producer, struct mr_unit *unit, mr_status status,
                         const char *message);
/* Loose records: some are delivered, others held. */
void mr_stage_retry_sort(struct mr_producer *producer, struct mr_unit *loose,
                         const mr_put_result *results);
void mr_stage_retry_hold(struct mr_producer *producer, struct mr_unit *unit);
/* Its keys are free for the next unit. */
void mr_stage_retry_release(struct mr_producer *producer, struct mr_unit *unit);
/* Takes the unit apart: its records go the whole way again, but for those that are too old. */
void mr_stage_retry_dissolve(struct mr_producer *producer, struct mr_unit *unit);
/* These, and all that are not sent yet, in their order. */
void mr_stage_retry_dissolve_all(struct mr_producer *producer, struct mr_units units);
void mr_stage_retry(struct mr_producer *producer);       /* what was held long enough */
void mr_stage_retry_sweep(struct mr_producer *producer); /* what is too old, wherever it is */
bool mr_stage_retry_is_late(const struct mr_producer *producer, const struct mr_pending *record);
void mr_stage_retry_fail_late(struct mr_producer *producer, struct mr_pending *record);

/* ---- metrics.c ------------------------------------------------------------------------------ */

void mr_producer_count_latency(struct mr_producer *producer, uint64_t us, uint64_t record_count);

/* One writer: no need for a locked add. */
static inline void mr_count(_Atomic uint64_t *count, uint64_t more)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* ---- small ---------------------------------------------------------------------------------- */

static inline mr_bytes mr_pending_key(const struct mr_pending *record)
{
    return (mr_bytes){record->bytes, record->key_bytes};
}

static inline mr_bytes mr_pending_data(const struct mr_pending *record)
{
    return (mr_bytes){record->bytes + record->key_bytes, record->data_bytes};
}

/*
 * A record stood in the cache when it came, and does no more when it is looked at again: those of a
 * unit are fetched some steps ahead. (A macro: gcc drops calls of a function that only fetches.)
 */
#define mr_unit_prefetch(unit, index)                                                              \
    do {                                                                                           \
        if ((index) + MR_RECORDS_AHEAD < (unit)->record_count) {                                   \
            const char *ahead_ = (const char *)(unit)->records[(index) + MR_RECORDS_AHEAD];        \
            __builtin_prefetch(ahead_);                                                            \
            __builtin_prefetch(ahead_ + 64);                                                       \
        }                                                                                          \
    } while (0)

static inline void mr_queue_push(struct mr_queue *queue, struct mr_pending *record)
{
    record->next = NULL;
    if (queue->first)
        queue->last->next = record;
    else
        queue->first = record;
    queue->last = record;
}

static inline void mr_queue_push_front(struct mr_queue *queue, struct mr_pending *record)
{
    record->next = queue->first;
    queue->first = record;
    if (!record->next)
        queue->last = record;
}

static inline struct mr_pending *mr_queue_pop(struct mr_queue *queue)
{
    struct mr_pending *record = queue->first;

    if (record)
        queue->first = record->next;
    return record;
}

static inline void mr_units_push(struct mr_units *units, struct mr_unit *unit)
{
    unit->next = NULL;
    if (units->first)
        units->last->next = unit;
    else
        units->first = unit;
    units->last = unit;
}

static inline struct mr_unit *mr_units_pop(struct mr_units *units)
{
    struct mr_unit *unit = units->first;

    if (unit)
        units->first = unit->next;
    return unit;
}

static inline bool mr_unit_is_held(const struct mr_unit *unit)
{
    return unit->held_until_ns > 0;
}

/* What a record put now belongs to. */
static inline uint32_t mr_intake_next_flush(const struct mr_intake *intake)
{
    return intake->flush_first + (uint32_t)(intake->flush_count - 1);
}

/* Who waits for room waits until so little is left. */
static inline size_t mr_intake_room_at(const struct mr_intake *intake)
{
    return intake->bytes_max / 2;
}

/* Of how many records of the stream, and how many bytes: keys and data. */
static inline size_t mr_unit_width(const struct mr_unit *unit)
{
    return unit->is_loose ? unit->record_count : 1;
}

static inline size_t mr_unit_bytes(const struct mr_unit *unit)
{
    const struct mr_pending *first = unit->records[0];

    if (unit->is_loose)
        return unit->bytes;
    return unit->record_count == 1 ? (size_t)first->key_bytes + first->data_bytes : unit->bytes + 1;
}

static inline uint64_t mr_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
