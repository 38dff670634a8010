#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mr_base64_encode(mr_bytes in, char *out)
{
    const uint8_t *at = in.data;

    for (size_t left = in.size; left > 0; at += 3) {
        uint32_t group = (uint32_t)at[0] << 16;

        if (left > 1)
            group |= (uint32_t)at[1] << 8;
        if (left > 2)
            group |= at[2];
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
        left -= left < 3 ? left : 3;
    }
}

static int value_of(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool mr_base64_decode(mr_bytes in, uint8_t *out, size_t *size)
{
    const uint8_t *at = in.data;
    uint8_t *start = out;
    size_t padding = 0;

    if (in.size % 4 != 0)
        return false;
    while (padding < 2 && padding < in.size && at[in.size - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < in.size; i += 4, at += 4) {
        size_t digit_count = i + 4 == in.size ? 4 - padding : 4;
        uint32_t group = 0;

        for (size_t k = 0; k < digit_count; k++) {
            int value = value_of(at[k]);
            if (value < 0)
                return false;
            group |= (uint32_t)value << (18 - 6 * k);
        }
        if (group & (0xffffffu >> (8 * (digit_count - 1))))
            return false; /* bits that no byte takes */
        for (size_t k = 0; k + 1 < digit_count; k++)
            *out++ = (uint8_t)(group >> (16 - 8 * k));
    }
    *size = (size_t)(out - start);
    return true;
}
