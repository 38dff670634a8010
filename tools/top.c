/* top.c - the shards of a stream, live: their part of the hash space, and their load against the limits
 * of a Kinesis shard. */
#include "base/memory.h"
#include "figures.h"
#include "gen/amount.h"
#include "json_line.h"
#include "os/clock.h"
#include "os/thread.h"
#include "output.h"
#include "show.h"
#include "top/load.h"
#include "when.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RANGE_COLUMNS 12
#define HISTORY_COLUMNS 8
#define HEAD_ROWS 3

struct top {
    struct mr_cli *cli;
    const struct mr_top_options *options;
    struct mr_load load;
    bool is_screen; /* else rows, one frame after the other */
    double interval_s;
    uint64_t frame_count; /* at most; 0: until an interrupt */
};

static int64_t wall_ms(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->wall_ms(clock);
}

/* ---- drawing ------------------------------------------------------------------------------ */

/* The shard's place in the hash space: "...###......". */
static void draw_range(const mr_shard *shard)
{
    int from = (int)(mr_hash_key_part(shard->first_key) * RANGE_COLUMNS);
    int to = (int)(mr_hash_key_part(shard->last_key) * RANGE_COLUMNS + 0.999);

    for (int i = 0; i < RANGE_COLUMNS; i++) {
        bool inside = i >= from && i < (to > from ? to : from + 1);

        fputs(mr_output_is_utf8() ? (inside ? "█" : "·") : (inside ? "#" : "."), stdout);
    }
}

static enum mr_colour colour_of(double part)
{
    return part > 1 ? MR_RED : part > 0.8 ? MR_YELLOW : MR_GREEN;
}

/* The last seconds, the newest at the right: how much of the limit each used. */
static void draw_history(const struct mr_shard_load *load, int64_t now)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char letters[] = " .:-=+*#@";

    for (int i = HISTORY_COLUMNS; i > 0; i--) {
        struct mr_load_second second = mr_shard_load_at(load, now - i);
        double part = mr_load_part(&second);
        unsigned step = part >= 1 ? 8 : part > 0 ? (unsigned)(part * 8) + (part < 0.125) : 0;

        fputs(mr_colour_on(stdout, colour_of(part)), stdout);
        if (mr_output_is_utf8())
            fputs(blocks[step], stdout);
        else
            putchar(letters[step]);
        fputs(mr_colour_off(stdout), stdout);
    }
}

static void end_row(const struct top *top)
{
    fputs(top->is_screen ? "\033[K\n" : "\n", stdout);
}

static void draw_shard(const struct top *top, const struct mr_shard_load *load, int64_t now)
{
    struct mr_load_second last = mr_shard_load_at(load, now - 1);
    double part = mr_load_part(&last);
    char records[MR_FIGURE_BYTES], bytes[MR_FIGURE_BYTES], refused[MR_FIGURE_BYTES] = "-",
                                                           age[MR_FIGURE_BYTES] = "-";

    if (top->load.has_counts) {
        mr_count_format(mr_shard_load_throttled(load, now), refused);
        if (load->counts[MR_COUNT_AGE_MS])
            mr_duration_format((double)load->counts[MR_COUNT_AGE_MS] / 1e3, age);
        else
            snprintf(age, sizeof age, "0 s");
    }
    printf("%4u  ", (unsigned)load->shard.id);
    draw_range(&load->shard);
    printf("  %8s  %7s  %s%4.0f %%%s  ", mr_count_format(last.record_count, records),
           mr_size_format(last.bytes, bytes), mr_colour_on(stdout, colour_of(part)), part * 100,
           mr_colour_off(stdout));
    draw_history(load, now);
    printf("  %2u s  %7s  %7s", mr_shard_load_over(load, now, MR_LOAD_SECONDS - 1), refused, age);
    end_row(top);
}

static int hotter(const void *a, const void *b)
{
    const struct mr_shard_load *left = *(const struct mr_shard_load *const *)a;
    const struct mr_shard_load *right = *(const struct mr_shard_load *const *)b;
    int64_t now = wall_ms() / 1000;
    struct mr_load_second left_last = mr_shard_load_at(left, now - 1);
    struct mr_load_second right_last = mr_shard_load_at(right, now - 1);
    double difference = mr_load_part(&right_last) - mr_load_part(&left_last);

    if (difference != 0)
        return difference > 0 ? 1 : -1;
    return left->shard.id < right->shard.id ? -1 : 1;
}

static void draw_head(const struct top *top, int64_t now)
{
    uint64_t record_count = 0, bytes = 0;
    char records[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES], time[MR_TIME_TEXT_BYTES];

    for (size_t i = 0; i < top->load.shard_count; i++) {
        struct mr_load_second last = mr_shard_load_at(&top->load.shards[i], now - 1);

        record_count += last.record_count;
        bytes += last.bytes;
    }
    mr_time_format(now * 1000, time);
    printf("%s%s%s  %zu shards  %s records/s  %s/s  %.8s UTC", mr_colour_on(stdout, MR_BOLD),
           top->load.stream, mr_colour_off(stdout), top->load.shard_count,
           mr_count_format(record_count, records), mr_size_format(bytes, size), time + 11);
    end_row(top);
    printf("%4s  %-*s  %8s  %7s  %6s  %-*s  %4s  %7s  %7s", "ID", RANGE_COLUMNS, "HASH SPACE",
           "RECORDS", "BYTES", "OF MAX", HISTORY_COLUMNS, "LAST 8 s", "OVER", "REFUSED", "BEHIND");
    end_row(top);
}

/* The hottest shards, as many as there is room for, in the order of their ids. */
static void draw(const struct top *top, int64_t now)
{
    const struct mr_shard_load **shards =
        mr_alloc((top->load.shard_count + 1) * sizeof(struct mr_shard_load *));
    size_t count = top->load.shard_count, room = count;
    struct winsize size;

    for (size_t i = 0; i < count; i++)
        shards[i] = &top->load.shards[i];
    if (top->is_screen && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
        size.ws_row > HEAD_ROWS + 1)
        room = (size_t)size.ws_row - HEAD_ROWS - 1;
    if (room < count)
        qsort(shards, count, sizeof *shards, hotter);
    if (top->is_screen)
        fputs("\033[H", stdout);
    draw_head(top, now);
    for (size_t i = 0; i < count && i < room; i++)
        draw_shard(top, shards[i], now);
    if (room < count) {
        printf("      and %zu cooler ones", count - room);
        end_row(top);
    }
    if (top->is_screen)
        fputs("\033[J", stdout);
    mr_free(shards);
    fflush(stdout);
}

static void print_json(const struct top *top, int64_t now)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
    mr_show_time(&line, "time", now * 1000);
    mr_json_name(&line, "shards");
    mr_json_open(&line, '[');
    for (size_t i = 0; i < top->load.shard_count; i++) {
        const struct mr_shard_load *load = &top->load.shards[i];
        struct mr_load_second last = mr_shard_load_at(load, now - 1);

        mr_json_open(&line, '{');
        mr_show_shard_id(&line, "shard_id", load->shard.id);
        mr_json_name(&line, "records_per_s");
        mr_json_count(&line, last.record_count);
        mr_json_name(&line, "bytes_per_s");
        mr_json_count(&line, last.bytes);
        mr_json_name(&line, "of_limit");
        mr_json_real(&line, mr_load_part(&last));
        mr_json_name(&line, "seconds_over");
        mr_json_count(&line, mr_shard_load_over(load, now, MR_LOAD_SECONDS - 1));
        if (top->load.has_counts) {
            mr_json_name(&line, "throttled_count");
            mr_json_count(&line, mr_shard_load_throttled(load, now));
            mr_json_name(&line, "iterator_age_ms");
            mr_json_count(&line, load->counts[MR_COUNT_AGE_MS]);
        }
        mr_json_close(&line, '}');
    }
    mr_json_close(&line, ']');
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
    fflush(stdout);
}

/* ---- the command -------------------------------------------------------------------------- */

static mr_status watch(struct top *top)
{
    _Atomic uint32_t *word = mr_interrupt_word();
    uint64_t frame = 0;

    while (!mr_interrupted() && !ferror(stdout)) {
        uint32_t seen = atomic_load(word);
        int64_t now_ms = wall_ms();
        mr_status status = mr_load_read(&top->load, now_ms, &top->cli->error);

        if (status)
            return status;
        if (top->load.has_counts && top->load.look_count == 1 && top->frame_count) {
            mr_word_wait(word, seen, (uint32_t)(top->interval_s * 1000)); /* from there it counts */
            continue;
        }
        if (top->options->common.json)
            print_json(top, now_ms / 1000);
        else
            draw(top, now_ms / 1000);
        if (++frame == top->frame_count)
            break;
        mr_word_wait(word, seen, (uint32_t)(top->interval_s * 1000));
    }
    return MR_OK;
}

static enum mr_exit run(struct top *top)
{
    mr_status status;

    mr_interrupt_catch();
    if (top->is_screen)
        fputs("\033[?1049h\033[?25l", stdout); /* a screen of its own, without a cursor */
    status = watch(top);
    if (top->is_screen) {
        fputs("\033[?25h\033[?1049l", stdout);
        fflush(stdout);
    }
    mr_load_fini(&top->load);
    return status ? mr_cli_failed(top->cli, top->load.stream) : MR_EXIT_OK;
}

enum mr_exit mr_command_top(struct mr_cli *cli)
{
    struct top top = {.cli = cli, .options = cli->options};
    const char *terminal = getenv("TERM");
    enum mr_exit code;

    if (!mr_span_parse(top.options->interval, &top.interval_s) || top.interval_s < 0.05 ||
        top.interval_s > 3600)
        return mr_cli_misused(cli, "--interval takes a span of time as 500ms or 2s, not '%s'",
                              top.options->interval);
    top.is_screen = isatty(STDOUT_FILENO) && !top.options->common.json && !top.options->count &&
                    !(terminal && strcmp(terminal, "dumb") == 0);
    top.frame_count = 0;
    if (!top.is_screen)
        top.frame_count = 1;
    if (top.options->count &&
        (!mr_number_parse(top.options->count, &top.frame_count) || top.frame_count == 0))
        return mr_cli_misused(cli, "-n takes how often to look, not '%s'", top.options->count);
    code = mr_cli_reach(cli, false);
    if (code)
        return code;
    top.load.place = &cli->place;
    top.load.stream = cli->arguments[0];
    top.load.endpoint = cli->place.service ? cli->endpoint : NULL;
    return run(&top);
}
