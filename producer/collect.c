/*
 * collect.c - several records of the stream in one request: as soon as it is full, or one of them
 * has waited for company long enough, and no more requests at a time than allowed.
 */
#include "stage.h"

void mr_stage_collect_add(struct mr_producer *producer, struct mr_unit *unit)
{
    unit->shard = NULL;
    mr_units_push(&producer->ready, unit);
    producer->ready_count += mr_unit_width(unit);
    producer->ready_bytes += mr_unit_bytes(unit);
    producer->ready_due_ns = mr_earlier(producer->ready_due_ns, unit->due_ns);
}

/* What nobody knows the places of is a wall for what came later: no lane keeps that behind it. */
static bool may_send(const struct mr_producer *producer)
{
    return producer->ready.first && !producer->doubted &&
           producer->under_way_count < producer->config.requests_max;
}

static bool is_time(const struct mr_producer *producer)
{
    return may_send(producer) &&
           (producer->is_urgent || producer->ready_due_ns <= producer->now_ns ||
            producer->ready_count >= producer->config.request_count ||
            producer->ready_bytes >= producer->config.request_bytes);
}

static void send_some(struct mr_producer *producer)
{
    size_t count_max = producer->config.request_count, count = 0, bytes = 0;
    struct mr_units units = {0};
    struct mr_unit *unit;

    while ((unit = producer->ready.first) && count < count_max) {
        size_t more = mr_unit_bytes(unit), more_count = mr_unit_width(unit);

        if (unit->company_max < count_max)
            count_max = unit->company_max;
        if (count > 0 &&
            (bytes + more > producer->config.request_bytes || count + more_count > count_max))
            break;
        mr_units_push(&units, mr_units_pop(&producer->ready));
        bytes += more;
        count += more_count;
    }
    producer->ready_count -= count;
    producer->ready_bytes -= bytes;
    /* Else the old moment stays: what was left behind goes with the next request, at once. */
    if (!producer->ready.first)
        producer->ready_due_ns = MR_NEVER;
    mr_stage_send(producer, units, count, bytes);
}

void mr_stage_collect(struct mr_producer *producer)
{
    while (is_time(producer))
        send_some(producer);
}

uint64_t mr_stage_collect_next(const struct mr_producer *producer)
{
    /* If it may not, an answer will wake us. */
    return may_send(producer) ? producer->ready_due_ns : MR_NEVER;
}
