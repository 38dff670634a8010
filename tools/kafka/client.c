/* client.c - clients of librdkafka, and questions about topics. */
#include "kafka/inside.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MS 10000
#define LOOK_MS 3000 /* for brokers that may be away: who is told to stop waits no longer */
#define PAUSE_MS 500
#define TRIES_COUNT 60 /* for a new topic to be seen */

/* ---- clients ------------------------------------------------------------------------------ */

/* What librdkafka has to say about its connections; never contains properties. */
static void say_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    const struct mr_bridge *bridge = rd_kafka_opaque(kafka);

    if (level <= 4)
        mr_bridge_say(bridge, "event=kafka facility=%s message=\"%s\"", facility, text);
}

/* librdkafka's own message would show the value. */
static mr_status set(rd_kafka_conf_t *conf, const char *name, const char *value, mr_error *error)
{
    char detail[200];

    switch (rd_kafka_conf_set(conf, name, value, detail, sizeof detail)) {
    case RD_KAFKA_CONF_UNKNOWN:
        return mr_fail(error, MR_INVALID, "librdkafka has no property %.100s", name);
    case RD_KAFKA_CONF_INVALID:
        return mr_fail(error, MR_INVALID, "the Kafka property %.100s does not take that value",
                       name);
    case RD_KAFKA_CONF_OK:
        break;
    }
    return MR_OK;
}

void mr_kafka_force(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    mr_error error;

    if (set(conf, name, value, &error))
        mr_fail(NULL, MR_INVALID, "%s", error.message); /* its absence would fail in new() */
}

rd_kafka_conf_t *mr_kafka_conf(struct mr_bridge *bridge, const char *const defaults[][2],
                               mr_error *error)
{
    const struct mr_kafka_properties *properties = bridge->config->properties;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    mr_status status = set(conf, "client.id", "millrace-bridge", error);

    for (size_t i = 0; !status && defaults[i][0]; i++)
        status = set(conf, defaults[i][0], defaults[i][1], error);
    for (size_t i = 0; !status && properties && i < properties->count; i++)
        status = set(conf, properties->items[i].name, properties->items[i].value, error);
    if (!status)
        status = set(conf, "bootstrap.servers", bridge->config->brokers, error);
    if (status) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_opaque(conf, bridge);
    rd_kafka_conf_set_log_cb(conf, say_log);
    return conf;
}

mr_status mr_kafka_new(rd_kafka_t **kafka, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                       mr_error *error)
{
    char detail[200];

    *kafka = rd_kafka_new(type, conf, detail, sizeof detail);
    if (*kafka)
        return MR_OK;
    rd_kafka_conf_destroy(conf);
    return mr_fail(error, MR_INVALID, "librdkafka refuses its configuration: %.180s", detail);
}

mr_status mr_kafka_fail(const struct mr_bridge *bridge, rd_kafka_resp_err_t code, const char *what,
                        const char *detail, mr_error *error)
{
    mr_status status = MR_UNAVAILABLE;
    const char *next = "";

    switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        status = MR_DENIED;
        next = ": see what its user may do (kafka-acls), or give --kafka-property";
        break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        status = MR_NOT_FOUND;
        next = ": create it, or use --create N";
        break;
    default:
        break;
    }
    return mr_fail(error, status, "Kafka at %.60s: %s: %.100s%s", bridge->config->brokers, what,
                   detail && *detail ? detail : rd_kafka_err2str(code), next);
}

rd_kafka_resp_err_t mr_kafka_produce(rd_kafka_t *kafka, const rd_kafka_vu_t *parts, size_t count)
{
    rd_kafka_error_t *failure = rd_kafka_produceva(kafka, parts, count);
    rd_kafka_resp_err_t code = rd_kafka_error_code(failure);

    if (failure)
        rd_kafka_error_destroy(failure);
    return code;
}

mr_status mr_kafka_open_look(struct mr_bridge *bridge, mr_error *error)
{
    /* A consumer, for a producer that asks for a topic may make it. */
    static const char *const defaults[][2] = {
        {"group.id", "millrace-bridge"}, {"allow.auto.create.topics", "false"}, {0}};
    rd_kafka_conf_t *conf = mr_kafka_conf(bridge, defaults, error);

    if (!conf)
        return error->status;
    mr_kafka_force(conf, "isolation.level", "read_uncommitted"); /* ends, not last stable offsets */
    return mr_kafka_new(&bridge->look, RD_KAFKA_CONSUMER, conf, error);
}

/* ---- topics ------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t count_once(struct mr_bridge *bridge, const char *name, int32_t *count)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(bridge->look, name, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(bridge->look, 0, topic, &metadata, LOOK_MS);

    *count = 0;
    if (!code) {
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__BAD_MSG;
        if (!code)
            *count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    return code;
}

mr_status mr_kafka_count(struct mr_bridge *bridge, const char *topic, int32_t *count,
                         mr_error *error)
{
    bool is_said = false;

    while (!mr_bridge_is_stopping(bridge)) {
        rd_kafka_resp_err_t code = count_once(bridge, topic, count);
        mr_status status = MR_OK;

        if (code)
            status = mr_kafka_fail(bridge, code, topic, NULL, error);
        if (status == MR_NOT_FOUND || !status)
            return MR_OK;
        if (status != MR_UNAVAILABLE || code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
            return status;
        if (!is_said)
            mr_bridge_say(bridge, "event=unreachable brokers=%s reason=\"%s\" next=\"tries again\"",
                          bridge->config->brokers, error->message);
        is_said = true;
        mr_bridge_pause(bridge, PAUSE_MS);
    }
    return mr_fail(error, MR_CLOSED, "stopped");
}

static rd_kafka_resp_err_t answer_of(rd_kafka_event_t *event, char *detail, size_t size)
{
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_result_t **topics;
    size_t count;

    snprintf(detail, size, "%s", code ? rd_kafka_event_error_string(event) : "");
    if (code || !result)
        return code;
    topics = rd_kafka_CreateTopics_result_topics(result, &count);
    if (count != 1)
        return RD_KAFKA_RESP_ERR__BAD_MSG;
    code = rd_kafka_topic_result_error(topics[0]);
    if (code && rd_kafka_topic_result_error_string(topics[0]))
        snprintf(detail, size, "%s", rd_kafka_topic_result_error_string(topics[0]));
    return code;
}

mr_status mr_kafka_create(struct mr_bridge *bridge, const char *topic, uint32_t partition_count,
                          bool is_compacted, mr_error *error)
{
    char detail[120];
    rd_kafka_NewTopic_t *wanted =
        rd_kafka_NewTopic_new(topic, (int)partition_count, -1, detail, sizeof detail);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    int32_t count = 0;

    if (!wanted)
        return mr_fail(error, MR_INVALID, "topic %.100s: %.100s", topic, detail);
    if (is_compacted)
        rd_kafka_NewTopic_set_config(wanted, "cleanup.policy", "compact");
    queue = rd_kafka_queue_new(bridge->look);
    rd_kafka_CreateTopics(bridge->look, &wanted, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 6 * ANSWER_MS);
    *detail = 0;
    if (event)
        code = answer_of(event, detail, sizeof detail);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
    if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return mr_kafka_fail(bridge, code, topic, detail, error);
    for (int i = 0; i < TRIES_COUNT && count == 0; i++) {
        mr_status status = mr_kafka_count(bridge, topic, &count, error);

        if (status)
            return status;
        if (count == 0)
            mr_bridge_pause(bridge, PAUSE_MS / 5);
    }
    mr_bridge_say(bridge, "event=created topic=%s partitions=%d", topic, (int)count);
    return MR_OK;
}
