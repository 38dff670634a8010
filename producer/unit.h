/*
 * unit.h - records that go the same way together.
 */
#ifndef MR_PRODUCER_UNIT_H
#define MR_PRODUCER_UNIT_H

#include "chunk.h"

struct mr_lane;
struct mr_producer;
struct mr_producer_shard;

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

#define MR_RECORDS_AHEAD 8

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

#endif
