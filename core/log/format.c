#include "log/format.h"

#include "base/fail.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT_BYTES_MAX 256

uint64_t mr_format_new_id(struct mr_clock *clock)
{
    uint64_t seed[2] = {(uint64_t)clock->wall_ms(clock), clock->monotonic_ns(clock)};

    return XXH3_64bits(seed, sizeof seed);
}

static size_t make_text(char text[FORMAT_BYTES_MAX], uint64_t directory_id)
{
    int size =
        snprintf(text, FORMAT_BYTES_MAX, "millrace directory, format %d\nid %016" PRIx64 "\n",
                 DIRECTORY_FORMAT, directory_id);

    size += snprintf(text + size, FORMAT_BYTES_MAX - (size_t)size, "checksum %016" PRIx64 "\n",
                     (uint64_t)XXH3_64bits(text, (size_t)size));
    return (size_t)size;
}

mr_status mr_format_write(struct mr_fs *fs, const char *directory, uint64_t directory_id,
                          mr_error *error)
{
    char path[MR_PATH_BYTES], text[FORMAT_BYTES_MAX];
    size_t size = make_text(text, directory_id);

    snprintf(path, sizeof path, "%.4000s/FORMAT", directory);
    return mr_fs_replace(fs, directory, path, (mr_bytes){text, size}, error);
}

static mr_status parse(const char *directory, const char *text, size_t size, uint64_t *directory_id,
                       mr_error *error)
{
    char expected[FORMAT_BYTES_MAX];
    unsigned format = 0;

    if (sscanf(text, "millrace directory, format %u", &format) == 1 && format > DIRECTORY_FORMAT)
        return mr_fail(error, MR_FORMAT,
                       "%.100s is of format %u, made by a newer millrace; this one reads up to %d: "
                       "use the newer program",
                       directory, format, DIRECTORY_FORMAT);
    /* Only the very bytes we would write will do: then every changed bit shows. */
    if (sscanf(text, "millrace directory, format %*u id %16" SCNx64, directory_id) == 1) {
        if (make_text(expected, *directory_id) == size && !memcmp(text, expected, size))
            return MR_OK;
    }
    return mr_fail(error, MR_CORRUPT,
                   "%.120s/FORMAT is damaged: put it back from a backup of this directory",
                   directory);
}

mr_status mr_format_read(struct mr_fs *fs, const char *directory, uint64_t *directory_id,
                         mr_error *error)
{
    char path[MR_PATH_BYTES], text[FORMAT_BYTES_MAX];
    uint8_t *data = NULL;
    size_t size = 0;
    mr_status status;

    snprintf(path, sizeof path, "%.4000s/FORMAT", directory);
    status = mr_fs_read_all(fs, path, sizeof text - 1, &data, &size, error);
    if (status && status != MR_LIMIT) /* too long to be one: damaged, as is an empty one */
        return status;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    mr_free(data);
    return parse(directory, text, size, directory_id, error);
}
