/* What a child may say, any bytes: a place that is read is one, and is told back as it was. */
#include "../../tools/multilang/message.h"
#include "base/check.h"
#include "base/json.h"
#include "base/memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void comes_back(const struct mr_said *said)
{
    struct mr_json_line line = MR_JSON_LINE;
    struct mr_said again;

    mr_message_checkpointed(&line, said, NULL);
    mr_message_read((mr_bytes){line.pack.data, line.pack.size}, &again);
    mr_check(again.kind == MR_SAID_CHECKPOINT);
    mr_check(again.has_mark == (said->has_mark && said->is_mark_valid));
    mr_check(!again.has_mark || mr_mark_compare(&again.mark, &said->mark) == 0);
    mr_pack_fini(&line.pack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mr_alloc(size + !size); /* no byte behind its end */
    struct mr_said said;

    if (size)
        memcpy(copy, data, size);
    mr_message_read((mr_bytes){copy, size}, &said);
    mr_check(strlen(said.response_for) < sizeof said.response_for);
    mr_check(!said.is_mark_valid || said.mark.kind == MR_MARK_RECORD);
    if (said.kind == MR_SAID_CHECKPOINT)
        comes_back(&said);
    mr_free(copy);
    return 0;
}
