/* replay.c - a recording, NDJSON or CSV put again, with the timing it has. */
#include "base/memory.h"
#include "command.h"
#include "events/events.h"
#include "figures.h"
#include "gen/amount.h"
#include "os/clock.h"
#include "os/entropy.h"
#include "output.h"
#include "replay/report.h"
#include "when.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EVENTS_A_READ 64 /* what they take stays near the processor */

struct replay {
    struct mr_cli *cli;
    const struct mr_replay_options *options;
    const char *path, *stream;
    struct mr_schedule schedule;
    int64_t seek_ms, until_ms; /* INT64_MIN, INT64_MAX: none */
    struct mr_random random;   /* for keys of files without keys */
    bool is_paced;
    uint64_t start_ns;
    struct mr_refusals refusals;

    /* of all rounds: read = replayed + rejected + skipped */
    uint64_t read_count, skipped_count, unreadable_count, backward_count, untimed_count;
    uint64_t round_count;
    _Atomic uint64_t file_bytes; /* of a round; 0: not known */
};

static uint64_t now_ns(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock);
}

static void reject(void *context, uint64_t line, const char *why)
{
    struct replay *replay = context;

    mr_refusal_say(&replay->refusals, line, why);
}

static void show_progress(void *context, const struct mr_sender *sender)
{
    struct replay *replay = context;
    double seconds = (double)(now_ns() - replay->start_ns) / 1e9, part = 0;
    uint64_t file_bytes = atomic_load(&replay->file_bytes), late_ns = atomic_load(&sender->late_ns);
    char note[MR_SENT_NOTE_BYTES + 80], figure[MR_FIGURE_BYTES];
    size_t size;

    if (replay->options->quiet || !mr_progress_is_seen())
        return;
    mr_sent_note(&sender->sent, seconds, note);
    size = strlen(note);
    if (replay->is_paced)
        size += (size_t)snprintf(note + size, sizeof note - size, ", lag %s",
                                 mr_duration_format((double)late_ns / 1e9, figure));
    if (file_bytes)
        part = (double)sender->done_bytes / (double)file_bytes;
    if (part > 0.01 && !replay->options->loop)
        snprintf(note + size, sizeof note - size, ", %s left",
                 mr_duration_format(seconds * (1 - part) / part, figure));
    mr_progress_show("replay", sender->done_bytes, replay->options->loop ? 0 : file_bytes, note);
}

/* ---- one round through the file ------------------------------------------------------------ */

static bool is_wanted(const struct replay *replay, const struct mr_event *event)
{
    return event->time_ms == MR_EVENT_NO_TIME ||
           (event->time_ms >= replay->seek_ms && event->time_ms < replay->until_ms);
}

/* Files without keys get random ones, which spread over all shards. */
static mr_bytes random_key(struct replay *replay, char text[24])
{
    int size = snprintf(text, 24, "%016llx", (unsigned long long)mr_random_next(&replay->random));

    return (mr_bytes){text, (size_t)size};
}

/* False: all is stopped. */
static bool send(struct replay *replay, struct mr_sender *sender, const struct mr_event *event,
                 bool needs_keys)
{
    struct mr_sending record = {.line = event->line,
                                .key = event->key,
                                .data = event->data,
                                .hash_key = event->has_hash_key ? &event->hash_key : NULL};
    uint64_t due_ns = 0;
    char text[24];

    if (!is_wanted(replay, event)) {
        replay->skipped_count++;
        return true;
    }
    if (event->time_ms == MR_EVENT_NO_TIME)
        replay->untimed_count++;
    else if (replay->is_paced)
        due_ns = mr_schedule_due_ns(&replay->schedule, event->time_ms, now_ns());
    if (needs_keys && event->key.size == 0)
        record.key = random_key(replay, text);
    return mr_sender_put(sender, &record, due_ns);
}

/* A pipe may keep us waiting: what is at hand goes out before. */
static bool may_wait(const char *path)
{
    struct stat info;

    return stat(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &info) || !S_ISREG(info.st_mode);
}

static mr_status play_events(struct replay *replay, struct mr_sender *sender,
                             struct mr_events *events, mr_error *error)
{
    static struct mr_event batch[EVENTS_A_READ];
    bool waits = may_wait(replay->path), goes_on = true;
    size_t count;

    while (goes_on) {
        struct mr_events_totals totals;
        bool needs_keys;
        mr_status status;

        if (waits)
            mr_sender_flush(sender);
        status = mr_events_read(events, batch, EVENTS_A_READ, &count, error);
        if (status || count == 0)
            return status;
        mr_events_totals(events, &totals);
        sender->input_bytes = totals.read_bytes;
        atomic_store(&replay->file_bytes, totals.file_bytes);
        needs_keys = !replay->options->key_field && mr_events_format(events) != MR_EVENTS_RECORDING;
        for (size_t i = 0; goes_on && i < count; i++) {
            goes_on = send(replay, sender, &batch[i], needs_keys);
            replay->read_count += goes_on;
        }
    }
    return MR_OK;
}

static mr_status play_round(struct replay *replay, struct mr_sender *sender, mr_error *error)
{
    struct mr_events_config config = {.path = replay->path,
                                      .format = (enum mr_event_format)replay->options->input,
                                      .key_field = replay->options->key_field,
                                      .time_field = replay->options->time_field,
                                      .strict = replay->options->strict,
                                      .reject = reject,
                                      .context = replay};
    struct mr_events_totals totals;
    struct mr_events *events;
    mr_status status = mr_events_open(&events, &config, error);

    if (status)
        return status;
    status = play_events(replay, sender, events, error);
    mr_events_totals(events, &totals);
    mr_events_close(events);
    replay->read_count += totals.rejected_count + totals.skipped_count;
    replay->unreadable_count += totals.rejected_count;
    replay->skipped_count += totals.skipped_count;
    replay->backward_count += totals.backward_count;
    replay->round_count++;
    return status;
}

/* ---- totals ------------------------------------------------------------------------------- */

static void say_totals(const struct replay *replay, const struct mr_sent *sent, double seconds)
{
    uint64_t rejected_count = replay->unreadable_count + sent->rejected_count;
    char read[MR_FIGURE_BYTES], stored[MR_FIGURE_BYTES], rejected[MR_FIGURE_BYTES],
        skipped[MR_FIGURE_BYTES];

    if (rejected_count || replay->skipped_count)
        mr_say("%s lines read = %s replayed + %s rejected + %s skipped",
               mr_count_format(replay->read_count, read),
               mr_count_format(sent->stored_count, stored),
               mr_count_format(rejected_count, rejected),
               mr_count_format(replay->skipped_count, skipped));
    if (replay->options->quiet)
        return;
    if (replay->is_paced && replay->backward_count)
        mr_say("%s times go backwards: those records followed at once",
               mr_count_format(replay->backward_count, read));
    if (replay->is_paced && replay->untimed_count)
        mr_say("%s records have no time: they followed at once; --time-field names one",
               mr_count_format(replay->untimed_count, read));
    mr_sent_say(sent, seconds);
}

static void print_json(const struct replay *replay, const struct mr_sent *sent, double seconds)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
#define X(name, value)                                                                             \
    mr_json_name(&line, name);                                                                     \
    mr_json_count(&line, value);
    X("read_count", replay->read_count)
    X("replayed_count", sent->stored_count)
    X("rejected_count", replay->unreadable_count + sent->rejected_count)
    X("skipped_count", replay->skipped_count)
    X("backward_count", replay->backward_count)
    X("round_count", replay->round_count)
#undef X
    mr_sent_show(&line, sent, seconds);
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

static enum mr_exit play(struct replay *replay)
{
    struct mr_cli *cli = replay->cli;
    struct mr_sender sender = {.place = &cli->place,
                               .stream = replay->stream,
                               .retries_max = (unsigned)replay->options->retries,
                               .strict = replay->options->strict,
                               .reject = reject,
                               .progress = show_progress,
                               .context = replay};
    enum mr_exit code = MR_EXIT_OK;
    mr_status status;
    double seconds;

    mr_interrupt_catch();
    replay->start_ns = now_ns();
    mr_sender_start(&sender);
    do {
        mr_schedule_restart(&replay->schedule);
        status = play_round(replay, &sender, &cli->error);
    } while (!status && replay->options->loop && !atomic_load(&sender.stopped) &&
             !mr_interrupted());
    if (mr_interrupted())
        status = MR_OK; /* it was the wait for input that failed */
    mr_sender_finish(&sender);
    seconds = (double)(now_ns() - replay->start_ns) / 1e9;
    mr_progress_hide();
    if (!status || replay->read_count > 0)
        say_totals(replay, &sender.sent, seconds);
    if (replay->options->common.json)
        print_json(replay, &sender.sent, seconds);

    if (sender.error.status)
        cli->error = sender.error;
    if (status || sender.error.status)
        code = mr_cli_failed(cli, sender.error.status ? replay->stream : NULL);
    else if (mr_interrupted() && !replay->options->loop)
        mr_say("millrace: interrupted; what is counted above is stored");
    if (!code && (replay->refusals.count || (mr_interrupted() && !replay->options->loop)))
        code = MR_EXIT_FAILED;
    mr_sender_fini(&sender);
    return code;
}

/* ---- the command line --------------------------------------------------------------------- */

static enum mr_exit read_moment(struct replay *replay, const char *name, const char *text,
                                int64_t *time_ms)
{
    struct mr_clock *clock = mr_clock_real();
    struct mr_when when;

    if (text && (mr_when_parse(text, clock->wall_ms(clock), &when, &replay->cli->error) ||
                 when.kind != MR_WHEN_TIME))
        return mr_cli_misused(replay->cli, "%s takes a moment as 2026-11-22T10:00Z, not '%s'", name,
                              text);
    if (text)
        *time_ms = when.time_ms;
    return MR_EXIT_OK;
}

/* "10x", "10" or "max", as 0. */
static bool parse_speed(const char *text, double *speed)
{
    char copy[24];
    size_t size = strlen(text);

    *speed = 0;
    if (strcmp(text, "max") == 0)
        return true;
    if (size == 0 || size >= sizeof copy)
        return false;
    memcpy(copy, text, size + 1);
    if (copy[size - 1] == 'x')
        copy[size - 1] = 0;
    return mr_amount_parse(copy, speed) && *speed > 0;
}

static enum mr_exit read_options(struct replay *replay)
{
    const struct mr_replay_options *options = replay->options;
    uint64_t seed;
    enum mr_exit code;

    if (!parse_speed(options->speed, &replay->schedule.speed))
        return mr_cli_misused(replay->cli, "--speed takes 1x, 10x, 0.5x or max, not '%s'",
                              options->speed);
    if (options->retries > MR_SENDER_RETRIES_MAX)
        return mr_cli_misused(replay->cli, "--retries takes a number up to %d",
                              MR_SENDER_RETRIES_MAX);
    if (options->loop && may_wait(replay->path))
        return mr_cli_misused(replay->cli, "--loop needs a file that can be read again");
    replay->is_paced = replay->schedule.speed > 0;
    mr_entropy(&seed, sizeof seed);
    replay->random = mr_random_of(seed);
    code = read_moment(replay, "--seek", options->seek, &replay->seek_ms);
    return code ? code : read_moment(replay, "--until", options->until, &replay->until_ms);
}

enum mr_exit mr_command_replay(struct mr_cli *cli)
{
    struct replay replay = {.cli = cli,
                            .options = cli->options,
                            .path = cli->arguments[0],
                            .stream = cli->arguments[1],
                            .seek_ms = INT64_MIN,
                            .until_ms = INT64_MAX};
    enum mr_exit code = read_options(&replay);

    if (!code)
        code = mr_send_reach(cli, replay.stream, replay.options->limits);
    return code ? code : play(&replay);
}
