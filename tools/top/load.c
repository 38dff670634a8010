#include "top/load.h"

#include "base/memory.h"

#define RECORDS_A_READ 10000

void mr_shard_load_note(struct mr_shard_load *load, int64_t arrival_ms, size_t bytes)
{
    int64_t second = arrival_ms / 1000;
    struct mr_load_second *slot = &load->seconds[(size_t)second % MR_LOAD_SECONDS];

    if (second < slot->second)
        return;
    if (second > slot->second)
        *slot = (struct mr_load_second){.second = second};
    slot->record_count++;
    slot->bytes += bytes;
    if (arrival_ms > load->newest_ms)
        load->newest_ms = arrival_ms;
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

static bool is_known(const struct mr_load *load, mr_shard_id id)
{
    for (size_t i = 0; i < load->shard_count; i++)
        if (load->shards[i].shard.id == id)
            return true;
    return false;
}

static mr_status add_shard(struct mr_load *load, const mr_shard *shard, int64_t now_ms,
                           mr_error *error)
{
    mr_position from = {.start = MR_START_AT_TIME,
                        .time_ms = now_ms - MR_LOAD_SECONDS * INT64_C(1000)};
    struct mr_shard_load *added;

    load->shards = mr_resize(load->shards, (load->shard_count + 1) * sizeof *load->shards);
    added = &load->shards[load->shard_count++];
    *added = (struct mr_shard_load){.shard = *shard};
    return mr_shard_reader_open(&added->reader, load->place, load->stream, shard, &from, error);
}

/* Shards that are closed for longer than a minute have nothing to show. */
static mr_status find_shards(struct mr_load *load, int64_t now_ms, mr_error *error)
{
    struct mr_shard_list list = {.count = 0};
    mr_status status = mr_shard_list_read(&list, load->place, load->stream, error);

    for (size_t i = 0; !status && i < list.count; i++)
        if (!list.shards[i].is_closed && !is_known(load, list.shards[i].id))
            status = add_shard(load, &list.shards[i], now_ms, error);
    mr_shard_list_fini(&list);
    return status;
}

/* A shard that is closed goes when it has nothing left of the last minute. */
static void drop_shards(struct mr_load *load, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < load->shard_count; i++)
        if (load->shards[i].reader ||
            load->shards[i].newest_ms > now_ms - MR_LOAD_SECONDS * INT64_C(1000))
            load->shards[kept++] = load->shards[i];
    load->shard_count = kept;
}

mr_status mr_load_read(struct mr_load *load, int64_t now_ms, mr_error *error)
{
    mr_status status = find_shards(load, now_ms, error);

    for (size_t i = 0; !status && i < load->shard_count; i++)
        status = read_shard(&load->shards[i], error);
    if (!status)
        drop_shards(load, now_ms);
    return status;
}

void mr_load_fini(struct mr_load *load)
{
    for (size_t i = 0; i < load->shard_count; i++)
        mr_shard_reader_close(load->shards[i].reader);
    mr_free(load->shards);
}
