/*
 * sim_service.h - a stream that answers when told to, in any order, and refuses by chance; for
 * producers. It reads what it stores as the KCL would: an aggregate with a key outside its shard's
 * range is dropped as a whole.
 */
#ifndef MR_TESTS_SIM_SERVICE_H
#define MR_TESTS_SIM_SERVICE_H

#include "base/random.h"
#include "service/service.h"

#include <pthread.h>

#define SIM_SHARDS_MAX 64

struct sim_shard {
    mr_shard_id id;
    mr_hash_key first, last;
    bool is_open;
};

/* A user record as a consumer gets it. */
struct sim_record {
    mr_shard_id shard;
    uint64_t number;
    uint32_t sub_sequence;
    char key[32];
    size_t data_bytes;
    char data[64]; /* the start of it */
    bool is_aggregated;
};

/* A put without answer; its records may have their places all the same. */
struct sim_held {
    struct mr_call *call;
    bool is_placed;
};

struct sim_service {
    struct mr_service base;
    pthread_mutex_t lock;
    struct mr_random random;

    /* How it behaves; change it at any time between calls. */
    bool holds; /* puts wait for sim_service_answer(), else they are answered at once */
    unsigned throttled_percent; /* of the records: refused */
    unsigned lost_percent;      /* of the requests: stored, but answered with ServiceUnavailable */
    enum mr_exception refusal;  /* of every put, unless NONE */
    const char *throttled_key;  /* records with this key are refused, too */
    const char *poison;         /* requests with a record of this key are invalid */
    enum mr_exception list_refusal;
    bool is_auto;
    size_t page; /* shards in one answer; 0: all */

    struct sim_shard shards[SIM_SHARDS_MAX];
    size_t shard_count;
    uint64_t last_number;
    struct sim_held *held;
    size_t held_count, held_capacity;

    /* What happened. */
    struct sim_record *records;
    size_t record_count, record_capacity;
    size_t put_count, stored_count, dropped_count, list_count;
    size_t astray_count; /* puts meant for other shards */
    size_t largest_request, most_held;
};

void sim_service_init(struct sim_service *service, uint64_t seed, unsigned shard_count);
void sim_service_fini(struct sim_service *service);

/* From now on puts come without texts, as to an engine in the same process (mr_service.put). */
void sim_service_take_batches(struct sim_service *service);

/* Answers one of the puts that are held, any; false: there is none. */
bool sim_service_answer(struct sim_service *service);

/* Splits an open shard in half; merges two that touch. By their places in shards[]. */
void sim_service_split(struct sim_service *service, size_t shard);
void sim_service_merge(struct sim_service *service, size_t shard, size_t adjacent);
/* Splits or merges some, by chance, while there is room. */
void sim_service_reshard(struct sim_service *service);

#endif
