/* stream.h - a stream's records as events, and where its shards begin. */
#ifndef MR_TOOLS_KEYS_STREAM_H
#define MR_TOOLS_KEYS_STREAM_H

#include "command.h"
#include "events/wanted.h"
#include "merge_read.h"
#include "show.h"

/* The open shards of a stream, in the order of their ranges. Release with mr_ranges_fini(). */
struct mr_ranges {
    mr_shard *shards;
    mr_hash_key *starts;
    size_t count;
};
mr_status mr_ranges_read(struct mr_ranges *ranges, struct mr_cli *cli, const char *stream,
                         mr_error *error);
void mr_ranges_fini(struct mr_ranges *ranges);

struct mr_stream_events {
    struct mr_merge *merge;
    bool follows; /* until an interrupt */
    struct mr_arena arena;
    struct mr_line_reader reader;
    struct mr_wanted wanted;
    uint64_t record_count, rejected_count;
    void (*reject)(void *context, uint64_t number, const char *why);
    void *context;
};

/* Those retained; follows: those that come from now on. config's fields are looked for in the data,
 * "$key" is the key. Close with mr_stream_events_close(). */
mr_status mr_stream_events_open(struct mr_stream_events *events, struct mr_cli *cli,
                                const char *stream, const struct mr_events_config *config,
                                bool follows, mr_error *error);
/* As mr_events_read(); *count 0 is the end. */
mr_status mr_stream_events_read(struct mr_stream_events *events, struct mr_event *batch,
                                size_t count_max, size_t *count, mr_error *error);
void mr_stream_events_close(struct mr_stream_events *events);

#endif
