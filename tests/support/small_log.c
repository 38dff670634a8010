#include "support/small_log.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/memory.h"
#include "base/pack.h"
#include "base/random.h"
#include "base/scan.h"

#include <stdio.h>
#include <string.h>

enum { ENTRY_ADD = 1, ENTRY_DROP = 2, RECORD_BYTES_MAX = 512, ROOM_TRIES = 100 };

/* ---- records ------------------------------------------------------------------------------ */

struct record {
    char key[16];
    uint8_t data[RECORD_BYTES_MAX];
    mr_hash_key hash_key;
    mr_put put;
};

/* Half text and half noise: blocks that compress, by not too much. */
static void make_record(struct record *record, mr_log_id log, uint64_t index)
{
    struct mr_random random = mr_random_of(log * UINT64_C(1000003) + index);
    size_t size = 40 + (size_t)(index * 37 % 300);
    int written =
        snprintf((char *)record->data, sizeof record->data, "record %llu of log %u, in order; ",
                 (unsigned long long)index, (unsigned)log);

    for (size_t i = (size_t)written; i < size; i++)
        record->data[i] =
            i % 2 ? record->data[i - (size_t)written] : (uint8_t)mr_random_next(&random);
    snprintf(record->key, sizeof record->key, "key %u", (unsigned)(index % 7));
    record->hash_key = (mr_hash_key){index, log};
    record->put = (mr_put){
        .partition_key = {record->key, strlen(record->key)},
        .data = {record->data, size > (size_t)written ? size : (size_t)written},
        .explicit_hash_key = index % 5 == 0 ? &record->hash_key : NULL,
    };
}

static bool is_record(const mr_record *found, mr_log_id log, uint64_t index)
{
    struct record record;
    const mr_put *put = &record.put;

    make_record(&record, log, index);
    return found->partition_key.size == put->partition_key.size &&
           !memcmp(found->partition_key.data, put->partition_key.data, put->partition_key.size) &&
           found->data.size == put->data.size &&
           !memcmp(found->data.data, put->data.data, put->data.size) &&
           found->has_explicit_hash_key == (put->explicit_hash_key != NULL) &&
           (!put->explicit_hash_key || (found->explicit_hash_key.hi == record.hash_key.hi &&
                                        found->explicit_hash_key.lo == record.hash_key.lo));
}

/* ---- the owner ---------------------------------------------------------------------------- */

static mr_status restore(void *context, struct mr_log *log, mr_bytes bytes, mr_error *error)
{
    struct small_log *s = context;
    struct mr_scan scan = mr_scan_of(bytes);

    memset(s->has_log, 0, sizeof s->has_log);
    while (mr_scan_left(&scan) > 0) {
        uint32_t id = mr_scan_u32(&scan), stream = mr_scan_u32(&scan);

        if (mr_scan_failed(&scan) || id >= SMALL_LOGS || s->has_log[id]) {
            if (error)
                *error = (mr_error){.status = MR_CORRUPT, .message = "the snapshot is damaged"};
            return MR_CORRUPT;
        }
        s->has_log[id] = true;
        s->stream_of[id] = stream;
        mr_log_add(log, id, stream);
    }
    return MR_OK;
}

static mr_status apply(void *context, struct mr_log *log, mr_bytes entry, uint64_t number,
                       int64_t at_ms, struct mr_log_append *append, mr_error *error)
{
    struct small_log *s = context;
    struct mr_scan scan = mr_scan_of(entry);
    uint8_t type = mr_scan_u8(&scan);
    uint32_t id = mr_scan_u32(&scan), stream = mr_scan_u32(&scan);

    (void)number;
    (void)at_ms;
    (void)append;
    if (mr_scan_failed(&scan) || mr_scan_left(&scan) > 0 || id >= SMALL_LOGS ||
        (type != ENTRY_ADD && type != ENTRY_DROP) || s->has_log[id] != (type == ENTRY_DROP)) {
        if (error)
            *error = (mr_error){.status = MR_CORRUPT, .message = "an entry is damaged"};
        return MR_CORRUPT;
    }
    s->has_log[id] = type == ENTRY_ADD;
    s->stream_of[id] = stream;
    if (type == ENTRY_ADD)
        mr_log_add(log, id, stream);
    else
        mr_log_drop(log, id);
    return MR_OK;
}

static void snapshot(void *context, uint8_t **bytes, size_t *size)
{
    const struct small_log *s = context;
    struct mr_pack pack = {0};

    mr_pack_extend(&pack, 1); /* never NULL */
    pack.size = 0;
    for (uint32_t id = 0; id < SMALL_LOGS; id++) {
        if (!s->has_log[id])
            continue;
        mr_pack_u32(&pack, id);
        mr_pack_u32(&pack, s->stream_of[id]);
    }
    *bytes = pack.data;
    *size = pack.size;
}

/* From any of the log's threads. */
static void note_diag(void *context, const char *line)
{
    struct small_log *s = context;
    size_t used;

    pthread_mutex_lock(&s->diag_lock);
    used = strlen(s->diag);
    snprintf(s->diag + used, sizeof s->diag - used, "%s\n", line);
    pthread_mutex_unlock(&s->diag_lock);
}

/* ---- open and close ----------------------------------------------------------------------- */

static struct small_log *new_log(struct sim_disk *disk, const char *directory)
{
    struct small_log *s = mr_new(struct small_log);

    pthread_mutex_init(&s->diag_lock, NULL);
    s->disk = disk;
    s->fs = disk ? sim_disk_fs(disk) : mr_fs_posix();
    sim_clock_init(&s->clock);
    snprintf(s->directory, sizeof s->directory, "%s", directory);
    s->config = (struct mr_log_config){
        .fs = s->fs,
        .clock = &s->clock.base,
        .directory = s->directory,
        .owner = {.restore = restore, .apply = apply, .snapshot = snapshot, .context = s},
        .sync = MR_SYNC_EACH,
        .journal_bytes = 128 << 10,
        .segment_bytes = 12 << 10,
        .memory_bytes = 1 << 20,
        .manual = true,
        .diag = note_diag,
        .diag_context = s,
    };
    return s;
}

struct small_log *small_log_new_simulated(uint64_t seed)
{
    return new_log(sim_disk_new(seed), "data");
}

struct small_log *small_log_new_real(const char *directory)
{
    return new_log(NULL, directory);
}

struct small_log *small_log_copy(const struct small_log *s)
{
    struct small_log *copy = new_log(sim_disk_copy(s->disk, 1), s->directory);

    mr_check(!s->log);
    copy->clock.wall_ms = s->clock.wall_ms;
    for (uint32_t id = 0; id < SMALL_LOGS; id++) {
        copy->counts[id] = copy->capacities[id] = s->counts[id];
        copy->numbers[id] = mr_alloc(s->counts[id] * sizeof(uint64_t) + 1);
        if (s->counts[id])
            memcpy(copy->numbers[id], s->numbers[id], s->counts[id] * sizeof(uint64_t));
    }
    return copy;
}

void small_log_free(struct small_log *s)
{
    if (s->log) {
        if (s->config.manual)
            mr_log_step(s->log, MR_LOG_STEP_ABANDON);
        mr_log_close(s->log);
    }
    for (uint32_t id = 0; id < SMALL_LOGS; id++)
        mr_free(s->numbers[id]);
    pthread_mutex_destroy(&s->diag_lock);
    sim_disk_free(s->disk);
    mr_free(s);
}

mr_status small_log_open(struct small_log *s, mr_error *error)
{
    mr_check(!s->log);
    s->diag[0] = 0;
    return mr_log_open(&s->log, &s->config, error);
}

void small_log_must_open(struct small_log *s)
{
    mr_error error = {.message = ""};

    if (small_log_open(s, &error))
        printf("cannot open: %s\n", error.message);
    fflush(stdout);
    mr_check(s->log);
}

void small_log_close(struct small_log *s)
{
    mr_log_close(s->log);
    s->log = NULL;
}

void small_log_crash(struct small_log *s, enum sim_crash crash)
{
    if (s->log) {
        mr_log_step(s->log, MR_LOG_STEP_ABANDON);
        small_log_close(s);
    }
    sim_disk_crash(s->disk, crash);
}

/* ---- put ---------------------------------------------------------------------------------- */

static void append_entry(struct small_log *s, uint8_t type, mr_log_id id, uint32_t stream)
{
    struct mr_pack entry = {0};
    struct mr_log_append append = {0};
    mr_error error;

    mr_pack_u8(&entry, type);
    mr_pack_u32(&entry, id);
    mr_pack_u32(&entry, stream);
    append.entry = (mr_bytes){entry.data, entry.size};
    mr_check(mr_log_append_wait(s->log, &append, 10000, &error) == MR_OK);
    mr_pack_fini(&entry);
}

void small_log_add(struct small_log *s, mr_log_id id, uint32_t stream)
{
    append_entry(s, ENTRY_ADD, id, stream);
}

void small_log_drop(struct small_log *s, mr_log_id id)
{
    append_entry(s, ENTRY_DROP, id, 0);
    s->counts[id] = 0;
}

mr_status small_log_put(struct small_log *s, mr_log_id id, uint32_t count, mr_error *error)
{
    struct mr_pack frames = {0};
    struct mr_log_run run = {.log = id, .record_count = count};
    struct mr_log_append append = {.runs = &run, .run_count = 1};
    mr_status status;

    for (uint32_t i = 0; i < count; i++) {
        struct record record;

        make_record(&record, id, s->counts[id] + i);
        run.record_bytes += record.put.partition_key.size + record.put.data.size;
        mr_frame_write(mr_pack_extend(&frames, mr_frame_bytes(&record.put)), &record.put);
    }
    run.frames = (mr_bytes){frames.data, frames.size};
    status = mr_log_append_wait(s->log, &append, s->config.manual ? 0 : 10000, error);
    mr_pack_fini(&frames);
    for (uint32_t i = 0; !status && i < count; i++) {
        mr_grow(s->numbers[id], s->counts[id], s->capacities[id]);
        s->numbers[id][s->counts[id]++] = run.first_number + i;
    }
    return status;
}

void small_log_must_put(struct small_log *s, mr_log_id id, uint32_t count)
{
    mr_error error = {.message = ""};
    mr_status status = MR_BUSY;

    for (int i = 0; status == MR_BUSY && i < ROOM_TRIES; i++) {
        if (i > 0)
            mr_log_checkpoint(s->log, &error);
        status = small_log_put(s, id, count, &error);
    }
    if (status)
        printf("cannot put: %s\n", error.message);
    fflush(stdout);
    mr_check(status == MR_OK);
}

/* ---- read --------------------------------------------------------------------------------- */

/* Enters one record; the next expected is *next. was_told: CORRUPT came since the last record. */
static void enter_record(struct small_log *s, mr_log_id id, const mr_record *record, size_t *next,
                         bool was_told, struct small_read *read)
{
    size_t count = s->counts[id], i = *next;

    while (i < count && s->numbers[id][i] < record->sequence.number)
        i++;
    if (i >= count) {
        read->unanswered++;
        if (!is_record(record, id, count + read->unanswered - 1))
            read->wrong++;
    } else if (s->numbers[id][i] == record->sequence.number && is_record(record, id, i)) {
        read->right++;
    } else {
        read->wrong++;
        return;
    }
    *(was_told ? &read->lost : &read->skipped) += i - *next;
    *next = i < count ? i + 1 : count;
}

struct small_read small_log_read(struct small_log *s, mr_log_id id)
{
    enum { CORRUPT_MAX = 10000 };
    struct small_read read = {0};
    struct mr_log_cursor *cursor;
    bool was_told = false;
    size_t next = 0;

    read.status = mr_log_cursor_open(&cursor, s->log, id, (mr_sequence){.shard = id}, &read.error);
    if (read.status)
        return read;
    for (;;) {
        struct mr_log_records records;

        read.status = mr_log_cursor_next(cursor, 50, 0, &records, &read.error);
        if (read.status == MR_CORRUPT && read.corrupt_count < CORRUPT_MAX) {
            was_told = true;
            read.corrupt_count++;
            continue;
        }
        if (read.status)
            break;
        for (size_t i = 0; i < records.count; i++) {
            enter_record(s, id, &records.records[i], &next, was_told, &read);
            was_told = false;
        }
        if (records.count == 0 && records.at_tip)
            break;
    }
    *(was_told || read.status ? &read.lost : &read.skipped) += s->counts[id] - next;
    mr_log_cursor_close(cursor);
    return read;
}

void small_log_must_read_all(struct small_log *s)
{
    for (uint32_t id = 0; id < SMALL_LOGS; id++) {
        struct small_read read;

        mr_check(s->has_log[id] || s->counts[id] == 0);
        if (!s->has_log[id])
            continue;
        read = small_log_read(s, id);
        if (read.status || read.corrupt_count || read.right != s->counts[id] || read.wrong)
            printf("log %u: of %zu records %zu are right, %zu lost, %zu skipped, %zu wrong: %s\n",
                   (unsigned)id, s->counts[id], read.right, read.lost, read.skipped, read.wrong,
                   read.error.message);
        fflush(stdout);
        mr_check(read.status == MR_OK && read.corrupt_count == 0);
        mr_check(read.right == s->counts[id] && read.wrong == 0);
    }
}

/* ---- verify ------------------------------------------------------------------------------- */

static void note_finding(void *context, const struct mr_log_finding *finding)
{
    struct small_log *s = context;

    if (finding->damage && !s->finding[0])
        snprintf(s->finding, sizeof s->finding, "%s", finding->text);
}

uint64_t small_log_damage(struct small_log *s)
{
    struct mr_log_verify_totals totals;
    mr_error error = {.message = ""};
    mr_status status;

    s->finding[0] = 0;
    status = mr_log_verify(s->fs, s->directory, NULL, note_finding, NULL, s, &totals, &error);
    if (status == MR_CORRUPT || status == MR_FORMAT) {
        snprintf(s->finding, sizeof s->finding, "%s", error.message);
        return 1;
    }
    if (status)
        printf("cannot verify: %s\n", error.message);
    fflush(stdout);
    mr_check(status == MR_OK);
    return totals.damage_count;
}
