#include "keys/simulation.h"

#include "base/memory.h"

#include <string.h>

#define SECOND_NS MR_LIMITER_SECOND_NS
#define HELD_MAX ((size_t)256 << 10) /* records of a second that are kept */
#define QUARTER_NS (SECOND_NS / (TAILS + 1))
#define SPARSE_MAX 16 /* seconds of so few records are counted one by one */
#define FILTER_MAX 3  /* so few shards of a division are picked out one by one */

static void held_init(struct held *held)
{
    *held = (struct held){.second = UINT64_MAX,
                          .cells = mr_alloc(HELD_MAX * sizeof *held->cells),
                          .bytes = mr_alloc(HELD_MAX * sizeof *held->bytes),
                          .at_ns = mr_alloc(HELD_MAX * sizeof *held->at_ns),
                          .worth_ns = mr_alloc(HELD_MAX * sizeof *held->worth_ns)};
}

static void held_fini(struct held *held)
{
    mr_free(held->cells);
    mr_free(held->bytes);
    mr_free(held->at_ns);
    mr_free(held->worth_ns);
}

struct mr_simulation *mr_simulation_new(const struct mr_grid *grid, const struct mr_limits *limits)
{
    struct mr_simulation *made = mr_new(struct mr_simulation);
    size_t cell_count = grid->cell_count;

    made->grid = grid;
    made->limits = *limits;
    made->per_record = 1.0f / (float)limits->write_records_per_s;
    made->per_byte = 1.0f / (float)limits->write_bytes_per_s;
    made->record_ns = mr_bucket_worth_ns(limits->write_records_per_s, 1);
    made->byte_rate = mr_bucket_rate_of(limits->write_bytes_per_s);
    held_init(&made->held);
    held_init(&made->before);
    made->held.second = 0;
    made->now = mr_alloc_zero(cell_count, sizeof *made->now);
    made->cells = mr_alloc_zero(cell_count, sizeof *made->cells);
    made->sums = mr_alloc((cell_count + 1) * sizeof *made->sums);
    made->picked = mr_alloc(HELD_MAX * sizeof *made->picked);
    made->tails_second = UINT64_MAX;
    for (size_t i = 0; i < TAILS; i++)
        made->tails[i] = mr_alloc((cell_count + 1) * sizeof *made->tails[i]);
    made->shards = mr_alloc_zero(grid->shard_count, sizeof *made->shards);
    made->limiters = mr_alloc_zero(grid->shard_count, sizeof *made->limiters);
    for (size_t i = 0; i < grid->shard_count; i++)
        made->shards[i].second = UINT64_MAX;
    for (size_t i = 0; i < grid->division_count; i++) {
        struct division *division = &made->divisions[i];

        division->shards = made->shards + grid->divisions[i].first_shard;
        division->limiters = made->limiters + grid->divisions[i].first_shard;
        division->bins = mr_alloc_zero(MR_BIN_COUNT, sizeof *division->bins);
        division->followed = mr_alloc(grid->divisions[i].shard_count * sizeof *division->followed);
    }
    if (grid->division_count > MR_GRID_STREAM)
        made->stream_bins =
            mr_alloc_zero((size_t)grid->divisions[MR_GRID_STREAM].shard_count * MR_BIN_COUNT,
                          sizeof *made->stream_bins);
    mr_timeline_init(&made->timeline, grid->shard_count);
    return made;
}

void mr_simulation_free(struct mr_simulation *simulation)
{
    if (!simulation)
        return;
    held_fini(&simulation->held);
    held_fini(&simulation->before);
    mr_timeline_fini(&simulation->timeline);
    for (size_t i = 0; i < simulation->grid->division_count; i++) {
        mr_free(simulation->divisions[i].bins);
        mr_free(simulation->divisions[i].followed);
    }
    mr_free(simulation->now);
    mr_free(simulation->cells);
    mr_free(simulation->sums);
    mr_free(simulation->picked);
    for (size_t i = 0; i < TAILS; i++)
        mr_free(simulation->tails[i]);
    mr_free(simulation->shards);
    mr_free(simulation->limiters);
    mr_free(simulation->stream_bins);
    mr_free(simulation);
}

/* ---- following shards record by record ------------------------------------------------------ */

/* Until a bucket is full, from a moment on. */
static uint64_t left_ns(uint64_t full_at_ns, uint64_t now_ns)
{
    return full_at_ns > now_ns ? full_at_ns - now_ns : 0;
}

/* Once a record, and only if one of its shards is followed. */
static void find_worth(const struct mr_simulation *simulation, struct held *held)
{
    for (; held->worth_count < held->count; held->worth_count++)
        held->worth_ns[held->worth_count] =
            mr_bucket_rate_ns(simulation->byte_rate, held->bytes[held->worth_count]);
}

/* A shard's records in order: those of held at the places picked. */
struct walk {
    const struct mr_simulation *simulation;
    const struct held *held;
    const uint32_t *picked;
    size_t count;
    uint64_t bytes;
};

static inline void take_buckets(const struct walk *walk, struct mr_limiter *limiter,
                                struct mr_bucket_asks asks)
{
    const struct held *held = walk->held;
    const uint64_t start_ns = held->second * SECOND_NS, record_ns = walk->simulation->record_ns;

    for (size_t i = 0; i < walk->count; i++) {
        size_t place = walk->picked[i];

        mr_limiter_ask_bucket(limiter, asks, start_ns + held->at_ns[place], held->bytes[place],
                              record_ns, held->worth_ns[place]);
    }
}

/* Most shards are short of records or of bytes, not of both: each has a loop of its own. */
static void walk_buckets(const struct walk *walk, struct mr_limiter *limiter)
{
    const struct mr_limits *limits = &walk->simulation->limits;
    uint64_t start_ns = walk->held->second * SECOND_NS;
    bool asks_records =
        left_ns(limiter->records_full_at_ns, start_ns) + walk->count * walk->simulation->record_ns >
        SECOND_NS;
    bool asks_bytes = left_ns(limiter->bytes_full_at_ns, start_ns) +
                          mr_bucket_worth_ns(limits->write_bytes_per_s, walk->bytes) >
                      SECOND_NS;

    if (asks_records && asks_bytes)
        take_buckets(walk, limiter, (struct mr_bucket_asks){true, true});
    else if (asks_records)
        take_buckets(walk, limiter, (struct mr_bucket_asks){true, false});
    else
        take_buckets(walk, limiter, (struct mr_bucket_asks){false, true});
}

/* Where bytes cannot be short the first records fit and the others do not. */
static void walk_window(const struct walk *walk, struct mr_limiter *limiter)
{
    const struct mr_limits *limits = &walk->simulation->limits;
    const uint32_t *bytes = walk->held->bytes;
    uint64_t room = limits->write_records_per_s - limiter->window_record_count, fitting_bytes = 0;
    size_t fitting = walk->count < room ? walk->count : (size_t)room;

    if (limiter->window_bytes + walk->bytes > limits->write_bytes_per_s) {
        for (size_t i = 0; i < walk->count; i++)
            mr_limiter_ask_window(limiter, limits, bytes[walk->picked[i]]);
        return;
    }
    for (size_t i = 0; i < fitting; i++)
        fitting_bytes += bytes[walk->picked[i]];
    limiter->window_record_count += (uint32_t)fitting;
    limiter->window_bytes += (uint32_t)fitting_bytes;
    limiter->throttled[MR_MODEL_WINDOW].record_count += walk->count - fitting;
    limiter->throttled[MR_MODEL_WINDOW].bytes += walk->bytes - fitting_bytes;
}

/* One shard's records. */
static void walk_shard(struct mr_simulation *simulation, size_t index, uint32_t number,
                       struct held *held)
{
    const struct mr_division *division = &simulation->grid->divisions[index];
    uint16_t first = division->first_cells[number];
    uint16_t width = (uint16_t)(division->first_cells[number + 1] - first);
    struct mr_limiter *own = &simulation->divisions[index].limiters[number];
    struct mr_limiter limiter = *own; /* stays in registers */
    uint32_t *picked = simulation->picked;
    struct walk walk = {.simulation = simulation, .held = held, .picked = picked};

    find_worth(simulation, held);
    for (size_t i = 0; i < held->count; i++) { /* without a branch: it could not be foreseen */
        picked[walk.count] = (uint32_t)i;
        walk.count += (uint16_t)(held->cells[i] - first) < width;
    }
    for (size_t i = 0; i < walk.count; i++)
        walk.bytes += held->bytes[picked[i]];
    walk_buckets(&walk, &limiter);
    walk_window(&walk, &limiter);
    *own = limiter;
}

/* Those of all shards that are followed. */
static void walk_division(struct mr_simulation *simulation, size_t index)
{
    const uint16_t *shard_of = simulation->grid->divisions[index].shard_of;
    struct division *division = &simulation->divisions[index];
    struct held *held = &simulation->held;

    if (division->followed_count <= FILTER_MAX) {
        for (size_t i = 0; i < division->followed_count; i++)
            walk_shard(simulation, index, division->followed[i], held);
        return;
    }
    find_worth(simulation, held);
    for (size_t i = 0; i < held->count; i++) {
        uint16_t number = shard_of[held->cells[i]];

        if (division->shards[number].is_followed) {
            mr_limiter_ask_bucket(&division->limiters[number], (struct mr_bucket_asks){true, true},
                                  held->second * SECOND_NS + held->at_ns[i], held->bytes[i],
                                  simulation->record_ns, held->worth_ns[i]);
            mr_limiter_ask_window(&division->limiters[number], &simulation->limits, held->bytes[i]);
        }
    }
}

/* From the second before, which refused nothing and needs none before it. */
static void follow(struct mr_simulation *simulation, size_t index, uint32_t number)
{
    struct division *division = &simulation->divisions[index];
    struct mr_limiter *limiter = &division->limiters[number];

    division->shards[number].is_followed = true;
    division->followed[division->followed_count++] = number;
    mr_limiter_rest(limiter);
    if (simulation->before.second + 1 == simulation->second)
        walk_shard(simulation, index, number, &simulation->before);
    mr_limiter_next_window(limiter);
}

/* Drops the followed shards that come through this second whatever the order of its records, and
 * so forget what was before it. */
static void unfollow(struct mr_simulation *simulation, struct division *division)
{
    uint64_t start_ns = simulation->second * SECOND_NS;
    size_t kept = 0;

    for (size_t i = 0; i < division->followed_count; i++) {
        struct shard *shard = &division->shards[division->followed[i]];
        const struct mr_limiter *limiter = &division->limiters[division->followed[i]];
        bool has_some = shard->second == simulation->second;
        uint64_t bytes_ns = mr_bucket_worth_ns(simulation->limits.write_bytes_per_s, shard->bytes);

        shard->is_followed =
            left_ns(limiter->records_full_at_ns, start_ns) +
                    (has_some ? shard->record_count * simulation->record_ns : 0) >
                SECOND_NS ||
            left_ns(limiter->bytes_full_at_ns, start_ns) + (has_some ? bytes_ns : 0) > SECOND_NS;
        if (shard->is_followed)
            division->followed[kept++] = division->followed[i];
    }
    division->followed_count = kept;
}

/*
 * What came in the last quarter, half and three quarters of the second before, as sums over the cells
 * before each. With them most shards that are busy but evenly so need not be followed.
 */
static void find_tails(struct mr_simulation *simulation)
{
    const struct held *before = &simulation->before;
    size_t cell_count = simulation->grid->cell_count, next = before->count;
    struct mr_load *counts = mr_alloc_zero(cell_count, sizeof *counts);

    for (size_t t = 0; t < TAILS; t++) {
        uint32_t start_ns = (uint32_t)(SECOND_NS - (t + 1) * QUARTER_NS);
        struct mr_load sum = {0};

        for (; next > 0 && before->at_ns[next - 1] >= start_ns; next--) {
            counts[before->cells[next - 1]].record_count++;
            counts[before->cells[next - 1]].bytes += before->bytes[next - 1];
        }
        for (size_t c = 0; c < cell_count; c++) {
            simulation->tails[t][c] = sum;
            sum.record_count += counts[c].record_count;
            sum.bytes += counts[c].bytes;
        }
        simulation->tails[t][cell_count] = sum;
    }
    mr_free(counts);
    simulation->tails_second = before->second;
}

/* What lies in the cells from first to before end, by sums over the cells before each. */
static inline struct mr_load between(const struct mr_load *sums, uint16_t first, uint16_t end)
{
    return (struct mr_load){sums[end].record_count - sums[first].record_count,
                            sums[end].bytes - sums[first].bytes};
}

static uint64_t worth_ns(const struct mr_simulation *simulation, struct mr_load load)
{
    uint64_t records_ns = load.record_count * simulation->record_ns;
    uint64_t bytes_ns = mr_bucket_worth_ns(simulation->limits.write_bytes_per_s, load.bytes);

    return records_ns > bytes_ns ? records_ns : bytes_ns;
}

/*
 * Whether the shard may refuse some of what came in this second, or still be short at its end because
 * of what came before it. Neither can be if, from whatever record of the second before counted, all
 * that came until now has come in again by the end of this second. both: of the two seconds.
 */
static bool may_matter(struct mr_simulation *simulation, size_t index, uint32_t number,
                       struct mr_load now, struct mr_load both)
{
    const struct mr_division *division = &simulation->grid->divisions[index];
    uint16_t first = division->first_cells[number], end = division->first_cells[number + 1];

    if (worth_ns(simulation, now) > SECOND_NS ||
        worth_ns(simulation, both) > SECOND_NS + TAILS * QUARTER_NS)
        return true;
    if (simulation->tails_second != simulation->before.second)
        find_tails(simulation);
    for (size_t t = 0; t < TAILS; t++) {
        struct mr_load since = between(simulation->tails[t], first, end);

        since.record_count += now.record_count;
        since.bytes += now.bytes;
        if (worth_ns(simulation, since) > SECOND_NS + t * QUARTER_NS)
            return true;
    }
    return false;
}

/* ---- a second ------------------------------------------------------------------------------- */

/* How much of one shard's second that is. (From signed numbers it takes no branch.) */
static inline float busy_of(const struct mr_simulation *simulation, struct mr_load load)
{
    float by_records = (float)(int64_t)load.record_count * simulation->per_record;
    float by_bytes = (float)(int64_t)load.bytes * simulation->per_byte;

    return by_records > by_bytes ? by_records : by_bytes;
}

/* A shard got so much in this second. */
__attribute__((always_inline)) static inline void visit(struct mr_simulation *simulation,
                                                        size_t index, uint32_t number,
                                                        struct mr_load now)
{
    struct division *division = &simulation->divisions[index];
    struct shard *shard = &division->shards[number];
    float busy = busy_of(simulation, now);
    size_t bin = mr_bin_of(busy);

    division->bins[bin]++;
    if (index == MR_GRID_STREAM)
        simulation->stream_bins[(size_t)number * MR_BIN_COUNT + bin]++;
    if (busy > division->max)
        division->max = busy;
    if (busy > 1) {
        division->over_count++;
        division->is_over = true;
    }
    mr_timeline_shard(&simulation->timeline, simulation->column,
                      (size_t)(shard - simulation->shards), busy);
    if (!shard->is_followed) {
        bool is_next = shard->second + 1 == simulation->second;
        struct mr_load both = {now.record_count + (is_next ? shard->record_count : 0),
                               now.bytes + (is_next ? shard->bytes : 0)};

        if ((both.record_count > simulation->limits.write_records_per_s ||
             both.bytes > simulation->limits.write_bytes_per_s) &&
            may_matter(simulation, index, number, now, both))
            follow(simulation, index, number);
    }
    shard->second = simulation->second;
    shard->record_count = (uint32_t)now.record_count;
    shard->bytes = now.bytes;
}

static void count_rows(struct mr_simulation *simulation)
{
    const uint16_t *first_cells = simulation->grid->divisions[MR_TIMELINE_ROWS - 1].first_cells;
    float *column = simulation->timeline.rows[simulation->column];

    for (size_t i = 0; i < MR_TIMELINE_ROWS; i++)
        column[i] +=
            busy_of(simulation, between(simulation->sums, first_cells[i], first_cells[i + 1]));
}

/* The records held, cell by cell. */
static void count_held(struct mr_simulation *simulation)
{
    const struct held *held = &simulation->held;
    uint64_t bytes = 0;

    for (size_t i = 0; i < held->count; i++) {
        struct mr_load *now = &simulation->now[held->cells[i]];

        now->record_count++;
        now->bytes += held->bytes[i];
        bytes += held->bytes[i];
    }
    simulation->in_second.record_count += held->count;
    simulation->in_second.bytes += bytes;
}

/* Each shard's part is the difference of the sums at its ends. */
static void visit_all(struct mr_simulation *simulation)
{
    const struct mr_grid *grid = simulation->grid;
    struct mr_load sum = {0};

    for (size_t c = 0; c < grid->cell_count; c++) {
        struct mr_load now = simulation->now[c];

        simulation->sums[c] = sum;
        sum.record_count += now.record_count;
        sum.bytes += now.bytes;
        simulation->cells[c].record_count += now.record_count;
        simulation->cells[c].bytes += now.bytes;
    }
    simulation->sums[grid->cell_count] = sum;
    count_rows(simulation);
    for (size_t d = 0; d < grid->division_count; d++) {
        const uint16_t *first_cells = grid->divisions[d].first_cells;

        for (uint32_t i = 0; i < grid->divisions[d].shard_count; i++) {
            struct mr_load now = between(simulation->sums, first_cells[i], first_cells[i + 1]);

            if (now.record_count)
                visit(simulation, d, i, now);
        }
    }
    memset(simulation->now, 0, grid->cell_count * sizeof *simulation->now);
}

/* The same for a few records: each one's shards, the first time they are met. */
static void visit_few(struct mr_simulation *simulation)
{
    const struct mr_grid *grid = simulation->grid;
    const struct held *held = &simulation->held;
    const uint16_t *row_of = grid->divisions[MR_TIMELINE_ROWS - 1].shard_of;

    for (size_t d = 0; d < grid->division_count; d++) {
        const uint16_t *shard_of = grid->divisions[d].shard_of;

        for (size_t i = 0; i < held->count; i++) {
            uint16_t number = shard_of[held->cells[i]];
            struct mr_load now = {0};

            if (simulation->divisions[d].shards[number].second == simulation->second)
                continue;
            for (size_t j = i; j < held->count; j++)
                if (shard_of[held->cells[j]] == number) {
                    now.record_count++;
                    now.bytes += held->bytes[j];
                }
            visit(simulation, d, number, now);
        }
    }
    for (size_t i = 0; i < held->count; i++) {
        uint16_t cell = held->cells[i];
        struct mr_load one = {1, held->bytes[i]};

        simulation->cells[cell].record_count++;
        simulation->cells[cell].bytes += one.bytes;
        simulation->timeline.rows[simulation->column][row_of[cell]] += busy_of(simulation, one);
        simulation->in_second.record_count++;
        simulation->in_second.bytes += one.bytes;
    }
}

/* The second has more records than can be held: its shards are followed as they come. */
static void crowd(struct mr_simulation *simulation)
{
    const struct mr_grid *grid = simulation->grid;

    for (size_t d = 0; d < grid->division_count; d++) {
        for (uint32_t i = 0; !simulation->is_crowded && i < grid->divisions[d].shard_count; i++)
            if (!simulation->divisions[d].shards[i].is_followed)
                follow(simulation, d, i);
        walk_division(simulation, d);
    }
    simulation->is_crowded = true;
    count_held(simulation);
    simulation->held.count = simulation->held.worth_count = 0;
}

static void end_second(struct mr_simulation *simulation)
{
    struct held before = simulation->before;

    if (simulation->held.count == 0)
        return;
    simulation->column = mr_timeline_column(&simulation->timeline, simulation->second);
    if (!simulation->is_crowded && simulation->held.count <= SPARSE_MAX) {
        visit_few(simulation);
    } else {
        count_held(simulation);
        visit_all(simulation);
    }
    for (size_t d = 0; d < simulation->grid->division_count; d++) {
        struct division *division = &simulation->divisions[d];

        division->over_second_count += division->is_over;
        division->is_over = false;
        if (!division->followed_count)
            continue;
        if (!simulation->is_crowded)
            unfollow(simulation, division);
        walk_division(simulation, d);
        for (size_t i = 0; i < division->followed_count; i++)
            mr_limiter_next_window(&division->limiters[division->followed[i]]);
    }
    if (simulation->in_second.record_count > simulation->peak.record_count)
        simulation->peak.record_count = simulation->in_second.record_count;
    if (simulation->in_second.bytes > simulation->peak.bytes)
        simulation->peak.bytes = simulation->in_second.bytes;
    simulation->total.record_count += simulation->in_second.record_count;
    simulation->total.bytes += simulation->in_second.bytes;
    simulation->in_second = (struct mr_load){0};
    simulation->is_crowded = false;
    simulation->before = simulation->held;
    simulation->held = before;
    simulation->held.count = simulation->held.worth_count = 0;
}

void mr_simulation_add_batch(struct mr_simulation *simulation, size_t count,
                             const uint64_t *times_ns, const uint16_t *cells, const uint32_t *bytes)
{
    struct held *held = &simulation->held;

    for (size_t i = 0; i < count; i++) {
        uint64_t time_ns =
            times_ns[i] > simulation->newest_ns ? times_ns[i] : simulation->newest_ns;

        simulation->newest_ns = time_ns;
        if (time_ns - simulation->second * SECOND_NS >= SECOND_NS) {
            end_second(simulation);
            simulation->second = time_ns / SECOND_NS;
            held->second = simulation->second;
        }
        if (held->count == HELD_MAX) /* so that one is held at the end of a second */
            crowd(simulation);
        held->cells[held->count] = cells[i];
        held->bytes[held->count] = bytes[i];
        held->at_ns[held->count++] = (uint32_t)(time_ns - simulation->second * SECOND_NS);
    }
}

void mr_simulation_add(struct mr_simulation *simulation, uint64_t time_ns, uint16_t cell,
                       uint32_t bytes)
{
    mr_simulation_add_batch(simulation, 1, &time_ns, &cell, &bytes);
}

void mr_simulation_end(struct mr_simulation *simulation)
{
    end_second(simulation);
}
