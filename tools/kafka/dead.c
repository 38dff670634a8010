/*
 * dead.c - letters that cannot be delivered, with the reason: a message of a topic, a record of a
 * stream, or a line of a file. Each is kept before its record counts as copied, so it may come twice,
 * and is never lost (R6).
 */
#include "kafka/inside.h"

#include "json_line.h"
#include "streams.h"

#include "base/base64.h"
#include "base/fail.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS 100

struct mr_dead {
    pthread_mutex_t lock;
    const char *stream, *topic; /* one of them, or the file */
    int file;
    rd_kafka_t *kafka;
};

/* What stands behind the colon, if that is its kind. */
static const char *behind(const char *text, const char *kind)
{
    size_t size = strlen(kind);

    return strncmp(text, kind, size) == 0 && text[size] ? text + size : NULL;
}

static void answered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *bridge)
{
    rd_kafka_resp_err_t *answer = message->_private;
    (void)kafka;
    (void)bridge;

    *answer = message->err;
}

static mr_status open_topic(struct mr_bridge *bridge, struct mr_dead *dead, mr_error *error)
{
    static const char *const defaults[][2] = {
        {"message.max.bytes", "20971520"}, {"enable.idempotence", "true"}, {0}};
    rd_kafka_conf_t *conf;
    mr_status status;
    int32_t count;

    status = mr_kafka_count(bridge, dead->topic, &count, error);
    if (!status && count == 0 && bridge->config->create_count == 0)
        status = mr_fail(error, MR_NOT_FOUND,
                         "the topic for dead letters, %.100s, is not there: create it, or use "
                         "--create N",
                         dead->topic);
    else if (!status && count == 0)
        status = mr_kafka_create(bridge, dead->topic, 1, false, error);
    if (status)
        return status;
    conf = mr_kafka_conf(bridge, defaults, error);
    if (!conf)
        return error->status;
    mr_kafka_force(conf, "message.timeout.ms", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, answered);
    return mr_kafka_new(&dead->kafka, RD_KAFKA_PRODUCER, conf, error);
}

mr_status mr_dead_open(struct mr_bridge *bridge, mr_error *error)
{
    const char *where = bridge->config->dead_letters, *path;
    struct mr_stream_info info;
    struct mr_dead *dead;

    if (!where)
        return MR_OK;
    dead = bridge->dead = mr_new(struct mr_dead);
    dead->file = -1;
    pthread_mutex_init(&dead->lock, NULL);
    dead->topic = behind(where, "topic:");
    dead->stream = behind(where, "stream:");
    path = behind(where, "file:");
    if (dead->topic)
        return open_topic(bridge, dead, error);
    if (dead->stream)
        return mr_streams_describe(bridge->config->place, dead->stream, &info, error);
    if (!path)
        return mr_fail(error, MR_INVALID,
                       "--dead-letters takes topic:NAME, stream:NAME or file:PATH, not '%.100s'",
                       where);
    dead->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return dead->file < 0 ? mr_fail_os(error, errno, "cannot open %.150s", path) : MR_OK;
}

void mr_dead_close(struct mr_dead *dead)
{
    if (!dead)
        return;
    if (dead->kafka)
        rd_kafka_destroy(dead->kafka);
    if (dead->file >= 0)
        close(dead->file);
    pthread_mutex_destroy(&dead->lock);
    mr_free(dead);
}

static void put_bytes(struct mr_json_line *line, const char *name, mr_bytes bytes)
{
    char *base64 = mr_alloc(MR_BASE64_BYTES(bytes.size) + 1);

    mr_base64_encode(bytes, base64);
    mr_json_name(line, name);
    mr_json_string(line, (mr_bytes){base64, MR_BASE64_BYTES(bytes.size)});
    mr_free(base64);
}

/* With the payload as base64: whatever made it poison may be in its bytes. */
static void write_line(struct mr_json_line *line, const struct mr_bridge *bridge,
                       const struct mr_letter *letter)
{
    mr_json_open(line, '{');
    mr_json_name(line, "bridge");
    mr_json_text(line, bridge->config->name);
    mr_json_name(line, "origin");
    mr_json_text(line, letter->origin);
    mr_json_name(line, "reason");
    mr_json_text(line, letter->reason);
    put_bytes(line, "key_base64", letter->key);
    put_bytes(line, "data_base64", letter->data);
    mr_json_close(line, '}');
    mr_pack_u8(&line->pack, '\n');
}

static mr_status to_file(int file, mr_bytes line, mr_error *error)
{
    const char *at = line.data;

    for (size_t left = line.size; left > 0;) {
        ssize_t written = write(file, at, left);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return mr_fail_os(error, errno, "cannot write a dead letter");
        at += written;
        left -= (size_t)written;
    }
    return fdatasync(file) ? mr_fail_os(error, errno, "cannot keep a dead letter") : MR_OK;
}

static mr_status to_stream(struct mr_bridge *bridge, const char *stream, mr_bytes line,
                           const struct mr_letter *letter, mr_error *error)
{
    const mr_put put = {.partition_key = {letter->origin, strlen(letter->origin)}, .data = line};
    mr_put_result result;
    mr_status status = mr_streams_put(bridge->config->place, stream, &put, 1, &result, error);

    if (!status && result.status)
        status = mr_fail(error, result.status, "the stream for dead letters, %.100s: %s", stream,
                         mr_status_text(result.status));
    return status;
}

/* As it was, with the reason in headers. */
static mr_status to_topic(struct mr_bridge *bridge, struct mr_dead *dead,
                          const struct mr_letter *letter, mr_error *error)
{
    rd_kafka_resp_err_t code, answer = RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = dead->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {(void *)(uintptr_t)letter->key.data, letter->key.size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)letter->data.data, letter->data.size}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"millrace-origin", letter->origin, -1}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"millrace-reason", letter->reason, -1}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = &answer},
    };

    /* The queue is empty: each letter is waited for. */
    code = mr_kafka_produce(dead->kafka, parts, sizeof parts / sizeof *parts);
    while (!code && rd_kafka_outq_len(dead->kafka) > 0 && !mr_bridge_is_stopping(bridge))
        rd_kafka_flush(dead->kafka, POLL_MS);
    if (!code && rd_kafka_outq_len(dead->kafka) > 0) { /* it must not be answered any more */
        rd_kafka_purge(dead->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(dead->kafka, -1);
    }
    if (!code)
        code = answer;
    return code ? mr_kafka_fail(bridge, code, "the topic for dead letters", NULL, error) : MR_OK;
}

mr_status mr_dead_write(struct mr_bridge *bridge, const struct mr_letter *letter, mr_error *error)
{
    struct mr_dead *dead = bridge->dead;
    struct mr_json_line line = MR_JSON_LINE;
    mr_status status;

    pthread_mutex_lock(&dead->lock);
    if (dead->topic) {
        status = to_topic(bridge, dead, letter, error);
    } else {
        write_line(&line, bridge, letter);
        status = dead->stream
                     ? to_stream(bridge, dead->stream, (mr_bytes){line.pack.data, line.pack.size},
                                 letter, error)
                     : to_file(dead->file, (mr_bytes){line.pack.data, line.pack.size}, error);
        mr_pack_fini(&line.pack);
    }
    pthread_mutex_unlock(&dead->lock);
    if (!status) {
        atomic_fetch_add(&bridge->dead_count, 1);
        mr_bridge_say(bridge, "event=dead-letter origin=\"%s\" reason=\"%s\"", letter->origin,
                      letter->reason);
    }
    return status;
}
