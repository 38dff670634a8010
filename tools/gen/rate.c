#include "gen/rate.h"

#include "base/fail.h"
#include "gen/amount.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RATE_MAX 1e9
#define DAY_S 86400.0

/* ---- the count of records up to a moment, and its inverse ---------------------------------- */

/* Within one period. */
static double burst_count(const struct mr_rate *rate, double seconds)
{
    double quiet_s = rate->period_s - rate->length_s;

    return rate->low * fmin(seconds, quiet_s) + rate->high * fmax(seconds - quiet_s, 0);
}

static double burst_due_s(const struct mr_rate *rate, double count)
{
    double quiet_s = rate->period_s - rate->length_s, quiet_count = rate->low * quiet_s;

    return count < quiet_count ? count / rate->low : quiet_s + (count - quiet_count) / rate->high;
}

static double wave_count(const struct mr_rate *rate, double seconds)
{
    double turn = 2 * M_PI / rate->period_s, mean = (rate->low + rate->high) / 2;

    return mean * seconds - (rate->high - rate->low) / 2 * sin(turn * seconds) / turn;
}

/* Newton's steps, kept between two moments that enclose the answer. */
static double wave_due_s(const struct mr_rate *rate, double count)
{
    double from = 0, to = rate->period_s, turn = 2 * M_PI / rate->period_s;
    double at = 2 * count / (rate->low + rate->high);

    for (int i = 0; i < 60 && to - from > 1e-10 * rate->period_s; i++) {
        double missing = count - wave_count(rate, at), slope, next;

        if (missing > 0)
            from = at;
        else
            to = at;
        slope = (rate->low + rate->high) / 2 - (rate->high - rate->low) / 2 * cos(turn * at);
        next = at + missing / slope;
        if (!(next > from && next < to)) /* out of bounds, or the slope was 0 */
            next = (from + to) / 2;
        if (fabs(next - at) < 1e-12 * rate->period_s)
            return next;
        at = next;
    }
    return at;
}

double mr_rate_count(const struct mr_rate *rate, double seconds)
{
    double periods = rate->period_s > 0 ? floor(seconds / rate->period_s) : 0;
    double rest_s = seconds - periods * rate->period_s;

    switch (rate->kind) {
    case MR_RATE_CONSTANT:
        return rate->low * seconds;
    case MR_RATE_BURST:
        return periods * burst_count(rate, rate->period_s) + burst_count(rate, rest_s);
    case MR_RATE_DIURNAL:
        return periods * wave_count(rate, rate->period_s) + wave_count(rate, rest_s);
    default:
        return INFINITY;
    }
}

double mr_rate_due_s(const struct mr_rate *rate, uint64_t index)
{
    double a_period, periods, rest;

    if (rate->kind == MR_RATE_NONE)
        return 0;
    if (rate->kind == MR_RATE_CONSTANT)
        return (double)index / rate->low;
    a_period = mr_rate_count(rate, rate->period_s);
    periods = floor((double)index / a_period);
    rest = (double)index - periods * a_period;
    return periods * rate->period_s +
           (rate->kind == MR_RATE_BURST ? burst_due_s(rate, rest) : wave_due_s(rate, rest));
}

/* ---- reading ------------------------------------------------------------------------------ */

/* "LOW,HIGH" and up to two spans behind them, at the end of the text. */
static bool parse_parts(const char *text, struct mr_rate *rate, size_t span_count)
{
    char copy[120], *part = copy;
    double *spans[] = {&rate->period_s, &rate->length_s};
    size_t comma_count = 0, size = strlen(text);

    if (size >= sizeof copy)
        return false;
    memcpy(copy, text, size + 1);
    for (const char *at = text; *at; at++)
        comma_count += *at == ',';
    if (comma_count != 1 + span_count)
        return false;
    for (size_t i = 0; i < 2 + span_count; i++) {
        char *end = part + strcspn(part, ",");

        *end = 0;
        if (i < 2 ? !mr_amount_parse(part, i == 0 ? &rate->low : &rate->high)
                  : !mr_span_parse(part, spans[i - 2]))
            return false;
        part = end + 1;
    }
    return rate->high > 0 && rate->high <= RATE_MAX && rate->low <= RATE_MAX && rate->period_s > 0;
}

mr_status mr_rate_parse(const char *text, struct mr_rate *rate, mr_error *error)
{
    *rate = (struct mr_rate){.period_s = DAY_S};
    if (strncmp(text, "burst:", 6) == 0) {
        rate->kind = MR_RATE_BURST;
        if (parse_parts(text + 6, rate, 2) && rate->length_s > 0 &&
            rate->length_s <= rate->period_s)
            return MR_OK;
    } else if (strncmp(text, "diurnal:", 8) == 0) {
        rate->kind = MR_RATE_DIURNAL;
        if ((parse_parts(text + 8, rate, 0) || parse_parts(text + 8, rate, 1)) &&
            rate->low <= rate->high)
            return MR_OK;
    } else {
        rate->kind = MR_RATE_CONSTANT;
        if (mr_amount_parse(text, &rate->low) && rate->low > 0 && rate->low <= RATE_MAX)
            return MR_OK;
    }
    return mr_fail(error, MR_INVALID,
                   "a rate is records a second, as 1000, burst:100,5000,60s,5s or "
                   "diurnal:10,200,1d, not '%s'",
                   text);
}
