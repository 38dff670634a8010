/* unit.c - records that go the same way together, and the lanes that they block. */
#include "base/memory.h"
#include "stage.h"

struct mr_unit *mr_unit_take(struct mr_producer *producer)
{
    struct mr_unit *unit = producer->free_units, old = {0};

    if (unit) {
        producer->free_units = unit->next;
        old = *unit;
    } else {
        unit = mr_alloc(sizeof *unit);
    }
    *unit = (struct mr_unit){.records = old.records,
                             .record_capacity = old.record_capacity,
                             .lanes = old.lanes,
                             .lane_capacity = old.lane_capacity,
                             .names = old.names,
                             .company_max = UINT32_MAX,
                             .due_ns = MR_NEVER,
                             .expires_ns = MR_NEVER};
    return unit;
}

void mr_unit_give(struct mr_producer *producer, struct mr_unit *unit)
{
    unit->next = producer->free_units;
    producer->free_units = unit;
}

void mr_units_fini(struct mr_producer *producer)
{
    for (struct mr_unit *unit; (unit = producer->free_units);) {
        producer->free_units = unit->next;
        mr_free(unit->records);
        mr_free(unit->lanes);
        mr_free(unit->names);
        mr_free(unit);
    }
}

void mr_unit_add(struct mr_producer *producer, struct mr_unit *unit, struct mr_pending *record,
                 struct mr_lane *lane)
{
    const struct mr_producer_config *config = &producer->config;
    uint64_t due_ns = record->put_ns + config->linger_ms * UINT64_C(1000000);
    uint64_t expires_ns = record->put_ns + config->record_timeout_ms * UINT64_C(1000000);

    mr_grow(unit->records, unit->record_count, unit->record_capacity);
    unit->records[unit->record_count++] = record;
    unit->due_ns = mr_earlier(unit->due_ns, due_ns);
    unit->expires_ns = mr_earlier(unit->expires_ns, expires_ns);
    if (record->attempt_count > unit->attempts_before)
        unit->attempts_before = record->attempt_count;
    if (!lane || lane->unit == unit)
        return;
    lane->unit = unit;
    mr_grow(unit->lanes, unit->lane_count, unit->lane_capacity);
    unit->lanes[unit->lane_count++] = lane;
}

struct mr_unit *mr_unit_split(struct mr_producer *producer, struct mr_unit *loose, size_t index)
{
    struct mr_unit *unit = mr_unit_take(producer);
    struct mr_lane *lane = loose->lane_count ? loose->lanes[index] : NULL;

    mr_unit_add(producer, unit, loose->records[index], lane);
    if (lane)
        loose->lanes[index] = NULL;
    unit->attempt_count = loose->attempt_count;
    return unit;
}

void mr_unit_move(struct mr_producer *producer, struct mr_unit *unit)
{
    mr_intake_move(&producer->intake, unit->records, unit->record_count, &producer->given);
}
