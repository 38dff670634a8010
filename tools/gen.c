/* gen.c - synthetic load: records by a template, keys by a distribution, moments by a rate. */
#include "base/json.h"
#include "base/memory.h"
#include "command.h"
#include "events/events.h"
#include "gen/amount.h"
#include "gen/distribution.h"
#include "gen/rate.h"
#include "gen/template.h"
#include "os/clock.h"
#include "os/entropy.h"
#include "output.h"
#include "replay/report.h"
#include "when.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define RECORDS_DEFAULT 10000
#define RECORDS_SHOWN 5 /* by a dry run */

struct gen {
    struct mr_cli *cli;
    const struct mr_gen_options *options;
    struct mr_template *data, *key;
    struct mr_distribution distribution;
    struct mr_rate rate;
    uint64_t record_count; /* at most */
    double duration_s;     /* at most */
    uint64_t seed;
    struct mr_random random;
    int64_t start_ms; /* the wall clock's when it begins, or --start */
    uint64_t start_ns;
    uint8_t *bytes; /* of one record: its data, its key */
    struct mr_refusals refusals;
};

static uint64_t now_ns(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock);
}

/* ---- one record --------------------------------------------------------------------------- */

/* When it is due, in seconds after the start; false: it is one too many. */
static bool is_due(const struct gen *gen, uint64_t index, double *due_s)
{
    *due_s = mr_rate_due_s(&gen->rate, index);
    return index < gen->record_count && *due_s < gen->duration_s;
}

/* The key's field in a record that is JSON; false: there is none. */
static bool find_key(const struct gen *gen, mr_bytes data, uint8_t *out, mr_bytes *key)
{
    struct mr_json json = mr_json_of(data);
    struct mr_json_value value;

    if (!mr_json_find(&json, gen->options->key_field, &value) ||
        (value.kind != MR_JSON_STRING && value.kind != MR_JSON_NUMBER))
        return false;
    if (value.kind == MR_JSON_STRING && value.escaped)
        *key = (mr_bytes){out, mr_json_unescape(&value, out)};
    else
        *key = value.raw;
    return true;
}

/* Its bytes are in gen->bytes until the next. */
static bool make_record(struct gen *gen, uint64_t index, int64_t time_ms, struct mr_sending *record)
{
    struct mr_draw draw = {.index = index, .time_ms = time_ms, .random = &gen->random};
    uint8_t *end;

    draw.key = mr_distribution_draw(&gen->distribution, &gen->random, time_ms);
    end = mr_template_render(gen->data, &draw, gen->bytes);
    *record =
        (struct mr_sending){.line = index + 1, .data = {gen->bytes, (size_t)(end - gen->bytes)}};
    if (gen->options->key_field)
        return find_key(gen, record->data, end, &record->key);
    record->key = (mr_bytes){end, (size_t)(mr_template_render(gen->key, &draw, end) - end)};
    return true;
}

/* ---- a dry run ---------------------------------------------------------------------------- */

static void print(const struct mr_sending *record, int64_t time_ms, bool is_recording,
                  struct mr_pack *out)
{
    struct mr_event event = {.time_ms = time_ms, .key = record->key, .data = record->data};

    out->size = 0;
    if (is_recording) {
        mr_event_write(out, &event);
    } else {
        mr_pack_bytes(out, record->key);
        mr_pack_u8(out, '\t');
        mr_pack_bytes(out, record->data);
        mr_pack_u8(out, '\n');
    }
    fwrite(out->data, 1, out->size, stdout);
}

static enum mr_exit show(struct gen *gen)
{
    struct mr_pack out = MR_PACK((size_t)64 << 20);
    struct mr_sending record;
    double due_s;

    mr_interrupt_catch();
    setvbuf(stdout, NULL, _IOFBF, (size_t)256 << 10);
    for (uint64_t i = 0; is_due(gen, i, &due_s) && !mr_interrupted() && !ferror(stdout); i++) {
        int64_t time_ms = gen->start_ms + (int64_t)(due_s * 1000);

        if (make_record(gen, i, time_ms, &record))
            print(&record, time_ms, gen->options->common.json, &out);
        else
            mr_refusal_say(&gen->refusals, i + 1, "it has no such field for its key");
    }
    mr_pack_fini(&out);
    return gen->refusals.count ? MR_EXIT_FAILED : MR_EXIT_OK;
}

/* ---- a real one --------------------------------------------------------------------------- */

static void reject(void *context, uint64_t line, const char *why)
{
    struct gen *gen = context;

    if (gen->options->quiet)
        atomic_fetch_add(&gen->refusals.count, 1);
    else
        mr_refusal_say(&gen->refusals, line, why);
}

static void show_progress(void *context, const struct mr_sender *sender)
{
    const struct gen *gen = context;
    uint64_t all = gen->record_count, done = sender->sent.stored_count;
    double seconds = (double)(now_ns() - gen->start_ns) / 1e9;
    char note[MR_SENT_NOTE_BYTES];

    if (gen->options->quiet || !mr_progress_is_seen())
        return;
    if (all == UINT64_MAX && isfinite(gen->duration_s)) {
        all = (uint64_t)(gen->duration_s * 1000);
        done = (uint64_t)(seconds * 1000);
    }
    mr_progress_show("gen", done, all == UINT64_MAX ? 0 : all,
                     mr_sent_note(&sender->sent, seconds, note));
}

static void send_all(struct gen *gen, struct mr_sender *sender)
{
    bool is_paced = gen->rate.kind != MR_RATE_NONE;
    struct mr_sending record;
    uint64_t elapsed_ns = 0;
    double due_s;

    for (uint64_t i = 0; is_due(gen, i, &due_s); i++) {
        uint64_t due_ns = is_paced ? gen->start_ns + (uint64_t)(due_s * 1e9) : 0;

        /* Unpaced, the clock is looked at once in a while. */
        if (is_paced)
            elapsed_ns = due_ns - gen->start_ns;
        else if (i % 64 == 0)
            elapsed_ns = now_ns() - gen->start_ns;
        if ((double)elapsed_ns / 1e9 >= gen->duration_s)
            break;
        if (!make_record(gen, i, gen->start_ms + (int64_t)(elapsed_ns / 1000000), &record)) {
            reject(gen, i + 1, "it has no such field for its key");
            continue;
        }
        if (!mr_sender_put(sender, &record, due_ns))
            break;
    }
}

static void print_json(const struct gen *gen, const struct mr_sent *sent, double seconds)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
    mr_json_name(&line, "generated_count");
    mr_json_count(&line, sent->count);
    mr_json_name(&line, "stored_count");
    mr_json_count(&line, sent->stored_count);
    mr_json_name(&line, "rejected_count");
    mr_json_count(&line, gen->refusals.count);
    mr_sent_show(&line, sent, seconds);
    mr_json_name(&line, "seed");
    mr_json_count(&line, gen->seed);
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

static enum mr_exit load(struct gen *gen, const char *stream)
{
    struct mr_sender sender = {.place = &gen->cli->place,
                               .stream = stream,
                               .retries_max = (unsigned)gen->options->retries,
                               .reject = reject,
                               .progress = show_progress,
                               .context = gen};
    enum mr_exit code;
    double seconds;

    mr_interrupt_catch();
    gen->start_ns = now_ns();
    mr_sender_start(&sender);
    send_all(gen, &sender);
    mr_sender_finish(&sender);
    seconds = (double)(now_ns() - gen->start_ns) / 1e9;
    mr_progress_hide();
    if (!gen->options->quiet) {
        mr_sent_say(&sender.sent, seconds);
        if (!gen->options->seed)
            mr_say("--seed %llu draws the same again", (unsigned long long)gen->seed);
    }
    if (gen->options->common.json)
        print_json(gen, &sender.sent, seconds);
    code = gen->refusals.count ? MR_EXIT_FAILED : MR_EXIT_OK;
    if (sender.error.status) {
        gen->cli->error = sender.error;
        code = mr_cli_failed(gen->cli, stream);
    }
    mr_sender_fini(&sender);
    return code;
}

/* ---- the command line --------------------------------------------------------------------- */

static enum mr_exit read_file(struct gen *gen, const char *path, char **text, size_t *size)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");

    if (!file)
        return mr_cli_misused(gen->cli,
                              "--template: '%s' is none of %s, no file (%s), and has no {{...}}",
                              path, mr_template_names(), strerror(errno));
    *text = mr_alloc(MR_TEMPLATE_BYTES_MAX + 1);
    *size = fread(*text, 1, MR_TEMPLATE_BYTES_MAX + 1, file);
    if (file != stdin)
        fclose(file);
    return MR_EXIT_OK;
}

static enum mr_exit compile(struct gen *gen, const char *option, mr_bytes text,
                            struct mr_template **compiled)
{
    if (mr_template_compile(compiled, text, &gen->cli->error))
        return mr_cli_misused(gen->cli, "%s: %s", option, gen->cli->error.message);
    return MR_EXIT_OK;
}

static enum mr_exit read_template(struct gen *gen)
{
    const char *what = gen->options->template, *text = mr_template_named(what);
    char *content = NULL;
    size_t size = 0;
    enum mr_exit code;

    if (!text && strstr(what, "{{"))
        text = what;
    if (text)
        size = strlen(text);
    else if ((code = read_file(gen, what, &content, &size)))
        return code;
    code = compile(gen, "--template", (mr_bytes){text ? text : content, size}, &gen->data);
    mr_free(content);
    return code;
}

static enum mr_exit read_key(struct gen *gen)
{
    const char *key = gen->options->key;

    if (key && gen->options->key_field)
        return mr_cli_misused(gen->cli, "one of --key and --key-field at a time");
    if (!key)
        key = gen->distribution.kind == MR_DISTRIBUTION_TIMESTAMP ? "{{key}}" : "key-{{key}}";
    return compile(gen, "--key", (mr_bytes){key, strlen(key)}, &gen->key);
}

static enum mr_exit read_numbers(struct gen *gen)
{
    const struct mr_gen_options *options = gen->options;
    struct mr_cli *cli = gen->cli;
    struct mr_when when;

    gen->record_count = UINT64_MAX;
    gen->duration_s = INFINITY;
    if (options->keys < 1 || options->keys > 1000000000000u)
        return mr_cli_misused(cli, "--keys takes a number from 1 to 10^12");
    if (options->retries > MR_SENDER_RETRIES_MAX)
        return mr_cli_misused(cli, "--retries takes a number up to %d", MR_SENDER_RETRIES_MAX);
    if (mr_distribution_parse(options->distribution, options->keys, &gen->distribution,
                              &cli->error))
        return mr_cli_misused(cli, "--distribution: %s", cli->error.message);
    if (options->rate && mr_rate_parse(options->rate, &gen->rate, &cli->error))
        return mr_cli_misused(cli, "--rate: %s", cli->error.message);
    if (options->records && !mr_number_parse(options->records, &gen->record_count))
        return mr_cli_misused(cli, "--records takes a number, not '%s'", options->records);
    if (options->duration && !mr_span_parse(options->duration, &gen->duration_s))
        return mr_cli_misused(cli, "--duration takes a span of time as 10s or 5m, not '%s'",
                              options->duration);
    if (options->seed && !mr_number_parse(options->seed, &gen->seed))
        return mr_cli_misused(cli, "--seed takes a number, not '%s'", options->seed);
    if (!options->records && !options->duration)
        gen->record_count = options->dry_run ? RECORDS_SHOWN : RECORDS_DEFAULT;
    gen->start_ms = mr_clock_real()->wall_ms(mr_clock_real());
    if (options->start) {
        if (mr_when_parse(options->start, gen->start_ms, &when, &cli->error) ||
            when.kind != MR_WHEN_TIME)
            return mr_cli_misused(cli, "--start takes a moment as 2026-11-22T10:00Z, not '%s'",
                                  options->start);
        gen->start_ms = when.time_ms;
    }
    return MR_EXIT_OK;
}

enum mr_exit mr_command_gen(struct mr_cli *cli)
{
    struct gen gen = {.cli = cli, .options = cli->options};
    enum mr_exit code;

    mr_entropy(&gen.seed, 4); /* few enough digits to type again */
    code = read_numbers(&gen);
    if (!code)
        code = read_template(&gen);
    if (!code)
        code = read_key(&gen);
    if (!code && !gen.options->dry_run)
        code = mr_send_reach(cli, cli->arguments[0], gen.options->limits);
    if (!code) {
        gen.random = mr_random_of(gen.seed);
        gen.bytes =
            mr_alloc(2 * mr_template_bytes_max(gen.data) + mr_template_bytes_max(gen.key) + 1);
        code = gen.options->dry_run ? show(&gen) : load(&gen, cli->arguments[0]);
    }
    mr_free(gen.bytes);
    mr_template_free(gen.data);
    mr_template_free(gen.key);
    return code;
}
