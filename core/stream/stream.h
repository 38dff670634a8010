/*
 * stream.h - the door of core/stream: what lies behind core/millrace.h, for those within core.
 *
 *     put ──> route ──> log ──> reader          entry ──> log ──> catalog
 *             (where)                            (a change)        (what is)
 *
 * The calls of core/millrace.h are implemented here: engine (engine.c: open, close, figures), stream
 * and shard (describe, list), reshard, property, put, reader, retention.
 */
#ifndef MR_STREAM_STREAM_H
#define MR_STREAM_STREAM_H

#include "millrace.h"
#include "os/clock.h"
#include "os/fs.h"

struct mr_log;

/* What is outside the engine. Start from {0}: the real one. */
struct mr_engine_world {
    struct mr_fs *fs;       /* NULL: mr_fs_posix() */
    struct mr_clock *clock; /* NULL: mr_clock_real() */
    bool manual;            /* no threads: calls that block do the work, mr_log_step() the rest */
    bool journal_only;      /* measuring only: records cannot be read */
    bool salvage;           /* open around damaged parts of the journal */
    uint32_t mutant;        /* tests only: enum mr_log_mutant */
};

/* mr_engine_open() in a world. */
mr_status mr_engine_open_with(mr_engine **engine, const char *directory,
                              const struct mr_engine_config *config,
                              const struct mr_engine_world *world, mr_error *error);

/* The same with a config that has been checked, as core/engine.c does. */
mr_status mr_engine_start(mr_engine **engine, const char *directory,
                          const struct mr_engine_config *config,
                          const struct mr_engine_world *world, mr_error *error);

struct mr_log *mr_engine_log(mr_engine *engine); /* for mr_log_step() */

/* One shard, but for its counts: these would have to wait for a flush. */
struct mr_shard_view {
    mr_shard shard;
    mr_shard children[2]; /* those there are by now */
    size_t child_count;
    uint32_t open_shard_count; /* of its stream */
};
/* NOT_FOUND. */
mr_status mr_shard_look(mr_engine *engine, const char *stream, mr_shard_id id,
                        struct mr_shard_view *view, mr_error *error);

/*
 * mr_put_offer(), which also tells whether every record of the batch has its place: then what is put
 * later comes after them, and if they are not stored after all, nothing later is (L6). BUSY: there was
 * no room for it in wait_ms.
 */
struct mr_put_order {
    const char *stream;
    const mr_origin *origin; /* as mr_put_from() has it; NULL: none */
    const mr_put *puts;
    size_t count;
    mr_put_result *results;
    bool is_whole;             /* all of them get their places, or none */
    const mr_shard_id *shards; /* of a whole one: in these, one each, else CONFLICT; NULL: in any */
    uint32_t wait_ms;
};
mr_status mr_put_place(mr_engine *engine, const struct mr_put_order *order,
                       void (*done)(void *context, mr_status status), void *context,
                       bool *are_placed, mr_error *error);

/*
 * One read that is made of many calls of mr_reader_next(), as GetRecords is, takes from the shard's
 * limits by these two (the reader itself not limited): THROTTLED, or it may begin; and afterwards
 * what it read.
 */
mr_status mr_reader_admit(mr_reader *reader, mr_error *error);
void mr_reader_charge(mr_reader *reader, uint64_t bytes);

#endif
