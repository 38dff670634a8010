/* The same as fuzz_json.c, in CBOR. */
#include "fuzz/decode_twice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_twice(MR_FORMAT_CBOR, data, size);
    return 0;
}
