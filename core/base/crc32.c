/*
 * crc32.c - eight bytes a step: a table for each says what that byte does to the remainder when so
 * many others follow it.
 */
#include "base/crc32.h"

#include "base/endian.h"

#include <pthread.h>

#define POLYNOMIAL UINT32_C(0xedb88320) /* bits reversed: the first bit of a byte is its lowest */

static uint32_t tables[8][256]; /* [0]: the byte is the last one */
static pthread_once_t is_made = PTHREAD_ONCE_INIT;

static void make(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;

        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = value;
    }
    for (int more = 1; more < 8; more++)
        for (uint32_t byte = 0; byte < 256; byte++)
            tables[more][byte] =
                tables[more - 1][byte] >> 8 ^ tables[0][tables[more - 1][byte] & 0xff];
}

uint32_t mr_crc32(uint32_t before, mr_bytes bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    uint32_t crc = ~before;

    pthread_once(&is_made, make);
    for (; left >= 8; left -= 8, at += 8) {
        uint32_t low = mr_load32(at) ^ crc, high = mr_load32(at + 4);

        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^
              tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
    }
    for (; left > 0; left--, at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
    return ~crc;
}
