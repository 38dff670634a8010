/* A server's /metrics of any bytes: what is found is of a shard, and a count. */
#include "base/check.h"
#include "top/counts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(void *context, mr_shard_id shard, enum mr_count count, uint64_t value)
{
    (void)context;
    (void)shard;
    mr_check(count < MR_COUNTS);
    mr_check(value < UINT64_C(1) << 63);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_counts_parse((mr_bytes){data, size}, "s", note, NULL);
    return 0;
}
