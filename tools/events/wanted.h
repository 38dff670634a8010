/* wanted.h - the values that are looked for in each line, by name, and how lines have them. */
#ifndef MR_TOOLS_EVENTS_WANTED_H
#define MR_TOOLS_EVENTS_WANTED_H

#include "events/events.h"

#include "base/arena.h"

#define WANTED_MAX (MR_EVENT_FIELDS_MAX + 2)

struct mr_wanted {
    const char *names[WANTED_MAX]; /* those of the config's fields, the key's and the time's */
    size_t count;
    mr_bytes values[WANTED_MAX]; /* of the line at hand; data NULL: it has none */
    /* of a CSV */
    size_t columns[WANTED_MAX], column_count;
    char separator;
};

#define MR_MINUTE_CHARS 16 /* "2001-01-01T00:47" */

struct mr_line_reader {
    struct mr_arena *arena;       /* for what has to be unescaped; valid as long as that */
    char why[160];                /* a line is bad */
    char minute[MR_MINUTE_CHARS]; /* the last that was read, */
    int64_t minute_ms;            /* and when it began */
};

/* Fills the values from one JSON object. */
bool mr_wanted_find_json(struct mr_wanted *wanted, struct mr_line_reader *reader, mr_bytes text);

/* Reads the names of columns; false: reader->why names the first that is missing. `is_needed` says of
 * each wanted whether it may be. */
bool mr_wanted_find_columns(struct mr_wanted *wanted, struct mr_line_reader *reader, mr_bytes line,
                            const bool is_needed[WANTED_MAX]);
/* Fills the values from one row. */
bool mr_wanted_find_cells(struct mr_wanted *wanted, struct mr_line_reader *reader, mr_bytes line);

/* A line of a recording: event gets time, key, data and hash key. */
bool mr_recording_read(struct mr_event *event, struct mr_line_reader *reader, mr_bytes line);
/* The first line of text, if it is a good one just as mr_event_write() writes most of them: how long
 * it is with its newline. 0: read it as the others. */
size_t mr_recording_take(struct mr_event *event, struct mr_line_reader *reader, mr_bytes text);
/* Is it one, by its members? */
bool mr_recording_is(mr_bytes line);

/* Says why a line is bad. */
__attribute__((format(printf, 2, 3))) bool mr_line_refuse(struct mr_line_reader *reader,
                                                          const char *format, ...);

#endif
