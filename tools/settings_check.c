/* settings_check.c - what serve cannot do, said before it tries. */
#include "millrace.h"
#include "os/warp.h"
#include "server/fault.h"
#include "settings.h"
#include "starting.h"

#include <string.h>

static mr_status check_range(const struct mr_settings *settings, const char *name, uint64_t value,
                             uint64_t least, uint64_t most, mr_error *error)
{
    if (value >= least && value <= most)
        return MR_OK;
    return mr_settings_fail(settings, name, error, "%s is %llu to %llu", name,
                            (unsigned long long)least, (unsigned long long)most);
}

static mr_status check_tls(const struct mr_settings *settings, mr_error *error)
{
    const struct mr_serve_options *options = &settings->options;
    const char *given = options->tls_cert ? "tls-cert" : "tls-key";

    if (!options->tls_cert && !options->tls_key)
        return MR_OK;
    if (options->tls == MR_TLS_SELF_SIGNED)
        return mr_settings_fail(settings, given, error,
                                "%s contradicts tls = self-signed: use one of them", given);
    if (!options->tls_cert || !options->tls_key)
        return mr_settings_fail(settings, given, error, "%s alone is not enough: give %s, too",
                                given, options->tls_cert ? "tls-key" : "tls-cert");
    return MR_OK;
}

static mr_status check_faults(const struct mr_settings *settings, mr_error *error)
{
    const struct mr_texts *rules = &settings->options.fault;

    for (size_t i = 0; i < rules->count; i++) {
        struct mr_fault_rule rule;
        mr_error inner;

        if (mr_fault_rule_read((mr_bytes){rules->values[i], strlen(rules->values[i])}, &rule,
                               &inner))
            return mr_settings_fail(settings, "fault", error, "fault: %.160s", inner.message);
    }
    return MR_OK;
}

static mr_status check_texts(const struct mr_settings *settings, mr_error *error)
{
    const struct mr_serve_options *options = &settings->options;
    mr_error inner;

    if (strspn(options->account_id, "0123456789") != 12 || strlen(options->account_id) != 12)
        return mr_settings_fail(settings, "account-id", error, "account-id has 12 digits");
    if (options->region && strlen(options->region) > 32)
        return mr_settings_fail(settings, "region", error, "region has at most 32 characters");
    if (options->streams && mr_start_streams_read(options->streams, NULL, NULL, &inner))
        return mr_settings_fail(settings, "streams", error, "streams: %.160s", inner.message);
    return MR_OK;
}

mr_status mr_settings_check(const struct mr_settings *settings, mr_error *error)
{
    const struct mr_serve_options *options = &settings->options;
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    mr_status status = check_range(settings, "port", options->port, 0, UINT16_MAX, error);

    if (!status)
        status = check_range(settings, "state-delay", options->state_delay, 0, 3600000, error);
    if (!status)
        status = check_range(settings, "shard-limit", options->shard_limit, 1,
                             config.shard_count_max, error);
    if (!status)
        status = check_range(settings, "loops", options->loops, 0, 64, error);
    if (!status)
        status =
            check_range(settings, "clock-rate", options->clock_rate, 1, MR_WARP_RATE_MAX, error);
    if (!status)
        status = check_tls(settings, error);
    if (!status)
        status = check_faults(settings, error);
    return status ? status : check_texts(settings, error);
}
