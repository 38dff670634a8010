#include "log/frame.h"

#include "base/endian.h"
#include "log/log.h"

static uint64_t key_word_of(const mr_put *put)
{
    return (uint64_t)put->partition_key.size << 1 | (put->explicit_hash_key != NULL);
}

size_t mr_frame_bytes(const mr_put *put)
{
    return mr_varint_bytes(key_word_of(put)) + mr_varint_bytes(put->data.size) +
           (put->explicit_hash_key ? 16 : 0) + put->partition_key.size + put->data.size;
}

uint8_t *mr_frame_write(uint8_t *out, const mr_put *put)
{
    out = mr_varint_write(out, key_word_of(put));
    out = mr_varint_write(out, put->data.size);
    if (put->explicit_hash_key) {
        mr_store64(out, put->explicit_hash_key->lo);
        mr_store64(out + 8, put->explicit_hash_key->hi);
        out += 16;
    }
    if (put->partition_key.size)
        memcpy(out, put->partition_key.data, put->partition_key.size);
    out += put->partition_key.size;
    if (put->data.size)
        memcpy(out, put->data.data, put->data.size);
    return out + put->data.size;
}

uint8_t *mr_run_write_header(uint8_t *out, struct mr_run_base *base, const struct mr_run *run)
{
    out = mr_varint_write(out, run->record_count);
    out = mr_varint_write(out, run->first_number - base->next_number);
    out = mr_varint_write(out, (uint64_t)(run->at_ms - base->at_ms));
    out = mr_varint_write(out, run->frames.size);
    base->next_number = run->first_number + run->record_count;
    base->at_ms = run->at_ms;
    return out;
}

bool mr_run_read(struct mr_scan *scan, struct mr_run_base *base, struct mr_run *run)
{
    uint64_t gap, later_ms;

    if (scan->failed || scan->at == scan->end)
        return false;
    run->is_encrypted = false;
    run->record_count = mr_scan_varint(scan);
    gap = mr_scan_varint(scan);
    later_ms = mr_scan_varint(scan);
    run->frames = mr_scan_string(scan);
    /* A frame takes two bytes at least; the bounds keep sums of hostile numbers from wrapping. */
    if (run->record_count == 0 || run->record_count > run->frames.size / 2 || gap > INT64_MAX / 4 ||
        later_ms > INT64_MAX / 4 || base->next_number > INT64_MAX / 2 ||
        base->at_ms > INT64_MAX / 2)
        scan->failed = true;
    if (scan->failed)
        return false;
    run->first_number = base->next_number + gap;
    run->at_ms = base->at_ms + (int64_t)later_ms;
    base->next_number = run->first_number + run->record_count;
    base->at_ms = run->at_ms;
    return true;
}
