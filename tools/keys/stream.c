#include "keys/stream.h"

#include "base/memory.h"
#include "base/u128.h"
#include "streams.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES ((size_t)16 << 20) /* of records that are held at a time */

/* ---- ranges --------------------------------------------------------------------------------- */

static int by_range(const void *a, const void *b)
{
    return mr_hash_key_compare(((const mr_shard *)a)->first_key, ((const mr_shard *)b)->first_key);
}

mr_status mr_ranges_read(struct mr_ranges *ranges, struct mr_cli *cli, const char *stream,
                         mr_error *error)
{
    struct mr_shard_list list = {0};
    mr_status status = mr_shard_list_read(&list, &cli->place, stream, error);

    *ranges = (struct mr_ranges){.shards = list.shards};
    for (size_t i = 0; !status && i < list.count; i++)
        if (!list.shards[i].is_closed)
            list.shards[ranges->count++] = list.shards[i];
    qsort(ranges->shards, ranges->count, sizeof *ranges->shards, by_range);
    ranges->starts = mr_alloc((ranges->count + 1) * sizeof *ranges->starts);
    for (size_t i = 0; i < ranges->count; i++)
        ranges->starts[i] = ranges->shards[i].first_key;
    return status;
}

void mr_ranges_fini(struct mr_ranges *ranges)
{
    mr_free(ranges->shards);
    mr_free(ranges->starts);
}

/* ---- events --------------------------------------------------------------------------------- */

mr_status mr_stream_events_open(struct mr_stream_events *events, struct mr_cli *cli,
                                const char *stream, const struct mr_events_config *config,
                                bool follows, mr_error *error)
{
    mr_position from = {.start = follows ? MR_START_LATEST : MR_START_TRIM_HORIZON};

    *events = (struct mr_stream_events){.follows = follows,
                                        .arena = MR_ARENA(SIZE_MAX / 2),
                                        .reject = config->reject,
                                        .context = config->context};
    events->reader.arena = &events->arena;
    for (size_t i = 0; i < config->field_count; i++)
        events->wanted.names[events->wanted.count++] = config->fields[i];
    return mr_merge_open(&events->merge, &cli->place, stream, MR_NO_SHARD, &from, error);
}

void mr_stream_events_close(struct mr_stream_events *events)
{
    mr_merge_close(events->merge);
    mr_arena_fini(&events->arena);
}

static bool find_fields(struct mr_stream_events *events, struct mr_event *event)
{
    struct mr_wanted *wanted = &events->wanted;
    bool others = false;

    for (size_t i = 0; i < wanted->count; i++)
        others |= strcmp(wanted->names[i], "$key") != 0;
    if (others && !mr_wanted_find_json(wanted, &events->reader, event->data))
        return false;
    for (size_t i = 0; i < wanted->count; i++) {
        event->fields[i] = strcmp(wanted->names[i], "$key") == 0 ? event->key : wanted->values[i];
        if (!event->fields[i].data)
            return mr_line_refuse(&events->reader, "has no field %s", wanted->names[i]);
    }
    return true;
}

static bool take(struct mr_stream_events *events, const mr_record *record, struct mr_event *event)
{
    *event = (struct mr_event){
        .line = ++events->record_count,
        .time_ms = record->arrival_ms,
        .key = mr_arena_copy(&events->arena, record->partition_key),
        .data = mr_arena_copy(&events->arena, record->data),
        .has_hash_key = record->has_explicit_hash_key,
        .hash_key = record->explicit_hash_key,
    };
    if (find_fields(events, event))
        return true;
    events->rejected_count++;
    events->reject(events->context, event->line, events->reader.why);
    return false;
}

mr_status mr_stream_events_read(struct mr_stream_events *events, struct mr_event *batch,
                                size_t count_max, size_t *count, mr_error *error)
{
    const mr_record *record;
    mr_status status = MR_OK;

    *count = 0;
    mr_arena_reset(&events->arena);
    while (*count < count_max && events->arena.used < BATCH_BYTES && !mr_interrupted()) {
        uint32_t seen = atomic_load(mr_interrupt_word());

        status = mr_merge_next(events->merge, &record, error);
        if (status)
            break;
        if (record)
            *count += take(events, record, &batch[*count]);
        else if (*count > 0 || !events->follows || mr_merge_is_over(events->merge))
            break;
        else
            mr_merge_wait(events->merge, mr_interrupt_word(), seen);
    }
    return status;
}
