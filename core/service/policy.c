/*
 * policy.c - resource policies: stored as they are, and in memory as they are asked (access.h) when
 * callers are told apart.
 */
#include "base/memory.h"
#include "service/inside.h"

#include <stdio.h>
#include <string.h>

#define POLICY_BYTES_MAX 20480
#define PROPERTY_NAME_BYTES 200

static void property_name(const struct mr_named *named, char name[PROPERTY_NAME_BYTES])
{
    snprintf(name, PROPERTY_NAME_BYTES, MR_POLICY_PROPERTY "%s", named->consumer);
}

/* ---- in memory ---------------------------------------------------------------------------- */

struct mr_kept_policy {
    char consumer[MR_NAME_BYTES_MAX + 1];
    struct mr_policy *policy; /* NULL: there is one that is not understood, so it denies */
};

static struct mr_kept_policy *kept_policy(const struct mr_local_stream *stream,
                                          const char *consumer)
{
    for (size_t i = 0; i < stream->policy_count; i++)
        if (strcmp(stream->policies[i].consumer, consumer) == 0)
            return &stream->policies[i];
    return NULL;
}

static void forget(struct mr_local_stream *stream, struct mr_kept_policy *kept)
{
    mr_policy_free(kept->policy);
    *kept = stream->policies[--stream->policy_count];
}

void mr_policy_keep(struct mr_local_stream *stream, const char *consumer, mr_bytes document)
{
    struct mr_kept_policy *kept = kept_policy(stream, consumer);

    if (kept)
        forget(stream, kept);
    if (!document.data)
        return;
    mr_grow(stream->policies, stream->policy_count, stream->policy_capacity);
    kept = &stream->policies[stream->policy_count++];
    memset(kept, 0, sizeof *kept);
    snprintf(kept->consumer, sizeof kept->consumer, "%s", consumer);
    mr_policy_read(&kept->policy, MR_POLICY_RESOURCE, document, NULL);
}

void mr_policies_free(struct mr_local_stream *stream)
{
    while (stream->policy_count > 0)
        forget(stream, stream->policies);
    mr_free(stream->policies);
}

enum mr_opinion mr_policy_of(const struct mr_local_stream *stream, const char *consumer,
                             const struct mr_policy_question *question)
{
    const struct mr_kept_policy *kept = kept_policy(stream, consumer);

    if (!kept)
        return MR_OPINION_NONE;
    return kept->policy ? mr_policy_ask(kept->policy, question) : MR_OPINION_DENY;
}

/* ---- in the engine ------------------------------------------------------------------------ */

struct finding {
    struct mr_call *call;
    const char *name;
    mr_bytes policy;
};

static bool find(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct finding *finding = context;
    (void)version;

    if (strcmp(name, finding->name) == 0)
        finding->policy = mr_arena_copy(finding->call->arena, value);
    return !finding->policy.data;
}

/* Absent if there is none. */
static bool read_policy(struct mr_local *local, struct mr_call *call, const struct mr_named *named,
                        mr_bytes *policy)
{
    char name[PROPERTY_NAME_BYTES];
    struct finding finding = {.call = call, .name = name};
    mr_error error;
    mr_status status;

    property_name(named, name);
    status = mr_property_each(local->engine, named->name, name, find, &finding, &error);
    *policy = finding.policy;
    return !status || mr_refuse_status(local, call, named->name, status, &error);
}

static void write_policy(struct mr_local *local, struct mr_call *call, const struct mr_named *named,
                         mr_bytes policy)
{
    char name[PROPERTY_NAME_BYTES];
    struct mr_local_stream *stream;
    mr_error error;
    mr_status status;

    property_name(named, name);
    status =
        mr_property_set(local->engine, named->name, name, policy, MR_ANY_VERSION, NULL, &error);
    if (status) {
        mr_refuse_status(local, call, named->name, status, &error);
        return;
    }
    pthread_rwlock_wrlock(&local->lock);
    stream = mr_local_find(local, named->name);
    if (stream)
        mr_policy_keep(stream, named->consumer, policy);
    pthread_rwlock_unlock(&local->lock);
}

static bool check(struct mr_call *call, mr_bytes document)
{
    struct mr_policy *policy;
    mr_error error;

    if (document.size > POLICY_BYTES_MAX)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Policy must be at most %d bytes.",
                         POLICY_BYTES_MAX);
    if (mr_policy_read(&policy, MR_POLICY_RESOURCE, document, &error))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "%s", error.message);
    mr_policy_free(policy);
    return true;
}

/* ---- the actions -------------------------------------------------------------------------- */

void mr_do_get_resource_policy(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_get_resource_policy_request *request = call->request;
    struct mr_api_get_resource_policy_response *response = call->response;
    struct mr_named named;

    if (mr_local_look_resource(local, call, request->resource_arn, &named) &&
        read_policy(local, call, &named, &response->policy) && !response->policy.data)
        response->policy = mr_text("{}");
}

void mr_do_put_resource_policy(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_put_resource_policy_request *request = call->request;
    struct mr_named named;

    pthread_mutex_lock(&local->changing);
    if (mr_local_look_resource(local, call, request->resource_arn, &named)) {
        if (check(call, request->policy))
            write_policy(local, call, &named, request->policy);
    }
    pthread_mutex_unlock(&local->changing);
}

void mr_do_delete_resource_policy(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_delete_resource_policy_request *request = call->request;
    struct mr_named named;
    mr_bytes policy;

    pthread_mutex_lock(&local->changing);
    if (mr_local_look_resource(local, call, request->resource_arn, &named) &&
        read_policy(local, call, &named, &policy)) {
        if (policy.data)
            write_policy(local, call, &named, (mr_bytes){0});
        else
            mr_refuse(call, MR_EXCEPTION_NOT_FOUND,
                      "No resource policy found for resource ARN %.*s",
                      TEXT(request->resource_arn));
    }
    pthread_mutex_unlock(&local->changing);
}
