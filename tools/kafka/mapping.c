#include "kafka/mapping.h"

#include "json_line.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/u128.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#define HASH_KEY_HEADER "millrace-hash-key"
#define BASE64_MARK "base64:"

/* ---- out ---------------------------------------------------------------------------------- */

static int32_t by_hash_range(mr_hash_key hash, int32_t partition_count)
{
    /* The upper half decides: no count of partitions comes near 2^64. */
    return (int32_t)((mr_u128)hash.hi * (uint32_t)partition_count >> 64);
}

int32_t mr_partition_of(enum mr_partitioning how, mr_bytes key, mr_hash_key hash, mr_shard_id shard,
                        int32_t partition_count)
{
    if (how == MR_BY_SHARD)
        return (int32_t)(shard % (uint32_t)partition_count);
    if (how == MR_BY_HASH_RANGE || key.size == 0)
        return by_hash_range(hash, partition_count);
    if (how == MR_BY_KEY_CRC32)
        return rd_kafka_msg_partitioner_consistent(NULL, key.data, key.size, partition_count, NULL,
                                                   NULL);
    return rd_kafka_msg_partitioner_murmur2(NULL, key.data, key.size, partition_count, NULL, NULL);
}

static void add(rd_kafka_headers_t *headers, const char *name, const char *text)
{
    mr_check(!rd_kafka_header_add(headers, name, -1, text, -1));
}

rd_kafka_headers_t *mr_headers_of(const mr_consumer_record *record, mr_shard_id shard)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
    char text[MR_MARK_TEXT_BYTES + MR_HASH_KEY_TEXT_BYTES];

    mr_mark_format(&record->mark, text);
    add(headers, "millrace-sequence", text);
    if (record->mark.sub_sequence > 0) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)record->mark.sub_sequence);
        add(headers, "millrace-sub-sequence", text);
    }
    mr_shard_format(shard, text);
    add(headers, "millrace-shard", text);
    if (record->has_explicit_hash_key) {
        mr_hash_key_format(record->explicit_hash_key, text);
        add(headers, HASH_KEY_HEADER, text);
    }
    return headers;
}

/* ---- in ----------------------------------------------------------------------------------- */

struct mr_incoming mr_incoming_of(const rd_kafka_message_t *message)
{
    struct mr_incoming incoming = {.key = {message->key, message->key_len},
                                   .data = {message->payload, message->len},
                                   .topic = rd_kafka_topic_name(message->rkt),
                                   .partition = message->partition,
                                   .offset = message->offset,
                                   .time_ms = rd_kafka_message_timestamp(message, NULL)};

    if (rd_kafka_message_headers(message, &incoming.headers))
        incoming.headers = NULL;
    return incoming;
}

/* What has no key is spread, and comes to the same shard when it comes again. */
static mr_bytes made_up(const struct mr_incoming *message, struct mr_mapped *mapped)
{
    int size = snprintf(mapped->key_text, sizeof mapped->key_text, "%d:%lld",
                        (int)message->partition, (long long)message->offset);

    return (mr_bytes){mapped->key_text, (size_t)size};
}

static bool map_key(const struct mr_incoming *message, struct mr_mapped *mapped,
                    const char **reason)
{
    mr_bytes key = message->key;
    size_t chars = key.size > 0 ? mr_utf8_chars(key) : 0;

    mapped->key = key.size > 0 ? key : made_up(message, mapped);
    if (key.size == 0 || chars <= MR_PARTITION_KEY_CHARS_MAX)
        return true;
    if (chars == SIZE_MAX &&
        strlen(BASE64_MARK) + MR_BASE64_BYTES(key.size) <= MR_PARTITION_KEY_CHARS_MAX) {
        memcpy(mapped->key_text, BASE64_MARK, strlen(BASE64_MARK));
        mr_base64_encode(key, mapped->key_text + strlen(BASE64_MARK));
        mapped->key = (mr_bytes){mapped->key_text, strlen(BASE64_MARK) + MR_BASE64_BYTES(key.size)};
        return true;
    }
    *reason = "its key is longer than 256 characters, a partition key's limit";
    return false;
}

/* Ours, if it is one. */
static void map_hash_key(const struct mr_incoming *message, struct mr_mapped *mapped)
{
    char text[MR_HASH_KEY_TEXT_BYTES];
    const void *value;
    size_t size;

    if (!message->headers ||
        rd_kafka_header_get_last(message->headers, HASH_KEY_HEADER, &value, &size) || !value ||
        size >= sizeof text)
        return;
    memcpy(text, value, size);
    text[size] = 0;
    mapped->has_hash_key = !mr_hash_key_parse(text, &mapped->hash_key, NULL);
}

/* As text where it is text, else as base64 behind another name. */
static void wrap_bytes(struct mr_json_line *line, const char *name, const char *base64_name,
                       mr_bytes bytes)
{
    char *base64;

    if (!bytes.data || mr_utf8_is_valid(bytes)) {
        mr_json_name(line, name);
        if (bytes.data)
            mr_json_string(line, bytes);
        else
            mr_json_null(line);
        return;
    }
    base64 = mr_alloc(MR_BASE64_BYTES(bytes.size) + 1);
    mr_base64_encode(bytes, base64);
    mr_json_name(line, base64_name);
    mr_json_string(line, (mr_bytes){base64, MR_BASE64_BYTES(bytes.size)});
    mr_free(base64);
}

/* An array, for names may come again and their order counts. */
static void wrap_headers(struct mr_json_line *line, const rd_kafka_headers_t *headers)
{
    const char *name;
    const void *value;
    size_t size;

    mr_json_name(line, "headers");
    mr_json_open(line, '[');
    if (headers)
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++) {
            mr_json_open(line, '{');
            wrap_bytes(line, "name", "name_base64", (mr_bytes){name, strlen(name)});
            wrap_bytes(line, "value", "value_base64", (mr_bytes){value, size});
            mr_json_close(line, '}');
        }
    mr_json_close(line, ']');
}

static void wrap(const struct mr_incoming *message, struct mr_mapped *mapped)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
    mr_json_name(&line, "topic");
    mr_json_text(&line, message->topic);
    mr_json_name(&line, "partition");
    mr_json_count(&line, (uint64_t)message->partition);
    mr_json_name(&line, "offset");
    mr_json_count(&line, (uint64_t)message->offset);
    mr_json_name(&line, "time_ms");
    mr_json_count(&line, message->time_ms > 0 ? (uint64_t)message->time_ms : 0);
    wrap_bytes(&line, "key", "key_base64", message->key);
    wrap_headers(&line, message->headers);
    wrap_bytes(&line, "data", "base64", message->data);
    mr_json_close(&line, '}');
    mapped->wrapped = line.pack.data;
    mapped->data = (mr_bytes){line.pack.data, line.pack.size};
}

bool mr_message_map(const struct mr_incoming *message, bool wraps, struct mr_mapped *mapped,
                    const char **reason)
{
    mr_mapped_fini(mapped);
    mapped->has_hash_key = false;
    mapped->data = message->data;
    if (!map_key(message, mapped, reason))
        return false;
    map_hash_key(message, mapped);
    if (wraps)
        wrap(message, mapped);
    return true;
}

void mr_mapped_fini(struct mr_mapped *mapped)
{
    mr_free(mapped->wrapped);
    mapped->wrapped = NULL;
}
