/*
 * scan.h - bytes in: a reader that cannot overrun.
 *
 * Read straight down the format and ask once, at the end or before using a length: after the first
 * overrun every read gives 0 and mr_scan_failed() stays true.
 */
#ifndef MR_BASE_SCAN_H
#define MR_BASE_SCAN_H

#include "base/endian.h"
#include "millrace.h"

struct mr_scan {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct mr_scan mr_scan_of(mr_bytes bytes)
{
    const uint8_t *start = bytes.data;
    return (struct mr_scan){.at = start, .end = start ? start + bytes.size : start};
}

static inline bool mr_scan_failed(const struct mr_scan *scan)
{
    return scan->failed;
}

static inline size_t mr_scan_left(const struct mr_scan *scan)
{
    return scan->failed ? 0 : (size_t)(scan->end - scan->at);
}

/* The next size bytes, or NULL and failed. size 0 gives a pointer that must not be read. */
static inline const uint8_t *mr_scan_take(struct mr_scan *scan, size_t size)
{
    const uint8_t *start = scan->at;

    if (scan->failed || size > (size_t)(scan->end - scan->at)) {
        scan->failed = true;
        return NULL;
    }
    scan->at += size;
    return start;
}

static inline uint8_t mr_scan_u8(struct mr_scan *scan)
{
    const uint8_t *from = mr_scan_take(scan, 1);
    return from ? *from : 0;
}

static inline uint32_t mr_scan_u32(struct mr_scan *scan)
{
    const uint8_t *from = mr_scan_take(scan, 4);
    return from ? mr_load32(from) : 0;
}

static inline uint64_t mr_scan_u64(struct mr_scan *scan)
{
    const uint8_t *from = mr_scan_take(scan, 8);
    return from ? mr_load64(from) : 0;
}

/* At most ten bytes; more than 64 bits, or a longer form than needed of 0, fails. */
static inline uint64_t mr_scan_varint(struct mr_scan *scan)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = mr_scan_u8(scan);
        if (scan->failed)
            return 0;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                break; /* one value, one form: decode then encode gives the same bytes */
            return value;
        }
    }
    scan->failed = true;
    return 0;
}

/* A varint length, then so many bytes; they are borrowed from the input. */
static inline mr_bytes mr_scan_string(struct mr_scan *scan)
{
    uint64_t size = mr_scan_varint(scan);
    const uint8_t *data;

    if (size > mr_scan_left(scan))
        scan->failed = true;
    data = mr_scan_take(scan, (size_t)size);
    return data ? (mr_bytes){data, (size_t)size} : (mr_bytes){NULL, 0};
}

#endif
