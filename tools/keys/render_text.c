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
#define KEY_BYTES 33 /* longer ones are cut */

static void print_head(const char *text)
{
    printf("\n%s%s%s\n", mr_colour_on(stdout, MR_BOLD), text, mr_colour_off(stdout));
}

/* A paragraph with a hanging indent. */
static void print_wrapped(const char *text, const char *mark)
{
    unsigned used = 2;

    fputs(mark, stdout);
    while (*text) {
        size_t size = strcspn(text, " ");
        unsigned width = 0;

        for (size_t i = 0; i < size; i++)
            width += (text[i] & 0xc0) != 0x80;
        if (used > 2 && used + 1 + width > COLUMNS) {
            fputs("\n  ", stdout);
            used = 2;
        } else if (used > 2) {
            putchar(' ');
            used++;
        }
        printf("%.*s", (int)size, text);
        used += width;
        text += size + (text[size] == ' ');
    }
    putchar('\n');
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

static void print_input(const struct mr_result *result)
{
    const struct mr_analysis *analysis = result->analysis;
    const struct mr_simulation *simulation = analysis->schemes[0].simulation;
    char records[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES], time[MR_FIGURE_BYTES],
        peak[MR_FIGURE_BYTES];

    printf("%s: %s records, %s, in %s", result->source,
           mr_count_format(mr_simulation_total(simulation).record_count, records),
           mr_size_format(mr_simulation_total(simulation).bytes, size),
           format_span(result->seconds, time));
    if (analysis->config.speed != 1)
        printf(" at %gx", analysis->config.speed);
    printf("; at most %s a second\n",
           mr_count_format(mr_simulation_peak(simulation).record_count, peak));
}

static void print_schemes(const struct mr_result *result)
{
    struct mr_table table = MR_TABLE("KEY", ">KEYS", ">AS EVEN AS", ">GINI", ">HOTTEST KEY",
                                     ">SHARDS", ">$/MONTH", ">ORDER LOST");

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
        mr_table_cell(&table, "%s", scheme->of->scheme.text);
        mr_table_cell(&table, "%s%s", scheme->key_count_is_exact ? "" : "~", count);
        mr_table_cell(&table, "%s", effective);
        mr_table_cell(&table, "%.2f", scheme->evenness.gini);
        mr_table_cell(&table, "%s %.1f%%", key,
                      of->sum ? (double)top[0]->weight * 100 / (double)of->sum : 0.0);
        mr_table_cell(&table, "%s%u", scheme->needed ? "" : ">64, take ", scheme->suggested);
        mr_table_cell(&table, "%.0f", outcome->dollars_a_month);
        if (scheme->of->order)
            mr_table_cell(&table, "%.0f%%", outcome->order_lost * 100);
        else
            mr_table_cell(&table, "-");
    }
    print_head("Keys");
    mr_table_print(&table);
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

static void print_throttles(const struct mr_result *result)
{
    struct mr_table table = MR_TABLE(">SHARDS");
    size_t shown = result->scheme_count < 3 ? result->scheme_count : 3;
    bool with_busy = result->scheme_count == 1;

    for (size_t i = 0; i < shown; i++) {
        table.heads[1 + 2 * i] = result->schemes[i].of->scheme.text;
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
            mr_table_cell(&table, "%s", mr_bar_format(outcome->high, with_busy ? 10 : 8, bar));
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

    snprintf(head, sizeof head, "Shards with %s%s%s", best->of->scheme.text,
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

static void print_top(const struct mr_result *result, const struct mr_scheme_result *scheme)
{
    struct mr_table table = MR_TABLE("BY RECORDS", ">COUNT", ">SHARE", ">A SECOND", "BY BYTES",
                                     ">SIZE", ">SHARE", ">A SECOND");
    const struct mr_top *records = &scheme->of->top_records, *bytes = &scheme->of->top_bytes;
    size_t lines = scheme->top_record_count < TOP_LINES ? scheme->top_record_count : TOP_LINES;
    char head[200];

    (void)result;
    snprintf(head, sizeof head, "Heaviest keys of %s", scheme->of->scheme.text);
    for (size_t i = 0; i < lines; i++) {
        const struct mr_top_key *by_records = scheme->top_records[i];
        const struct mr_top_key *by_bytes = scheme->top_bytes[i];
        char key[20], count[MR_FIGURE_BYTES], peak[MR_FIGURE_BYTES];

        mr_table_cell(&table, "%s", mr_key_show(by_records, key, sizeof key));
        mr_table_cell(&table, "%s%s", by_records->error ? "<=" : "",
                      mr_count_format(by_records->weight, count));
        mr_table_cell(&table, "%.2f%%", (double)by_records->weight * 100 / (double)records->sum);
        mr_table_cell(&table, "%s", mr_count_format(by_records->peak, peak));
        mr_table_cell(&table, "%s", mr_key_show(by_bytes, key, sizeof key));
        mr_table_cell(&table, "%s%s", by_bytes->error ? "<=" : "",
                      mr_size_format(by_bytes->weight, count));
        mr_table_cell(&table, "%.2f%%", (double)by_bytes->weight * 100 / (double)bytes->sum);
        mr_table_cell(&table, "%s", mr_size_format(by_bytes->peak, peak));
    }
    print_head(head);
    mr_table_print(&table);
}

void mr_result_print(const struct mr_result *result)
{
    print_input(result);
    putchar('\n');
    for (size_t i = 0; i < result->sentence_count; i++) {
        if (i == 0)
            fputs(mr_colour_on(stdout, MR_BOLD), stdout);
        print_wrapped(result->verdict[i], i == 0 ? "" : "- ");
        if (i == 0)
            fputs(mr_colour_off(stdout), stdout);
    }
    print_schemes(result);
    print_throttles(result);
    print_shards(result);
    for (size_t i = 0; i < result->scheme_count && i < 3; i++)
        print_top(result, &result->schemes[i]);
    printf("\nPrices of %s in %s; a month is 730 hours at this traffic's average.\n",
           mr_prices_date(), mr_prices_region());
}
