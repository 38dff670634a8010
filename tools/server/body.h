/*
 * body.h - memory for request bodies: of few sizes, used again, and no more than a limit of them.
 * One loop's; not thread safe.
 */
#ifndef MR_SERVER_BODY_H
#define MR_SERVER_BODY_H

#include "millrace.h"

#define MR_BODY_SLACK_BYTES 64          /* readable behind each body: vector loads may look there */
#define MR_BODY_SMALL_BYTES (64u << 10) /* bodies up to here are not counted */
#define MR_BODY_SIZE_COUNT 7            /* 4 KiB, 16 KiB, ... 16 MiB */

/* Start from {0}. */
struct mr_body {
    uint8_t *data;
    size_t size, capacity;
    uint64_t reserved;
    struct mr_body *next; /* waits behind this one */
    bool is_waiting;
};

struct mr_bodies {
    uint64_t limit, reserved;
    struct mr_body *first, *last; /* waiting for others to end */
    void *free[MR_BODY_SIZE_COUNT];
    size_t free_bytes;
};

void mr_bodies_init(struct mr_bodies *bodies, uint64_t limit);
void mr_bodies_fini(struct mr_bodies *bodies);

/*
 * Reserves what a body of bytes needs. False: it has to wait; when its turn comes,
 * mr_bodies_next() returns it. A body alone is never refused.
 */
bool mr_body_reserve(struct mr_bodies *bodies, struct mr_body *body, uint64_t bytes);

/* The next waiting body that has its reservation now, or NULL. Ask after each release. */
struct mr_body *mr_bodies_next(struct mr_bodies *bodies);

/* Makes room for bytes altogether. */
void mr_body_extend(struct mr_bodies *bodies, struct mr_body *body, size_t bytes);

/* Gives all back; the body is {0} again. */
void mr_body_release(struct mr_bodies *bodies, struct mr_body *body);

#endif
