/* amount.h - numbers, shares and spans of time as people write them; and a random share. */
#ifndef MR_TOOLS_GEN_AMOUNT_H
#define MR_TOOLS_GEN_AMOUNT_H

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>

/* "1000", "1.5", "2k", "3M", "10%" (as 0.1): finite and not negative. */
bool mr_amount_parse(const char *text, double *amount);

/* "500ms", "10s", "5m", "2h", "1d"; a bare number is seconds. */
bool mr_span_parse(const char *text, double *seconds);

/* Exactly count amounts, with commas between them. */
bool mr_parts_parse(const char *text, double *amounts, size_t count);

/* 0 <= part < 1, in steps of 2^-53. */
static inline double mr_random_part(struct mr_random *random)
{
    return (double)(mr_random_next(random) >> 11) * 0x1p-53;
}

#endif
