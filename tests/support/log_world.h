/*
 * log_world.h - one mr_log on a simulated disk, with its model beside it: runs steps one by one,
 * crashes, reopens, and compares all that can be seen (promises L1-L4, L6, L8).
 */
#ifndef MR_TESTS_LOG_WORLD_H
#define MR_TESTS_LOG_WORLD_H

#include "support/log_model.h"
#include "support/sim_clock.h"
#include "support/sim_disk.h"

enum { LOG_WORLD_READERS_MAX = 4 };

struct log_world_reader {
    struct mr_log_cursor *cursor;
    uint32_t log;
    size_t next_item; /* of the model's log */
    int64_t from_ms;  /* it sought this time: older records are skipped */
};

struct log_world_config {
    uint64_t seed;
    uint32_t mutant;
    bool traces; /* prints steps and diag lines */
    bool is_sync_interval;
    bool refuses_direct;
    bool prewrites;
    bool encrypts; /* every other put */
    unsigned garbage_percent;
    uint64_t journal_bytes, segment_bytes, memory_bytes;
    /* A promise is broken: prints the message and does not return. */
    void (*broken)(const struct log_world_config *config, const char *message);
};

struct log_world {
    struct log_world_config config;
    struct mr_random random;
    struct sim_clock clock;
    struct sim_disk *disk;
    struct mr_log *log; /* NULL: closed */
    uint64_t key_id;
    struct model model;
    struct model_state state; /* the owner's */
    size_t
        durable_count; /* puts that no power cut takes: with MR_SYNC_INTERVAL fewer than answered */
    bool has_failed;   /* a put was answered with an error in this life */
    bool may_fail;     /* faults are or were armed in this life */
    uint64_t failed_before; /* sim_disk_failed() when this life began */
    uint64_t open_count, crash_count, refused_count;
    struct log_world_reader readers[LOG_WORLD_READERS_MAX];
};

/* A configuration drawn from the seed. */
struct log_world_config log_world_config_draw(uint64_t seed);

void log_world_init(struct log_world *world, const struct log_world_config *config);
void log_world_fini(struct log_world *world);

/* Opens the log and compares all of it with the model. If the disk stops or fails meanwhile, false:
 * crash it and try again. */
bool log_world_open(struct log_world *world);

/* The same on a copy of the disk, changing nothing here: what if the power had failed now? The copy is
 * freed. */
void log_world_try(struct log_world *world, struct sim_disk *copy, enum sim_crash crash,
                   uint64_t seed);

/*
 * One step, by its letter:
 *     a append   m medium records   h a huge record   v an owner's value
 *     n new log  d drop a log       D drop a stream
 *     c commit   p publish          f flush           k checkpoint       K flush all and checkpoint
 *     t trim     w time passes      b bell            o open a reader    r read   R compare all
 */
void log_world_step(struct log_world *world, char letter);

/* The process ends without a word, with or without the power. */
void log_world_crash(struct log_world *world, enum sim_crash crash);
/* It ends in order: everything answered is in the directory. */
void log_world_close(struct log_world *world);
/* mr_log_verify() finds nothing to complain about. */
void log_world_verify(struct log_world *world);

/*
 * The same directory (nobody has it open) after a byte of a file was changed, on a copy: it is refused
 * by a message that names the file, or opens, and then every record but those whose loss is announced,
 * again by that name, is there with its bytes (L5). Of the puts, the first fixed_count must be there
 * or the directory be refused.
 */
enum log_world_damage {
    LOG_WORLD_UNSEEN,  /* all is there */
    LOG_WORLD_SKIPPED, /* some records are announced to be lost, all others are there */
    LOG_WORLD_REFUSED,
};
enum log_world_damage log_world_flip(struct log_world *world, const char *path, uint64_t offset,
                                     uint8_t mask, size_t fixed_count);
/* mr_log_verify() of such a copy: the number of damages found. */
uint64_t log_world_flip_verify(struct log_world *world, const char *path, uint64_t offset,
                               uint8_t mask);

__attribute__((format(printf, 2, 3))) _Noreturn void log_world_break(const struct log_world *world,
                                                                     const char *format, ...);

#endif
