/*
 * small_log.h - one mr_log whose records tell where they belong, for tests that damage its files.
 *
 * The i-th record of a log has bytes that follow from log and i alone: whoever reads can tell right
 * from wrong, and a gap that was reported from one that was not.
 */
#ifndef MR_TESTS_SMALL_LOG_H
#define MR_TESTS_SMALL_LOG_H

#include "log/log.h"
#include "support/sim_clock.h"
#include "support/sim_disk.h"

#include <pthread.h>

enum { SMALL_LOGS = 8 };

struct small_log {
    struct sim_disk *disk; /* NULL: real files */
    struct mr_fs *fs;
    struct sim_clock clock;
    char directory[512];
    struct mr_log_config config; /* of the next opening: change it as you like */
    struct mr_log *log;          /* NULL: closed */
    pthread_mutex_t diag_lock;
    char diag[4000];   /* what the log said since it was opened, as far as it fits */
    char finding[512]; /* the first damage that small_log_damage() was told of */

    /* The owner's state. */
    bool has_log[SMALL_LOGS];
    uint32_t stream_of[SMALL_LOGS];

    /* Answered records: the number of each. */
    uint64_t *numbers[SMALL_LOGS];
    size_t counts[SMALL_LOGS], capacities[SMALL_LOGS];
};

/* In directory "data" of a new simulated disk / in this directory of real files, to be made. Journals
 * and segments are small; no threads. */
struct small_log *small_log_new_simulated(uint64_t seed);
struct small_log *small_log_new_real(const char *directory);
void small_log_free(struct small_log *s); /* as a crash, if it is open */

/* The same directory on a copy of the disk; s must be closed. */
struct small_log *small_log_copy(const struct small_log *s);

mr_status small_log_open(struct small_log *s, mr_error *error);
void small_log_must_open(struct small_log *s);
void small_log_close(struct small_log *s);
/* It ends without a word. Simulated disks only. */
void small_log_crash(struct small_log *s, enum sim_crash crash);

/* A log of a stream, by an entry. */
void small_log_add(struct small_log *s, mr_log_id id, uint32_t stream);
void small_log_drop(struct small_log *s, mr_log_id id);

/* Puts the next count records of the log. BUSY: make room. */
mr_status small_log_put(struct small_log *s, mr_log_id id, uint32_t count, mr_error *error);
void small_log_must_put(struct small_log *s, mr_log_id id, uint32_t count); /* makes room itself */

struct small_read {
    mr_status status;  /* OK: read to the tip */
    size_t right;      /* records that are as they were put */
    size_t lost;       /* missing, and CORRUPT was returned for them */
    size_t skipped;    /* missing without a word */
    size_t wrong;      /* records that are not what was put, or not in order */
    size_t unanswered; /* right ones behind the last that was answered */
    size_t corrupt_count;
    mr_error error; /* the last */
};
/* Reads the log from its start. */
struct small_read small_log_read(struct small_log *s, mr_log_id id);
/* Every record of every log is there, and nothing else. */
void small_log_must_read_all(struct small_log *s);

/* What mr_log_verify() finds damaged; 1 if it cannot even begin and says CORRUPT or FORMAT. */
uint64_t small_log_damage(struct small_log *s);

#endif
