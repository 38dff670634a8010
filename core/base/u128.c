#include "base/u128.h"

#include "base/fail.h"

#include <string.h>

void mr_hash_key_format(mr_hash_key key, char text[MR_HASH_KEY_TEXT_BYTES])
{
    mr_u128 rest = mr_hash_key_wide(key);
    char digits[MR_HASH_KEY_TEXT_BYTES];
    char *at = digits + sizeof digits;

    *--at = '\0';
    do {
        *--at = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest > 0);
    memcpy(text, at, (size_t)(digits + sizeof digits - at));
}

mr_status mr_hash_key_parse(const char *text, mr_hash_key *key, mr_error *error)
{
    const mr_u128 max = ~(mr_u128)0;
    mr_u128 value = 0;
    bool good = text[0] != '\0' && (text[0] != '0' || text[1] == '\0');

    for (const char *at = text; good && *at; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        good = digit <= 9 && value <= (max - digit) / 10;
        value = value * 10 + digit;
    }
    if (!good)
        return mr_fail(error, MR_INVALID,
                       "\"%.60s\" is not a hash key: a decimal number from 0 to "
                       "340282366920938463463374607431768211455 (2^128-1) without sign, spaces or "
                       "leading zeros",
                       text);
    *key = mr_hash_key_narrow(value);
    return MR_OK;
}
