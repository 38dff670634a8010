#include "when.h"

#include "base/fail.h"
#include "options.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* "-15m" */
static bool parse_ago(const char *text, int64_t *ago_ms)
{
    static const char letters[] = "smhd";
    static const int64_t unit_ms[] = {1000, 60000, 3600000, 86400000};
    size_t digit_count = strspn(text, "0123456789");
    const char *letter =
        digit_count > 0 && digit_count < 9 ? strchr(letters, text[digit_count]) : 0;
    int64_t count = 0;

    if (!letter || !*letter || text[digit_count + 1])
        return false;
    for (size_t i = 0; i < digit_count; i++)
        count = count * 10 + (text[i] - '0');
    *ago_ms = count * unit_ms[letter - letters];
    return true;
}

/* Exactly so many digits, within limits; moves *at behind them. */
static bool take(const char **at, unsigned digit_count, int low, int high, int *value)
{
    *value = 0;
    for (unsigned i = 0; i < digit_count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return *value >= low && *value <= high;
}

static bool take_char(const char **at, const char *any_of)
{
    if (!**at || !strchr(any_of, **at))
        return false;
    (*at)++;
    return true;
}

/* "Z", "+01:00", "+0100" or nothing. */
static bool take_zone(const char **at, int64_t *offset_ms)
{
    int hours, minutes, sign = **at == '-' ? -1 : 1;

    *offset_ms = 0;
    if (take_char(at, "Zz") || !**at)
        return true;
    if (!take_char(at, "+-") || !take(at, 2, 0, 23, &hours))
        return false;
    take_char(at, ":");
    if (!take(at, 2, 0, 59, &minutes))
        return false;
    *offset_ms = (int64_t)sign * (hours * 60 + minutes) * 60000;
    return true;
}

static bool parse_time(const char *at, int64_t *time_ms)
{
    int year, month, day, hour = 0, minute = 0, second = 0, milli = 0;
    int64_t offset_ms = 0;
    struct tm parts;
    time_t seconds;

    if (!take(&at, 4, 1970, 9999, &year) || !take_char(&at, "-") || !take(&at, 2, 1, 12, &month) ||
        !take_char(&at, "-") || !take(&at, 2, 1, 31, &day))
        return false;
    if (take_char(&at, "Tt ")) {
        if (!take(&at, 2, 0, 23, &hour) || !take_char(&at, ":") || !take(&at, 2, 0, 59, &minute))
            return false;
        if (take_char(&at, ":") && !take(&at, 2, 0, 59, &second))
            return false;
        if (take_char(&at, ".")) {
            if (*at < '0' || *at > '9')
                return false;
            for (int unit = 100; *at >= '0' && *at <= '9'; at++, unit /= 10)
                milli += (*at - '0') * unit;
        }
        if (!take_zone(&at, &offset_ms))
            return false;
    }
    parts = (struct tm){.tm_year = year - 1900,
                        .tm_mon = month - 1,
                        .tm_mday = day,
                        .tm_hour = hour,
                        .tm_min = minute,
                        .tm_sec = second};
    seconds = timegm(&parts);
    *time_ms = (int64_t)seconds * 1000 + milli - offset_ms;
    return !*at && parts.tm_mday == day; /* no 31st of February */
}

static bool parse_sequence(const char *text, uint64_t *number)
{
    mr_sequence sequence;

    if (strlen(text) < 20)
        return mr_number_parse(text, number) && *number <= INT64_MAX;
    if (mr_sequence_parse(text, &sequence, NULL))
        return false;
    *number = sequence.number;
    return true;
}

mr_status mr_when_parse(const char *text, int64_t now_ms, struct mr_when *when, mr_error *error)
{
    bool good;

    *when = (struct mr_when){MR_WHEN_START, 0, 0};
    if (strcmp(text, "start") == 0)
        return MR_OK;
    if (strcmp(text, "latest") == 0) {
        when->kind = MR_WHEN_LATEST;
        return MR_OK;
    }
    if (strncmp(text, "seq:", 4) == 0) {
        when->kind = MR_WHEN_SEQUENCE;
        good = parse_sequence(text + 4, &when->number);
    } else if (text[0] == '-') {
        when->kind = MR_WHEN_TIME;
        good = parse_ago(text + 1, &when->time_ms);
        when->time_ms = now_ms > when->time_ms ? now_ms - when->time_ms : 0;
    } else {
        when->kind = MR_WHEN_TIME;
        good = parse_time(text, &when->time_ms);
    }
    if (good)
        return MR_OK;
    return mr_fail(error, MR_INVALID,
                   "'%s' is no moment: use start, latest, -15m, 2026-11-22T10:00Z or seq:N", text);
}

void mr_time_format(int64_t time_ms, char text[MR_TIME_TEXT_BYTES])
{
    /* Times come in runs of the same second: its text is kept. */
    static _Thread_local int64_t last_s = INT64_MIN;
    static _Thread_local char last_text[MR_TIME_TEXT_BYTES];
    int milli = (int)(((time_ms % 1000) + 1000) % 1000);
    int64_t second = (time_ms - milli) / 1000;
    size_t size;

    if (second != last_s) {
        time_t moment = (time_t)second;
        struct tm parts;

        gmtime_r(&moment, &parts);
        strftime(last_text, sizeof last_text, "%Y-%m-%dT%H:%M:%S", &parts);
        last_s = second;
    }
    size = strlen(last_text);
    memcpy(text, last_text, size);
    text[size++] = '.';
    text[size++] = (char)('0' + milli / 100);
    text[size++] = (char)('0' + milli / 10 % 10);
    text[size++] = (char)('0' + milli % 10);
    text[size++] = 'Z';
    text[size] = 0;
}
