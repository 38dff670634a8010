#include "message.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/memory.h"

#include <string.h>

const char *mr_told_name(enum mr_action_told told)
{
    static const char *const names[MR_TOLD_COUNT] = {
        [MR_TOLD_INITIALIZE] = "initialize",
        [MR_TOLD_PROCESS_RECORDS] = "processRecords",
        [MR_TOLD_LEASE_LOST] = "leaseLost",
        [MR_TOLD_SHARD_ENDED] = "shardEnded",
        [MR_TOLD_SHUTDOWN_REQUESTED] = "shutdownRequested",
    };

    return names[told];
}

/* ---- to the child ------------------------------------------------------------------------- */

static void begin(struct mr_json_line *line, const char *action)
{
    mr_json_open(line, '{');
    mr_json_name(line, "action");
    mr_json_text(line, action);
}

static void add_mark(struct mr_json_line *line, const mr_mark *mark)
{
    char text[MR_MARK_TEXT_BYTES];

    mr_mark_format(mark, text);
    mr_json_name(line, "sequenceNumber");
    mr_json_text(line, text);
    mr_json_name(line, "subSequenceNumber");
    mr_json_count(line, mark->sub_sequence);
}

static void add_time(struct mr_json_line *line, const char *name, int64_t ms)
{
    mr_json_name(line, name);
    mr_json_count(line, ms > 0 ? (uint64_t)ms : 0);
}

void mr_message_initialize(struct mr_json_line *line, mr_shard_id shard, const mr_mark *from)
{
    char text[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard, text);
    begin(line, mr_told_name(MR_TOLD_INITIALIZE));
    mr_json_name(line, "shardId");
    mr_json_text(line, text);
    add_mark(line, from);
    mr_json_close(line, '}');
}

static void add_record(struct mr_json_line *line, const mr_consumer_record *record, char *base64)
{
    mr_base64_encode(record->data, base64);
    begin(line, "record");
    mr_json_name(line, "data");
    mr_json_string(line, (mr_bytes){base64, MR_BASE64_BYTES(record->data.size)});
    mr_json_name(line, "partitionKey");
    if (record->partition_key.size)
        mr_json_string(line, record->partition_key);
    else
        mr_json_null(line);
    add_mark(line, &record->mark);
    add_time(line, "approximateArrivalTimestamp", record->arrival_ms);
    mr_json_close(line, '}');
}

void mr_message_records(struct mr_json_line *line, const mr_consumer_record *records, size_t count,
                        int64_t behind_ms)
{
    size_t largest = 0;
    char *base64;

    for (size_t i = 0; i < count; i++)
        if (records[i].data.size > largest)
            largest = records[i].data.size;
    base64 = mr_alloc(MR_BASE64_BYTES(largest) + 1);
    begin(line, mr_told_name(MR_TOLD_PROCESS_RECORDS));
    add_time(line, "millisBehindLatest", behind_ms);
    mr_json_name(line, "records");
    mr_json_open(line, '[');
    for (size_t i = 0; i < count; i++)
        add_record(line, &records[i], base64);
    mr_json_close(line, ']');
    mr_json_close(line, '}');
    mr_free(base64);
}

void mr_message_plain(struct mr_json_line *line, enum mr_action_told told)
{
    begin(line, mr_told_name(told));
    mr_json_close(line, '}');
}

void mr_message_checkpointed(struct mr_json_line *line, const struct mr_said *asked,
                             const char *problem)
{
    begin(line, "checkpoint");
    if (asked->has_mark && asked->is_mark_valid) {
        add_mark(line, &asked->mark);
    } else {
        mr_json_name(line, "sequenceNumber");
        mr_json_null(line);
        mr_json_name(line, "subSequenceNumber");
        mr_json_null(line);
    }
    mr_json_name(line, "error");
    if (problem)
        mr_json_text(line, problem);
    else
        mr_json_null(line);
    mr_json_close(line, '}');
}

/* Kits give up after a ShutdownException, and try again after a ThrottlingException. */
const char *mr_checkpoint_problem(mr_status status)
{
    switch (status) {
    case MR_OK:
        return NULL;
    case MR_FENCED:
    case MR_CLOSED:
        return "ShutdownException";
    case MR_INVALID:
        return "IllegalArgumentException";
    default:
        return mr_status_retryable(status) ? "ThrottlingException"
                                           : "KinesisClientLibDependencyException";
    }
}

/* ---- from the child ----------------------------------------------------------------------- */

/* False: it is longer than any that means something. */
static bool take_text(const struct mr_json_value *value, char *text, size_t size)
{
    char plain[256];
    size_t plain_size;

    text[0] = 0;
    if (value->kind != MR_JSON_STRING || value->raw.size > sizeof plain)
        return false;
    plain_size = mr_json_unescape(value, (uint8_t *)plain);
    if (plain_size >= size || memchr(plain, 0, plain_size))
        return false;
    memcpy(text, plain, plain_size);
    text[plain_size] = 0;
    return true;
}

static bool take_number(const struct mr_json_value *value, uint64_t *number)
{
    const char *digits = value->raw.data;

    *number = 0;
    if (value->kind != MR_JSON_NUMBER)
        return false;
    for (size_t i = 0; i < value->raw.size; i++) {
        uint64_t digit = (uint64_t)(digits[i] - '0');

        if (digits[i] < '0' || digits[i] > '9' || *number > (INT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return true;
}

/* Kits send the number as a string; some of their users as a number. */
static bool take_mark(const struct mr_json_value *sequence, const struct mr_json_value *sub,
                      mr_mark *mark)
{
    char text[MR_MARK_TEXT_BYTES];
    uint64_t sub_sequence = 0;

    if (sequence->kind == MR_JSON_NUMBER && sequence->raw.size < sizeof text) {
        memcpy(text, sequence->raw.data, sequence->raw.size);
        text[sequence->raw.size] = 0;
    } else if (!take_text(sequence, text, sizeof text)) {
        return false;
    }
    if (sub->kind != MR_JSON_FAULT && sub->kind != MR_JSON_NULL && !take_number(sub, &sub_sequence))
        return false;
    return !mr_mark_parse(text, sub_sequence, mark, NULL) && mark->kind == MR_MARK_RECORD;
}

void mr_message_read(mr_bytes line, struct mr_said *said)
{
    struct mr_json json = mr_json_of(line);
    struct mr_json_value name, value, action = {0}, response_for = {0}, sequence = {0}, sub = {0};

    *said = (struct mr_said){.kind = MR_SAID_NOTHING};
    if (!mr_json_enter(&json))
        return;
    while (mr_json_next(&json, &name) && mr_json_take(&json, &value)) {
        if (mr_json_is(&name, "action"))
            action = value;
        else if (mr_json_is(&name, "responseFor"))
            response_for = value;
        else if (mr_json_is(&name, "sequenceNumber"))
            sequence = value;
        else if (mr_json_is(&name, "subSequenceNumber"))
            sub = value;
    }
    if (!mr_json_done(&json) || action.kind != MR_JSON_STRING)
        return;
    if (mr_json_is(&action, "status")) {
        said->kind = MR_SAID_STATUS;
        take_text(&response_for, said->response_for, sizeof said->response_for);
    } else if (mr_json_is(&action, "checkpoint")) {
        said->kind = MR_SAID_CHECKPOINT;
        said->has_mark = sequence.kind != MR_JSON_FAULT && sequence.kind != MR_JSON_NULL;
        said->is_mark_valid = said->has_mark && take_mark(&sequence, &sub, &said->mark);
    }
}
