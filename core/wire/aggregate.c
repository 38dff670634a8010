#include "wire/aggregate.h"

#include "base/check.h"
#include "base/md5.h"
#include "base/memory.h"
#include "base/scan.h"
#include "base/u128.h"
#include "base/utf8.h"

#include <string.h>

#define MAGIC_BYTES 4

static const uint8_t magic[MAGIC_BYTES] = {0xf3, 0x89, 0x9a, 0xc2};

/* The numbers of the fields, and how protobuf writes their kinds. */
enum { AGGREGATE_KEY = 1, AGGREGATE_EXPLICIT_KEY = 2, AGGREGATE_RECORD = 3 };
enum { RECORD_KEY = 1, RECORD_EXPLICIT_KEY = 2, RECORD_DATA = 3, RECORD_TAG = 4 };
enum { TAG_KEY = 1, TAG_VALUE = 2 };
enum { VARINT = 0, EIGHT_BYTES = 1, BYTES = 2, FOUR_BYTES = 5 };

#define FIELD(number, kind) ((uint8_t)((number) << 3 | (kind)))

/* ---- out ---------------------------------------------------------------------------------- */

/* A field of bytes with its number, length and content. */
static size_t bytes_field_bytes(size_t size)
{
    return 1 + mr_varint_bytes(size) + size;
}

static size_t digit_count(mr_hash_key key)
{
    char text[MR_HASH_KEY_TEXT_BYTES];

    mr_hash_key_format(key, text);
    return strlen(text);
}

static size_t record_content_bytes(uint32_t key, uint32_t explicit_key, size_t data_bytes)
{
    return 1 + mr_varint_bytes(key) + bytes_field_bytes(data_bytes) +
           (explicit_key == MR_NO_EXPLICIT_KEY ? 0 : 1 + mr_varint_bytes(explicit_key));
}

size_t mr_aggregate_key_bytes(size_t key_bytes)
{
    return bytes_field_bytes(key_bytes);
}

size_t mr_aggregate_hash_key_bytes(mr_hash_key key)
{
    return bytes_field_bytes(digit_count(key));
}

size_t mr_aggregate_record_bytes(uint32_t key, uint32_t explicit_key, size_t data_bytes)
{
    return bytes_field_bytes(record_content_bytes(key, explicit_key, data_bytes));
}

void mr_aggregate_begin(struct mr_pack *out)
{
    mr_pack_bytes(out, (mr_bytes){magic, sizeof magic});
}

void mr_aggregate_add_key(struct mr_pack *out, mr_bytes partition_key)
{
    mr_pack_u8(out, FIELD(AGGREGATE_KEY, BYTES));
    mr_pack_string(out, partition_key);
}

void mr_aggregate_add_hash_key(struct mr_pack *out, mr_hash_key key)
{
    char text[MR_HASH_KEY_TEXT_BYTES];

    mr_hash_key_format(key, text);
    mr_pack_u8(out, FIELD(AGGREGATE_EXPLICIT_KEY, BYTES));
    mr_pack_string(out, (mr_bytes){text, strlen(text)});
}

void mr_aggregate_add_record(struct mr_pack *out, uint32_t key, uint32_t explicit_key,
                             mr_bytes data)
{
    size_t size = record_content_bytes(key, explicit_key, data.size);
    uint8_t *at = mr_pack_extend(out, bytes_field_bytes(size));

    *at++ = FIELD(AGGREGATE_RECORD, BYTES);
    at = mr_varint_write(at, size);
    *at++ = FIELD(RECORD_KEY, VARINT);
    at = mr_varint_write(at, key);
    if (explicit_key != MR_NO_EXPLICIT_KEY) {
        *at++ = FIELD(RECORD_EXPLICIT_KEY, VARINT);
        at = mr_varint_write(at, explicit_key);
    }
    *at++ = FIELD(RECORD_DATA, BYTES);
    at = mr_varint_write(at, data.size);
    if (data.size)
        memcpy(at, data.data, data.size);
}

void mr_aggregate_end_unsigned(struct mr_pack *out)
{
    memset(mr_pack_extend(out, MR_MD5_BYTES), 0, MR_MD5_BYTES);
}

void mr_aggregate_sign(uint8_t *const *aggregates, const size_t *sizes, size_t count)
{
    enum { AT_ONCE = 64 };
    uint8_t digests[AT_ONCE][MR_MD5_BYTES];
    mr_bytes messages[AT_ONCE];

    for (size_t done = 0, some; done < count; done += some) {
        some = count - done < AT_ONCE ? count - done : AT_ONCE;
        for (size_t i = 0; i < some; i++)
            messages[i] = (mr_bytes){aggregates[done + i] + MAGIC_BYTES,
                                     sizes[done + i] - MAGIC_BYTES - MR_MD5_BYTES};
        mr_md5_many(messages, some, digests);
        for (size_t i = 0; i < some; i++)
            memcpy(aggregates[done + i] + sizes[done + i] - MR_MD5_BYTES, digests[i], MR_MD5_BYTES);
    }
}

void mr_aggregate_end(struct mr_pack *out, size_t start)
{
    uint8_t *aggregate;
    size_t size;

    mr_aggregate_end_unsigned(out);
    aggregate = out->data + start;
    size = out->size - start;
    mr_aggregate_sign(&aggregate, &size, 1);
}

/* ---- fields ------------------------------------------------------------------------------- */

/* One field of a message: its number and kind as one byte, its value in one of the two. */
struct field {
    uint64_t tag;
    uint64_t number;
    mr_bytes bytes;
};

/* The next field; false at the end and, with a failed scan, where there is none. */
static bool next_field(struct mr_scan *scan, struct field *field)
{
    if (mr_scan_left(scan) == 0)
        return false;
    *field = (struct field){.tag = mr_scan_varint(scan)};
    switch (field->tag & 7) {
    case VARINT:
        field->number = mr_scan_varint(scan);
        break;
    case EIGHT_BYTES:
        mr_scan_u64(scan);
        break;
    case BYTES:
        field->bytes = mr_scan_string(scan);
        break;
    case FOUR_BYTES:
        mr_scan_u32(scan);
        break;
    default:
        scan->failed = true;
    }
    if (field->tag >> 3 == 0)
        scan->failed = true;
    return !mr_scan_failed(scan);
}

static bool is_tag(mr_bytes message)
{
    struct mr_scan scan = mr_scan_of(message);
    struct field field;
    bool has_key = false;

    while (next_field(&scan, &field))
        has_key |= field.tag == FIELD(TAG_KEY, BYTES);
    return has_key && !mr_scan_failed(&scan);
}

struct record {
    uint64_t key, explicit_key;
    bool has_key, has_explicit_key;
    mr_bytes data;
};

/* False: not a record. What protobuf does not know it passes over, and of two it takes the last. */
static bool read_record(mr_bytes message, struct record *record)
{
    struct mr_scan scan = mr_scan_of(message);
    struct field field;
    bool has_data = false, is_good = true;

    *record = (struct record){0};
    while (next_field(&scan, &field)) {
        switch (field.tag) {
        case FIELD(RECORD_KEY, VARINT):
            record->key = field.number;
            record->has_key = true;
            break;
        case FIELD(RECORD_EXPLICIT_KEY, VARINT):
            record->explicit_key = field.number;
            record->has_explicit_key = true;
            break;
        case FIELD(RECORD_DATA, BYTES):
            record->data = field.bytes;
            has_data = true;
            break;
        case FIELD(RECORD_TAG, BYTES):
            is_good &= is_tag(field.bytes);
            break;
        default:
            break;
        }
    }
    return is_good && record->has_key && has_data && !mr_scan_failed(&scan);
}

/* ---- in ----------------------------------------------------------------------------------- */

void mr_aggregate_reader_fini(struct mr_aggregate_reader *reader)
{
    mr_free(reader->keys);
    mr_free(reader->explicit_keys);
    *reader = (struct mr_aggregate_reader){0};
}

static bool read_hash_key(mr_bytes digits, mr_hash_key *key)
{
    char text[MR_HASH_KEY_TEXT_BYTES];

    if (digits.size >= sizeof text || memchr(digits.data, 0, digits.size))
        return false;
    memcpy(text, digits.data, digits.size);
    text[digits.size] = 0;
    return mr_hash_key_parse(text, key, NULL) == MR_OK;
}

/* The text that begins at this place of the message, its length first. */
static mr_bytes text_at(const struct mr_aggregate_reader *reader, uint32_t at)
{
    const uint8_t *message = reader->message.data;
    struct mr_scan scan = mr_scan_of((mr_bytes){message + at, reader->message.size - at});

    return mr_scan_string(&scan);
}

/* And back: where that text's length stands. */
static uint32_t place_of(const struct mr_aggregate_reader *reader, mr_bytes text)
{
    size_t at = (size_t)((const uint8_t *)text.data - (const uint8_t *)reader->message.data);

    return (uint32_t)(at - mr_varint_bytes(text.size));
}

/* Collects the tables, which may stand behind what means them, and counts the records. */
static bool read_tables(struct mr_aggregate_reader *reader)
{
    struct mr_scan scan = mr_scan_of(reader->message);
    struct field field;
    mr_hash_key key;
    bool is_good = true;

    while (is_good && next_field(&scan, &field)) {
        switch (field.tag) {
        case FIELD(AGGREGATE_KEY, BYTES):
            is_good = mr_utf8_chars(field.bytes) != SIZE_MAX;
            mr_grow(reader->keys, reader->key_count, reader->key_capacity);
            reader->keys[reader->key_count++] = place_of(reader, field.bytes);
            break;
        case FIELD(AGGREGATE_EXPLICIT_KEY, BYTES):
            is_good = read_hash_key(field.bytes, &key);
            mr_grow(reader->explicit_keys, reader->explicit_key_count,
                    reader->explicit_key_capacity);
            reader->explicit_keys[reader->explicit_key_count++] = place_of(reader, field.bytes);
            break;
        case FIELD(AGGREGATE_RECORD, BYTES):
            reader->record_count++;
            break;
        default:
            break;
        }
    }
    return is_good && !mr_scan_failed(&scan);
}

/* The next record of the message, which is known to be one of fields. */
static bool find_record(struct mr_aggregate_reader *reader, mr_bytes *message)
{
    const uint8_t *start = reader->message.data;
    struct mr_scan scan =
        mr_scan_of((mr_bytes){start + reader->at, reader->message.size - reader->at});
    struct field field;

    while (next_field(&scan, &field)) {
        if (field.tag != FIELD(AGGREGATE_RECORD, BYTES))
            continue;
        reader->at = (size_t)(scan.at - start);
        *message = field.bytes;
        return true;
    }
    reader->at = reader->message.size;
    return false;
}

static bool check_records(struct mr_aggregate_reader *reader)
{
    struct record record;
    mr_bytes message;

    while (find_record(reader, &message))
        if (!read_record(message, &record) || record.key >= reader->key_count ||
            (record.has_explicit_key && record.explicit_key >= reader->explicit_key_count))
            return false;
    reader->at = 0;
    return true;
}

bool mr_aggregate_open(struct mr_aggregate_reader *reader, mr_bytes data)
{
    const uint8_t *bytes = data.data;
    uint8_t digest[MR_MD5_BYTES];

    if (data.size <= MAGIC_BYTES + MR_MD5_BYTES || data.size > UINT32_MAX ||
        memcmp(bytes, magic, sizeof magic) != 0)
        return false;
    reader->message = (mr_bytes){bytes + MAGIC_BYTES, data.size - MAGIC_BYTES - MR_MD5_BYTES};
    mr_md5(reader->message, digest);
    if (memcmp(digest, bytes + data.size - sizeof digest, sizeof digest) != 0)
        return false;
    reader->record_count = reader->key_count = reader->explicit_key_count = reader->at = 0;
    return read_tables(reader) && reader->record_count > 0 && check_records(reader);
}

bool mr_aggregate_next(struct mr_aggregate_reader *reader, struct mr_user_record *record)
{
    struct record found;
    mr_bytes message;

    if (!find_record(reader, &message))
        return false;
    mr_check(read_record(message, &found)); /* open() has seen it */
    *record = (struct mr_user_record){
        .partition_key = text_at(reader, reader->keys[found.key]),
        .data = found.data,
        .has_explicit_hash_key = found.has_explicit_key,
    };
    if (found.has_explicit_key)
        mr_check(read_hash_key(text_at(reader, reader->explicit_keys[found.explicit_key]),
                               &record->explicit_hash_key));
    return true;
}
