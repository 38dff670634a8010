#include "processor.h"

#include "../output.h"
#include "base/memory.h"
#include "message.h"
#include "os/clock.h"

#include <string.h>

#define MESSAGE_DATA_BYTES ((size_t)16 << 20) /* of records in one message, but for a larger one */
#define END_MS 2000                           /* for a child that has nothing more to do */
#define SHOWN_LINES 10                        /* that are no messages, before it answers */
#define SHOWN_BYTES 200                       /* of each */

struct processor {
    struct mr_multilang *multilang;
    mr_shard_task *task;
    char shard[MR_SHARD_TEXT_BYTES];
    struct mr_child *child; /* NULL: it failed, and its successor comes */
    struct mr_json_line line;
    mr_mark told; /* the last record told to it */
    bool has_told;
};

static void fail(struct processor *processor, enum mr_action_told told, const char *what)
{
    char end[MR_CHILD_END_BYTES];

    mr_child_end(processor->child, 0, end);
    processor->child = NULL;
    atomic_fetch_add(&processor->multilang->restart_count, 1);
    mr_say("millrace: %s: %s: %s (%s); the next one begins at the checkpoint", processor->shard,
           mr_told_name(told), what, end);
    mr_shard_task_restart(processor->task);
}

/* Sends the line that was made. */
static mr_status send_line(struct processor *processor, uint64_t until_ns, mr_error *error)
{
    struct mr_pack *pack = &processor->line.pack;
    mr_status status;

    mr_pack_u8(pack, '\n');
    status = mr_child_write(processor->child, (mr_bytes){pack->data, pack->size}, until_ns, error);
    pack->size = 0;
    processor->line.comma = false;
    return status;
}

static mr_status checkpoint(struct processor *processor, enum mr_action_told told,
                            const struct mr_said *said, uint64_t until_ns, mr_error *error)
{
    const char *problem = "InvalidStateException";
    const mr_mark *through = NULL;
    mr_error why = {0};

    if (said->has_mark)
        through = &said->mark;
    else if (told != MR_TOLD_SHARD_ENDED && processor->has_told)
        through = &processor->told;
    if (told == MR_TOLD_PROCESS_RECORDS || told == MR_TOLD_SHARD_ENDED ||
        told == MR_TOLD_SHUTDOWN_REQUESTED)
        problem = said->has_mark && !said->is_mark_valid
                      ? "IllegalArgumentException"
                      : mr_checkpoint_problem(mr_checkpoint(processor->task, through, &why));
    if (problem && processor->multilang->is_verbose)
        mr_say("%s: checkpoint refused: %s%s%s", processor->shard, problem,
               *why.message ? ": " : "", why.message);
    mr_message_checkpointed(&processor->line, said, problem);
    return send_line(processor, until_ns, error);
}

/* A program that talks without end must not fill a disk with it. */
static void log_line(const struct processor *processor, mr_bytes line, unsigned *shown_count)
{
    char text[SHOWN_BYTES + 1];
    size_t size = line.size < SHOWN_BYTES ? line.size : SHOWN_BYTES;

    if (line.size == 0 || *(const char *)line.data == '\r' || *shown_count > SHOWN_LINES)
        return;
    if ((*shown_count)++ == SHOWN_LINES) {
        mr_say("%s: no message: more such lines, not shown until it answers (a program's own talk "
               "belongs to its standard error)",
               processor->shard);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = ((const uint8_t *)line.data)[i];

        text[i] = byte < ' ' || byte == 127 ? '?' : (char)byte;
    }
    text[size] = 0;
    mr_say("%s: no message: %s%s", processor->shard, text, size < line.size ? "..." : "");
}

/* Reads until it says that it is done with this; false and what is wrong. */
static mr_status await(struct processor *processor, enum mr_action_told told, uint64_t until_ns,
                       mr_error *error)
{
    unsigned shown_count = 0;

    for (;;) {
        struct mr_said said;
        mr_bytes line;
        mr_status status = mr_child_read(processor->child, &line, until_ns, error);

        if (status)
            return status;
        mr_message_read(line, &said);
        if (said.kind == MR_SAID_NOTHING)
            log_line(processor, line, &shown_count);
        if (said.kind == MR_SAID_CHECKPOINT)
            status = checkpoint(processor, told, &said, until_ns, error);
        if (status)
            return status;
        if (said.kind != MR_SAID_STATUS)
            continue;
        if (strcmp(said.response_for, mr_told_name(told)) == 0)
            return MR_OK;
        *error = (mr_error){.status = MR_INVALID};
        snprintf(error->message, sizeof error->message, "it answered another action, '%s'",
                 said.response_for);
        return MR_INVALID;
    }
}

/* Sends the line that was made and waits for the answer; false when the child has failed. */
static bool tell(struct processor *processor, enum mr_action_told told)
{
    struct mr_clock *clock = mr_clock_real();
    uint32_t timeout_ms = processor->multilang->timeout_ms;
    uint64_t until_ns =
        timeout_ms ? clock->monotonic_ns(clock) + (uint64_t)timeout_ms * 1000000 : UINT64_MAX;
    mr_error error;

    if (!send_line(processor, until_ns, &error) && !await(processor, told, until_ns, &error))
        return true;
    fail(processor, told, error.message);
    return false;
}

static void tell_plain(struct processor *processor, enum mr_action_told told)
{
    if (!processor->child)
        return;
    mr_message_plain(&processor->line, told);
    tell(processor, told);
}

/* ---- what a consumer calls ---------------------------------------------------------------- */

static void *started(void *context, mr_shard_task *task, const mr_mark *from)
{
    struct mr_multilang *multilang = context;
    struct processor *processor = mr_new(struct processor);
    char place[MR_MARK_TEXT_BYTES];
    mr_error error;

    processor->multilang = multilang;
    processor->task = task;
    processor->line = MR_JSON_LINE;
    mr_shard_format(mr_shard_task_shard(task), processor->shard);
    mr_mark_format(from, place);
    if (multilang->is_verbose)
        mr_say("%s: begins at %s", processor->shard, place);
    if (mr_child_start(&processor->child, multilang->argv, &multilang->curfew, &error)) {
        mr_say("millrace: %s: %s", processor->shard, error.message);
        processor->child = NULL;
        atomic_fetch_add(&multilang->restart_count, 1);
        mr_shard_task_restart(task);
        return processor;
    }
    mr_message_initialize(&processor->line, mr_shard_task_shard(task), from);
    tell(processor, MR_TOLD_INITIALIZE);
    return processor;
}

/* How many of the records go into one message. */
static size_t portion(const mr_consumer_record *records, size_t count)
{
    size_t taken = 0, bytes = 0;

    while (taken < count && (taken == 0 || bytes + records[taken].data.size <= MESSAGE_DATA_BYTES))
        bytes += records[taken++].data.size;
    return taken;
}

static void records(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct processor *processor = state;
    size_t at = 0;

    (void)task;
    do {
        size_t count = portion(batch->records + at, batch->count - at);

        if (!processor->child)
            return;
        if (count > 0) {
            processor->told = batch->records[at + count - 1].mark;
            processor->has_told = true;
        }
        mr_message_records(&processor->line, batch->records + at, count, batch->behind_ms);
        tell(processor, MR_TOLD_PROCESS_RECORDS);
        at += count;
    } while (at < batch->count);
}

static void shard_ended(void *state, mr_shard_task *task)
{
    (void)task;
    tell_plain(state, MR_TOLD_SHARD_ENDED);
}

static void lease_lost(void *state, mr_shard_task *task)
{
    (void)task;
    tell_plain(state, MR_TOLD_LEASE_LOST);
}

/* The KCL gives the lease up after the child's last checkpoint, and says that, too. */
static void stopping(void *state, mr_shard_task *task)
{
    (void)task;
    tell_plain(state, MR_TOLD_SHUTDOWN_REQUESTED);
    tell_plain(state, MR_TOLD_LEASE_LOST);
}

static void done(void *state)
{
    struct processor *processor = state;

    if (processor->child)
        mr_child_end(processor->child, END_MS, NULL);
    mr_pack_fini(&processor->line.pack);
    mr_free(processor);
}

const struct mr_processor mr_multilang_processor = {.started = started,
                                                    .records = records,
                                                    .shard_ended = shard_ended,
                                                    .lease_lost = lease_lost,
                                                    .stopping = stopping,
                                                    .done = done};
