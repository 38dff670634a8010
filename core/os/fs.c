#include "os/fs.h"

#include "base/fail.h"
#include "base/memory.h"

#include <stdio.h>

mr_status mr_fs_read_all(struct mr_fs *fs, const char *path, size_t limit, uint8_t **data,
                         size_t *size, mr_error *error)
{
    struct mr_file *file = NULL;
    uint8_t *bytes = NULL;
    uint64_t file_size;
    size_t got;
    mr_status status = fs->open(fs, path, MR_FS_SEQUENTIAL, &file, error);

    if (status == MR_OK)
        status = fs->size(file, &file_size, error);
    if (status == MR_OK && file_size > limit)
        status = mr_fail(error, MR_LIMIT, "%.120s has %llu bytes; at most %zu make sense", path,
                         (unsigned long long)file_size, limit);
    if (status == MR_OK) {
        bytes = mr_alloc((size_t)file_size + 1); /* never NULL */
        status = fs->read(file, bytes, (size_t)file_size, 0, &got, error);
    }
    fs->close(file);
    if (status != MR_OK) {
        mr_free(bytes);
        return status;
    }
    *data = bytes;
    *size = got;
    return MR_OK;
}

static mr_status write_new(struct mr_fs *fs, const char *path, mr_bytes bytes, mr_error *error)
{
    struct mr_file *file = NULL;
    mr_status status = fs->open(fs, path, MR_FS_WRITE | MR_FS_CREATE, &file, error);

    if (status == MR_OK)
        status = fs->truncate(file, 0, error); /* one that a crash left */
    if (status == MR_OK)
        status = fs->write(file, bytes.data, bytes.size, 0, error);
    if (status == MR_OK)
        status = fs->sync(file, error);
    fs->close(file);
    return status;
}

mr_status mr_fs_replace(struct mr_fs *fs, const char *directory, const char *path, mr_bytes bytes,
                        mr_error *error)
{
    char temporary[MR_PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    mr_status status;

    if (length < 0 || (size_t)length >= sizeof temporary)
        return mr_fail(error, MR_LIMIT, "a path is longer than %d bytes: %.120s...",
                       MR_PATH_BYTES - 5, path);
    status = write_new(fs, temporary, bytes, error);
    if (status == MR_OK)
        status = fs->rename(fs, temporary, path, error);
    if (status != MR_OK) {
        (void)fs->remove(fs, temporary, NULL);
        return status;
    }
    return fs->sync_directory(fs, directory, error);
}
