/* policy.c - resource policies: kept as they are, and not enforced. */
#include "base/json.h"
#include "service/inside.h"

#include <stdio.h>
#include <string.h>

#define POLICY_BYTES_MAX 20480
#define PROPERTY_NAME_BYTES 200

static void property_name(const struct mr_named *named, char name[PROPERTY_NAME_BYTES])
{
    snprintf(name, PROPERTY_NAME_BYTES, PROPERTY_PREFIX ".policy/%s", named->consumer);
}

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
    mr_error error;
    mr_status status;

    property_name(named, name);
    status =
        mr_property_set(local->engine, named->name, name, policy, MR_ANY_VERSION, NULL, &error);
    if (status)
        mr_refuse_status(local, call, named->name, status, &error);
}

static bool is_object(mr_bytes text)
{
    struct mr_json json = mr_json_of(text);
    struct mr_json_value value;

    return mr_json_take(&json, &value) && mr_json_done(&json) && value.kind == MR_JSON_OBJECT;
}

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
        if (request->policy.size > POLICY_BYTES_MAX || !is_object(request->policy))
            mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                      "Policy must be a JSON object of at most %d bytes.", POLICY_BYTES_MAX);
        else
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
