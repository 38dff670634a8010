#include "top/load.h"

#include "base/memory.h"

#include <string.h>

#define RECORDS_A_READ 10000

/* NULL: that is too long ago. */
static struct mr_load_second *slot_of(struct mr_shard_load *load, int64_t second)
{
    struct mr_load_second *slot = &load->seconds[(size_t)second % MR_LOAD_SECONDS];

    if (second < slot->second)
        return NULL;
    if (second > slot->second)
        *slot = (struct mr_load_second){.second = second};
    return slot;
}

void mr_shard_load_note(struct mr_shard_load *load, int64_t arrival_ms, size_t bytes)
{
    struct mr_load_second *slot = slot_of(load, arrival_ms / 1000);

    if (!slot)
        return;
    slot->record_count++;
    slot->bytes += bytes;
    if (arrival_ms > load->newest_ms)
        load->newest_ms = arrival_ms;
}

void mr_shard_load_count(struct mr_shard_load *load, int64_t now_ms, enum mr_count count,
                         uint64_t value, bool is_first)
{
    /* The second that is shown is the last whole one. */
    struct mr_load_second *slot = slot_of(load, now_ms / 1000 - 1);
    /* A server that was started again begins at 0. */
    uint64_t before = value < load->counts[count] ? 0 : load->counts[count];

    load->counts[count] = value;
    if (is_first || !slot)
        return;
    if (count == MR_COUNT_RECORDS)
        slot->record_count += (uint32_t)(value - before);
    else if (count == MR_COUNT_BYTES)
        slot->bytes += value - before;
    else if (count == MR_COUNT_THROTTLED)
        slot->throttled_count += value - before;
}

struct mr_load_second mr_shard_load_at(const struct mr_shard_load *load, int64_t second)
{
    const struct mr_load_second *slot = &load->seconds[(size_t)second % MR_LOAD_SECONDS];

    return slot->second == second ? *slot : (struct mr_load_second){.second = second};
}

double mr_load_part(const struct mr_load_second *second)
{
    double of_records = second->record_count / (double)MR_LIMITS_KINESIS.write_records_per_s;
    double of_bytes = (double)second->bytes / (double)MR_LIMITS_KINESIS.write_bytes_per_s;

    return of_records > of_bytes ? of_records : of_bytes;
}

unsigned mr_shard_load_over(const struct mr_shard_load *load, int64_t now, unsigned seconds)
{
    unsigned count = 0;

    for (unsigned i = 1; i <= seconds; i++) {
        struct mr_load_second second = mr_shard_load_at(load, now - i);

        count += mr_load_part(&second) > 1;
    }
    return count;
}

uint64_t mr_shard_load_throttled(const struct mr_shard_load *load, int64_t now)
{
    uint64_t count = 0;

    for (int64_t i = 1; i < MR_LOAD_SECONDS; i++)
        count += mr_shard_load_at(load, now - i).throttled_count;
    return count;
}

/* ---- what a server has counted ------------------------------------------------------------ */

static void note_count(void *context, mr_shard_id shard, enum mr_count count, uint64_t value)
{
    struct mr_load *load = context;

    for (size_t i = 0; i < load->shard_count; i++)
        if (load->shards[i].shard.id == shard)
            mr_shard_load_count(&load->shards[i], load->now_ms, count, value,
                                load->look_count == 0);
}

/* False: there is no such page, or it says nothing about streams. */
static bool look_at_counts(struct mr_load *load, bool notes)
{
    static const char family[] = "# TYPE kinesis_incoming_records_total ";
    struct mr_pack page = MR_PACK((size_t)1 << 16);
    bool has = mr_counts_fetch(load->endpoint, &page) &&
               memmem(page.data, page.size, family, sizeof family - 1) != NULL;

    if (has && notes)
        mr_counts_parse((mr_bytes){page.data, page.size}, load->stream, note_count, load);
    mr_pack_fini(&page);
    return has;
}

/* ---- reading along ------------------------------------------------------------------------ */

static mr_status read_shard(struct mr_shard_load *load, mr_error *error)
{
    mr_batch batch = {.count = 1};
    mr_status status = MR_OK;

    while (!status && load->reader && batch.count > 0) {
        status = mr_shard_reader_next(load->reader, RECORDS_A_READ, &batch, error);
        for (size_t i = 0; !status && i < batch.count; i++)
            mr_shard_load_note(load, batch.records[i].arrival_ms,
                               batch.records[i].partition_key.size + batch.records[i].data.size);
        if (!status && batch.end_of_shard) {
            mr_shard_reader_close(load->reader);
            load->reader = NULL;
        }
        /* A server has only so many reads to give; and damage is for check. */
        if (status == MR_THROTTLED || status == MR_CORRUPT)
            return MR_OK;
    }
    return status;
}

static struct mr_shard_load *known(const struct mr_load *load, mr_shard_id id)
{
    for (size_t i = 0; i < load->shard_count; i++)
        if (load->shards[i].shard.id == id)
            return &load->shards[i];
    return NULL;
}

static mr_status add_shard(struct mr_load *load, const mr_shard *shard, int64_t now_ms,
                           mr_error *error)
{
    mr_position from = {.start = MR_START_AT_TIME,
                        .time_ms = now_ms - MR_LOAD_SECONDS * INT64_C(1000)};
    struct mr_shard_load *added;

    load->shards = mr_resize(load->shards, (load->shard_count + 1) * sizeof *load->shards);
    added = &load->shards[load->shard_count++];
    *added = (struct mr_shard_load){.shard = *shard, .is_open = true};
    if (load->has_counts)
        return MR_OK;
    return mr_shard_reader_open(&added->reader, load->place, load->stream, shard, &from, error);
}

/* Shards that are closed for longer than a minute have nothing to show. */
static mr_status find_shards(struct mr_load *load, int64_t now_ms, mr_error *error)
{
    struct mr_shard_list list = {.count = 0};
    mr_status status = mr_shard_list_read(&list, load->place, load->stream, error);

    for (size_t i = 0; !status && i < load->shard_count; i++)
        load->shards[i].is_open = false;
    for (size_t i = 0; !status && i < list.count; i++) {
        struct mr_shard_load *found = known(load, list.shards[i].id);

        if (found)
            found->is_open = !list.shards[i].is_closed;
        else if (!list.shards[i].is_closed)
            status = add_shard(load, &list.shards[i], now_ms, error);
    }
    mr_shard_list_fini(&list);
    return status;
}

/* A shard that is closed goes when it has nothing left of the last minute. */
static void drop_shards(struct mr_load *load, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < load->shard_count; i++)
        if (load->shards[i].reader || (load->has_counts && load->shards[i].is_open) ||
            load->shards[i].newest_ms > now_ms - MR_LOAD_SECONDS * INT64_C(1000))
            load->shards[kept++] = load->shards[i];
    load->shard_count = kept;
}

mr_status mr_load_read(struct mr_load *load, int64_t now_ms, mr_error *error)
{
    mr_status status;

    load->now_ms = now_ms;
    if (load->look_count == 0)
        load->has_counts = load->endpoint && look_at_counts(load, false);
    status = find_shards(load, now_ms, error);
    if (!status && load->has_counts)
        look_at_counts(load, true); /* a page that is missed is made up for by the next */
    for (size_t i = 0; !status && !load->has_counts && i < load->shard_count; i++)
        status = read_shard(&load->shards[i], error);
    if (!status)
        drop_shards(load, now_ms);
    load->look_count++;
    return status;
}

void mr_load_fini(struct mr_load *load)
{
    for (size_t i = 0; i < load->shard_count; i++)
        if (load->shards[i].reader)
            mr_shard_reader_close(load->shards[i].reader);
    mr_free(load->shards);
}
