#include "stream/layout.h"

#include "base/fail.h"
#include "base/memory.h"
#include "base/u128.h"

#include <stdlib.h>
#include <string.h>

void mr_layout_fini(struct mr_layout *layout)
{
    for (size_t i = 0; i < layout->opened_count; i++)
        mr_shard_give(layout->opened[i]);
    mr_free(layout->opened);
    mr_free(layout->closed);
    mr_free(layout->open);
    *layout = (struct mr_layout){0};
}

static struct mr_shard_state *shard_of(mr_shard_id id, mr_log_id log, struct mr_range range,
                                       uint32_t created_s, uint64_t number, int64_t at_ms)
{
    struct mr_shard_state *shard = mr_new(struct mr_shard_state);

    shard->id = id;
    shard->parent = MR_NO_SHARD;
    shard->adjacent_parent = MR_NO_SHARD;
    shard->log = log;
    shard->range = range;
    shard->created_s = created_s;
    shard->created_ms = at_ms;
    shard->opened_number = number;
    shard->references = 1;
    return shard;
}

void mr_layout_create(struct mr_layout *layout, const struct mr_entry *entry, uint64_t number,
                      int64_t at_ms)
{
    uint32_t count = entry->shard_count;

    layout->opened = mr_alloc(count * sizeof(struct mr_shard_state *));
    layout->open = mr_alloc(count * sizeof(struct mr_shard_state *));
    for (uint32_t i = 0; i < count; i++) {
        layout->opened[i] = shard_of(i, entry->first_log + i, mr_range_uniform(count, i),
                                     mr_shard_second(0, at_ms), number, at_ms);
        layout->open[i] = layout->opened[i];
    }
    layout->opened_count = layout->open_count = count;
}

/* ---- reshard ------------------------------------------------------------------------------ */

struct work {
    struct mr_layout *layout;
    const struct mr_stream *stream;
    const struct mr_entry *entry;
    bool *closes; /* of stream->open */
    uint64_t number;
    int64_t at_ms;
};

/* The index in stream->open of a shard that is in it. */
static size_t open_index(const struct mr_stream *stream, const struct mr_shard_state *shard)
{
    size_t low = 0, high = stream->open_count;

    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (mr_hash_key_below(shard->range.first, stream->open[middle]->range.first))
            high = middle;
        else
            low = middle;
    }
    return low;
}

/* Closes an open shard; NULL if there is none of that id. */
static struct mr_shard_state *close_shard(struct work *work, mr_shard_id id)
{
    struct mr_layout *layout = work->layout;
    struct mr_shard_state *shard;
    size_t index;

    if (id >= work->entry->first_shard) {
        index = id - work->entry->first_shard;
        if (index >= layout->opened_count || layout->opened[index]->closed_number)
            return NULL;
        shard = layout->opened[index];
        shard->closed_ms = work->at_ms;
        shard->closed_number = work->number;
        shard->is_closed = true;
        return shard;
    }
    shard = mr_stream_find(work->stream, id);
    if (!shard || shard->closed_number)
        return NULL;
    index = open_index(work->stream, shard);
    if (work->closes[index])
        return NULL;
    work->closes[index] = true;
    layout->closed[layout->closed_count++] = shard;
    return shard;
}

static void open_child(struct work *work, const struct mr_shard_state *parent,
                       const struct mr_shard_state *adjacent, struct mr_range range)
{
    struct mr_layout *layout = work->layout;
    uint32_t index = (uint32_t)layout->opened_count;
    uint32_t created_s = parent->created_s;
    struct mr_shard_state *child;

    if (adjacent && adjacent->created_s > created_s)
        created_s = adjacent->created_s;
    created_s = mr_shard_second(created_s, work->at_ms) + 1;
    child = shard_of(work->entry->first_shard + index, work->entry->first_log + index, range,
                     created_s, work->number, work->at_ms);
    child->parent = parent->id;
    child->adjacent_parent = adjacent ? adjacent->id : MR_NO_SHARD;
    layout->opened[layout->opened_count++] = child;
}

static bool take_step(struct work *work, const struct mr_reshard_step *step)
{
    const struct mr_shard_state *shard = close_shard(work, step->closes), *adjacent;

    if (!shard)
        return false;
    if (step->is_merge) {
        adjacent = close_shard(work, step->closes_also);
        if (!adjacent || !mr_range_touches(&shard->range, &adjacent->range))
            return false;
        open_child(work, shard, adjacent,
                   (struct mr_range){shard->range.first, adjacent->range.last});
        return true;
    }
    if (!mr_range_has(&shard->range, step->at) || mr_hash_key_equal(shard->range.first, step->at))
        return false;
    open_child(work, shard, NULL,
               (struct mr_range){shard->range.first, mr_hash_key_previous(step->at)});
    open_child(work, shard, NULL, (struct mr_range){step->at, shard->range.last});
    return true;
}

static void collect_open(struct work *work)
{
    struct mr_layout *layout = work->layout;
    const struct mr_stream *stream = work->stream;

    layout->open = mr_alloc((stream->open_count + layout->opened_count) * sizeof *layout->open);
    for (size_t i = 0; i < stream->open_count; i++)
        if (!work->closes[i])
            layout->open[layout->open_count++] = stream->open[i];
    for (size_t i = 0; i < layout->opened_count; i++)
        if (!layout->opened[i]->closed_number)
            layout->open[layout->open_count++] = layout->opened[i];
}

static int by_range(const void *a, const void *b)
{
    const struct mr_shard_state *const *left = a, *const *right = b;

    return mr_hash_key_compare((*left)->range.first, (*right)->range.first);
}

bool mr_shards_cover(struct mr_shard_state **open, size_t count)
{
    struct mr_range *ranges;
    bool covers;

    if (count == 0)
        return false;
    qsort(open, count, sizeof *open, by_range);
    ranges = mr_alloc(count * sizeof *ranges);
    for (size_t i = 0; i < count; i++)
        ranges[i] = open[i]->range;
    covers = mr_range_covers(ranges, count);
    mr_free(ranges);
    return covers;
}

mr_status mr_layout_reshard(struct mr_layout *layout, const struct mr_stream *stream,
                            const struct mr_entry *entry, uint64_t number, int64_t at_ms,
                            mr_error *error)
{
    struct work work = {layout, stream, entry, NULL, number, at_ms};
    struct mr_scan items = entry->items;
    bool fits = entry->first_shard >= stream->next_shard;

    layout->opened = mr_alloc(2 * entry->item_count * sizeof(struct mr_shard_state *));
    layout->closed = mr_alloc(2 * entry->item_count * sizeof(struct mr_shard_state *));
    work.closes = mr_alloc_zero(stream->open_count, sizeof *work.closes);
    for (size_t i = 0; i < entry->item_count && fits; i++) {
        struct mr_reshard_step step = mr_entry_next_step(&items);
        fits = take_step(&work, &step);
    }
    if (fits)
        collect_open(&work);
    mr_free(work.closes);
    if (fits && mr_shards_cover(layout->open, layout->open_count)) /* S1 */
        return MR_OK;
    return mr_fail(error, MR_CORRUPT,
                   "the journal has a reshard of stream %s that does not fit its shards",
                   stream->name);
}
