#include "log/block.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"

#include <xxhash.h>
#include <zstd.h>

#define BLOCK_MAGIC 0x3162524du /* "MRb1" */
#define CODEC_ZSTD 1u
#define CODEC_ENCRYPTED 2u

struct mr_codec {
    ZSTD_CCtx *compress; /* made when first used: readers never compress */
    ZSTD_DCtx *decompress;
    struct mr_cipher *cipher; /* made when first used, too */
    struct mr_key_file *keys;
};

struct mr_codec *mr_codec_new(struct mr_key_file *keys)
{
    struct mr_codec *codec = mr_new(struct mr_codec);

    codec->keys = keys;
    return codec;
}

void mr_codec_free(struct mr_codec *codec)
{
    if (!codec)
        return;
    ZSTD_freeCCtx(codec->compress);
    ZSTD_freeDCtx(codec->decompress);
    mr_cipher_free(codec->cipher);
    mr_free(codec);
}

size_t mr_block_bytes_max(size_t raw_bytes)
{
    return BLOCK_HEADER_BYTES + ENVELOPE_BYTES + ZSTD_COMPRESSBOUND(raw_bytes);
}

/* The payload's size, or 0 where it did not get smaller. */
static size_t compress(struct mr_codec *codec, enum mr_codec_effort effort, mr_bytes raw,
                       uint8_t *out)
{
    size_t size;

    if (effort == MR_CODEC_STORED)
        return 0;
    if (!codec->compress) {
        codec->compress = ZSTD_createCCtx();
        mr_check(codec->compress);
    }
    size = ZSTD_compressCCtx(codec->compress, out, ZSTD_COMPRESSBOUND(raw.size), raw.data, raw.size,
                             effort == MR_CODEC_SMALL ? 1 : -5);
    mr_check(!ZSTD_isError(size));
    return size < raw.size ? size : 0;
}

/* The word at 12: the codec, and a check of the header alone, by which opening trusts headers. */
static uint32_t codec_word(const uint8_t header[BLOCK_HEADER_BYTES], uint32_t codec)
{
    uint8_t copy[BLOCK_HEADER_BYTES];

    memcpy(copy, header, sizeof copy);
    mr_store32(copy + 12, codec);
    return codec | (uint32_t)(XXH3_64bits(copy + 8, sizeof copy - 8) << 8);
}

static struct mr_cipher *cipher_of(struct mr_codec *codec)
{
    if (!codec->cipher)
        codec->cipher = mr_cipher_new();
    return codec->cipher;
}

/* E4: all of the header that is known before, and the seed, by which a block has its place. */
struct place {
    uint8_t bytes[8 + BLOCK_HEADER_BYTES - 16 + 1];
};

static mr_bytes place_of(struct place *place, const uint8_t header[BLOCK_HEADER_BYTES],
                         uint32_t codec, uint64_t seed)
{
    mr_store64(place->bytes, seed);
    memcpy(place->bytes + 8, header + 16, BLOCK_HEADER_BYTES - 16);
    place->bytes[sizeof place->bytes - 1] = (uint8_t)codec;
    return (mr_bytes){place->bytes, sizeof place->bytes};
}

size_t mr_block_write(struct mr_codec *codec, enum mr_codec_effort effort, struct mr_data_key *key,
                      struct mr_block *block, mr_bytes raw, uint64_t seed, uint8_t *out)
{
    size_t envelope_bytes = key ? ENVELOPE_BYTES : 0;
    uint8_t *payload = out + BLOCK_HEADER_BYTES + envelope_bytes;
    size_t size = compress(codec, effort, raw, payload);
    uint32_t codec_id;
    struct place place;

    mr_check(raw.size <= BLOCK_RAW_BYTES_MAX);
    block->is_compressed = size > 0;
    block->is_encrypted = key != NULL;
    codec_id = block->is_compressed * CODEC_ZSTD + block->is_encrypted * CODEC_ENCRYPTED;
    if (!block->is_compressed) {
        if (raw.data != payload)
            memmove(payload, raw.data, raw.size);
        size = raw.size;
    }
    block->stored_bytes = (uint32_t)(envelope_bytes + size);
    block->raw_bytes = (uint32_t)raw.size;

    mr_store32(out + 8, BLOCK_MAGIC);
    mr_store32(out + 16, block->log);
    mr_store32(out + 20, block->stored_bytes);
    mr_store32(out + 24, block->raw_bytes);
    mr_store32(out + 28, block->record_count);
    mr_store64(out + 32, block->first_number);
    mr_store64(out + 40, block->last_number);
    mr_store64(out + 48, (uint64_t)block->first_ms);
    mr_store32(out + 56, (uint32_t)(block->last_ms - block->first_ms));
    mr_store32(out + 60, block->record_bytes);
    mr_store32(out + 12, codec_word(out, codec_id));
    if (key)
        mr_encrypt(cipher_of(codec), key, place_of(&place, out, codec_id, seed),
                   (mr_bytes){payload, size}, out + BLOCK_HEADER_BYTES);
    size = BLOCK_HEADER_BYTES + (size_t)block->stored_bytes;
    mr_store64(out, XXH3_64bits_withSeed(out + 8, size - 8, seed));
    return size;
}

bool mr_block_read_header(const uint8_t header[BLOCK_HEADER_BYTES], struct mr_block *block)
{
    uint32_t codec = header[12], envelope_bytes = codec & CODEC_ENCRYPTED ? ENVELOPE_BYTES : 0;

    *block = (struct mr_block){
        .log = mr_load32(header + 16),
        .stored_bytes = mr_load32(header + 20),
        .raw_bytes = mr_load32(header + 24),
        .record_count = mr_load32(header + 28),
        .record_bytes = mr_load32(header + 60),
        .first_number = mr_load64(header + 32),
        .last_number = mr_load64(header + 40),
        .first_ms = (int64_t)mr_load64(header + 48),
        .is_compressed = codec & CODEC_ZSTD,
        .is_encrypted = codec & CODEC_ENCRYPTED,
    };
    block->last_ms = (int64_t)((uint64_t)block->first_ms + mr_load32(header + 56));
    return mr_load32(header + 8) == BLOCK_MAGIC && codec <= (CODEC_ZSTD | CODEC_ENCRYPTED) &&
           mr_load32(header + 12) == codec_word(header, codec) &&
           block->stored_bytes > envelope_bytes && block->raw_bytes <= BLOCK_RAW_BYTES_MAX &&
           block->stored_bytes - envelope_bytes <= block->raw_bytes &&
           (block->is_compressed || block->stored_bytes - envelope_bytes == block->raw_bytes) &&
           block->record_count > 0 && block->first_number <= block->last_number &&
           block->last_number <= INT64_MAX / 2 && block->first_ms >= 0 &&
           block->first_ms <= INT64_MAX / 2;
}

static mr_status decrypt(struct mr_codec *codec, const struct mr_block *block, uint8_t *whole,
                         uint64_t seed, mr_bytes *payload, mr_error *error)
{
    struct place place;

    if (!codec->keys)
        return mr_fail(error, MR_NO_KEY, "no key file was named");
    return mr_decrypt(cipher_of(codec), codec->keys, place_of(&place, whole, whole[12], seed),
                      whole + BLOCK_HEADER_BYTES, block->stored_bytes, payload, error);
}

mr_status mr_block_read(struct mr_codec *codec, const struct mr_block *block, uint8_t *whole,
                        uint64_t seed, uint8_t *raw, mr_bytes *runs, mr_error *error)
{
    mr_bytes payload = {whole + BLOCK_HEADER_BYTES, block->stored_bytes};
    size_t size = BLOCK_HEADER_BYTES - 8 + (size_t)block->stored_bytes;
    mr_status status = MR_OK;

    if (mr_load64(whole) != XXH3_64bits_withSeed(whole + 8, size, seed))
        return MR_CORRUPT;
    if (block->is_encrypted)
        status = decrypt(codec, block, whole, seed, &payload, error);
    *runs = payload;
    if (status || !block->is_compressed)
        return status;
    if (!codec->decompress) {
        codec->decompress = ZSTD_createDCtx();
        mr_check(codec->decompress);
    }
    *runs = (mr_bytes){raw, block->raw_bytes};
    return ZSTD_decompressDCtx(codec->decompress, raw, block->raw_bytes, payload.data,
                               payload.size) == block->raw_bytes
               ? MR_OK
               : MR_CORRUPT;
}
