/* claim.c - what a request says of its signature, in the header or in the query (spec 2.7). */
#include "server/part.h"
#include "server/verify.h"
#include "wire/sign.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT(bytes) (int)(bytes).size, (const char *)(bytes).data

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
        if (!mr_part_find(header, ", ", names[i]).data)
            used += (size_t)snprintf(message + used, sizeof message - used,
                                     "Authorization header requires '%s' parameter. ", names[i]);
    if (!mr_request_field(request, "x-amz-date").size && !mr_request_field(request, "date").size)
        used += (size_t)snprintf(message + used, sizeof message - used,
                                 "Authorization header requires existence of either a "
                                 "'X-Amz-Date' or a 'Date' header. ");
    if (used == 0)
        return true;
    return refuse(refusal, MR_EXCEPTION_INCOMPLETE_SIGNATURE,
                  mr_arena_print(arena, "%sAuthorization=%.*s", message, TEXT(header)));
}

static bool query_is_whole(mr_bytes query, struct mr_arena *arena, struct mr_refusal *refusal)
{
    static const char *const names[] = {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature",
                                        "X-Amz-SignedHeaders", "X-Amz-Date"};
    char message[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!mr_part_find(query, "&", names[i]).data)
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

    while (mr_part_take(&query, "&", &part))
        if (mr_part_take(&part, "=", &part_name) &&
            mr_part_is_in_any_case(part_name, mr_part_of(name)))
            return true;
    return false;
}

/* "KEY/20150830/us-east-1/kinesis/aws4_request" */
static void read_credential(mr_bytes credential, struct mr_claim *claim)
{
    mr_bytes *const parts[] = {&claim->date, &claim->region, &claim->service, &claim->terminator};

    if (!mr_part_take(&credential, "/", &claim->key_id))
        return;
    claim->scope = credential;
    for (size_t i = 0; i < 4; i++)
        if (!mr_part_take(&credential, "/", parts[i]))
            *parts[i] = (mr_bytes){0};
    if (credential.data)
        claim->terminator = (mr_bytes){0}; /* more than there should be */
}

/* The second that it names; -1: it is not written as it should be. */
static int64_t second_of(mr_bytes time, const char *format)
{
    char text[40];
    struct tm parts = {0};
    const char *end;

    if (time.size >= sizeof text)
        return -1;
    memcpy(text, time.data, time.size);
    text[time.size] = 0;
    end = strptime(text, format, &parts);
    return end && *end == 0 ? (int64_t)timegm(&parts) : -1;
}

/* As it is signed, a time is in the basic format; a Date field is not. */
static void read_time(mr_bytes written, struct mr_arena *arena, struct mr_claim *claim)
{
    int64_t second = second_of(written, "%Y%m%dT%H%M%SZ");
    char text[MR_SIGN_TIME_BYTES];

    claim->written = written;
    if (second < 0 && !claim->is_query)
        second = second_of(written, "%a, %d %b %Y %H:%M:%S GMT");
    if (second < 0 || second > INT64_C(253402300799))
        return;
    mr_sign_time(second * 1000, text);
    claim->time = mr_arena_copy(arena, mr_part_of(text));
    claim->time_s = second;
}

static void read_header(const struct mr_request *request, mr_bytes header, struct mr_arena *arena,
                        struct mr_claim *claim)
{
    mr_bytes time = mr_request_field(request, "x-amz-date");

    read_credential(mr_part_find(header, ", ", "Credential"), claim);
    claim->names = mr_part_find(header, ", ", "SignedHeaders");
    claim->signature = mr_part_find(header, ", ", "Signature");
    claim->token = mr_request_field(request, "x-amz-security-token");
    read_time(time.size ? time : mr_request_field(request, "date"), arena, claim);
}

static void read_query(mr_bytes query, struct mr_arena *arena, struct mr_claim *claim)
{
    claim->is_query = true;
    read_credential(mr_part_decode(mr_part_find(query, "&", "X-Amz-Credential"), arena), claim);
    claim->names = mr_part_decode(mr_part_find(query, "&", "X-Amz-SignedHeaders"), arena);
    claim->signature = mr_part_find(query, "&", "X-Amz-Signature");
    claim->token = mr_part_find(query, "&", "X-Amz-Security-Token");
    if (claim->token.data)
        claim->token = mr_part_decode(claim->token, arena);
    claim->expires = mr_part_find(query, "&", "X-Amz-Expires");
    read_time(mr_part_find(query, "&", "X-Amz-Date"), arena, claim);
}

bool mr_claim_read(const struct mr_request *request, struct mr_arena *arena, struct mr_claim *claim,
                   struct mr_refusal *refusal)
{
    mr_bytes header = mr_request_field(request, "authorization");
    bool has_query = has_parameter(request->query, "X-Amz-Algorithm");

    *claim = (struct mr_claim){0};
    if (header.size && has_query)
        return refuse(refusal, MR_EXCEPTION_INVALID_SIGNATURE,
                      mr_part_of("Found both 'X-Amz-Algorithm' as a query-string param and "
                                 "'Authorization' as HTTP header."));
    if (!header.size && !has_query)
        return refuse(refusal, MR_EXCEPTION_MISSING_TOKEN,
                      mr_part_of("Missing Authentication Token"));
    if (has_query) {
        if (!query_is_whole(request->query, arena, refusal))
            return false;
        read_query(request->query, arena, claim);
        return true;
    }
    if (!header_is_whole(request, header, arena, refusal))
        return false;
    read_header(request, header, arena, claim);
    return true;
}
