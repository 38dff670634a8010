/*
 * again.c - into a stream that does not know origins, as those of AWS: through a producer, which keeps
 * the order of each key whatever is throttled. What was not committed when the bridge was killed comes
 * again (R4).
 */
#include "kafka/inward.h"

#include <stdio.h>

static void delivered(void *context, const mr_delivery *delivery)
{
    struct mr_inward *inward = context;

    atomic_fetch_add(&inward->caller_count, 1);
    mr_item_answer(delivery->token, delivery->status, delivery->message);
    mr_inward_wake(inward);
    atomic_fetch_sub(&inward->caller_count, 1);
}

static mr_status open(struct mr_inward *inward, mr_error *error)
{
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;

    config.service = inward->bridge->config->service;
    config.stream = inward->bridge->config->stream;
    config.delivered = delivered;
    config.delivered_context = inward;
    config.aggregates = false; /* a message is a record, for whoever reads the stream */
    config.linger_ms = 5;
    if (inward->is_ours)
        config.rate_limit = 0;           /* its limits are for it to say */
    config.record_timeout_ms = 86400000; /* order: what is given up would be passed by others */
    config.buffer_bytes = (size_t)inward->bridge->config->memory_bytes / 4;
    return mr_producer_open(&inward->producer, &config, error);
}

static void adopt(struct mr_inward *inward, struct mr_partition *partition)
{
    (void)inward;
    partition->is_slow = false;
}

/* False: the producer is full. */
static bool put_one(struct mr_inward *inward, struct mr_item *item)
{
    mr_error error = {0};
    mr_status status;
    mr_put put;

    if (!mr_item_map(inward, item, &put))
        return true;
    atomic_store(&item->state, UNDER_WAY);
    status = mr_producer_put(inward->producer, &put, item, &error);
    if (status == MR_BUSY)
        atomic_store(&item->state, IN_HAND);
    else if (status)
        mr_item_answer(item, status, error.message);
    return status != MR_BUSY;
}

static void put(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_item *item;

    while ((item = partition->held) &&
           (atomic_load(&item->state) != IN_HAND || put_one(inward, item)))
        partition->held = item->next;
    partition->is_slow = partition->held != NULL;
}

static void flush(struct mr_inward *inward)
{
    mr_producer_flush(inward->producer, MR_INWARD_CLOSE_MS, NULL);
}

static void close(struct mr_inward *inward)
{
    mr_producer_close(inward->producer, MR_INWARD_CLOSE_MS);
}

const struct mr_into mr_into_again = {open, adopt, put, flush, close};
