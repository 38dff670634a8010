/* unpack.c - records as sources give them, made user records: aggregates are opened. */
#include "fetch.h"

#include "base/endian.h"
#include "base/md5.h"
#include "base/memory.h"
#include "base/u128.h"

#include <string.h>

#define MAGIC 0xc29a89f3u /* as its bytes are loaded */

void mr_unpack_fini(struct mr_unpack *unpack)
{
    mr_aggregate_reader_fini(&unpack->aggregate);
    mr_free(unpack->records);
    mr_free(unpack->hash_keys);
    *unpack = (struct mr_unpack){0};
}

static void add(struct mr_unpack *unpack, const mr_consumer_record *record)
{
    mr_grow(unpack->records, unpack->count, unpack->capacity);
    unpack->records[unpack->count++] = *record;
}

/* Are the records from `first` on all of this shard? An aggregate that is not was put while the shard
 * was split or merged. Its producer has seen that and put its records again, so this one is no more
 * to be read; so the KCL reads it. */
static bool is_of_shard(struct mr_unpack *unpack, size_t first)
{
    size_t count = unpack->count - first;
    const mr_consumer_record *records = unpack->records + first;

    if (unpack->keeps_strays)
        return true;
    if (unpack->hash_key_capacity < count) {
        unpack->hash_key_capacity = unpack->capacity;
        unpack->hash_keys =
            mr_resize(unpack->hash_keys, unpack->hash_key_capacity * sizeof *unpack->hash_keys);
    }
    mr_hash_keys_of(&records->partition_key, sizeof *records, count, unpack->hash_keys);
    for (size_t i = 0; i < count; i++) {
        mr_hash_key key =
            records[i].has_explicit_hash_key ? records[i].explicit_hash_key : unpack->hash_keys[i];

        if (mr_hash_key_below(key, unpack->first_key) || mr_hash_key_below(unpack->last_key, key))
            return false;
    }
    return true;
}

/* A record whose data may be many. */
static void add_all(struct mr_unpack *unpack, mr_consumer_record *record)
{
    size_t first = unpack->count;
    struct mr_user_record user;

    if (record->data.size < 4 || mr_load32(record->data.data) != MAGIC ||
        !mr_aggregate_open(&unpack->aggregate, record->data)) {
        add(unpack, record);
        return;
    }
    for (; mr_aggregate_next(&unpack->aggregate, &user); record->mark.sub_sequence++) {
        record->partition_key = user.partition_key;
        record->data = user.data;
        record->has_explicit_hash_key = user.has_explicit_hash_key;
        record->explicit_hash_key = user.explicit_hash_key;
        add(unpack, record);
    }
    if (!is_of_shard(unpack, first)) {
        unpack->dropped += unpack->count - first;
        unpack->count = first;
    }
}

/* C1: what the checkpoint says was processed does not come again. */
static void skip(struct mr_unpack *unpack, const mr_mark *after)
{
    size_t first = 0;

    if (after->kind != MR_MARK_RECORD)
        return;
    while (first < unpack->count && mr_mark_compare(&unpack->records[first].mark, after) <= 0)
        first++;
    unpack->count -= first;
    if (first > 0 && unpack->count > 0)
        memmove(unpack->records, unpack->records + first, unpack->count * sizeof *unpack->records);
}

void mr_unpack(struct mr_unpack *unpack, const struct mr_fetched *fetched, const mr_mark *after)
{
    unpack->count = 0;
    unpack->bytes = 0;
    unpack->dropped = 0;
    unpack->is_wrong = false;
    for (size_t i = 0; fetched->records && i < fetched->count; i++) {
        const mr_record *record = &fetched->records[i];

        add_all(unpack,
                &(mr_consumer_record){.partition_key = record->partition_key,
                                      .data = record->data,
                                      .mark = mr_mark_of(&record->sequence),
                                      .arrival_ms = record->arrival_ms,
                                      .has_explicit_hash_key = record->has_explicit_hash_key,
                                      .explicit_hash_key = record->explicit_hash_key});
    }
    for (size_t i = 0; fetched->shown && i < fetched->count && !unpack->is_wrong; i++) {
        const struct mr_api_record *record = &fetched->shown[i];
        mr_consumer_record made = {.partition_key = record->partition_key,
                                   .data = record->data,
                                   .arrival_ms = record->approximate_arrival_timestamp.value};

        if (mr_mark_read(record->sequence_number, &made.mark))
            add_all(unpack, &made);
        else
            unpack->is_wrong = true; /* nothing behind it can be checkpointed */
    }
    skip(unpack, after);
    for (size_t i = 0; i < unpack->count; i++)
        unpack->bytes += unpack->records[i].data.size + unpack->records[i].partition_key.size;
}
