/* send.c - units become the records of a request, and its results say what became of each unit. */
#include "base/check.h"
#include "base/memory.h"
#include "base/u128.h"
#include "stage.h"
#include "wire/aggregate.h"

#include <string.h>

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define KEPT_BYTES ((size_t)8 << 20) /* of aggregates, by a request that is not under way */

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* ---- requests ------------------------------------------------------------------------------- */

static struct mr_sending *take(struct mr_producer *producer)
{
    struct mr_sending *sending = producer->free_sendings;
    size_t count = producer->config.request_count;

    if (sending) {
        producer->free_sendings = sending->next;
        return sending;
    }
    sending = mr_new(struct mr_sending);
    sending->producer = producer;
    sending->arena = MR_ARENA(ANSWER_BYTES_MAX);
    sending->puts = mr_alloc(count * sizeof *sending->puts);
    sending->shards = mr_alloc(count * sizeof *sending->shards);
    sending->results = mr_alloc(count * sizeof *sending->results);
    return sending;
}

static void give(struct mr_producer *producer, struct mr_sending *sending)
{
    if (sending->aggregates.capacity > KEPT_BYTES)
        mr_pack_fini(&sending->aggregates);
    mr_arena_reset(&sending->arena);
    sending->next = producer->free_sendings;
    producer->free_sendings = sending;
}

void mr_stage_send_fini(struct mr_producer *producer)
{
    for (struct mr_sending *sending; (sending = producer->free_sendings);) {
        producer->free_sendings = sending->next;
        mr_arena_fini(&sending->arena);
        mr_pack_fini(&sending->aggregates);
        mr_free(sending->puts);
        mr_free(sending->shards);
        mr_free(sending->results);
        mr_free(sending);
    }
}

/* On a thread of the service. */
static void answered(struct mr_call *call)
{
    struct mr_sending *sending = call->context;
    struct mr_producer *producer = sending->producer;

    atomic_fetch_add(&producer->caller_count, 1);
    sending->next = atomic_load(&producer->answered);
    while (!atomic_compare_exchange_weak(&producer->answered, &sending->next, sending))
        ;
    mr_producer_wake(producer);
    atomic_fetch_sub(&producer->caller_count, 1);
}

static mr_put put_of_record(const struct mr_pending *record)
{
    return (mr_put){.partition_key = mr_pending_key(record),
                    .data = mr_pending_data(record),
                    .explicit_hash_key = record->has_explicit_hash_key ? &record->hash_key : NULL};
}

/* It goes where its first record goes. */
static mr_put put_of_aggregate(struct mr_sending *sending, const struct mr_unit *unit)
{
    size_t start = sending->aggregates.size;

    mr_stage_aggregate_write(unit, &sending->aggregates);
    return (mr_put){.partition_key = MR_AGGREGATE_PARTITION_KEY,
                    .data = {sending->aggregates.data + start, sending->aggregates.size - start},
                    .explicit_hash_key = &unit->records[0]->hash_key};
}

static bool is_aggregate(const struct mr_unit *unit)
{
    return !unit->is_loose && unit->record_count > 1;
}

static void fill(struct mr_sending *sending)
{
    mr_put *put = sending->puts;

    for (const struct mr_unit *unit = sending->units.first; unit; unit = unit->next) {
        sending->shards[put - sending->puts] = unit->predicted;
        if (is_aggregate(unit))
            *put++ = put_of_aggregate(sending, unit);
        else
            for (size_t i = 0; i < unit->record_count; i++) {
                mr_unit_prefetch(unit, i);
                *put++ = put_of_record(unit->records[i]);
            }
    }
}

/* The aggregates among the records, side by side. */
static void sign_aggregates(struct mr_sending *sending)
{
    uint8_t **aggregates = mr_arena_array(&sending->arena, uint8_t *, sending->count);
    size_t *sizes = mr_arena_array(&sending->arena, size_t, sending->count), count = 0, at = 0;
    const mr_put *put = sending->puts;

    for (const struct mr_unit *unit = sending->units.first; unit; unit = unit->next) {
        if (is_aggregate(unit)) {
            aggregates[count] = sending->aggregates.data + at;
            sizes[count++] = put->data.size;
            at += put->data.size;
        }
        put += mr_unit_width(unit);
    }
    mr_aggregate_sign(aggregates, sizes, count);
}

void mr_stage_send(struct mr_producer *producer, struct mr_units units, size_t count, size_t bytes)
{
    struct mr_sending *sending = take(producer);

    if (producer->config.aggregates)
        mr_pack_extend(&sending->aggregates, bytes); /* it need not move while it is filled */
    sending->aggregates.size = 0;
    sending->units = units;
    sending->count = count;
    for (struct mr_unit *unit = units.first; unit; unit = unit->next) {
        unit->attempt_count++;
        unit->sent_ns = producer->now_ns;
    }
    fill(sending);
    mr_check(sending->aggregates.size <= bytes);
    if (sending->aggregates.size > 0)
        sign_aggregates(sending);
    sending->call = (struct mr_call){.action = MR_ACTION_PUT_RECORDS,
                                     .arena = &sending->arena,
                                     .done = answered,
                                     .context = sending};
    producer->under_way_count++;
    mr_count(&producer->counts.requests_sent, 1);
    mr_count(&producer->counts.stream_records_sent, count);
    mr_count(&producer->counts.stream_bytes_sent, bytes);
    if (!mr_stage_request_call(producer, sending)) {
        if (producer->is_trusting)
            producer->doubted = sending;
        return;
    }
    /* P4, P5: none of these fails alone any more; but as long as there are lanes, because one was
     * refused, an aggregate may be in the wrong shard. */
    for (struct mr_unit *unit = units.first; unit; unit = unit->next)
        if (!producer->config.aggregates)
            mr_stage_retry_release(producer, unit);
}

/* ---- answers -------------------------------------------------------------------------------- */

mr_status mr_stage_send_status(enum mr_exception type, bool *is_final)
{
    *is_final = false;
    switch (type) {
    case MR_EXCEPTION_THROUGHPUT_EXCEEDED:
    case MR_EXCEPTION_LIMIT_EXCEEDED:
    case MR_EXCEPTION_KMS_THROTTLING:
        return MR_THROTTLED;
    case MR_EXCEPTION_IN_USE:
        return MR_BUSY;
    case MR_EXCEPTION_EXPIRED_TOKEN: /* new credentials may be on their way */
        return MR_DENIED;
    default:
        break;
    }
    if (type >= MR_EXCEPTION_COUNT || mr_exceptions[type].http >= 500)
        return MR_UNAVAILABLE;
    *is_final = true;
    switch (type) {
    case MR_EXCEPTION_NOT_FOUND:
        return MR_NOT_FOUND;
    case MR_EXCEPTION_INVALID_ARGUMENT:
    case MR_EXCEPTION_VALIDATION:
    case MR_EXCEPTION_SERIALIZATION:
        return MR_INVALID;
    default:
        return MR_DENIED;
    }
}

/* One bad record is enough for a request to be invalid: the others go on without its company. */
static void part(struct mr_producer *producer, struct mr_unit *unit, size_t company_max)
{
    unit->company_max = (uint32_t)company_max;
    unit->due_ns = producer->now_ns;
    mr_stage_collect_add(producer, unit);
}

static void part_all(struct mr_producer *producer, struct mr_unit *unit, size_t company_max)
{
    if (!unit->is_loose) {
        part(producer, unit, company_max);
        return;
    }
    for (size_t i = 0; i < unit->record_count; i++)
        part(producer, mr_unit_split(producer, unit, i), company_max);
    mr_unit_give(producer, unit);
}

/* The whole request. */
static void refused(struct mr_producer *producer, struct mr_sending *sending)
{
    const struct mr_refusal *refusal = &sending->call.refusal;
    struct mr_unit *unit;
    bool is_final;
    mr_status status = mr_stage_send_status(refusal->type, &is_final);

    mr_stage_note_failure(producer, text_of(mr_exceptions[refusal->type].name), refusal->message);
    mr_count(&producer->counts.requests_failed, 1);
    while ((unit = mr_units_pop(&sending->units)))
        if (is_final && status == MR_INVALID && sending->count > 1)
            part_all(producer, unit, sending->count / 2);
        else if (is_final)
            mr_stage_retry_fail(producer, unit, status, producer->last_failure);
        else
            mr_stage_retry_hold(producer, unit);
}

/* P4: nothing went past it: its records go again before the later ones, all in lanes now. */
static void distrust(struct mr_producer *producer, struct mr_sending *sending)
{
    const struct mr_refusal *refusal = &sending->call.refusal;

    mr_stage_note_failure(producer, text_of(mr_exceptions[refusal->type].name), refusal->message);
    mr_count(&producer->counts.requests_failed, 1);
    mr_count(&producer->counts.retries, sending->count);
    producer->is_trusting = false;
    producer->distrusted_ns = producer->now_ns;
    if (producer->map.is_needed)
        mr_map_refresh(producer);
    mr_stage_retry_dissolve_all(producer, sending->units);
}

static void stored(struct mr_producer *producer, struct mr_unit *unit)
{
    bool is_surprise = producer->map.is_needed && unit->sequence.shard != unit->predicted;
    enum mr_place place = MR_PLACE_GOOD;

    if (is_surprise && unit->sent_ns >= producer->map.asked_ns)
        mr_map_refresh(producer);
    if (is_surprise && unit->record_count > 1)
        place = mr_stage_route_judge(producer, unit);
    switch (place) {
    case MR_PLACE_GOOD:
        mr_stage_retry_deliver(producer, unit);
        break;
    case MR_PLACE_UNKNOWN: /* P5: the next map says */
        mr_units_push(&producer->unplaced, unit);
        break;
    case MR_PLACE_BAD:
        mr_count(&producer->counts.misplaced, 1);
        mr_stage_retry_dissolve(producer, unit);
        break;
    }
}

static void read_results(struct mr_producer *producer, struct mr_sending *sending)
{
    const mr_put_result *result = sending->results;
    struct mr_unit *unit;

    for (size_t i = 0; i < sending->count; i++)
        mr_count(&producer->counts.throttled, result[i].status == MR_THROTTLED);
    while ((unit = mr_units_pop(&sending->units))) {
        size_t width = mr_unit_width(unit);

        unit->sequence = result->sequence;
        if (unit->is_loose)
            mr_stage_retry_sort(producer, unit, result);
        else if (result->status)
            mr_stage_retry_hold(producer, unit);
        else
            stored(producer, unit);
        result += width;
    }
}

static void take_answer(struct mr_producer *producer, struct mr_sending *sending)
{
    producer->under_way_count--;
    mr_stage_request_read(producer, sending);
    if (sending->call.refusal.type && sending == producer->doubted)
        distrust(producer, sending);
    else if (sending->call.refusal.type)
        refused(producer, sending);
    else
        read_results(producer, sending);
    if (sending == producer->doubted)
        producer->doubted = NULL;
    give(producer, sending);
    mr_intake_give(&producer->intake, &producer->given); /* while it is in the cache */
}

void mr_stage_send_answers(struct mr_producer *producer)
{
    struct mr_sending *sending = atomic_exchange(&producer->answered, NULL), *in_order = NULL;

    while (sending) {
        struct mr_sending *next = sending->next;

        sending->next = in_order;
        in_order = sending;
        sending = next;
    }
    while ((sending = in_order)) {
        in_order = sending->next;
        take_answer(producer, sending);
    }
}
