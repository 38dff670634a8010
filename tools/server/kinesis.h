/* kinesis.h - the Kinesis API over HTTP: a handler for server.h that calls a service. */
#ifndef MR_SERVER_KINESIS_H
#define MR_SERVER_KINESIS_H

#include "server/server.h"

struct mr_kinesis;
struct mr_service;
struct mr_guard;
struct mr_audit;
struct mr_faults;
struct mr_warp;

enum mr_reach { MR_REACH_LOCAL, MR_REACH_ALL, MR_REACH_NONE }; /* who may ask */

/* A number or text that is 0 takes the service's default. */
struct mr_kinesis_config {
    const char *account_id;
    const char *region; /* of all ARNs; NULL: that of the caller's credential */
    uint32_t shard_count_max;
    uint32_t state_delay_ms; /* 0 is 0 */
    bool has_limits;         /* of calls and of fan-out; those of shards are the engine's */
    /* All of these must outlive it. */
    struct mr_guard *guard;   /* lets in who is allowed to; NULL: everybody */
    struct mr_audit *audit;   /* hears of each call; NULL: none */
    struct mr_faults *faults; /* NULL: none */
    struct mr_warp *warp;     /* the service's clock; NULL: the real one */
    bool has_admin;           /* /admin, which wants both of these */
    enum mr_reach metrics;    /* for GET /metrics */
};

/* Over a service of the engine, which must outlive it. */
mr_status mr_kinesis_open(struct mr_kinesis **kinesis, mr_engine *engine,
                          const struct mr_kinesis_config *config, mr_error *error);

/* Over any service, which it closes in the end; has_region: it has its own. */
struct mr_kinesis *mr_kinesis_of(struct mr_service *service, bool has_region);
/* The same as in the config, before any request. */
void mr_kinesis_attend(struct mr_kinesis *kinesis, const struct mr_kinesis_config *config);

/* A handler; the context is the struct mr_kinesis. */
void mr_kinesis_handle(void *context, const struct mr_request *request);

/* Waits for the calls under way: between stopping the server and closing it. */
void mr_kinesis_drain(struct mr_kinesis *kinesis);

/* When the server is closed. NULL is allowed. */
void mr_kinesis_close(struct mr_kinesis *kinesis);

#endif
