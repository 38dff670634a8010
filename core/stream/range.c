#include "stream/range.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/u128.h"

struct mr_range mr_range_uniform(uint32_t count, uint32_t index)
{
    const mr_u128 max = ~(mr_u128)0;
    mr_u128 width, first;

    mr_check(index < count);
    if (count == 1)
        return (struct mr_range){{0, 0}, MR_HASH_KEY_MAX};
    width = max / count + (max % count == count - 1); /* 2^128 / count, and 2^128 is max + 1 */
    first = width * index;
    return (struct mr_range){mr_hash_key_narrow(first),
                             index == count - 1 ? MR_HASH_KEY_MAX
                                                : mr_hash_key_narrow(first + (width - 1))};
}

void mr_range_targets(const struct mr_range *ranges, size_t count, struct mr_range *targets,
                      uint32_t target_count)
{
    const mr_u128 near = (mr_u128)1 << 32;
    size_t next = 0;

    for (uint32_t i = 0; i < target_count; i++) {
        mr_u128 first;

        targets[i] = mr_range_uniform(target_count, i);
        if (i == 0)
            continue;
        first = mr_hash_key_wide(targets[i].first);
        while (next < count && mr_hash_key_wide(ranges[next].first) + near < first)
            next++;
        if (next < count && next > 0 && mr_hash_key_wide(ranges[next].first) <= first + near)
            targets[i].first = ranges[next].first;
        targets[i - 1].last = mr_hash_key_previous(targets[i].first);
    }
}

bool mr_range_has(const struct mr_range *range, mr_hash_key key)
{
    return !mr_hash_key_below(key, range->first) && !mr_hash_key_below(range->last, key);
}

bool mr_range_touches(const struct mr_range *a, const struct mr_range *b)
{
    return mr_hash_key_below(a->last, b->first) &&
           mr_hash_key_equal(mr_hash_key_next(a->last), b->first);
}

mr_hash_key mr_range_middle(const struct mr_range *range)
{
    mr_u128 first = mr_hash_key_wide(range->first), last = mr_hash_key_wide(range->last);

    return mr_hash_key_narrow(first + (last - first) / 2 + 1);
}

bool mr_range_splits_at(const struct mr_range *range, mr_hash_key at)
{
    return mr_hash_key_below(range->first, at) && mr_hash_key_below(at, range->last) &&
           !mr_hash_key_equal(at, mr_hash_key_next(range->first));
}

bool mr_range_covers(const struct mr_range *ranges, size_t count)
{
    if (count == 0 || !mr_hash_key_equal(ranges[0].first, (mr_hash_key){0, 0}))
        return false;
    for (size_t i = 0; i < count; i++)
        if (mr_hash_key_below(ranges[i].last, ranges[i].first) ||
            (i > 0 && !mr_range_touches(&ranges[i - 1], &ranges[i])))
            return false;
    return mr_hash_key_equal(ranges[count - 1].last, MR_HASH_KEY_MAX);
}

size_t mr_range_find(const mr_hash_key *starts, size_t count, mr_hash_key key)
{
    const mr_hash_key *base = starts;
    size_t guess = (size_t)((mr_u128)key.hi * count >> 64);

    /* Right at once where the division is even. */
    if (!mr_hash_key_below(key, starts[guess]) &&
        (guess + 1 == count || mr_hash_key_below(key, starts[guess + 1])))
        return guess;
    /* No branch depends on the key: random keys would make the processor guess wrong each time. */
    while (count > 1) {
        size_t half = count / 2;
        base += half & (size_t)(mr_hash_key_below(key, base[half]) - 1);
        count -= half;
    }
    return (size_t)(base - starts);
}

/* ---- from one division to another ---------------------------------------------------------- */

struct planner {
    struct mr_range_plan plan;
    size_t step_capacity;
    uint32_t next;                  /* the number of the next range to be opened */
    const struct mr_range *targets; /* each starts where some range is cut */
    uint32_t *pieces;               /* what the splits leave: no piece crosses a target's border */
    mr_hash_key *piece_lasts;
    size_t piece_count;
};

static void add_step(struct planner *planner, struct mr_range_step step)
{
    struct mr_range_plan *plan = &planner->plan;

    mr_grow(plan->steps, plan->step_count, planner->step_capacity);
    plan->steps[plan->step_count++] = step;
    planner->next += step.is_merge ? 1 : 2;
}

/* Cuts a range, which ends at last, where targets[cut..cut_end) start. */
static void split(struct planner *planner, uint32_t range, mr_hash_key last, size_t cut,
                  size_t cut_end)
{
    size_t middle = cut + (cut_end - cut) / 2;
    mr_hash_key at;
    uint32_t child;

    if (cut == cut_end) {
        planner->pieces[planner->piece_count] = range;
        planner->piece_lasts[planner->piece_count++] = last;
        return;
    }
    at = planner->targets[middle].first;
    child = planner->next;
    add_step(planner, (struct mr_range_step){.closes = range, .at = at});
    split(planner, child, mr_hash_key_previous(at), cut, middle);
    split(planner, child + 1, last, middle + 1, cut_end);
}

/* Makes one range of pieces[begin..end) and returns its number. */
static uint32_t merge(struct planner *planner, size_t begin, size_t end)
{
    size_t middle = begin + (end - begin) / 2;
    uint32_t lower, upper;

    if (end - begin == 1)
        return planner->pieces[begin];
    lower = merge(planner, begin, middle);
    upper = merge(planner, middle, end);
    add_step(planner,
             (struct mr_range_step){.is_merge = true, .closes = lower, .closes_also = upper});
    return planner->next - 1;
}

struct mr_range_plan mr_range_plan(const struct mr_range *ranges, size_t count,
                                   const struct mr_range *targets, size_t target_count)
{
    struct planner planner = {.next = (uint32_t)count, .targets = targets};
    size_t piece_count_max = count + target_count;

    mr_check(mr_range_covers(ranges, count) && mr_range_covers(targets, target_count));
    mr_check(piece_count_max < UINT32_MAX / 4); /* numbers of ranges fit */
    planner.pieces = mr_alloc(piece_count_max * sizeof *planner.pieces);
    planner.piece_lasts = mr_alloc(piece_count_max * sizeof *planner.piece_lasts);

    for (size_t i = 0, cut = 0; i < count; i++) {
        size_t cut_end;
        if (cut < target_count && mr_hash_key_equal(targets[cut].first, ranges[i].first))
            cut++; /* a border already */
        cut_end = cut;
        while (cut_end < target_count && !mr_hash_key_below(ranges[i].last, targets[cut_end].first))
            cut_end++;
        split(&planner, (uint32_t)i, ranges[i].last, cut, cut_end);
        cut = cut_end;
    }
    for (size_t i = 0, begin = 0; i < target_count; i++) {
        size_t end = begin + 1;
        while (mr_hash_key_below(planner.piece_lasts[end - 1], targets[i].last))
            end++;
        merge(&planner, begin, end);
        begin = end;
    }
    mr_free(planner.pieces);
    mr_free(planner.piece_lasts);
    planner.plan.opened_count = planner.next - count;
    return planner.plan;
}

void mr_range_plan_fini(struct mr_range_plan *plan)
{
    mr_free(plan->steps);
    *plan = (struct mr_range_plan){0};
}
