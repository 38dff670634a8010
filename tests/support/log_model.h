/*
 * log_model.h - what a mr_log must hold: every append made, in order, and what is known of its fate.
 *
 * All appends have one order, and a crash leaves a prefix of it. `fixed` appends of that prefix were
 * answered, or were found by a recovery: they can never go again.
 */
#ifndef MR_TESTS_LOG_MODEL_H
#define MR_TESTS_LOG_MODEL_H

#include "base/random.h"
#include "log/log.h"

enum {
    MODEL_LOGS_MAX = 48,
    MODEL_STREAMS_MAX = 32,
    MODEL_RUNS_MAX = 4,
};

/* ---- the owner: a small state machine ----------------------------------------------------- */

enum model_change {
    MODEL_NOTHING,
    MODEL_ADD,         /* a log */
    MODEL_DROP,        /* a log */
    MODEL_DROP_STREAM, /* a stream with all its logs */
    MODEL_VALUE,
};

struct model_entry {
    uint32_t change, log, stream, value;
};

struct model_state {
    uint32_t log_count, stream_count; /* ever: ids count up */
    bool has_log[MODEL_LOGS_MAX];
    uint32_t stream_of[MODEL_LOGS_MAX];
    bool has_stream[MODEL_STREAMS_MAX];
    uint64_t entry_count, last_number;
    uint64_t hash; /* of all entries with their numbers and times, in order */
};

void model_state_apply(struct model_state *state, const struct model_entry *entry, uint64_t number,
                       int64_t at_ms);

/* ---- appends ------------------------------------------------------------------------------ */

enum model_fate { MODEL_WAITING, MODEL_DONE, MODEL_FAILED };

struct model_run {
    mr_log_id log;
    uint32_t record_count;
    uint32_t data_bytes_max;
    uint64_t first_number;
};

struct model_put {
    uint32_t id; /* makes the records' bytes */
    struct model_entry entry;
    uint64_t entry_number;
    struct model_run runs[MODEL_RUNS_MAX];
    uint32_t run_count;
    int64_t at_ms;
    enum model_fate fate;
    struct mr_log_append append; /* in place until done() */
};

/* One record of a log, as the model knows it. */
struct model_item {
    uint64_t number;
    uint32_t put, run, index;
};

struct model_log {
    struct model_item *items;
    size_t item_count, item_capacity;
};

struct model {
    struct model_put **puts;
    size_t put_count, put_capacity;
    size_t done_count;  /* answered with OK: these puts are readable */
    size_t fixed_count; /* no crash may take them */
    uint32_t next_id;
    uint64_t newest_number; /* given to any put that may be stored */
    struct model_log logs[MODEL_LOGS_MAX];
    struct model_state state;              /* with all puts applied */
    int64_t horizon_ms[MODEL_STREAMS_MAX]; /* older records may be gone */
};

void model_init(struct model *model);
void model_fini(struct model *model);

/* The record's bytes: they depend on the put's id alone and live for ever. */
void model_record(const struct model_put *put, uint32_t run, uint32_t index, mr_put *record);

/* A put to be filled and appended; then enter it, or free it if it was refused. */
struct model_put *model_put_new(struct model *model);
void model_enter(struct model *model, struct model_put *put);

/* Forgets all but the first put_count puts: a crash took the others. The rest is done and fixed. */
void model_cut(struct model *model, size_t put_count);

/* The state after the first put_count puts. */
struct model_state model_state_at(const struct model *model, size_t put_count);

#endif
