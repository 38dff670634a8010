/* HTTP/1 heads and chunks of any bytes: what is understood lies within them, however they are cut. */
#include "base/check.h"
#include "server/head.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(mr_bytes part, const uint8_t *data, size_t size)
{
    const uint8_t *start = part.data;

    if (part.size)
        mr_check(start >= data && start + part.size <= data + size);
}

/* Cut into pieces of `step`, the chunks give the same body and end. */
static void try_chunks(const uint8_t *data, size_t size, size_t step, uint64_t *sum, size_t *used)
{
    struct mr_chunks chunks = {0};
    const uint8_t *at = data, *stop = data + size;

    *sum = 0;
    while (at < stop && !chunks.is_complete) {
        const uint8_t *end = (size_t)(stop - at) > step ? at + step : stop;

        while (at < end && !chunks.is_complete) {
            mr_bytes piece;

            if (mr_chunks_read(&chunks, &at, end, &piece)) {
                *used = SIZE_MAX;
                return;
            }
            check_within(piece, data, size);
            for (size_t i = 0; i < piece.size; i++)
                *sum = *sum * 31 + ((const uint8_t *)piece.data)[i] + 1;
        }
    }
    *used = (size_t)(at - data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_field fields[MR_FIELD_COUNT_MAX];
    struct mr_head head = {.fields = fields};
    size_t scanned = 0, end, again_end = 0, used, again_used;
    uint8_t *copy = malloc(size ? size : 1); /* of this size exactly: a sanitizer sees the end */
    uint64_t sum, again_sum;
    enum mr_refusal refusal, again = MR_REFUSAL_NONE;

    if (size)
        memcpy(copy, data, size);
    refusal = mr_head_find((mr_bytes){copy, size}, &scanned, &end);
    scanned = 0;
    for (size_t some = 1; some <= size && !again && !again_end; some++)
        again = mr_head_find((mr_bytes){copy, some}, &scanned, &again_end);
    mr_check(refusal == again && (refusal || end == again_end));

    if (!refusal && end) {
        refusal = mr_head_parse((mr_bytes){copy, end}, &head);
        if (!refusal) {
            mr_check(head.method.size > 0 && head.path.size > 0);
            mr_check(head.field_count <= MR_FIELD_COUNT_MAX);
            mr_check(!head.is_chunked || head.body_bytes == 0);
            check_within(head.method, copy, end);
            check_within(head.path, copy, end);
            check_within(head.query, copy, end);
            check_within(head.host, copy, end);
            for (size_t i = 0; i < head.field_count; i++) {
                check_within(fields[i].name, copy, end);
                check_within(fields[i].value, copy, end);
                mr_check(fields[i].name.size > 0);
                mr_check(!fields[i].value.size ||
                         !memchr(fields[i].value.data, '\n', fields[i].value.size));
            }
        }
    }

    try_chunks(copy, size, size ? size : 1, &sum, &used);
    try_chunks(copy, size, 1, &again_sum, &again_used);
    mr_check(used == again_used && (used == SIZE_MAX || sum == again_sum));
    free(copy);
    return 0;
}
