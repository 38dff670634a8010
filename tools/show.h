/* show.h - how commands print streams, shards and records' places. */
#ifndef MR_TOOLS_SHOW_H
#define MR_TOOLS_SHOW_H

#include "command.h"
#include "json_line.h"
#include "streams.h"

void mr_show_stream(struct mr_json_line *line, const struct mr_stream_info *info);
void mr_show_shard(struct mr_json_line *line, const mr_shard *shard);

/* Members of the object being written: names as in the man page. */
void mr_show_shard_id(struct mr_json_line *line, const char *name, mr_shard_id shard);
void mr_show_hash_key(struct mr_json_line *line, const char *name, mr_hash_key key);
void mr_show_sequence(struct mr_json_line *line, const char *name, const mr_sequence *sequence);
void mr_show_time(struct mr_json_line *line, const char *name, int64_t time_ms);

/* Part of the hash space from its start up to key: 0..1. */
double mr_hash_key_part(mr_hash_key key);

/* Draws the hash space as it was after each reshard. */
void mr_show_history(const struct mr_shard_list *list);

#endif
