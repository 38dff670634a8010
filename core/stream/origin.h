/*
 * origin.h - puts that may come again (mr_put_from()): how far a stream has taken an origin is a property
 * of the stream, and its entry is appended with the records in one piece, so that both are there after a
 * crash or neither (S4).
 *
 * One put of an origin is under way at a time: what the catalog says of it holds until that is over.
 */
#ifndef MR_STREAM_ORIGIN_H
#define MR_STREAM_ORIGIN_H

#include "millrace.h"

#include <pthread.h>

struct mr_engine;
struct mr_origin_claim;

struct mr_origins {
    pthread_mutex_t lock;
    struct mr_origin_claim *claims; /* of the puts under way */
};

void mr_origins_init(struct mr_origins *origins);
void mr_origins_fini(struct mr_origins *origins); /* those that a crash (ABANDON) left, too */

/* INVALID. */
mr_status mr_origin_check(const mr_origin *origin, mr_error *error);

/*
 * The records may be put, and *claim has the entry to put with them until mr_origin_release(). Hold the
 * routes. BUSY: another put of this origin is under way; CONFLICT: the stream has these, or some of them.
 */
mr_status mr_origin_claim(struct mr_engine *engine, const char *stream, const mr_origin *origin,
                          struct mr_origin_claim **claim, mr_error *error);
mr_bytes mr_origin_entry(const struct mr_origin_claim *claim);
void mr_origin_release(struct mr_engine *engine, struct mr_origin_claim *claim); /* or NULL */

/* The property is such a position: it comes with records, and applying it never fails. */
bool mr_origin_is_property(mr_bytes name);

#endif
