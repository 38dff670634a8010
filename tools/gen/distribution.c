#include "gen/distribution.h"

#include "base/fail.h"
#include "gen/amount.h"

#include <math.h>
#include <string.h>

#define EXPONENT_MAX 100

/*
 * Zipf by rejection from the inverse of an integral (Hörmann and Derflinger, 1996): whatever the
 * number of keys, no table and about one try a draw. density() is the curve over the ranks 1, 2, ...;
 * area() its integral, and rank() the inverse of that.
 */
static double density(double exponent, double x)
{
    return exp(-exponent * log(x));
}

static double area(double exponent, double x)
{
    double power = 1 - exponent, logarithm = log(x);

    return fabs(power) < 1e-9 ? logarithm : expm1(power * logarithm) / power;
}

static double rank(double exponent, double at)
{
    double power = 1 - exponent;

    if (fabs(power) < 1e-9)
        return exp(at);
    /* Rounding may carry it out of the domain, which ends at -1. */
    return exp(log1p(fmax(at * power, -1 + 1e-15)) / power);
}

static void prepare_zipf(struct mr_distribution *d)
{
    double s = d->exponent;

    d->area_first = area(s, 1.5) - 1;
    d->area_last = area(s, (double)d->key_count + 0.5);
    d->sure = 2 - rank(s, area(s, 2.5) - density(s, 2));
}

static uint64_t draw_zipf(const struct mr_distribution *d, struct mr_random *random)
{
    for (;;) {
        double at = d->area_last + mr_random_part(random) * (d->area_first - d->area_last);
        double x = rank(d->exponent, at), nearest = floor(x + 0.5);

        nearest = fmin(fmax(nearest, 1), (double)d->key_count);
        if (nearest - x <= d->sure ||
            at >= area(d->exponent, nearest + 0.5) - density(d->exponent, nearest))
            return (uint64_t)nearest - 1;
    }
}

static uint64_t draw_hotset(const struct mr_distribution *d, struct mr_random *random)
{
    if (d->hot_count == d->key_count || mr_random_part(random) < d->hot_share)
        return mr_random_below(random, d->hot_count);
    return d->hot_count + mr_random_below(random, d->key_count - d->hot_count);
}

uint64_t mr_distribution_draw(struct mr_distribution *d, struct mr_random *random, int64_t time_ms)
{
    uint64_t index = d->drawn_count++;

    switch (d->kind) {
    case MR_DISTRIBUTION_ZIPF:
        return draw_zipf(d, random);
    case MR_DISTRIBUTION_HOTSET:
        return draw_hotset(d, random);
    case MR_DISTRIBUTION_SEQUENTIAL:
        return index % d->key_count;
    case MR_DISTRIBUTION_TIMESTAMP:
        return (uint64_t)time_ms;
    default:
        return mr_random_below(random, d->key_count);
    }
}

/* ---- reading ------------------------------------------------------------------------------ */

static mr_status parse_zipf(const char *text, struct mr_distribution *d, mr_error *error)
{
    if (!mr_amount_parse(text, &d->exponent) || d->exponent > EXPONENT_MAX)
        return mr_fail(error, MR_INVALID, "zipf:S takes an exponent from 0 to %d, not '%s'",
                       EXPONENT_MAX, text);
    prepare_zipf(d);
    return MR_OK;
}

static mr_status parse_hotset(const char *text, struct mr_distribution *d, mr_error *error)
{
    double parts[2];

    if (!mr_parts_parse(text, parts, 2) || parts[0] <= 0 || parts[0] > 1 || parts[1] > 1)
        return mr_fail(error, MR_INVALID,
                       "hotset:F,P takes a part of the keys and their share of the records, as "
                       "hotset:10%%,90%%, not '%s'",
                       text);
    d->hot_count = (uint64_t)ceil(parts[0] * (double)d->key_count);
    d->hot_count = d->hot_count > d->key_count ? d->key_count : d->hot_count;
    d->hot_share = parts[1];
    return MR_OK;
}

mr_status mr_distribution_parse(const char *text, uint64_t key_count, struct mr_distribution *d,
                                mr_error *error)
{
    static const char *const names[] = {"uniform", "zipf:", "hotset:", "sequential", "timestamp"};

    *d = (struct mr_distribution){.key_count = key_count};
    for (size_t kind = 0; kind < sizeof names / sizeof *names; kind++) {
        size_t size = strlen(names[kind]);
        bool has_more = names[kind][size - 1] == ':';

        if (has_more ? strncmp(text, names[kind], size) != 0 : strcmp(text, names[kind]) != 0)
            continue;
        d->kind = (enum mr_distribution_kind)kind;
        if (d->kind == MR_DISTRIBUTION_ZIPF)
            return parse_zipf(text + size, d, error);
        if (d->kind == MR_DISTRIBUTION_HOTSET)
            return parse_hotset(text + size, d, error);
        return MR_OK;
    }
    return mr_fail(error, MR_INVALID,
                   "a distribution is uniform, zipf:S, hotset:F,P, sequential or timestamp, not "
                   "'%s'",
                   text);
}
