/*
 * fs.h - the file system as the engine sees it: a table of functions passed in.
 *
 * core/os/fs_posix.c is the real one; tests/support/sim_disk.c keeps files in memory, loses what
 * was not synced, and fails on demand. Nothing in core/ above this folder opens a file otherwise.
 *
 * Paths are relative to the working directory or absolute, at most MR_PATH_BYTES with the NUL. All
 * calls may be made from any thread; reads and writes of one file may run at the same time.
 */
#ifndef MR_OS_FS_H
#define MR_OS_FS_H

#include "millrace.h"

#define MR_PATH_BYTES 4096

/* What every implementation's file begins with. */
struct mr_file {
    struct mr_fs *fs;
};

enum mr_fs_flags {
    MR_FS_WRITE = 1,       /* else read only */
    MR_FS_CREATE = 2,      /* if missing */
    MR_FS_EXCLUSIVE = 4,   /* with CREATE: fails with EXISTS if it is there */
    MR_FS_DIRECT = 8,      /* past the page cache; ignored where the file system refuses it */
    MR_FS_SEQUENTIAL = 16, /* it will be read from front to back */
    MR_FS_PRIVATE = 32,    /* of its owner alone; DENIED if group or others may read or write it */
    MR_FS_BULK = 64        /* large writes go past the page cache if in memory they lie in a page as
                            * they will in the file's */
};

struct mr_fs {
    /* NOT_FOUND, EXISTS, IO, NO_SPACE, DENIED. */
    mr_status (*open)(struct mr_fs *fs, const char *path, unsigned flags, struct mr_file **file,
                      mr_error *error);
    void (*close)(struct mr_file *file); /* NULL is allowed */

    /* Opened DIRECT: buffer, size and offset of reads and writes are multiples of 4096. */

    /* Fills buffer, or stops at the end of the file: *got says how far. */
    mr_status (*read)(struct mr_file *file, void *buffer, size_t size, uint64_t offset, size_t *got,
                      mr_error *error);
    /* Writes all or fails; what a failed write left is undefined. */
    mr_status (*write)(struct mr_file *file, const void *buffer, size_t size, uint64_t offset,
                       mr_error *error);
    /* Makes what was written, and the size, durable (fdatasync). After a failure the state of what
     * was written since the last sync is unknown: never try again and believe it. A failure is told
     * once to each that has the file open: threads that sync on their own open it for themselves. */
    mr_status (*sync)(struct mr_file *file, mr_error *error);
    mr_status (*size)(struct mr_file *file, uint64_t *size, mr_error *error);
    mr_status (*truncate)(struct mr_file *file, uint64_t size, mr_error *error);
    /* Grows the file to size if it is smaller, with disk space behind every byte, reading as 0. */
    mr_status (*reserve)(struct mr_file *file, uint64_t size, mr_error *error);

    /* Replaces `to` in one step. Durable only after sync_directory() of its folder, as are created
     * and removed names. */
    mr_status (*rename)(struct mr_fs *fs, const char *from, const char *to, mr_error *error);
    mr_status (*remove)(struct mr_fs *fs, const char *path, mr_error *error); /* NOT_FOUND */
    mr_status (*make_directory)(struct mr_fs *fs, const char *path, mr_error *error); /* EXISTS */
    mr_status (*remove_directory)(struct mr_fs *fs, const char *path, mr_error *error);
    mr_status (*sync_directory)(struct mr_fs *fs, const char *path, mr_error *error);
    /* Visits names (not "." and ".."), in no order, until visit returns false. NOT_FOUND. */
    mr_status (*list)(struct mr_fs *fs, const char *path,
                      bool (*visit)(void *context, const char *name), void *context,
                      mr_error *error);

    /* Creates path if missing and holds it until the file is closed. LOCKED: another process (or
     * another holder in this one) has it; the message names its process id where it is known. */
    mr_status (*lock)(struct mr_fs *fs, const char *path, struct mr_file **file, mr_error *error);
};

struct mr_fs *mr_fs_posix(void); /* valid for the life of the process */

/* Reads a whole file of at most limit bytes into fresh memory: release with mr_free(). LIMIT,
 * NOT_FOUND, IO. */
mr_status mr_fs_read_all(struct mr_fs *fs, const char *path, size_t limit, uint8_t **data,
                         size_t *size, mr_error *error);

/* Replaces path with these bytes in one durable step: path.tmp, sync, rename, sync of directory.
 * After a failure path has the old bytes or the new ones: which of them may change at a crash. */
mr_status mr_fs_replace(struct mr_fs *fs, const char *directory, const char *path, mr_bytes bytes,
                        mr_error *error);

#endif
