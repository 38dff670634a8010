/* reader.h - the records of one shard, from an engine or from a server. */
#ifndef MR_TOOLS_READER_H
#define MR_TOOLS_READER_H

#include "command.h"

struct mr_shard_reader; /* one thread at a time */

/* NOT_FOUND. Close it before the place. */
mr_status mr_shard_reader_open(struct mr_shard_reader **reader, const struct mr_place *place,
                               const char *stream, const mr_shard *shard, const mr_position *from,
                               mr_error *error);
void mr_shard_reader_close(struct mr_shard_reader *reader);

/* As mr_reader_next() without a wait; a server is asked until it has something or says that there
 * is nothing newer. */
mr_status mr_shard_reader_next(struct mr_shard_reader *reader, size_t record_count_max,
                               mr_batch *batch, mr_error *error);

/* As mr_reader_watch(), of an engine. False: of a server nobody is told, ask it again. */
bool mr_shard_reader_watch(struct mr_shard_reader *reader, void (*ready)(void *context),
                           void *context);

/* How often a server was asked for records since the last time this was asked. */
unsigned mr_shard_reader_calls(struct mr_shard_reader *reader);

#endif
