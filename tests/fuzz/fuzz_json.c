/* A request in JSON of any bytes: refused, or what was read comes back when written and read again.
 * The first byte chooses the action. */
#include "fuzz/decode_twice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_twice(MR_FORMAT_JSON, data, size);
    return 0;
}
