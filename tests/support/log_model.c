#include "support/log_model.h"

#include "base/check.h"
#include "base/memory.h"

#include <pthread.h>
#include <string.h>

/* ---- the owner ---------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

void model_state_apply(struct model_state *state, const struct model_entry *entry, uint64_t number,
                       int64_t at_ms)
{
    switch (entry->change) {
    case MODEL_ADD:
        mr_check(entry->log == state->log_count && entry->log < MODEL_LOGS_MAX &&
                 entry->stream < MODEL_STREAMS_MAX);
        state->log_count++;
        if (entry->stream == state->stream_count)
            state->stream_count++;
        state->has_log[entry->log] = true;
        state->has_stream[entry->stream] = true;
        state->stream_of[entry->log] = entry->stream;
        break;
    case MODEL_DROP:
        state->has_log[entry->log] = false;
        break;
    case MODEL_DROP_STREAM:
        state->has_stream[entry->stream] = false;
        for (uint32_t log = 0; log < state->log_count; log++)
            if (state->stream_of[log] == entry->stream)
                state->has_log[log] = false;
        break;
    default:
        break;
    }
    state->entry_count++;
    state->last_number = number;
    state->hash = mixed(state->hash, entry->change);
    state->hash = mixed(state->hash, entry->log ^ (uint64_t)entry->value << 32);
    state->hash = mixed(state->hash, number);
    state->hash = mixed(state->hash, (uint64_t)at_ms);
}

/* ---- records ------------------------------------------------------------------------------ */

enum { PATTERN_BYTES = 1 << 20, RECORD_BYTES_MAX = PATTERN_BYTES / 4 };

static uint8_t pattern[PATTERN_BYTES]; /* half of it compresses well, half not at all */

static void make_pattern(void)
{
    struct mr_random random = mr_random_of(1);

    for (size_t i = 0; i < PATTERN_BYTES / 2; i++)
        pattern[i] = (uint8_t)('a' + i / 7 % 13 + i / 4096 % 3);
    for (size_t i = PATTERN_BYTES / 2; i < PATTERN_BYTES; i++)
        pattern[i] = (uint8_t)mr_random_next(&random);
}

void model_record(const struct model_put *put, uint32_t run, uint32_t index, mr_put *record)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const mr_hash_key hash_key = {0x0123456789abcdef, 42};
    uint64_t draw = mixed(mixed(put->id + 1, run), index);
    const uint8_t *from = pattern + mixed(draw, 1) % (PATTERN_BYTES - RECORD_BYTES_MAX - 256);
    uint32_t data_max = put->runs[run].data_bytes_max;

    pthread_once(&once, make_pattern);
    mr_check(data_max < RECORD_BYTES_MAX);
    *record = (mr_put){
        .partition_key = {from, draw % 8 == 0 ? draw / 8 % 256 : draw / 8 % 24},
        .data = {from + 256, draw / 4096 % 16 == 0 ? data_max : mixed(draw, 2) % (data_max + 1)},
        .explicit_hash_key = draw / 65536 % 8 == 0 ? &hash_key : NULL,
    };
}

/* ---- the model ---------------------------------------------------------------------------- */

void model_init(struct model *model)
{
    *model = (struct model){0};
    for (int stream = 0; stream < MODEL_STREAMS_MAX; stream++)
        model->horizon_ms[stream] = INT64_MIN;
}

void model_fini(struct model *model)
{
    for (size_t i = 0; i < model->put_count; i++)
        mr_free(model->puts[i]);
    mr_free(model->puts);
    for (int log = 0; log < MODEL_LOGS_MAX; log++)
        mr_free(model->logs[log].items);
    *model = (struct model){0};
}

struct model_put *model_put_new(struct model *model)
{
    struct model_put *put = mr_new(struct model_put);

    put->id = model->next_id++;
    return put;
}

void model_enter(struct model *model, struct model_put *put)
{
    uint32_t place = (uint32_t)model->put_count;

    mr_grow(model->puts, model->put_count, model->put_capacity);
    model->puts[model->put_count++] = put;
    if (put->entry.change != MODEL_NOTHING) {
        model_state_apply(&model->state, &put->entry, put->entry_number, put->at_ms);
        model->newest_number = put->entry_number;
    }
    for (uint32_t run = 0; run < put->run_count; run++) {
        struct model_log *log = &model->logs[put->runs[run].log];
        for (uint32_t index = 0; index < put->runs[run].record_count; index++) {
            model->newest_number = put->runs[run].first_number + index;
            mr_grow(log->items, log->item_count, log->item_capacity);
            log->items[log->item_count++] =
                (struct model_item){model->newest_number, place, run, index};
        }
    }
}

struct model_state model_state_at(const struct model *model, size_t put_count)
{
    struct model_state state = {0};

    for (size_t i = 0; i < put_count; i++) {
        const struct model_put *put = model->puts[i];
        if (put->entry.change != MODEL_NOTHING)
            model_state_apply(&state, &put->entry, put->entry_number, put->at_ms);
    }
    return state;
}

void model_cut(struct model *model, size_t put_count)
{
    for (int id = 0; id < MODEL_LOGS_MAX; id++) {
        struct model_log *log = &model->logs[id];
        while (log->item_count > 0 && log->items[log->item_count - 1].put >= put_count)
            log->item_count--;
    }
    while (model->put_count > put_count)
        mr_free(model->puts[--model->put_count]);
    for (size_t i = 0; i < put_count; i++)
        model->puts[i]->fate = MODEL_DONE;
    model->done_count = model->fixed_count = put_count;
    model->state = model_state_at(model, put_count);
    model->newest_number = 0;
    if (put_count > 0) {
        const struct model_put *put = model->puts[put_count - 1];
        model->newest_number = put->entry_number;
        for (uint32_t i = 0; i < put->run_count; i++)
            model->newest_number = put->runs[i].first_number + put->runs[i].record_count - 1;
    }
}
