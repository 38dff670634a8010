/*
 * Event streams of any bytes: what is cut off lies in them, and a stream cut short asks for more
 * instead of reading on. The checksums are made right for half of the inputs, so that what is behind
 * them is read.
 */
#include "base/check.h"
#include "base/crc32.h"
#include "wire/wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* One message of all the bytes, whatever its headers are. */
static void seal(uint8_t *bytes, size_t size)
{
    store_u32(bytes, (uint32_t)size);
    store_u32(bytes + 8, mr_crc32(0, (mr_bytes){bytes, 8}));
    store_u32(bytes + size - 4, mr_crc32(0, (mr_bytes){bytes, size - 4}));
}

static void check_inside(mr_bytes part, const uint8_t *bytes, size_t size)
{
    const uint8_t *at = part.data;

    mr_check(!part.size || (at >= bytes && at + part.size <= bytes + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[4096];
    struct mr_event_message message;
    size_t cut = 0, at = 0;

    if (size < 1 || size - 1 > sizeof bytes)
        return 0;
    memcpy(bytes, data + 1, --size);
    if (data[0] % 2 && size >= 16)
        seal(bytes, size);
    while (mr_event_cut((mr_bytes){bytes + at, size - at}, &message, &cut) && cut > 0) {
        mr_check(cut <= size - at);
        check_inside(message.kind, bytes + at, cut);
        check_inside(message.type, bytes + at, cut);
        check_inside(message.payload, bytes + at, cut);
        /* With its last byte missing it is not there yet. */
        mr_check(mr_event_cut((mr_bytes){bytes + at, cut - 1}, &message, &cut) && cut == 0);
        mr_check(mr_event_cut((mr_bytes){bytes + at, size - at}, &message, &cut));
        at += cut;
    }
    return 0;
}
