/* settings.c - what can be set of a stream, each by an action of its own, and of the account. */
#include "base/pack.h"
#include "base/scan.h"
#include "service/inside.h"

#include <inttypes.h>
#include <string.h>

#define RETENTION_HOURS_MIN 24
#define RETENTION_HOURS_MAX 8760
#define WARM_MIBPS_MAX 10240

/* Begins a change of a stream that must be ACTIVE: holds `changing` until end(), whatever it
 * returns. */
static bool begin(struct mr_local *local, struct mr_call *call, mr_bytes name, mr_bytes arn,
                  struct mr_local_stream *stream)
{
    struct mr_named named;

    pthread_mutex_lock(&local->changing);
    return mr_name_stream(local, call, name, arn, &named) &&
           mr_local_look(local, call, &named, true, stream);
}

static void end(struct mr_local *local)
{
    pthread_mutex_unlock(&local->changing);
}

/* The change is made, and shows as UPDATING for a while. */
static bool update(struct mr_local *local, struct mr_call *call, struct mr_local_stream *stream)
{
    stream->phase = mr_phase_begin(local, STATUS_UPDATING);
    return mr_local_store(local, call, stream);
}

/* ---- retention ---------------------------------------------------------------------------- */

static bool check_hours(struct mr_call *call, const char *stream, int64_t hours, int64_t current,
                        bool increases)
{
    if (hours < RETENTION_HOURS_MIN)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Minimum allowed retention period is %d hours. Requested retention period "
                         "(%" PRId64 " hours) is too short.",
                         RETENTION_HOURS_MIN, hours);
    if (hours > RETENTION_HOURS_MAX)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Maximum allowed retention period is %d hours. Requested retention period "
                         "(%" PRId64 " hours) is too long.",
                         RETENTION_HOURS_MAX, hours);
    if (increases && hours < current)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Requested retention period (%" PRId64
                         " hours) for stream %s can not be shorter than existing retention period "
                         "(%" PRId64 " hours). Use DecreaseRetentionPeriod API.",
                         hours, stream, current);
    if (!increases && hours > current)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Requested retention period (%" PRId64
                         " hours) for stream %s can not be longer than existing retention period "
                         "(%" PRId64 " hours). Use IncreaseRetentionPeriod API.",
                         hours, stream, current);
    return true;
}

static void retain(struct mr_local *local, struct mr_call *call, mr_bytes name, mr_bytes arn,
                   int64_t hours, bool increases)
{
    struct mr_local_stream stream;
    struct mr_stream_info info;
    mr_error error;
    mr_status status;

    if (begin(local, call, name, arn, &stream)) {
        status = mr_stream_describe(local->engine, stream.name, &info, &error);
        if (!status && check_hours(call, stream.name, hours, info.retention_hours, increases)) {
            status = mr_stream_retain(local->engine, stream.name, (uint32_t)hours, &error);
            if (!status)
                update(local, call, &stream);
        }
        if (status)
            mr_refuse_status(local, call, stream.name, status, &error);
    }
    end(local);
}

void mr_do_increase_stream_retention_period(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_increase_stream_retention_period_request *request = call->request;

    retain(local, call, request->stream_name, request->stream_arn,
           request->retention_period_hours.value, true);
}

void mr_do_decrease_stream_retention_period(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_decrease_stream_retention_period_request *request = call->request;

    retain(local, call, request->stream_name, request->stream_arn,
           request->retention_period_hours.value, false);
}

/* ---- mode --------------------------------------------------------------------------------- */

static bool check_mode(struct mr_local *local, struct mr_call *call,
                       const struct mr_local_stream *stream, bool is_on_demand, bool has_warm)
{
    if (has_warm && (!is_on_demand || !mr_local_is_committed(local)))
        return mr_refuse(call, MR_EXCEPTION_VALIDATION,
                         "WarmThroughputMiBps needs On-Demand mode and the account's "
                         "MinimumThroughputBillingCommitment.");
    return !local->config.limit_calls ||
           mr_moments_count(stream->modes_ms, MODE_COUNT_MAX, mr_local_now_ms(local)) <
               MODE_COUNT_MAX ||
           mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                     "Rate exceeded for stream %s under account %s. You cannot update the capacity "
                     "mode of your data stream more than twice within 24 hours.",
                     stream->name, local->account);
}

void mr_do_update_stream_mode(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_update_stream_mode_request *request = call->request;
    bool is_on_demand = mr_text_is(request->stream_mode_details->stream_mode, "ON_DEMAND");
    struct mr_local_stream stream;

    if (begin(local, call, (mr_bytes){0}, request->stream_arn, &stream) &&
        stream.is_on_demand != is_on_demand &&
        check_mode(local, call, &stream, is_on_demand, request->warm_throughput_mibps.is_set)) {
        stream.is_on_demand = is_on_demand;
        stream.is_auto &= is_on_demand;
        stream.warm_mibps = (uint32_t)request->warm_throughput_mibps.value;
        mr_moments_add(stream.modes_ms, MODE_COUNT_MAX, mr_local_now_ms(local));
        update(local, call, &stream);
    }
    end(local);
}

/* ---- sizes and places --------------------------------------------------------------------- */

void mr_do_update_max_record_size(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_update_max_record_size_request *request = call->request;
    struct mr_local_stream stream;

    if (begin(local, call, (mr_bytes){0}, request->stream_arn, &stream)) {
        stream.max_record_kib = (uint32_t)request->max_record_size_in_kib.value;
        update(local, call, &stream);
    }
    end(local);
}

void mr_do_update_stream_record_distribution_strategy(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_update_stream_record_distribution_strategy_request *request = call->request;
    bool is_auto = mr_text_is(request->record_distribution_strategy, "AUTO");
    struct mr_local_stream stream;

    if (begin(local, call, (mr_bytes){0}, request->stream_arn, &stream)) {
        if (!stream.is_on_demand) {
            mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                      "RecordDistributionStrategy can be set of streams in On-Demand mode only: "
                      "stream %s under account %s is not.",
                      stream.name, local->account);
        } else {
            stream.is_auto = is_auto;
            mr_local_store(local, call, &stream);
        }
    }
    end(local);
}

static void warm(struct mr_local *local, struct mr_call *call, struct mr_local_stream *stream)
{
    const struct mr_api_update_stream_warm_throughput_request *request = call->request;
    struct mr_api_update_stream_warm_throughput_response *response = call->response;
    uint32_t target = (uint32_t)request->warm_throughput_mibps.value;
    struct mr_stream_info info;
    char arn[ARN_BYTES];
    mr_error error;
    mr_status status = mr_stream_describe(local->engine, stream->name, &info, &error);

    if (!status && target > info.open_shard_count)
        status = mr_stream_scale(local->engine, stream->name, target, &error);
    if (status) {
        mr_refuse_status(local, call, stream->name, status, &error);
        return;
    }
    stream->warm_mibps = target;
    if (!update(local, call, stream))
        return;
    mr_stream_arn(local, call, stream->name, arn);
    response->stream_arn = mr_text_copy(call, arn);
    response->stream_name = mr_text_copy(call, stream->name);
    response->warm_throughput = mr_arena_new(call->arena, struct mr_api_warm_throughput_object);
    response->warm_throughput->target_mibps = MR_NUMBER(target);
    response->warm_throughput->current_mibps = MR_NUMBER(info.open_shard_count);
}

void mr_do_update_stream_warm_throughput(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_update_stream_warm_throughput_request *request = call->request;
    struct mr_local_stream stream;

    if (begin(local, call, request->stream_name, request->stream_arn, &stream)) {
        if (!stream.is_on_demand || !mr_local_is_committed(local))
            mr_refuse(call, MR_EXCEPTION_VALIDATION,
                      "WarmThroughputMiBps needs a stream in On-Demand mode and the account's "
                      "MinimumThroughputBillingCommitment.");
        else if (request->warm_throughput_mibps.value > WARM_MIBPS_MAX)
            mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED, "WarmThroughputMiBps can be at most %d.",
                      WARM_MIBPS_MAX);
        else
            warm(local, call, &stream);
    }
    end(local);
}

/* ---- encryption --------------------------------------------------------------------------- */

static bool check_kms(struct mr_local *local, struct mr_call *call, mr_bytes type,
                      const char *stream, const int64_t *moments_ms)
{
    if (!mr_text_is(type, "KMS"))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "EncryptionType must be KMS, not %.*s.", TEXT(type));
    return !local->config.limit_calls ||
           mr_moments_count(moments_ms, KMS_COUNT_MAX, mr_local_now_ms(local)) < KMS_COUNT_MAX ||
           mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                     "Rate exceeded for stream %s under account %s.", stream, local->account);
}

/* The engine encrypts before we say so, and after: wherever a crash comes, what is said is true. */
static bool encrypt(struct mr_local *local, struct mr_call *call, const char *stream, bool is_on)
{
    mr_error error;
    mr_status status = mr_stream_encrypt(local->engine, stream, is_on, &error);

    return !status || mr_refuse_status(local, call, stream, status, &error);
}

void mr_do_start_stream_encryption(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_start_stream_encryption_request *request = call->request;
    struct mr_local_stream stream;

    if (begin(local, call, request->stream_name, request->stream_arn, &stream) &&
        check_kms(local, call, request->encryption_type, stream.name, stream.starts_ms) &&
        encrypt(local, call, stream.name, true)) {
        stream.is_encrypted = true;
        stream.key_id =
            (char *)(uintptr_t)mr_arena_print(call->arena, "%.*s", TEXT(request->key_id)).data;
        mr_moments_add(stream.starts_ms, KMS_COUNT_MAX, mr_local_now_ms(local));
        update(local, call, &stream);
    }
    end(local);
}

void mr_do_stop_stream_encryption(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_stop_stream_encryption_request *request = call->request;
    struct mr_local_stream stream;

    if (begin(local, call, request->stream_name, request->stream_arn, &stream) &&
        check_kms(local, call, request->encryption_type, stream.name, stream.stops_ms)) {
        stream.is_encrypted = false;
        stream.key_id = NULL;
        mr_moments_add(stream.stops_ms, KMS_COUNT_MAX, mr_local_now_ms(local));
        if (update(local, call, &stream))
            encrypt(local, call, stream.name, false);
    }
    end(local);
}

/* ---- monitoring --------------------------------------------------------------------------- */

static uint8_t metrics_named(const mr_bytes *names, size_t count)
{
    uint8_t bits = 0;

    for (size_t i = 0; i < count; i++) {
        if (mr_text_is(names[i], "ALL"))
            return 0x7f;
        for (int k = 0; k < 7; k++)
            if (mr_text_is(names[i], mr_metric_names[k]))
                bits |= (uint8_t)(1 << k);
    }
    return bits;
}

static mr_bytes *metric_list(struct mr_call *call, uint8_t bits, size_t *count)
{
    mr_bytes *names = mr_arena_array(call->arena, mr_bytes, 7);

    *count = 0;
    for (int k = 0; k < 7; k++)
        if (bits & 1 << k)
            names[(*count)++] = mr_text(mr_metric_names[k]);
    return names;
}

/* Both requests and both responses have the same members, but are types of their own. */
#define MONITOR(local, call, action, stream, after)                                                \
    do {                                                                                           \
        struct mr_api_##action##_response *response_ = (call)->response;                           \
        char arn_[ARN_BYTES];                                                                      \
                                                                                                   \
        response_->current_shard_level_metrics =                                                   \
            metric_list((call), (stream)->metrics, &response_->current_shard_level_metrics_count); \
        (stream)->metrics = (after);                                                               \
        response_->desired_shard_level_metrics =                                                   \
            metric_list((call), (stream)->metrics, &response_->desired_shard_level_metrics_count); \
        mr_stream_arn((local), (call), (stream)->name, arn_);                                      \
        response_->stream_arn = mr_text_copy((call), arn_);                                        \
        response_->stream_name = mr_text_copy((call), (stream)->name);                             \
        update((local), (call), (stream));                                                         \
    } while (0)

void mr_do_enable_enhanced_monitoring(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_enable_enhanced_monitoring_request *request = call->request;
    uint8_t bits = metrics_named(request->shard_level_metrics, request->shard_level_metrics_count);
    struct mr_local_stream stream;

    if (begin(local, call, request->stream_name, request->stream_arn, &stream))
        MONITOR(local, call, enable_enhanced_monitoring, &stream, stream.metrics | bits);
    end(local);
}

void mr_do_disable_enhanced_monitoring(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_disable_enhanced_monitoring_request *request = call->request;
    uint8_t bits = metrics_named(request->shard_level_metrics, request->shard_level_metrics_count);
    struct mr_local_stream stream;

    if (begin(local, call, request->stream_name, request->stream_arn, &stream))
        MONITOR(local, call, disable_enhanced_monitoring, &stream,
                (uint8_t)(stream.metrics & ~bits));
    end(local);
}

/* ---- the account -------------------------------------------------------------------------- */

/* Hold `lock`, or `changing`. */
static struct mr_api_minimum_throughput_billing_commitment_output *commitment_answer(
    struct mr_local *local, struct mr_call *call)
{
    struct mr_api_minimum_throughput_billing_commitment_output *answer =
        mr_arena_new(call->arena, struct mr_api_minimum_throughput_billing_commitment_output);
    const struct mr_commitment *commitment = &local->commitment;
    int64_t now_ms = mr_local_now_ms(local), earliest_ms = commitment->started_ms + DAY_MS;
    bool is_over = commitment->ended_ms && now_ms >= commitment->ended_ms;

    answer->status = mr_text(!commitment->is_enabled || is_over ? "DISABLED"
                             : commitment->ended_ms ? "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
                                                    : "ENABLED");
    if (commitment->started_ms) {
        answer->started_at = MR_NUMBER(commitment->started_ms);
        answer->earliest_allowed_end_at = MR_NUMBER(earliest_ms);
    }
    if (commitment->ended_ms && is_over)
        answer->ended_at = MR_NUMBER(commitment->ended_ms);
    return answer;
}

#define ACCOUNT_PROPERTY PROPERTY_PREFIX ".account"

static bool store_commitment(struct mr_local *local, struct mr_call *call,
                             const struct mr_commitment *commitment)
{
    struct mr_pack pack = MR_PACK(100);
    mr_error error;
    mr_status status;

    mr_pack_u8(&pack, commitment->is_enabled);
    mr_pack_u64(&pack, (uint64_t)commitment->started_ms);
    mr_pack_u64(&pack, (uint64_t)commitment->ended_ms);
    status = mr_property_set(local->engine, NULL, ACCOUNT_PROPERTY,
                             (mr_bytes){pack.data, pack.size}, MR_ANY_VERSION, NULL, &error);
    mr_pack_fini(&pack);
    if (status)
        return mr_refuse_status(local, call, "", status, &error);
    pthread_rwlock_wrlock(&local->lock);
    local->commitment = *commitment;
    pthread_rwlock_unlock(&local->lock);
    return true;
}

static bool take_commitment(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct mr_local *local = context;
    struct mr_scan scan = mr_scan_of(value);
    (void)name;
    (void)version;

    local->commitment.is_enabled = mr_scan_u8(&scan);
    local->commitment.started_ms = (int64_t)mr_scan_u64(&scan);
    local->commitment.ended_ms = (int64_t)mr_scan_u64(&scan);
    return false;
}

mr_status mr_local_load_account(struct mr_local *local, mr_error *error)
{
    return mr_property_each(local->engine, NULL, ACCOUNT_PROPERTY, take_commitment, local, error);
}

bool mr_local_is_committed(struct mr_local *local)
{
    int64_t now_ms = mr_local_now_ms(local);
    bool is_committed;

    pthread_rwlock_rdlock(&local->lock);
    is_committed = local->commitment.is_enabled &&
                   (!local->commitment.ended_ms || now_ms < local->commitment.ended_ms);
    pthread_rwlock_unlock(&local->lock);
    return is_committed;
}

void mr_do_describe_account_settings(struct mr_local *local, struct mr_call *call)
{
    struct mr_api_describe_account_settings_response *response = call->response;

    pthread_rwlock_rdlock(&local->lock);
    response->minimum_throughput_billing_commitment = commitment_answer(local, call);
    pthread_rwlock_unlock(&local->lock);
}

void mr_do_update_account_settings(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_update_account_settings_request *request = call->request;
    struct mr_api_update_account_settings_response *response = call->response;
    bool enables = mr_text_is(request->minimum_throughput_billing_commitment->status, "ENABLED");
    int64_t now_ms = mr_local_now_ms(local);
    struct mr_commitment commitment;

    pthread_mutex_lock(&local->changing);
    commitment = local->commitment;
    if (commitment.ended_ms && now_ms >= commitment.ended_ms)
        commitment.is_enabled = false;
    if (enables && !commitment.is_enabled) {
        commitment = (struct mr_commitment){true, now_ms, 0};
    } else if (enables) {
        commitment.ended_ms = 0;
    } else if (commitment.is_enabled && !commitment.ended_ms) {
        commitment.ended_ms = commitment.started_ms + DAY_MS;
        if (commitment.ended_ms < now_ms)
            commitment.ended_ms = now_ms;
    }
    if (store_commitment(local, call, &commitment))
        response->minimum_throughput_billing_commitment = commitment_answer(local, call);
    pthread_mutex_unlock(&local->changing);
}
