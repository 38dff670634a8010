/* state.c - what the service knows of streams: kept as properties of the engine's, and in memory. */
#include "base/fail.h"
#include "base/memory.h"
#include "base/pack.h"
#include "base/scan.h"
#include "service/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FORMAT_VERSION 1
#define STATE_PROPERTY PROPERTY_PREFIX ".state"
#define CONSUMER_PROPERTY PROPERTY_PREFIX ".consumer."
#define PROPERTY_NAME_BYTES 200
#define KEY_ID_BYTES_MAX 8192
#define KEY_ID_DEFAULT "alias/aws/kinesis"

const char *const mr_metric_names[7] = {"IncomingBytes",
                                        "IncomingRecords",
                                        "OutgoingBytes",
                                        "OutgoingRecords",
                                        "WriteProvisionedThroughputExceeded",
                                        "ReadProvisionedThroughputExceeded",
                                        "IteratorAgeMilliseconds"};

const char *mr_status_kind_name(enum mr_status_kind kind)
{
    static const char *const names[] = {"ACTIVE", "CREATING", "UPDATING", "DELETING"};

    return names[kind];
}

int64_t mr_local_now_ms(const struct mr_local *local)
{
    return local->clock->wall_ms(local->clock);
}

/* ---- phases ------------------------------------------------------------------------------- */

enum mr_status_kind mr_phase_at(const struct mr_phase *phase, int64_t now_ms)
{
    if (phase->kind != STATUS_DELETING && now_ms >= phase->until_ms)
        return STATUS_ACTIVE;
    return phase->kind;
}

bool mr_phase_is_gone(const struct mr_phase *phase, int64_t now_ms)
{
    return phase->kind == STATUS_DELETING && now_ms >= phase->until_ms;
}

struct mr_phase mr_phase_begin(const struct mr_local *local, enum mr_status_kind kind)
{
    return (struct mr_phase){kind, mr_local_now_ms(local) + local->config.state_delay_ms};
}

/* ---- moments ------------------------------------------------------------------------------ */

size_t mr_moments_count(const int64_t *moments_ms, size_t count, int64_t now_ms)
{
    size_t recent = 0;

    for (size_t i = 0; i < count; i++)
        recent += moments_ms[i] != 0 && moments_ms[i] > now_ms - DAY_MS;
    return recent;
}

void mr_moments_add(int64_t *moments_ms, size_t count, int64_t now_ms)
{
    memmove(moments_ms, moments_ms + 1, (count - 1) * sizeof *moments_ms);
    moments_ms[count - 1] = now_ms;
}

/* ---- as bytes ----------------------------------------------------------------------------- */

static void pack_phase(struct mr_pack *pack, const struct mr_phase *phase)
{
    mr_pack_u8(pack, (uint8_t)phase->kind);
    mr_pack_u64(pack, (uint64_t)phase->until_ms);
}

static struct mr_phase scan_phase(struct mr_scan *scan)
{
    uint8_t kind = mr_scan_u8(scan);
    int64_t until_ms = (int64_t)mr_scan_u64(scan);

    scan->failed |= kind > STATUS_DELETING;
    return (struct mr_phase){kind <= STATUS_DELETING ? kind : STATUS_ACTIVE, until_ms};
}

static void pack_moments(struct mr_pack *pack, const int64_t *moments_ms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mr_pack_varint(pack, (uint64_t)moments_ms[i]);
}

static void scan_moments(struct mr_scan *scan, int64_t *moments_ms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        moments_ms[i] = (int64_t)mr_scan_varint(scan);
}

static void pack_reshard(struct mr_pack *pack, const struct mr_reshard *reshard)
{
    mr_pack_u8(pack, (uint8_t)reshard->kind);
    mr_pack_varint(pack, reshard->shard);
    mr_pack_varint(pack, reshard->adjacent);
    mr_pack_u64(pack, reshard->at.hi);
    mr_pack_u64(pack, reshard->at.lo);
    mr_pack_varint(pack, reshard->shard_count);
    mr_pack_u64(pack, (uint64_t)reshard->due_ms);
}

static void scan_reshard(struct mr_scan *scan, struct mr_reshard *reshard)
{
    uint8_t kind = mr_scan_u8(scan);

    scan->failed |= kind < RESHARD_SPLIT || kind > RESHARD_SCALE;
    reshard->kind = (enum mr_reshard_kind)kind;
    reshard->shard = (mr_shard_id)mr_scan_varint(scan);
    reshard->adjacent = (mr_shard_id)mr_scan_varint(scan);
    reshard->at.hi = mr_scan_u64(scan);
    reshard->at.lo = mr_scan_u64(scan);
    reshard->shard_count = (uint32_t)mr_scan_varint(scan);
    reshard->due_ms = (int64_t)mr_scan_u64(scan);
}

/* It waits for the end of UPDATING. */
static bool has_reshard(const struct mr_local_stream *stream)
{
    return stream->phase.kind == STATUS_UPDATING && stream->phase.until_ms == MR_UNTIL_DONE;
}

static void pack_stream(struct mr_pack *pack, const struct mr_local_stream *stream)
{
    mr_pack_u8(pack, FORMAT_VERSION);
    pack_phase(pack, &stream->phase);
    mr_pack_u8(pack, (uint8_t)(stream->is_on_demand | stream->is_encrypted << 1 |
                               stream->is_auto << 2 | has_reshard(stream) << 3));
    mr_pack_u8(pack, stream->metrics);
    mr_pack_varint(pack, stream->max_record_kib);
    mr_pack_varint(pack, stream->warm_mibps);
    mr_pack_string(pack, mr_text(stream->key_id ? stream->key_id : ""));
    pack_moments(pack, stream->reshards_ms, RESHARD_COUNT_MAX);
    pack_moments(pack, stream->modes_ms, MODE_COUNT_MAX);
    pack_moments(pack, stream->starts_ms, KMS_COUNT_MAX);
    pack_moments(pack, stream->stops_ms, KMS_COUNT_MAX);
    if (has_reshard(stream))
        pack_reshard(pack, &stream->reshard);
}

static char *text_copy(mr_bytes text)
{
    char *copy = mr_alloc(text.size + 1);

    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return copy;
}

static bool scan_stream(struct mr_scan *scan, struct mr_local_stream *stream)
{
    uint8_t flags;
    mr_bytes key_id;

    if (mr_scan_u8(scan) != FORMAT_VERSION)
        return false;
    stream->phase = scan_phase(scan);
    flags = mr_scan_u8(scan);
    stream->is_on_demand = flags & 1;
    stream->is_encrypted = flags & 2;
    stream->is_auto = flags & 4;
    stream->metrics = mr_scan_u8(scan);
    stream->max_record_kib = (uint32_t)mr_scan_varint(scan);
    stream->warm_mibps = (uint32_t)mr_scan_varint(scan);
    key_id = mr_scan_string(scan);
    scan_moments(scan, stream->reshards_ms, RESHARD_COUNT_MAX);
    scan_moments(scan, stream->modes_ms, MODE_COUNT_MAX);
    scan_moments(scan, stream->starts_ms, KMS_COUNT_MAX);
    scan_moments(scan, stream->stops_ms, KMS_COUNT_MAX);
    if (flags & 8)
        scan_reshard(scan, &stream->reshard);
    if (mr_scan_failed(scan) || mr_scan_left(scan) > 0)
        return false;
    stream->key_id = key_id.size > 0 ? text_copy(key_id) : NULL;
    return true;
}

/* ---- in memory ---------------------------------------------------------------------------- */

void mr_local_free(struct mr_local_stream *stream)
{
    if (!stream)
        return;
    mr_policies_free(stream);
    mr_free(stream->key_id);
    mr_free(stream->consumers);
    mr_free(stream);
}

void mr_local_add(struct mr_local *local, const struct mr_local_stream *stream)
{
    struct mr_local_stream *added = mr_alloc(sizeof *added);

    memcpy(added, stream, sizeof *added);
    added->key_id = stream->key_id ? mr_copy_text(stream->key_id) : NULL;
    added->consumers = NULL;
    added->consumer_count = added->consumer_capacity = 0;
    pthread_rwlock_wrlock(&local->lock);
    mr_local_free(mr_table_put(&local->by_name, mr_text(added->name), added));
    pthread_rwlock_unlock(&local->lock);
}

struct mr_local_stream *mr_local_find(struct mr_local *local, const char *name)
{
    struct mr_local_stream *stream = mr_table_get(&local->by_name, mr_text(name));

    return stream && !mr_phase_is_gone(&stream->phase, mr_local_now_ms(local)) ? stream : NULL;
}

struct mr_local_consumer *mr_local_consumer_find(struct mr_local *local,
                                                 struct mr_local_stream *stream, const char *name)
{
    for (size_t i = 0; i < stream->consumer_count; i++)
        if (strcmp(stream->consumers[i].name, name) == 0)
            return mr_phase_is_gone(&stream->consumers[i].phase, mr_local_now_ms(local))
                       ? NULL
                       : &stream->consumers[i];
    return NULL;
}

static void copy_stream(struct mr_call *call, const struct mr_local_stream *stream,
                        struct mr_local_stream *copy)
{
    size_t bytes = stream->consumer_count * sizeof *stream->consumers;

    memcpy(copy, stream, offsetof(struct mr_local_stream, calls));
    memset((char *)copy + offsetof(struct mr_local_stream, calls), 0,
           sizeof *copy - offsetof(struct mr_local_stream, calls));
    if (stream->key_id)
        copy->key_id = (char *)(uintptr_t)mr_text_copy(call, stream->key_id).data;
    copy->consumers = mr_arena_take(call->arena, bytes);
    if (bytes > 0)
        memcpy(copy->consumers, stream->consumers, bytes);
}

bool mr_local_look(struct mr_local *local, struct mr_call *call, const struct mr_named *named,
                   bool needs_active, struct mr_local_stream *copy)
{
    const struct mr_action_info *action = &mr_actions[call->action];
    bool is_limited = local->config.limit_calls && action->is_rate_per_stream;
    struct mr_local_stream *stream;
    enum mr_status_kind kind;
    bool is_busy = false;

    pthread_rwlock_rdlock(&local->lock);
    stream = mr_local_find(local, named->name);
    if (stream) {
        is_busy = is_limited &&
                  !mr_bucket_take(&stream->calls[call->action],
                                  local->clock->monotonic_ns(local->clock), action->rate_per_s, 1);
        copy_stream(call, stream, copy);
    }
    pthread_rwlock_unlock(&local->lock);
    if (!stream || strcmp(named->account, local->account) != 0)
        return mr_refuse_no_stream(call, named->name, named->account);
    if (is_busy)
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                         "Rate exceeded for stream %s under account %s.", named->name,
                         local->account);
    kind = mr_phase_at(&copy->phase, mr_local_now_ms(local));
    if (needs_active && kind != STATUS_ACTIVE)
        return mr_refuse(call, MR_EXCEPTION_IN_USE,
                         "Stream %s under account %s not ACTIVE, instead in state %s", named->name,
                         local->account, mr_status_kind_name(kind));
    return true;
}

/* ---- in the engine ------------------------------------------------------------------------ */

static mr_status store(struct mr_local *local, const struct mr_local_stream *stream,
                       mr_error *error)
{
    struct mr_pack pack = MR_PACK(MR_PROPERTY_VALUE_BYTES_MAX);
    struct mr_local_stream *kept;
    mr_status status;

    pack_stream(&pack, stream);
    status = mr_property_set(local->engine, stream->name, STATE_PROPERTY,
                             (mr_bytes){pack.data, pack.size}, MR_ANY_VERSION, NULL, error);
    mr_pack_fini(&pack);
    if (status)
        return status;
    pthread_rwlock_wrlock(&local->lock);
    kept = mr_table_get(&local->by_name, mr_text(stream->name));
    if (kept) {
        char *key_id = stream->key_id ? mr_copy_text(stream->key_id) : NULL;

        mr_free(kept->key_id);
        memcpy(&kept->phase, &stream->phase,
               offsetof(struct mr_local_stream, consumers) -
                   offsetof(struct mr_local_stream, phase));
        kept->key_id = key_id;
    }
    pthread_rwlock_unlock(&local->lock);
    return MR_OK;
}

bool mr_local_store(struct mr_local *local, struct mr_call *call,
                    const struct mr_local_stream *stream)
{
    mr_error error;
    mr_status status = store(local, stream, &error);

    if (status)
        return mr_refuse_status(local, call, stream->name, status, &error);
    if (stream->phase.kind == STATUS_DELETING || has_reshard(stream))
        mr_local_sweep_soon(local);
    return true;
}

static void add_consumer(struct mr_local_stream *stream, const struct mr_local_consumer *consumer)
{
    size_t place = 0;

    while (place < stream->consumer_count &&
           strcmp(stream->consumers[place].name, consumer->name) < 0)
        place++;
    if (place < stream->consumer_count &&
        strcmp(stream->consumers[place].name, consumer->name) == 0) {
        stream->consumers[place] = *consumer;
        return;
    }
    mr_grow(stream->consumers, stream->consumer_count, stream->consumer_capacity);
    memmove(&stream->consumers[place + 1], &stream->consumers[place],
            (stream->consumer_count - place) * sizeof *consumer);
    stream->consumers[place] = *consumer;
    stream->consumer_count++;
}

static void remove_consumer(struct mr_local_stream *stream, const char *name)
{
    for (size_t i = 0; i < stream->consumer_count; i++)
        if (strcmp(stream->consumers[i].name, name) == 0) {
            stream->consumer_count--;
            memmove(&stream->consumers[i], &stream->consumers[i + 1],
                    (stream->consumer_count - i) * sizeof *stream->consumers);
            return;
        }
}

bool mr_local_store_consumer(struct mr_local *local, struct mr_call *call, const char *name,
                             const struct mr_local_consumer *consumer)
{
    char property[PROPERTY_NAME_BYTES];
    struct mr_pack pack = MR_PACK(100);
    struct mr_local_stream *stream;
    mr_error error;
    mr_status status;

    mr_pack_u8(&pack, FORMAT_VERSION);
    mr_pack_u64(&pack, (uint64_t)consumer->created_ms);
    pack_phase(&pack, &consumer->phase);
    snprintf(property, sizeof property, CONSUMER_PROPERTY "%s", consumer->name);
    status = mr_property_set(local->engine, name, property, (mr_bytes){pack.data, pack.size},
                             MR_ANY_VERSION, NULL, &error);
    mr_pack_fini(&pack);
    if (status)
        return mr_refuse_status(local, call, name, status, &error);
    pthread_rwlock_wrlock(&local->lock);
    stream = mr_table_get(&local->by_name, mr_text(name));
    if (stream)
        add_consumer(stream, consumer);
    pthread_rwlock_unlock(&local->lock);
    if (consumer->phase.kind == STATUS_DELETING) {
        mr_subscriptions_wake(local);
        mr_local_sweep_soon(local);
    }
    return true;
}

/* ---- load --------------------------------------------------------------------------------- */

struct loading {
    struct mr_local *local;
    struct mr_local_stream *stream;
    bool is_damaged;
};

static bool load_property(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct loading *loading = context;
    struct mr_scan scan = mr_scan_of(value);
    struct mr_local_consumer consumer = {0};
    size_t prefix = sizeof CONSUMER_PROPERTY - 1;
    (void)version;

    if (strcmp(name, STATE_PROPERTY) == 0)
        loading->is_damaged |= !scan_stream(&scan, loading->stream);
    if (strncmp(name, MR_POLICY_PROPERTY, sizeof MR_POLICY_PROPERTY - 1) == 0)
        mr_policy_keep(loading->stream, name + sizeof MR_POLICY_PROPERTY - 1, value);
    if (strncmp(name, CONSUMER_PROPERTY, prefix) == 0) {
        snprintf(consumer.name, sizeof consumer.name, "%s", name + prefix);
        loading->is_damaged |= mr_scan_u8(&scan) != FORMAT_VERSION;
        consumer.created_ms = (int64_t)mr_scan_u64(&scan);
        consumer.phase = scan_phase(&scan);
        loading->is_damaged |= mr_scan_failed(&scan);
        add_consumer(loading->stream, &consumer);
    }
    return true;
}

static bool load_stream(void *context, const struct mr_stream_info *info)
{
    struct loading *loading = context;
    struct mr_local_stream *stream = mr_new(struct mr_local_stream);

    memcpy(stream->name, info->name, sizeof stream->name);
    stream->id = info->id;
    stream->created_ms = info->created_ms;
    stream->max_record_kib = 1024;
    stream->put_bytes = info->record_bytes;
    loading->stream = stream;
    mr_property_each(loading->local->engine, info->name, PROPERTY_PREFIX, load_property, loading,
                     NULL);
    /* Programs can tell the engine to encrypt without asking the service, and what it does is true. */
    stream->is_encrypted = info->is_encrypted;
    if (stream->is_encrypted && !stream->key_id)
        stream->key_id = mr_copy_text(KEY_ID_DEFAULT);
    mr_table_put(&loading->local->by_name, mr_text(stream->name), stream);
    return true;
}

mr_status mr_local_load(struct mr_local *local, mr_error *error)
{
    struct loading loading = {.local = local};

    mr_stream_each(local->engine, load_stream, &loading);
    if (loading.is_damaged)
        return mr_fail(error, MR_FORMAT,
                       "the properties of a stream are of another version of millrace");
    return MR_OK;
}

/* ---- sweep -------------------------------------------------------------------------------- */

#define AGAIN_MS 1000 /* after a failure */

/* What is due, found under the lock, done without it. */
struct due {
    char stream[MR_NAME_BYTES_MAX + 1];
    char consumer[MR_NAME_BYTES_MAX + 1]; /* "": the stream itself */
    bool reshards;                        /* is not deleted */
};

/* Whether that moment has come; else *next_ms is not after it. */
static bool has_come(int64_t moment_ms, int64_t now_ms, int64_t *next_ms)
{
    if (moment_ms > now_ms && moment_ms < *next_ms)
        *next_ms = moment_ms;
    return moment_ms <= now_ms;
}

static bool find_due_of(const struct mr_local_stream *stream, int64_t now_ms, struct due *due,
                        int64_t *next_ms)
{
    *due = (struct due){.reshards = has_reshard(stream)};
    memcpy(due->stream, stream->name, sizeof due->stream);
    if (due->reshards && has_come(stream->reshard.due_ms, now_ms, next_ms))
        return true;
    due->reshards = false;
    if (stream->phase.kind == STATUS_DELETING && has_come(stream->phase.until_ms, now_ms, next_ms))
        return true;
    for (size_t i = 0; i < stream->consumer_count; i++) {
        const struct mr_local_consumer *consumer = &stream->consumers[i];

        memcpy(due->consumer, consumer->name, sizeof due->consumer);
        if (consumer->phase.kind == STATUS_DELETING &&
            has_come(consumer->phase.until_ms, now_ms, next_ms))
            return true;
    }
    return false;
}

static bool find_due(struct mr_local *local, struct due *due, int64_t *next_ms)
{
    int64_t now_ms = mr_local_now_ms(local);
    const struct mr_local_stream *stream;
    bool is_found = false;
    size_t place = 0;

    *next_ms = INT64_MAX;
    pthread_rwlock_rdlock(&local->lock);
    while (!is_found && (stream = mr_table_next(&local->by_name, &place)))
        is_found = find_due_of(stream, now_ms, due, next_ms);
    pthread_rwlock_unlock(&local->lock);
    return is_found;
}

/* Now the children are there; whatever cannot be done any more is not. */
static mr_status reshard_due(struct mr_local *local, const char *name)
{
    const struct mr_local_stream *kept;
    struct mr_local_stream stream;
    mr_status status;

    pthread_rwlock_rdlock(&local->lock);
    kept = mr_table_get(&local->by_name, mr_text(name));
    memcpy(&stream, kept, offsetof(struct mr_local_stream, consumers));
    pthread_rwlock_unlock(&local->lock);
    status = mr_local_reshard(local, name, &stream.reshard, NULL);
    if (mr_status_retryable(status) || status == MR_IO)
        return status;
    stream.phase = (struct mr_phase){STATUS_ACTIVE, 0};
    return store(local, &stream, NULL);
}

static bool delete_property(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct mr_pack *names = context;
    (void)value;
    (void)version;

    mr_pack_bytes(names, (mr_bytes){name, strlen(name) + 1});
    return true;
}

/* The tags and the policy of a consumer go with it. */
static mr_status delete_properties(struct mr_local *local, const char *stream, const char *prefix)
{
    struct mr_pack names = MR_PACK((size_t)1 << 20);
    mr_status status =
        mr_property_each(local->engine, stream, prefix, delete_property, &names, NULL);

    for (size_t at = 0; !status && at < names.size; at += strlen((char *)names.data + at) + 1)
        status = mr_property_set(local->engine, stream, (char *)names.data + at, (mr_bytes){0},
                                 MR_ANY_VERSION, NULL, NULL);
    mr_pack_fini(&names);
    return status;
}

static mr_status delete_consumer(struct mr_local *local, const struct due *due)
{
    char name[PROPERTY_NAME_BYTES + 16];
    mr_status status;

    snprintf(name, sizeof name, PROPERTY_PREFIX ".tag/%s/", due->consumer);
    status = delete_properties(local, due->stream, name);
    snprintf(name, sizeof name, MR_POLICY_PROPERTY "%s", due->consumer);
    if (!status)
        status = mr_property_set(local->engine, due->stream, name, (mr_bytes){0}, MR_ANY_VERSION,
                                 NULL, NULL);
    snprintf(name, sizeof name, CONSUMER_PROPERTY "%s", due->consumer);
    if (!status)
        status = mr_property_set(local->engine, due->stream, name, (mr_bytes){0}, MR_ANY_VERSION,
                                 NULL, NULL);
    return status;
}

static mr_status do_due(struct mr_local *local, const struct due *due)
{
    struct mr_local_stream *stream;
    mr_status status;

    if (due->reshards)
        return reshard_due(local, due->stream);
    status = due->consumer[0] ? delete_consumer(local, due)
                              : mr_stream_delete(local->engine, due->stream, NULL);
    if (status && status != MR_NOT_FOUND)
        return status;
    pthread_rwlock_wrlock(&local->lock);
    stream = mr_table_get(&local->by_name, mr_text(due->stream));
    if (due->consumer[0] && stream) {
        mr_policy_keep(stream, due->consumer, (mr_bytes){0});
        remove_consumer(stream, due->consumer);
    } else if (stream) {
        mr_local_free(mr_table_remove(&local->by_name, mr_text(due->stream)));
    }
    pthread_rwlock_unlock(&local->lock);
    if (!due->consumer[0])
        mr_meter_forget(&local->meter, due->stream);
    return MR_OK;
}

void mr_local_sweep(struct mr_local *local)
{
    struct due due;
    int64_t next_ms, now_ms;
    mr_status status = MR_OK;

    while (!status && find_due(local, &due, &next_ms))
        status = do_due(local, &due);
    now_ms = mr_local_now_ms(local);
    if (status) /* the disk is full or broken: what was to go stays as good as gone */
        mr_local_alarm(local, &local->sweeper, AGAIN_MS);
    else if (next_ms != INT64_MAX)
        mr_local_alarm(local, &local->sweeper,
                       next_ms > now_ms ? (uint32_t)(next_ms - now_ms) + 1 : 1);
}
