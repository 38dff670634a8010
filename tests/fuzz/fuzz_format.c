/* A FORMAT file of any bytes: what is taken is what would be written. */
#include "base/check.h"
#include "base/memory.h"
#include "log/format.h"
#include "support/sim_disk.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct mr_fs *fs = sim_disk_fs(disk);
    uint64_t id;
    mr_error error;
    mr_status status;

    mr_check(!fs->make_directory(fs, "data", NULL));
    mr_check(!mr_fs_replace(fs, "data", "data/FORMAT", (mr_bytes){data, size}, NULL));
    status = mr_format_read(fs, "data", &id, &error);
    mr_check(status == MR_OK || status == MR_FORMAT || status == MR_CORRUPT);
    if (status == MR_OK) {
        uint8_t *again;
        size_t again_size;

        mr_check(!mr_format_write(fs, "data", id, NULL));
        mr_check(!mr_fs_read_all(fs, "data/FORMAT", 1000, &again, &again_size, NULL));
        mr_check(again_size == size && !memcmp(again, data, size));
        mr_free(again);
    }
    sim_disk_free(disk);
    return 0;
}
