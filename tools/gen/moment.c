#include "gen/moment.h"

#include <stdio.h>
#include <string.h>

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

struct mr_moment mr_moment_of(int64_t time_ms, bool is_utc)
{
    struct mr_moment moment = {.time_ms = time_ms, .is_utc = is_utc};
    time_t seconds = (time_t)(time_ms / 1000 - (time_ms % 1000 < 0));

    if (is_utc)
        gmtime_r(&seconds, &moment.parts);
    else
        localtime_r(&seconds, &moment.parts);
    return moment;
}

static const char *ordinal_of(int number)
{
    static const char *const endings[] = {"th", "st", "nd", "rd"};
    bool is_teen = number / 10 % 10 == 1;

    return is_teen || number % 10 > 3 ? "th" : endings[number % 10];
}

static void text(struct mr_pack *out, const char *string)
{
    mr_pack_bytes(out, (mr_bytes){string, strlen(string)});
}

static void number(struct mr_pack *out, int width, long long value)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%0*lld", width, value);
    text(out, digits);
}

static void short_text(struct mr_pack *out, const char *string)
{
    mr_pack_bytes(out, (mr_bytes){string, 3});
}

static void offset(struct mr_pack *out, const struct tm *parts, const char *between)
{
    long minutes = parts->tm_gmtoff / 60, size = minutes < 0 ? -minutes : minutes;

    mr_pack_u8(out, minutes < 0 ? '-' : '+');
    number(out, 2, size / 60);
    text(out, between);
    number(out, 2, size % 60);
}

/* The letters of one kind that come together, and what they mean. False: nothing. */
static bool format_one(struct mr_pack *out, const struct mr_moment *moment, char letter, int count)
{
    const struct tm *parts = &moment->parts;
    int hour = parts->tm_hour, milliseconds = (int)((moment->time_ms % 1000 + 1000) % 1000);

    /* clang-format off */
#define CODE(letter, count) ((letter) << 4 | (count))
    switch (CODE(letter, count)) {
    case CODE('Y', 4): number(out, 4, parts->tm_year + 1900LL); break;
    case CODE('Y', 2): number(out, 2, (parts->tm_year + 1900LL) % 100); break;
    case CODE('Q', 1): number(out, 1, parts->tm_mon / 3 + 1); break;
    case CODE('M', 1):
    case CODE('M', 2): number(out, count, parts->tm_mon + 1); break;
    case CODE('M', 3): short_text(out, months[parts->tm_mon]); break;
    case CODE('M', 4): text(out, months[parts->tm_mon]); break;
    case CODE('D', 1):
    case CODE('D', 2): number(out, count, parts->tm_mday); break;
    case CODE('D', 3): number(out, 1, parts->tm_yday + 1); break;
    case CODE('D', 4): number(out, 3, parts->tm_yday + 1); break;
    case CODE('d', 1): number(out, 1, parts->tm_wday); break;
    case CODE('E', 1): number(out, 1, (parts->tm_wday + 6) % 7 + 1); break;
    case CODE('d', 3): short_text(out, days[parts->tm_wday]); break;
    case CODE('d', 4): text(out, days[parts->tm_wday]); break;
    case CODE('H', 1):
    case CODE('H', 2): number(out, count, hour); break;
    case CODE('h', 1):
    case CODE('h', 2): number(out, count, (hour + 11) % 12 + 1); break;
    case CODE('k', 1):
    case CODE('k', 2): number(out, count, (hour + 23) % 24 + 1); break;
    case CODE('m', 1):
    case CODE('m', 2): number(out, count, parts->tm_min); break;
    case CODE('s', 1):
    case CODE('s', 2): number(out, count, parts->tm_sec); break;
    case CODE('S', 1): number(out, 1, milliseconds / 100); break;
    case CODE('S', 2): number(out, 2, milliseconds / 10); break;
    case CODE('S', 3): number(out, 3, milliseconds); break;
    case CODE('A', 1): text(out, hour < 12 ? "AM" : "PM"); break;
    case CODE('a', 1): text(out, hour < 12 ? "am" : "pm"); break;
    case CODE('Z', 1): offset(out, parts, ":"); break;
    case CODE('Z', 2): offset(out, parts, ""); break;
    case CODE('X', 1): number(out, 1, (moment->time_ms - milliseconds) / 1000); break;
    case CODE('x', 1): number(out, 1, moment->time_ms); break;
    default: return false;
    }
#undef CODE
    /* clang-format on */
    return true;
}

/* As many of a letter as mean something: "SSSS" is SSS and S. Returns how many. */
static size_t format_longest(struct mr_pack *out, const struct mr_moment *moment, const char *at,
                             size_t run)
{
    for (size_t count = run < 4 ? run : 4; count > 0; count--)
        if (format_one(out, moment, *at, (int)count))
            return count;
    mr_pack_u8(out, (uint8_t)*at);
    return 1;
}

void mr_moment_format(struct mr_pack *out, const struct mr_moment *moment, mr_bytes format)
{
    const char *at = format.data, *end = at + format.size;

    while (at < end) {
        const char *bracket = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
        size_t run = 1;

        if (bracket) {
            mr_pack_bytes(out, (mr_bytes){at + 1, (size_t)(bracket - at - 1)});
            at = bracket + 1;
            continue;
        }
        if (end - at >= 2 && at[0] == 'D' && at[1] == 'o') {
            number(out, 1, moment->parts.tm_mday);
            text(out, ordinal_of(moment->parts.tm_mday));
            at += 2;
            continue;
        }
        while (at + run < end && at[run] == *at)
            run++;
        at += format_longest(out, moment, at, run);
    }
}
