/*
 * Sequence numbers of any bytes: what the engine reads as one of its own is read alike by the API,
 * which knows more of them; what it reads is decimal, and within its fields.
 */
#include "base/check.h"
#include "service/sequence.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[200] = "";
    struct mr_asked_sequence read;
    mr_sequence own;
    bool is_read = mr_sequence_read((mr_bytes){data, size}, &read);

    if (is_read) {
        mr_check(size < MR_SEQUENCE_TEXT_BYTES && read.version <= 2 && read.number <= INT64_MAX);
        for (size_t i = 0; i < size; i++)
            mr_check(data[i] >= '0' && data[i] <= '9');
    }
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    if (strlen(text) == size && mr_sequence_parse(text, &own, NULL) == MR_OK)
        mr_check(is_read && read.version == 2 && read.number == own.number &&
                 (uint32_t)read.shard == own.shard && read.created_s == own.created_s &&
                 read.time_s == own.time_s);
    return 0;
}
