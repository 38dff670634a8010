/* utf8.h - partition keys are counted in characters, as Kinesis does. */
#ifndef MR_BASE_UTF8_H
#define MR_BASE_UTF8_H

#include "base/endian.h"
#include "millrace.h"

/* How many bytes from the start on are ASCII. */
static inline size_t mr_ascii_bytes(mr_bytes text)
{
    const uint8_t *at = text.data;
    size_t size = 0;

    while (text.size - size >= 8 && !(mr_load64(at + size) & UINT64_C(0x8080808080808080)))
        size += 8;
    while (size < text.size && at[size] < 0x80)
        size++;
    return size;
}

/* The number of characters, or SIZE_MAX when it is not UTF-8 (RFC 3629: shortest forms only, no
 * surrogates, nothing above U+10FFFF). */
static inline size_t mr_utf8_chars(mr_bytes text)
{
    size_t count = mr_ascii_bytes(text);
    const uint8_t *at = text.data, *end;

    if (count == text.size)
        return count; /* most are; and of no bytes there is no pointer to count from */
    end = at + text.size;
    for (at += count; at < end; count++) {
        uint8_t lead = *at++;
        unsigned more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        uint8_t low = 0x80, high = 0xbf; /* of the next byte */

        if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || (size_t)(end - at) < more)
            return SIZE_MAX;
        if (lead == 0xe0)
            low = 0xa0;
        else if (lead == 0xed)
            high = 0x9f;
        else if (lead == 0xf0)
            low = 0x90;
        else if (lead == 0xf4)
            high = 0x8f;
        for (; more > 0; more--, at++, low = 0x80, high = 0xbf)
            if (*at < low || *at > high)
                return SIZE_MAX;
    }
    return count;
}

#endif
