/*
 * lane.h - what the files of a lane share: one shard's way into Kafka, a producer of its own, which
 * nobody else of that name can have at the same time.
 *
 *   lane     opening and closing, failures, what the consumer calls
 *   ship     a batch: its messages, those that Kafka will not have, its transaction if it goes alone
 *   train    batches that go together in one transaction
 */
#ifndef MR_TOOLS_KAFKA_LANE_H
#define MR_TOOLS_KAFKA_LANE_H

#include "kafka/inside.h"

#include "os/clock.h"

#define MR_LANE_ANSWER_MS 10000
#define MR_LANE_PAUSE_MS 200
#define MR_LANE_POLL_MS 50

/* A record under way. */
struct mr_sent {
    mr_hash_key hash;
    mr_shard_id shard;
    rd_kafka_resp_err_t failure;
    bool is_dead;
};

/* A batch of the train. */
struct mr_cargo {
    struct mr_cargo *next;
    size_t count;
    struct mr_sent sent[];
};

struct mr_kafka_lane {
    struct mr_bridge *bridge;
    mr_shard_task *task;
    mr_shard_id shard;
    rd_kafka_t *kafka; /* NULL: not open */
    rd_kafka_topic_t *topic, *state_topic;
    mr_mark position; /* through it all is in Kafka */
    bool has_position;
    struct mr_sent *sent; /* of this batch */
    size_t sent_capacity;
    struct mr_train {
        bool is_under_way; /* a transaction is open, where there are any */
        struct mr_cargo *cargo;
        mr_mark through;
        uint64_t began_ns, count, bytes;
    } train;
    char key[MR_NAME_BYTES_MAX * 3]; /* of its position */
    size_t key_size;
};

enum mr_outcome { DONE, UNDONE, BROKEN }; /* again; from the position on */

static inline uint64_t mr_kafka_lane_now_ns(void)
{
    return mr_clock_real()->monotonic_ns(mr_clock_real());
}

/* ---- lane.c -------------------------------------------------------------------------------- */

void mr_kafka_lane_close(struct mr_kafka_lane *lane);
enum mr_outcome mr_kafka_lane_undo(struct mr_kafka_lane *lane);
enum mr_outcome mr_kafka_lane_recover(struct mr_kafka_lane *lane,
                                      rd_kafka_error_t *failure); /* takes it */
void mr_kafka_lane_tell(struct mr_kafka_lane *lane,
                        const mr_mark *through); /* a checkpoint of the consumer */

/* What stands there already, after a beginning anew. */
static inline bool mr_kafka_lane_has(const struct mr_kafka_lane *lane,
                                     const mr_consumer_record *record)
{
    return lane->has_position && mr_mark_compare(&record->mark, &lane->position) <= 0;
}

/* ---- ship.c -------------------------------------------------------------------------------- */

/* False: one failed; `all` has as many as the batch, and says which. */
bool mr_kafka_lane_offer(struct mr_kafka_lane *lane, const mr_consumer_batch *batch,
                         struct mr_sent *all);
rd_kafka_resp_err_t mr_kafka_lane_offer_position(struct mr_kafka_lane *lane, const mr_mark *mark);
enum mr_outcome mr_kafka_lane_commit(struct mr_kafka_lane *lane);
enum mr_outcome mr_kafka_lane_deliver(struct mr_kafka_lane *lane); /* waits for all answers */
/* True: it is all in Kafka. Else the lane begins anew, or the bridge stops. */
bool mr_kafka_lane_copy(struct mr_kafka_lane *lane, const mr_consumer_batch *batch,
                        const mr_mark *mark);

/* ---- train.c ------------------------------------------------------------------------------- */

/* A batch goes with others, in one transaction, until there are enough or nothing is waiting. */
bool mr_kafka_lane_ride(struct mr_kafka_lane *lane, const mr_consumer_batch *batch);
/* Commits it, with the position behind it. False, as of the above: the lane begins anew. */
bool mr_kafka_lane_arrive(struct mr_kafka_lane *lane);
void mr_kafka_lane_unload(struct mr_kafka_lane *lane);

#endif
