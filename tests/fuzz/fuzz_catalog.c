/*
 * Catalog entries and snapshots of any bytes: each is refused, or means just what it says. The first
 * byte tells which: 0 a snapshot, else entries one after another, each behind its length in 2 bytes.
 */
#include "base/check.h"
#include "base/memory.h"
#include "stream/catalog.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mr_pack snapshot(struct mr_catalog *catalog)
{
    struct mr_pack pack = {0};

    mr_catalog_snapshot(catalog, &pack);
    return pack;
}

static void restore(mr_bytes bytes)
{
    struct mr_catalog catalog;
    struct mr_pack again;

    mr_catalog_init(&catalog);
    if (mr_catalog_restore(&catalog, NULL, bytes, NULL) == MR_OK && bytes.size > 0) {
        again = snapshot(&catalog);
        if (memcmp(again.data, bytes.data, 1) ==
            0) /* the version: an older one's is written anew */
            mr_check(again.size == bytes.size && memcmp(again.data, bytes.data, bytes.size) == 0);
        mr_pack_fini(&again);
    }
    mr_catalog_fini(&catalog);
}

static void check_same(struct mr_catalog *catalog, const struct mr_pack *before)
{
    struct mr_pack after = snapshot(catalog);

    mr_check(after.size == before->size && memcmp(after.data, before->data, after.size) == 0);
    mr_pack_fini(&after);
}

static void apply_all(struct mr_scan scan)
{
    struct mr_catalog catalog;
    struct mr_pack state;

    mr_catalog_init(&catalog);
    for (uint64_t number = 1; mr_scan_left(&scan) >= 2; number++) {
        size_t low = mr_scan_u8(&scan), high = mr_scan_u8(&scan), size = low | high << 8;
        struct mr_entry entry;
        mr_bytes bytes;

        if (size > mr_scan_left(&scan))
            size = mr_scan_left(&scan);
        bytes = (mr_bytes){mr_scan_take(&scan, size), size};
        if (mr_entry_decode(&entry, bytes) && entry.shard_count > 1000)
            continue; /* right, but slow */
        state = snapshot(&catalog);
        if (mr_catalog_apply(&catalog, NULL, bytes, number, (int64_t)number * 700, NULL, NULL))
            check_same(&catalog, &state);
        mr_pack_fini(&state);
    }
    state = snapshot(&catalog);
    restore((mr_bytes){state.data, state.size});
    mr_pack_fini(&state);
    mr_catalog_fini(&catalog);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 0)
        restore((mr_bytes){data + 1, size - 1});
    else
        apply_all(mr_scan_of((mr_bytes){data + 1, size - 1}));
    return 0;
}
