/* The words of a result: what to do first, then why. */
#include "keys/result.h"

#include "figures.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define KEY_BYTES 80
#define LITTLE 0.1 /* of a shard, in its busiest second */

__attribute__((format(printf, 2, 3))) static void say(struct mr_result *result, const char *format,
                                                      ...)
{
    char text[600];
    va_list arguments;

    if (result->sentence_count == MR_SENTENCES_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    result->verdict[result->sentence_count++] = mr_arena_print(&result->arena, "%s", text).data;
}

#define PERCENT_BYTES 24
static const char *percent(double part, char text[PERCENT_BYTES])
{
    if (part == 0)
        snprintf(text, PERCENT_BYTES, "none");
    else if (part < 0.0001)
        snprintf(text, PERCENT_BYTES, "less than 0.01 %%");
    else
        snprintf(text, PERCENT_BYTES, part < 0.01 ? "%.2f %%" : "%.1f %%", part * 100);
    return text;
}

static const char *shards(uint32_t count)
{
    return count == 1 ? "shard" : "shards";
}

/* A hot key that no number of shards helps, and what would. */
static void say_hottest(struct mr_result *result, const struct mr_scheme_result *scheme)
{
    const struct mr_hottest *hottest = &scheme->hottest;
    const struct mr_limits *limits = &result->analysis->config.limits;
    char key[KEY_BYTES], amount[MR_FIGURE_BYTES];

    if (!hottest->key || hottest->parts < 2)
        return;
    mr_key_show(hottest->key, key, sizeof key);
    if (hottest->by_bytes)
        mr_size_format(hottest->key->peak, amount);
    else
        mr_count_format(hottest->key->peak, amount);
    say(result,
        "With %s, the key %s alone brings %s%s in its busiest second, %.1f times what a shard "
        "takes "
        "(%.1f %% of all): no number of shards helps. Salt this key into %u (%s#0 to %s#%u); its "
        "records are then in order only within each of the %u.",
        mr_scheme_name(&scheme->of->scheme), key, amount, hottest->by_bytes ? "" : " records",
        (double)hottest->key->peak /
            (hottest->by_bytes ? limits->write_bytes_per_s : limits->write_records_per_s),
        hottest->share * 100, hottest->parts, key, key, hottest->parts - 1, hottest->parts);
}

static void say_best(struct mr_result *result)
{
    const struct mr_scheme_result *best = &result->schemes[result->best];
    const struct mr_outcome *outcome = &best->outcomes[best->suggested - 1];
    const struct mr_outcome *most = &best->outcomes[MR_GRID_SHARDS_MAX - 1];
    char low[PERCENT_BYTES], high[PERCENT_BYTES], budget[PERCENT_BYTES], least[PERCENT_BYTES];

    percent(outcome->low, low);
    percent(outcome->high, high);
    percent(result->throttled_max, budget);
    if (best->needed && outcome->high == 0)
        say(result,
            "Take %s with %u %s: nothing is throttled, the busiest second of a shard uses %.0f %% "
            "of "
            "its limit, $%.0f a month.",
            mr_scheme_name(&best->of->scheme), best->suggested, shards(best->suggested),
            outcome->busy.max * 100, outcome->dollars_a_month);
    else if (best->needed)
        say(result, "Take %s with %u %s: %s to %s is throttled (budget: %s), $%.0f a month.",
            mr_scheme_name(&best->of->scheme), best->suggested, shards(best->suggested), low, high,
            budget, outcome->dollars_a_month);
    else
        say(result,
            "No key here keeps the budget of %s throttled, with up to %d shards. The best is %s: "
            "with "
            "%u %s %s to %s is throttled, and %d would throttle %s.",
            budget, MR_GRID_SHARDS_MAX, mr_scheme_name(&best->of->scheme), best->suggested,
            shards(best->suggested), low, high, MR_GRID_SHARDS_MAX, percent(most->high, least));
    if (best->of->order)
        say(result,
            "Its salt costs order: %s of the records follow one of the same key that is in another "
            "shard.",
            percent(outcome->order_lost, low));
}

static void say_other(struct mr_result *result, const struct mr_scheme_result *scheme)
{
    const struct mr_scheme_result *best = &result->schemes[result->best];
    const struct mr_outcome *outcome = &scheme->outcomes[scheme->suggested - 1];
    char high[PERCENT_BYTES], effective[MR_FIGURE_BYTES], count[MR_FIGURE_BYTES];

    mr_count_format((uint64_t)llround(scheme->evenness.effective_keys), effective);
    mr_count_format((uint64_t)llround(scheme->key_count), count);
    if (!scheme->needed)
        say(result, "%s does not do: even %u shards throttle %s; its %s keys are as uneven as %s.",
            mr_scheme_name(&scheme->of->scheme), MR_GRID_SHARDS_MAX,
            percent(scheme->outcomes[MR_GRID_SHARDS_MAX - 1].high, high), count, effective);
    else if (scheme->suggested == best->suggested)
        say(result, "%s does as well with %u %s; the busiest second of a shard uses %.0f %%.",
            mr_scheme_name(&scheme->of->scheme), scheme->suggested, shards(scheme->suggested),
            outcome->busy.max * 100);
    else
        say(result, "%s needs %u %s for it, $%.0f a month; its %s keys are as uneven as %s.",
            mr_scheme_name(&scheme->of->scheme), scheme->suggested, shards(scheme->suggested),
            outcome->dollars_a_month, count, effective);
}

static void say_stream(struct mr_result *result)
{
    const struct mr_scheme_result *best = &result->schemes[result->best];
    const struct mr_outcome *outcome = &best->outcomes[MR_GRID_STREAM];
    char low[PERCENT_BYTES], high[PERCENT_BYTES];

    say(result,
        "The stream %s as it is, %u %s: %s to %s would be throttled, its busiest shard has %.1f "
        "times "
        "the mean load; %s.",
        result->stream, outcome->shard_count, shards(outcome->shard_count),
        percent(outcome->low, low), percent(outcome->high, high), outcome->imbalance,
        outcome->high > result->throttled_max ? "--advise says which shards to split"
        : best->needed && best->needed * 2 <= outcome->shard_count
            ? "it has more shards than it needs"
            : "it is well served");
}

static void say_money(struct mr_result *result)
{
    const struct mr_scheme_result *best = &result->schemes[result->best];
    double provisioned = best->outcomes[best->suggested - 1].dollars_a_month;
    double on_demand = best->dollars_on_demand;

    if (best->needed)
        say(result, "On demand the same traffic costs $%.0f a month, %s.", on_demand,
            on_demand > provisioned * 1.05   ? "more than these shards"
            : on_demand < provisioned * 0.95 ? "less than these shards"
                                             : "about as much");
}

/* A recording of little traffic answers for more of the same kind. */
static void say_scale(struct mr_result *result)
{
    const struct mr_scheme_result *best = &result->schemes[result->best];

    if (best->needed == 1 && best->outcomes[0].busy.max < LITTLE &&
        result->analysis->config.speed == 1)
        say(result, "This is little traffic for a shard: --speed 1000x asks about a thousand times "
                    "as much.");
}

void mr_result_judge(struct mr_result *result)
{
    say_best(result);
    for (size_t i = 0; i < result->scheme_count; i++)
        if (i != result->best)
            say_other(result, &result->schemes[i]);
    for (size_t i = 0; i < result->scheme_count; i++)
        if (!result->schemes[i].needed)
            say_hottest(result, &result->schemes[i]);
    if (result->stream)
        say_stream(result);
    say_money(result);
    say_scale(result);
}
