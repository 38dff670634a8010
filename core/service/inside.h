/*
 * inside.h - the local service: what the files of core/service share.
 *
 * What Kinesis knows of a stream beyond the engine - its state, mode, consumers, settings - is a
 * property of the engine's stream (state.c), with a copy here in memory. Tags and policies are
 * properties without a copy.
 *
 * Locks       `changing` is held through an operation that changes anything but records: one at a
 *             time. `lock` is held for writing while the copy changes, for reading to look at it:
 *             never across a call of the engine that waits.
 * Time        A state that lasts ends by the clock alone, whether or not somebody looks. What is work
 *             at the end of one - a deletion, a reshard - has an alarm.
 */
#ifndef MR_SERVICE_INSIDE_H
#define MR_SERVICE_INSIDE_H

#include "base/limit.h"
#include "base/table.h"
#include "os/thread.h"
#include "service/access.h"
#include "service/alarm.h"
#include "service/meter.h"
#include "service/service.h"
#include "stream/stream.h"

#define MIB ((uint64_t)1 << 20)
#define PROPERTY_PREFIX "kinesis" /* of all property names */
#define HOUR_MS ((int64_t)3600000)
#define DAY_MS (24 * HOUR_MS)

enum mr_status_kind { STATUS_ACTIVE, STATUS_CREATING, STATUS_UPDATING, STATUS_DELETING };
const char *mr_status_kind_name(enum mr_status_kind kind);

/* A state that ends by itself. */
struct mr_phase {
    enum mr_status_kind kind;
    int64_t until_ms; /* then it is ACTIVE, or gone */
};
#define MR_UNTIL_DONE INT64_MAX /* not by the clock: when the reshard is done */

/* What is done to a stream when it has been UPDATING for long enough (spec 5.4). */
struct mr_reshard {
    enum mr_reshard_kind { RESHARD_NONE, RESHARD_SPLIT, RESHARD_MERGE, RESHARD_SCALE } kind;
    mr_shard_id shard, adjacent;
    mr_hash_key at;
    uint32_t shard_count;
    int64_t due_ms;
};

enum { RESHARD_COUNT_MAX = 10, MODE_COUNT_MAX = 2, KMS_COUNT_MAX = 25 };

struct mr_local_consumer {
    char name[MR_NAME_BYTES_MAX + 1];
    int64_t created_ms;
    struct mr_phase phase;
};

struct mr_local_stream {
    char name[MR_NAME_BYTES_MAX + 1];
    uint32_t id;
    int64_t created_ms;
    struct mr_phase phase;
    struct mr_reshard reshard;                /* counts only while it is UPDATING */
    bool is_on_demand, is_encrypted, is_auto; /* is_auto: we choose the shards of records */
    uint8_t metrics;                          /* a bit for each of those in mr_metric_names[] */
    uint32_t max_record_kib;
    uint32_t warm_mibps;
    char *key_id; /* NULL: none */
    /* When the last changes were made that are limited in number: the oldest first, 0 is none. */
    int64_t reshards_ms[RESHARD_COUNT_MAX], modes_ms[MODE_COUNT_MAX], starts_ms[KMS_COUNT_MAX],
        stops_ms[KMS_COUNT_MAX];
    struct mr_local_consumer *consumers; /* by name */
    size_t consumer_count, consumer_capacity;

    struct mr_bucket calls[MR_ACTION_COUNT]; /* from here on nothing is copied or stored */
    struct mr_kept_policy *policies;         /* of the stream and its consumers, see policy.c */
    size_t policy_count, policy_capacity;
    uint64_t put_bytes; /* when the growth of streams on demand last looked */
    int64_t looked_ms;
};

/* Of the account, a property of the engine. */
struct mr_commitment {
    bool is_enabled;
    int64_t started_ms, ended_ms; /* ended_ms: asked to end then, or 0 */
};

struct mr_local {
    struct mr_service service; /* first */
    mr_engine *engine;
    struct mr_clock *clock;
    struct mr_service_config config;
    char account[13];
    char region[33];
    uint8_t token_key[16];
    struct mr_workers *workers;
    struct mr_alarms *alarms;
    struct mr_alarm sweeper; /* reshards and deletes what is due */
    struct mr_job sweep;
    _Atomic bool is_sweeping, is_closing;
    struct mr_alarm grower;
    struct mr_job growth;

    pthread_mutex_t changing;
    pthread_rwlock_t lock;
    struct mr_table by_name; /* struct mr_local_stream */
    struct mr_commitment commitment;
    struct mr_bucket calls[MR_ACTION_COUNT];
    struct mr_meter meter;
    _Atomic uint64_t spread; /* places of records without a key */

    struct {
        pthread_mutex_t lock;
        struct put *first, *last; /* waiting for room in the journal, in order: see put.c */
        bool is_draining;
        struct mr_job drain;
    } parked;

    struct {
        pthread_mutex_t lock;
        struct mr_local_subscription *first;
    } subscriptions;
};

/* ---- answers ------------------------------------------------------------------------------ */

/* Sets the refusal; returns false, so that one can write: return mr_refuse(...). */
__attribute__((format(printf, 3, 4))) bool mr_refuse(struct mr_call *call, enum mr_exception type,
                                                     const char *format, ...);
/* For what the engine says: NOT_FOUND is told as a missing stream. */
bool mr_refuse_status(struct mr_local *local, struct mr_call *call, const char *stream,
                      mr_status status, const mr_error *error);
bool mr_refuse_no_stream(struct mr_call *call, const char *stream, const char *account);

static inline mr_bytes mr_text(const char *text)
{
    return (mr_bytes){text, __builtin_strlen(text)};
}
mr_bytes mr_text_copy(struct mr_call *call, const char *text);
bool mr_text_is(mr_bytes text, const char *other);

/* Bytes as text for printf("%.*s"). */
#define TEXT(bytes) (int)(bytes).size, (const char *)(bytes).data

/* If the call asks for a dry run: refuses it, as all else is well. */
bool mr_goes_on(struct mr_call *call, struct mr_number dry_run);

/* ---- names -------------------------------------------------------------------------------- */

#define ARN_BYTES 400

/* What a request names; name is "" when refused. */
struct mr_named {
    char name[MR_NAME_BYTES_MAX + 1];
    char account[13];
    char consumer[MR_NAME_BYTES_MAX + 1]; /* of a consumer's ARN, else "" */
    int64_t consumer_created_s;
};

bool mr_name_stream(struct mr_local *local, struct mr_call *call, mr_bytes name, mr_bytes arn,
                    struct mr_named *named);
/* A stream's or a consumer's ARN. */
bool mr_name_resource(struct mr_local *local, struct mr_call *call, mr_bytes arn,
                      struct mr_named *named);

void mr_stream_arn(const struct mr_local *local, const struct mr_call *call, const char *name,
                   char arn[ARN_BYTES]);
void mr_consumer_arn(const struct mr_local *local, const struct mr_call *call, const char *stream,
                     const struct mr_local_consumer *consumer, char arn[ARN_BYTES]);

/* ---- state -------------------------------------------------------------------------------- */

int64_t mr_local_now_ms(const struct mr_local *local);
enum mr_status_kind mr_phase_at(const struct mr_phase *phase, int64_t now_ms);
/* A DELETING that is over. */
bool mr_phase_is_gone(const struct mr_phase *phase, int64_t now_ms);
struct mr_phase mr_phase_begin(const struct mr_local *local, enum mr_status_kind kind);

/* Rings after so much of the service's time. */
void mr_local_alarm(struct mr_local *local, struct mr_alarm *alarm, uint32_t after_ms);

/* Hold `lock`. NULL: there is none, or no more. */
struct mr_local_stream *mr_local_find(struct mr_local *local, const char *name);
struct mr_local_consumer *mr_local_consumer_find(struct mr_local *local,
                                                 struct mr_local_stream *stream, const char *name);

/*
 * Looks a stream up for a call, refusing it if there is none, it is too busy, or `needs_active` and
 * it is not ACTIVE. A copy: of what it points to, key_id and consumers lie in the call's arena.
 */
bool mr_local_look(struct mr_local *local, struct mr_call *call, const struct mr_named *named,
                   bool needs_active, struct mr_local_stream *copy);

mr_status mr_local_load(struct mr_local *local, mr_error *error);
mr_status mr_local_load_account(struct mr_local *local, mr_error *error);
bool mr_local_is_committed(struct mr_local *local); /* the account pays for warm throughput */

/* Makes the copy what is true from now on, in the engine and then in memory; hold `changing`. */
bool mr_local_store(struct mr_local *local, struct mr_call *call,
                    const struct mr_local_stream *stream);
/* The same for a consumer of a stream. */
bool mr_local_store_consumer(struct mr_local *local, struct mr_call *call, const char *stream,
                             const struct mr_local_consumer *consumer);
void mr_local_add(struct mr_local *local, const struct mr_local_stream *stream);
void mr_local_free(struct mr_local_stream *stream);

/* Reshards the streams, deletes the streams and consumers that are due; hold `changing`. */
void mr_local_sweep(struct mr_local *local);
void mr_local_sweep_soon(struct mr_local *local); /* and sets the alarm for what is due later */
mr_status mr_local_reshard(struct mr_local *local, const char *stream,
                           const struct mr_reshard *reshard, mr_error *error); /* reshard.c */

/* Of a list of moments: how many in the last 24 hours; and adds one. */
size_t mr_moments_count(const int64_t *moments_ms, size_t count, int64_t now_ms);
void mr_moments_add(int64_t *moments_ms, size_t count, int64_t now_ms);

/* ---- tokens ------------------------------------------------------------------------------- */

enum mr_token_kind { TOKEN_ITERATOR = 1, TOKEN_SHARDS, TOKEN_STREAMS, TOKEN_CONSUMERS };

/* What a caller hands back to us later: an iterator, the place within a list. */
struct mr_token {
    enum mr_token_kind kind;
    int64_t created_ms;
    char stream[MR_NAME_BYTES_MAX + 1];
    uint32_t stream_id;
    uint32_t shard;  /* of an iterator; a list goes on behind it */
    uint32_t filter; /* of ListShards */
    bool is_time;    /* an iterator at time_ms; else after number */
    uint64_t number;
    int64_t time_ms;
    char name[MR_NAME_BYTES_MAX + 1]; /* a list of names goes on behind it */
};

mr_bytes mr_token_make(const struct mr_local *local, struct mr_call *call,
                       const struct mr_token *token);
/* False: it is none of ours. */
bool mr_token_open(const struct mr_local *local, mr_bytes text, struct mr_token *token);
#define MR_TOKEN_LIFE_MS 300000

/* ---- shards ------------------------------------------------------------------------------- */

/* Those of a stream, in id order. */
struct mr_shards {
    mr_shard *items;
    size_t count, capacity;
};
bool mr_shards_open(struct mr_local *local, struct mr_call *call, const char *stream,
                    struct mr_shards *shards);
void mr_shards_close(struct mr_shards *shards);

/* "0", "shardId-0", "x-0". False: it is none. */
bool mr_shard_id_of(mr_bytes text, mr_shard_id *id);

mr_bytes mr_shard_text(struct mr_call *call, mr_shard_id id);
mr_bytes mr_hash_text(struct mr_call *call, mr_hash_key key);
mr_bytes mr_sequence_text(struct mr_call *call, const mr_sequence *sequence);
struct mr_api_hash_key_range *mr_range_of(struct mr_call *call, const mr_shard *shard);
struct mr_api_shard mr_shard_answer(struct mr_call *call, const mr_shard *shard);
/* The children there are of a shard; NULL: none. */
struct mr_api_child_shard *mr_children_of(struct mr_call *call, const struct mr_shard_view *view,
                                          size_t *count);

/* A position as requests have it: refused with what GetShardIterator says (spec 4.4). */
struct mr_asked {
    mr_bytes type, sequence;
    struct mr_number time_ms;
    const char *caller; /* "GetShardIterator" */
};
bool mr_position_of(struct mr_local *local, struct mr_call *call, const char *stream,
                    const mr_shard *shard, const struct mr_asked *asked, mr_position *position);

struct mr_api_record mr_record_answer(struct mr_call *call, const mr_record *record,
                                      bool is_encrypted);

/* ---- tags --------------------------------------------------------------------------------- */

/* Adds tags to a stream, or to its consumer of that name if it is not ""; hold `changing`. */
bool mr_local_tag(struct mr_local *local, struct mr_call *call, const char *stream,
                  const char *consumer, const struct mr_api_tag *tags, size_t count);

/* The tags could be added to what is about to be made. */
bool mr_local_check_tags(struct mr_local *local, struct mr_call *call, const char *stream,
                         const struct mr_api_tag *tags, size_t count);
/* A stream or a consumer that exists, by its ARN. */
bool mr_local_look_resource(struct mr_local *local, struct mr_call *call, mr_bytes arn,
                            struct mr_named *named);

/* ---- access ------------------------------------------------------------------------------- */

#define MR_POLICY_PROPERTY PROPERTY_PREFIX ".policy/" /* and the name of the consumer, if any */

/* Keeps a policy in memory, or forgets it (document is absent); consumer "" is the stream itself.
 * Hold `lock` for writing. */
void mr_policy_keep(struct mr_local_stream *stream, const char *consumer, mr_bytes document);
void mr_policies_free(struct mr_local_stream *stream);
/* Says what the policy of a stream or a consumer says. Hold `lock`. */
enum mr_opinion mr_policy_of(const struct mr_local_stream *stream, const char *consumer,
                             const struct mr_policy_question *question);

/* Refuses a call that its caller may not make. */
bool mr_local_admit(struct mr_local *local, struct mr_call *call);

/* ---- growth ------------------------------------------------------------------------------- */

/* Streams on demand get more shards as they need them. */
void mr_local_growth_start(struct mr_local *local);
void mr_local_grow(struct mr_local *local); /* looks now; hold `changing` */

/* ---- counts ------------------------------------------------------------------------------- */

/* Open shards of provisioned streams, and streams on demand. */
void mr_local_count(struct mr_local *local, uint64_t *shards, uint64_t *on_demand);
bool mr_check_shard_quota(struct mr_local *local, struct mr_call *call, uint64_t more);

extern const char *const mr_metric_names[7];

/* ---- subscriptions ------------------------------------------------------------------------ */

struct mr_local_subscription;
void mr_subscriptions_wake(struct mr_local *local); /* to look if they are still to be */

/* ---- the actions -------------------------------------------------------------------------- */

#define ACTION(NAME, name, Name, answer, rate, per)                                                \
    void mr_do_##name(struct mr_local *local, struct mr_call *call);
#include "service/actions.def"
#undef ACTION

bool mr_do_put_batch(struct mr_local *local, struct mr_call *call); /* see mr_service.put */

#endif
