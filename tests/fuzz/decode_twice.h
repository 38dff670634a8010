/* decode_twice.h - what fuzz_json.c and fuzz_cbor.c have in common. */
#ifndef MR_TESTS_DECODE_TWICE_H
#define MR_TESTS_DECODE_TWICE_H

#include "base/check.h"
#include "wire/wire.h"

#include <string.h>

static inline void decode_twice(enum mr_format format, const uint8_t *data, size_t size)
{
    struct mr_arena arena = MR_ARENA((size_t)16 << 20);
    struct mr_pack once = MR_PACK((size_t)64 << 20), again = MR_PACK((size_t)64 << 20);
    struct mr_refusal refusal;
    void *structure;

    if (size > 0 && size < (1 << 20)) {
        enum mr_action action = data[0] % MR_ACTION_COUNT;
        enum mr_shape_id shape = mr_actions[action].request;

        if (mr_decode(format, (mr_bytes){data + 1, size - 1}, shape, &arena, &structure,
                      &refusal)) {
            if (mr_request_check(action, structure, &arena, &refusal)) {
                mr_encode(format, shape, structure, &once);
                mr_check(mr_decode(format, (mr_bytes){once.data, once.size}, shape, &arena,
                                   &structure, &refusal));
                mr_encode(format, shape, structure, &again);
                mr_check(once.size == again.size && memcmp(once.data, again.data, once.size) == 0);
            }
        } else {
            mr_check(refusal.type == MR_EXCEPTION_SERIALIZATION);
        }
    }
    mr_pack_fini(&once);
    mr_pack_fini(&again);
    mr_arena_fini(&arena);
}

#endif
