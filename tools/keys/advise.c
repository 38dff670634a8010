#include "keys/advise.h"

#include "base/memory.h"

#include <math.h>

#define BUSY 0.99
#define SPLIT_ABOVE 0.8
#define MERGE_BELOW 0.4
#define SINGLE 0.9 /* one key has so much of a shard's load: no split helps */

/* A range of keys that is, or is to be, a shard. */
struct piece {
    mr_shard_id id;
    mr_hash_key first, last;
    double busy;
};

struct advisor {
    struct mr_advice *advice;
    const struct mr_scheme_result *scheme;
    const struct mr_limits *limits;
    mr_shard_id next;
};

static struct mr_advice_step *add_step(struct mr_advice *advice)
{
    mr_grow(advice->steps, advice->step_count, advice->step_capacity);
    return &advice->steps[advice->step_count++];
}

/* Load in parts of what a shard takes in a second, summed over time. */
static double load_of(const struct advisor *advisor, size_t hash_part)
{
    const struct mr_load *load = &advisor->scheme->of->hash_parts[hash_part];

    return fmax((double)load->record_count / advisor->limits->write_records_per_s,
                (double)load->bytes / advisor->limits->write_bytes_per_s);
}

static mr_hash_key start_of(size_t hash_part)
{
    return (mr_hash_key){.hi = (uint64_t)hash_part << 48};
}

static bool is_inside(const struct piece *piece, mr_hash_key at)
{
    return mr_hash_key_below(mr_hash_key_next(piece->first), at) &&
           mr_hash_key_below(at, piece->last);
}

/* Where the piece's load is divided nearest to `wanted` of it; *part gets what lies below. False:
 * nearly all of it is in one of the parts of the hash space. */
static bool find_border(const struct advisor *advisor, const struct piece *piece, double wanted,
                        mr_hash_key *at, double *part)
{
    size_t first = piece->first.hi >> 48, last = piece->last.hi >> 48;
    double all = 0, below = 0, heaviest = 0, nearest = INFINITY;

    for (size_t i = first; i <= last; i++) {
        all += load_of(advisor, i);
        heaviest = fmax(heaviest, load_of(advisor, i));
    }
    if (all <= 0 || heaviest > SINGLE * all)
        return false;
    for (size_t i = first + 1; i <= last; i++) {
        below += load_of(advisor, i - 1);
        if (is_inside(piece, start_of(i)) && fabs(below / all - wanted) < nearest) {
            nearest = fabs(below / all - wanted);
            *at = start_of(i);
            *part = below / all;
        }
    }
    return nearest < INFINITY;
}

/* Halves, and halves of halves, until each is below. */
static void split(struct advisor *advisor, struct piece piece)
{
    double count = ceil(piece.busy / SPLIT_ABOVE), part = 0;
    struct piece lower, upper;
    struct mr_advice_step *step;
    mr_hash_key at = {0};

    if (piece.busy <= SPLIT_ABOVE)
        return;
    if (!find_border(advisor, &piece, floor(count / 2) / count, &at, &part)) {
        mr_grow(advisor->advice->single, advisor->advice->single_count,
                advisor->advice->single_capacity);
        advisor->advice->single[advisor->advice->single_count++] = piece.id;
        return;
    }
    step = add_step(advisor->advice);
    *step = (struct mr_advice_step){.shard = piece.id,
                                    .at = at,
                                    .children = {advisor->next, advisor->next + 1},
                                    .busy = piece.busy,
                                    .part = part};
    advisor->next += 2;
    lower =
        (struct piece){step->children[0], piece.first, mr_hash_key_previous(at), piece.busy * part};
    upper = (struct piece){step->children[1], at, piece.last, piece.busy * (1 - part)};
    split(advisor, lower);
    split(advisor, upper);
}

/* Merges neighbours from the lowest on while they stay small together. */
static size_t merge(struct advisor *advisor, struct piece *pieces, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct piece *before = kept ? &pieces[kept - 1] : NULL;

        if (!before || before->busy + pieces[i].busy > MERGE_BELOW) {
            pieces[kept++] = pieces[i];
            continue;
        }
        *add_step(advisor->advice) =
            (struct mr_advice_step){.is_merge = true,
                                    .shard = before->id,
                                    .adjacent = pieces[i].id,
                                    .children = {advisor->next, MR_NO_SHARD},
                                    .busy = before->busy + pieces[i].busy};
        before->id = advisor->next++;
        before->last = pieces[i].last;
        before->busy += pieces[i].busy;
    }
    return kept;
}

void mr_advise(struct mr_advice *advice, const struct mr_result *result,
               const struct mr_scheme_result *scheme, const mr_shard *shards, mr_shard_id next)
{
    size_t count = scheme->outcomes[MR_GRID_STREAM].shard_count;
    struct piece *pieces = mr_alloc(count * sizeof *pieces);
    struct advisor advisor = {.advice = advice,
                              .scheme = scheme,
                              .limits = &result->analysis->config.limits,
                              .next = next};

    *advice = (struct mr_advice){0};
    for (size_t i = 0; i < count; i++)
        pieces[i] = (struct piece){shards[i].id, shards[i].first_key, shards[i].last_key,
                                   mr_simulation_shard_busy(scheme->of->simulation, i, BUSY)};
    count = merge(&advisor, pieces, count);
    for (size_t i = 0; i < count; i++)
        split(&advisor, pieces[i]);
    mr_free(pieces);
}

void mr_advice_fini(struct mr_advice *advice)
{
    mr_free(advice->steps);
    mr_free(advice->single);
}
