#include "show.h"

#include "base/u128.h"
#include "when.h"

void mr_show_shard_id(struct mr_json_line *line, const char *name, mr_shard_id shard)
{
    char text[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard, text);
    mr_json_name(line, name);
    mr_json_text(line, text);
}

void mr_show_hash_key(struct mr_json_line *line, const char *name, mr_hash_key key)
{
    char text[MR_HASH_KEY_TEXT_BYTES];

    mr_hash_key_format(key, text);
    mr_json_name(line, name);
    mr_json_text(line, text);
}

void mr_show_sequence(struct mr_json_line *line, const char *name, const mr_sequence *sequence)
{
    char text[MR_SEQUENCE_TEXT_BYTES];

    mr_sequence_format(sequence, text);
    mr_json_name(line, name);
    mr_json_text(line, text);
}

void mr_show_time(struct mr_json_line *line, const char *name, int64_t time_ms)
{
    char text[MR_TIME_TEXT_BYTES];

    mr_time_format(time_ms, text);
    mr_json_name(line, name);
    mr_json_text(line, text);
}

static void show_count(struct mr_json_line *line, const char *name, uint64_t count)
{
    if (count == MR_UNKNOWN)
        return;
    mr_json_name(line, name);
    mr_json_count(line, count);
}

void mr_show_stream(struct mr_json_line *line, const struct mr_stream_info *info)
{
    mr_json_open(line, '{');
    mr_json_name(line, "stream");
    mr_json_text(line, info->name);
    mr_show_time(line, "created", info->created_ms);
    show_count(line, "retention_hours", info->retention_hours);
    show_count(line, "shard_count", info->shard_count);
    show_count(line, "open_shard_count", info->open_shard_count);
    show_count(line, "record_count", info->record_count);
    show_count(line, "record_bytes", info->record_bytes);
    show_count(line, "segment_count", info->segment_count);
    show_count(line, "segment_raw_bytes", info->segment_raw_bytes);
    show_count(line, "segment_stored_bytes", info->segment_stored_bytes);
    if (info->is_encrypted) { /* of a server's list it is not known */
        mr_json_name(line, "encrypted");
        mr_json_bool(line, true);
    }
    mr_json_close(line, '}');
}

void mr_show_shard(struct mr_json_line *line, const mr_shard *shard)
{
    mr_json_open(line, '{');
    mr_show_shard_id(line, "shard_id", shard->id);
    mr_json_name(line, "open");
    mr_json_bool(line, !shard->is_closed);
    if (shard->parent != MR_NO_SHARD)
        mr_show_shard_id(line, "parent_shard_id", shard->parent);
    if (shard->adjacent_parent != MR_NO_SHARD)
        mr_show_shard_id(line, "adjacent_parent_shard_id", shard->adjacent_parent);
    mr_show_hash_key(line, "first_hash_key", shard->first_key);
    mr_show_hash_key(line, "last_hash_key", shard->last_key);
    mr_show_sequence(line, "first_sequence_number", &shard->first_sequence);
    if (shard->is_closed)
        mr_show_sequence(line, "last_sequence_number", &shard->last_sequence);
    mr_show_time(line, "created", shard->created_ms);
    if (shard->is_closed)
        mr_show_time(line, "closed", shard->closed_ms);
    show_count(line, "record_count", shard->record_count);
    show_count(line, "record_bytes", shard->record_bytes);
    mr_json_close(line, '}');
}

double mr_hash_key_part(mr_hash_key key)
{
    return ((double)key.hi + (double)key.lo * 0x1p-64) * 0x1p-64;
}
