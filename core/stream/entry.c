#include "stream/entry.h"

#include "stream/property.h"

#include <string.h>

/* ---- writing ------------------------------------------------------------------------------ */

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

void mr_pack_stream_create(struct mr_pack *pack, uint32_t stream, mr_log_id first_log,
                           uint32_t shard_count, uint32_t retention_hours, const char *name)
{
    mr_pack_u8(pack, MR_ENTRY_STREAM_CREATE);
    mr_pack_varint(pack, stream);
    mr_pack_varint(pack, first_log);
    mr_pack_varint(pack, shard_count);
    mr_pack_varint(pack, retention_hours);
    mr_pack_string(pack, bytes_of(name));
}

void mr_pack_stream_delete(struct mr_pack *pack, uint32_t stream)
{
    mr_pack_u8(pack, MR_ENTRY_STREAM_DELETE);
    mr_pack_varint(pack, stream);
}

void mr_pack_reshard(struct mr_pack *pack, uint32_t stream, mr_shard_id first_shard,
                     mr_log_id first_log, const struct mr_reshard_step *steps, size_t step_count)
{
    mr_pack_u8(pack, MR_ENTRY_RESHARD);
    mr_pack_varint(pack, stream);
    mr_pack_varint(pack, first_shard);
    mr_pack_varint(pack, first_log);
    mr_pack_varint(pack, step_count);
    for (size_t i = 0; i < step_count; i++) {
        mr_pack_u8(pack, steps[i].is_merge);
        mr_pack_varint(pack, steps[i].closes);
        if (steps[i].is_merge) {
            mr_pack_varint(pack, steps[i].closes_also);
        } else {
            mr_pack_u64(pack, steps[i].at.hi);
            mr_pack_u64(pack, steps[i].at.lo);
        }
    }
}

void mr_pack_retention(struct mr_pack *pack, uint32_t stream, uint32_t hours)
{
    mr_pack_u8(pack, MR_ENTRY_RETENTION);
    mr_pack_varint(pack, stream);
    mr_pack_varint(pack, hours);
}

void mr_pack_property(struct mr_pack *pack, uint64_t scope, const char *name, mr_bytes value,
                      uint64_t expected_version)
{
    mr_pack_u8(pack, MR_ENTRY_PROPERTY);
    mr_pack_varint(pack, scope);
    mr_pack_varint(pack, expected_version);
    mr_pack_string(pack, bytes_of(name));
    mr_pack_u8(pack, value.data != NULL);
    if (value.data)
        mr_pack_string(pack, value);
}

void mr_pack_shard_forget(struct mr_pack *pack, uint32_t stream, const mr_shard_id *shards,
                          size_t count)
{
    mr_pack_u8(pack, MR_ENTRY_SHARD_FORGET);
    mr_pack_varint(pack, stream);
    mr_pack_varint(pack, count);
    for (size_t i = 0; i < count; i++)
        mr_pack_varint(pack, shards[i]);
}

void mr_pack_encryption(struct mr_pack *pack, uint32_t stream, uint64_t key_id)
{
    mr_pack_u8(pack, MR_ENTRY_ENCRYPTION);
    mr_pack_varint(pack, stream);
    mr_pack_u64(pack, key_id);
}

/* ---- reading ------------------------------------------------------------------------------ */

bool mr_stream_name_is_valid(mr_bytes name)
{
    const char *text = name.data;

    if (name.size < 1 || name.size > MR_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

/* A number of at most max; a larger one fails the scan. */
static uint64_t scan_up_to(struct mr_scan *scan, uint64_t max)
{
    uint64_t value = mr_scan_varint(scan);

    if (value > max)
        scan->failed = true;
    return scan->failed ? 0 : value;
}

static uint32_t scan_id(struct mr_scan *scan)
{
    return (uint32_t)scan_up_to(scan, MR_ID_MAX);
}

static uint32_t scan_hours(struct mr_scan *scan)
{
    uint32_t hours = (uint32_t)scan_up_to(scan, MR_RETENTION_HOURS_MAX);

    if (hours < MR_RETENTION_HOURS_MIN)
        scan->failed = true;
    return hours;
}

struct mr_reshard_step mr_entry_next_step(struct mr_scan *items)
{
    struct mr_reshard_step step = {.is_merge = scan_up_to(items, 1)};

    step.closes = scan_id(items);
    if (step.is_merge) {
        step.closes_also = scan_id(items);
    } else {
        step.at.hi = mr_scan_u64(items);
        step.at.lo = mr_scan_u64(items);
    }
    return step;
}

mr_shard_id mr_entry_next_shard(struct mr_scan *items)
{
    return scan_id(items);
}

static void decode_create(struct mr_entry *entry, struct mr_scan *scan)
{
    entry->stream = scan_id(scan);
    entry->first_log = scan_id(scan);
    entry->shard_count = (uint32_t)scan_up_to(scan, MR_STREAM_SHARD_COUNT_MAX);
    entry->retention_hours = scan_hours(scan);
    entry->name = mr_scan_string(scan);
    if (entry->shard_count == 0 || entry->shard_count > MR_ID_MAX - entry->first_log ||
        !mr_stream_name_is_valid(entry->name))
        scan->failed = true;
}

static void decode_reshard(struct mr_entry *entry, struct mr_scan *scan)
{
    uint64_t opened_max;

    entry->stream = scan_id(scan);
    entry->first_shard = scan_id(scan);
    entry->first_log = scan_id(scan);
    entry->item_count = scan_up_to(scan, mr_scan_left(scan)); /* a step has at least a byte */
    entry->items = *scan;
    for (size_t i = 0; i < entry->item_count && !scan->failed; i++)
        mr_entry_next_step(scan);
    opened_max = (uint64_t)entry->item_count * 2;
    if (entry->item_count == 0 || opened_max > MR_ID_MAX - entry->first_shard ||
        opened_max > MR_ID_MAX - entry->first_log)
        scan->failed = true;
}

static void decode_property(struct mr_entry *entry, struct mr_scan *scan)
{
    entry->scope = scan_up_to(scan, MR_SCOPE_STREAM(MR_ID_MAX));
    entry->expected_version = mr_scan_varint(scan);
    entry->name = mr_scan_string(scan);
    if (scan_up_to(scan, 1))
        entry->value = mr_scan_string(scan);
    if (scan->failed || !mr_property_name_is_valid(entry->name) ||
        entry->value.size > MR_PROPERTY_VALUE_BYTES_MAX)
        scan->failed = true;
}

static void decode_forget(struct mr_entry *entry, struct mr_scan *scan)
{
    mr_shard_id last = 0;

    entry->stream = scan_id(scan);
    entry->item_count = scan_up_to(scan, mr_scan_left(scan));
    entry->items = *scan;
    for (size_t i = 0; i < entry->item_count && !scan->failed; i++) {
        mr_shard_id shard = mr_entry_next_shard(scan);
        if (i > 0 && shard <= last)
            scan->failed = true;
        last = shard;
    }
    if (entry->item_count == 0)
        scan->failed = true;
}

bool mr_entry_decode(struct mr_entry *entry, mr_bytes bytes)
{
    struct mr_scan scan = mr_scan_of(bytes);

    *entry = (struct mr_entry){.type = mr_scan_u8(&scan)};
    switch (entry->type) {
    case MR_ENTRY_STREAM_CREATE:
        decode_create(entry, &scan);
        break;
    case MR_ENTRY_STREAM_DELETE:
        entry->stream = scan_id(&scan);
        break;
    case MR_ENTRY_RESHARD:
        decode_reshard(entry, &scan);
        break;
    case MR_ENTRY_RETENTION:
        entry->stream = scan_id(&scan);
        entry->retention_hours = scan_hours(&scan);
        break;
    case MR_ENTRY_PROPERTY:
        decode_property(entry, &scan);
        break;
    case MR_ENTRY_SHARD_FORGET:
        decode_forget(entry, &scan);
        break;
    case MR_ENTRY_ENCRYPTION:
        entry->stream = scan_id(&scan);
        entry->key_id = mr_scan_u64(&scan);
        break;
    default:
        return false;
    }
    return !mr_scan_failed(&scan) && mr_scan_left(&scan) == 0;
}
