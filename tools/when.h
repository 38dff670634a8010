/* when.h - moments as people write them, and back. */
#ifndef MR_TOOLS_WHEN_H
#define MR_TOOLS_WHEN_H

#include "millrace.h"

enum mr_when_kind { MR_WHEN_START, MR_WHEN_LATEST, MR_WHEN_TIME, MR_WHEN_SEQUENCE };

struct mr_when {
    enum mr_when_kind kind;
    int64_t time_ms; /* TIME */
    uint64_t number; /* SEQUENCE */
};

/*
 * start | latest | -15m (s m h d) | 2026-11-22[T10:00[:00[.123]][Z|+01:00]] (UTC unless it says
 * otherwise; a blank may stand for the T) | seq:N (N short or 56 digits). INVALID.
 */
mr_status mr_when_parse(const char *text, int64_t now_ms, struct mr_when *when, mr_error *error);

#define MR_TIME_TEXT_BYTES 32
/* "2026-11-22T10:00:00.123Z" */
void mr_time_format(int64_t time_ms, char text[MR_TIME_TEXT_BYTES]);

#endif
