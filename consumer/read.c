/* read.c - the source that is an engine in this process: no copies, no polling. */
#include "inside.h"

#include "base/fail.h"
#include "base/memory.h"

struct read {
    struct mr_fetch fetch; /* first */
    struct mr_fetch_from from;
    mr_reader *reader;
};

static struct read *read_of(struct mr_fetch *fetch)
{
    return (struct read *)(void *)fetch;
}

static enum mr_fetch_state next(struct mr_fetch *fetch, struct mr_fetched *fetched, mr_error *error)
{
    struct read *read = read_of(fetch);
    struct mr_consumer *consumer = read->from.consumer;
    mr_batch batch;
    mr_status status =
        mr_reader_next(read->reader, consumer->config.batch_count_max, 0, &batch, error);

    *fetched = (struct mr_fetched){.due_ns = UINT64_MAX};
    if (status == MR_THROTTLED) {
        consumer->throttled_count++;
        fetched->due_ns =
            mr_consumer_now_ns(consumer) + (uint64_t)consumer->config.call_ms * 1000000;
        return MR_FETCH_WAIT;
    }
    if (status)
        return MR_FETCH_FAILED;
    fetched->records = batch.records;
    fetched->count = batch.count;
    fetched->behind_ms = batch.behind_ms;
    if (batch.count > 0)
        return MR_FETCH_RECORDS;
    if (batch.end_of_shard)
        return MR_FETCH_END;
    mr_reader_watch(read->reader, read->from.ready, read->from.context);
    return MR_FETCH_WAIT;
}

static void close_fetch(struct mr_fetch *fetch)
{
    struct read *read = read_of(fetch);

    mr_reader_watch(read->reader, NULL, NULL);
    mr_reader_close(read->reader);
    mr_free(read);
}

static mr_position position_of(const struct mr_fetch_from *from)
{
    const mr_mark *after = &from->after;

    switch (after->kind) {
    case MR_MARK_RECORD: /* its other user records may be missing */
        return (mr_position){.start = MR_START_AT, .sequence = {.number = mr_mark_number(after)}};
    case MR_MARK_LATEST:
        if (from->began_ms == 0)
            return (mr_position){.start = MR_START_LATEST};
        return (mr_position){.start = MR_START_AT_TIME, .time_ms = from->began_ms};
    case MR_MARK_AT_TIME:
        return (mr_position){.start = MR_START_AT_TIME, .time_ms = from->began_ms};
    case MR_MARK_TRIM_HORIZON:
    case MR_MARK_SHARD_END:
        break;
    }
    return (mr_position){.start = MR_START_TRIM_HORIZON};
}

mr_status mr_fetch_read(struct mr_fetch **fetch, const struct mr_fetch_from *from, mr_error *error)
{
    struct mr_consumer *consumer = from->consumer;
    struct mr_reader_config config = {.from = position_of(from), .limited = true};
    struct read *read = mr_new(struct read);
    mr_status status = mr_reader_open(&read->reader, consumer->service->engine, consumer->stream,
                                      from->shard, &config, error);

    if (status) {
        mr_free(read);
        return status;
    }
    read->fetch = (struct mr_fetch){.next = next, .close = close_fetch};
    read->from = *from;
    *fetch = &read->fetch;
    return MR_OK;
}
