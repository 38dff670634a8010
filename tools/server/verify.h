/*
 * verify.h - by whom a request says it is signed, and whether it is: Signature Version 4, in the
 * Authorization header or in the query.
 *
 * Nothing that was not signed counts: whatever of the request means something to us must be among
 * the signed headers, and the body's hash is always that of the body.
 */
#ifndef MR_SERVER_VERIFY_H
#define MR_SERVER_VERIFY_H

#include "base/arena.h"
#include "server/server.h"
#include "service/service.h"

#define MR_REGION_BYTES_MAX 32
#define MR_SKEW_S 300

struct mr_seal;

/* What a request says; nothing of it is true yet. */
struct mr_claim {
    bool is_query;
    mr_bytes key_id;                            /* of the credential, as are: */
    mr_bytes date, region, service, terminator; /* absent if it is no credential */
    mr_bytes scope;                             /* these four, with slashes */
    mr_bytes names;                             /* what is signed: "host;x-amz-date" */
    mr_bytes signature;
    mr_bytes written; /* the time, as it was sent */
    mr_bytes time;    /* ... as it is signed: "20150830T123600Z"; absent if it is none */
    int64_t time_s;   /* ... in seconds */
    mr_bytes token;   /* of the session; absent if there is none */
    mr_bytes expires; /* in seconds, of a query; absent if it says nothing */
};

/* False: a refusal, in Kinesis's words, as nobody has signed it, or not in a way that we can read
 * (spec 2.7). The claim may be part of the request and the arena. Its time is left unread. */
bool mr_claim_read(const struct mr_request *request, struct mr_arena *arena, struct mr_claim *claim,
                   struct mr_refusal *refusal);

/* Its time, as it is signed: in the basic format, which a Date field need not be in. False: it is none. */
bool mr_claim_read_time(struct mr_claim *claim, struct mr_arena *arena);

/* Whether the claim is one that could be true: everything but its signature. Reads its time. region
 * may be NULL. */
bool mr_claim_check(struct mr_claim *claim, const struct mr_request *request, const char *region,
                    int64_t now_ms, struct mr_arena *arena, struct mr_refusal *refusal);

/* Whether the request was signed with this key (mr_sign_key() of the claim's date and region). */
bool mr_claim_verify(const struct mr_claim *claim, const struct mr_request *request,
                     const struct mr_seal *key, struct mr_arena *arena, struct mr_refusal *refusal);

bool mr_region_is_valid(mr_bytes region);

/* Compares in a time that depends on the sizes only. */
bool mr_bytes_are_equal_secretly(mr_bytes a, mr_bytes b);

#endif
