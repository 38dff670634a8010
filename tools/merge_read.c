#include "merge_read.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/thread.h"
#include "reader.h"
#include "streams.h"

#include <string.h>

#define BATCH_RECORDS 1000
#define ASK_AGAIN_MS 250 /* a server, for each call: it allows five a second for each shard */
#define ASK_AGAIN_MS_MAX 1000

enum state { UNKNOWN, READING, READ };

/* A shard that is being read. */
struct source {
    struct mr_shard_reader *reader;
    mr_shard_id shard;
    mr_batch batch;
    size_t at; /* in batch */
};

struct mr_merge {
    struct mr_place place;
    char stream[MR_NAME_BYTES_MAX + 1];
    bool one_shard;
    mr_position from; /* of a shard that has no parent among those read */
    struct source *sources, *given;
    size_t count, capacity;
    uint8_t *states; /* enum state by shard id: ids are counted from 0 */
    size_t state_count;
    _Atomic uint32_t *word; /* to wake, while waiting */
};

static enum state state_of(const struct mr_merge *merge, mr_shard_id shard)
{
    return shard < merge->state_count ? (enum state)merge->states[shard] : UNKNOWN;
}

static void set_state(struct mr_merge *merge, mr_shard_id shard, enum state state)
{
    size_t count = merge->state_count ? merge->state_count : 64;

    if (shard >= merge->state_count) {
        while (count <= shard)
            count *= 2;
        merge->states = mr_resize(merge->states, count);
        memset(merge->states + merge->state_count, UNKNOWN, count - merge->state_count);
        merge->state_count = count;
    }
    merge->states[shard] = (uint8_t)state;
}

/* A parent that is forgotten is none. */
static bool is_past(const struct mr_merge *merge, mr_shard_id parent)
{
    return parent == MR_NO_SHARD || state_of(merge, parent) == READ;
}

static mr_status open_shard(struct mr_merge *merge, const mr_shard *shard, const mr_position *from,
                            mr_error *error)
{
    struct source source = {.shard = shard->id};
    mr_status status =
        mr_shard_reader_open(&source.reader, &merge->place, merge->stream, shard, from, error);

    if (status)
        return status;
    mr_grow(merge->sources, merge->count, merge->capacity);
    merge->sources[merge->count++] = source;
    set_state(merge, shard->id, READING);
    return MR_OK;
}

/* Opens every shard whose turn has come. `first`: at the beginning, from where the user said. */
static mr_status open_ready(struct mr_merge *merge, bool first, mr_error *error)
{
    static const mr_position start = {.start = MR_START_TRIM_HORIZON};
    bool latest = merge->from.start == MR_START_LATEST;
    struct mr_shard_list list;
    mr_status status = mr_shard_list_read(&list, &merge->place, merge->stream, error);

    for (size_t i = 0; first && latest && i < list.count; i++)
        if (list.shards[i].is_closed)
            set_state(merge, list.shards[i].id, READ);
    for (size_t i = 0; !status && i < list.count; i++) {
        const mr_shard *shard = &list.shards[i];
        if (state_of(merge, shard->id) == UNKNOWN && is_past(merge, shard->parent) &&
            is_past(merge, shard->adjacent_parent))
            status = open_shard(merge, shard, first || !latest ? &merge->from : &start, error);
    }
    mr_shard_list_fini(&list);
    return status;
}

/* The one shard that was asked for. */
static mr_status open_only(struct mr_merge *merge, mr_shard_id only, mr_error *error)
{
    struct mr_shard_list list;
    mr_status status = mr_shard_list_read(&list, &merge->place, merge->stream, error);
    const mr_shard *shard = NULL;

    for (size_t i = 0; i < list.count; i++)
        if (list.shards[i].id == only)
            shard = &list.shards[i];
    if (!status && !shard)
        status = mr_fail(error, MR_NOT_FOUND, "stream '%s' has no shard %u", merge->stream, only);
    if (!status)
        status = open_shard(merge, shard, &merge->from, error);
    mr_shard_list_fini(&list);
    return status;
}

mr_status mr_merge_open(struct mr_merge **out, const struct mr_place *place, const char *stream,
                        mr_shard_id only, const mr_position *from, mr_error *error)
{
    struct mr_merge *merge = mr_new(struct mr_merge);
    mr_status status;

    merge->place = *place;
    merge->from = *from;
    merge->one_shard = only != MR_NO_SHARD;
    *out = NULL;
    if (strlen(stream) > MR_NAME_BYTES_MAX) {
        mr_free(merge);
        return mr_fail(error, MR_NOT_FOUND, "there is no stream '%s'", stream);
    }
    memcpy(merge->stream, stream, strlen(stream) + 1);
    status = merge->one_shard ? open_only(merge, only, error) : open_ready(merge, true, error);
    if (status) {
        mr_merge_close(merge);
        return status;
    }
    *out = merge;
    return MR_OK;
}

void mr_merge_close(struct mr_merge *merge)
{
    if (!merge)
        return;
    for (size_t i = 0; i < merge->count; i++)
        mr_shard_reader_close(merge->sources[i].reader);
    mr_free(merge->sources);
    mr_free(merge->states);
    mr_free(merge);
}

/* Fills a source that is read out; *ended: it has come to the end of its shard and is gone. */
static mr_status refill(struct mr_merge *merge, struct source *source, bool *ended, mr_error *error)
{
    mr_status status = mr_shard_reader_next(source->reader, BATCH_RECORDS, &source->batch, error);

    source->at = 0;
    *ended = !status && source->batch.count == 0 && source->batch.end_of_shard;
    if (status)
        source->batch.count = 0;
    if (!*ended)
        return status;
    mr_shard_reader_close(source->reader);
    set_state(merge, source->shard, READ);
    *source = merge->sources[--merge->count];
    return MR_OK;
}

/* Fills all sources that are read out, and opens the children of those that ended. */
static mr_status refill_all(struct mr_merge *merge, mr_error *error)
{
    mr_status status = MR_OK;

    for (size_t i = 0; !status && i < merge->count;) {
        struct source *source = &merge->sources[i];
        bool ended = false;

        if (source->at == source->batch.count)
            status = refill(merge, source, &ended, error);
        if (!status && ended && !merge->one_shard)
            status = open_ready(merge, false, error);
        i += !ended;
    }
    return status;
}

static uint64_t next_number(const struct source *source)
{
    return source->batch.records[source->at].sequence.number;
}

mr_status mr_merge_next(struct mr_merge *merge, const mr_record **record, mr_error *error)
{
    struct source *least = merge->given;
    mr_status status = MR_OK;

    *record = NULL;
    merge->given = NULL;
    if (!least || ++least->at == least->batch.count)
        status = refill_all(merge, error);
    if (status)
        return status;
    least = NULL;
    for (struct source *source = merge->sources; source < merge->sources + merge->count; source++)
        if (source->at < source->batch.count &&
            (!least || next_number(source) < next_number(least)))
            least = source;
    if (least)
        *record = &least->batch.records[least->at];
    merge->given = least;
    return MR_OK;
}

bool mr_merge_is_over(const struct mr_merge *merge)
{
    return merge->count == 0;
}

static void wake(void *context)
{
    struct mr_merge *merge = context;

    atomic_fetch_add(merge->word, 1);
    mr_word_wake(merge->word, true);
}

void mr_merge_wait(struct mr_merge *merge, _Atomic uint32_t *word, uint32_t seen)
{
    bool is_watched = true;
    uint32_t wait_ms = ASK_AGAIN_MS;

    merge->word = word;
    for (size_t i = 0; i < merge->count; i++) {
        struct mr_shard_reader *reader = merge->sources[i].reader;
        unsigned call_count = mr_shard_reader_calls(reader);

        is_watched &= mr_shard_reader_watch(reader, wake, merge);
        while (wait_ms < call_count * ASK_AGAIN_MS && wait_ms < ASK_AGAIN_MS_MAX)
            wait_ms += ASK_AGAIN_MS;
    }
    mr_word_wait(word, seen, is_watched ? UINT32_MAX : wait_ms);
    for (size_t i = 0; i < merge->count; i++)
        mr_shard_reader_watch(merge->sources[i].reader, NULL, NULL);
}
