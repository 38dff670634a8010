#include "figures.h"

#include "output.h"

#include <stdio.h>
#include <string.h>

const char *mr_size_format(uint64_t bytes, char text[MR_FIGURE_BYTES])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double size = (double)bytes / 1000;
    unsigned unit = 0;

    if (bytes == UINT64_MAX)
        return strcpy(text, "-"); /* nobody knows */
    if (bytes < 1000) {
        snprintf(text, MR_FIGURE_BYTES, "%u B", (unsigned)bytes);
        return text;
    }
    for (; size >= 999.5; unit++)
        size /= 1000;
    snprintf(text, MR_FIGURE_BYTES, size < 9.95 ? "%.1f %s" : "%.0f %s", size, units[unit]);
    return text;
}

const char *mr_count_format(uint64_t count, char text[MR_FIGURE_BYTES])
{
    char digits[MR_FIGURE_BYTES];
    int digit_count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *out = text;

    if (count == UINT64_MAX)
        return strcpy(text, "-");
    for (int i = 0; i < digit_count; i++) {
        if (i > 0 && (digit_count - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = 0;
    return text;
}

const char *mr_duration_format(double seconds, char text[MR_FIGURE_BYTES])
{
    if (seconds < 0.001)
        snprintf(text, MR_FIGURE_BYTES, "%.0f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(text, MR_FIGURE_BYTES, seconds < 0.01 ? "%.1f ms" : "%.0f ms", seconds * 1e3);
    else if (seconds < 60)
        snprintf(text, MR_FIGURE_BYTES, "%.1f s", seconds);
    else
        snprintf(text, MR_FIGURE_BYTES, "%.0f min %.0f s", (seconds - (int)seconds % 60) / 60,
                 (double)((int)seconds % 60));
    return text;
}

const char *mr_bar_format(double part, unsigned width, char text[MR_BAR_BYTES])
{
    static const char *const eighths[] = {"▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    double columns;
    unsigned full, rest, used;
    char *out = text;

    width = width > 60 ? 60 : width;
    part = part > 1 ? 1 : part > 0 ? part : 0;
    columns = part * width;
    full = used = mr_output_is_utf8() ? (unsigned)columns : (unsigned)(columns + 0.5);
    rest = mr_output_is_utf8() ? (unsigned)((columns - full) * 8) : 0;
    for (unsigned i = 0; i < full; i++)
        out = stpcpy(out, mr_output_is_utf8() ? "█" : "#");
    if (rest == 0 && full == 0 && part > 0)
        rest = 1; /* a little is not nothing */
    if (rest > 0) {
        out = stpcpy(out, mr_output_is_utf8() ? eighths[rest - 1] : ".");
        used++;
    }
    while (used++ < width)
        *out++ = ' ';
    *out = 0;
    return text;
}

unsigned mr_text_width(const char *text)
{
    unsigned width = 0;

    for (; *text; text++)
        width += ((uint8_t)*text & 0xc0) != 0x80;
    return width;
}
