/*
 * log_world.h - one mr_log on a simulated disk, with its model beside it: runs steps one by one,
 * crashes, reopens, and compares all that can be seen (promises L1-L4, L6, L8).
 */
#ifndef MR_TESTS_LOG_WORLD_H
#define MR_TESTS_LOG_WORLD_H

#include "support/log_model.h"
#include "support/sim_clock.h"
#include "support/sim_disk.h"

enum { WORLD_READERS_MAX = 4 };

struct world_reader {
    struct mr_log_cursor *cursor;
    uint32_t log;
    size_t next_item; /* of the model's log */
    int64_t from_ms;  /* it sought this time: older records are skipped */
};

struct world_config {
    uint64_t seed;
    uint32_t mutant;
    bool traces; /* prints steps and diag lines */
    bool is_sync_interval;
    bool refuses_direct;
    bool prewrites;
    unsigned garbage_percent;
    uint64_t journal_bytes, segment_bytes, memory_bytes;
    /* A promise is broken: prints the message and does not return. */
    void (*broken)(const struct world_config *config, const char *message);
};

struct world {
    struct world_config config;
    struct mr_random random;
    struct sim_clock clock;
    struct sim_disk *disk;
    struct mr_log *log; /* NULL: closed */
    struct model model;
    struct model_state state; /* the owner's */
    size_t
        durable_count; /* puts that no power cut takes: with MR_SYNC_INTERVAL fewer than answered */
    bool has_failed;   /* a put was answered with an error in this life */
    bool may_fail;     /* faults are or were armed in this life */
    uint64_t failed_before; /* sim_disk_failed() when this life began */
    uint64_t open_count, crash_count, refused_count;
    struct world_reader readers[WORLD_READERS_MAX];
};

/* A configuration drawn from the seed. */
struct world_config world_config_draw(uint64_t seed);

void world_init(struct world *world, const struct world_config *config);
void world_fini(struct world *world);

/* Opens the log and compares all of it with the model. If the disk stops or fails meanwhile, false:
 * crash it and try again. */
bool world_open(struct world *world);

/* The same on a copy of the disk, changing nothing here: what if the power had failed now? The copy is
 * freed. */
void world_try(struct world *world, struct sim_disk *copy, enum sim_crash crash, uint64_t seed);

/*
 * One step, by its letter:
 *     a append   m medium records   h a huge record   v an owner's value
 *     n new log  d drop a log       D drop a stream
 *     c commit   p publish          f flush           k checkpoint       K flush all and checkpoint
 *     t trim     w time passes      b bell            o open a reader    r read   R compare all
 */
void world_step(struct world *world, char letter);

/* The process ends without a word, with or without the power. */
void world_crash(struct world *world, enum sim_crash crash);
/* It ends in order: everything answered is in the directory. */
void world_close(struct world *world);
/* mr_log_verify() finds nothing to complain about. */
void world_verify(struct world *world);

/*
 * The same directory (nobody has it open) after a byte of a file was changed, on a copy: it is refused
 * by a message that names the file, or opens, and then every record but those whose loss is announced,
 * again by that name, is there with its bytes (L5). Of the puts, the first fixed_count must be there
 * or the directory be refused.
 */
enum world_damage {
    WORLD_UNSEEN,  /* all is there */
    WORLD_SKIPPED, /* some records are announced to be lost, all others are there */
    WORLD_REFUSED,
};
enum world_damage world_flip(struct world *world, const char *path, uint64_t offset, uint8_t mask,
                             size_t fixed_count);
/* mr_log_verify() of such a copy: the number of damages found. */
uint64_t world_flip_verify(struct world *world, const char *path, uint64_t offset, uint8_t mask);

__attribute__((format(printf, 2, 3))) _Noreturn void world_break(const struct world *world,
                                                                 const char *format, ...);

#endif
