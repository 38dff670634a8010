/*
 * sign.c - Signature Version 4: a hash of the request, as a canonical text, is signed with a key that
 * is made of the secret, the day, the region and the service.
 */
#include "wire/sign.h"

#include "base/check.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DATE_BYTES 8

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

void mr_sign_time(int64_t wall_ms, char text[MR_SIGN_TIME_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;

    gmtime_r(&seconds, &parts);
    mr_check(strftime(text, MR_SIGN_TIME_BYTES, "%Y%m%dT%H%M%SZ", &parts) ==
             MR_SIGN_TIME_BYTES - 1);
}

/* ---- keys --------------------------------------------------------------------------------- */

static void next_key(struct mr_seal *key, const char *text)
{
    uint8_t bytes[MR_DIGEST_BYTES];

    mr_seal(key, bytes_of(text), bytes);
    mr_seal_init(key, (mr_bytes){bytes, sizeof bytes});
    OPENSSL_cleanse(bytes, sizeof bytes);
}

void mr_sign_key(const char *secret, const char *date, const char *region, const char *service,
                 struct mr_seal *key)
{
    char day[DATE_BYTES + 1];
    struct mr_pack first = {0};

    snprintf(day, sizeof day, "%.*s", DATE_BYTES, date);
    mr_pack_bytes(&first, bytes_of("AWS4"));
    mr_pack_bytes(&first, bytes_of(secret));
    mr_seal_init(key, (mr_bytes){first.data, first.size});
    OPENSSL_cleanse(first.data, first.size);
    mr_pack_fini(&first);
    next_key(key, day);
    next_key(key, region);
    next_key(key, service);
    next_key(key, "aws4_request");
}

/* ---- texts -------------------------------------------------------------------------------- */

static void put(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, bytes_of(text));
}

static void write_hex(const uint8_t bytes[MR_DIGEST_BYTES], char hex[MR_SIGN_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < MR_DIGEST_BYTES; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[MR_SIGN_HEX_BYTES - 1] = 0;
}

void mr_sign_hash(mr_bytes bytes, char hex[MR_SIGN_HEX_BYTES])
{
    uint8_t hashed[MR_DIGEST_BYTES];

    mr_digest(bytes, hashed);
    write_hex(hashed, hex);
}

static void put_hash(struct mr_pack *out, mr_bytes bytes)
{
    char hex[MR_SIGN_HEX_BYTES];

    mr_sign_hash(bytes, hex);
    mr_pack_bytes(out, (mr_bytes){hex, sizeof hex - 1});
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void mr_sign_put_value(struct mr_pack *out, mr_bytes value)
{
    const char *at = value.data, *end = at + value.size, *word;
    bool is_first = true;

    while (at < end) {
        for (word = at; at < end && !is_blank(*at);)
            at++;
        if (at > word) {
            if (!is_first)
                mr_pack_u8(out, ' ');
            mr_pack_bytes(out, (mr_bytes){word, (size_t)(at - word)});
            is_first = false;
        }
        while (at < end && is_blank(*at))
            at++;
    }
}

static void put_names(struct mr_pack *out, const struct mr_sign *sign)
{
    for (size_t i = 0; i < sign->field_count; i++) {
        put(out, i ? ";" : "");
        put(out, sign->fields[i].name);
    }
}

static void put_scope(struct mr_pack *out, const struct mr_sign *sign)
{
    mr_pack_bytes(out, (mr_bytes){sign->time, DATE_BYTES});
    put(out, "/");
    put(out, sign->region);
    put(out, "/");
    put(out, sign->service);
    put(out, "/aws4_request");
}

/* The request as all sides write it, line by line. */
static void put_request(struct mr_pack *out, const struct mr_sign *sign)
{
    const char *lines[] = {sign->method, sign->path, sign->query};

    for (size_t i = 0; i < 3; i++) {
        put(out, lines[i]);
        put(out, "\n");
    }
    for (size_t i = 0; i < sign->field_count; i++) {
        put(out, sign->fields[i].name);
        put(out, ":");
        mr_sign_put_value(out, sign->fields[i].value);
        put(out, "\n");
    }
    put(out, "\n");
    put_names(out, sign);
    put(out, "\n");
    put_hash(out, sign->body);
}

void mr_sign_seal(const struct mr_seal *key, mr_bytes time, mr_bytes scope, mr_bytes request,
                  char signature[MR_SIGN_HEX_BYTES])
{
    struct mr_pack text = MR_PACK(SIZE_MAX);
    uint8_t sealed[MR_DIGEST_BYTES];

    put(&text, MR_SIGN_ALGORITHM "\n");
    mr_pack_bytes(&text, time);
    put(&text, "\n");
    mr_pack_bytes(&text, scope);
    put(&text, "\n");
    put_hash(&text, request);
    mr_seal(key, (mr_bytes){text.data, text.size}, sealed);
    write_hex(sealed, signature);
    mr_pack_fini(&text);
}

void mr_sign(const struct mr_sign *sign, struct mr_pack *out)
{
    struct mr_pack request = MR_PACK(SIZE_MAX), scope = MR_PACK(SIZE_MAX);
    char signature[MR_SIGN_HEX_BYTES];
    struct mr_seal key;

    put_request(&request, sign);
    put_scope(&scope, sign);
    mr_sign_key(sign->secret, sign->time, sign->region, sign->service, &key);
    mr_sign_seal(&key, bytes_of(sign->time), (mr_bytes){scope.data, scope.size},
                 (mr_bytes){request.data, request.size}, signature);
    OPENSSL_cleanse(&key, sizeof key);

    put(out, MR_SIGN_ALGORITHM " Credential=");
    put(out, sign->access_key_id);
    put(out, "/");
    mr_pack_bytes(out, (mr_bytes){scope.data, scope.size});
    put(out, ", SignedHeaders=");
    put_names(out, sign);
    put(out, ", Signature=");
    put(out, signature);
    mr_pack_fini(&request);
    mr_pack_fini(&scope);
}
