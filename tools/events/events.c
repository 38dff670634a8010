#include "events/events.h"

#include "base/fail.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "events/source.h"
#include "events/wanted.h"
#include "lines.h"

#include <stdio.h>
#include <string.h>

#define NONE SIZE_MAX

struct mr_events {
    struct mr_events_config config;
    enum mr_event_format format;
    bool has_begun; /* the first line is read */
    struct mr_source *source;
    struct mr_lines lines;
    struct mr_arena arena;
    struct mr_line_reader reader;
    struct mr_wanted wanted;
    size_t key_index, time_index; /* in wanted, or NONE */
    size_t recorded_count;        /* how many of wanted are "$key" */
    struct mr_events_totals totals;
    int64_t newest_ms;
    mr_error error; /* after a failure */
};

static size_t want(struct mr_events *events, const char *name)
{
    events->wanted.names[events->wanted.count] = name;
    return events->wanted.count++;
}

mr_status mr_events_open(struct mr_events **events, const struct mr_events_config *config,
                         mr_error *error)
{
    struct mr_source *source;
    struct mr_events *made;
    mr_status status = mr_source_open(&source, config->path, error);

    if (status)
        return status;
    made = mr_new(struct mr_events);
    made->config = *config;
    made->format = config->format;
    made->source = source;
    made->arena = MR_ARENA(SIZE_MAX / 2); /* bounded by what lies in lines */
    made->reader.arena = &made->arena;
    made->newest_ms = INT64_MIN;
    made->key_index = made->time_index = NONE;
    for (size_t i = 0; i < config->field_count; i++)
        want(made, config->fields[i]);
    mr_lines_init(&made->lines, -1);
    made->lines.read = (ssize_t(*)(void *, void *, size_t))mr_source_read;
    made->lines.context = source;
    *events = made;
    return MR_OK;
}

void mr_events_close(struct mr_events *events)
{
    if (!events)
        return;
    mr_lines_fini(&events->lines);
    mr_source_close(events->source);
    mr_arena_fini(&events->arena);
    mr_free(events);
}

enum mr_event_format mr_events_format(const struct mr_events *events)
{
    return events->format;
}

void mr_events_totals(const struct mr_events *events, struct mr_events_totals *totals)
{
    *totals = events->totals;
    totals->read_bytes = mr_source_read_bytes(events->source);
    totals->file_bytes = mr_source_file_bytes(events->source);
}

/* ---- the first line ----------------------------------------------------------------------- */

static mr_status begin_csv(struct mr_events *events, mr_bytes line)
{
    bool is_needed[WANTED_MAX];

    for (size_t i = 0; i < events->wanted.count; i++)
        is_needed[i] = i != events->time_index || events->config.time_field;
    if (!mr_wanted_find_columns(&events->wanted, &events->reader, line, is_needed))
        return mr_fail(&events->error, MR_INVALID, "this is read as CSV, and %s",
                       events->reader.why);
    events->totals.skipped_count++;
    return MR_OK;
}

/* Knows the format from now on, and what to look for. *is_names: the line was that of a CSV. */
static mr_status begin(struct mr_events *events, mr_bytes line, bool *is_names)
{
    const uint8_t *at = line.data;
    const struct mr_events_config *config = &events->config;

    events->has_begun = true;
    while (at < (const uint8_t *)line.data + line.size && (*at == ' ' || *at == '\t'))
        at++;
    if (events->format == MR_EVENTS_GUESS)
        events->format = *at != '{'              ? MR_EVENTS_CSV
                         : mr_recording_is(line) ? MR_EVENTS_RECORDING
                                                 : MR_EVENTS_JSON;
    if (config->key_field)
        events->key_index = want(events, config->key_field);
    if (config->time_field && *config->time_field)
        events->time_index = want(events, config->time_field);
    else if (!config->time_field && events->format != MR_EVENTS_RECORDING)
        events->time_index = want(events, "time");
    for (size_t i = 0; i < events->wanted.count; i++)
        events->recorded_count += strcmp(events->wanted.names[i], "$key") == 0;
    *is_names = events->format == MR_EVENTS_CSV;
    return *is_names ? begin_csv(events, line) : MR_OK;
}

/* ---- a line ------------------------------------------------------------------------------- */

static bool is_blank(mr_bytes line)
{
    const char *at = line.data;

    for (size_t i = 0; i < line.size; i++)
        if (at[i] != ' ' && at[i] != '\t' && at[i] != '\r')
            return false;
    return true;
}

/* What has the name "$key" in a recording is its key; all others are in the data. */
static bool find_in_recording(struct mr_events *events, struct mr_event *event)
{
    struct mr_wanted *wanted = &events->wanted;

    if (wanted->count > events->recorded_count &&
        !mr_wanted_find_json(wanted, &events->reader, event->data))
        return false;
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->count == events->recorded_count || strcmp(wanted->names[i], "$key") == 0)
            wanted->values[i] = event->key;
    return true;
}

static bool check(struct mr_events *events, const struct mr_event *event)
{
    size_t chars;

    if (event->key.size + event->data.size > MR_RECORD_BYTES_MAX)
        return mr_line_refuse(&events->reader, "the record has %zu bytes: 10 MiB is the most",
                              event->key.size + event->data.size);
    if (events->key_index == NONE && events->format != MR_EVENTS_RECORDING)
        return true;
    if (event->key.size == 0 && !event->has_hash_key)
        return mr_line_refuse(&events->reader, "the key is empty");
    chars = mr_utf8_chars(event->key);
    if (chars == SIZE_MAX)
        return mr_line_refuse(&events->reader, "the key is not UTF-8");
    if (chars > MR_PARTITION_KEY_CHARS_MAX)
        return mr_line_refuse(&events->reader, "the key has %zu characters: 256 is the most",
                              chars);
    return true;
}

/* Moves the values found to where the caller looks for them. */
static bool take_values(struct mr_events *events, struct mr_event *event)
{
    const struct mr_wanted *wanted = &events->wanted;
    const mr_bytes *time = events->time_index == NONE ? NULL : &wanted->values[events->time_index];

    for (size_t i = 0; i < wanted->count; i++)
        if (!wanted->values[i].data && (i != events->time_index || events->config.time_field))
            return mr_line_refuse(&events->reader, "has no field %s", wanted->names[i]);
    for (size_t i = 0; i < events->config.field_count; i++)
        event->fields[i] = wanted->values[i];
    if (events->key_index != NONE) {
        event->key = wanted->values[events->key_index];
        event->has_hash_key = false; /* another key is another place */
    }
    if (time && time->data && !mr_event_time_parse(*time, &event->time_ms))
        return mr_line_refuse(&events->reader, "its time cannot be read: %.*s",
                              (int)(time->size < 40 ? time->size : 40), (const char *)time->data);
    return true;
}

static bool read_line(struct mr_events *events, struct mr_event *event, mr_bytes line)
{
    if (line.size && ((const char *)line.data)[line.size - 1] == '\r')
        line.size--;
    if (events->format == MR_EVENTS_RECORDING) {
        if (!mr_recording_read(event, &events->reader, line) ||
            (events->wanted.count && !find_in_recording(events, event)))
            return false;
    } else {
        event->time_ms = MR_EVENT_NO_TIME;
        event->key = (mr_bytes){"", 0};
        event->data = line;
        event->has_hash_key = false;
        if (!(events->format == MR_EVENTS_CSV
                  ? mr_wanted_find_cells(&events->wanted, &events->reader, line)
                  : mr_wanted_find_json(&events->wanted, &events->reader, line)))
            return false;
    }
    return (!events->wanted.count || take_values(events, event)) && check(events, event);
}

static mr_status reject(struct mr_events *events, uint64_t number, const char *why)
{
    events->totals.rejected_count++;
    if (events->config.reject)
        events->config.reject(events->config.context, number, why);
    if (events->config.strict)
        return mr_fail(&events->error, MR_INVALID, "line %llu: %s", (unsigned long long)number,
                       why);
    return MR_OK;
}

static void count_event(struct mr_events *events, const struct mr_event *event)
{
    events->totals.event_count++;
    if (event->time_ms == MR_EVENT_NO_TIME)
        return;
    events->totals.backward_count += event->time_ms < events->newest_ms;
    if (event->time_ms > events->newest_ms)
        events->newest_ms = event->time_ms;
}

static mr_status take_line(struct mr_events *events, enum mr_line kind, mr_bytes line,
                           struct mr_event *batch, size_t *count)
{
    struct mr_event *event = &batch[*count];
    bool is_names = false;

    events->totals.line_count++;
    if (kind == MR_LINE_TOO_LONG)
        return reject(events, events->lines.number, "the line is over 64 MiB");
    if (is_blank(line)) {
        events->totals.skipped_count++;
        return MR_OK;
    }
    if (!events->has_begun && (begin(events, line, &is_names) || is_names))
        return events->error.status;
    event->line = events->lines.number;
    if (!read_line(events, event, line))
        return reject(events, event->line, events->reader.why);
    count_event(events, event);
    ++*count;
    return MR_OK;
}

/* Lines of a recording just as we write them, as long as they come. */
static void take_own_lines(struct mr_events *events, struct mr_event *batch, size_t count_max,
                           size_t *count)
{
    size_t size;

    while (*count < count_max && events->wanted.count == events->recorded_count &&
           (size = mr_recording_take(&batch[*count], &events->reader,
                                     mr_lines_rest(&events->lines))) > 0) {
        struct mr_event *event = &batch[(*count)++];

        mr_lines_pass(&events->lines, size);
        event->line = events->lines.number;
        for (size_t i = 0; i < events->config.field_count; i++)
            event->fields[i] = event->key;
        events->totals.line_count++;
        count_event(events, event);
    }
}

static mr_status fill(struct mr_events *events, bool *at_end)
{
    const mr_error *error = mr_source_error(events->source);

    *at_end = !mr_lines_fill(&events->lines);
    if (*at_end && error->status)
        events->error = *error;
    return events->error.status;
}

mr_status mr_events_read(struct mr_events *events, struct mr_event *batch, size_t count_max,
                         size_t *count, mr_error *error)
{
    bool at_end = false;

    *count = 0;
    mr_arena_reset(&events->arena);
    while (!events->error.status && !at_end && *count < count_max) {
        enum mr_line kind;
        mr_bytes line;

        if (events->has_begun && events->format == MR_EVENTS_RECORDING)
            take_own_lines(events, batch, count_max, count);
        if (*count == count_max)
            break;
        kind = mr_lines_next(&events->lines, &line);
        if (kind != MR_LINE_NONE)
            take_line(events, kind, line, batch, count);
        else if (*count > 0)
            break;
        else
            fill(events, &at_end);
    }
    if (*count > 0 || !events->error.status) /* what was read before a failure goes first */
        return MR_OK;
    if (error)
        *error = events->error;
    return events->error.status;
}
