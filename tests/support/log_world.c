#include "support/log_world.h"

#include "base/check.h"
#include "base/memory.h"
#include "log/key_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY "data"
#define KEY_FILE "keys"

#define expect(world, condition, ...)                                                              \
    do {                                                                                           \
        if (!(condition))                                                                          \
            log_world_break(world, __VA_ARGS__);                                                   \
    } while (0)

_Noreturn void log_world_break(const struct log_world *world, const char *format, ...)
{
    char message[1000];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    world->config.broken(&world->config, message);
    abort();
}

static uint64_t below(struct log_world *world, uint64_t bound)
{
    return mr_random_below(&world->random, bound);
}

static void trace(void *context, const char *line)
{
    (void)context;
    printf("    %s\n", line);
}

struct log_world_config log_world_config_draw(uint64_t seed)
{
    static const uint64_t journals[] = {64 << 10, 128 << 10, 256 << 10, 1 << 20};
    static const uint64_t segments[] = {32 << 10, 128 << 10, 1 << 20};
    static const uint64_t memories[] = {0, 64 << 10, 512 << 10, 8 << 20};
    static const unsigned garbage[] = {0, 0, 20, 60};
    struct mr_random random = mr_random_of(seed);

    return (struct log_world_config){
        .seed = seed,
        .journal_bytes = journals[mr_random_below(&random, 4)],
        .segment_bytes = segments[mr_random_below(&random, 3)],
        .memory_bytes = memories[mr_random_below(&random, 4)],
        .garbage_percent = garbage[mr_random_below(&random, 4)],
        .is_sync_interval = mr_random_below(&random, 5) == 0,
        .refuses_direct = mr_random_below(&random, 4) == 0,
        .prewrites = mr_random_below(&random, 6) == 0,
        .encrypts = seed % 3 == 0,
    };
}

static void make_key(struct log_world *world)
{
    struct mr_key_file *file = mr_key_file_new(sim_disk_fs(world->disk), KEY_FILE);

    mr_check(!mr_key_file_first(file, true, &world->key_id, NULL));
    mr_key_file_free(file);
}

void log_world_init(struct log_world *world, const struct log_world_config *config)
{
    *world = (struct log_world){.config = *config, .random = mr_random_of(config->seed + 1)};
    sim_clock_init(&world->clock);
    world->disk = sim_disk_new(config->seed);
    sim_disk_garbage(world->disk, config->garbage_percent);
    if (config->refuses_direct)
        sim_disk_refuse_direct(world->disk);
    if (config->encrypts)
        make_key(world);
    model_init(&world->model);
}

void log_world_fini(struct log_world *world)
{
    mr_check(!world->log);
    sim_disk_free(world->disk);
    model_fini(&world->model);
}

/* ---- the owner ---------------------------------------------------------------------------- */

static mr_status owner_restore(void *context, struct mr_log *log, mr_bytes bytes, mr_error *error)
{
    struct log_world *world = context;

    (void)error;
    world->state = (struct model_state){0};
    if (bytes.size == 0)
        return MR_OK;
    expect(world, bytes.size == sizeof world->state, "the snapshot has %zu bytes", bytes.size);
    memcpy(&world->state, bytes.data, sizeof world->state);
    for (uint32_t id = 0; id < world->state.log_count; id++)
        if (world->state.has_log[id])
            mr_log_add(log, id, world->state.stream_of[id]);
    return MR_OK;
}

static mr_status owner_apply(void *context, struct mr_log *log, mr_bytes bytes, uint64_t number,
                             int64_t at_ms, struct mr_log_append *append, mr_error *error)
{
    struct log_world *world = context;
    struct model_entry entry;

    (void)error;
    expect(world, bytes.size == sizeof entry, "an entry has %zu bytes", bytes.size);
    memcpy(&entry, bytes.data, sizeof entry);
    expect(world, number > world->state.last_number, "entry %llu is applied after entry %llu",
           (unsigned long long)number, (unsigned long long)world->state.last_number);
    if (append) {
        const struct model_put *put = append->context;
        expect(world, put->entry_number == number && put->at_ms == at_ms,
               "entry %llu was given number %llu", (unsigned long long)number,
               (unsigned long long)put->entry_number);
        append->entry_value = number;
    }
    model_state_apply(&world->state, &entry, number, at_ms);
    if (entry.change == MODEL_ADD)
        mr_log_add(log, entry.log, entry.stream);
    else if (entry.change == MODEL_DROP)
        mr_log_drop(log, entry.log);
    else if (entry.change == MODEL_DROP_STREAM)
        mr_log_drop_stream(log, entry.stream);
    return MR_OK;
}

static void owner_snapshot(void *context, uint8_t **bytes, size_t *size)
{
    const struct log_world *world = context;

    *size = sizeof world->state;
    *bytes = mr_alloc(*size);
    memcpy(*bytes, &world->state, *size);
}

static void owner_housekeep(void *context, struct mr_log *log)
{
    struct log_world *world = context;

    for (uint32_t stream = 0; stream < MODEL_STREAMS_MAX; stream++)
        if (world->state.has_stream[stream] && world->model.horizon_ms[stream] != INT64_MIN)
            mr_log_trim(log, stream, world->model.horizon_ms[stream]);
}

static mr_status log_open(struct log_world *world, mr_error *error)
{
    struct mr_log_config config = {
        .fs = sim_disk_fs(world->disk),
        .clock = &world->clock.base,
        .directory = DIRECTORY,
        .key_file = KEY_FILE,
        .owner = {.restore = owner_restore,
                  .apply = owner_apply,
                  .snapshot = owner_snapshot,
                  .housekeep = owner_housekeep,
                  .context = world},
        .sync = world->config.is_sync_interval ? MR_SYNC_INTERVAL : MR_SYNC_EACH,
        .sync_interval_ms = 50,
        .journal_bytes = world->config.journal_bytes,
        .journal_prewrite = world->config.prewrites,
        .segment_bytes = world->config.segment_bytes,
        .memory_bytes = world->config.memory_bytes,
        .manual = true,
        .mutant = world->config.mutant,
        .diag = world->config.traces ? trace : NULL,
    };

    return mr_log_open(&world->log, &config, error);
}

static bool disk_may_fail(const struct log_world *world)
{
    return world->may_fail || sim_disk_stopped(world->disk);
}

/* ---- compare ------------------------------------------------------------------------------ */

static bool bytes_equal(mr_bytes left, mr_bytes right)
{
    return left.size == right.size && (left.size == 0 || !memcmp(left.data, right.data, left.size));
}

static mr_sequence base_of(uint32_t log)
{
    return (mr_sequence){.shard = log + 5, .created_s = 1000 + log};
}

static void compare_record(const struct log_world *world, uint32_t log,
                           const struct model_item *item, const mr_record *record)
{
    const struct model_put *put = world->model.puts[item->put];
    mr_sequence base = base_of(log);
    mr_put expected;

    expect(world, record->sequence.number == item->number,
           "log %u: record %llu where %llu should follow", log,
           (unsigned long long)record->sequence.number, (unsigned long long)item->number);
    model_record(put, item->run, item->index, &expected);
    expect(world,
           bytes_equal(record->partition_key, expected.partition_key) &&
               bytes_equal(record->data, expected.data) &&
               record->has_explicit_hash_key == !!expected.explicit_hash_key &&
               (!expected.explicit_hash_key ||
                (record->explicit_hash_key.hi == expected.explicit_hash_key->hi &&
                 record->explicit_hash_key.lo == expected.explicit_hash_key->lo)),
           "log %u: record %llu has other bytes than were put", log,
           (unsigned long long)item->number);
    expect(world,
           record->arrival_ms == put->at_ms && record->sequence.shard == base.shard &&
               record->sequence.created_s == base.created_s &&
               record->sequence.time_s == (uint32_t)(put->at_ms / 1000),
           "log %u: record %llu arrived at %lld, says %lld", log, (unsigned long long)item->number,
           (long long)put->at_ms, (long long)record->arrival_ms);
}

static bool is_trimmed(const struct log_world *world, uint32_t log, const struct model_item *item)
{
    uint32_t stream = world->state.stream_of[log];
    return world->model.puts[item->put]->at_ms < world->model.horizon_ms[stream];
}

/* Items of a log that are readable now. */
static size_t readable_count(const struct log_world *world, uint32_t id)
{
    const struct model_log *log = &world->model.logs[id];
    size_t count = log->item_count;

    while (count > 0 && log->items[count - 1].put >= world->model.done_count)
        count--;
    return count;
}

/* Reads on; the next item expected is *next, at most `end` are there. Items that retention may have
 * taken may be missing, but behind the first record read from the start nothing is. Returns the
 * records read; at_tip says that all was seen. */
static mr_status read_some(const struct log_world *world, struct mr_log_cursor *cursor, uint32_t id,
                           size_t count_max, int64_t horizon_ms, int64_t from_ms, size_t end,
                           size_t *next, size_t *count, bool *at_tip)
{
    const struct model_log *log = &world->model.logs[id];
    struct mr_log_records records;
    mr_error error;
    mr_status status = mr_log_cursor_next(cursor, count_max, horizon_ms, &records, &error);

    if (horizon_ms < from_ms)
        horizon_ms = from_ms;
    *count = 0;
    *at_tip = false;
    if (status == MR_IO && disk_may_fail(world))
        return status;
    /* A failed sync may have lost a segment's last blocks; the journal gives them to the next life. */
    if (status == MR_CORRUPT && sim_disk_failed(world->disk) > world->failed_before)
        return status;
    expect(world, status == MR_OK, "log %u: reading failed: %s", id,
           status == MR_CLOSED ? "closed" : error.message);
    expect(world, records.count <= count_max, "log %u: %zu records, asked for %zu", id,
           records.count, count_max);
    for (size_t i = 0; i < records.count; i++) {
        const mr_record *record = &records.records[i];
        while (*next < end && log->items[*next].number < record->sequence.number) {
            const struct model_item *item = &log->items[*next];
            expect(world,
                   is_trimmed(world, id, item) || world->model.puts[item->put]->at_ms < horizon_ms,
                   "log %u: record %llu is missing before %llu", id,
                   (unsigned long long)item->number, (unsigned long long)record->sequence.number);
            ++*next;
        }
        expect(world, *next < end, "log %u: record %llu was never put, or not answered", id,
               (unsigned long long)record->sequence.number);
        compare_record(world, id, &log->items[*next], record);
        expect(world, record->arrival_ms >= horizon_ms, "log %u: record %llu is too old", id,
               (unsigned long long)record->sequence.number);
        ++*next;
    }
    *count = records.count;
    *at_tip = records.at_tip;
    if (!records.at_tip)
        return MR_OK;
    while (*next < end) {
        const struct model_item *item = &log->items[*next];
        expect(world,
               is_trimmed(world, id, item) || world->model.puts[item->put]->at_ms < horizon_ms,
               "log %u: record %llu is missing at the tip", id, (unsigned long long)item->number);
        ++*next;
    }
    return MR_OK;
}

/* Reads all of a log, from its start. */
static void compare_log(struct log_world *world, uint32_t id, size_t end)
{
    const struct model_log *log = &world->model.logs[id];
    struct mr_log_figures figures;
    struct mr_log_cursor *cursor;
    uint64_t tip, record_bytes = 0;
    size_t next = 0, count;
    bool at_tip = false;
    mr_error error;
    mr_status status;

    status = mr_log_tip(world->log, id, &tip);
    expect(world, status == MR_OK && tip == (end ? log->items[end - 1].number : 0),
           "log %u: the tip is %llu, not %llu", id, (unsigned long long)tip,
           (unsigned long long)(end ? log->items[end - 1].number : 0));
    status = mr_log_cursor_open(&cursor, world->log, id, base_of(id), &error);
    expect(world, status == MR_OK, "log %u: no cursor: %s", id, error.message);
    while (!at_tip || count > 0) {
        status =
            read_some(world, cursor, id, 1 + below(world, 300), 0, 0, end, &next, &count, &at_tip);
        if (status != MR_OK)
            break;
    }
    mr_log_cursor_close(cursor);

    for (size_t i = 0; i < end; i++) {
        mr_put record;
        model_record(world->model.puts[log->items[i].put], log->items[i].run, log->items[i].index,
                     &record);
        record_bytes += record.partition_key.size + record.data.size;
    }
    status = mr_log_figures(world->log, id, &figures);
    expect(world,
           status == MR_OK && figures.record_count == end && figures.record_bytes == record_bytes,
           "log %u: %llu records of %llu bytes are counted, not %zu of %llu", id,
           (unsigned long long)figures.record_count, (unsigned long long)figures.record_bytes, end,
           (unsigned long long)record_bytes);
    expect(world,
           end == 0 || figures.newest_ms == world->model.puts[log->items[end - 1].put]->at_ms,
           "log %u: the newest record arrived at %lld", id, (long long)figures.newest_ms);
}

static void compare_state(struct log_world *world, const struct model_state *expected)
{
    expect(world, memcmp(&world->state, expected, sizeof *expected) == 0,
           "the owner has %llu entries up to %llu, not %llu up to %llu",
           (unsigned long long)world->state.entry_count,
           (unsigned long long)world->state.last_number, (unsigned long long)expected->entry_count,
           (unsigned long long)expected->last_number);
}

static void compare_all(struct log_world *world)
{
    struct model_state expected = model_state_at(&world->model, world->model.done_count);

    compare_state(world, &expected);
    for (uint32_t id = 0; id < MODEL_LOGS_MAX; id++) {
        uint64_t tip;
        if (expected.has_log[id])
            compare_log(world, id, readable_count(world, id));
        else
            expect(world, mr_log_tip(world->log, id, &tip) == MR_CLOSED, "log %u is not gone", id);
    }
}

/* ---- what a crash left -------------------------------------------------------------------- */

enum presence { NO_EVIDENCE, ABSENT, PRESENT };

static enum presence presence_of_item(const struct log_world *world, uint32_t id,
                                      const struct model_item *item)
{
    uint64_t tip;

    if (!world->state.has_log[id] || mr_log_tip(world->log, id, &tip) != MR_OK)
        return NO_EVIDENCE;
    return item->number <= tip ? PRESENT : ABSENT;
}

static enum presence presence_of(const struct log_world *world, const struct model_put *put)
{
    enum presence presence = NO_EVIDENCE;

    if (put->entry.change != MODEL_NOTHING)
        presence = put->entry_number <= world->state.last_number ? PRESENT : ABSENT;
    for (uint32_t i = 0; i < put->run_count; i++) {
        const struct model_run *run = &put->runs[i];
        for (uint32_t index = 0; index < run->record_count; index += run->record_count - 1) {
            struct model_item item = {.number = run->first_number + index};
            enum presence found = presence_of_item(world, run->log, &item);
            expect(world, found == presence || found == NO_EVIDENCE || presence == NO_EVIDENCE,
                   "put %u was torn by the crash: record %llu of log %u", put->id,
                   (unsigned long long)item.number, run->log);
            if (presence == NO_EVIDENCE)
                presence = found;
            if (run->record_count == 1)
                break;
        }
    }
    return presence;
}

/* How many puts the recovery brought back: a prefix, at least those that are fixed. */
static size_t count_recovered(const struct log_world *world, size_t fixed_count)
{
    const struct model *model = &world->model;
    size_t count = model->put_count;

    for (size_t i = 0; i < model->put_count; i++) {
        const struct model_put *put = model->puts[i];
        enum presence presence = presence_of(world, put);
        expect(world, presence != ABSENT || i >= fixed_count,
               "put %u of %zu was lost: %zu were answered or seen", put->id, model->put_count,
               fixed_count);
        expect(world, presence != PRESENT || i < count,
               "put %u is there, but put %u before it is not", put->id,
               count < model->put_count ? model->puts[count]->id : 0);
        if (presence == ABSENT && i < count)
            count = i;
    }
    return count;
}

/* ---- answers --------------------------------------------------------------------------- */

static void put_done(struct mr_log_append *append)
{
    struct model_put *put = append->context;

    put->fate = append->status == MR_OK ? MODEL_DONE : MODEL_FAILED;
}

/* Looks at what the last step answered; answers come in the order of the puts. */
static void collect(struct log_world *world)
{
    struct model *model = &world->model;

    while (model->done_count < model->put_count &&
           model->puts[model->done_count]->fate == MODEL_DONE) {
        const struct model_put *put = model->puts[model->done_count++];
        expect(world, !world->has_failed, "put %u was answered after a failure", put->id);
        if (put->entry.change != MODEL_NOTHING)
            expect(world,
                   put->append.entry_value == put->entry_number &&
                       put->append.entry_status == MR_OK,
                   "put %u: the owner's answer is lost", put->id);
    }
    for (size_t i = model->done_count; i < model->put_count; i++) {
        const struct model_put *put = model->puts[i];
        expect(world, put->fate != MODEL_DONE, "put %u was answered before put %u", put->id,
               model->puts[model->done_count]->id);
        if (put->fate == MODEL_FAILED) {
            expect(world, disk_may_fail(world), "put %u failed: %s", put->id,
                   put->append.error.message);
            world->has_failed = true;
        }
    }
}

/* ---- open, close, crash ------------------------------------------------------------------- */

bool log_world_open(struct log_world *world)
{
    uint64_t failed = sim_disk_failed(world->disk);
    mr_error error;
    mr_status status;

    world->failed_before = failed;
    status = log_open(world, &error);

    if (world->config.traces)
        printf("\nopen %llu (sync %s, direct %d, journal %llu): %s\n",
               (unsigned long long)world->open_count,
               world->config.is_sync_interval ? "interval" : "each", !world->config.refuses_direct,
               (unsigned long long)world->config.journal_bytes, status ? error.message : "good");
    if (status != MR_OK) {
        bool is_excused = sim_disk_stopped(world->disk) || sim_disk_failed(world->disk) > failed ||
                          (world->may_fail && status == MR_NO_SPACE);
        expect(world, is_excused && (status == MR_IO || status == MR_NO_SPACE),
               "opening failed: %s", error.message);
        world->log = NULL;
        return false;
    }
    world->open_count++;
    world->has_failed = false;
    model_cut(&world->model, count_recovered(world, world->model.fixed_count));
    world->durable_count = world->model.fixed_count;
    compare_all(world);
    return true;
}

static void close_readers(struct log_world *world)
{
    for (int i = 0; i < LOG_WORLD_READERS_MAX; i++) {
        mr_log_cursor_close(world->readers[i].cursor);
        world->readers[i].cursor = NULL;
    }
}

void log_world_crash(struct log_world *world, enum sim_crash crash)
{
    uint64_t changes = sim_disk_calls(world->disk, SIM_CHANGES);

    if (world->config.traces)
        printf("\n%s after %zu puts, %zu answered\n", crash == SIM_KILL ? "kill" : "power cut",
               world->model.put_count, world->model.done_count);
    close_readers(world);
    if (world->log) {
        mr_log_step(world->log, MR_LOG_STEP_ABANDON);
        mr_log_close(world->log);
        world->log = NULL;
        expect(world, changes == sim_disk_calls(world->disk, SIM_CHANGES),
               "an abandoned log was written to");
        world->model.fixed_count = world->model.done_count;
    }
    sim_disk_crash(world->disk, crash);
    world->crash_count++;
    world->may_fail = false;
    /* With MR_SYNC_INTERVAL the power takes what was not synced, as does a sync that fails. */
    if (world->config.is_sync_interval &&
        (crash == SIM_POWER_CUT || sim_disk_failed(world->disk) > world->failed_before))
        world->model.fixed_count = world->durable_count;
}

void log_world_close(struct log_world *world)
{
    if (world->config.traces)
        printf("\nclose\n");
    do {
        while (mr_log_step(world->log, MR_LOG_STEP_COMMIT))
            continue;
    } while (mr_log_step(world->log, MR_LOG_STEP_PUBLISH));
    collect(world);
    close_readers(world);
    mr_log_close(world->log);
    world->log = NULL;
    world->model.fixed_count = world->model.done_count;
    if (!world->may_fail && !sim_disk_stopped(world->disk))
        world->durable_count = world->model.done_count;
    else if (world->config.is_sync_interval)
        world->model.fixed_count = world->durable_count; /* a power cut may follow */
}

static void report(void *context, const struct mr_log_finding *finding)
{
    const struct log_world *world = context;

    if (world->config.traces || finding->damage)
        printf("    verify: %s\n", finding->text);
}

void log_world_verify(struct log_world *world)
{
    struct mr_log_verify_totals totals;
    mr_error error;
    mr_status status = mr_log_verify(sim_disk_fs(world->disk), DIRECTORY, KEY_FILE, report, NULL,
                                     world, &totals, &error);

    expect(world, status == MR_OK, "verify failed: %s", error.message);
    expect(world, totals.damage_count == 0, "verify finds %llu damages",
           (unsigned long long)totals.damage_count);
}

void log_world_try(struct log_world *world, struct sim_disk *copy, enum sim_crash crash,
                   uint64_t seed)
{
    struct log_world other = *world;
    struct mr_random random = mr_random_of(seed);
    size_t fixed_count = world->log ? world->model.done_count : world->model.fixed_count;
    size_t count;
    mr_error error;

    if (world->config.is_sync_interval && crash == SIM_POWER_CUT)
        fixed_count = world->durable_count;
    other.disk = copy;
    other.log = NULL;
    sim_disk_crash(copy, crash);
    if (mr_random_below(&random, 2)) { /* it crashes again while it recovers */
        sim_disk_stop(copy, 1 + mr_random_below(&random, 12));
        if (log_open(&other, &error) == MR_OK) {
            mr_log_step(other.log, MR_LOG_STEP_ABANDON);
            mr_log_close(other.log);
        }
        sim_disk_crash(copy, mr_random_below(&random, 2) ? SIM_POWER_CUT : SIM_KILL);
        if (world->config.is_sync_interval)
            fixed_count = world->durable_count;
    }
    expect(world, log_open(&other, &error) == MR_OK, "opening after a crash failed: %s",
           error.message);
    count = count_recovered(&other, fixed_count);
    other.model.done_count = count;
    compare_all(&other);
    /* What was shown stays, even if the power fails now. */
    mr_log_step(other.log, MR_LOG_STEP_ABANDON);
    mr_log_close(other.log);
    sim_disk_crash(copy, SIM_POWER_CUT);
    expect(world, log_open(&other, &error) == MR_OK, "opening after two crashes failed: %s",
           error.message);
    expect(world, count_recovered(&other, count) == count, "what was lost came back");
    compare_all(&other);
    mr_log_close(other.log);
    sim_disk_free(copy);
}

/* ---- damage ------------------------------------------------------------------------------- */

/* Reads all of a log; what is missing must have been announced just before. */
static bool read_damaged(const struct log_world *world, uint32_t id, size_t end, const char *path)
{
    const struct model_log *log = &world->model.logs[id];
    struct mr_log_records records = {0};
    struct mr_log_cursor *cursor;
    bool is_announced = false, was_announced = false;
    size_t next = 0;
    mr_error error;

    expect(world, mr_log_cursor_open(&cursor, world->log, id, base_of(id), &error) == MR_OK,
           "log %u: no cursor: %s", id, error.message);
    while (!records.at_tip) {
        mr_status status = mr_log_cursor_next(cursor, 100, 0, &records, &error);
        if (status != MR_OK) {
            expect(world, status == MR_CORRUPT && strstr(error.message, path),
                   "%s is damaged, and reading says: %s", path, error.message);
            expect(world, !was_announced || next < end, "log %u: damage without end", id);
            is_announced = was_announced = true;
            records.at_tip = false;
            continue;
        }
        for (size_t i = 0; i < records.count; i++) {
            while (next < end && is_announced &&
                   log->items[next].number < records.records[i].sequence.number)
                next++;
            expect(world, next < end, "log %u: a record that was never put", id);
            compare_record(world, id, &log->items[next++], &records.records[i]);
            is_announced = false;
        }
    }
    mr_log_cursor_close(cursor);
    expect(world, next == end || is_announced, "log %u: records are missing at the end", id);
    return was_announced;
}

enum log_world_damage log_world_flip(struct log_world *world, const char *path, uint64_t offset,
                                     uint8_t mask, size_t fixed_count)
{
    struct log_world other = *world;
    enum log_world_damage damage = LOG_WORLD_UNSEEN;
    size_t count;
    mr_error error;
    mr_status status;

    other.disk = sim_disk_copy(world->disk, 1);
    sim_disk_flip(other.disk, path, offset, mask);
    other.log = NULL;
    status = log_open(&other, &error);
    if (status == MR_OK) {
        count = count_recovered(&other, fixed_count);
        other.model.done_count = count;
        for (uint32_t id = 0; id < MODEL_LOGS_MAX; id++)
            if (other.state.has_log[id] &&
                read_damaged(&other, id, readable_count(&other, id), path))
                damage = LOG_WORLD_SKIPPED;
        mr_log_step(other.log, MR_LOG_STEP_ABANDON);
        mr_log_close(other.log);
    } else {
        expect(world, status == MR_FORMAT || (status == MR_CORRUPT && strstr(error.message, path)),
               "byte %llu of %s is damaged, and opening says: %s", (unsigned long long)offset, path,
               error.message);
        damage = LOG_WORLD_REFUSED;
    }
    sim_disk_free(other.disk);
    return damage;
}

static void count_damage(void *context, const struct mr_log_finding *finding)
{
    (void)context;
    (void)finding;
}

uint64_t log_world_flip_verify(struct log_world *world, const char *path, uint64_t offset,
                               uint8_t mask)
{
    struct mr_log_verify_totals totals = {0};
    mr_error error;
    mr_status status;

    sim_disk_flip(world->disk, path, offset, mask);
    status = mr_log_verify(sim_disk_fs(world->disk), DIRECTORY, KEY_FILE, count_damage, NULL, NULL,
                           &totals, &error);
    sim_disk_flip(world->disk, path, offset, mask);
    if (status == MR_FORMAT || status == MR_CORRUPT)
        return 1;
    expect(world, status == MR_OK, "verify of a damaged %s failed: %s", path, error.message);
    return totals.damage_count;
}

/* ---- steps -------------------------------------------------------------------------------- */

static void add_run(struct model_put *put, uint32_t log, uint64_t record_count,
                    uint64_t data_bytes_max)
{
    put->runs[put->run_count++] = (struct model_run){
        .log = log,
        .record_count = (uint32_t)record_count,
        .data_bytes_max = data_bytes_max < 200000 ? (uint32_t)data_bytes_max : 200000};
}

/* A log that exists once all puts so far are applied, or UINT32_MAX. */
static uint32_t some_log(struct log_world *world)
{
    uint32_t logs[MODEL_LOGS_MAX], count = 0;

    for (uint32_t id = 0; id < MODEL_LOGS_MAX; id++)
        if (world->model.state.has_log[id])
            logs[count++] = id;
    return count ? logs[below(world, count)] : UINT32_MAX;
}

static uint8_t *frames_of(const struct model_put *put, uint32_t run, mr_bytes *frames,
                          uint64_t *record_bytes)
{
    uint8_t *bytes, *out;
    size_t size = 0;
    mr_put record;

    *record_bytes = 0;
    for (uint32_t i = 0; i < put->runs[run].record_count; i++) {
        model_record(put, run, i, &record);
        size += mr_frame_bytes(&record);
        *record_bytes += record.partition_key.size + record.data.size;
    }
    bytes = out = mr_alloc(size + 1);
    for (uint32_t i = 0; i < put->runs[run].record_count; i++) {
        model_record(put, run, i, &record);
        out = mr_frame_write(out, &record);
    }
    mr_check(out == bytes + size);
    *frames = (mr_bytes){bytes, size};
    return bytes;
}

static void submit(struct log_world *world, struct model_put *put)
{
    struct mr_log_run runs[MODEL_RUNS_MAX];
    uint8_t *bytes[MODEL_RUNS_MAX];
    uint64_t number = world->model.newest_number;
    int64_t before_ms =
        world->model.put_count ? world->model.puts[world->model.put_count - 1]->at_ms : 0;
    mr_error error;
    mr_status status;

    for (uint32_t i = 0; i < put->run_count; i++) {
        runs[i] =
            (struct mr_log_run){.log = put->runs[i].log, .record_count = put->runs[i].record_count};
        bytes[i] = frames_of(put, i, &runs[i].frames, &runs[i].record_bytes);
    }
    put->append = (struct mr_log_append){.runs = runs,
                                         .run_count = put->run_count,
                                         .done = put_done,
                                         .context = put,
                                         .key_id = put->id % 2 ? world->key_id : 0};
    if (put->entry.change != MODEL_NOTHING)
        put->append.entry = (mr_bytes){&put->entry, sizeof put->entry};
    status = mr_log_append(world->log, &put->append, 0, &error);
    for (uint32_t i = 0; i < put->run_count; i++)
        mr_free(bytes[i]);
    if (status != MR_OK) {
        expect(world,
               status == MR_BUSY || status == MR_LIMIT ||
                   ((status == MR_IO || status == MR_NO_SPACE) && disk_may_fail(world)),
               "put %u was refused: %s", put->id, error.message);
        world->refused_count++;
        mr_free(put);
        return;
    }
    put->at_ms = put->append.at_ms;
    expect(world, put->at_ms >= before_ms, "time runs backwards: %lld after %lld",
           (long long)put->at_ms, (long long)before_ms);
    if (put->entry.change != MODEL_NOTHING) {
        put->entry_number = put->append.entry_number;
        expect(world, put->entry_number > number, "entry number %llu is given after %llu",
               (unsigned long long)put->entry_number, (unsigned long long)number);
        number = put->entry_number;
    }
    for (uint32_t i = 0; i < put->run_count; i++) {
        put->runs[i].first_number = runs[i].first_number;
        expect(world, runs[i].first_number > number, "record number %llu is given after %llu",
               (unsigned long long)runs[i].first_number, (unsigned long long)number);
        number = runs[i].first_number + runs[i].record_count - 1;
    }
    model_enter(&world->model, put);
}

static void step_append(struct log_world *world, char letter)
{
    struct model_put *put = model_put_new(&world->model);
    uint32_t run_count =
        letter == 'h' || below(world, 2) ? 1 : 1 + (uint32_t)below(world, MODEL_RUNS_MAX);
    const struct model_state *state = &world->model.state;
    uint32_t log = UINT32_MAX;

    if (letter == 'v' || (letter == 'a' && below(world, 8) == 0)) {
        put->entry.change = MODEL_VALUE;
        put->entry.value = put->id;
    }
    if (letter == 'v' && below(world, 2))
        run_count = 0;
    if (letter == 'n' && state->log_count < MODEL_LOGS_MAX) {
        put->entry.change = MODEL_ADD;
        put->entry.log = log = state->log_count;
        put->entry.stream = state->stream_count;
        if (state->log_count > 0 && (below(world, 3) || state->stream_count == MODEL_STREAMS_MAX))
            put->entry.stream = state->stream_of[below(world, state->log_count)];
        if (!state->has_stream[put->entry.stream] && put->entry.stream < state->stream_count)
            put->entry.change = MODEL_NOTHING; /* that stream is gone */
        if (put->entry.change == MODEL_NOTHING || below(world, 2))
            run_count = 0;
    } else if (letter == 'n') {
        run_count = 0;
    }
    for (uint32_t i = 0; i < run_count; i++) {
        uint32_t target = log != UINT32_MAX ? log : some_log(world);
        if (target == UINT32_MAX)
            break;
        if (letter == 'h')
            add_run(put, target, 1, 16000 + below(world, world->config.journal_bytes / 2 - 17000));
        else if (letter == 'm')
            add_run(put, target, 1 + below(world, 3), 100 + below(world, 4000));
        else
            add_run(put, target, 1 + below(world, 12), below(world, 300));
    }
    if (put->run_count > 0 || put->entry.change != MODEL_NOTHING)
        submit(world, put);
    else
        mr_free(put);
}

static void step_drop(struct log_world *world, char letter)
{
    struct model_put *put;
    uint32_t log = some_log(world);

    if (log == UINT32_MAX)
        return;
    put = model_put_new(&world->model);
    put->entry.change = letter == 'd' ? MODEL_DROP : MODEL_DROP_STREAM;
    put->entry.log = log;
    put->entry.stream = world->model.state.stream_of[log];
    submit(world, put);
}

static void step_open_reader(struct log_world *world)
{
    struct log_world_reader *reader = &world->readers[below(world, LOG_WORLD_READERS_MAX)];
    struct model_state now = model_state_at(&world->model, world->model.done_count);
    uint32_t id = some_log(world);
    const struct model_log *log;
    size_t count, item;
    mr_error error;
    mr_status status;

    mr_log_cursor_close(reader->cursor);
    reader->cursor = NULL;
    if (id == UINT32_MAX || !now.has_log[id])
        return;
    status = mr_log_cursor_open(&reader->cursor, world->log, id, base_of(id), &error);
    expect(world, status == MR_OK, "log %u: no cursor: %s", id, error.message);
    reader->log = id;
    reader->next_item = 0;
    reader->from_ms = 0;
    log = &world->model.logs[id];
    count = readable_count(world, id);
    if (count == 0 || below(world, 3) == 0)
        return;
    item = below(world, count + 1);
    if (below(world, 2)) {
        uint64_t number = item < count ? log->items[item].number : log->items[count - 1].number + 1;
        mr_log_cursor_seek(reader->cursor, number);
        reader->next_item = item;
    } else {
        int64_t time_ms = item < count ? world->model.puts[log->items[item].put]->at_ms
                                       : world->model.puts[log->items[count - 1].put]->at_ms + 1;
        reader->from_ms = time_ms;
        status = mr_log_cursor_seek_time(reader->cursor, time_ms, &error);
        expect(world, status == MR_OK || (status == MR_IO && disk_may_fail(world)),
               "log %u: seeking a time failed: %s", id, error.message);
        if (status != MR_OK) {
            mr_log_cursor_close(reader->cursor);
            reader->cursor = NULL;
            return;
        }
        while (reader->next_item < count &&
               world->model.puts[log->items[reader->next_item].put]->at_ms < time_ms)
            reader->next_item++;
    }
}

static void step_read(struct log_world *world)
{
    struct log_world_reader *reader = &world->readers[below(world, LOG_WORLD_READERS_MAX)];
    struct mr_log_records records;
    size_t count;
    bool at_tip;

    if (!reader->cursor)
        return;
    if (!world->state.has_log[reader->log]) {
        mr_status status;
        do /* what it holds in its hands it may still give out */
            status = mr_log_cursor_next(reader->cursor, 1000, 0, &records, NULL);
        while (status == MR_OK && records.count > 0);
        expect(world, status == MR_CLOSED, "log %u is gone and its cursor reads on", reader->log);
    } else {
        int64_t horizon_ms =
            below(world, 4) ? 0 : world->clock.wall_ms - (int64_t)below(world, 9000);
        size_t end = readable_count(world, reader->log);
        size_t before = reader->next_item;
        if (read_some(world, reader->cursor, reader->log, 1 + below(world, 200), horizon_ms,
                      reader->from_ms, end, &reader->next_item, &count, &at_tip) == MR_OK) {
            expect(world, reader->next_item > before || at_tip || horizon_ms > 0,
                   "log %u: a cursor stands still", reader->log);
            return;
        }
    }
    mr_log_cursor_close(reader->cursor);
    reader->cursor = NULL;
}

static void step_trim(struct log_world *world)
{
    uint32_t id = some_log(world);
    const struct model_log *log;
    uint32_t stream;
    int64_t horizon_ms;

    if (id == UINT32_MAX || world->model.logs[id].item_count == 0)
        return;
    stream = world->model.state.stream_of[id];
    log = &world->model.logs[id];
    horizon_ms = world->model.puts[log->items[below(world, log->item_count)].put]->at_ms +
                 (int64_t)below(world, 2);
    if (world->model.horizon_ms[stream] < horizon_ms)
        world->model.horizon_ms[stream] = horizon_ms;
    if (below(world, 2))
        mr_log_trim(world->log, stream, horizon_ms);
    else
        mr_log_step(world->log, MR_LOG_STEP_HOUSEKEEP);
}

static void step_time(struct log_world *world)
{
    if (below(world, 10) == 0) /* somebody sets the clock */
        sim_clock_set_wall(&world->clock,
                           world->clock.wall_ms + 5000 - (int64_t)below(world, 10000));
    else
        sim_clock_advance(&world->clock, below(world, below(world, 2) ? 10 : 3000));
}

void log_world_step(struct log_world *world, char letter)
{
    if (world->config.traces) {
        printf("%c", letter);
        fflush(stdout);
    }
    switch (letter) {
    case 'a':
    case 'm':
    case 'h':
    case 'v':
    case 'n':
        step_append(world, letter);
        break;
    case 'd':
    case 'D':
        step_drop(world, letter);
        break;
    case 'c':
        mr_log_step(world->log, MR_LOG_STEP_COMMIT);
        break;
    case '0':
        mr_log_step(world->log, MR_LOG_STEP_LANE_0);
        break;
    case '1':
        mr_log_step(world->log, MR_LOG_STEP_LANE_1);
        break;
    case 'p':
        mr_log_step(world->log, MR_LOG_STEP_PUBLISH);
        break;
    case 'f':
        mr_log_step(world->log, MR_LOG_STEP_FLUSH);
        break;
    case 'k':
        mr_log_step(world->log, MR_LOG_STEP_CHECKPOINT);
        break;
    case 'K':
        (void)mr_log_checkpoint(world->log, NULL);
        break;
    case 'b':
        mr_log_step(world->log, MR_LOG_STEP_BELL);
        break;
    case 't':
        step_trim(world);
        break;
    case 'w':
        step_time(world);
        break;
    case 'o':
        step_open_reader(world);
        break;
    case 'r':
        step_read(world);
        break;
    case 'R':
        compare_all(world);
        break;
    default:
        mr_check(false);
    }
    collect(world);
}
