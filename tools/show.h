/* show.h - how commands print streams, shards and records' places, and the list of a stream's
 * shards. */
#ifndef MR_TOOLS_SHOW_H
#define MR_TOOLS_SHOW_H

#include "command.h"
#include "json_line.h"

void mr_show_stream(struct mr_json_line *line, const struct mr_stream_info *info);
void mr_show_shard(struct mr_json_line *line, const mr_shard *shard);

/* Members of the object being written: names as in the man page. */
void mr_show_shard_id(struct mr_json_line *line, const char *name, mr_shard_id shard);
void mr_show_hash_key(struct mr_json_line *line, const char *name, mr_hash_key key);
void mr_show_sequence(struct mr_json_line *line, const char *name, const mr_sequence *sequence);
void mr_show_time(struct mr_json_line *line, const char *name, int64_t time_ms);

/* Part of the hash space from its start up to key: 0..1. */
double mr_hash_key_part(mr_hash_key key);

/* All shards of a stream, in id order: release with mr_shard_list_fini(). */
struct mr_shard_list {
    mr_shard *shards;
    size_t count, capacity;
};
mr_status mr_shard_list_read(struct mr_shard_list *list, mr_engine *engine, const char *stream,
                             mr_error *error);
void mr_shard_list_fini(struct mr_shard_list *list);

/* Draws the hash space as it was after each reshard. */
void mr_show_history(const struct mr_shard_list *list);

#endif
