/*
 * Whatever a request says of its signature is read and checked, and never true: nobody knows the key.
 * The input is lines: the Authorization header, the query, then fields as "name:value".
 */
#include "base/check.h"
#include "server/verify.h"
#include "wire/digest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS INT64_C(1795341600000) /* 2026-11-22T10:00:00Z */
#define FIELD_COUNT_MAX 16

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* Up to the next of that byte; all, if there is none. */
static mr_bytes cut(mr_bytes *rest, char end)
{
    const char *start = rest->data, *at = rest->size ? memchr(start, end, rest->size) : NULL;
    mr_bytes part = {start, at ? (size_t)(at - start) : rest->size};
    size_t used = part.size + (at != NULL);

    *rest = (mr_bytes){start + used, rest->size - used};
    return part;
}

static void check(const struct mr_request *request)
{
    struct mr_seal key;
    struct mr_arena arena = MR_ARENA((size_t)16 << 20);
    struct mr_refusal refusal = {0};
    struct mr_claim claim;
    bool is_let_in;

    mr_seal_init(&key, bytes_of("nobody knows this one"));
    is_let_in = mr_claim_read(request, &arena, &claim, &refusal);
    if (is_let_in && mr_claim_check(&claim, request, NULL, NOW_MS, &arena, &refusal)) {
        mr_check(claim.date.size == 8 && mr_region_is_valid(claim.region));
        is_let_in = mr_claim_verify(&claim, request, &key, &arena, &refusal);
    } else {
        is_let_in = false;
    }
    mr_check(!is_let_in);
    mr_check(refusal.type == MR_EXCEPTION_INVALID_SIGNATURE ||
             refusal.type == MR_EXCEPTION_INCOMPLETE_SIGNATURE ||
             refusal.type == MR_EXCEPTION_MISSING_TOKEN);
    mr_check(refusal.message.size > 0);
    mr_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_bytes rest = {data, size};
    struct mr_field fields[FIELD_COUNT_MAX] = {{bytes_of("authorization"), cut(&rest, '\n')}};
    struct mr_request request = {.method = bytes_of("POST"),
                                 .path = bytes_of("/"),
                                 .host = bytes_of("127.0.0.1:4567"),
                                 .fields = fields,
                                 .field_count = 1,
                                 .body = bytes_of("{}")};

    if (size > 16384)
        return 0;
    request.query = cut(&rest, '\n');
    while (rest.size > 0 && request.field_count < FIELD_COUNT_MAX) {
        mr_bytes line = cut(&rest, '\n');

        fields[request.field_count].name = cut(&line, ':');
        fields[request.field_count++].value = line;
    }
    check(&request);
    return 0;
}
