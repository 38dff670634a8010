#include "ask.h"

#include "base/fail.h"
#include "os/thread.h"

#include <string.h>

static const mr_status statuses[MR_EXCEPTION_COUNT] = {
    [MR_EXCEPTION_ACCESS_DENIED] = MR_DENIED,
    [MR_EXCEPTION_EXPIRED_ITERATOR] = MR_EXPIRED,
    [MR_EXCEPTION_EXPIRED_NEXT_TOKEN] = MR_EXPIRED,
    [MR_EXCEPTION_EXPIRED_TOKEN] = MR_DENIED,
    [MR_EXCEPTION_INCOMPLETE_SIGNATURE] = MR_DENIED,
    [MR_EXCEPTION_INVALID_ARGUMENT] = MR_INVALID,
    [MR_EXCEPTION_INVALID_SIGNATURE] = MR_DENIED,
    [MR_EXCEPTION_IN_USE] = MR_BUSY,
    [MR_EXCEPTION_KMS_ACCESS_DENIED] = MR_DENIED,
    [MR_EXCEPTION_KMS_NOT_FOUND] = MR_NO_KEY,
    [MR_EXCEPTION_LIMIT_EXCEEDED] = MR_LIMIT,
    [MR_EXCEPTION_MISSING_TOKEN] = MR_DENIED,
    [MR_EXCEPTION_NOT_FOUND] = MR_NOT_FOUND,
    [MR_EXCEPTION_SERIALIZATION] = MR_INVALID,
    [MR_EXCEPTION_THROUGHPUT_EXCEEDED] = MR_THROTTLED,
    [MR_EXCEPTION_UNRECOGNIZED_CLIENT] = MR_DENIED,
    [MR_EXCEPTION_VALIDATION] = MR_INVALID,
};

mr_status mr_refusal_fail(const struct mr_refusal *refusal, mr_error *error)
{
    mr_status status = statuses[refusal->type] ? statuses[refusal->type] : MR_UNAVAILABLE;
    char text[200];

    mr_text_take(text, sizeof text, refusal->message);
    return mr_fail(error, status, "%s", *text ? text : mr_exceptions[refusal->type].name);
}

static void wake(struct mr_call *call)
{
    _Atomic uint32_t *is_done = call->context;

    atomic_store(is_done, 1);
    mr_word_wake(is_done, true);
}

static mr_status ask(mr_service *service, enum mr_action action, const void *request,
                     struct mr_call_origin *origin, struct mr_arena *arena, const void **response,
                     mr_error *error)
{
    _Atomic uint32_t is_done = 0;
    struct mr_call call = {.action = action,
                           .request = (void *)(uintptr_t)request,
                           .arena = arena,
                           .origin = origin,
                           .done = wake,
                           .context = (void *)&is_done};

    service->call(service, &call);
    while (!atomic_load(&is_done))
        mr_word_wait(&is_done, 0, UINT32_MAX);
    if (call.refusal.type)
        return mr_refusal_fail(&call.refusal, error);
    if (response)
        *response = call.response;
    return MR_OK;
}

mr_status mr_ask(mr_service *service, enum mr_action action, const void *request,
                 struct mr_arena *arena, const void **response, mr_error *error)
{
    return ask(service, action, request, NULL, arena, response, error);
}

mr_status mr_ask_position(mr_service *service, const char *stream, const char *origin,
                          uint64_t *position, bool *is_known, mr_error *error)
{
    const struct mr_api_describe_stream_summary_request request = {.stream_name =
                                                                       mr_text_bytes(stream)};
    struct mr_call_origin asked = {.origin.name = origin};
    struct mr_arena arena = MR_ASK_ARENA;
    mr_status status =
        ask(service, MR_ACTION_DESCRIBE_STREAM_SUMMARY, &request, &asked, &arena, NULL, error);

    mr_arena_fini(&arena);
    *position = asked.position;
    *is_known = asked.is_known;
    return status;
}

void mr_text_take(char *text, size_t size, mr_bytes bytes)
{
    size_t used = bytes.size < size ? bytes.size : size - 1;

    if (used)
        memcpy(text, bytes.data, used);
    text[used] = 0;
}
