#include "server/front.h"

#include "server/part.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SERVICE "Kinesis_20131202"
#define NOTHING_KNOWN MR_SHAPE_describe_limits_request /* has no members: reads only the syntax */

/* ---- texts -------------------------------------------------------------------------------- */

static bool is_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && strncasecmp(bytes.data, text, bytes.size) == 0;
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

    if (mr_part_take(&field, ".", &target.service))
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

/* By whom it says it is signed, and with a guard: whether it is. */
static bool read_caller(const struct mr_request *request, struct mr_guard *guard,
                        struct mr_arena *arena, struct mr_front *front, struct mr_refusal *refusal)
{
    struct mr_claim claim;

    if (!mr_claim_read(request, arena, &claim, refusal))
        return false;
    if (mr_region_is_valid(claim.region))
        front->region = claim.region;
    front->key_id = claim.key_id;
    return !guard || mr_guard_admit(guard, request, &claim, arena, &front->pass, refusal);
}

static enum mr_front_verdict read_call(const struct mr_request *request, struct mr_guard *guard,
                                       struct mr_arena *arena, struct mr_front *front)
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
    if (!read_caller(request, guard, arena, front, &refusal)) {
        front->refusal = refusal;
        return MR_FRONT_REFUSED;
    }
    if (!is_decoded)
        return MR_FRONT_REFUSED;
    return MR_FRONT_CALL;
}

static enum mr_front_verdict read_post(const struct mr_request *request, struct mr_guard *guard,
                                       struct mr_arena *arena, struct mr_front *front)
{
    mr_bytes field = mr_request_field(request, "content-type"), type = {0};
    struct target target = target_of(request);

    mr_part_take(&field, ";", &type);
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
    return read_call(request, guard, arena, front);
}

void mr_front_read(const struct mr_request *request, struct mr_guard *guard, struct mr_arena *arena,
                   struct mr_front *front)
{
    *front = (struct mr_front){.action = MR_ACTION_COUNT};
    if (is_text(request->method, "POST"))
        front->verdict = read_post(request, guard, arena, front);
    else if (is_text(request->method, "GET") && is_text(request->path, "/health"))
        front->verdict = MR_FRONT_HEALTH;
    else if (is_text(request->method, "OPTIONS") && mr_request_field(request, "origin").size)
        front->verdict = MR_FRONT_PREFLIGHT;
    else
        front->verdict = MR_FRONT_FORBIDDEN;
}
