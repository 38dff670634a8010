/*
 * sim_disk.h - a disk in memory for crash tests, deterministic from a seed.
 *
 * Every file has two images: what is durable, and what a reader sees. Writes lie between them until
 * sync(); changes of size, too. Names (create, rename, remove) lie between the durable and the
 * visible state of their directory until sync_directory(). A crash decides, from the seed, what of
 * all that reached the disk:
 *
 *   each 512-byte sector of each write    kept, lost, or (some share) turned to garbage
 *   size changes of a file                the first so many of them
 *   name changes of a directory           the first so many of them
 *
 * Faults are armed by number: "the 3rd sync from now fails". One disk may be used from any thread.
 */
#ifndef MR_TESTS_SIM_DISK_H
#define MR_TESTS_SIM_DISK_H

#include "os/fs.h"

struct sim_disk;

struct sim_disk *sim_disk_new(uint64_t seed);
void sim_disk_free(struct sim_disk *disk);
struct mr_fs *sim_disk_fs(struct sim_disk *disk);

/* The same files, pending changes included, without open files, locks, faults and watcher. */
struct sim_disk *sim_disk_copy(struct sim_disk *disk, uint64_t seed);

/* ---- crashes ------------------------------------------------------------------------------ */

enum sim_crash {
    SIM_POWER_CUT, /* what was not synced is kept or lost, and then all is durable */
    SIM_KILL,      /* the process only: all is still there, and what was not synced still is not */
};

/* Open files are dead from now on: their calls fail, only close() works. Locks are free; faults,
 * stop and budget are forgotten. The disk can be used again at once. */
void sim_disk_crash(struct sim_disk *disk, enum sim_crash crash);

/* How many of 100 lost sectors turn to garbage; 0 at first. */
void sim_disk_garbage(struct sim_disk *disk, unsigned percent);

/* DIRECT files go through the page cache after all: it may show what a failed sync has lost. */
void sim_disk_refuse_direct(struct sim_disk *disk);

/* ---- faults ------------------------------------------------------------------------------- */

enum sim_call { /* a set of these says which calls are meant */
                SIM_OPEN = 1 << 0,
                SIM_CREATE = 1 << 1, /* open() or lock() that makes a file */
                SIM_READ = 1 << 2,
                SIM_WRITE = 1 << 3,
                SIM_SYNC = 1 << 4,
                SIM_TRUNCATE = 1 << 5,
                SIM_RESERVE = 1 << 6,
                SIM_RENAME = 1 << 7,
                SIM_REMOVE = 1 << 8, /* remove(), remove_directory() */
                SIM_MAKE_DIRECTORY = 1 << 9,
                SIM_SYNC_DIRECTORY = 1 << 10,
                SIM_LIST = 1 << 11,
                SIM_SIZE = 1 << 12,
};
#define SIM_ALL_CALLS ((1u << 13) - 1)
#define SIM_CHANGES (SIM_ALL_CALLS & ~(unsigned)(SIM_OPEN | SIM_READ | SIM_LIST | SIM_SIZE))
#define SIM_ALLOCATIONS (unsigned)(SIM_CREATE | SIM_WRITE | SIM_RESERVE | SIM_MAKE_DIRECTORY)

/* The number-th of these calls from now (1: the next) fails with os_errno, and all of them after it
 * if lasting. A failed write leaves some of its sectors; a failed sync leaves some of what was
 * pending and takes all of it for clean; other failed calls change nothing. Replaces the fault
 * armed before; number 0 disarms. */
void sim_disk_fail(struct sim_disk *disk, unsigned calls, uint64_t number, int os_errno,
                   bool lasting);
uint64_t sim_disk_failed(const struct sim_disk *disk); /* calls that an armed fault failed, ever */

/* The process is taken for dead at the number-th change (see SIM_CHANGES) from now: that and every
 * later call fails without effect. Follow it by sim_disk_crash(). */
void sim_disk_stop(struct sim_disk *disk, uint64_t number);
bool sim_disk_stopped(const struct sim_disk *disk);

/* Files together may be so large, at once for those that are: more is NO_SPACE. UINT64_MAX: all. */
void sim_disk_budget(struct sim_disk *disk, uint64_t bytes);
uint64_t sim_disk_used(const struct sim_disk *disk);

/* How many of these calls there were. */
uint64_t sim_disk_calls(const struct sim_disk *disk, unsigned calls);

/* before(context) runs before each change: the place to copy the disk and crash the copy. */
void sim_disk_watch(struct sim_disk *disk, void (*before)(void *context), void *context);

/* Turns bits of one byte of a file over, on the disk and in the cache. */
void sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t offset, uint8_t mask);

/* Runs body(context, 1), (context, 2), ... until it returns false: "my fault was not reached". Body
 * makes its disk, arms the fault of that number and says sim_disk_failed() > 0. Returns the number
 * of runs that met their fault. */
uint64_t sim_each_fault(bool (*body)(void *context, uint64_t number), void *context);

#endif
