/*
 * position.c - how far each shard is in Kafka, kept in Kafka: the last message of a key in a
 * compacted topic. A lane writes it in the transaction of its records (R1).
 */
#include "kafka/inside.h"

#include "base/fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000
#define POLL_MS 100

/* ---- texts -------------------------------------------------------------------------------- */

size_t mr_position_key(const struct mr_bridge *bridge, mr_shard_id shard, char *text, size_t size)
{
    char name[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard, name);
    return (size_t)snprintf(text, size, "%s/%s", bridge->config->name, name);
}

size_t mr_position_write(const struct mr_bridge *bridge, const mr_mark *mark,
                         char text[MR_POSITION_TEXT_BYTES])
{
    char place[MR_MARK_TEXT_BYTES];

    mr_mark_format(mark, place);
    return (size_t)snprintf(text, MR_POSITION_TEXT_BYTES, "%s %llu %s", place,
                            (unsigned long long)mark->sub_sequence, bridge->created);
}

bool mr_position_scan(mr_bytes text, mr_mark *mark, mr_bytes *created)
{
    char copy[MR_POSITION_TEXT_BYTES], *rest = copy, *place, *sub, *end;
    unsigned long long number;

    if (!text.data || text.size >= sizeof copy || memchr(text.data, 0, text.size))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    place = strsep(&rest, " ");
    sub = strsep(&rest, " ");
    if (!rest || *sub < '0' || *sub > '9')
        return false;
    number = strtoull(sub, &end, 10);
    if (*end || mr_mark_parse(place, number, mark, NULL))
        return false;
    *created = (mr_bytes){(const char *)text.data + (rest - copy), strlen(rest)};
    return true;
}

/* ---- reading ------------------------------------------------------------------------------ */

struct reading {
    struct mr_bridge *bridge;
    void (*visit)(void *context, mr_shard_id shard, const mr_mark *mark);
    void *context;
};

static void take(const struct reading *reading, const rd_kafka_message_t *message)
{
    const char *name = reading->bridge->config->name;
    size_t size = strlen(name);
    const char *key = message->key;
    char shard_text[MR_SHARD_TEXT_BYTES];
    mr_shard_id shard;
    mr_bytes created;
    mr_mark mark;

    if (!key || message->key_len <= size + 1 || memcmp(key, name, size) != 0 || key[size] != '/' ||
        message->key_len - size - 1 >= sizeof shard_text)
        return;
    memcpy(shard_text, key + size + 1, message->key_len - size - 1);
    shard_text[message->key_len - size - 1] = 0;
    if (mr_shard_parse(shard_text, &shard, NULL) ||
        !mr_position_scan((mr_bytes){message->payload, message->len}, &mark, &created))
        return;
    if (created.size == strlen(reading->bridge->created) &&
        memcmp(created.data, reading->bridge->created, created.size) == 0)
        reading->visit(reading->context, shard, &mark);
}

/*
 * Up to what there was when we began: the end for readers of committed messages comes near that when
 * the transactions under way are over.
 */
static mr_status read_through(const struct reading *reading, rd_kafka_t *kafka, int64_t end,
                              mr_error *error)
{
    struct mr_bridge *bridge = reading->bridge;

    for (int64_t at = 0; at < end;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, POLL_MS);

        if (mr_bridge_is_stopping(bridge)) {
            if (message)
                rd_kafka_message_destroy(message);
            return mr_fail(error, MR_CLOSED, "stopped");
        }
        if (!message)
            continue;
        if (!message->err) {
            take(reading, message);
            at = message->offset + 1;
        } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            at = message->offset;
        } else if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                   message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            mr_status status = mr_kafka_fail(bridge, message->err, bridge->config->state_topic,
                                             rd_kafka_message_errstr(message), error);

            rd_kafka_message_destroy(message);
            return status;
        }
        rd_kafka_message_destroy(message);
    }
    return MR_OK;
}

mr_status mr_positions_read(struct mr_bridge *bridge,
                            void (*visit)(void *context, mr_shard_id shard, const mr_mark *mark),
                            void *context, mr_error *error)
{
    static const char *const defaults[][2] = {
        {"group.id", "millrace-bridge"},
        {"auto.offset.reset", "earliest"},
        {"fetch.wait.max.ms", "10"}, /* the end is all that is waited for */
        {0}};
    const struct reading reading = {bridge, visit, context};
    const char *topic = bridge->config->state_topic;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    rd_kafka_conf_t *conf;
    int64_t low, end;
    rd_kafka_t *kafka;
    mr_status status;

    code = rd_kafka_query_watermark_offsets(bridge->look, topic, 0, &low, &end, ANSWER_MS);
    if (code)
        return mr_kafka_fail(bridge, code, topic, NULL, error);
    conf = mr_kafka_conf(bridge, defaults, error);
    if (!conf)
        return error->status;
    mr_kafka_force(conf, "isolation.level", "read_committed");
    mr_kafka_force(conf, "enable.partition.eof", "true");
    mr_kafka_force(conf, "enable.auto.commit", "false");
    status = mr_kafka_new(&kafka, RD_KAFKA_CONSUMER, conf, error);
    if (status)
        return status;
    rd_kafka_poll_set_consumer(kafka);
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = low;
    code = rd_kafka_assign(kafka, list);
    status = code ? mr_kafka_fail(bridge, code, topic, NULL, error)
                  : read_through(&reading, kafka, end, error);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_assign(kafka, NULL);
    rd_kafka_destroy(kafka);
    return status;
}
