/* Leases out of bytes and out of DynamoDB's items: what is read is written again as it was read. */
#include "dynamo_item.h"

#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_packed(mr_bytes bytes)
{
    struct mr_pack pack = {0};
    const char *fault = NULL;
    mr_lease lease;

    if (mr_lease_unpack(bytes, 7, &lease, &fault)) {
        mr_lease_pack(&pack, &lease);
        mr_check(pack.size == bytes.size && memcmp(pack.data, bytes.data, bytes.size) == 0);
        mr_pack_fini(&pack);
    } else {
        mr_check(fault != NULL);
    }
}

static void check_item(mr_bytes bytes)
{
    struct mr_json json = mr_json_of(bytes);
    struct mr_pack items[2] = {{0}, {0}};
    const char *fault = NULL;
    mr_lease lease;
    enum mr_item item = mr_item_read(&json, &lease, &fault);

    mr_check((item == MR_ITEM_FAULTY) == (fault != NULL));
    for (int i = 0; item == MR_ITEM_LEASE && i < 2; i++) {
        mr_item_write(&items[i], &lease);
        json = mr_json_of((mr_bytes){items[i].data, items[i].size});
        mr_check(mr_item_read(&json, &lease, &fault) == MR_ITEM_LEASE && mr_json_done(&json));
    }
    mr_check(items[0].size == items[1].size);
    if (items[0].size > 0)
        mr_check(memcmp(items[0].data, items[1].data, items[0].size) == 0);
    mr_pack_fini(&items[0]);
    mr_pack_fini(&items[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_packed((mr_bytes){data, size});
    check_item((mr_bytes){data, size});
    return 0;
}
