#include "disk.h"

#include "base/memory.h"
#include "os/clock.h"
#include "os/fs.h"
#include "os/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_BYTES 4096
#define FILE_BYTES ((uint64_t)4 << 20) /* written once, then again and again */

void mr_times_add(struct mr_times *times, uint64_t time_ns)
{
    mr_grow(times->times_ns, times->count, times->capacity);
    times->times_ns[times->count++] = time_ns;
    times->sorted = false;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

double mr_times_quantile_s(struct mr_times *times, double part)
{
    size_t at = (size_t)(part * (double)times->count);

    if (!times->sorted)
        qsort(times->times_ns, times->count, sizeof *times->times_ns, compare);
    times->sorted = true;
    return (double)times->times_ns[at < times->count ? at : times->count - 1] / 1e9;
}

void mr_times_fini(struct mr_times *times)
{
    mr_free(times->times_ns);
    *times = (struct mr_times){.count = 0};
}

static mr_status flush(struct mr_file *file, const uint8_t *block, uint64_t offset, mr_error *error)
{
    mr_status status = file->fs->write(file, block, FLUSH_BYTES, offset, error);

    return status ? status : file->fs->sync(file, error);
}

static mr_status measure(struct mr_times *times, struct mr_file *file, const uint8_t *block,
                         mr_error *error)
{
    struct mr_clock *clock = mr_clock_real();
    mr_status status = MR_OK;
    uint64_t end_ns, before_ns, after_ns;

    for (uint64_t at = 0; !status && at < FILE_BYTES; at += FLUSH_BYTES)
        status = file->fs->write(file, block, FLUSH_BYTES, at, error);
    if (!status)
        status = flush(file, block, 0, error);
    after_ns = clock->monotonic_ns(clock);
    end_ns = after_ns + MR_DISK_MEASURE_SECONDS * 1000000000ull;
    for (uint64_t at = 0; !status && after_ns < end_ns; at = (at + FLUSH_BYTES) % FILE_BYTES) {
        before_ns = after_ns;
        status = flush(file, block, at, error);
        after_ns = clock->monotonic_ns(clock);
        mr_times_add(times, after_ns - before_ns);
    }
    return status;
}

mr_status mr_disk_measure(struct mr_times *times, const char *directory, mr_error *error)
{
    struct mr_fs *fs = mr_fs_posix();
    char path[MR_PATH_BYTES];
    struct mr_file *file;
    uint8_t *block;
    mr_status status;

    snprintf(path, sizeof path, "%.*s/flush", MR_PATH_BYTES - 8, directory);
    status = fs->open(fs, path, MR_FS_WRITE | MR_FS_CREATE | MR_FS_DIRECT, &file, error);
    if (status)
        return status;
    block = mr_pages_take(FLUSH_BYTES);
    memset(block, 0x5a, FLUSH_BYTES);
    status = measure(times, file, block, error);
    mr_pages_give(block, FLUSH_BYTES);
    fs->close(file);
    fs->remove(fs, path, NULL);
    return status;
}
