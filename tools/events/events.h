/*
 * events.h - files of events as records: recordings of streams, NDJSON, CSV; plain, gzip or zstd.
 *
 * A recording is NDJSON with an object a record:
 *
 *     {"time":"2001-01-01T00:47:00.000Z","key":"DTW","data":"..."}
 *
 * time is ISO 8601 or milliseconds since 1970; "hash", a decimal number as text, is the explicit hash
 * key of a record that has one; data that is not text is "base64" instead of "data". Members that
 * are not known are passed over.
 *
 * Nothing is lost silently: lines read = events given out + rejected + skipped, at every moment.
 */
#ifndef MR_TOOLS_EVENTS_H
#define MR_TOOLS_EVENTS_H

#include "base/pack.h"
#include "millrace.h"

#define MR_EVENT_FIELDS_MAX 16
#define MR_EVENT_NO_TIME INT64_MIN

enum mr_event_format {
    MR_EVENTS_GUESS, /* by the first line: CSV unless it is an object; a recording has "key" and data */
    MR_EVENTS_RECORDING,
    MR_EVENTS_JSON, /* an object a line, which is the data */
    MR_EVENTS_CSV,  /* names in the first line; the data is the line */
};

/* Field names are paths as "user.id" in JSON, column names in CSV, paths into the data (if that is
 * JSON) in a recording, where "$key" is the key recorded. */
struct mr_events_config {
    const char *path; /* NULL or "-": standard input */
    enum mr_event_format format;
    const char *key_field; /* becomes the partition key; NULL: the one recorded, or none */
    const char
        *time_field; /* NULL: the one recorded, or of other files "time" where there is one */
    const char
        *fields[MR_EVENT_FIELDS_MAX]; /* more that are wanted: an event without is rejected */
    size_t field_count;
    bool strict; /* stop at the first line that has to be rejected */
    /* Called for each rejected line; may be NULL. */
    void (*reject)(void *context, uint64_t line, const char *why);
    void *context;
};

struct mr_event {
    uint64_t line;   /* where it stands, from 1 */
    int64_t time_ms; /* or MR_EVENT_NO_TIME */
    mr_bytes key;    /* empty if there is none */
    mr_bytes data;   /* or, when only its size is wanted, data.data may be NULL */
    bool has_hash_key;
    mr_hash_key hash_key;
    mr_bytes fields[MR_EVENT_FIELDS_MAX]; /* as in the config */
};

struct mr_events_totals {
    uint64_t line_count; /* = event_count + rejected_count + skipped_count */
    uint64_t event_count, rejected_count;
    uint64_t skipped_count;          /* blank lines and the names of a CSV */
    uint64_t backward_count;         /* events whose time is before that of one before them */
    uint64_t read_bytes, file_bytes; /* of the file as it is stored; file_bytes 0: not known */
};

struct mr_events;

/* NOT_FOUND, IO, INVALID (a CSV without a column wanted). Close with mr_events_close(). */
mr_status mr_events_open(struct mr_events **events, const struct mr_events_config *config,
                         mr_error *error);

/*
 * The next events, 1 to count_max; all their bytes are valid until the next call. Waits only while
 * it has none, so it follows a pipe. *count 0 is the end. IO; CORRUPT: a compressed file is
 * damaged or cut short, what came before has been given out; INVALID: a strict reader met a bad
 * line. After a failure every call fails so.
 */
mr_status mr_events_read(struct mr_events *events, struct mr_event *batch, size_t count_max,
                         size_t *count, mr_error *error);

void mr_events_totals(const struct mr_events *events, struct mr_events_totals *totals);
enum mr_event_format mr_events_format(const struct mr_events *events); /* after the first read */
void mr_events_close(struct mr_events *events);                        /* NULL is allowed */

/* Appends an event to a recording, with its newline. */
void mr_event_write(struct mr_pack *out, const struct mr_event *event);

/*
 * A moment as files have it: ISO 8601 (blank or T, fraction, Z or offset; UTC without), seconds,
 * milli-, micro- or nanoseconds since 1970 (told apart by their size), "Sun, 22 Nov 2026 10:00:00
 * GMT", "22/Nov/2026:10:00:00 +0100".
 */
bool mr_event_time_parse(mr_bytes text, int64_t *time_ms);

/* "2001-01-01T00:47:00.000Z": writes 24 characters, no NUL, for years 0000 to 9999. */
#define MR_EVENT_TIME_CHARS 24
void mr_event_time_format(int64_t time_ms, char out[MR_EVENT_TIME_CHARS]);

#endif
