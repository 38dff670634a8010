/*
 * front.h - what the front end of Kinesis makes of an HTTP request before an operation begins, in the
 * order of its checks: method, body, content type, syntax, operation, authentication, types.
 */
#ifndef MR_SERVER_FRONT_H
#define MR_SERVER_FRONT_H

#include "server/guard.h"
#include "wire/wire.h"

enum mr_front_verdict {
    MR_FRONT_CALL,      /* action, format, region and structure are filled */
    MR_FRONT_REFUSED,   /* refusal, to be told in format */
    MR_FRONT_FORBIDDEN, /* nobody knows what is asked: 403, in XML */
    MR_FRONT_UNKNOWN,   /* 404, in XML */
    MR_FRONT_PLAIN,     /* application/json is not spoken: refusal, in a form of its own */
    MR_FRONT_PREFLIGHT, /* a browser asks whether it may ask */
    MR_FRONT_HEALTH,
};

struct mr_front {
    enum mr_front_verdict verdict;
    enum mr_action action;
    enum mr_format format;
    mr_bytes region;     /* of the credential; absent if there is none */
    mr_bytes key_id;     /* the same */
    void *structure;     /* the action's request, in the arena */
    struct mr_pass pass; /* of a caller that was let in: end it, whatever the verdict */
    struct mr_refusal refusal;
};

/* The request and the arena must outlive what is in front. Without a guard (NULL) whoever says that
 * he has signed may do anything. */
void mr_front_read(const struct mr_request *request, struct mr_guard *guard, struct mr_arena *arena,
                   struct mr_front *front);

#endif
