/*
 * child.h - another program, and lines to its standard input and from its standard output.
 *
 * It is the first of a process group of its own, so that ^C is ours to pass on in good order; its
 * standard error is ours. Calls of one child come from one thread at a time.
 */
#ifndef MR_TOOLS_MULTILANG_CHILD_H
#define MR_TOOLS_MULTILANG_CHILD_H

#include "millrace.h"

#include <stdatomic.h>

/* When all children must be through with what they do: whoever waits for one learns of it. */
struct mr_curfew {
    int fd;                 /* readable from then on that there is one */
    _Atomic uint64_t at_ns; /* of mr_clock_real(); UINT64_MAX: none */
};
mr_status mr_curfew_init(struct mr_curfew *curfew, mr_error *error); /* IO */
void mr_curfew_fini(struct mr_curfew *curfew);
void mr_curfew_set(struct mr_curfew *curfew, uint64_t at_ns); /* once, from any thread */

struct mr_child;

/* NOT_FOUND: there is no such program (argv[0] is looked up in PATH); IO. */
mr_status mr_child_start(struct mr_child **child, char *const *argv, struct mr_curfew *curfew,
                         mr_error *error);

/*
 * Write all of it; read the next line, without its end, valid until the next call. A line of more
 * than MR_CHILD_LINE_BYTES is given cut. TIMEOUT: that moment of mr_clock_real() (UINT64_MAX: none)
 * or the curfew has come; CLOSED: it has ended, or closed its side; LIMIT: it talks and does not
 * listen; IO.
 */
#define MR_CHILD_LINE_BYTES (64u << 10)
mr_status mr_child_write(struct mr_child *child, mr_bytes bytes, uint64_t until_ns,
                         mr_error *error);
mr_status mr_child_read(struct mr_child *child, mr_bytes *line, uint64_t until_ns, mr_error *error);

/* Closes its input, lets it end by itself for grace_ms, kills what is left of its group. Writes how
 * it ended ("exited with 1") where text is not NULL. */
#define MR_CHILD_END_BYTES 64
void mr_child_end(struct mr_child *child, uint32_t grace_ms, char text[MR_CHILD_END_BYTES]);

#endif
