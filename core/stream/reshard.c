/* reshard.c - split, merge, scale: each one entry, so done or not begun after a crash (S3). */
#include "base/fail.h"
#include "base/memory.h"
#include "stream/change.h"
#include "stream/engine.h"

#include <inttypes.h>

/* What is asked for; each kind looks at its own. */
struct asked {
    mr_shard_id shard, adjacent;
    const mr_hash_key *at;
    uint32_t shard_count;
};

typedef mr_status prepare_function(struct mr_change *change, const struct asked *asked,
                                   mr_error *error);

/* *first: the id of the first shard that it opens, if it opens any. */
static mr_status reshard(struct mr_engine *engine, const char *stream, prepare_function *prepare,
                         const struct asked *asked, mr_shard_id *first, mr_error *error)
{
    struct mr_change change;
    mr_status status;

    mr_change_begin(&change, engine, stream);
    *first = change.stream ? change.stream->next_shard : MR_NO_SHARD;
    status = change.stream ? prepare(&change, asked, error) : mr_no_stream(stream, error);
    return mr_change_end(&change, status, error);
}

/* ---- checks ------------------------------------------------------------------------------- */

static mr_status check_room(struct mr_engine *engine, uint64_t more, mr_error *error)
{
    uint64_t count = engine->catalog.open_shard_count;

    if (count + more <= engine->shard_count_max)
        return MR_OK;
    return mr_fail(error, MR_LIMIT,
                   "%" PRIu64 " open shards more than the %" PRIu64
                   " there are would be over the limit of %" PRIu32,
                   more, count, engine->shard_count_max);
}

static mr_status find_open(const struct mr_change *change, mr_shard_id id,
                           struct mr_shard_state **shard, mr_error *error)
{
    char text[MR_SHARD_TEXT_BYTES];

    *shard = mr_stream_find(change->stream, id);
    if (!*shard)
        return mr_no_shard(change->name, id, error);
    if (!(*shard)->closed_number)
        return MR_OK;
    mr_shard_format(id, text);
    return mr_fail(error, MR_CLOSED, "%s of stream %s has been split or merged already", text,
                   change->name);
}

static void pack(struct mr_change *change, const struct mr_reshard_step *steps, size_t count)
{
    mr_pack_reshard(&change->entry, change->stream->id, change->stream->next_shard,
                    change->engine->catalog.next_log, steps, count);
}

/* ---- split -------------------------------------------------------------------------------- */

static mr_status prepare_split(struct mr_change *change, const struct asked *asked, mr_error *error)
{
    struct mr_reshard_step step = {.closes = asked->shard};
    struct mr_shard_state *shard;
    char text[MR_SHARD_TEXT_BYTES], first[MR_HASH_KEY_TEXT_BYTES], last[MR_HASH_KEY_TEXT_BYTES],
        key[MR_HASH_KEY_TEXT_BYTES];
    mr_status status = find_open(change, asked->shard, &shard, error);

    if (status)
        return status;
    step.at = asked->at ? *asked->at : mr_range_middle(&shard->range);
    if (!mr_range_splits_at(&shard->range, step.at)) {
        mr_shard_format(asked->shard, text);
        mr_hash_key_format(step.at, key);
        mr_hash_key_format(shard->range.first, first);
        mr_hash_key_format(shard->range.last, last);
        return mr_fail(error, MR_INVALID,
                       "%s of stream %s cannot be split at %s: that must be above %s + 1 and "
                       "below %s",
                       text, change->name, key, first, last);
    }
    status = check_room(change->engine, 1, error);
    if (!status)
        pack(change, &step, 1);
    return status;
}

mr_status mr_shard_split(mr_engine *engine, const char *stream, mr_shard_id shard,
                         const mr_hash_key *at, mr_shard_id children[2], mr_error *error)
{
    const struct asked asked = {.shard = shard, .at = at};
    mr_shard_id first;
    mr_status status = reshard(engine, stream, prepare_split, &asked, &first, error);

    if (!status && children) {
        children[0] = first;
        children[1] = first + 1;
    }
    return status;
}

/* ---- merge -------------------------------------------------------------------------------- */

static mr_status prepare_merge(struct mr_change *change, const struct asked *asked, mr_error *error)
{
    mr_shard_id id = asked->shard, adjacent_id = asked->adjacent;
    struct mr_reshard_step step = {.is_merge = true, .closes = id, .closes_also = adjacent_id};
    struct mr_shard_state *shard, *adjacent;
    char text[MR_SHARD_TEXT_BYTES], adjacent_text[MR_SHARD_TEXT_BYTES];
    mr_status status = find_open(change, id, &shard, error);

    if (!status)
        status = find_open(change, adjacent_id, &adjacent, error);
    if (status)
        return status;
    if (mr_range_touches(&adjacent->range, &shard->range)) {
        step.closes = adjacent_id;
        step.closes_also = id;
    } else if (!mr_range_touches(&shard->range, &adjacent->range)) {
        mr_shard_format(id, text);
        mr_shard_format(adjacent_id, adjacent_text);
        return mr_fail(error, MR_INVALID, "the ranges of %s and %s of stream %s do not touch", text,
                       adjacent_text, change->name);
    }
    pack(change, &step, 1);
    return MR_OK;
}

mr_status mr_shard_merge(mr_engine *engine, const char *stream, mr_shard_id shard,
                         mr_shard_id adjacent, mr_shard_id *child, mr_error *error)
{
    const struct asked asked = {.shard = shard, .adjacent = adjacent};
    mr_shard_id first;
    mr_status status = reshard(engine, stream, prepare_merge, &asked, &first, error);

    if (!status && child)
        *child = first;
    return status;
}

/* ---- scale -------------------------------------------------------------------------------- */

/* A plan counts ranges from 0 on; then come those that it opens. */
static mr_shard_id shard_of(const struct mr_stream *stream, uint32_t range)
{
    return range < stream->open_count ? stream->open[range]->id
                                      : stream->next_shard + range - (uint32_t)stream->open_count;
}

static void pack_plan(struct mr_change *change, const struct mr_range_plan *plan)
{
    struct mr_reshard_step *steps = mr_alloc(plan->step_count * sizeof *steps);

    for (size_t i = 0; i < plan->step_count; i++) {
        const struct mr_range_step *step = &plan->steps[i];

        steps[i] = (struct mr_reshard_step){.is_merge = step->is_merge,
                                            .closes = shard_of(change->stream, step->closes),
                                            .at = step->at};
        if (step->is_merge)
            steps[i].closes_also = shard_of(change->stream, step->closes_also);
    }
    pack(change, steps, plan->step_count);
    mr_free(steps);
}

static mr_status prepare_scale(struct mr_change *change, const struct asked *asked, mr_error *error)
{
    uint32_t shard_count = asked->shard_count;
    size_t count = change->stream->open_count;
    struct mr_range *ranges, *targets;
    struct mr_range_plan plan;
    mr_status status;

    if (shard_count > MR_STREAM_SHARD_COUNT_MAX)
        return mr_fail(error, MR_LIMIT, "a stream has at most %u shards",
                       MR_STREAM_SHARD_COUNT_MAX);
    status = check_room(change->engine, shard_count > count ? shard_count - count : 0, error);
    if (status)
        return status;
    ranges = mr_alloc(count * sizeof *ranges);
    targets = mr_alloc(shard_count * sizeof *targets);
    for (size_t i = 0; i < count; i++)
        ranges[i] = change->stream->open[i]->range;
    mr_range_targets(ranges, count, targets, shard_count);
    plan = mr_range_plan(ranges, count, targets, shard_count);
    if (plan.step_count > 0)
        pack_plan(change, &plan);
    mr_range_plan_fini(&plan);
    mr_free(ranges);
    mr_free(targets);
    return MR_OK;
}

mr_status mr_stream_scale(mr_engine *engine, const char *stream, uint32_t shard_count,
                          mr_error *error)
{
    const struct asked asked = {.shard_count = shard_count};
    mr_shard_id first;

    if (shard_count == 0)
        return mr_fail(error, MR_INVALID, "a stream has at least one shard");
    return reshard(engine, stream, prepare_scale, &asked, &first, error);
}
