#include "base/memory.h"
#include "figures.h"
#include "lines.h"
#include "os/clock.h"
#include "output.h"
#include "put_line.h"
#include "put_pipe.h"
#include "show.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_MAX 5 /* lines that cannot be put, shown one by one */

struct put {
    struct mr_cli *cli;
    const struct mr_put_options *options;
    const char *stream;
    struct mr_put_rules rules;
    uint64_t read_count, blank_count;
    uint64_t stored_count, stored_bytes; /* with the next: of the acknowledging thread */
    struct mr_json_line line;
    uint64_t input_bytes; /* of a file; 0: not known */
    uint64_t start_ns;
    mr_error error; /* why putting stopped */
    atomic_bool stopped;
    atomic_uint_fast64_t rejected_count;
};

static void reject(struct put *put, uint64_t line, const char *why)
{
    uint64_t count = atomic_fetch_add(&put->rejected_count, 1) + 1;

    if (count <= SHOWN_MAX)
        mr_say("line %llu: %s", (unsigned long long)line, why);
    else if (count == SHOWN_MAX + 1)
        mr_say("... further lines that cannot be put are only counted");
    if (put->options->strict)
        atomic_store(&put->stopped, true);
}

/* ---- acknowledgements --------------------------------------------------------------------- */

/* line 0: there was none. */
static void print_json(struct put *put, uint64_t line, const mr_put_result *result)
{
    mr_json_open(&put->line, '{');
    if (line) {
        mr_json_name(&put->line, "line");
        mr_json_count(&put->line, line);
    }
    mr_show_shard_id(&put->line, "shard_id", result->sequence.shard);
    mr_show_sequence(&put->line, "sequence_number", &result->sequence);
    mr_json_close(&put->line, '}');
    mr_json_print(&put->line, stdout);
}

static void show_progress(struct put *put, uint64_t input_bytes)
{
    struct mr_clock *clock = mr_clock_real();
    double seconds = (double)(clock->monotonic_ns(clock) - put->start_ns) / 1e9;
    char note[80], count[MR_FIGURE_BYTES], rate[MR_FIGURE_BYTES];

    if (put->options->quiet || !mr_progress_is_seen() || isatty(STDIN_FILENO))
        return;
    snprintf(note, sizeof note, "%s records, %s/s", mr_count_format(put->stored_count, count),
             mr_count_format((uint64_t)((double)put->stored_count / seconds), rate));
    mr_progress_show("put", input_bytes, put->input_bytes, note);
}

static void acknowledge(void *context, const struct mr_put_batch *batch)
{
    struct put *put = context;

    if (batch->status && !atomic_exchange(&put->stopped, true)) {
        put->error = batch->error;
        if (!put->error.status) {
            put->error.status = batch->status;
            snprintf(put->error.message, sizeof put->error.message,
                     "the records were not stored: %s", mr_status_text(batch->status));
        }
    }
    for (size_t i = 0; i < batch->count; i++) {
        const mr_put_result *result = &batch->results[i];

        if (batch->status || result->status) {
            reject(put, batch->lines[i],
                   mr_status_text(batch->status ? batch->status : result->status));
            continue;
        }
        put->stored_count++;
        put->stored_bytes += batch->puts[i].partition_key.size + batch->puts[i].data.size;
        if (put->options->common.json)
            print_json(put, batch->lines[i], result);
    }
    if (put->options->common.json && fflush(stdout))
        atomic_store(&put->stopped, true); /* nobody listens any more */
    show_progress(put, batch->input_bytes);
}

/* ---- lines -------------------------------------------------------------------------------- */

static void read_line(struct put *put, struct mr_lines *lines, mr_bytes line,
                      struct mr_put_batch *batch)
{
    size_t at = batch->count;

    put->read_count++;
    switch (mr_put_line_read(&put->rules, line, &batch->scratch_at, &batch->puts[at],
                             &batch->hash_keys[at])) {
    case MR_PUT_LINE_GOOD:
        batch->lines[at] = lines->number;
        batch->bytes += line.size;
        batch->count++;
        break;
    case MR_PUT_LINE_BLANK:
        put->blank_count++;
        break;
    case MR_PUT_LINE_BAD:
        reject(put, lines->number, put->rules.why);
        break;
    }
}

static void put_lines(struct put *put, struct mr_lines *lines, struct mr_put_pipe *pipe)
{
    struct mr_put_batch *batch = mr_put_pipe_take(pipe);
    mr_bytes line;
    enum mr_line kind;

    while (!atomic_load(&put->stopped) && !mr_interrupted()) {
        kind = mr_lines_next(lines, &line);
        if (kind == MR_LINE_TOO_LONG) {
            put->read_count++;
            reject(put, lines->number, "the line is over 64 MiB");
            continue;
        }
        if (kind == MR_LINE_NONE || !mr_put_batch_fits(batch, line.size)) {
            batch->input_bytes = lines->byte_count;
            mr_put_pipe_submit(pipe, batch);
            batch = mr_put_pipe_take(pipe);
        }
        if (kind == MR_LINE_NONE) {
            if (!mr_lines_fill(lines))
                break;
            continue;
        }
        mr_put_batch_fits(batch, line.size);
        read_line(put, lines, line, batch);
    }
    mr_put_pipe_submit(pipe, batch);
}

static void say_totals(const struct put *put)
{
    struct mr_clock *clock = mr_clock_real();
    double seconds = (double)(clock->monotonic_ns(clock) - put->start_ns) / 1e9;
    uint64_t rejected_count = atomic_load(&put->rejected_count);
    char stored[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES], time[MR_FIGURE_BYTES],
        rate[MR_FIGURE_BYTES], rejected[MR_FIGURE_BYTES], read[MR_FIGURE_BYTES],
        blank[MR_FIGURE_BYTES];

    mr_progress_hide();
    if (rejected_count || put->blank_count)
        mr_say("%s lines read = %s stored + %s rejected + %s blank",
               mr_count_format(put->read_count, read), mr_count_format(put->stored_count, stored),
               mr_count_format(rejected_count, rejected), mr_count_format(put->blank_count, blank));
    if (put->options->quiet)
        return;
    mr_say("%s records (%s) stored durably in %s: %s records/s",
           mr_count_format(put->stored_count, stored), mr_size_format(put->stored_bytes, size),
           mr_duration_format(seconds, time),
           mr_count_format((uint64_t)((double)put->stored_count / seconds), rate));
}

static enum mr_exit put_input(struct put *put)
{
    struct mr_put_pipe *pipe = mr_new(struct mr_put_pipe);
    struct mr_lines lines;
    struct stat info;

    if (isatty(STDIN_FILENO))
        mr_say("reading records from the terminal, one a line; Ctrl-D ends");
    if (fstat(STDIN_FILENO, &info) == 0 && S_ISREG(info.st_mode))
        put->input_bytes = (uint64_t)info.st_size;
    mr_interrupt_catch();
    mr_lines_init(&lines, STDIN_FILENO);
    *pipe = (struct mr_put_pipe){.engine = put->cli->place.engine,
                                 .service = put->cli->place.service,
                                 .stream = put->stream,
                                 .acknowledge = acknowledge,
                                 .context = put};
    mr_put_pipe_start(pipe);
    put_lines(put, &lines, pipe);
    mr_put_pipe_finish(pipe);
    mr_lines_fini(&lines);
    mr_free(pipe);
    say_totals(put);

    if (put->error.status) {
        put->cli->error = put->error;
        return mr_cli_failed(put->cli, put->stream);
    }
    if (lines.os_errno && lines.os_errno != EINTR)
        mr_say("millrace: cannot read the standard input: %s", strerror(lines.os_errno));
    if (mr_interrupted())
        mr_say("millrace: interrupted; what is counted above is stored");
    return lines.os_errno || mr_interrupted() || atomic_load(&put->rejected_count) ||
                   atomic_load(&put->stopped)
               ? MR_EXIT_FAILED
               : MR_EXIT_OK;
}

/* ---- one text ----------------------------------------------------------------------------- */

static enum mr_exit put_text(struct put *put, const char *text)
{
    size_t size = strlen(text);
    uint8_t *scratch = mr_alloc(MR_PUT_LINE_SCRATCH_BYTES(size)), *scratch_at = scratch;
    mr_put_result result;
    mr_hash_key hash_key;
    char shard[MR_SHARD_TEXT_BYTES], sequence[MR_SEQUENCE_TEXT_BYTES];
    mr_put record;
    mr_status status;

    snprintf(put->rules.why, sizeof put->rules.why, "it is blank");
    if (mr_put_line_read(&put->rules, (mr_bytes){text, size}, &scratch_at, &record, &hash_key)) {
        mr_free(scratch);
        return mr_cli_misused(put->cli, "the text cannot be put: %s", put->rules.why);
    }
    status = mr_streams_put(&put->cli->place, put->stream, &record, 1, &result, &put->cli->error);
    mr_free(scratch);
    if (status)
        return mr_cli_failed(put->cli, put->stream);
    if (result.status) {
        mr_say("millrace: not stored: %s", mr_status_text(result.status));
        return MR_EXIT_FAILED;
    }
    mr_shard_format(result.sequence.shard, shard);
    mr_sequence_format(&result.sequence, sequence);
    if (put->options->common.json)
        print_json(put, 0, &result);
    else if (!put->options->quiet)
        printf("%s %s\n", shard, sequence);
    return MR_EXIT_OK;
}

/* ---- the command -------------------------------------------------------------------------- */

static enum mr_exit read_rules(struct put *put)
{
    const struct mr_put_options *options = put->options;
    uint64_t seed = 0;
    bool json = options->input == 1;

    if (!!options->key + !!options->key_field + !!options->key_separator + json > 1)
        return mr_cli_misused(put->cli, "one of --key, --key-field, -K and -i json at a time");
    if (json && options->hash_key)
        return mr_cli_misused(put->cli, "the lines of -i json carry their own hash keys");
    if (options->key_separator && !*options->key_separator)
        return mr_cli_misused(put->cli, "-K needs a separator");
    put->rules = (struct mr_put_rules){.key = options->key,
                                       .key_field = options->key_field,
                                       .key_separator = options->key_separator,
                                       .json = json,
                                       .has_hash_key = options->hash_key != NULL};
    if (options->hash_key &&
        mr_hash_key_parse(options->hash_key, &put->rules.hash_key, &put->cli->error))
        return mr_cli_misused(put->cli, "--hash-key: %s", put->cli->error.message);
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)getpid() << 32 ^ mr_clock_real()->monotonic_ns(mr_clock_real());
    put->rules.random = mr_random_of(seed);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_put(struct mr_cli *cli)
{
    struct mr_clock *clock = mr_clock_real();
    struct put put = {
        .cli = cli, .options = cli->options, .stream = cli->arguments[0], .line = MR_JSON_LINE};
    struct mr_stream_info info;
    enum mr_exit code = read_rules(&put);

    if (!code)
        code = mr_cli_reach(cli, false);
    if (code)
        return code;
    /* Who may put need not be allowed to look. */
    if (mr_streams_describe(&cli->place, put.stream, &info, &cli->error) &&
        cli->error.status != MR_DENIED)
        return mr_cli_failed(cli, put.stream);
    put.start_ns = clock->monotonic_ns(clock);
    code = cli->argument_count > 1 ? put_text(&put, cli->arguments[1]) : put_input(&put);
    mr_pack_fini(&put.line.pack);
    return code;
}
