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

/* What an Authorization header has to have. */
struct parameter {
    const char *name;
    mr_bytes value; /* absent if it is empty, too */
};
enum { CREDENTIAL, SIGNATURE, SIGNED_HEADERS, PARAMETER_COUNT };

/* "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=..." */
static void find_parameters(mr_bytes header, struct parameter parameters[PARAMETER_COUNT])
{
    mr_bytes value, name;

    while (mr_part_take(&header, ", ", &value)) {
        if (!mr_part_take(&value, "=", &name) || value.size == 0)
            continue;
        for (size_t i = 0; i < PARAMETER_COUNT; i++)
            if (!parameters[i].value.data && mr_part_is(name, parameters[i].name))
                parameters[i].value = value;
    }
}

static bool header_is_whole(mr_bytes header, const struct parameter parameters[PARAMETER_COUNT],
                            const struct mr_claim *claim, struct mr_arena *arena,
                            struct mr_refusal *refusal)
{
    char message[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < PARAMETER_COUNT; i++)
        if (!parameters[i].value.data)
            used += (size_t)snprintf(message + used, sizeof message - used,
                                     "Authorization header requires '%s' parameter. ",
                                     parameters[i].name);
    if (!claim->written.size)
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

static bool read_header(const struct mr_request *request, mr_bytes header, struct mr_arena *arena,
                        struct mr_claim *claim, struct mr_refusal *refusal)
{
    struct parameter parameters[PARAMETER_COUNT] = {[CREDENTIAL] = {.name = "Credential"},
                                                    [SIGNATURE] = {.name = "Signature"},
                                                    [SIGNED_HEADERS] = {.name = "SignedHeaders"}};

    find_parameters(header, parameters);
    claim->written = mr_request_field(request, "x-amz-date");
    if (!claim->written.size)
        claim->written = mr_request_field(request, "date");
    if (!header_is_whole(header, parameters, claim, arena, refusal))
        return false;
    read_credential(parameters[CREDENTIAL].value, claim);
    claim->names = parameters[SIGNED_HEADERS].value;
    claim->signature = parameters[SIGNATURE].value;
    claim->token = mr_request_field(request, "x-amz-security-token");
    return true;
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
    claim->written = mr_part_find(query, "&", "X-Amz-Date");
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
    return read_header(request, header, arena, claim, refusal);
}

/* ---- its time ----------------------------------------------------------------------------- */

/* So many digits from there on; -1: they are none. */
static int number_at(const char *at, size_t digits)
{
    int number = 0;

    for (size_t i = 0; i < digits; i++) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        number = number * 10 + (at[i] - '0');
    }
    return number;
}

/* The second of "20150830T123600Z"; -1: it is not written so, or there is none. */
static int64_t basic_second(mr_bytes time)
{
    const char *at = time.data;
    int year, month, day, hour, minute, second;
    struct tm parts = {0};
    int64_t seconds;

    if (time.size != MR_SIGN_TIME_BYTES - 1 || at[8] != 'T' || at[15] != 'Z')
        return -1;
    year = number_at(at, 4), month = number_at(at + 4, 2), day = number_at(at + 6, 2);
    hour = number_at(at + 9, 2), minute = number_at(at + 11, 2), second = number_at(at + 13, 2);
    if (year < 0 || month < 1 || day < 1 || hour < 0 || minute < 0 || second < 0)
        return -1;
    parts = (struct tm){.tm_year = year - 1900,
                        .tm_mon = month - 1,
                        .tm_mday = day,
                        .tm_hour = hour,
                        .tm_min = minute,
                        .tm_sec = second};
    seconds = timegm(&parts); /* which puts right what does not exist */
    return parts.tm_mon == month - 1 && parts.tm_mday == day && parts.tm_hour == hour &&
                   parts.tm_min == minute && parts.tm_sec == second
               ? seconds
               : -1;
}

/* The second of "Sun, 30 Aug 2015 12:36:00 GMT"; -1: it is not written so. */
static int64_t http_second(mr_bytes time)
{
    char text[40];
    struct tm parts = {0};
    const char *end;

    if (time.size >= sizeof text)
        return -1;
    memcpy(text, time.data, time.size);
    text[time.size] = 0;
    end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return end && *end == 0 ? (int64_t)timegm(&parts) : -1;
}

bool mr_claim_read_time(struct mr_claim *claim, struct mr_arena *arena)
{
    int64_t second = basic_second(claim->written);
    char text[MR_SIGN_TIME_BYTES];

    if (second >= 0) {
        claim->time = claim->written;
    } else {
        second = claim->is_query ? -1 : http_second(claim->written);
        if (second < 0 || second > INT64_C(253402300799))
            return false;
        mr_sign_time(second * 1000, text);
        claim->time = mr_arena_copy(arena, mr_part_of(text));
    }
    claim->time_s = second;
    return true;
}
