/*
 * api.h - a service over an engine in a fresh directory, called as one would over the network: with
 * the name of an action and a body in JSON. It is called directly, or through the client over HTTP
 * and a server in this process: each test runs in every way.
 */
#ifndef MR_TESTS_API_H
#define MR_TESTS_API_H

#include "wire/wire.h"

enum api_way { API_LOCAL, API_REMOTE_CBOR, API_REMOTE_JSON };
extern enum api_way api_way; /* of the next api_open() */

/* Runs a group of tests in every way, one after the other, until one fails; what main() returns. */
#define api_run_group(tests)                                                                       \
    ((api_way = API_LOCAL, cmocka_run_group_tests_name("local", tests, NULL, NULL)) ||             \
     (api_way = API_REMOTE_CBOR,                                                                   \
      cmocka_run_group_tests_name("remote, CBOR", tests, NULL, NULL)) ||                           \
     (api_way = API_REMOTE_JSON, cmocka_run_group_tests_name("remote, JSON", tests, NULL, NULL)))

struct api {
    mr_engine *engine;
    struct mr_service *service;
    enum api_way way;
    struct mr_kinesis *kinesis; /* of a remote one: what answers it */
    struct mr_server *server;
    struct mr_service_config config;
    struct mr_engine_config engine_config;
    char directory[200];
    char key_file[208];    /* beside it */
    struct mr_clock clock; /* stands still but for what is added to advance_ms */
    int64_t began_ms;
    _Atomic int64_t advance_ms;
    const struct mr_caller *caller; /* of calls in this process; NULL: one who may do anything */
    struct mr_call_origin *origin;  /* of calls; NULL: none */
    struct mr_pack text;            /* the last answer */
    struct mr_subscription *subscription;
    _Atomic uint32_t is_ready; /* its event */
};

/* Without limits and delays. */
struct api *api_open(void);
/* With these: set them in api->config and api->engine_config, then reopen. */
void api_reopen(struct api *api);
void api_close(struct api *api);

/* Fixtures: *state is a struct api, the second's with a stream "s" of one shard. */
int api_set_up(void **state);
int api_set_up_stream(void **state);
int api_tear_down(void **state);

/* What it answers: the body, "" for none, or "SomeException: message". Valid until the next call. */
const char *api_call(struct api *api, const char *action, const char *body);

/* The same with a body by printf's rules. */
__attribute__((format(printf, 3, 4))) const char *api_callf(struct api *api, const char *action,
                                                            const char *format, ...);

/* Fails the test unless it answers just that; with a success, "". */
void api_expect(struct api *api, const char *action, const char *body, const char *expected);
/* ... unless its answer has that in it. */
void api_expect_part(struct api *api, const char *action, const char *body, const char *part);
/* ... unless it succeeds. */
void api_must(struct api *api, const char *action, const char *body);

/* Fails the test unless the answer begins with that. */
void api_begins(const char *answer, const char *start);

/* The text member of that name in the last answer; fresh memory: mr_free() it. */
char *api_text(struct api *api, const char *name);

/* The next event as JSON, "" if there is none within wait_ms, "END" or the exception at the end. */
const char *api_event(struct api *api, uint32_t wait_ms);

#endif
