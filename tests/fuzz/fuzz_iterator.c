/*
 * Iterators and page tokens of any bytes: none of them opens, unless its code is right; then what it
 * says comes back. The code is made here for half of the inputs, so that what is behind it is read.
 */
#include "base/base64.h"
#include "base/check.h"
#include "base/md5.h"
#include "service/inside.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As token.c has it. */
static void make_code(const struct mr_local *local, uint8_t *bytes, size_t size)
{
    uint8_t in[16 + 1024];

    memcpy(in, local->token_key, 16);
    memcpy(in + 16, bytes, size);
    mr_md5((mr_bytes){in, 16 + size}, bytes + size);
    memcpy(in + 16, bytes + size, 16);
    mr_md5((mr_bytes){in, 32}, bytes + size);
}

static void check_same(const struct mr_local *local, const struct mr_token *token)
{
    struct mr_arena arena = MR_ARENA(1 << 20);
    struct mr_call call = {.arena = &arena};
    struct mr_token again;

    mr_check(mr_token_open(local, mr_token_make(local, &call, token), &again));
    mr_check(again.kind == token->kind && again.number == token->number &&
             again.time_ms == token->time_ms && again.shard == token->shard &&
             strcmp(again.stream, token->stream) == 0 && strcmp(again.name, token->name) == 0);
    mr_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_local local = {.token_key = {1, 2, 3}};
    uint8_t bytes[1024 + 16];
    char text[MR_BASE64_BYTES(sizeof bytes)];
    struct mr_token token;

    mr_token_open(&local, (mr_bytes){data, size}, &token);
    if (size > 1024)
        return 0;
    memcpy(bytes, data, size);
    make_code(&local, bytes, size);
    mr_base64_encode((mr_bytes){bytes, size + 16}, text);
    if (mr_token_open(&local, (mr_bytes){text, MR_BASE64_BYTES(size + 16)}, &token))
        check_same(&local, &token);
    return 0;
}
