/*
 * access.h - who may do what: IAM's policies, read once and asked often.
 *
 * What a policy says and cannot be judged here - a Condition, a NotPrincipal - counts against the
 * caller: an Allow with it allows nothing, a Deny with it denies whatever else it fits.
 */
#ifndef MR_SERVICE_ACCESS_H
#define MR_SERVICE_ACCESS_H

#include "millrace.h"

struct mr_policy;

enum mr_policy_kind {
    MR_POLICY_IDENTITY, /* of a user: has no Principal */
    MR_POLICY_RESOURCE, /* of a stream or a consumer: has one */
};

#define MR_POLICY_BYTES_MAX (64u << 10)

/* INVALID: what is wrong with the document; LIMIT. The document may go afterwards. */
mr_status mr_policy_read(struct mr_policy **policy, enum mr_policy_kind kind, mr_bytes document,
                         mr_error *error);
void mr_policy_free(struct mr_policy *policy); /* NULL is allowed */
/* Has it something that cannot be judged here? */
bool mr_policy_is_conditional(const struct mr_policy *policy);

struct mr_policy_question {
    mr_bytes action;          /* "kinesis:PutRecord" */
    mr_bytes resource;        /* an ARN; or "*", if the action has none */
    mr_bytes caller, account; /* the caller's ARN, and the account it belongs to */
};

enum mr_opinion {
    MR_OPINION_NONE,
    MR_OPINION_ALLOW_ACCOUNT, /* allows the account, which must allow the caller */
    MR_OPINION_ALLOW,
    MR_OPINION_DENY,
};
enum mr_opinion mr_policy_ask(const struct mr_policy *policy,
                              const struct mr_policy_question *question);

#endif
