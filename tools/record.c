/* record.c - a stream's records as a recording, which replay plays. */
#include "command.h"
#include "events/events.h"
#include "figures.h"
#include "gen/amount.h"
#include "merge_read.h"
#include "os/clock.h"
#include "output.h"
#include "when.h"

#include <stdatomic.h>

#define OUT_BYTES ((size_t)256 << 10)
/* A record of 10 MiB, each byte of it as an escape of six. */
#define OUT_BYTES_MAX ((size_t)128 << 20)

struct record {
    struct mr_cli *cli;
    const struct mr_record_options *options;
    struct mr_when from, to;
    uint64_t count;    /* at most */
    double duration_s; /* 0: no end */
    struct mr_pack out;
    uint64_t record_count, record_bytes;
    bool damaged;
};

static void flush(struct record *record)
{
    if (record->out.size > 0)
        fwrite(record->out.data, 1, record->out.size, stdout);
    record->out.size = 0;
    fflush(stdout);
}

static void show_progress(const struct record *record)
{
    char note[80], count[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES];

    if (record->options->quiet || !mr_progress_is_seen())
        return;
    snprintf(note, sizeof note, "%s records, %s", mr_count_format(record->record_count, count),
             mr_size_format(record->record_bytes, size));
    mr_progress_show("record", 0, 0, note);
}

/* False when the record is one too many. */
static bool take(struct record *record, const mr_record *taken)
{
    const struct mr_when *to = &record->to;
    struct mr_event event = {.time_ms = taken->arrival_ms,
                             .key = taken->partition_key,
                             .data = taken->data,
                             .has_hash_key = taken->has_explicit_hash_key,
                             .hash_key = taken->explicit_hash_key};

    if (record->options->to &&
        ((to->kind == MR_WHEN_TIME && taken->arrival_ms >= to->time_ms) ||
         (to->kind == MR_WHEN_SEQUENCE && taken->sequence.number > to->number)))
        return false;
    mr_event_write(&record->out, &event);
    record->record_count++;
    record->record_bytes += taken->partition_key.size + taken->data.size;
    if (record->out.size >= OUT_BYTES) {
        flush(record);
        show_progress(record);
    }
    return record->record_count < record->count;
}

static mr_status read_all(struct record *record, struct mr_merge *merge)
{
    mr_error *error = &record->cli->error;
    _Atomic uint32_t *word = mr_interrupt_word();
    const mr_record *taken;

    while (!mr_interrupted() && !ferror(stdout)) {
        uint32_t seen = atomic_load(word);
        mr_status status = mr_merge_next(merge, &taken, error);

        if (status == MR_CORRUPT) {
            mr_say("millrace: %s", error->message);
            record->damaged = true;
            continue;
        }
        if (status)
            return status;
        if (taken && !take(record, taken))
            break;
        if (taken)
            continue;
        flush(record);
        show_progress(record);
        if (!record->options->follow || mr_merge_is_over(merge))
            break;
        mr_merge_wait(merge, word, seen);
    }
    flush(record);
    return MR_OK;
}

static enum mr_exit record_stream(struct record *record, const char *stream)
{
    static const mr_start starts[] = {[MR_WHEN_START] = MR_START_TRIM_HORIZON,
                                      [MR_WHEN_LATEST] = MR_START_LATEST,
                                      [MR_WHEN_TIME] = MR_START_AT_TIME,
                                      [MR_WHEN_SEQUENCE] = MR_START_AT};
    mr_position from = {.start = starts[record->from.kind],
                        .sequence.number = record->from.number,
                        .time_ms = record->from.time_ms};
    struct mr_cli *cli = record->cli;
    struct mr_merge *merge;
    mr_status status;
    char count[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES];

    if (mr_merge_open(&merge, &cli->place, stream, MR_NO_SHARD, &from, &cli->error))
        return mr_cli_failed(cli, stream);
    mr_interrupt_catch();
    if (record->duration_s > 0)
        mr_interrupt_after(record->duration_s);
    status = read_all(record, merge);
    mr_merge_close(merge);
    mr_progress_hide();
    if (status)
        return mr_cli_failed(cli, stream);
    if (!record->options->quiet)
        mr_say("%s records (%s) recorded", mr_count_format(record->record_count, count),
               mr_size_format(record->record_bytes, size));
    return record->damaged ? MR_EXIT_FAILED : MR_EXIT_OK;
}

static enum mr_exit read_options(struct record *record)
{
    const struct mr_record_options *options = record->options;
    struct mr_cli *cli = record->cli;
    struct mr_clock *clock = mr_clock_real();

    record->from.kind = options->follow ? MR_WHEN_LATEST : MR_WHEN_START;
    record->count = UINT64_MAX;
    if (options->from &&
        mr_when_parse(options->from, clock->wall_ms(clock), &record->from, &cli->error))
        return mr_cli_misused(cli, "--from: %s", cli->error.message);
    if (options->to && mr_when_parse(options->to, clock->wall_ms(clock), &record->to, &cli->error))
        return mr_cli_misused(cli, "--to: %s", cli->error.message);
    if (options->count && (!mr_number_parse(options->count, &record->count) || !record->count))
        return mr_cli_misused(cli, "-n takes a number of records, not '%s'", options->count);
    if (options->duration && (!mr_span_parse(options->duration, &record->duration_s) ||
                              record->duration_s <= 0 || record->duration_s > 1e9))
        return mr_cli_misused(cli, "--duration takes a span of time as 10s or 5m, not '%s'",
                              options->duration);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_record(struct mr_cli *cli)
{
    struct record record = {.cli = cli, .options = cli->options, .out = MR_PACK(OUT_BYTES_MAX)};
    enum mr_exit code = read_options(&record);

    if (!code)
        code = mr_cli_reach(cli, false);
    if (!code)
        code = record_stream(&record, cli->arguments[0]);
    mr_pack_fini(&record.out);
    return code;
}
