/*
 * stage.h - what the stages of a producer share: the records on their way, and who has them.
 *
 * All but the intake belongs to the producer's thread; it takes no lock there. A record is in one
 * place at a time: the intake, a lane, or a unit; and a unit in one: being filled, queued for its
 * shard's limit, ready, in a request, held, or waiting for the map.
 */
#ifndef MR_PRODUCER_STAGE_H
#define MR_PRODUCER_STAGE_H

#include "base/pack.h"
#include "base/random.h"
#include "intake.h"
#include "lane.h"
#include "map.h"
#include "millrace-producer.h"

#define MR_NEVER UINT64_MAX

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

static inline uint64_t mr_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
