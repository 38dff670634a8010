/*
 * retry.c - what becomes of a unit: its records are answered, or it is held for a while and then
 * taken apart, so that each record finds the shard that has its key by then.
 *
 * P4: until a unit lets go of its keys, later records of them wait in their lanes. Records that go
 * back stand before them there.
 */
#include "base/memory.h"
#include "stage.h"

#include <inttypes.h>
#include <stdio.h>

#define SWEEP_NS UINT64_C(100000000) /* P2 */

/* ---- answers -------------------------------------------------------------------------------- */

/* Records that are answered together: what they have in common, and what there is to count. */
struct answers {
    struct mr_producer *producer;
    mr_delivery delivery;
    uint32_t attempt_count; /* of their unit */
    uint64_t count, bytes;
    uint64_t put_ns, put_count; /* the last so many were put then */
};

static void count_latency(struct answers *answers)
{
    if (answers->put_count > 0 && !answers->delivery.status)
        mr_producer_count_latency(answers->producer, answers->delivery.latency_us,
                                  answers->put_count);
    answers->put_count = 0;
}

/* P1: the only place where records are answered; each comes here once. */
static void answer(struct answers *answers, const struct mr_pending *record)
{
    struct mr_producer *producer = answers->producer;
    mr_delivery *delivery = &answers->delivery;

    if (record->put_ns != answers->put_ns || answers->put_count == 0) {
        count_latency(answers);
        answers->put_ns = record->put_ns;
        delivery->latency_us = (producer->now_ns - record->put_ns) / 1000;
    }
    answers->put_count++;
    answers->count++;
    answers->bytes += (uint64_t)record->key_bytes + record->data_bytes;
    delivery->token = record->token;
    delivery->attempt_count = record->attempt_count + answers->attempt_count;
    producer->config.delivered(producer->config.delivered_context, delivery);
    mr_given_add(&producer->given, record->chunk);
}

static void end_answers(struct answers *answers)
{
    struct mr_producer_counts *counts = &answers->producer->counts;

    count_latency(answers);
    if (answers->delivery.status) {
        mr_count(&counts->records_failed, answers->count);
        mr_count(&counts->records_expired,
                 answers->delivery.status == MR_TIMEOUT ? answers->count : 0);
    } else {
        mr_count(&counts->records_delivered, answers->count);
        mr_count(&counts->bytes_delivered, answers->bytes);
    }
}

bool mr_stage_retry_is_late(const struct mr_producer *producer, const struct mr_pending *record)
{
    return producer->is_aborting ||
           producer->now_ns >=
               record->put_ns + producer->config.record_timeout_ms * UINT64_C(1000000);
}

void mr_stage_retry_fail_late(struct mr_producer *producer, struct mr_pending *record)
{
    char message[300];
    struct answers answers = {.producer = producer};
    mr_delivery *delivery = &answers.delivery;

    if (producer->is_aborting) {
        *delivery = (mr_delivery){.status = MR_CLOSED, .message = "the producer was closed"};
    } else {
        snprintf(message, sizeof message, "not stored within %" PRIu32 " ms%s%s",
                 producer->config.record_timeout_ms,
                 producer->last_failure[0] ? "; the last failure was " : "",
                 producer->last_failure);
        *delivery = (mr_delivery){.status = MR_TIMEOUT, .message = message};
    }
    answer(&answers, record);
    end_answers(&answers);
}

/* ---- lanes ---------------------------------------------------------------------------------- */

/* The lane's records go on, until one of them has to wait. */
static void go_on(struct mr_producer *producer, struct mr_lane *lane)
{
    struct mr_pending *record;

    while ((record = mr_queue_pop(&lane->waiting))) {
        if (mr_stage_retry_is_late(producer, record)) {
            mr_stage_retry_fail_late(producer, record);
        } else if (!mr_stage_aggregate_join(producer, record, lane)) {
            mr_queue_push_front(&lane->waiting, record);
            return;
        }
    }
    if (!lane->unit)
        mr_lane_drop(&producer->lanes, lane);
}

void mr_stage_retry_release(struct mr_producer *producer, struct mr_unit *unit)
{
    for (size_t i = 0; i < unit->lane_count; i++) {
        struct mr_lane *lane = unit->lanes[i];

        if (!lane) /* its record has left the unit */
            continue;
        lane->unit = NULL;
        go_on(producer, lane);
    }
    unit->lane_count = 0;
}

/* ---- the end of a unit ---------------------------------------------------------------------- */

static void answer_all(struct mr_producer *producer, struct mr_unit *unit, mr_delivery delivery)
{
    struct answers answers = {
        .producer = producer, .delivery = delivery, .attempt_count = unit->attempt_count};

    for (size_t i = 0; i < unit->record_count; i++) {
        mr_unit_prefetch(unit, i);
        answer(&answers, unit->records[i]);
        answers.delivery.sub_sequence += delivery.is_aggregated;
    }
    end_answers(&answers);
    mr_stage_retry_release(producer, unit);
    mr_unit_give(producer, unit);
}

void mr_stage_retry_deliver(struct mr_producer *producer, struct mr_unit *unit)
{
    mr_delivery delivery = {
        .message = "", .sequence = unit->sequence, .is_aggregated = unit->record_count > 1};

    answer_all(producer, unit, delivery);
}

void mr_stage_retry_sort(struct mr_producer *producer, struct mr_unit *loose,
                         const mr_put_result *results)
{
    struct answers answers = {
        .producer = producer, .delivery = {.message = ""}, .attempt_count = loose->attempt_count};

    for (size_t i = 0; i < loose->record_count; i++) {
        mr_unit_prefetch(loose, i);
        if (results[i].status) {
            mr_stage_retry_hold(producer, mr_unit_split(producer, loose, i));
            continue;
        }
        answers.delivery.sequence = results[i].sequence;
        answer(&answers, loose->records[i]);
    }
    end_answers(&answers);
    mr_stage_retry_release(producer, loose);
    mr_unit_give(producer, loose);
}

void mr_stage_retry_fail(struct mr_producer *producer, struct mr_unit *unit, mr_status status,
                         const char *message)
{
    mr_delivery delivery = {.status = status, .message = message};

    answer_all(producer, unit, delivery);
}

/* The records stand in their lanes before those that came later. */
static void put_back(struct mr_producer *producer, const struct mr_unit *unit)
{
    for (size_t i = unit->record_count; i-- > 0;) {
        struct mr_pending *record = unit->records[i];
        struct mr_lane *lane = mr_lane_get(&producer->lanes, mr_stage_route_lane(record));

        mr_queue_push_front(&lane->waiting, record);
    }
}

void mr_stage_retry_dissolve(struct mr_producer *producer, struct mr_unit *unit)
{
    if (unit->shard && unit->shard->open == unit)
        unit->shard->open = NULL;
    if (producer->open_loose == unit)
        producer->open_loose = NULL;
    for (size_t i = 0; i < unit->record_count; i++)
        unit->records[i]->attempt_count += unit->attempt_count;
    if (unit->lane_count > 0) {
        put_back(producer, unit);
        mr_stage_retry_release(producer, unit);
    } else {
        for (size_t i = 0; i < unit->record_count; i++)
            mr_stage_route_admit(producer, unit->records[i]);
    }
    mr_unit_give(producer, unit);
}

static void take_open(struct mr_unit **open, struct mr_units *units)
{
    if (*open)
        mr_units_push(units, *open);
    *open = NULL;
}

void mr_stage_retry_dissolve_all(struct mr_producer *producer, struct mr_units units)
{
    struct mr_units ready = producer->ready, open = {0};
    struct mr_unit *unit;

    producer->ready = (struct mr_units){0};
    producer->ready_count = producer->ready_bytes = 0;
    take_open(&producer->open_loose, &open);
    for (size_t i = 0; i < producer->map.count; i++)
        take_open(&producer->map.shards[i]->open, &open);
    while ((unit = mr_units_pop(&units)))
        mr_stage_retry_dissolve(producer, unit);
    while ((unit = mr_units_pop(&ready)))
        mr_stage_retry_dissolve(producer, unit);
    while ((unit = mr_units_pop(&open)))
        mr_stage_retry_dissolve(producer, unit);
}

/* ---- held ----------------------------------------------------------------------------------- */

/* P6: half of the time is by chance: producers that failed together do not come back together. */
static uint64_t delay_ns(struct mr_producer *producer, const struct mr_unit *unit)
{
    uint32_t tries = unit->attempts_before + unit->attempt_count;
    uint64_t ms = producer->config.retry_ms;

    for (; tries > 1 && ms < producer->config.retry_ms_max; tries--)
        ms *= 2;
    ms = mr_earlier(ms, producer->config.retry_ms_max) * 1000000;
    return ms / 2 + mr_random_below(&producer->random, ms / 2 + 1);
}

static bool goes_before(const struct mr_unit *a, const struct mr_unit *b)
{
    return a->held_until_ns < b->held_until_ns;
}

static void hold(struct mr_producer *producer, struct mr_unit *unit)
{
    size_t at = producer->held_count;

    mr_grow(producer->held, producer->held_count, producer->held_capacity);
    producer->held_count++;
    for (; at > 0 && goes_before(unit, producer->held[(at - 1) / 2]); at = (at - 1) / 2)
        producer->held[at] = producer->held[(at - 1) / 2];
    producer->held[at] = unit;
}

static struct mr_unit *release(struct mr_producer *producer)
{
    struct mr_unit **held = producer->held, *first = held[0];
    struct mr_unit *last = held[--producer->held_count];
    size_t at = 0, child;

    while ((child = at * 2 + 1) < producer->held_count) {
        if (child + 1 < producer->held_count && goes_before(held[child + 1], held[child]))
            child++;
        if (!goes_before(held[child], last))
            break;
        held[at] = held[child];
        at = child;
    }
    held[at] = last;
    return first;
}

/* Whatever will stay for long leaves the chunks of others: the unit, and what waits behind it. */
static void move(struct mr_producer *producer, struct mr_unit *unit)
{
    mr_unit_move(producer, unit);
    for (size_t i = 0; i < unit->lane_count; i++) {
        struct mr_queue waiting = unit->lanes[i]->waiting;
        struct mr_pending *record;

        unit->lanes[i]->waiting = (struct mr_queue){0};
        while ((record = mr_queue_pop(&waiting))) {
            mr_intake_move(&producer->intake, &record, 1, &producer->given);
            mr_queue_push(&unit->lanes[i]->waiting, record);
        }
    }
}

void mr_stage_retry_hold(struct mr_producer *producer, struct mr_unit *unit)
{
    mr_count(&producer->counts.retries, mr_unit_width(unit));
    move(producer, unit);
    unit->held_until_ns = mr_earlier(producer->now_ns + delay_ns(producer, unit), unit->expires_ns);
    hold(producer, unit);
}

void mr_stage_retry(struct mr_producer *producer)
{
    while (producer->held_count > 0 &&
           (producer->is_aborting || producer->held[0]->held_until_ns <= producer->now_ns))
        mr_stage_retry_dissolve(producer, release(producer));
}

/* ---- too old -------------------------------------------------------------------------------- */

static bool is_late(const struct mr_producer *producer, const struct mr_unit *unit)
{
    return producer->is_aborting || unit->expires_ns <= producer->now_ns;
}

/* Moves units whose oldest record is too old; returns of how many records of the stream. */
static size_t move_late(struct mr_producer *producer, struct mr_units *from, struct mr_units *late,
                        size_t *bytes)
{
    struct mr_units all = *from;
    struct mr_unit *unit;
    size_t count = 0;

    *from = (struct mr_units){0};
    while ((unit = mr_units_pop(&all))) {
        if (!is_late(producer, unit)) {
            mr_units_push(from, unit);
            continue;
        }
        mr_units_push(late, unit);
        count += mr_unit_width(unit);
        *bytes += mr_unit_bytes(unit);
    }
    return count;
}

static bool has_late(const struct mr_producer *producer, const struct mr_units *units)
{
    const struct mr_unit *unit = units->first;

    while (unit && !is_late(producer, unit))
        unit = unit->next;
    return unit != NULL;
}

void mr_stage_retry_sweep(struct mr_producer *producer)
{
    struct mr_units late = {0};
    struct mr_unit *unit;
    size_t bytes = 0, others = 0;

    if (!producer->is_aborting && producer->now_ns < producer->sweep_ns)
        return;
    producer->sweep_ns = producer->now_ns + SWEEP_NS;
    if (producer->is_trusting && has_late(producer, &producer->ready))
        mr_stage_retry_dissolve_all(producer, late); /* without lanes they keep their order so */
    producer->ready_count -= move_late(producer, &producer->ready, &late, &bytes);
    producer->ready_bytes -= bytes;
    move_late(producer, &producer->unplaced, &late, &others);
    for (struct mr_producer_shard *shard = producer->queued_shards; shard;
         shard = shard->next_queued)
        move_late(producer, &shard->queued, &late, &others);
    for (size_t i = 0; producer->is_aborting && i < producer->map.count; i++)
        if (producer->map.shards[i]->open)
            mr_stage_retry_dissolve(producer, producer->map.shards[i]->open);
    if (producer->is_aborting && producer->open_loose)
        mr_stage_retry_dissolve(producer, producer->open_loose);
    while ((unit = mr_units_pop(&late)))
        mr_stage_retry_dissolve(producer, unit);
}
