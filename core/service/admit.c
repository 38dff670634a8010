/*
 * admit.c - may the caller make this call? Every stream and consumer that its request names is asked
 * for, by the ARN it has here, whatever the request calls it.
 *
 * So what is not allowed happens in no way of asking for it (K6). A deny wins. Within the account it is
 * enough that the caller's policies or the resource's allow; from another account both must.
 */
#include "service/inside.h"

#include <stdio.h>
#include <string.h>

/* What a request may name of what it is about. */
enum { STREAM_NAME, CONSUMER_NAME, STREAM_ARN, CONSUMER_ARN, RESOURCE_ARN, TOKEN, MEMBER_COUNT };

struct asking {
    struct mr_local *local;
    struct mr_call *call;
    const char *action;
    mr_bytes members[MEMBER_COUNT]; /* absent if the request has none */
};

static const char *const actions[MR_ACTION_COUNT] = {
#define ACTION(NAME, name, Name, answer, rate, per) [MR_ACTION_##NAME] = "kinesis:" #Name,
#include "service/actions.def"
#undef ACTION
};

/* ---- one resource ------------------------------------------------------------------------- */

enum verdict { ALLOWED, NOT_ALLOWED, NOT_ALLOWED_THERE, DENIED, DENIED_THERE };

/* What the caller's own policies say. */
static enum mr_opinion ask_caller(const struct mr_caller *caller,
                                  const struct mr_policy_question *question)
{
    enum mr_opinion opinion = MR_OPINION_NONE;

    for (size_t i = 0; i < caller->policy_count && opinion != MR_OPINION_DENY; i++) {
        enum mr_opinion next = mr_policy_ask(caller->policies[i], question);

        if (next > opinion)
            opinion = next;
    }
    return opinion;
}

static enum verdict judge(const struct asking *asking, enum mr_opinion own, enum mr_opinion there)
{
    bool is_foreign = !mr_text_is(asking->call->caller->account, asking->local->account);

    if (own == MR_OPINION_DENY)
        return DENIED;
    if (there == MR_OPINION_DENY)
        return DENIED_THERE;
    if (is_foreign)
        return own != MR_OPINION_ALLOW    ? NOT_ALLOWED
               : there == MR_OPINION_NONE ? NOT_ALLOWED_THERE
                                          : ALLOWED;
    return own == MR_OPINION_ALLOW || there == MR_OPINION_ALLOW ? ALLOWED : NOT_ALLOWED;
}

static bool refuse(const struct asking *asking, enum verdict verdict, mr_bytes resource)
{
    static const char *const reasons[] = {
        [NOT_ALLOWED] = " because no identity-based policy allows the ",
        [NOT_ALLOWED_THERE] = " because no resource-based policy allows the ",
        [DENIED] = " with an explicit deny in an identity-based policy",
        [DENIED_THERE] = " with an explicit deny in a resource-based policy",
    };
    bool names_action = verdict == NOT_ALLOWED || verdict == NOT_ALLOWED_THERE;

    return mr_refuse(asking->call, MR_EXCEPTION_ACCESS_DENIED,
                     "User: %.*s is not authorized to perform: %s on resource: %.*s%s%s%s",
                     TEXT(asking->call->caller->arn), asking->action, TEXT(resource),
                     reasons[verdict], names_action ? asking->action : "",
                     names_action ? " action" : "");
}

/* stream is "" for what has no resource, consumer "" for the stream itself. */
static bool ask(const struct asking *asking, const char *stream, const char *consumer)
{
    const struct mr_caller *caller = asking->call->caller;
    struct mr_policy_question question = {.action = mr_text(asking->action),
                                          .resource = mr_text("*"),
                                          .caller = caller->arn,
                                          .account = caller->account};
    enum mr_opinion own, there = MR_OPINION_NONE;
    struct mr_local_consumer unknown = {0};
    const struct mr_local_consumer *found;
    struct mr_local_stream *kept;
    char arn[ARN_BYTES];
    enum verdict verdict;

    pthread_rwlock_rdlock(&asking->local->lock);
    kept = mr_local_find(asking->local, stream);
    if (consumer[0]) {
        snprintf(unknown.name, sizeof unknown.name, "%s", consumer);
        found = kept ? mr_local_consumer_find(asking->local, kept, consumer) : NULL;
        mr_consumer_arn(asking->local, asking->call, stream, found ? found : &unknown, arn);
        question.resource = mr_text(arn);
    } else if (stream[0]) {
        mr_stream_arn(asking->local, asking->call, stream, arn);
        question.resource = mr_text(arn);
    }
    if (kept)
        there = mr_policy_of(kept, consumer, &question);
    pthread_rwlock_unlock(&asking->local->lock);
    own = ask_caller(caller, &question);
    verdict = judge(asking, own, there);
    return verdict == ALLOWED || refuse(asking, verdict, question.resource);
}

/* ---- the request -------------------------------------------------------------------------- */

/* Of other lists a token says no more than the request itself. */
static const char *token_of(const struct mr_call *call)
{
    return call->action == MR_ACTION_LIST_SHARDS ? "NextToken" : "ShardIterator";
}

/* False: the request names nothing. */
static bool read_members(struct asking *asking)
{
    const struct mr_call *call = asking->call;
    const struct mr_shape *shape = &mr_shapes[mr_actions[call->action].request];
    const char *const names[MEMBER_COUNT] = {"StreamName",  "ConsumerName", "StreamARN",
                                             "ConsumerARN", "ResourceARN",  token_of(call)};
    bool is_any = false;

    for (size_t i = 0; i < shape->member_count; i++) {
        const mr_bytes *text = mr_member_at(call->request, i);

        if (shape->members[i].kind != MR_KIND_STRING || !text->data)
            continue;
        for (size_t j = 0; j < MEMBER_COUNT; j++)
            if (strcmp(shape->members[i].name, names[j]) == 0) {
                asking->members[j] = *text;
                is_any = is_any || j != CONSUMER_NAME;
            }
    }
    return is_any;
}

/* A consumer that is named beside its stream is what an action is about, if there is one already. */
static const char *consumer_beside(const struct asking *asking, struct mr_named *named)
{
    mr_bytes name = asking->members[CONSUMER_NAME];

    if (name.data && asking->call->action != MR_ACTION_REGISTER_STREAM_CONSUMER &&
        name.size < sizeof named->consumer) {
        memcpy(named->consumer, name.data, name.size);
        named->consumer[name.size] = 0;
    }
    return named->consumer;
}

static bool ask_arn(const struct asking *asking, mr_bytes arn)
{
    struct mr_named named;

    return !arn.data || (mr_name_resource(asking->local, asking->call, arn, &named) &&
                         ask(asking, named.name, consumer_beside(asking, &named)));
}

static bool ask_name(const struct asking *asking)
{
    mr_bytes name = asking->members[STREAM_NAME];
    struct mr_named named = {0};

    if (!name.data)
        return true;
    memcpy(named.name, name.data, name.size);
    return ask(asking, named.name, consumer_beside(asking, &named));
}

/* One that cannot be read is refused by the action itself. */
static bool ask_token(const struct asking *asking)
{
    mr_bytes text = asking->members[TOKEN];
    struct mr_token token;

    return !text.data || !mr_token_open(asking->local, text, &token) ||
           ask(asking, token.stream, "");
}

bool mr_local_admit(struct mr_local *local, struct mr_call *call)
{
    struct asking asking = {.local = local, .call = call, .action = actions[call->action]};

    if (!read_members(&asking))
        return ask(&asking, "", "");
    return ask_name(&asking) && ask_arn(&asking, asking.members[STREAM_ARN]) &&
           ask_arn(&asking, asking.members[CONSUMER_ARN]) &&
           ask_arn(&asking, asking.members[RESOURCE_ARN]) && ask_token(&asking);
}
