/*
 * message.h - the MultiLangDaemon protocol of Amazon's KCL: one JSON object a line, to a child that
 * processes records and back. No calls, no state: lines in, lines out.
 */
#ifndef MR_TOOLS_MULTILANG_MESSAGE_H
#define MR_TOOLS_MULTILANG_MESSAGE_H

#include "../json_line.h"
#include "millrace-consumer.h"

/* What a child is told; it answers each but CHECKPOINTED with a status of the same name. */
enum mr_action_told {
    MR_TOLD_INITIALIZE,
    MR_TOLD_PROCESS_RECORDS,
    MR_TOLD_LEASE_LOST,
    MR_TOLD_SHARD_ENDED,
    MR_TOLD_SHUTDOWN_REQUESTED,
    MR_TOLD_COUNT,
};

/* "processRecords" and so on */
const char *mr_told_name(enum mr_action_told told);

/* Each fills an empty line; print or send it before the next. */
void mr_message_initialize(struct mr_json_line *line, mr_shard_id shard, const mr_mark *from);
void mr_message_records(struct mr_json_line *line, const mr_consumer_record *records, size_t count,
                        int64_t behind_ms);
/* LEASE_LOST, SHARD_ENDED, SHUTDOWN_REQUESTED: they have a name only. */
void mr_message_plain(struct mr_json_line *line, enum mr_action_told told);

/* What a child says. */
struct mr_said {
    enum mr_said_kind {
        MR_SAID_NOTHING, /* an empty line, or one that is no message: for the log */
        MR_SAID_STATUS,
        MR_SAID_CHECKPOINT,
    } kind;
    char response_for[32]; /* STATUS; cut where it is longer, which is none of the names */
    bool has_mark;         /* CHECKPOINT: here, else at all that was delivered */
    bool is_mark_valid;    /* what stood there is a sequence number */
    mr_mark mark;
};
void mr_message_read(mr_bytes line, struct mr_said *said);

/* The answer to a checkpoint: where, as it was asked for, and NULL or what went wrong, by the names
 * of the KCL's exceptions. */
void mr_message_checkpointed(struct mr_json_line *line, const struct mr_said *asked,
                             const char *problem);

/* What an error of mr_checkpoint() is called there; NULL: none. */
const char *mr_checkpoint_problem(mr_status status);

#endif
