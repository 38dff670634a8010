/* Fields of origins of any bytes: what is read is written alike, but for zeros in front of numbers. */
#include "base/check.h"
#include "wire/origin.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_arena arena = MR_ARENA(1 << 16);
    char text[MR_ORIGIN_TEXT_BYTES];
    mr_origin origin, again;

    if (mr_origin_read((mr_bytes){data, size}, &arena, &origin)) {
        mr_check(strlen(origin.name) >= 1 && strlen(origin.name) <= MR_ORIGIN_BYTES_MAX);
        mr_origin_write(&origin, text);
        mr_check(mr_origin_read((mr_bytes){text, strlen(text)}, &arena, &again));
        mr_check(origin.from == again.from && origin.to == again.to &&
                 strcmp(origin.name, again.name) == 0);
    }
    mr_arena_fini(&arena);
    return 0;
}
