/* name.c - names and ARNs: what a request means, and what we answer. */
#include "service/inside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- texts -------------------------------------------------------------------------------- */

mr_bytes mr_text_copy(struct mr_call *call, const char *text)
{
    size_t size = strlen(text);
    mr_bytes copy = mr_arena_copy(call->arena, (mr_bytes){text, size + 1});

    return (mr_bytes){copy.data, size};
}

bool mr_text_is(mr_bytes text, const char *other)
{
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

/* ---- refusals ----------------------------------------------------------------------------- */

bool mr_refuse(struct mr_call *call, enum mr_exception type, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof text)
        size = sizeof text - 1;
    call->refusal = (struct mr_refusal){
        type, mr_arena_copy(call->arena, (mr_bytes){text, size > 0 ? (size_t)size : 0})};
    return false;
}

bool mr_refuse_no_stream(struct mr_call *call, const char *stream, const char *account)
{
    return mr_refuse(call, MR_EXCEPTION_NOT_FOUND, "Stream %s under account %s not found.", stream,
                     account);
}

bool mr_refuse_status(struct mr_local *local, struct mr_call *call, const char *stream,
                      mr_status status, const mr_error *error)
{
    switch (status) {
    case MR_NOT_FOUND:
    case MR_CLOSED:
        return mr_refuse_no_stream(call, stream, local->account);
    case MR_LIMIT:
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED, "%s", error->message);
    case MR_INVALID:
    case MR_CONFLICT:
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "%s", error->message);
    case MR_THROTTLED:
        return mr_refuse(call, MR_EXCEPTION_THROUGHPUT_EXCEEDED, "%s", error->message);
    case MR_NO_KEY:
        return mr_refuse(call, MR_EXCEPTION_KMS_NOT_FOUND, "%s", error->message);
    case MR_BUSY:
        return mr_refuse(call, MR_EXCEPTION_SERVICE_UNAVAILABLE, "%s", error->message);
    default:
        return mr_refuse(call, MR_EXCEPTION_INTERNAL_FAILURE, "%s", error->message);
    }
}

bool mr_goes_on(struct mr_call *call, struct mr_number dry_run)
{
    if (!dry_run.is_set || !dry_run.value)
        return true;
    return mr_refuse(call, MR_EXCEPTION_DRY_RUN,
                     "Request would have succeeded, but the DryRun parameter was specified.");
}

/* ---- ARNs --------------------------------------------------------------------------------- */

/* Takes what stands before the separator, and it. */
static bool take_until(mr_bytes *rest, const char *separator, mr_bytes *taken)
{
    const uint8_t *at =
        rest->size > 0 ? memmem(rest->data, rest->size, separator, strlen(separator)) : NULL;
    size_t size;

    if (!at)
        return false;
    size = (size_t)(at - (const uint8_t *)rest->data);
    *taken = (mr_bytes){rest->data, size};
    rest->data = at + strlen(separator);
    rest->size -= size + strlen(separator);
    return true;
}

static bool copy_name(char *to, size_t capacity, mr_bytes from)
{
    if (from.size == 0 || from.size >= capacity)
        return false;
    memcpy(to, from.data, from.size);
    to[from.size] = 0;
    return true;
}

/* arn:aws:kinesis:region:account:stream/name[/consumer/name:created] */
static bool read_arn(mr_bytes arn, struct mr_named *named)
{
    mr_bytes field, stream;
    int64_t created_s = 0;

    for (int i = 0; i < 4; i++)
        if (!take_until(&arn, ":", &field))
            return false;
    if (!take_until(&arn, ":", &field) ||
        !copy_name(named->account, sizeof named->account, field) ||
        !take_until(&arn, "stream/", &field) || field.size > 0)
        return false;
    if (!take_until(&arn, "/consumer/", &stream))
        return copy_name(named->name, sizeof named->name, arn);
    if (!copy_name(named->name, sizeof named->name, stream) || !take_until(&arn, ":", &field) ||
        !copy_name(named->consumer, sizeof named->consumer, field))
        return false;
    for (size_t i = 0; i < arn.size && i < 18; i++)
        created_s = created_s * 10 + (((const char *)arn.data)[i] - '0');
    named->consumer_created_s = created_s;
    return true;
}

bool mr_name_resource(struct mr_local *local, struct mr_call *call, mr_bytes arn,
                      struct mr_named *named)
{
    (void)local;
    memset(named, 0, sizeof *named);
    if (read_arn(arn, named))
        return true;
    return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Invalid ARN: %.*s", TEXT(arn));
}

bool mr_name_stream(struct mr_local *local, struct mr_call *call, mr_bytes name, mr_bytes arn,
                    struct mr_named *named)
{
    memset(named, 0, sizeof *named);
    memcpy(named->account, local->account, sizeof named->account);
    if (!name.data && !arn.data)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Either StreamName or StreamARN should be provided.");
    if (arn.data && (!mr_name_resource(local, call, arn, named) || named->consumer[0]))
        return named->consumer[0] ? mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                                              "Invalid StreamARN: %.*s", TEXT(arn))
                                  : false;
    if (arn.data && name.data && !mr_text_is(name, named->name))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "StreamName %.*s and StreamARN %.*s do not name the same stream.",
                         TEXT(name), TEXT(arn));
    if (!arn.data)
        copy_name(named->name, sizeof named->name, name);
    return true;
}

/* In the order in which it is looked for; an iterator and a list's token know theirs. */
void mr_service_local_stream_of(struct mr_service *service, enum mr_action action,
                                const void *request, char name[MR_NAME_BYTES_MAX + 1])
{
    static const char *const names[] = {"StreamName",  "StreamARN",     "ConsumerARN",
                                        "ResourceARN", "ShardIterator", "NextToken"};
    const struct mr_shape *shape = &mr_shapes[mr_actions[action].request];
    struct mr_named named = {.name = ""};
    struct mr_token token;

    name[0] = 0;
    for (size_t n = 0; n < sizeof names / sizeof *names && !name[0]; n++)
        for (size_t i = 0; i < shape->member_count; i++) {
            mr_bytes text;

            if (strcmp(shape->members[i].name, names[n]) != 0)
                continue;
            text = *(const mr_bytes *)mr_member_at(request, i);
            if (n == 0 && text.data)
                copy_name(name, MR_NAME_BYTES_MAX + 1, text);
            else if (n < 4 && text.data && read_arn(text, &named))
                memcpy(name, named.name, sizeof named.name);
            else if (text.data && mr_token_open((struct mr_local *)(void *)service, text, &token))
                memcpy(name, token.stream, sizeof token.stream);
        }
}

static mr_bytes region_of(const struct mr_local *local, const struct mr_call *call)
{
    return call->region.data && call->region.size < 33 ? call->region : mr_text(local->region);
}

/* What has no room is cut off, as by snprintf(). */
static size_t add(char arn[ARN_BYTES], size_t used, mr_bytes text)
{
    size_t room = ARN_BYTES - 1 - used, size = text.size < room ? text.size : room;

    if (size > 0)
        memcpy(arn + used, text.data, size);
    arn[used + size] = 0;
    return used + size;
}

/* By hand: where callers are told apart each call writes one. */
void mr_stream_arn(const struct mr_local *local, const struct mr_call *call, const char *name,
                   char arn[ARN_BYTES])
{
    const mr_bytes parts[] = {mr_text("arn:aws:kinesis:"), region_of(local, call), mr_text(":"),
                              mr_text(local->account),     mr_text(":stream/"),    mr_text(name)};
    size_t used = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        used = add(arn, used, parts[i]);
}

void mr_consumer_arn(const struct mr_local *local, const struct mr_call *call, const char *stream,
                     const struct mr_local_consumer *consumer, char arn[ARN_BYTES])
{
    mr_bytes region = region_of(local, call);

    snprintf(arn, ARN_BYTES, "arn:aws:kinesis:%.*s:%s:stream/%s/consumer/%s:%" PRId64, TEXT(region),
             local->account, stream, consumer->name, consumer->created_ms / 1000);
}
