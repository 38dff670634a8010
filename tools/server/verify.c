/* verify.c - whether a claim could be true, and whether it is: what must have been signed is written
 * down from what came, and signed here. */
#include "server/verify.h"

#include "server/part.h"
#include "wire/sign.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SERVICE "kinesis"
#define TERMINATOR "aws4_request"
#define PARAMETER_COUNT_MAX 64
#define EXPIRES_S_MAX 604800

#define TEXT(bytes) (int)(bytes).size, (const char *)(bytes).data

static int compare(mr_bytes a, mr_bytes b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool mr_bytes_are_equal_secretly(mr_bytes a, mr_bytes b)
{
    return a.size == b.size &&
           CRYPTO_memcmp(a.data ? a.data : "", b.data ? b.data : "", a.size) == 0;
}

/* ---- refusals ----------------------------------------------------------------------------- */

static bool refuse(struct mr_refusal *refusal, enum mr_exception type, mr_bytes message)
{
    *refusal = (struct mr_refusal){type, message};
    return false;
}

static bool refuse_invalid(struct mr_refusal *refusal, const char *message)
{
    return refuse(refusal, MR_EXCEPTION_INVALID_SIGNATURE, mr_part_of(message));
}

static bool refuse_mismatch(struct mr_refusal *refusal)
{
    return refuse_invalid(
        refusal, "The request signature we calculated does not match the signature you provided. "
                 "Check your AWS Secret Access Key and signing method. Consult the service "
                 "documentation for details.");
}

/* ---- checking ----------------------------------------------------------------------------- */

/* Is that among what is signed? */
static bool is_signed(const struct mr_claim *claim, mr_bytes name)
{
    mr_bytes names = claim->names, part;

    while (mr_part_take(&names, ";", &part))
        if (mr_part_is_in_any_case(part, name))
            return true;
    return false;
}

/* Lower-case, in order, each once: there is one way to write them. */
static bool names_are_in_order(const struct mr_claim *claim)
{
    mr_bytes names = claim->names, part, before = {0};

    while (mr_part_take(&names, ";", &part)) {
        for (size_t i = 0; i < part.size; i++)
            if (isupper(((const unsigned char *)part.data)[i]))
                return false;
        if (part.size == 0 || (before.data && compare(before, part) >= 0))
            return false;
        before = part;
    }
    return true;
}

static bool check_names(const struct mr_claim *claim, const struct mr_request *request,
                        struct mr_arena *arena, struct mr_refusal *refusal)
{
    if (!names_are_in_order(claim))
        return refuse_mismatch(refusal);
    if (!is_signed(claim, mr_part_of("host")) && !is_signed(claim, mr_part_of(":authority")))
        return refuse_invalid(
            refusal, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    if (!claim->is_query && !mr_request_field(request, "x-amz-date").size &&
        !is_signed(claim, mr_part_of("date")))
        return refuse_invalid(refusal, "'Date' must be a 'SignedHeader' in the AWS Authorization.");
    for (size_t i = 0; i < request->field_count; i++) {
        mr_bytes name = request->fields[i].name;

        if (name.size > 6 && strncasecmp(name.data, "x-amz-", 6) == 0 && !is_signed(claim, name))
            return refuse(
                refusal, MR_EXCEPTION_INVALID_SIGNATURE,
                mr_arena_print(arena, "'%.*s' must be a 'SignedHeader' in the AWS Authorization.",
                               TEXT(name)));
    }
    return true;
}

bool mr_region_is_valid(mr_bytes region)
{
    const unsigned char *at = region.data;

    for (size_t i = 0; i < region.size; i++)
        if (!isalnum(at[i]) && at[i] != '-')
            return false;
    return region.size > 0 && region.size <= MR_REGION_BYTES_MAX;
}

static bool check_scope(const struct mr_claim *claim, const char *region, struct mr_arena *arena,
                        struct mr_refusal *refusal)
{
    if (!claim->terminator.data || !mr_part_is(claim->terminator, TERMINATOR))
        return refuse_invalid(refusal, "Credential should be scoped with a valid terminator: "
                                       "'aws4_request'.");
    if (!mr_part_is(claim->service, SERVICE))
        return refuse_invalid(refusal,
                              "Credential should be scoped to correct service: 'kinesis'.");
    if (!mr_region_is_valid(claim->region) || (region && !mr_part_is(claim->region, region)))
        return refuse(refusal, MR_EXCEPTION_INVALID_SIGNATURE,
                      mr_arena_print(arena,
                                     "Credential should be scoped to a valid region, not '%.*s'.",
                                     TEXT(claim->region)));
    if (claim->date.size != 8 || memcmp(claim->date.data, claim->time.data, 8) != 0)
        return refuse(refusal, MR_EXCEPTION_INVALID_SIGNATURE,
                      mr_arena_print(arena,
                                     "Date in Credential scope does not match YYYYMMDD from "
                                     "ISO-8601 version of date from HTTP: '%.*s' != '%.8s', from "
                                     "'%.*s'.",
                                     TEXT(claim->date), (const char *)claim->time.data,
                                     TEXT(claim->time)));
    return true;
}

/* For how long it is good from its time on; 0: it says so wrongly. */
static int64_t life_s(const struct mr_claim *claim)
{
    int64_t seconds = 0;

    if (!claim->expires.data)
        return MR_SKEW_S;
    for (size_t i = 0; i < claim->expires.size; i++) {
        char digit = ((const char *)claim->expires.data)[i];

        if (digit < '0' || digit > '9' || seconds > EXPIRES_S_MAX)
            return 0;
        seconds = seconds * 10 + (digit - '0');
    }
    return seconds <= EXPIRES_S_MAX ? seconds : 0;
}

static bool check_time(const struct mr_claim *claim, int64_t now_ms, struct mr_arena *arena,
                       struct mr_refusal *refusal)
{
    char now[MR_SIGN_TIME_BYTES], edge[MR_SIGN_TIME_BYTES];
    int64_t at_s = claim->time_s, now_s = now_ms / 1000;
    int64_t life = life_s(claim);

    if (life == 0)
        return refuse(refusal, MR_EXCEPTION_INCOMPLETE_SIGNATURE,
                      mr_part_of("X-Amz-Expires must be a number of seconds from 1 to 604800."));
    if (at_s < now_s - life) {
        mr_sign_time(now_ms, now);
        mr_sign_time((now_s - life) * 1000, edge);
        return refuse(
            refusal, MR_EXCEPTION_INVALID_SIGNATURE,
            mr_arena_print(arena, "Signature expired: %.*s is now earlier than %s (%s - %d min.)",
                           TEXT(claim->time), edge, now, (int)(life / 60)));
    }
    if (at_s > now_s + MR_SKEW_S) {
        mr_sign_time(now_ms, now);
        mr_sign_time((now_s + MR_SKEW_S) * 1000, edge);
        return refuse(
            refusal, MR_EXCEPTION_INVALID_SIGNATURE,
            mr_arena_print(arena,
                           "Signature not yet current: %.*s is still later than %s (%s + 5 min.)",
                           TEXT(claim->time), edge, now));
    }
    return true;
}

bool mr_claim_check(struct mr_claim *claim, const struct mr_request *request, const char *region,
                    int64_t now_ms, struct mr_arena *arena, struct mr_refusal *refusal)
{
    mr_bytes header = mr_request_field(request, "authorization"), algorithm;

    if (claim->is_query)
        algorithm = mr_part_find(request->query, "&", "X-Amz-Algorithm");
    else
        mr_part_take(&header, " ", &algorithm);
    if (!mr_part_is(algorithm, MR_SIGN_ALGORITHM))
        return refuse(refusal, MR_EXCEPTION_INCOMPLETE_SIGNATURE,
                      mr_arena_print(arena, "Unsupported AWS 'algorithm': '%.*s'.",
                                     (int)(algorithm.size < 100 ? algorithm.size : 100),
                                     (const char *)algorithm.data));
    if (!mr_claim_read_time(claim, arena))
        return refuse(refusal, MR_EXCEPTION_INCOMPLETE_SIGNATURE,
                      mr_arena_print(arena, "Date must be in ISO-8601 'basic format'. Got '%.*s'.",
                                     TEXT(claim->written)));
    return check_scope(claim, region, arena, refusal) &&
           check_names(claim, request, arena, refusal) && check_time(claim, now_ms, arena, refusal);
}

/* ---- the canonical request ---------------------------------------------------------------- */

static void put(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, mr_part_of(text));
}

static void put_encoded(struct mr_pack *out, mr_bytes bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t *at = bytes.data;

    for (size_t i = 0; i < bytes.size; i++) {
        if (at[i] < 0x80 && (isalnum(at[i]) || (at[i] && strchr("-._~", at[i])))) {
            mr_pack_u8(out, at[i]);
        } else {
            mr_pack_u8(out, '%');
            mr_pack_u8(out, (uint8_t)digits[at[i] >> 4]);
            mr_pack_u8(out, (uint8_t)digits[at[i] & 15]);
        }
    }
}

/* Without empty and dotted parts; what is encoded is so once more. */
static void put_path(struct mr_pack *out, mr_bytes path)
{
    size_t start = out->size;
    mr_bytes part;
    bool is_open = false; /* ends with a part, not with a slash */

    while (mr_part_take(&path, "/", &part)) {
        is_open = false;
        if (mr_part_is(part, "..")) {
            while (out->size > start && out->data[--out->size] != '/')
                continue;
        } else if (part.size > 0 && !mr_part_is(part, ".")) {
            put(out, "/");
            put_encoded(out, part);
            is_open = true;
        }
    }
    if (!is_open)
        put(out, "/");
}

struct parameter {
    mr_bytes name, value; /* decoded */
};

static int by_name(const void *left, const void *right)
{
    const struct parameter *a = left, *b = right;
    int order = compare(a->name, b->name);

    return order ? order : compare(a->value, b->value);
}

/* In order, all but the signature; false: there are too many. */
static bool put_query(struct mr_pack *out, mr_bytes query, struct mr_arena *arena)
{
    struct parameter parameters[PARAMETER_COUNT_MAX];
    size_t count = 0;
    mr_bytes part, name;

    while (mr_part_take(&query, "&", &part)) {
        if (!mr_part_take(&part, "=", &name) || name.size == 0 ||
            mr_part_is(name, "X-Amz-Signature"))
            continue;
        if (count == PARAMETER_COUNT_MAX)
            return false;
        parameters[count].name = mr_part_decode(name, arena);
        parameters[count++].value = mr_part_decode(part, arena);
    }
    qsort(parameters, count, sizeof *parameters, by_name);
    for (size_t i = 0; i < count; i++) {
        put(out, i ? "&" : "");
        put_encoded(out, parameters[i].name);
        put(out, "=");
        put_encoded(out, parameters[i].value);
    }
    return true;
}

/* All values of a name; false: the request has no such field. */
static bool put_field(struct mr_pack *out, const struct mr_request *request, mr_bytes name)
{
    bool is_host = mr_part_is(name, "host") || mr_part_is(name, ":authority"), is_there = false;

    mr_pack_bytes(out, name);
    put(out, ":");
    if (is_host) {
        mr_sign_put_value(out, request->host);
        is_there = request->host.size > 0;
    }
    for (size_t i = 0; i < request->field_count && !is_host; i++) {
        if (!mr_part_is_in_any_case(request->fields[i].name, name))
            continue;
        put(out, is_there ? "," : "");
        mr_sign_put_value(out, request->fields[i].value);
        is_there = true;
    }
    put(out, "\n");
    return is_there;
}

static bool put_fields(struct mr_pack *out, const struct mr_request *request, mr_bytes names)
{
    mr_bytes name;

    while (mr_part_take(&names, ";", &name))
        if (!put_field(out, request, name))
            return false;
    return true;
}

/* False: what is signed cannot be this request. */
static bool put_request(struct mr_pack *out, const struct mr_claim *claim,
                        const struct mr_request *request, struct mr_arena *arena)
{
    mr_bytes said = mr_request_field(request, "x-amz-content-sha256");
    char hash[MR_SIGN_HEX_BYTES];

    mr_sign_hash(request->body, hash);
    if (said.data && !mr_part_is(said, hash))
        return false;
    mr_pack_bytes(out, request->method);
    put(out, "\n");
    put_path(out, request->path);
    put(out, "\n");
    if (!put_query(out, request->query, arena))
        return false;
    put(out, "\n");
    if (!put_fields(out, request, claim->names))
        return false;
    put(out, "\n");
    mr_pack_bytes(out, claim->names);
    put(out, "\n");
    put(out, hash);
    return true;
}

bool mr_claim_verify(const struct mr_claim *claim, const struct mr_request *request,
                     const struct mr_seal *key, struct mr_arena *arena, struct mr_refusal *refusal)
{
    struct mr_pack canonical = MR_PACK(SIZE_MAX);
    char signature[MR_SIGN_HEX_BYTES];
    bool is_it = put_request(&canonical, claim, request, arena);

    if (is_it) {
        mr_sign_seal(key, claim->time, claim->scope, (mr_bytes){canonical.data, canonical.size},
                     signature);
        is_it = mr_bytes_are_equal_secretly(mr_part_of(signature), claim->signature);
    }
    mr_pack_fini(&canonical);
    return is_it || refuse_mismatch(refusal);
}
