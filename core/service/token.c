/*
 * token.c - what callers hand back to us: base64 of 8 bytes that say so, a body, and a code that
 * only we can make of it (K5). Its key is a property of the engine, so a token outlives a restart.
 */
#include "base/base64.h"
#include "base/md5.h"
#include "base/pack.h"
#include "base/scan.h"
#include "service/inside.h"

#include <string.h>

#define BODY_BYTES_MAX 300
#define CODE_BYTES 16
#define BLOCK_BYTES 16
#define TOKEN_BYTES_MAX (8 + BODY_BYTES_MAX + BLOCK_BYTES + CODE_BYTES)

static const uint8_t head[8] = {0, 0, 0, 0, 0, 0, 0, 1};

/* The hash of the key and the hash of the key and the body: nobody without the key can go on from
 * one to another. */
static void make_code(const struct mr_local *local, mr_bytes body, uint8_t code[CODE_BYTES])
{
    uint8_t in[sizeof local->token_key + TOKEN_BYTES_MAX];
    size_t key_bytes = sizeof local->token_key;

    memcpy(in, local->token_key, key_bytes);
    memcpy(in + key_bytes, body.data, body.size);
    mr_md5((mr_bytes){in, key_bytes + body.size}, code);
    memcpy(in + key_bytes, code, CODE_BYTES);
    mr_md5((mr_bytes){in, key_bytes + CODE_BYTES}, code);
}

mr_bytes mr_token_make(const struct mr_local *local, struct mr_call *call,
                       const struct mr_token *token)
{
    struct mr_pack pack = MR_PACK(TOKEN_BYTES_MAX);
    uint8_t code[CODE_BYTES];
    size_t size;
    char *text;

    mr_pack_bytes(&pack, (mr_bytes){head, sizeof head});
    mr_pack_u8(&pack, (uint8_t)token->kind);
    mr_pack_u8(&pack, token->is_time);
    mr_pack_u64(&pack, (uint64_t)token->created_ms);
    mr_pack_u32(&pack, token->stream_id);
    mr_pack_u32(&pack, token->shard);
    mr_pack_u32(&pack, token->filter);
    mr_pack_u64(&pack, token->number);
    mr_pack_u64(&pack, (uint64_t)token->time_ms);
    mr_pack_string(&pack, mr_text(token->stream));
    mr_pack_string(&pack, mr_text(token->name));
    while ((pack.size - sizeof head) % BLOCK_BYTES > 0)
        mr_pack_u8(&pack, 0);
    make_code(local, (mr_bytes){pack.data, pack.size}, code);
    mr_pack_bytes(&pack, (mr_bytes){code, CODE_BYTES});
    size = MR_BASE64_BYTES(pack.size);
    text = mr_arena_take(call->arena, size);
    mr_base64_encode((mr_bytes){pack.data, pack.size}, text);
    mr_pack_fini(&pack);
    return (mr_bytes){text, size};
}

static bool take_name(struct mr_scan *scan, char name[MR_NAME_BYTES_MAX + 1])
{
    mr_bytes text = mr_scan_string(scan);

    if (mr_scan_failed(scan) || text.size > MR_NAME_BYTES_MAX)
        return false;
    memcpy(name, text.data, text.size);
    name[text.size] = 0;
    return true;
}

bool mr_token_open(const struct mr_local *local, mr_bytes text, struct mr_token *token)
{
    uint8_t bytes[MR_BASE64_BYTES(TOKEN_BYTES_MAX)], code[CODE_BYTES];
    struct mr_scan scan;
    size_t size;

    /* Pasted out of JSON with its quotes. */
    if (text.size >= 2 && ((const char *)text.data)[0] == '"' &&
        ((const char *)text.data)[text.size - 1] == '"')
        text = (mr_bytes){(const char *)text.data + 1, text.size - 2};
    memset(token, 0, sizeof *token);
    if (text.size > MR_BASE64_BYTES(TOKEN_BYTES_MAX) || !mr_base64_decode(text, bytes, &size) ||
        size < sizeof head + CODE_BYTES || size > TOKEN_BYTES_MAX)
        return false;
    size -= CODE_BYTES;
    make_code(local, (mr_bytes){bytes, size}, code);
    if (memcmp(code, bytes + size, CODE_BYTES) != 0)
        return false;
    scan = mr_scan_of((mr_bytes){bytes + sizeof head, size - sizeof head});
    token->kind = mr_scan_u8(&scan);
    token->is_time = mr_scan_u8(&scan);
    token->created_ms = (int64_t)mr_scan_u64(&scan);
    token->stream_id = mr_scan_u32(&scan);
    token->shard = mr_scan_u32(&scan);
    token->filter = mr_scan_u32(&scan);
    token->number = mr_scan_u64(&scan);
    token->time_ms = (int64_t)mr_scan_u64(&scan);
    return take_name(&scan, token->stream) && take_name(&scan, token->name);
}
