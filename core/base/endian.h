/* endian.h - integers as little-endian bytes, at any alignment. */
#ifndef MR_BASE_ENDIAN_H
#define MR_BASE_ENDIAN_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "millrace's stored bytes are little-endian; big-endian machines are not supported"
#endif

static inline uint16_t mr_load16(const void *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint32_t mr_load32(const void *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint64_t mr_load64(const void *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void mr_store16(void *to, uint16_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline void mr_store32(void *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline void mr_store64(void *to, uint64_t value)
{
    memcpy(to, &value, sizeof value);
}

#endif
