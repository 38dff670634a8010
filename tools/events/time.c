#include "events/events.h"

#include <string.h>

#define DAY_MS INT64_C(86400000)

/* Days since 1970 of a date of the Gregorian calendar. Years begin in March here, so that the day
 * that some have more is their last. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_day(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (leaps && month == 2);
}

struct text {
    const char *at, *end;
};

static bool take(struct text *text, const char *any_of)
{
    if (text->at == text->end || !strchr(any_of, *text->at) || !*text->at)
        return false;
    text->at++;
    return true;
}

/* A number of so many digits. */
static bool take_number(struct text *text, int low_count, int high_count, int *number)
{
    int count = 0;

    *number = 0;
    for (; count < high_count && text->at < text->end && *text->at >= '0' && *text->at <= '9';
         count++)
        *number = *number * 10 + (*text->at++ - '0');
    return count >= low_count;
}

static bool take_month(struct text *text, int *month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12 && text->end - text->at >= 3; i++)
        if (memcmp(text->at, names + 3 * i, 3) == 0) {
            text->at += 3;
            *month = i + 1;
            return true;
        }
    return false;
}

/* "10:00", "10:00:00", "10:00:00.123456", a comma for the point as well; a leap second is the one
 * before it. */
static bool take_clock(struct text *text, int64_t *ms)
{
    int hour, minute, second = 0, unit = 100, milli = 0;

    if (!take_number(text, 1, 2, &hour) || hour > 23 || !take(text, ":") ||
        !take_number(text, 2, 2, &minute) || minute > 59)
        return false;
    if (take(text, ":")) {
        if (!take_number(text, 2, 2, &second) || second > 60)
            return false;
        if (take(text, ".,"))
            for (int digit; take_number(text, 1, 1, &digit); unit /= 10)
                milli += digit * unit;
    }
    second -= second == 60;
    *ms = ((int64_t)hour * 60 + minute) * 60000 + second * 1000 + milli;
    return true;
}

/* "Z", "GMT", "UTC", "+01:00", "-0800", "+01" or nothing; to the end. */
static bool take_zone(struct text *text, int64_t *offset_ms)
{
    int hours, minutes = 0, sign;

    *offset_ms = 0;
    while (take(text, " "))
        continue;
    if (text->at == text->end)
        return true;
    if (text->end - text->at == 3)
        if (memcmp(text->at, "GMT", 3) == 0 || memcmp(text->at, "UTC", 3) == 0)
            return true;
    if (take(text, "Zz"))
        return text->at == text->end;
    sign = *text->at == '-' ? -1 : 1;
    if (!take(text, "+-") || !take_number(text, 2, 2, &hours) || hours > 23)
        return false;
    take(text, ":");
    if (text->at < text->end && (!take_number(text, 2, 2, &minutes) || minutes > 59))
        return false;
    *offset_ms = (int64_t)sign * (hours * 60 + minutes) * 60000;
    return text->at == text->end;
}

/* "2001-01-01", "2001-01-01T00:47:00.123Z" */
static bool parse_iso(struct text text, int64_t *time_ms)
{
    int year, month, day;
    int64_t clock_ms = 0, offset_ms = 0;

    if (!take_number(&text, 4, 4, &year) || year == 0 || !take(&text, "-/") ||
        !take_number(&text, 1, 2, &month) || !take(&text, "-/") ||
        !take_number(&text, 1, 2, &day) || !is_day(year, month, day))
        return false;
    if (take(&text, "Tt ") && (!take_clock(&text, &clock_ms) || !take_zone(&text, &offset_ms)))
        return false;
    *time_ms = days_of(year, month, day) * DAY_MS + clock_ms - offset_ms;
    return text.at == text.end;
}

/* "Sun, 22 Nov 2026 10:00:00 GMT" and "22/Nov/2026:10:00:00 +0100" */
static bool parse_named(struct text text, int64_t *time_ms)
{
    const char *comma = memchr(text.at, ',', (size_t)(text.end - text.at));
    int year, month, day;
    int64_t clock_ms, offset_ms;

    if (comma)
        text.at = comma + 1;
    take(&text, "[ ");
    if (!take_number(&text, 1, 2, &day) || !take(&text, " /-") || !take_month(&text, &month) ||
        !take(&text, " /-") || !take_number(&text, 4, 4, &year) || year == 0 ||
        !take(&text, " :") || !is_day(year, month, day) || !take_clock(&text, &clock_ms))
        return false;
    if (text.at < text.end && text.end[-1] == ']')
        text.end--;
    if (!take_zone(&text, &offset_ms))
        return false;
    *time_ms = days_of(year, month, day) * DAY_MS + clock_ms - offset_ms;
    return true;
}

/*
 * Seconds and their parts since 1970. A number of seconds stays below 2e10 until the year 2600;
 * milliseconds above it are later than August 1970, and so on by thousands.
 */
static bool parse_number(struct text text, int64_t *time_ms)
{
    bool negative = take(&text, "-");
    int64_t whole = 0;
    int milli = 0, unit = 100, digit, count = 0;

    for (; count < 19 && take_number(&text, 1, 1, &digit); count++)
        whole = whole > INT64_MAX / 10 - 1 ? INT64_MAX / 10 : whole * 10 + digit;
    if (count == 0)
        return false;
    if (whole < INT64_C(20000000000)) {
        if (take(&text, "."))
            for (; take_number(&text, 1, 1, &digit); unit /= 10)
                milli += digit * unit;
        whole = whole * 1000 + milli;
    } else {
        if (take(&text, "."))
            while (take_number(&text, 1, 1, &digit))
                continue;
        while (whole >= INT64_C(20000000000000))
            whole /= 1000;
    }
    *time_ms = negative ? -whole : whole;
    return text.at == text.end;
}

bool mr_event_time_parse(mr_bytes bytes, int64_t *time_ms)
{
    struct text text = {bytes.data, bytes.data};

    if (!bytes.size)
        return false;
    text.end += bytes.size;
    while (take(&text, " \t"))
        continue;
    while (text.end > text.at && (text.end[-1] == ' ' || text.end[-1] == '\t'))
        text.end--;
    return parse_iso(text, time_ms) || parse_number(text, time_ms) || parse_named(text, time_ms);
}

static char *put_number(char *out, int64_t number, int digit_count, char behind)
{
    for (int i = digit_count; i-- > 0; number /= 10)
        out[i] = (char)('0' + number % 10);
    out[digit_count] = behind;
    return out + digit_count + 1;
}

void mr_event_time_format(int64_t time_ms, char out[MR_EVENT_TIME_CHARS])
{
    int64_t day = time_ms / DAY_MS - (time_ms % DAY_MS < 0), ms = time_ms - day * DAY_MS;
    int64_t shifted = day + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100),
            month = (5 * of_year + 2) / 153;
    int64_t of_month = of_year - (153 * month + 2) / 5 + 1;
    char text[MR_EVENT_TIME_CHARS + 1], *at = text;

    month += month < 10 ? 3 : -9;
    at = put_number(at, year + era * 400 + (month <= 2), 4, '-');
    at = put_number(at, month, 2, '-');
    at = put_number(at, of_month, 2, 'T');
    at = put_number(at, ms / 3600000, 2, ':');
    at = put_number(at, ms / 60000 % 60, 2, ':');
    at = put_number(at, ms / 1000 % 60, 2, '.');
    put_number(at, ms % 1000, 3, 'Z');
    memcpy(out, text, MR_EVENT_TIME_CHARS);
}
