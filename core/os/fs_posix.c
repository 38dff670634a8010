#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "os/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MODE = 0640,
    PRIVATE_MODE = 0600,
    DIRECTORY_MODE = 0750,
    DIRECT_BYTES = 4096,          /* what DIRECT calls are aligned to */
    BULK_BYTES = 512 << 10,       /* what BULK calls large */
    TRANSFER_BYTES_MAX = 1 << 30, /* Linux moves at most 2 GiB - 4096 a call */
    PATH_CHARS_SHOWN = 120,
};

struct posix_file {
    struct mr_file base;
    int fd;
    int bulk_fd;        /* the same with O_DIRECT, or -1 */
    bool aligned;       /* opened DIRECT: callers promised alignment */
    atomic_bool direct; /* O_DIRECT is on: false as well where the file system refused it */
    bool holds_lock;
    char path[];
};

/* ---- messages ----------------------------------------------------------------------------- */

static const char *shown(const char *path)
{
    size_t size = strlen(path);
    return size > PATH_CHARS_SHOWN ? path + size - PATH_CHARS_SHOWN : path;
}

/* What went wrong and what to do about it, where we know better than strerror(). */
static const char *explained(int os_errno)
{
    switch (os_errno) {
    case ENOSPC:
        return "the disk is full: free some space on it";
    case EDQUOT:
        return "the disk quota is used up: free some space or raise the quota";
    case EROFS:
        return "the file system is read-only: remount it writable (look why it is in dmesg)";
    case EACCES:
    case EPERM:
        return "not permitted: check the owner and mode of the file and its folders";
    case EIO:
        return "the disk failed: look into dmesg, and move the data to a healthy disk";
    case EMFILE:
    case ENFILE:
        return "too many open files: raise the limit (ulimit -n)";
    case EFBIG:
        return "the file would be larger than the file system or ulimit -f allows";
    default:
        return strerror(os_errno);
    }
}

static mr_status refuse(mr_error *error, int os_errno, const char *what, const char *path)
{
    mr_status status = MR_IO;

    if (os_errno == ENOENT)
        status = MR_NOT_FOUND;
    else if (os_errno == EEXIST)
        status = MR_EXISTS;
    else if (os_errno == ENOSPC || os_errno == EDQUOT)
        status = MR_NO_SPACE;
    mr_fail(error, status, "cannot %s %s: %s", what, shown(path), explained(os_errno));
    if (error)
        error->os_errno = os_errno;
    return status;
}

/* ---- one file ----------------------------------------------------------------------------- */

static struct posix_file *posix_file(struct mr_file *file)
{
    return (struct posix_file *)file;
}

static struct posix_file *file_new(struct mr_fs *fs, const char *path, int fd)
{
    size_t path_bytes = strlen(path) + 1;
    struct posix_file *file = mr_alloc_zero(1, sizeof *file + path_bytes);

    file->base.fs = fs;
    file->fd = fd;
    file->bulk_fd = -1;
    memcpy(file->path, path, path_bytes);
    return file;
}

static int open_again(const char *path, int flags, mode_t mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static void posix_close(struct mr_file *base)
{
    struct posix_file *file = posix_file(base);

    if (!file)
        return;
    if (file->holds_lock && ftruncate(file->fd, 0) != 0) {
        /* A stale process id in a file that nobody holds is never shown. */
    }
    if (file->bulk_fd >= 0)
        close(file->bulk_fd);
    close(file->fd);
    mr_free(file);
}

static void check_aligned(const struct posix_file *file, const void *buffer, size_t size,
                          uint64_t offset)
{
    mr_check(!file->aligned || ((uintptr_t)buffer | size | offset) % DIRECT_BYTES == 0);
}

/* Some file systems take O_DIRECT at open and refuse it at the first transfer. */
static bool goes_buffered(struct posix_file *file, int os_errno)
{
    int flags;

    if (os_errno != EINVAL || !file->direct)
        return false;
    flags = fcntl(file->fd, F_GETFL);
    if (flags < 0 || fcntl(file->fd, F_SETFL, flags & ~O_DIRECT) != 0)
        return false;
    file->direct = false;
    return true;
}

static size_t transfer_bytes(size_t left)
{
    return left < TRANSFER_BYTES_MAX ? left : TRANSFER_BYTES_MAX;
}

static mr_status posix_read(struct mr_file *base, void *buffer, size_t size, uint64_t offset,
                            size_t *got, mr_error *error)
{
    struct posix_file *file = posix_file(base);
    size_t done = 0;

    check_aligned(file, buffer, size, offset);
    while (done < size) {
        ssize_t step = pread(file->fd, (char *)buffer + done, transfer_bytes(size - done),
                             (off_t)(offset + done));
        if (step > 0)
            done += (size_t)step;
        if (step == 0 || (step > 0 && file->aligned && step % DIRECT_BYTES != 0))
            break; /* the end of the file; reading on there would not be aligned */
        if (step < 0 && errno != EINTR && !goes_buffered(file, errno))
            return refuse(error, errno, "read", file->path);
    }
    *got = done;
    return MR_OK;
}

static mr_status write_all(struct posix_file *file, const void *buffer, size_t size,
                           uint64_t offset, mr_error *error)
{
    size_t done = 0;

    while (done < size) {
        ssize_t step = pwrite(file->fd, (const char *)buffer + done, transfer_bytes(size - done),
                              (off_t)(offset + done));
        if (step > 0)
            done += (size_t)step;
        else if (step == 0)
            return refuse(error, EIO, "write", file->path);
        else if (errno != EINTR && !goes_buffered(file, errno))
            return refuse(error, errno, "write", file->path);
    }
    return MR_OK;
}

/* Writes whole pages past the page cache and says how many bytes; what is left, for whatever reason, is
 * the page cache's. */
static size_t write_past_cache(struct posix_file *file, const char *buffer, size_t size,
                               uint64_t offset)
{
    size_t done = 0;

    size -= size % DIRECT_BYTES;
    while (done < size) {
        ssize_t step = pwrite(file->bulk_fd, buffer + done, transfer_bytes(size - done),
                              (off_t)(offset + done));
        if (step > 0)
            done += (size_t)step;
        else if (step == 0 || errno != EINTR)
            break;
        if (done % DIRECT_BYTES != 0)
            break;
    }
    return done;
}

static mr_status posix_write(struct mr_file *base, const void *buffer, size_t size, uint64_t offset,
                             mr_error *error)
{
    struct posix_file *file = posix_file(base);
    const char *bytes = buffer;
    size_t part = (size_t)(-offset % DIRECT_BYTES); /* the rest of a page that was begun */
    mr_status status;

    check_aligned(file, buffer, size, offset);
    if (file->bulk_fd < 0 || size < BULK_BYTES || ((uintptr_t)buffer - offset) % DIRECT_BYTES != 0)
        return write_all(file, buffer, size, offset, error);
    status = write_all(file, bytes, part, offset, error);
    if (status)
        return status;
    part += write_past_cache(file, bytes + part, size - part, offset + part);
    return write_all(file, bytes + part, size - part, offset + part, error);
}

static mr_status posix_sync(struct mr_file *base, mr_error *error)
{
    struct posix_file *file = posix_file(base);

    /* EINTR reports no lost page; every other error does, once, and must not be retried. */
    while (fdatasync(file->fd) != 0)
        if (errno != EINTR)
            return refuse(error, errno, "sync", file->path);
    return MR_OK;
}

static mr_status check_private(int fd, const char *path, mr_error *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return refuse(error, errno, "look at", path);
    if (status.st_mode & (S_IRWXG | S_IRWXO))
        return mr_fail(error, MR_DENIED,
                       "%s is open to others than its owner: chmod 600 it, then try again",
                       shown(path));
    return MR_OK;
}

static mr_status posix_open(struct mr_fs *fs, const char *path, unsigned flags,
                            struct mr_file **out, mr_error *error)
{
    int os_flags = flags & MR_FS_WRITE ? O_RDWR : O_RDONLY;
    bool direct = flags & MR_FS_DIRECT;
    mode_t mode = flags & MR_FS_PRIVATE ? PRIVATE_MODE : FILE_MODE;
    struct posix_file *file;
    mr_status status;
    int fd;

    if (flags & MR_FS_CREATE)
        os_flags |= flags & MR_FS_EXCLUSIVE ? O_CREAT | O_EXCL : O_CREAT;
    fd = open_again(path, direct ? os_flags | O_DIRECT : os_flags, mode);
    if (fd < 0 && direct && errno == EINVAL) {
        /* Refused, but Linux has already created the file. */
        direct = false;
        fd = open_again(path, os_flags & ~O_EXCL, mode);
    }
    if (fd < 0)
        return refuse(error, errno, flags & MR_FS_CREATE ? "create" : "open", path);
    status = flags & MR_FS_PRIVATE ? check_private(fd, path, error) : MR_OK;
    if (status) {
        close(fd);
        return status;
    }
    if (flags & MR_FS_SEQUENTIAL)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint */
    file = file_new(fs, path, fd);
    file->aligned = flags & MR_FS_DIRECT;
    file->direct = direct;
    if (flags & MR_FS_BULK) /* where it is refused, it goes without */
        file->bulk_fd = open_again(path, (os_flags & ~(O_CREAT | O_EXCL)) | O_DIRECT, 0);
    *out = &file->base;
    return MR_OK;
}

static mr_status posix_size(struct mr_file *base, uint64_t *size, mr_error *error)
{
    struct posix_file *file = posix_file(base);
    struct stat status;

    if (fstat(file->fd, &status) != 0)
        return refuse(error, errno, "look at", file->path);
    *size = (uint64_t)status.st_size;
    return MR_OK;
}

static mr_status posix_truncate(struct mr_file *base, uint64_t size, mr_error *error)
{
    struct posix_file *file = posix_file(base);

    while (ftruncate(file->fd, (off_t)size) != 0)
        if (errno != EINTR)
            return refuse(error, errno, "resize", file->path);
    return MR_OK;
}

static mr_status write_zeros(struct posix_file *file, uint64_t from, uint64_t to, mr_error *error)
{
    _Alignas(DIRECT_BYTES) static const char zeros[64 << 10];
    mr_status status = MR_OK;

    while (from < to && status == MR_OK) {
        size_t step = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        status = write_all(file, zeros, step, from, error);
        from += step;
    }
    return status;
}

static mr_status posix_reserve(struct mr_file *base, uint64_t size, mr_error *error)
{
    struct posix_file *file = posix_file(base);
    uint64_t size_before;
    mr_status status = posix_size(base, &size_before, error);
    int failure;

    if (status != MR_OK || size == 0)
        return status;
    /* Not posix_fallocate(): where the file system has none, that one writes into each block, which
     * races with other writers. */
    do
        failure = fallocate(file->fd, 0, 0, (off_t)size) == 0 ? 0 : errno;
    while (failure == EINTR);
    if (failure == EOPNOTSUPP || failure == ENOSYS)
        status = write_zeros(file, size_before, size, error);
    else if (failure != 0)
        status = refuse(error, failure, "reserve space for", file->path);
    if (status != MR_OK)
        (void)posix_truncate(base, size_before, NULL); /* what it got is given back */
    return status;
}

/* ---- names -------------------------------------------------------------------------------- */

static mr_status posix_rename(struct mr_fs *fs, const char *from, const char *to, mr_error *error)
{
    (void)fs;
    return rename(from, to) == 0 ? MR_OK : refuse(error, errno, "rename", from);
}

static mr_status posix_remove(struct mr_fs *fs, const char *path, mr_error *error)
{
    (void)fs;
    return unlink(path) == 0 ? MR_OK : refuse(error, errno, "remove", path);
}

static mr_status posix_make_directory(struct mr_fs *fs, const char *path, mr_error *error)
{
    (void)fs;
    return mkdir(path, DIRECTORY_MODE) == 0 ? MR_OK : refuse(error, errno, "create", path);
}

static mr_status posix_remove_directory(struct mr_fs *fs, const char *path, mr_error *error)
{
    (void)fs;
    return rmdir(path) == 0 ? MR_OK : refuse(error, errno, "remove", path);
}

static mr_status posix_sync_directory(struct mr_fs *fs, const char *path, mr_error *error)
{
    int fd = open_again(path, O_RDONLY | O_DIRECTORY, 0);
    int failure;

    (void)fs;
    if (fd < 0)
        return refuse(error, errno, "open", path);
    do
        failure = fsync(fd) == 0 ? 0 : errno;
    while (failure == EINTR);
    close(fd);
    if (failure == 0 || failure == EINVAL) /* EINVAL: names there need no sync */
        return MR_OK;
    return refuse(error, failure, "sync", path);
}

static mr_status posix_list(struct mr_fs *fs, const char *path,
                            bool (*visit)(void *context, const char *name), void *context,
                            mr_error *error)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int failure;

    (void)fs;
    if (!directory)
        return refuse(error, errno, "list", path);
    while ((errno = 0, entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!visit(context, entry->d_name))
            break;
    }
    failure = entry ? 0 : errno;
    closedir(directory);
    return failure == 0 ? MR_OK : refuse(error, failure, "list", path);
}

/* ---- lock --------------------------------------------------------------------------------- */

static long pid_in(int fd)
{
    char text[24];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);

    if (size <= 0)
        return 0;
    text[size] = 0;
    return strtol(text, NULL, 10);
}

static mr_status refuse_lock(mr_error *error, int fd, const char *path)
{
    long pid = pid_in(fd);
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) : 1;
    const char *directory = slash ? path : ".";
    int hidden = length > PATH_CHARS_SHOWN ? length - PATH_CHARS_SHOWN : 0;

    directory += hidden;
    length -= hidden;
    if (pid == (long)getpid())
        return mr_fail(error, MR_LOCKED,
                       "%.*s is open in this process already: close it there first", length,
                       directory);
    if (pid > 0)
        return mr_fail(error, MR_LOCKED,
                       "%.*s is open in process %ld: stop it, or use another directory", length,
                       directory, pid);
    return mr_fail(error, MR_LOCKED,
                   "%.*s is open in another process: stop it, or use another directory", length,
                   directory);
}

static mr_status posix_lock(struct mr_fs *fs, const char *path, struct mr_file **out,
                            mr_error *error)
{
    struct posix_file *file;
    mr_status status;
    char text[24];
    int size, failure;
    int fd = open_again(path, O_RDWR | O_CREAT, FILE_MODE);

    if (fd < 0)
        return refuse(error, errno, "create", path);
    do
        failure = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    while (failure == EINTR);
    if (failure != 0) {
        status = failure == EWOULDBLOCK ? refuse_lock(error, fd, path)
                                        : refuse(error, failure, "lock", path);
        close(fd);
        return status;
    }
    file = file_new(fs, path, fd);
    file->holds_lock = true;
    size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* The id is for messages only: a full disk must not keep anyone from opening to free space. */
    if (ftruncate(fd, 0) == 0)
        (void)write_all(file, text, (size_t)size, 0, NULL);
    *out = &file->base;
    return MR_OK;
}

struct mr_fs *mr_fs_posix(void)
{
    static struct mr_fs fs = {
        .open = posix_open,
        .close = posix_close,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .size = posix_size,
        .truncate = posix_truncate,
        .reserve = posix_reserve,
        .rename = posix_rename,
        .remove = posix_remove,
        .make_directory = posix_make_directory,
        .remove_directory = posix_remove_directory,
        .sync_directory = posix_sync_directory,
        .list = posix_list,
        .lock = posix_lock,
    };
    return &fs;
}
