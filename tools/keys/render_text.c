#include "keys/render.h"

#include "base/memory.h"
#include "figures.h"
#include "output.h"
#include "table.h"

#include <math.h>
#include <string.h>

#define COLUMNS 80
#define TOP_LINES 5
#define SHARD_LINES 16
#define THROTTLE_BAR 6
#define BAND_CHARS 11
#define KEY_BYTES 33 /* longer ones are cut */

static void print_head(const char *text)
{
    printf("\n%s%s%s\n", mr_colour_on(stdout, MR_BOLD), text, mr_colour_off(stdout));
}

/* Two figures that bound something, as short as they can be told apart. */
static void format_band(double low, double high, char text[MR_FIGURE_BYTES])
{
    if (high == 0)
        snprintf(text, MR_FIGURE_BYTES, "-");
    else if (high < 0.0001)
        snprintf(text, MR_FIGURE_BYTES, "<0.01%%");
    else if (high - low < 0.0005)
        snprintf(text, MR_FIGURE_BYTES, high < 0.01 ? "%.2f%%" : "%.1f%%", high * 100);
    else
        snprintf(text, MR_FIGURE_BYTES, high < 0.01 ? "%.2f-%.2f%%" : "%.1f-%.1f%%", low * 100,
                 high * 100);
}

/* Long times in few words. */
static const char *format_span(uint64_t seconds, char text[MR_FIGURE_BYTES])
{
    if (seconds < 7200)
        return mr_duration_format((double)seconds, text);
    if (seconds < 172800)
        snprintf(text, MR_FIGURE_BYTES, "%llu hours", (unsigned long long)(seconds / 3600));
    else
        snprintf(text, MR_FIGURE_BYTES, "%llu days", (unsigned long long)(seconds / 86400));
    return text;
}

static const char *format_speed(const struct mr_analysis *analysis, char text[MR_FIGURE_BYTES])
{
    double speed = analysis->config.speed;
    char count[MR_FIGURE_BYTES];

    if (speed < 1000)
        snprintf(text, MR_FIGURE_BYTES, "%gx", speed);
    else
        snprintf(text, MR_FIGURE_BYTES, "%sx", mr_count_format((uint64_t)llround(speed), count));
    return text;
}

static void print_input(const struct mr_result *result)
{
    const struct mr_analysis *analysis = result->analysis;
    const struct mr_simulation *simulation = analysis->schemes[0].simulation;
    char records[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES], time[MR_FIGURE_BYTES],
        peak[MR_FIGURE_BYTES], text[512];
    size_t used;

    snprintf(text, sizeof text, "%s: %s records, %s, in %s", result->source,
             mr_count_format(mr_simulation_total(simulation).record_count, records),
             mr_size_format(mr_simulation_total(simulation).bytes, size),
             format_span(result->seconds, time));
    used = strlen(text);
    if (analysis->config.speed != 1)
        snprintf(text + used, sizeof text - used, " at %s", format_speed(analysis, time));
    used = strlen(text);
    snprintf(text + used, sizeof text - used, "; at most %s a second",
             mr_count_format(mr_simulation_peak(simulation).record_count, peak));
    mr_print_wrapped(text, 0, 2);
}

static void print_schemes(const struct mr_result *result)
{
    struct mr_table table =
        MR_TABLE("KEY", ">KEYS", ">EVEN AS", ">GINI", ">HOTTEST KEY", ">SHARDS", ">$/MONTH");
    bool is_salted = false;

    for (size_t i = 0; i < result->scheme_count; i++)
        is_salted |= result->schemes[i].of->order != NULL;
    if (is_salted)
        table.heads[7] = ">LOST";
    for (size_t i = 0; i < result->scheme_count; i++) {
        const struct mr_scheme_result *scheme = &result->schemes[i];
        const struct mr_outcome *outcome = &scheme->outcomes[scheme->suggested - 1];
        const struct mr_top_key *const *top =
            scheme->by_bytes ? scheme->top_bytes : scheme->top_records;
        const struct mr_top *of =
            scheme->by_bytes ? &scheme->of->top_bytes : &scheme->of->top_records;
        char count[MR_FIGURE_BYTES], effective[MR_FIGURE_BYTES], key[KEY_BYTES] = "";

        mr_count_format((uint64_t)llround(scheme->key_count), count);
        mr_count_format((uint64_t)llround(scheme->evenness.effective_keys), effective);
        if (scheme->top_record_count)
            mr_key_show(top[0], key, 16);
        mr_table_cell(&table, "%s", mr_scheme_name(&scheme->of->scheme));
        mr_table_cell(&table, "%s%s", scheme->key_count_is_exact ? "" : "~", count);
        mr_table_cell(&table, "%s", effective);
        mr_table_cell(&table, "%.2f", scheme->evenness.gini);
        mr_table_cell(&table, "%s %.1f%%", key,
                      of->sum ? (double)top[0]->weight * 100 / (double)of->sum : 0.0);
        mr_table_cell(&table, "%s%u", scheme->needed ? "" : ">64, take ", scheme->suggested);
        mr_table_cell(&table, "%.0f", outcome->dollars_a_month);
        if (scheme->of->order)
            mr_table_cell(&table, "%.0f%%", outcome->order_lost * 100);
        else if (is_salted)
            mr_table_cell(&table, "-");
    }
    print_head("Keys");
    mr_table_print(&table);
    if (is_salted)
        printf("(LOST: the order of so many records and the one of their key before)\n");
}

/* The numbers of shards that are worth a row. */
static bool is_shown(const struct mr_result *result, size_t division)
{
    size_t n = division + 1;

    for (size_t i = 0; i < result->scheme_count; i++)
        if (n == result->schemes[i].suggested)
            return true;
    return division == MR_GRID_STREAM || (n & (n - 1)) == 0;
}

/* How many of the schemes fit side by side. */
static size_t fitting_schemes(const struct mr_result *result)
{
    size_t width = 6, shown = 0;

    while (shown < result->scheme_count && shown < 3) {
        size_t head = strlen(mr_scheme_name(&result->schemes[shown].of->scheme));

        width += 2 + (head > BAND_CHARS ? head : BAND_CHARS) + 2 + THROTTLE_BAR;
        if (shown > 0 && width > COLUMNS)
            break;
        shown++;
    }
    return shown;
}

static void print_throttles(const struct mr_result *result)
{
    struct mr_table table = MR_TABLE(">SHARDS");
    size_t shown = fitting_schemes(result);
    bool with_busy = result->scheme_count == 1;

    for (size_t i = 0; i < shown; i++) {
        table.heads[1 + 2 * i] =
            with_busy ? "THROTTLED" : mr_scheme_name(&result->schemes[i].of->scheme);
        table.heads[2 + 2 * i] = "";
    }
    if (with_busy) {
        table.heads[3] = ">P50";
        table.heads[4] = ">P99";
        table.heads[5] = ">MAX";
        table.heads[6] = ">OVER";
        table.heads[7] = ">IMBALANCE";
        table.heads[8] = ">$/MONTH";
    }
    for (size_t d = 0; d < result->outcome_count; d++) {
        if (!is_shown(result, d))
            continue;
        if (d == MR_GRID_STREAM)
            mr_table_cell(&table, "%s: %u", result->stream,
                          result->schemes[0].outcomes[d].shard_count);
        else
            mr_table_cell(&table, "%zu", d + 1);
        for (size_t i = 0; i < shown; i++) {
            const struct mr_outcome *outcome = &result->schemes[i].outcomes[d];
            char band[MR_FIGURE_BYTES], bar[MR_BAR_BYTES];

            format_band(outcome->low, outcome->high, band);
            mr_table_cell(&table, "%s", band);
            mr_table_cell(&table, "%s",
                          mr_bar_format(outcome->high, with_busy ? 10 : THROTTLE_BAR, bar));
        }
        if (with_busy) {
            const struct mr_outcome *outcome = &result->schemes[0].outcomes[d];

            mr_table_cell(&table, "%.0f%%", outcome->busy.p50 * 100);
            mr_table_cell(&table, "%.0f%%", outcome->busy.p99 * 100);
            mr_table_cell(&table, "%.0f%%", outcome->busy.max * 100);
            mr_table_cell(&table, "%.2f%%", outcome->busy.over_part * 100);
            mr_table_cell(&table, "%.2f", outcome->imbalance);
            mr_table_cell(&table, "%.0f", outcome->dollars_a_month);
        }
    }
    print_head("Throttled, of all records (between two models of the limit)");
    mr_table_print(&table);
    if (shown < result->scheme_count)
        printf("(the other keys are in --json and --html)\n");
}

static void print_shards(const struct mr_result *result)
{
    const struct mr_scheme_result *best = &result->schemes[result->best];
    size_t division = result->stream ? MR_GRID_STREAM : best->suggested - 1;
    uint32_t shard_count = best->outcomes[division].shard_count;
    struct mr_table table = MR_TABLE(">SHARD", ">SHARE", "LOAD", ">THROTTLED");
    char head[200];

    snprintf(head, sizeof head, "Shards with %s%s%s", mr_scheme_name(&best->of->scheme),
             result->stream ? ", in " : "", result->stream ? result->stream : "");
    for (size_t i = 0; i < shard_count && i < SHARD_LINES; i++) {
        struct mr_band throttled = mr_result_throttled(best, division, i);
        double share = mr_result_share(best, division, i);
        char bar[MR_BAR_BYTES], low[MR_FIGURE_BYTES], high[MR_FIGURE_BYTES];

        mr_table_cell(&table, "%zu", i);
        mr_table_cell(&table, "%.1f%%", share * 100);
        mr_table_cell(
            &table, "%s",
            mr_bar_format(share * shard_count / fmax(best->outcomes[division].imbalance, 1e-9), 40,
                          bar));
        mr_count_format(throttled.low, low);
        mr_count_format(throttled.high, high);
        if (throttled.high == 0)
            mr_table_cell(&table, "-");
        else if (throttled.low == throttled.high)
            mr_table_cell(&table, "%s", low);
        else
            mr_table_cell(&table, "%s-%s", low, high);
    }
    print_head(head);
    mr_table_print(&table);
    if (shard_count > SHARD_LINES)
        printf("(%u more: --html shows all)\n", shard_count - SHARD_LINES);
}

#define HEAVY_CHARS 12 /* keys so short have both lists side by side */

static void put_heavy(struct mr_table *table, const struct mr_top_key *heavy,
                      const struct mr_top *top, bool by_bytes)
{
    const char *(*format)(uint64_t, char[MR_FIGURE_BYTES]) =
        by_bytes ? mr_size_format : mr_count_format;
    char key[KEY_BYTES], weight[MR_FIGURE_BYTES], peak[MR_FIGURE_BYTES];

    mr_table_cell(table, "%s", mr_key_show(heavy, key, sizeof key));
    mr_table_cell(table, "%s%s", heavy->error ? "<=" : "", format(heavy->weight, weight));
    mr_table_cell(table, "%.2f%%", (double)heavy->weight * 100 / (double)top->sum);
    mr_table_cell(table, "%s", format(heavy->peak, peak));
}

static void print_top(const struct mr_scheme_result *scheme)
{
    struct mr_table both = MR_TABLE("BY RECORDS", ">COUNT", ">SHARE", ">A SECOND", "BY BYTES",
                                    ">SIZE", ">SHARE", ">A SECOND");
    struct mr_table records = MR_TABLE("BY RECORDS", ">COUNT", ">SHARE", ">A SECOND");
    struct mr_table bytes = MR_TABLE("BY BYTES", ">SIZE", ">SHARE", ">A SECOND");
    size_t lines = scheme->top_record_count < TOP_LINES ? scheme->top_record_count : TOP_LINES;
    bool is_narrow = true;
    char head[200];

    for (size_t i = 0; i < lines; i++)
        is_narrow &= scheme->top_records[i]->text_bytes <= HEAVY_CHARS &&
                     scheme->top_bytes[i]->text_bytes <= HEAVY_CHARS;
    for (size_t i = 0; i < lines; i++) {
        put_heavy(is_narrow ? &both : &records, scheme->top_records[i], &scheme->of->top_records,
                  false);
        put_heavy(is_narrow ? &both : &bytes, scheme->top_bytes[i], &scheme->of->top_bytes, true);
    }
    snprintf(head, sizeof head, "Heaviest keys of %s", mr_scheme_name(&scheme->of->scheme));
    print_head(head);
    if (is_narrow) {
        mr_table_print(&both);
        return;
    }
    mr_table_print(&records);
    mr_table_print(&bytes);
}

void mr_result_print(const struct mr_result *result)
{
    print_input(result);
    putchar('\n');
    for (size_t i = 0; i < result->sentence_count; i++) {
        if (i == 0)
            fputs(mr_colour_on(stdout, MR_BOLD), stdout);
        else
            fputs("- ", stdout);
        mr_print_wrapped(result->verdict[i], i == 0 ? 0 : 2, 2);
        if (i == 0)
            fputs(mr_colour_off(stdout), stdout);
    }
    print_schemes(result);
    print_throttles(result);
    print_shards(result);
    for (size_t i = 0; i < result->scheme_count && i < 3; i++)
        print_top(&result->schemes[i]);
    printf("\nPrices of %s in %s; a month is 730 hours at this average.\n", mr_prices_date(),
           mr_prices_region());
}
