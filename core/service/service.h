/*
 * service.h - the door of core/service: the Kinesis API in C.
 *
 * A call is a request, an arena, and a done() to call when it is answered: with a response, or with
 * an exception as Kinesis would answer. A service takes calls: mr_service_local_open() makes one of
 * an engine in this process; core/wire has one over HTTP. The structures of all requests and
 * responses come from shapes.def, with tables by which core/wire reads and writes them.
 *
 * Absent  Zero is absent, everywhere: a text without data, a number that is not set, a list or a
 *         structure that is NULL. An empty text has data, an empty list is not NULL.
 * Memory  A request lives until done(); a response as long as the arena it was put into.
 * Threads Calls may be made from any thread, and do not block it. done() may run before the call
 *         returns, or later on any thread; it must be short.
 */
#ifndef MR_SERVICE_SERVICE_H
#define MR_SERVICE_SERVICE_H

#include "base/arena.h"
#include "millrace.h"
#include "os/clock.h"
#include "os/worker.h"

/* ---- structures --------------------------------------------------------------------------- */

/* An integer; a moment in milliseconds since 1970; a truth value, 0 or 1. */
struct mr_number {
    int64_t value;
    bool is_set;
};
#define MR_NUMBER(number) ((struct mr_number){.value = (number), .is_set = true})

/* Every member begins a row of 16 bytes: the table needs no offsets. */
#define MR_ROW_BYTES 16
#define MR_ROW _Alignas(MR_ROW_BYTES)

#define SHAPE(name) struct mr_api_##name {
#define STRING(name, ...) MR_ROW mr_bytes name;
#define BLOB(name, ...) MR_ROW mr_bytes name;
#define INTEGER(name, ...) MR_ROW struct mr_number name;
#define LONG(name, ...) MR_ROW struct mr_number name;
#define BOOLEAN(name, ...) MR_ROW struct mr_number name;
#define TIMESTAMP(name, ...) MR_ROW struct mr_number name;
#define STRUCTURE(name, Name, need, shape) MR_ROW struct mr_api_##shape *name;
#define LIST(name, Name, need, least, most, shape)                                                 \
    MR_ROW struct mr_api_##shape *name;                                                            \
    size_t name##_count;
#define STRINGS(name, ...)                                                                         \
    MR_ROW mr_bytes *name;                                                                         \
    size_t name##_count;
#define TAGS(name, ...)                                                                            \
    MR_ROW struct mr_api_tag *name;                                                                \
    size_t name##_count;
#define NOTHING MR_ROW uint8_t nothing;
#define END                                                                                        \
    }                                                                                              \
    ;
#include "service/shapes.def"

/* ---- their tables ------------------------------------------------------------------------- */

enum mr_shape_id {
    MR_SHAPE_NONE,
#define SHAPE(name) MR_SHAPE_##name,
#include "service/shapes.def"
    MR_SHAPE_COUNT,
};

enum mr_kind {
    MR_KIND_STRING,
    MR_KIND_BLOB,
    MR_KIND_INTEGER, /* 32 bits */
    MR_KIND_LONG,
    MR_KIND_BOOLEAN,
    MR_KIND_TIMESTAMP,
    MR_KIND_STRUCTURE,
    MR_KIND_LIST, /* of structures */
    MR_KIND_STRINGS,
    MR_KIND_TAGS, /* a map, kept as structures with key and value */
};

#define MR_NO_MIN INT64_MIN
#define MR_NO_MAX INT64_MAX

struct mr_member {
    const char *name;
    uint16_t name_bytes;
    uint8_t kind; /* enum mr_kind */
    uint8_t shape;
    uint8_t rule; /* see rules.def; 0 is none */
    bool is_required;
    int64_t least, most;           /* of the number, characters, bytes, items */
    int64_t item_least, item_most; /* characters of each item */
};

struct mr_shape {
    const char *name;
    size_t bytes; /* of the C structure */
    const struct mr_member *members;
    size_t member_count;
};

extern const struct mr_shape mr_shapes[MR_SHAPE_COUNT];

/* Where a member stands in its structure. */
static inline void *mr_member_at(const void *structure, size_t index)
{
    return (uint8_t *)(uintptr_t)structure + index * MR_ROW_BYTES;
}

/* Lists, strings and tags are a pointer and a count behind it. */
void *mr_items_of(const void *member, size_t *count);
void mr_items_set(void *member, const void *items, size_t count);

/* ---- actions ------------------------------------------------------------------------------ */

enum mr_action {
#define ACTION(NAME, name, Name, answer, rate, per) MR_ACTION_##NAME,
#include "service/actions.def"
#undef ACTION
    MR_ACTION_COUNT,
};

enum mr_answer { MR_ANSWER_NONE, MR_ANSWER_STRUCTURE, MR_ANSWER_EVENTS };

struct mr_action_info {
    const char *name;
    enum mr_shape_id request, response; /* response: MR_SHAPE_NONE if there is none */
    enum mr_answer answer;
    uint32_t rate_per_s; /* of the control plane; 0: none */
    bool is_rate_per_stream;
};

extern const struct mr_action_info mr_actions[MR_ACTION_COUNT];

/* MR_ACTION_COUNT if there is none. */
enum mr_action mr_action_find(mr_bytes name);

/* ---- exceptions --------------------------------------------------------------------------- */

enum mr_exception {
    MR_EXCEPTION_NONE,
#define EXCEPTION(NAME, Name, http) MR_EXCEPTION_##NAME,
#include "service/exceptions.def"
#undef EXCEPTION
    MR_EXCEPTION_COUNT,
};

struct mr_exception_info {
    const char *name;
    unsigned http;
};

extern const struct mr_exception_info mr_exceptions[MR_EXCEPTION_COUNT];

enum mr_exception mr_exception_find(mr_bytes name); /* MR_EXCEPTION_NONE if unknown */

/* type NONE is success. */
struct mr_refusal {
    enum mr_exception type;
    mr_bytes message;
};

/* ---- calls -------------------------------------------------------------------------------- */

struct mr_subscription;
struct mr_policy;

/* Who calls: a user with policies, of which one must allow what is asked for. */
struct mr_caller {
    mr_bytes arn, account;
    struct mr_policy *const *policies; /* access.h */
    size_t policy_count;
};

/*
 * Of PutRecords: where its records come from, so that they are stored once - all of them or none - as
 * mr_put_from() does it. Of DescribeStreamSummary: whose position is asked for. Kinesis has no such
 * thing: a service that is not ours leaves is_known false, and has put the records as ever.
 */
struct mr_call_origin {
    mr_origin origin;  /* of DescribeStreamSummary the name only */
    uint64_t position; /* out, whatever the answer is: how far the stream has taken it */
    bool is_known;     /* out: there is a position */
};

struct mr_call {
    enum mr_action action;
    void *request;                  /* struct mr_api_<action>_request */
    struct mr_arena *arena;         /* for the response; nobody else's until done() */
    mr_bytes region;                /* of the caller, for ARNs; absent: the service's own */
    const struct mr_caller *caller; /* until done(); NULL: one who may do anything */
    struct mr_call_origin *origin;  /* until done(); NULL: the records come from nowhere */
    void (*done)(struct mr_call *call);
    void *context;

    /* The answer: */
    struct mr_refusal refusal;
    void *response;                       /* struct mr_api_<action>_response, or NULL */
    struct mr_subscription *subscription; /* of SubscribeToShard; close it */

    struct mr_job job; /* the service's */
    void *work;
};

/*
 * Records as the engine takes them, where nobody needs PutRecords' texts: the request of put(), with
 * its answers, for there is no response. Each key is 1..256 characters of UTF-8.
 */
struct mr_puts {
    mr_bytes stream_name, stream_arn; /* one of them */
    const mr_put *puts;
    size_t count;
    mr_put_result *results;    /* filled unless all are refused */
    bool is_whole;             /* if one would be refused, all are: the call is */
    const mr_shard_id *shards; /* of a whole one: so is one that is not of this shard; or NULL */
};

struct mr_service {
    void (*call)(struct mr_service *service, struct mr_call *call);
    /*
     * PutRecords of a struct mr_puts, by nobody (caller is NULL). NULL: only texts are taken. True:
     * every record has its place, and what is put from now on comes after them; if they fail after
     * all, so does everything that is put later.
     */
    bool (*put)(struct mr_service *service, struct mr_call *call);
    void (*close)(struct mr_service *service); /* no call may be under way */
    mr_engine *engine; /* of a local one: its shards can be read without copying; else NULL */
};

/* ---- subscriptions ------------------------------------------------------------------------ */

enum mr_subscription_state {
    MR_SUBSCRIPTION_EVENT, /* *event is filled, until the next call on the subscription */
    MR_SUBSCRIPTION_WAIT,  /* nothing now: ready() will be called, once */
    MR_SUBSCRIPTION_END,   /* no more: *refusal says if that is an exception */
};

/*
 * Events of one shard, pulled by one thread at a time, so that a slow reader holds one event only.
 * ready() runs on any thread, maybe before next() returns. close() waits for a ready() that is
 * running, so do not call it from there.
 */
struct mr_subscription {
    enum mr_subscription_state (*next)(struct mr_subscription *subscription,
                                       const struct mr_api_subscribe_to_shard_event **event,
                                       struct mr_refusal *refusal);
    void (*close)(struct mr_subscription *subscription);
    void (*ready)(void *context); /* set both before the first next() */
    void *ready_context;
};

/* ---- checks ------------------------------------------------------------------------------- */

/* Checks a request by its table: false, and a ValidationException as Kinesis words it. */
bool mr_request_check(enum mr_action action, const void *request, struct mr_arena *arena,
                      struct mr_refusal *refusal);

/* ---- figures ------------------------------------------------------------------------------ */

enum mr_figure_kind {
    MR_FIGURE_COUNT, /* only grows */
    MR_FIGURE_AGE,   /* milliseconds, as last seen */
};

enum mr_shard_figure {
#define SHARD_FIGURE(NAME, ...) MR_SHARD_##NAME,
#include "service/figures.def"
    MR_SHARD_FIGURE_COUNT,
};

enum mr_stream_figure {
#define STREAM_FIGURE(NAME, ...) MR_STREAM_##NAME,
#include "service/figures.def"
    MR_STREAM_FIGURE_COUNT,
};

enum mr_consumer_figure {
#define CONSUMER_FIGURE(NAME, ...) MR_CONSUMER_##NAME,
#include "service/figures.def"
    MR_CONSUMER_FIGURE_COUNT,
};

/* Whose calls were counted; each begins at 0 when the service is opened. */
struct mr_figures {
    struct mr_stream_figures {
        char name[MR_NAME_BYTES_MAX + 1];
        uint64_t values[MR_STREAM_FIGURE_COUNT];
        struct mr_shard_figures {
            mr_shard_id id;
            uint64_t values[MR_SHARD_FIGURE_COUNT];
        } * shards;
        struct mr_consumer_figures {
            char name[MR_NAME_BYTES_MAX + 1];
            uint64_t values[MR_CONSUMER_FIGURE_COUNT];
        } * consumers;
        size_t shard_count, consumer_count;
    } * streams;
    size_t stream_count;
};

/* ---- local -------------------------------------------------------------------------------- */

struct mr_service_config {
    const char *account_id;   /* 12 digits */
    const char *region;       /* of ARNs where the caller has none */
    uint32_t state_delay_ms;  /* how long CREATING, UPDATING and DELETING last */
    uint32_t shard_count_max; /* open shards of all provisioned streams */
    uint32_t on_demand_stream_count_max;
    uint32_t consumer_count_max; /* of a stream */
    bool limit_calls;            /* the control plane's calls a second */
    bool limit_fan_out;          /* 2 MiB/s for each consumer and shard; a call in 5 s */
    uint32_t fan_out_s;          /* how long a subscription lasts */
    uint32_t thread_count;       /* for calls that wait for the disk */
    struct mr_clock *clock;      /* NULL: the real one */
};
#define MR_SERVICE_CONFIG_DEFAULT                                                                  \
    ((struct mr_service_config){.account_id = "000000000000",                                      \
                                .region = "us-east-1",                                             \
                                .state_delay_ms = 50,                                              \
                                .shard_count_max = 20000,                                          \
                                .on_demand_stream_count_max = 50,                                  \
                                .consumer_count_max = 20,                                          \
                                .limit_calls = true,                                               \
                                .limit_fan_out = true,                                             \
                                .fan_out_s = 300,                                                  \
                                .thread_count = 4})

/* Over an engine, which must outlive it and have no other user of its streams. */
mr_status mr_service_local_open(struct mr_service **service, mr_engine *engine,
                                const struct mr_service_config *config, mr_error *error);

/* What a local service has counted, as of now; in the arena. Any thread. */
const struct mr_figures *mr_service_local_figures(struct mr_service *service,
                                                  struct mr_arena *arena);

/* The clock was set ahead: what is due by now is done now. */
void mr_service_local_hurry(struct mr_service *service);

/* The stream that a call is about, if its request says so in any way that it may: "" if not. */
void mr_service_local_stream_of(struct mr_service *service, enum mr_action action,
                                const void *request, char name[MR_NAME_BYTES_MAX + 1]);

#endif
