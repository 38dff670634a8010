#include "gen/amount.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AMOUNT_CHARS_MAX 40

struct unit {
    const char *name;
    double factor;
};

/* A number and one of the units; the last of them has no name. */
static bool parse(const char *text, const struct unit *units, double *amount)
{
    char *end;

    /* strtod() takes more than people mean: hexadecimal, "inf", blanks. */
    if (strspn(text, "0123456789.") == 0)
        return false;
    *amount = strtod(text, &end);
    for (; *units->name && strcmp(end, units->name) != 0; units++)
        ;
    *amount *= units->factor;
    return strcmp(end, units->name) == 0 && isfinite(*amount);
}

bool mr_amount_parse(const char *text, double *amount)
{
    static const struct unit units[] = {{"k", 1e3}, {"M", 1e6}, {"%", 0.01}, {"", 1}};

    return parse(text, units, amount);
}

bool mr_span_parse(const char *text, double *seconds)
{
    static const struct unit units[] = {{"ms", 1e-3}, {"s", 1},     {"m", 60},
                                        {"h", 3600},  {"d", 86400}, {"", 1}};

    return parse(text, units, seconds);
}

bool mr_parts_parse(const char *text, double *amounts, size_t count)
{
    char copy[AMOUNT_CHARS_MAX];

    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(text, ",");

        if (size >= sizeof copy || (text[size] == ',') != (i + 1 < count))
            return false;
        memcpy(copy, text, size);
        copy[size] = 0;
        if (!mr_amount_parse(copy, &amounts[i]))
            return false;
        text += size + 1;
    }
    return true;
}
