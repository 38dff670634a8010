#include "service/access.h"

#include "service/policy_inside.h"

#include <string.h>

/* ---- texts -------------------------------------------------------------------------------- */

static bool equal(mr_bytes a, mr_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static uint8_t folded(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

/* '*' is any text, '?' any byte. Only the last '*' needs to be tried again. */
static bool fits(mr_bytes pattern, mr_bytes text, bool folds_case)
{
    const uint8_t *p = pattern.data, *p_end = p + pattern.size, *star = NULL;
    const uint8_t *t = text.data, *t_end = t + text.size, *tried = t;

    while (t < t_end) {
        if (p < p_end && *p == '*') {
            star = ++p;
            tried = t;
        } else if (p < p_end &&
                   (*p == '?' || *p == *t || (folds_case && folded(*p) == folded(*t)))) {
            p++;
            t++;
        } else if (star) {
            p = star;
            t = ++tried;
        } else {
            return false;
        }
    }
    while (p < p_end && *p == '*')
        p++;
    return p == p_end;
}

/* Wildcards do not reach from one of an ARN's parts into the next. */
static bool fits_arn(mr_bytes pattern, mr_bytes arn)
{
    mr_bytes pattern_part, part;

    if (mr_policy_text_is(pattern, "*"))
        return true;
    for (int i = 0; i < ARN_COLONS; i++)
        if (!mr_policy_cut(&pattern, &pattern_part) || !mr_policy_cut(&arn, &part) ||
            !fits(pattern_part, part, false))
            return false;
    return fits(pattern, arn, false);
}

/* ---- asking ------------------------------------------------------------------------------- */

static bool is_about_action(const struct mr_policy_statement *statement, mr_bytes action)
{
    const struct mr_policy_text *text = statement->actions;

    while (text && !fits(text->bytes, action, true))
        text = text->next;
    return (text != NULL) != statement->negates_actions;
}

static bool is_about_resource(const struct mr_policy_statement *statement, mr_bytes resource)
{
    const struct mr_policy_text *text = statement->resources;

    while (text && !fits_arn(text->bytes, resource))
        text = text->next;
    return (text != NULL) != statement->negates_resources;
}

/* "arn:aws:iam::ACCOUNT:root" is the account, too. */
static bool names_account(mr_bytes principal, mr_bytes account)
{
    mr_bytes part = {0};

    if (equal(principal, account))
        return true;
    for (int i = 0; i < ARN_COLONS; i++)
        if (!mr_policy_cut(&principal, &part))
            return false;
    return equal(part, account) && mr_policy_text_is(principal, "root");
}

/* How a statement is about the caller: NONE, ALLOW_ACCOUNT or ALLOW, whatever its effect. */
static enum mr_opinion about_caller(const struct mr_policy_statement *statement,
                                    const struct mr_policy_question *question)
{
    enum mr_opinion about = statement->is_about_all ? MR_OPINION_ALLOW : MR_OPINION_NONE;

    for (const struct mr_policy_text *text = statement->principals; text; text = text->next) {
        if (mr_policy_text_is(text->bytes, "*") || equal(text->bytes, question->caller))
            return MR_OPINION_ALLOW;
        if (names_account(text->bytes, question->account))
            about = MR_OPINION_ALLOW_ACCOUNT;
    }
    return about;
}

enum mr_opinion mr_policy_ask(const struct mr_policy *policy,
                              const struct mr_policy_question *question)
{
    enum mr_opinion opinion = MR_OPINION_NONE;

    for (const struct mr_policy_statement *each = policy->statements; each; each = each->next) {
        enum mr_opinion about =
            policy->kind == MR_POLICY_IDENTITY ? MR_OPINION_ALLOW : about_caller(each, question);

        if (about == MR_OPINION_NONE || !is_about_action(each, question->action) ||
            !is_about_resource(each, question->resource))
            continue;
        if (each->denies)
            return MR_OPINION_DENY;
        if (!each->is_conditional && about > opinion)
            opinion = about;
    }
    return opinion;
}
