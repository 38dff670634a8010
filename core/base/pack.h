/*
 * pack.h - bytes out: a buffer that grows up to a limit set at its birth.
 * scan.h reads back what is written here.
 */
#ifndef MR_BASE_PACK_H
#define MR_BASE_PACK_H

#include "millrace.h"

#define MR_VARINT_BYTES_MAX 10

/* Start from {0} or MR_PACK(limit); release with mr_pack_fini(). */
struct mr_pack {
    uint8_t *data;
    size_t size, capacity;
    size_t limit; /* growing past it is a bug: callers check sizes from outside first */
};
#define MR_PACK(bytes_max) ((struct mr_pack){.limit = (bytes_max)})

void mr_pack_fini(struct mr_pack *pack);

/* Makes room for bytes more and returns where they go; valid until the next call. */
uint8_t *mr_pack_extend(struct mr_pack *pack, size_t bytes);

void mr_pack_u8(struct mr_pack *pack, uint8_t value);
void mr_pack_u32(struct mr_pack *pack, uint32_t value);
void mr_pack_u64(struct mr_pack *pack, uint64_t value);
void mr_pack_varint(struct mr_pack *pack, uint64_t value);
void mr_pack_bytes(struct mr_pack *pack, mr_bytes bytes);  /* as they are */
void mr_pack_string(struct mr_pack *pack, mr_bytes bytes); /* varint length, then the bytes */

/* LEB128: seven bits a byte, low bits first. Writes at most MR_VARINT_BYTES_MAX; returns the end.
 */
static inline uint8_t *mr_varint_write(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static inline size_t mr_varint_bytes(uint64_t value)
{
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

#endif
