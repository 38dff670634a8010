/* keys.c - the what-if: which partition key, how many shards. */
#include "base/memory.h"
#include "command.h"
#include "figures.h"
#include "gen/amount.h"
#include "keys/advise.h"
#include "keys/render.h"
#include "keys/stream.h"
#include "output.h"
#include "replay/report.h"
#include "streams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct keys {
    struct mr_cli *cli;
    const struct mr_keys_options *options;
    const char *input;  /* a file, "-" or a stream */
    const char *stream; /* whose ranges are looked at, or NULL */
    bool is_stream;     /* the input is one */
    struct mr_events_config config;
    struct mr_scheme schemes[MR_ANALYSIS_SCHEMES_MAX];
    size_t scheme_count;
    char *names; /* of fields */
    struct mr_ranges ranges;
    struct mr_analysis_config how;
    struct mr_analysis *analysis;
    struct mr_refusals refusals;
    double throttled_max;
    struct mr_result result;
    struct mr_advice advice;
};

/* ---- what is asked -------------------------------------------------------------------------- */

static mr_status add_scheme(struct keys *keys, const char *text, char **names)
{
    mr_status status;

    if (keys->scheme_count == MR_ANALYSIS_SCHEMES_MAX) {
        mr_cli_misused(keys->cli, "%d keys at a time", MR_ANALYSIS_SCHEMES_MAX);
        return MR_LIMIT;
    }
    status = mr_scheme_parse(&keys->schemes[keys->scheme_count++], text, *names, &keys->config,
                             &keys->cli->error);
    *names += strlen(text) + 1;
    if (status)
        mr_cli_misused(keys->cli, "%s", keys->cli->error.message);
    return status;
}

static mr_status read_schemes(struct keys *keys)
{
    const struct mr_texts *lists[] = {&keys->options->key, &keys->options->key_field};
    size_t bytes = sizeof "$key", count = 0;
    mr_status status = MR_OK;
    char *names;

    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->count; i++, count++)
            bytes += strlen(lists[l]->values[i]) + 1;
    names = keys->names = mr_alloc(bytes);
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; !status && i < lists[l]->count; i++)
            status = add_scheme(keys, lists[l]->values[i], &names);
    if (!status && count == 0) /* as it was recorded */
        status = add_scheme(keys, "$key", &names);
    keys->how.recorded_field = SIZE_MAX;
    for (size_t i = 0; i < keys->config.field_count; i++)
        if (strcmp(keys->config.fields[i], "$key") == 0)
            keys->how.recorded_field = i;
    return status;
}

/* "10x" */
static bool read_speed(const char *text, double *speed)
{
    char copy[32];
    size_t size = strlen(text);

    if (size == 0 || size >= sizeof copy)
        return false;
    memcpy(copy, text, size + 1);
    if (copy[size - 1] == 'x')
        copy[size - 1] = 0;
    return mr_amount_parse(copy, speed) && *speed > 0;
}

static enum mr_exit read_options(struct keys *keys)
{
    const struct mr_keys_options *options = keys->options;
    struct mr_cli *cli = keys->cli;

    keys->how.limits = MR_LIMITS_KINESIS;
    if (!read_speed(options->speed, &keys->how.speed))
        return mr_cli_misused(cli, "--speed takes 1x, 10x or 0.5x, not '%s'", options->speed);
    if (options->rate && (!mr_amount_parse(options->rate, &keys->how.rate) || keys->how.rate <= 0))
        return mr_cli_misused(cli, "--rate takes records a second, not '%s'", options->rate);
    if (!mr_amount_parse(options->max_throttled ? options->max_throttled : "0.1%",
                         &keys->throttled_max) ||
        keys->throttled_max > 1)
        return mr_cli_misused(cli, "--max-throttled takes a share as 0.1%%, not '%s'",
                              options->max_throttled);
    if (options->retention < 24 || options->retention > 8760)
        return mr_cli_misused(cli, "--retention takes 24 to 8760 hours");
    if (read_schemes(keys))
        return MR_EXIT_USAGE;
    keys->is_stream = strcmp(keys->input, "-") != 0 && access(keys->input, F_OK) != 0;
    keys->stream = keys->is_stream ? keys->input : options->stream;
    if (options->follow && !keys->is_stream)
        return mr_cli_misused(cli, "--follow is for a stream; '%s' is a file", keys->input);
    if ((options->advise || options->apply) && !keys->stream)
        return mr_cli_misused(cli, "--advise needs a stream: name it with --stream");
    if ((options->advise || options->apply) && keys->scheme_count > 1)
        return mr_cli_misused(cli, "--advise takes one key");
    keys->how.by_hash = options->advise || options->apply;
    return MR_EXIT_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void reject(void *context, uint64_t line, const char *why)
{
    struct keys *keys = context;

    mr_refusal_say(&keys->refusals, line, why);
}

static mr_status read_file(struct keys *keys, mr_error *error)
{
    static struct mr_event batch[MR_ANALYSIS_BATCH];
    struct mr_events_totals totals;
    struct mr_events *events;
    mr_status status = mr_events_open(&events, &keys->config, error);
    size_t count = 1;

    if (status)
        return status;
    while (!status && count > 0 && !mr_interrupted()) {
        status = mr_events_read(events, batch, MR_ANALYSIS_BATCH, &count, error);
        if (!status)
            status = mr_analysis_add(keys->analysis, batch, count, reject, keys, error);
        if (!status && keys->options->strict && keys->analysis->rejected_count)
            status = MR_INVALID;
        mr_events_totals(events, &totals);
        mr_progress_show("keys", totals.read_bytes, totals.file_bytes, "");
    }
    mr_progress_hide();
    mr_events_totals(events, &totals);
    keys->result.line_count = totals.line_count;
    keys->result.rejected_count = totals.rejected_count + keys->analysis->rejected_count;
    keys->result.skipped_count = totals.skipped_count;
    keys->result.backward_count = totals.backward_count;
    mr_events_close(events);
    return status;
}

static mr_status read_stream(struct keys *keys, mr_error *error)
{
    static struct mr_event batch[MR_ANALYSIS_BATCH];
    struct mr_stream_events events;
    bool follows = keys->options->follow > 0;
    mr_status status =
        mr_stream_events_open(&events, keys->cli, keys->input, &keys->config, follows, error);
    size_t count = 1;

    if (follows) {
        mr_interrupt_after((double)keys->options->follow);
        mr_say("looking at %s for %llu s; ^C ends it", keys->input,
               (unsigned long long)keys->options->follow);
    }
    while (!status && count > 0) {
        status = mr_stream_events_read(&events, batch, MR_ANALYSIS_BATCH, &count, error);
        if (!status)
            status = mr_analysis_add(keys->analysis, batch, count, reject, keys, error);
        mr_progress_show("keys", events.record_count, 0, "");
    }
    mr_progress_hide();
    keys->result.line_count = events.record_count;
    keys->result.rejected_count = events.rejected_count + keys->analysis->rejected_count;
    mr_stream_events_close(&events);
    return status;
}

static enum mr_exit read_input(struct keys *keys)
{
    struct mr_cli *cli = keys->cli;
    mr_status status;

    keys->how.stream_starts = keys->ranges.starts;
    keys->how.stream_shard_count = keys->ranges.count;
    keys->analysis = mr_analysis_new(&keys->how, keys->schemes, keys->scheme_count);
    keys->config.path = keys->input;
    keys->config.format = (enum mr_event_format)keys->options->input;
    keys->config.time_field = keys->options->time_field;
    keys->config.strict = keys->options->strict;
    keys->config.reject = reject;
    keys->config.context = keys;
    mr_interrupt_catch();
    status = keys->is_stream ? read_stream(keys, &cli->error) : read_file(keys, &cli->error);
    mr_analysis_end(keys->analysis);
    if (status == MR_CORRUPT && keys->analysis->event_count) {
        mr_say("millrace: %s; what came before is looked at", cli->error.message);
        status = MR_OK;
    }
    if (status)
        return mr_cli_failed(cli, keys->is_stream ? keys->input : NULL);
    if (keys->result.rejected_count) {
        char lines[MR_FIGURE_BYTES], good[MR_FIGURE_BYTES], bad[MR_FIGURE_BYTES],
            skipped[MR_FIGURE_BYTES];

        mr_say("%s lines read = %s looked at + %s rejected + %s skipped",
               mr_count_format(keys->result.line_count, lines),
               mr_count_format(keys->analysis->event_count, good),
               mr_count_format(keys->result.rejected_count, bad),
               mr_count_format(keys->result.skipped_count, skipped));
    }
    if (keys->result.backward_count)
        mr_say("millrace: %llu records have an earlier time than one before them; they count at "
               "the time of that one",
               (unsigned long long)keys->result.backward_count);
    if (keys->analysis->event_count == 0) {
        mr_say("millrace: there is no record to look at in %s", keys->input);
        return MR_EXIT_FAILED;
    }
    return MR_EXIT_OK;
}

/* ---- saying --------------------------------------------------------------------------------- */

static enum mr_exit write_page(struct keys *keys)
{
    const char *path = keys->options->html;
    FILE *file = fopen(path, "w");
    bool good = file != NULL;

    if (good) {
        mr_result_page(file, &keys->result);
        good = !ferror(file);
        good = fclose(file) == 0 && good;
    }
    if (!good) {
        mr_say("millrace: cannot write %s: %s", path, strerror(errno));
        return MR_EXIT_FAILED;
    }
    mr_say("wrote %s: open it in a browser", path);
    return MR_EXIT_OK;
}

static void print_step(const char *stream, const struct mr_advice_step *step)
{
    char at[MR_HASH_KEY_TEXT_BYTES], shard[MR_SHARD_TEXT_BYTES], adjacent[MR_SHARD_TEXT_BYTES];

    mr_shard_format(step->shard, shard);
    if (step->is_merge) {
        mr_shard_format(step->adjacent, adjacent);
        printf("# %u and %u together use %.0f %% of one: they become %u\n", step->shard,
               step->adjacent, step->busy * 100, step->children[0]);
        printf("aws kinesis merge-shards --stream-name %s --shard-to-merge %s "
               "--adjacent-shard-to-merge %s\n",
               stream, shard, adjacent);
        printf("millrace merge %s %u %u\n", stream, step->shard, step->adjacent);
        return;
    }
    mr_hash_key_format(step->at, at);
    printf("# %u uses %.0f %% of its limit: %u gets %.0f %% of its load, %u the rest\n",
           step->shard, step->busy * 100, step->children[0], step->part * 100, step->children[1]);
    printf("aws kinesis split-shard --stream-name %s --shard-to-split %s --new-starting-hash-key "
           "%s\n",
           stream, shard, at);
    printf("millrace split %s %u --at %s\n", stream, step->shard, at);
}

static void print_advice(const struct keys *keys)
{
    const struct mr_advice *advice = &keys->advice;

    printf("\n%sReshard%s\n", mr_colour_on(stdout, MR_BOLD), mr_colour_off(stdout));
    if (advice->step_count == 0)
        printf(
            "Nothing to split or merge: no shard's busy seconds use more than 80 %% of its limit, "
            "and no\nneighbours' together less than 40 %%.\n");
    for (size_t i = 0; i < advice->step_count; i++)
        print_step(keys->stream, &advice->steps[i]);
    for (size_t i = 0; i < advice->single_count; i++)
        printf(
            "# %u is hot, but one key has nearly all of its load: no split helps, salt that key\n",
            advice->single[i]);
}

static void show_advice(struct mr_json_line *line, const struct keys *keys)
{
    mr_json_name(line, "advice");
    mr_json_open(line, '[');
    for (size_t i = 0; i < keys->advice.step_count; i++) {
        const struct mr_advice_step *step = &keys->advice.steps[i];

        mr_json_open(line, '{');
        mr_json_name(line, "action");
        mr_json_text(line, step->is_merge ? "merge" : "split");
        mr_show_shard_id(line, "shard_id", step->shard);
        if (step->is_merge)
            mr_show_shard_id(line, "adjacent_shard_id", step->adjacent);
        else
            mr_show_hash_key(line, "new_starting_hash_key", step->at);
        mr_json_name(line, "busy");
        mr_json_figure(line, step->busy);
        mr_json_close(line, '}');
    }
    mr_json_close(line, ']');
}

static void print_json(const struct keys *keys)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_result_json(&line, &keys->result);
    if (keys->how.by_hash) { /* one more member of the object */
        line.pack.size--;
        show_advice(&line, keys);
        mr_json_close(&line, '}');
    }
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

/* ---- resharding ----------------------------------------------------------------------------- */

static enum mr_exit apply(struct keys *keys)
{
    struct mr_cli *cli = keys->cli;

    for (size_t i = 0; i < keys->advice.step_count; i++) {
        const struct mr_advice_step *step = &keys->advice.steps[i];
        mr_shard_id children[2] = {MR_NO_SHARD, MR_NO_SHARD};
        mr_status status = step->is_merge ? mr_streams_merge(&cli->place, keys->stream, step->shard,
                                                             step->adjacent, children, &cli->error)
                                          : mr_streams_split(&cli->place, keys->stream, step->shard,
                                                             &step->at, children, &cli->error);

        if (status)
            return mr_cli_failed(cli, keys->stream);
        if (children[0] != step->children[0]) {
            mr_say("millrace: %s is resharded by somebody else at the same time; stopped after %zu "
                   "of %zu steps",
                   keys->stream, i + 1, keys->advice.step_count);
            return MR_EXIT_FAILED;
        }
    }
    mr_say("%zu of %zu steps done", keys->advice.step_count, keys->advice.step_count);
    return MR_EXIT_OK;
}

/* The id after the last of all, open or closed. */
static mr_shard_id next_shard(struct keys *keys)
{
    struct mr_shard_list list = {0};
    mr_shard_id next = 0;

    if (!mr_shard_list_read(&list, &keys->cli->place, keys->stream, NULL) && list.count)
        next = list.shards[list.count - 1].id + 1;
    mr_shard_list_fini(&list);
    return next;
}

/* ---- the command ---------------------------------------------------------------------------- */

static enum mr_exit answer(struct keys *keys)
{
    struct mr_result *result = &keys->result;
    enum mr_exit code = MR_EXIT_OK;

    result->analysis = keys->analysis;
    result->source = strcmp(keys->input, "-") == 0 ? "standard input" : keys->input;
    result->stream = keys->stream;
    result->throttled_max = keys->throttled_max;
    result->plans = (struct mr_traffic){.readers = keys->options->readers,
                                        .fan_out = keys->options->fan_out,
                                        .retention_hours = keys->options->retention};
    mr_result_make(result);
    if (keys->how.by_hash)
        mr_advise(&keys->advice, result, &result->schemes[0], keys->ranges.shards,
                  next_shard(keys));
    if (keys->cli->common->json)
        print_json(keys);
    else
        mr_result_print(result);
    if (keys->how.by_hash && !keys->cli->common->json)
        print_advice(keys);
    if (keys->options->html)
        code = write_page(keys);
    if (!code && keys->options->apply)
        code = apply(keys);
    if (!code && keys->options->max_throttled && !mr_result_keeps_budget(result))
        code = MR_EXIT_BUDGET;
    return code;
}

enum mr_exit mr_command_keys(struct mr_cli *cli)
{
    struct keys keys = {.cli = cli, .options = cli->options, .input = cli->arguments[0]};
    enum mr_exit code = read_options(&keys);

    if (!code && keys.stream) {
        code = mr_cli_reach(cli, false);
        if (!code && mr_ranges_read(&keys.ranges, cli, keys.stream, &cli->error))
            code = mr_cli_failed(cli, keys.stream);
    }
    if (!code)
        code = read_input(&keys);
    if (!code)
        code = answer(&keys);
    mr_result_fini(&keys.result);
    mr_advice_fini(&keys.advice);
    mr_analysis_free(keys.analysis);
    mr_ranges_fini(&keys.ranges);
    mr_free(keys.names);
    return code;
}
