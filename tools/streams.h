/*
 * streams.h - the streams where a command works: an engine's in this process, or a server's. What
 * only an engine knows - how many records, how many bytes, the segments - is MR_UNKNOWN of a server,
 * since the Kinesis API does not tell it.
 */
#ifndef MR_TOOLS_STREAMS_H
#define MR_TOOLS_STREAMS_H

#include "command.h"

#define MR_UNKNOWN UINT64_MAX

/* Visits the streams in name order; names_only: of a server's nothing else is asked. */
mr_status mr_streams_each(const struct mr_place *place, bool names_only,
                          bool (*visit)(void *context, const struct mr_stream_info *info),
                          void *context, mr_error *error);

mr_status mr_streams_describe(const struct mr_place *place, const char *stream,
                              struct mr_stream_info *info, mr_error *error);

/* These return when it is done: a server's streams are ACTIVE again, or gone. */
mr_status mr_streams_create(const struct mr_place *place, const char *stream, uint32_t shard_count,
                            uint32_t retention_hours, mr_error *error);
mr_status mr_streams_delete(const struct mr_place *place, const char *stream, mr_error *error);
mr_status mr_streams_scale(const struct mr_place *place, const char *stream, uint32_t shard_count,
                           mr_error *error);
mr_status mr_streams_split(const struct mr_place *place, const char *stream, mr_shard_id shard,
                           const mr_hash_key *at, mr_shard_id children[2], mr_error *error);
mr_status mr_streams_merge(const struct mr_place *place, const char *stream, mr_shard_id shard,
                           mr_shard_id adjacent, mr_shard_id *child, mr_error *error);

/* All shards of a stream, in id order: release with mr_shard_list_fini() in any case. */
struct mr_shard_list {
    mr_shard *shards;
    size_t count, capacity;
};
mr_status mr_shard_list_read(struct mr_shard_list *list, const struct mr_place *place,
                             const char *stream, mr_error *error);
void mr_shard_list_add(struct mr_shard_list *list, const mr_shard *shard);
void mr_shard_list_fini(struct mr_shard_list *list);

/* Puts a batch, in its order, and waits until it is stored: as mr_put_records(). Of a server,
 * records that it throttles are tried again for a while. */
mr_status mr_streams_put(const struct mr_place *place, const char *stream, const mr_put *puts,
                         size_t count, mr_put_result *results, mr_error *error);

/* The same of a server, or of any other service. */
mr_status mr_remote_each(mr_service *service, bool names_only,
                         bool (*visit)(void *context, const struct mr_stream_info *info),
                         void *context, mr_error *error);
mr_status mr_remote_describe(mr_service *service, const char *stream, struct mr_stream_info *info,
                             mr_error *error);
mr_status mr_remote_create(mr_service *service, const char *stream, uint32_t shard_count,
                           uint32_t retention_hours, mr_error *error);
mr_status mr_remote_delete(mr_service *service, const char *stream, mr_error *error);
mr_status mr_remote_scale(mr_service *service, const char *stream, uint32_t shard_count,
                          mr_error *error);
mr_status mr_remote_split(mr_service *service, const char *stream, mr_shard_id shard,
                          const mr_hash_key *at, mr_shard_id children[2], mr_error *error);
mr_status mr_remote_merge(mr_service *service, const char *stream, mr_shard_id shard,
                          mr_shard_id adjacent, mr_shard_id *child, mr_error *error);
/* The key is one of AWS's; what is ours has its own. */
mr_status mr_remote_encrypt(mr_service *service, const char *stream, const char *key_id, bool is_on,
                            mr_error *error);
mr_status mr_remote_shards(mr_service *service, const char *stream, struct mr_shard_list *list,
                           mr_error *error);
mr_status mr_remote_put(mr_service *service, const char *stream, const mr_put *puts, size_t count,
                        mr_put_result *results, mr_error *error);
/* What it throttles is answered so, with its shard. */
mr_status mr_remote_put_once(mr_service *service, const char *stream, const mr_put *puts,
                             size_t count, mr_put_result *results, mr_error *error);

#endif
