/*
 * audit.h - a log of calls: a line of JSON each, in the fields of CloudTrail. What was put or read is not
 * in it, nor are partition keys, iterators, tokens and signatures.
 *
 * A line is written when its call is answered, whole, before the answer is sent.
 */
#ifndef MR_SERVER_AUDIT_H
#define MR_SERVER_AUDIT_H

#include "server/server.h"
#include "service/service.h"

struct mr_audit;

struct mr_audit_config {
    const char *path;
    const char *account_id, *region; /* where a call has none */
    void (*diag)(void *context, const char *line);
    void *diag_context;
};

/* Appends to the file, which it makes for its owner alone. IO. */
mr_status mr_audit_open(struct mr_audit **audit, const struct mr_audit_config *config,
                        mr_error *error);
/* Opens the file of that name again: somebody has moved the old one away. */
mr_status mr_audit_reopen(struct mr_audit *audit, mr_error *error);
void mr_audit_close(struct mr_audit *audit); /* NULL is allowed */

struct mr_audit_call {
    const struct mr_request *request;
    enum mr_action action;
    const void *structure; /* its request; NULL: it could not be read */
    const struct mr_caller *caller;
    mr_bytes key_id, region;
    const char *request_id;
    const struct mr_refusal *refusal; /* type NONE: success */
};
void mr_audit_note(struct mr_audit *audit, const struct mr_audit_call *call);

#endif
