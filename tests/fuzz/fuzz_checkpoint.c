/* Checkpoints of any bytes, with a good checksum: refused, or they mean what they say. */
#include "base/check.h"
#include "base/endian.h"
#include "base/memory.h"
#include "log/checkpoint.h"

#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 32 };

/* Decodes and encodes; the result is in fresh memory, NULL if it was refused. */
static uint8_t *again(const uint8_t *bytes, size_t size, size_t *size_again)
{
    struct mr_checkpoint checkpoint;
    uint8_t *result = NULL;
    uint32_t format;

    if (!mr_checkpoint_decode((mr_bytes){bytes, size}, &checkpoint, &format))
        return NULL;
    mr_check(format == CHECKPOINT_FORMAT);
    mr_checkpoint_encode(&checkpoint, &result, size_again);
    mr_checkpoint_fini(&checkpoint);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes, *first, *second;
    size_t all = HEAD_BYTES + size, first_size, second_size;
    XXH128_hash_t hash;

    /* As it is, and as the rest of a file whose head is good. */
    first = again(data, size, &first_size);
    mr_free(first);
    bytes = mr_alloc(all);
    memcpy(bytes + 16, "MRc1", 4);
    mr_store32(bytes + 20, CHECKPOINT_FORMAT);
    mr_store64(bytes + 24, all);
    if (size)
        memcpy(bytes + HEAD_BYTES, data, size);
    hash = XXH3_128bits(bytes + 16, all - 16);
    mr_store64(bytes, hash.low64);
    mr_store64(bytes + 8, hash.high64);

    first = again(bytes, all, &first_size);
    if (first) {
        /* Reserved fields and unknown flags are not kept: nothing else is lost. */
        mr_check(first_size == all);
        second = again(first, first_size, &second_size);
        mr_check(second && second_size == all && !memcmp(first, second, all));
        mr_free(second);
    }
    mr_free(first);
    mr_free(bytes);
    return 0;
}
