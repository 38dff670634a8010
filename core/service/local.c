/* local.c - the service over an engine in this process: opening, closing, and who runs a call. */
#include "base/fail.h"
#include "base/memory.h"
#include "os/entropy.h"
#include "service/inside.h"

#include <stdio.h>
#include <string.h>

#define KEY_PROPERTY PROPERTY_PREFIX ".key"

/* ---- calls -------------------------------------------------------------------------------- */

typedef void action_function(struct mr_local *local, struct mr_call *call);

static action_function *const functions[MR_ACTION_COUNT] = {
#define ACTION(NAME, name, Name, answer, rate, per) [MR_ACTION_##NAME] = mr_do_##name,
#include "service/actions.def"
#undef ACTION
};

static struct mr_local *local_of(struct mr_service *service)
{
    return (struct mr_local *)(void *)service;
}

static void make_response(struct mr_call *call)
{
    enum mr_shape_id shape = mr_actions[call->action].response;

    if (shape != MR_SHAPE_NONE)
        call->response = mr_arena_take_zero(call->arena, mr_shapes[shape].bytes);
}

static void run(struct mr_job *job)
{
    struct mr_call *call = (struct mr_call *)(void *)((char *)job - offsetof(struct mr_call, job));

    functions[call->action](call->work, call);
    call->done(call);
}

/* The control plane's calls a second, of the account. */
static bool is_too_often(struct mr_local *local, struct mr_call *call)
{
    const struct mr_action_info *action = &mr_actions[call->action];

    return local->config.limit_calls && action->rate_per_s && !action->is_rate_per_stream &&
           !mr_bucket_take(&local->calls[call->action], local->clock->monotonic_ns(local->clock),
                           action->rate_per_s, 1);
}

/* The name of the stream that a request has, for a text. */
static mr_bytes name_in(const struct mr_call *call)
{
    const struct mr_shape *shape = &mr_shapes[mr_actions[call->action].request];

    for (size_t i = 0; i < shape->member_count; i++)
        if (strcmp(shape->members[i].name, "StreamName") == 0)
            return *(const mr_bytes *)mr_member_at(call->request, i);
    return (mr_bytes){0};
}

static void refuse_rate(struct mr_local *local, struct mr_call *call)
{
    mr_bytes name = name_in(call);

    if (name.data)
        mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                  "Rate exceeded for stream %.*s under account %s.", TEXT(name), local->account);
    else
        mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED, "Rate exceeded for account %s.",
                  local->account);
}

static void take_call(struct mr_service *service, struct mr_call *call)
{
    struct mr_local *local = local_of(service);

    call->refusal = (struct mr_refusal){0};
    call->response = NULL;
    call->subscription = NULL;
    call->work = local;
    if (!mr_request_check(call->action, call->request, call->arena, &call->refusal)) {
        call->done(call);
        return;
    }
    if (call->caller && !mr_local_admit(local, call)) {
        call->done(call);
        return;
    }
    if (is_too_often(local, call)) {
        refuse_rate(local, call);
        call->done(call);
        return;
    }
    make_response(call);
    if (call->action == MR_ACTION_PUT_RECORD || call->action == MR_ACTION_PUT_RECORDS) {
        functions[call->action](local, call); /* calls done() when the records are durable */
        return;
    }
    call->job.run = run;
    mr_workers_add(local->workers, &call->job);
}

static bool take_batch(struct mr_service *service, struct mr_call *call)
{
    call->refusal = (struct mr_refusal){0};
    call->response = NULL;
    call->subscription = NULL;
    call->action = MR_ACTION_PUT_RECORDS;
    return mr_do_put_batch(local_of(service), call);
}

/* ---- sweeping ----------------------------------------------------------------------------- */

static void sweep(struct mr_job *job)
{
    struct mr_local *local =
        (struct mr_local *)(void *)((char *)job - offsetof(struct mr_local, sweep));

    atomic_store(&local->is_sweeping, false);
    pthread_mutex_lock(&local->changing);
    mr_local_sweep(local);
    pthread_mutex_unlock(&local->changing);
}

void mr_local_sweep_soon(struct mr_local *local)
{
    if (!atomic_load(&local->is_closing) && !atomic_exchange(&local->is_sweeping, true))
        mr_workers_add(local->workers, &local->sweep);
}

static void ring_sweeper(struct mr_alarm *alarm)
{
    mr_local_sweep_soon(
        (struct mr_local *)(void *)((char *)alarm - offsetof(struct mr_local, sweeper)));
}

/* ---- figures and time --------------------------------------------------------------------- */

static bool has_shard(void *context, const char *stream, mr_shard_id shard)
{
    struct mr_local *local = context;
    struct mr_shard_view view;

    return mr_shard_look(local->engine, stream, shard, &view, NULL) == MR_OK;
}

const struct mr_figures *mr_service_local_figures(struct mr_service *service,
                                                  struct mr_arena *arena)
{
    struct mr_local *local = local_of(service);

    return mr_meter_read(&local->meter, arena, has_shard, local);
}

void mr_local_alarm(struct mr_local *local, struct mr_alarm *alarm, uint32_t after_ms)
{
    uint32_t rate = local->clock->rate ? local->clock->rate : 1;

    mr_alarm_set(local->alarms, alarm, after_ms / rate + (after_ms % rate != 0));
}

void mr_service_local_hurry(struct mr_service *service)
{
    struct mr_local *local = local_of(service);

    mr_alarms_hurry(local->alarms);
    mr_local_sweep_soon(local);
}

/* ---- open and close ----------------------------------------------------------------------- */

static bool take_key(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct mr_local *local = context;
    (void)name;
    (void)version;

    if (value.size == sizeof local->token_key)
        memcpy(local->token_key, value.data, value.size);
    return value.size != sizeof local->token_key;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    while (size > 0 && bytes[size - 1] == 0)
        size--;
    return size == 0;
}

/* The key of the tokens: found, or made. */
static mr_status open_key(struct mr_local *local, mr_error *error)
{
    mr_status status = mr_property_each(local->engine, NULL, KEY_PROPERTY, take_key, local, error);

    if (status || !is_zero(local->token_key, sizeof local->token_key))
        return status;
    mr_entropy(local->token_key, sizeof local->token_key);
    return mr_property_set(local->engine, NULL, KEY_PROPERTY,
                           (mr_bytes){local->token_key, sizeof local->token_key}, MR_ANY_VERSION,
                           NULL, error);
}

static void free_local(struct mr_local *local)
{
    struct mr_local_stream *stream;
    size_t place = 0;

    while ((stream = mr_table_next(&local->by_name, &place)))
        mr_local_free(stream);
    mr_table_fini(&local->by_name);
    pthread_mutex_destroy(&local->changing);
    pthread_mutex_destroy(&local->subscriptions.lock);
    pthread_mutex_destroy(&local->parked.lock);
    pthread_rwlock_destroy(&local->lock);
    mr_meter_fini(&local->meter);
    mr_free(local);
}

static void close_local(struct mr_service *service)
{
    struct mr_local *local = local_of(service);

    atomic_store(&local->is_closing, true);
    /* First no more jobs by themselves; then those queued, which may set alarms again. */
    mr_alarm_stop(local->alarms, &local->grower);
    mr_alarm_stop(local->alarms, &local->sweeper);
    mr_workers_free(local->workers);
    mr_alarm_stop(local->alarms, &local->grower);
    mr_alarm_stop(local->alarms, &local->sweeper);
    mr_alarms_free(local->alarms);
    free_local(local);
}

static mr_status check_config(const struct mr_service_config *config, mr_error *error)
{
    if (strspn(config->account_id, "0123456789") != 12 || strlen(config->account_id) != 12)
        return mr_fail(error, MR_INVALID, "an account id has 12 digits: %.40s is none",
                       config->account_id);
    if (strlen(config->region) == 0 || strlen(config->region) > 32)
        return mr_fail(error, MR_INVALID, "a region has 1 to 32 characters");
    if (config->thread_count == 0)
        return mr_fail(error, MR_INVALID, "a service needs at least one thread");
    return MR_OK;
}

mr_status mr_service_local_open(struct mr_service **service, mr_engine *engine,
                                const struct mr_service_config *config, mr_error *error)
{
    struct mr_local *local;
    mr_status status = check_config(config, error);

    if (status)
        return status;
    local = mr_new(struct mr_local);
    local->service = (struct mr_service){take_call, take_batch, close_local, engine};
    local->engine = engine;
    local->clock = config->clock ? config->clock : mr_clock_real();
    local->config = *config;
    snprintf(local->account, sizeof local->account, "%s", config->account_id);
    snprintf(local->region, sizeof local->region, "%s", config->region);
    pthread_mutex_init(&local->changing, NULL);
    pthread_mutex_init(&local->subscriptions.lock, NULL);
    pthread_mutex_init(&local->parked.lock, NULL);
    pthread_rwlock_init(&local->lock, NULL);
    mr_meter_init(&local->meter);
    local->sweeper.ring = ring_sweeper;
    local->sweep.run = sweep;
    status = open_key(local, error);
    if (!status)
        status = mr_local_load(local, error);
    if (!status)
        status = mr_local_load_account(local, error);
    if (status) {
        free_local(local);
        return status;
    }
    local->alarms = mr_alarms_new();
    local->workers = mr_workers_new("mr-service", config->thread_count);
    mr_local_sweep_soon(local);
    mr_local_growth_start(local);
    *service = &local->service;
    return MR_OK;
}

mr_status mr_service_open(mr_service **service, mr_engine *engine, mr_error *error)
{
    struct mr_service_config config = MR_SERVICE_CONFIG_DEFAULT;

    config.state_delay_ms = 0;
    config.limit_calls = false;
    config.limit_fan_out = false;
    return mr_service_local_open(service, engine, &config, error);
}

void mr_service_close(mr_service *service)
{
    if (service)
        service->close(service);
}
