/* policy_inside.h - a policy as it was read: what policy_read.c makes and access.c asks. */
#ifndef MR_SERVICE_POLICY_INSIDE_H
#define MR_SERVICE_POLICY_INSIDE_H

#include "base/arena.h"
#include "service/access.h"

#include <string.h>

#define ARN_COLONS 5

struct mr_policy_text {
    struct mr_policy_text *next;
    mr_bytes bytes;
};

/* NotAction and NotResource are the same, negated. */
struct mr_policy_statement {
    struct mr_policy_statement *next;
    bool denies, negates_actions, negates_resources, is_conditional;
    bool is_about_all; /* has a NotPrincipal: whom it spares is not judged */
    struct mr_policy_text *actions, *resources, *principals;
};

struct mr_policy {
    struct mr_arena arena; /* of all below */
    enum mr_policy_kind kind;
    struct mr_policy_statement *statements;
    bool is_conditional;
};

static inline bool mr_policy_text_is(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* Cuts off and returns what is before the first ':'; false: there is none. */
static inline bool mr_policy_cut(mr_bytes *rest, mr_bytes *part)
{
    const uint8_t *at = rest->size > 0 ? memchr(rest->data, ':', rest->size) : NULL;

    if (!at)
        return false;
    *part = (mr_bytes){rest->data, (size_t)(at - (const uint8_t *)rest->data)};
    *rest = (mr_bytes){at + 1, rest->size - part->size - 1};
    return true;
}

#endif
