/* bridge.c - what both directions have in common: beginning, stopping, looking. */
#include "kafka/inside.h"

#include "output.h"
#include "streams.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 600

/* ---- talk --------------------------------------------------------------------------------- */

void mr_bridge_say(const struct mr_bridge *bridge, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mr_say("bridge=%s %s", bridge->config->name, text);
}

void mr_bridge_fail(struct mr_bridge *bridge, mr_status status, const char *format, ...)
{
    char text[sizeof bridge->error.message];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&bridge->error_lock);
    if (!bridge->error.status)
        mr_fail(&bridge->error, status, "%s", text);
    pthread_mutex_unlock(&bridge->error_lock);
    mr_bridge_stop(bridge);
}

/* ---- stopping ----------------------------------------------------------------------------- */

void mr_bridge_pause(struct mr_bridge *bridge, uint32_t ms)
{
    uint32_t seen = atomic_load(&bridge->word);

    if (!mr_bridge_is_stopping(bridge))
        mr_word_wait(&bridge->word, seen, ms);
}

void mr_bridge_stop(struct mr_bridge *bridge)
{
    atomic_store(&bridge->is_stopping, true);
    atomic_fetch_add(&bridge->word, 1);
    mr_word_wake(&bridge->word, true);
}

/* ---- topics ------------------------------------------------------------------------------- */

static mr_status find_topic(struct mr_bridge *bridge, mr_error *error)
{
    const struct mr_bridge_config *config = bridge->config;
    int32_t count;
    mr_status status = mr_kafka_count(bridge, config->topic, &count, error);

    if (!status && count == 0)
        status = config->create_count > 0 && config->is_outward
                     ? mr_kafka_create(bridge, config->topic, config->create_count, false, error)
                     : mr_fail(error, MR_NOT_FOUND,
                               "Kafka at %.60s has no topic %.100s: create it%s", config->brokers,
                               config->topic, config->is_outward ? ", or use --create N" : "");
    if (!status && config->is_outward) {
        status = mr_kafka_count(bridge, config->state_topic, &count, error);
        if (!status && count == 0)
            status = mr_kafka_create(bridge, config->state_topic, 1, true, error);
    }
    return status;
}

/* ---- bridge ------------------------------------------------------------------------------- */

mr_status mr_bridge_open(struct mr_bridge **out, const struct mr_bridge_config *config,
                         mr_error *error)
{
    struct mr_bridge *bridge = mr_new(struct mr_bridge);
    struct mr_stream_info info;
    mr_status status;

    bridge->config = config;
    pthread_mutex_init(&bridge->error_lock, NULL);
    pthread_mutex_init(&bridge->lock, NULL);
    status = mr_streams_describe(config->place, config->stream, &info, error);
    if (status == MR_NOT_FOUND && !config->is_outward && config->create_count > 0) {
        status = mr_streams_create(config->place, config->stream, config->create_count, 24, error);
        if (!status)
            status = mr_streams_describe(config->place, config->stream, &info, error);
    }
    if (!status) {
        snprintf(bridge->created, sizeof bridge->created, "%lld",
                 (long long)info.created_ms / 1000);
        status = mr_kafka_open_look(bridge, error);
    }
    if (status) {
        mr_bridge_close(bridge);
        return status;
    }
    *out = bridge;
    return MR_OK;
}

mr_status mr_bridge_run(struct mr_bridge *bridge, mr_error *error)
{
    mr_status status = find_topic(bridge, error);

    if (!status)
        status = mr_dead_open(bridge, error);
    if (!status)
        status = bridge->config->is_outward ? mr_outward_run(bridge, error)
                                            : mr_inward_run(bridge, error);
    if (status == MR_CLOSED && mr_bridge_is_stopping(bridge))
        status = MR_OK;
    pthread_mutex_lock(&bridge->error_lock);
    if (bridge->error.status)
        status = mr_fail(error, bridge->error.status, "%s", bridge->error.message);
    pthread_mutex_unlock(&bridge->error_lock);
    return status;
}

void mr_bridge_close(struct mr_bridge *bridge)
{
    if (!bridge)
        return;
    mr_dead_close(bridge->dead);
    if (bridge->look)
        rd_kafka_destroy(bridge->look);
    pthread_mutex_destroy(&bridge->lock);
    pthread_mutex_destroy(&bridge->error_lock);
    mr_free(bridge);
}

void mr_bridge_look(struct mr_bridge *bridge, struct mr_bridge_figures *figures)
{
    figures->record_count = atomic_load(&bridge->record_count);
    figures->record_bytes = atomic_load(&bridge->record_bytes);
    figures->transaction_count = atomic_load(&bridge->transaction_count);
    figures->retry_count = atomic_load(&bridge->retry_count);
    figures->dead_count = atomic_load(&bridge->dead_count);
    figures->behind_ms = 0;
    figures->behind_count = bridge->config->is_outward ? -1 : 0;
    figures->lane_count = 0;
    pthread_mutex_lock(&bridge->lock);
    if (bridge->consumer)
        mr_outward_look(bridge, figures);
    if (bridge->inward)
        mr_inward_look(bridge, figures);
    pthread_mutex_unlock(&bridge->lock);
}
