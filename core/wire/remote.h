/*
 * remote.h - within the service over HTTP: its files share this.
 *
 * remote.c          opening, closing, and the loop of its thread
 * remote_config.c   what a config and the environment say
 * remote_attempt.c  one request out, one answer in, and whether to try again
 * remote_events.c   a subscription: events in as they are pulled
 *
 * A call becomes an exchange, which the thread owns. Callers are called from the loop itself, never
 * from within libcurl, so that they may do what they like to the service.
 */
#ifndef MR_WIRE_REMOTE_H
#define MR_WIRE_REMOTE_H

#include "millrace-remote.h"

#include "base/random.h"
#include "os/clock.h"
#include "os/thread.h"
#include "wire/credentials.h"
#include "wire/wire.h"

#include <curl/curl.h>

/* ---- exchanges ---------------------------------------------------------------------------- */

struct mr_events;

struct mr_exchange {
    struct mr_exchange *next;
    struct mr_remote *remote;
    struct mr_call *call;     /* NULL: answered, this is a subscription that runs */
    struct mr_events *events; /* of SubscribeToShard; its reader's once that is answered */
    struct mr_pack body, answer;
    uint32_t attempt;   /* from 1 on */
    uint64_t begins_ns; /* when it is time for the next */

    /* Of one attempt: */
    CURL *easy;
    struct curl_slist *fields;
    char reason[CURL_ERROR_SIZE];
    bool is_too_large;
};

/* ---- the service -------------------------------------------------------------------------- */

struct mr_remote_settings {
    struct mr_remote_config numbers; /* its texts are NULL */
    enum mr_format format;
    char *url, *host, *path; /* the host as in its field: with a port that is not the usual one */
    bool is_local;           /* on this machine: no proxy is asked */
    char *ca_file;           /* or NULL */
    char *profile;           /* or NULL */
    bool is_keyed;           /* the config had the credentials: no file has newer ones */
    struct mr_credentials credentials;
};

struct mr_remote {
    mr_service service;
    struct mr_remote_settings settings;
    struct mr_clock *clock;
    CURLM *multi;
    pthread_t thread;

    struct {
        pthread_mutex_t lock;
        struct mr_exchange *first, **last; /* calls that came */
        struct mr_events *news;            /* subscriptions that want something */
        bool is_closing;
    } inbox;

    /* The thread's own: */
    struct mr_exchange *ready, **ready_last; /* in their order */
    struct mr_exchange *resting;             /* until their time has come */
    size_t active_count;                     /* without subscriptions */
    struct mr_random random;
};

/* ---- remote_config.c ---------------------------------------------------------------------- */

mr_status mr_remote_settings_init(struct mr_remote_settings *settings,
                                  const struct mr_remote_config *config, mr_error *error);
void mr_remote_settings_fini(struct mr_remote_settings *settings);

/* ---- remote_attempt.c --------------------------------------------------------------------- */

/* Of the caller's thread: encodes the request. */
struct mr_exchange *mr_exchange_new(struct mr_remote *remote, struct mr_call *call);
void mr_exchange_free(struct mr_exchange *exchange);

/* Begins an attempt. */
void mr_exchange_begin(struct mr_exchange *exchange);

/* An attempt has ended: true if there is a response or a refusal in the call; false if there is
 * to be another, at begins_ns. */
bool mr_exchange_end(struct mr_exchange *exchange, CURLcode code);

/* ---- remote_events.c ---------------------------------------------------------------------- */

struct mr_events *mr_events_new(struct mr_exchange *exchange);
void mr_events_free(struct mr_events *events); /* NULL is allowed */

/* From within libcurl: takes bytes, or returns CURL_WRITEFUNC_PAUSE. */
size_t mr_events_write(struct mr_events *events, const void *bytes, size_t size);

/* An attempt has ended before the call was answered: the next begins anew. */
void mr_events_restart(struct mr_events *events);

/* The transfer of a subscription that runs has ended. */
void mr_events_end(struct mr_events *events, CURLcode code);

/* From the loop: answers calls, wakes readers, drops what was closed. */
void mr_events_serve(struct mr_remote *remote);

#endif
