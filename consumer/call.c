/* call.c - calls of the service that wait for their answer, and what its refusals mean to us. */
#include "inside.h"

#include "base/fail.h"

#include <string.h>

mr_bytes mr_bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

mr_status mr_refusal_status(const struct mr_refusal *refusal, mr_error *error)
{
    const char *name = mr_exceptions[refusal->type].name;
    int size = refusal->message.size < 180 ? (int)refusal->message.size : 180;
    const char *message = refusal->message.data ? refusal->message.data : "";
    mr_status status;

    switch (refusal->type) {
    case MR_EXCEPTION_NONE:
        return MR_OK;
    case MR_EXCEPTION_NOT_FOUND:
        status = MR_NOT_FOUND;
        break;
    case MR_EXCEPTION_EXPIRED_ITERATOR:
    case MR_EXCEPTION_EXPIRED_NEXT_TOKEN:
        status = MR_EXPIRED;
        break;
    case MR_EXCEPTION_LIMIT_EXCEEDED:
    case MR_EXCEPTION_THROUGHPUT_EXCEEDED:
    case MR_EXCEPTION_KMS_THROTTLING:
        status = MR_THROTTLED;
        break;
    case MR_EXCEPTION_IN_USE:
        status = MR_BUSY;
        break;
    case MR_EXCEPTION_ACCESS_DENIED:
    case MR_EXCEPTION_KMS_ACCESS_DENIED:
    case MR_EXCEPTION_INVALID_SIGNATURE:
    case MR_EXCEPTION_MISSING_TOKEN:
    case MR_EXCEPTION_INCOMPLETE_SIGNATURE:
    case MR_EXCEPTION_UNRECOGNIZED_CLIENT:
    case MR_EXCEPTION_EXPIRED_TOKEN:
        status = MR_DENIED;
        break;
    case MR_EXCEPTION_INVALID_ARGUMENT:
    case MR_EXCEPTION_VALIDATION:
    case MR_EXCEPTION_SERIALIZATION:
        status = MR_INVALID;
        break;
    default:
        status = MR_UNAVAILABLE;
    }
    return mr_fail(error, status, "%s: %.*s", name, size, message);
}

static void finish(struct mr_call *call)
{
    _Atomic uint32_t *is_done = call->context;

    atomic_store(is_done, 1);
    mr_word_wake(is_done, true);
}

mr_status mr_call_wait(struct mr_consumer *consumer, enum mr_action action, const void *request,
                       struct mr_arena *arena, struct mr_call *call, mr_error *error)
{
    _Atomic uint32_t is_done = 0;

    *call = (struct mr_call){.action = action,
                             .request = (void *)(uintptr_t)request,
                             .arena = arena,
                             .done = finish,
                             .context = (void *)&is_done};
    consumer->service->call(consumer->service, call);
    while (!atomic_load(&is_done))
        mr_word_wait(&is_done, 0, 1000);
    return mr_refusal_status(&call->refusal, error);
}
