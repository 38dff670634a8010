#include "reader.h"

#include "ask.h"
#include "base/fail.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ITERATOR_BYTES 513

struct mr_shard_reader {
    mr_reader *reader; /* of an engine; else: */

    mr_service *service;
    char stream[MR_NAME_BYTES_MAX + 1];
    mr_shard shard;
    mr_position from; /* behind what was read */
    char iterator[ITERATOR_BYTES];
    bool is_over;
    unsigned call_count;   /* GetRecords, since somebody asked */
    struct mr_arena arena; /* of the last answer */
    mr_record *records;
    size_t record_capacity;
};

/* ---- iterators ---------------------------------------------------------------------------- */

/* The whole number of a place in this shard of which only the number that counts is known. */
static mr_sequence sequence_at(const struct mr_shard_reader *reader)
{
    mr_sequence sequence = reader->from.sequence;

    sequence.shard = reader->shard.id;
    sequence.created_s = reader->shard.first_sequence.created_s;
    if (sequence.time_s < sequence.created_s)
        sequence.time_s = sequence.created_s;
    return sequence;
}

static bool is_beyond(const struct mr_shard_reader *reader)
{
    return reader->shard.is_closed && reader->from.start >= MR_START_AT &&
           reader->from.start <= MR_START_AFTER &&
           reader->from.sequence.number > reader->shard.last_sequence.number;
}

static mr_status get_iterator(struct mr_shard_reader *reader, mr_error *error)
{
    static const char *const types[] = {[MR_START_TRIM_HORIZON] = "TRIM_HORIZON",
                                        [MR_START_LATEST] = "LATEST",
                                        [MR_START_AT] = "AT_SEQUENCE_NUMBER",
                                        [MR_START_AFTER] = "AFTER_SEQUENCE_NUMBER",
                                        [MR_START_AT_TIME] = "AT_TIMESTAMP"};
    char shard[MR_SHARD_TEXT_BYTES], number[MR_SEQUENCE_TEXT_BYTES];
    mr_sequence sequence = sequence_at(reader);
    struct mr_api_get_shard_iterator_request request = {.stream_name =
                                                            mr_text_bytes(reader->stream)};
    mr_start start = reader->from.start;
    struct mr_arena arena = MR_ASK_ARENA;
    const void *response;
    mr_status status;

    if (start == MR_START_AT && sequence.number <= reader->shard.first_sequence.number)
        start = MR_START_TRIM_HORIZON; /* before all of this shard */
    mr_shard_format(reader->shard.id, shard);
    request.shard_id = mr_text_bytes(shard);
    request.shard_iterator_type = mr_text_bytes(types[start]);
    if (start == MR_START_AT || start == MR_START_AFTER) {
        mr_sequence_format(&sequence, number);
        request.starting_sequence_number = mr_text_bytes(number);
    }
    if (start == MR_START_AT_TIME)
        request.timestamp = MR_NUMBER(reader->from.time_ms);
    status =
        mr_ask(reader->service, MR_ACTION_GET_SHARD_ITERATOR, &request, &arena, &response, error);
    if (!status)
        mr_text_take(reader->iterator, sizeof reader->iterator,
                     ((const struct mr_api_get_shard_iterator_response *)response)->shard_iterator);
    mr_arena_fini(&arena);
    return status;
}

/* ---- records ------------------------------------------------------------------------------ */

static mr_status read_records(struct mr_shard_reader *reader,
                              const struct mr_api_get_records_response *page, mr_error *error)
{
    char text[MR_SEQUENCE_TEXT_BYTES];

    if (page->records_count > reader->record_capacity) {
        reader->record_capacity = page->records_count;
        reader->records =
            mr_resize(reader->records, reader->record_capacity * sizeof *reader->records);
    }
    for (size_t i = 0; i < page->records_count; i++) {
        const struct mr_api_record *told = &page->records[i];
        mr_record *record = &reader->records[i];

        *record = (mr_record){.partition_key = told->partition_key,
                              .data = told->data,
                              .arrival_ms = told->approximate_arrival_timestamp.value};
        mr_text_take(text, sizeof text, told->sequence_number);
        if (mr_sequence_parse(text, &record->sequence, NULL))
            return mr_fail(error, MR_FORMAT, "'%s' is no sequence number", text);
        reader->from = (mr_position){.start = MR_START_AFTER, .sequence = record->sequence};
    }
    return MR_OK;
}

/* One page. */
static mr_status get_records(struct mr_shard_reader *reader, size_t record_count_max,
                             mr_batch *batch, int64_t *behind_ms, mr_error *error)
{
    struct mr_api_get_records_request request = {.shard_iterator = mr_text_bytes(reader->iterator),
                                                 .limit = MR_NUMBER((int64_t)record_count_max)};
    const struct mr_api_get_records_response *page;
    const void *response;
    mr_status status;

    reader->call_count++;
    mr_arena_reset(&reader->arena);
    status =
        mr_ask(reader->service, MR_ACTION_GET_RECORDS, &request, &reader->arena, &response, error);
    if (status)
        return status;
    page = response;
    status = read_records(reader, page, error);
    if (status)
        return status;
    *batch = (mr_batch){.records = reader->records, .count = page->records_count};
    *behind_ms = page->millis_behind_latest.value;
    mr_text_take(reader->iterator, sizeof reader->iterator, page->next_shard_iterator);
    reader->is_over = page->next_shard_iterator.size == 0;
    return MR_OK;
}

static mr_status next_remote(struct mr_shard_reader *reader, size_t record_count_max,
                             mr_batch *batch, mr_error *error)
{
    int64_t behind_ms = 1;
    mr_status status = MR_OK;

    *batch = (mr_batch){.count = 0};
    while (!status && !reader->is_over && !batch->count && behind_ms > 0) {
        if (!*reader->iterator)
            status = get_iterator(reader, error);
        if (!status)
            status = get_records(reader, record_count_max, batch, &behind_ms, error);
        if (status == MR_EXPIRED) { /* five minutes without a call */
            *reader->iterator = 0;
            status = MR_OK;
        }
    }
    batch->end_of_shard = !status && reader->is_over && batch->count == 0;
    return status;
}

/* ---- either ------------------------------------------------------------------------------- */

mr_status mr_shard_reader_open(struct mr_shard_reader **out, const struct mr_place *place,
                               const char *stream, const mr_shard *shard, const mr_position *from,
                               mr_error *error)
{
    struct mr_shard_reader *reader = mr_new(struct mr_shard_reader);
    struct mr_reader_config config = {.from = *from};
    mr_status status = MR_OK;

    reader->service = place->service;
    reader->shard = *shard;
    reader->from = *from;
    reader->arena = MR_ASK_ARENA;
    snprintf(reader->stream, sizeof reader->stream, "%s", stream);
    reader->is_over = is_beyond(reader);
    if (!place->service)
        status = mr_reader_open(&reader->reader, place->engine, stream, shard->id, &config, error);
    else if (!reader->is_over)
        status = get_iterator(reader, error); /* LATEST is now */
    if (status) {
        mr_shard_reader_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

void mr_shard_reader_close(struct mr_shard_reader *reader)
{
    if (reader->reader)
        mr_reader_close(reader->reader);
    mr_arena_fini(&reader->arena);
    mr_free(reader->records);
    mr_free(reader);
}

mr_status mr_shard_reader_next(struct mr_shard_reader *reader, size_t record_count_max,
                               mr_batch *batch, mr_error *error)
{
    return reader->reader ? mr_reader_next(reader->reader, record_count_max, 0, batch, error)
                          : next_remote(reader, record_count_max, batch, error);
}

bool mr_shard_reader_watch(struct mr_shard_reader *reader, void (*ready)(void *context),
                           void *context)
{
    if (reader->reader)
        mr_reader_watch(reader->reader, ready, context);
    return reader->reader;
}

unsigned mr_shard_reader_calls(struct mr_shard_reader *reader)
{
    unsigned count = reader->call_count;

    reader->call_count = 0;
    return count;
}
