#include "base/memory.h"
#include "command.h"
#include "merge_read.h"
#include "os/clock.h"
#include "os/thread.h"
#include "output.h"
#include "print_record.h"
#include "when.h"

#include <regex.h>
#include <stdatomic.h>
#include <string.h>

/* A record that outlives its batch. */
struct kept {
    mr_record record;
    uint8_t *bytes;
};

struct tail {
    struct mr_cli *cli;
    const struct mr_tail_options *options;
    const char *stream;
    struct mr_when from, to;
    bool has_count, keeps_last;
    uint64_t count;    /* of -n */
    struct kept *last; /* the last records seen: a ring of count, while keeps_last */
    uint64_t matched_count;
    regex_t regex;
    struct mr_printer printer;
    bool damaged;
};

/* ---- which records ------------------------------------------------------------------------ */

static bool is_wanted(struct tail *tail, const mr_record *record)
{
    const char *key = tail->options->key;
    mr_bytes data = record->data;
    int size = (int)data.size;

    if (key && (strlen(key) != record->partition_key.size ||
                memcmp(key, record->partition_key.data, strlen(key)) != 0))
        return false;
    return !tail->options->grep ||
           re_search(&tail->regex, data.data ? data.data : "", size, 0, size, NULL) >= 0;
}

static bool is_beyond(const struct tail *tail, const mr_record *record)
{
    return tail->options->to &&
           ((tail->to.kind == MR_WHEN_TIME && record->arrival_ms >= tail->to.time_ms) ||
            (tail->to.kind == MR_WHEN_SEQUENCE && record->sequence.number > tail->to.number));
}

static void keep(struct tail *tail, const mr_record *record)
{
    struct kept *kept = &tail->last[tail->matched_count % tail->count];
    size_t key_size = record->partition_key.size;

    mr_free(kept->bytes);
    kept->record = *record;
    kept->bytes = mr_alloc(key_size + record->data.size + 1);
    if (key_size)
        memcpy(kept->bytes, record->partition_key.data, key_size);
    if (record->data.size)
        memcpy(kept->bytes + key_size, record->data.data, record->data.size);
    kept->record.partition_key.data = kept->bytes;
    kept->record.data.data = kept->bytes + key_size;
}

/* The end of what is there: from now on records are printed as they come. */
static void print_last(struct tail *tail)
{
    uint64_t seen = tail->matched_count;

    if (!tail->keeps_last)
        return;
    for (uint64_t i = seen > tail->count ? seen - tail->count : 0; i < seen; i++)
        mr_record_print(&tail->printer, &tail->last[i % tail->count].record);
    for (uint64_t i = 0; i < tail->count; i++)
        mr_free(tail->last[i].bytes);
    mr_free(tail->last);
    tail->last = NULL;
    tail->keeps_last = tail->has_count = false;
}

/* False when the record is one too many. */
static bool take(struct tail *tail, const mr_record *record)
{
    if (is_beyond(tail, record))
        return false;
    if (!is_wanted(tail, record))
        return true;
    if (!tail->keeps_last)
        mr_record_print(&tail->printer, record);
    else if (tail->count > 0)
        keep(tail, record);
    tail->matched_count++;
    return tail->keeps_last || !tail->has_count || tail->matched_count < tail->count;
}

/* ---- reading ------------------------------------------------------------------------------ */

static mr_status read_all(struct tail *tail, struct mr_merge *merge)
{
    mr_error *error = &tail->cli->error;
    _Atomic uint32_t *word = mr_interrupt_word();
    const mr_record *record;

    while (!mr_interrupted() && !ferror(stdout)) {
        uint32_t seen = atomic_load(word);
        mr_status status = mr_merge_next(merge, &record, error);

        if (status == MR_CORRUPT) {
            mr_say("millrace: %s", error->message);
            tail->damaged = true;
            continue;
        }
        if (status)
            return status;
        if (record && !take(tail, record))
            break;
        if (record)
            continue;
        print_last(tail);
        if (!tail->options->follow || mr_merge_is_over(merge) || fflush(stdout))
            break;
        mr_merge_wait(merge, word, seen);
    }
    print_last(tail);
    return MR_OK;
}

static enum mr_exit read_stream(struct tail *tail, mr_shard_id shard)
{
    static const mr_start starts[] = {[MR_WHEN_START] = MR_START_TRIM_HORIZON,
                                      [MR_WHEN_LATEST] = MR_START_LATEST,
                                      [MR_WHEN_TIME] = MR_START_AT_TIME,
                                      [MR_WHEN_SEQUENCE] = MR_START_AT};
    mr_position from = {.start = starts[tail->from.kind],
                        .sequence.number = tail->from.number,
                        .time_ms = tail->from.time_ms};
    struct mr_cli *cli = tail->cli;
    struct mr_merge *merge;
    mr_status status;

    if (mr_merge_open(&merge, &cli->place, tail->stream, shard, &from, &cli->error))
        return mr_cli_failed(cli, tail->stream);
    mr_interrupt_catch();
    setvbuf(stdout, NULL, _IOFBF, (size_t)256 << 10);
    status = read_all(tail, merge);
    mr_merge_close(merge);
    if (status)
        return mr_cli_failed(cli, tail->stream);
    if (tail->damaged)
        mr_say("try: millrace --data %s check   says what is damaged", cli->directory);
    return tail->damaged ? MR_EXIT_FAILED : MR_EXIT_OK;
}

/* ---- the command line --------------------------------------------------------------------- */

static enum mr_exit read_moment(struct tail *tail, const char *name, const char *text,
                                struct mr_when *when)
{
    struct mr_clock *clock = mr_clock_real();

    if (text && mr_when_parse(text, clock->wall_ms(clock), when, &tail->cli->error))
        return mr_cli_misused(tail->cli, "%s: %s", name, tail->cli->error.message);
    return MR_EXIT_OK;
}

static enum mr_exit read_options(struct tail *tail)
{
    const struct mr_tail_options *options = tail->options;
    const char *wrong;
    int fault;

    if (options->follow && options->to)
        return mr_cli_misused(tail->cli, "-f and --to contradict each other");
    if (options->format && !mr_format_is_valid(options->format, &wrong))
        return mr_cli_misused(tail->cli,
                              "-F knows %%t %%s %%h %%k %%v %%%% \\n \\t \\\\, not '%.2s'", wrong);
    if (options->count &&
        (!mr_number_parse(options->count, &tail->count) || tail->count > (uint64_t)100 << 20))
        return mr_cli_misused(tail->cli, "-n takes a number of records, not '%s'", options->count);
    fault = options->grep ? regcomp(&tail->regex, options->grep, REG_EXTENDED | REG_NEWLINE) : 0;
    if (fault) {
        char text[200];
        regerror(fault, &tail->regex, text, sizeof text);
        return mr_cli_misused(tail->cli, "--grep: %s", text);
    }
    tail->has_count = options->count != NULL;
    tail->keeps_last = tail->has_count && !options->from;
    tail->from.kind = options->follow && !tail->keeps_last ? MR_WHEN_LATEST : MR_WHEN_START;
    tail->printer = (struct mr_printer){
        .how = options->common.json ? MR_PRINT_JSON : (enum mr_print_how)options->output,
        .format = options->format,
        .line = MR_JSON_LINE};
    return MR_EXIT_OK;
}

enum mr_exit mr_command_tail(struct mr_cli *cli)
{
    struct tail tail = {.cli = cli, .options = cli->options, .stream = cli->arguments[0]};
    mr_shard_id shard = MR_NO_SHARD;
    enum mr_exit code = read_options(&tail);

    if (!code)
        code = read_moment(&tail, "--from", tail.options->from, &tail.from);
    if (!code)
        code = read_moment(&tail, "--to", tail.options->to, &tail.to);
    if (!code && tail.options->shard)
        code = mr_cli_shard(cli, tail.options->shard, &shard);
    if (!code)
        code = mr_cli_reach(cli, false);
    if (code)
        return code;
    if (tail.keeps_last && tail.count > 0)
        tail.last = mr_alloc_zero(tail.count, sizeof *tail.last);
    if (!(tail.has_count && tail.count == 0 && !tail.keeps_last))
        code = read_stream(&tail, shard);
    if (tail.options->grep)
        regfree(&tail.regex);
    mr_pack_fini(&tail.printer.line.pack);
    return code;
}
