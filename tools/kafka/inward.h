/*
 * inward.h - what the files of the way into a stream share.
 *
 *   inward     a member of a consumer group: which partitions, what is taken, what is committed
 *   finish     when all is copied that was there
 *   partition  a partition's messages in line, until the stream has acknowledged them
 *   again      into a stream that does not know origins: a producer, at least once
 *   once       into one that does: a put at a time for each partition, once
 *
 * One thread does it all; the stream's threads only mark what is answered and wake it.
 */
#ifndef MR_TOOLS_KAFKA_INWARD_H
#define MR_TOOLS_KAFKA_INWARD_H

#include "kafka/inside.h"

#include "millrace-producer.h"

#define MR_INWARD_CLOSE_MS 30000

/* A message on its way into the stream. */
struct mr_item {
    struct mr_item *next; /* of its partition, in the order of offsets */
    rd_kafka_message_t *message;
    _Atomic int state; /* IN_HAND until it is put, UNDER_WAY until it is answered */
    mr_status status;
    char *reason; /* of a status; fresh memory, or NULL */
};
enum { IN_HAND, UNDER_WAY, ANSWERED };

struct mr_inward_put; /* once.c */

struct mr_partition {
    int32_t id;
    bool is_ours, is_paused, is_at_end;
    bool is_slow;                 /* the stream did not take the last put */
    struct mr_item *first, *last; /* those not committed yet */
    struct mr_item *held;         /* the first that is not put */
    uint64_t bytes;               /* of them all, in memory */
    int64_t acknowledged;         /* all offsets below are; -1: none yet */
    int64_t end;                  /* is_at_end: where that was */
    int64_t committed;
    int64_t time_ms;           /* of the last acknowledged */
    struct mr_inward_put *put; /* or NULL */
};

/* Where messages go. */
struct mr_into {
    mr_status (*open)(struct mr_inward *inward, mr_error *error);
    void (*adopt)(struct mr_inward *inward, struct mr_partition *partition);
    void (*put)(struct mr_inward *inward, struct mr_partition *partition); /* what it takes now */
    void (*flush)(struct mr_inward *inward); /* waits for what is under way */
    void (*close)(struct mr_inward *inward);
};
extern const struct mr_into mr_into_again, mr_into_once;

struct mr_inward {
    struct mr_bridge *bridge;
    const struct mr_into *into;
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue; /* of its messages: to wake who waits for one */
    mr_producer *producer;   /* of into_again */
    pthread_mutex_t lock;    /* of partitions, for who looks */
    struct mr_partition **partitions;
    size_t count, capacity;
    uint64_t bytes;        /* of all messages in line */
    _Atomic uint32_t word; /* changes with each answer */
    atomic_bool is_waiting;
    _Atomic uint32_t caller_count; /* threads of the stream that answer just now */
    struct mr_mapped mapped;
    uint64_t commit_ns;
    uint64_t taken_bytes, taken_ns; /* since librdkafka was nudged; when the last was taken */
    int32_t topic_count;            /* partitions of the topic */
    bool is_ours;                   /* the stream: it knows origins */
    bool is_member;                 /* of the group, by now */
    uint64_t ask_ns;                /* when the group may be asked again */
};

/* ---- inward.c ------------------------------------------------------------------------------ */

uint64_t mr_inward_memory(const struct mr_inward *inward); /* for messages in line */
/* Any thread: something was answered. */
void mr_inward_wake(struct mr_inward *inward);
/* Until the word is not `seen`, or a moment. */
void mr_inward_wait(struct mr_inward *inward, uint32_t seen);

/* ---- finish.c ------------------------------------------------------------------------------ */

/* Has the group copied all that was there? */
bool mr_inward_is_copied(struct mr_inward *inward);

/* ---- partition.c --------------------------------------------------------------------------- */

struct mr_partition *mr_partition_find(struct mr_inward *inward, int32_t id); /* or made */
/* All messages were taken up to this offset, where the partition ended. */
void mr_partition_end(struct mr_partition *partition, int64_t end);
void mr_partition_take(struct mr_inward *inward, rd_kafka_message_t *message);
void mr_partition_drop_first(struct mr_inward *inward, struct mr_partition *partition);
/* Holds the lock. What is answered at the head of the line is done with. */
void mr_partition_acknowledge(struct mr_inward *inward, struct mr_partition *partition);
/* Pauses one that the stream does not take, and goes on with one it does (R5). */
void mr_partition_pause(struct mr_inward *inward, struct mr_partition *partition);

/* Any thread: the item is answered. */
void mr_item_answer(struct mr_item *item, mr_status status, const char *reason);

/* As what is put; false: it is answered, for the stream cannot have it. It borrows from the message and
 * from inward->mapped. */
bool mr_item_map(struct mr_inward *inward, struct mr_item *item, mr_put *put);

/* ---- once.c -------------------------------------------------------------------------------- */

/* How far the stream has taken a partition. *is_known: it knows origins. Waits for a stream that is away. */
mr_status mr_once_position(struct mr_bridge *bridge, int32_t partition, uint64_t *position,
                           bool *is_known, mr_error *error);

#endif
