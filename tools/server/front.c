#include "server/front.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SERVICE "Kinesis_20131202"
#define REGION_BYTES_MAX 32
#define NOTHING_KNOWN MR_SHAPE_describe_limits_request /* has no members: reads only the syntax */

/* ---- texts -------------------------------------------------------------------------------- */

static bool is_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && strncasecmp(bytes.data, text, bytes.size) == 0;
}

/* Cuts off and returns what is before the first of the separators; false: nothing is left. */
static bool take_part(mr_bytes *rest, const char *separators, mr_bytes *part)
{
    const char *at = rest->data;
    size_t size = 0;

    if (!at)
        return false;
    while (size < rest->size && !strchr(separators, at[size]))
        size++;
    *part = (mr_bytes){at, size};
    *rest = size < rest->size ? (mr_bytes){at + size + 1, rest->size - size - 1} : (mr_bytes){0};
    return true;
}

static mr_bytes trim(mr_bytes text)
{
    const char *at = text.data;

    while (text.size && isspace((unsigned char)*at)) {
        at++;
        text.size--;
    }
    while (text.size && isspace((unsigned char)at[text.size - 1]))
        text.size--;
    return (mr_bytes){at, text.size};
}

/* The value of "name=value"; absent if the part is another or the value empty. */
static mr_bytes value_of(mr_bytes part, const char *name)
{
    size_t size = strlen(name);
    const char *at = part.data;

    if (part.size <= size + 1 || memcmp(at, name, size) != 0 || at[size] != '=')
        return (mr_bytes){0};
    return (mr_bytes){at + size + 1, part.size - size - 1};
}

static mr_bytes find_value(mr_bytes text, const char *separators, const char *name)
{
    mr_bytes part, value = {0};

    while (!value.data && take_part(&text, separators, &part))
        value = value_of(part, name);
    return value;
}

/* ---- authentication ----------------------------------------------------------------------- */

static bool refuse(struct mr_refusal *refusal, enum mr_exception type, mr_bytes message)
{
    *refusal = (struct mr_refusal){type, message};
    return false;
}

/* "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=..." */
static bool header_is_whole(const struct mr_request *request, mr_bytes header,
                            struct mr_arena *arena, struct mr_refusal *refusal)
{
    static const char *const names[] = {"Credential", "Signature", "SignedHeaders"};
    char message[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!find_value(header, ", ", names[i]).data)
            used += (size_t)snprintf(message + used, sizeof message - used,
                                     "Authorization header requires '%s' parameter. ", names[i]);
    if (!mr_request_field(request, "x-amz-date").size && !mr_request_field(request, "date").size)
        used += (size_t)snprintf(message + used, sizeof message - used,
                                 "Authorization header requires existence of either a "
                                 "'X-Amz-Date' or a 'Date' header. ");
    if (used == 0)
        return true;
    return refuse(refusal, MR_EXCEPTION_INCOMPLETE_SIGNATURE,
                  mr_arena_print(arena, "%sAuthorization=%.*s", message, (int)header.size,
                                 (const char *)header.data));
}

static bool query_is_whole(mr_bytes query, struct mr_arena *arena, struct mr_refusal *refusal)
{
    static const char *const names[] = {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature",
                                        "X-Amz-SignedHeaders", "X-Amz-Date"};
    char message[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!find_value(query, "&", names[i]).data)
            used += (size_t)snprintf(message + used, sizeof message - used,
                                     "AWS query-string parameters must include '%s'. ", names[i]);
    if (used == 0)
        return true;
    return refuse(refusal, MR_EXCEPTION_INCOMPLETE_SIGNATURE,
                  mr_arena_print(arena, "%sRe-examine the query-string parameters.", message));
}

static bool has_parameter(mr_bytes query, const char *name)
{
    mr_bytes part, part_name;

    while (take_part(&query, "&", &part))
        if (take_part(&part, "=", &part_name) && is_text(part_name, name))
            return true;
    return false;
}

/* Whether the request is signed at all; not whether by whom it says. */
static bool is_signed(const struct mr_request *request, struct mr_arena *arena,
                      struct mr_refusal *refusal)
{
    static const char both[] = "Found both 'X-Amz-Algorithm' as a query-string param and "
                               "'Authorization' as HTTP header.",
                      none[] = "Missing Authentication Token";
    mr_bytes header = mr_request_field(request, "authorization");
    bool has_query = has_parameter(request->query, "X-Amz-Algorithm");

    if (header.size && has_query)
        return refuse(refusal, MR_EXCEPTION_INVALID_SIGNATURE, (mr_bytes){both, sizeof both - 1});
    if (header.size)
        return header_is_whole(request, header, arena, refusal);
    if (has_query)
        return query_is_whole(request->query, arena, refusal);
    return refuse(refusal, MR_EXCEPTION_MISSING_TOKEN, (mr_bytes){none, sizeof none - 1});
}

/* Up to the next slash, which in a query is written "%2F". */
static bool take_field(mr_bytes *rest, mr_bytes *field)
{
    const char *end;

    if (!take_part(rest, "/%", field))
        return false;
    end = (const char *)field->data + field->size;
    if (rest->size >= 2 && *end == '%' && strncasecmp(rest->data, "2F", 2) == 0)
        *rest = (mr_bytes){end + 3, rest->size - 2};
    return true;
}

/* Of a credential: "KEY/DATE/REGION/kinesis/aws4_request". */
static mr_bytes region_of(const struct mr_request *request)
{
    mr_bytes header = mr_request_field(request, "authorization"), part = {0}, credential;

    credential = header.size ? find_value(header, ", ", "Credential")
                             : find_value(request->query, "&", "X-Amz-Credential");
    for (unsigned i = 0; i < 3; i++)
        if (!take_field(&credential, &part))
            return (mr_bytes){0};
    for (size_t i = 0; i < part.size; i++)
        if (!isalnum(((const unsigned char *)part.data)[i]) && ((const char *)part.data)[i] != '-')
            return (mr_bytes){0};
    return part.size && part.size <= REGION_BYTES_MAX ? part : (mr_bytes){0};
}

/* ---- the request -------------------------------------------------------------------------- */

/* X-Amz-Target: service and operation, either of which may be empty. */
struct target {
    mr_bytes service, operation;
    enum mr_action action; /* MR_ACTION_COUNT: unknown */
};

static struct target target_of(const struct mr_request *request)
{
    mr_bytes field = mr_request_field(request, "x-amz-target");
    struct target target = {.action = MR_ACTION_COUNT};

    if (take_part(&field, ".", &target.service))
        target.operation = field;
    if (target.operation.data && is_text(target.service, SERVICE))
        target.action = mr_action_find(target.operation);
    return target;
}

static enum mr_front_verdict read_plain(const struct mr_request *request, struct mr_arena *arena,
                                        struct mr_front *front)
{
    if (mr_decode(MR_FORMAT_JSON, request->body, NOTHING_KNOWN, arena, &front->structure,
                  &front->refusal))
        front->refusal.type = MR_EXCEPTION_UNKNOWN_OPERATION;
    return MR_FRONT_PLAIN;
}

static enum mr_front_verdict read_call(const struct mr_request *request, struct mr_arena *arena,
                                       struct mr_front *front)
{
    bool is_known = front->action != MR_ACTION_COUNT;
    enum mr_shape_id shape = is_known ? mr_actions[front->action].request : NOTHING_KNOWN;
    struct mr_refusal refusal;
    bool is_decoded =
        mr_decode(front->format, request->body, shape, arena, &front->structure, &front->refusal);

    if (!is_decoded && !front->refusal.message.data)
        return MR_FRONT_REFUSED;
    if (!is_known) {
        front->refusal = (struct mr_refusal){.type = MR_EXCEPTION_UNKNOWN_OPERATION};
        return MR_FRONT_REFUSED;
    }
    if (!is_signed(request, arena, &refusal)) {
        front->refusal = refusal;
        return MR_FRONT_REFUSED;
    }
    if (!is_decoded)
        return MR_FRONT_REFUSED;
    front->region = region_of(request);
    return MR_FRONT_CALL;
}

static enum mr_front_verdict read_post(const struct mr_request *request, struct mr_arena *arena,
                                       struct mr_front *front)
{
    mr_bytes field = mr_request_field(request, "content-type"), type = {0};
    struct target target = target_of(request);

    take_part(&field, ";", &type);
    type = trim(type);
    front->action = target.action;
    front->format = is_text(type, mr_format_type(MR_FORMAT_JSON)) ? MR_FORMAT_JSON : MR_FORMAT_CBOR;
    if (request->body.size == 0) {
        front->refusal.type = target.action == MR_ACTION_COUNT ? MR_EXCEPTION_UNKNOWN_OPERATION
                                                               : MR_EXCEPTION_SERIALIZATION;
        return MR_FRONT_REFUSED;
    }
    if (is_text(type, "application/json"))
        return read_plain(request, arena, front);
    if (!is_text(type, mr_format_type(front->format)))
        return target.service.size && target.operation.size ? MR_FRONT_UNKNOWN : MR_FRONT_FORBIDDEN;
    return read_call(request, arena, front);
}

void mr_front_read(const struct mr_request *request, struct mr_arena *arena, struct mr_front *front)
{
    *front = (struct mr_front){.action = MR_ACTION_COUNT};
    if (is_text(request->method, "POST"))
        front->verdict = read_post(request, arena, front);
    else if (is_text(request->method, "GET") && is_text(request->path, "/health"))
        front->verdict = MR_FRONT_HEALTH;
    else if (is_text(request->method, "OPTIONS") && mr_request_field(request, "origin").size)
        front->verdict = MR_FRONT_PREFLIGHT;
    else
        front->verdict = MR_FRONT_FORBIDDEN;
}
