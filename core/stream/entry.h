/*
 * entry.h - the journal entries that change the catalog. Each is one change, whole: a crash leaves
 * it done or not begun (S3).
 *
 *     type            fields: varints unless noted
 *     STREAM_CREATE   stream, first log, shard count, retention hours, name (string)
 *     STREAM_DELETE   stream
 *     RESHARD         stream, first shard, first log, step count, steps:
 *                         0, shard to split, where the upper child starts (16 bytes)
 *                         1, lower and upper shard to merge
 *     RETENTION       stream, hours
 *     PROPERTY        scope (0: the engine, else stream + 1), expected version, name (string),
 *                     0: remove, or 1 and value (string)
 *     SHARD_FORGET    stream, shard count, shards in id order: closed, and past retention
 *     ENCRYPTION      stream, id of the master key for what comes (8 bytes), 0: not encrypted
 *
 * The type is a byte in front. New shards and their logs are numbered upward from the first, in the
 * order in which they open: a split opens two, the lower first.
 */
#ifndef MR_STREAM_ENTRY_H
#define MR_STREAM_ENTRY_H

#include "base/pack.h"
#include "base/scan.h"
#include "log/log.h"
#include "millrace.h"

#define MR_RETENTION_HOURS_MIN 24
#define MR_RETENTION_HOURS_MAX 8760
#define MR_STREAM_SHARD_COUNT_MAX (1u << 20)
#define MR_ID_MAX                                                                                  \
    INT32_MAX /* of streams, shards and logs: AWS's numbers have 31 bits for a shard */

enum mr_entry_type {
    MR_ENTRY_STREAM_CREATE = 1,
    MR_ENTRY_STREAM_DELETE,
    MR_ENTRY_RESHARD,
    MR_ENTRY_RETENTION,
    MR_ENTRY_PROPERTY,
    MR_ENTRY_SHARD_FORGET,
    MR_ENTRY_ENCRYPTION,
};

#define MR_SCOPE_ENGINE UINT64_C(0)
#define MR_SCOPE_STREAM(stream) ((uint64_t)(stream) + 1)

struct mr_reshard_step {
    bool is_merge;
    mr_shard_id closes;      /* a merge: the lower one */
    mr_shard_id closes_also; /* a merge: the upper one */
    mr_hash_key at;          /* a split: where the upper child starts */
};

/* A decoded entry, with what its type has of these; bytes are borrowed. */
struct mr_entry {
    enum mr_entry_type type;
    uint32_t stream;
    mr_log_id first_log;
    mr_shard_id first_shard;
    uint32_t shard_count, retention_hours;
    uint64_t scope, expected_version, key_id;
    mr_bytes name, value; /* value.data NULL: remove */
    size_t item_count;    /* steps or shards */
    struct mr_scan items; /* checked: read them with the two below */
};

/* False for anything that the functions below do not write. */
bool mr_entry_decode(struct mr_entry *entry, mr_bytes bytes);
struct mr_reshard_step mr_entry_next_step(struct mr_scan *items);
mr_shard_id mr_entry_next_shard(struct mr_scan *items);

bool mr_stream_name_is_valid(mr_bytes name);

void mr_pack_stream_create(struct mr_pack *pack, uint32_t stream, mr_log_id first_log,
                           uint32_t shard_count, uint32_t retention_hours, const char *name);
void mr_pack_stream_delete(struct mr_pack *pack, uint32_t stream);
void mr_pack_reshard(struct mr_pack *pack, uint32_t stream, mr_shard_id first_shard,
                     mr_log_id first_log, const struct mr_reshard_step *steps, size_t step_count);
void mr_pack_retention(struct mr_pack *pack, uint32_t stream, uint32_t hours);
void mr_pack_property(struct mr_pack *pack, uint64_t scope, const char *name, mr_bytes value,
                      uint64_t expected_version);
void mr_pack_shard_forget(struct mr_pack *pack, uint32_t stream, const mr_shard_id *shards,
                          size_t count);
void mr_pack_encryption(struct mr_pack *pack, uint32_t stream, uint64_t key_id);

#endif
