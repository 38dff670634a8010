/*
 * load.h - a load generator: so many connections over epoll, each of which always has one request
 * under way. Requests are prepared in advance and answers only measured, so that what is measured is
 * the server: whichever it is, the generator is the same.
 */
#ifndef MR_BENCH_LOAD_H
#define MR_BENCH_LOAD_H

#include "bench/bench.h"

struct mr_load {
    uint16_t port; /* of 127.0.0.1 */
    unsigned connection_count, thread_count;
    uint32_t warm_ms;         /* answers count only after this */
    const mr_bytes *requests; /* whole ones, in HTTP/1.1; sent in turn */
    size_t request_count;
    const char *expected; /* in each answer's first bytes behind the head; NULL: nothing. The status
                             must be 200 */

    /* Of the last window: */
    struct mr_bench_spread spread; /* from a request's first byte to its answer's last */
    double answer_bytes_per_s;
};

/* Answers a second. Exits if the server closes a connection or an answer is not as expected. */
double mr_load_run(struct mr_load *load, uint32_t window_ms);

/* A connection, blocking; exits if there is none. */
int mr_load_connect(uint16_t port);

/* Sends one request and returns the body of its answer, which must have the status 200 and a
 * content-length; valid until the next call. */
mr_bytes mr_load_call(uint16_t port, mr_bytes request);

/* An answer's head, if it is complete: its size, else 0. Exits if the status is not 200. */
size_t mr_load_head(const char *bytes, size_t size, uint64_t *body_bytes, bool *is_chunked);

#endif
