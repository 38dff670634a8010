/* ask.h - requests of Kinesis's actions as whole HTTP/1.1 requests, for load.h. */
#ifndef MR_BENCH_ASK_H
#define MR_BENCH_ASK_H

#include "bench/load.h"
#include "service/service.h"

#define MR_ASK_TEXT(text) ((mr_bytes){(text), strlen(text)})

/* A request with the head that an SDK would send; free its data. */
mr_bytes mr_ask_make(enum mr_action action, const void *request);

/* Asks, waits and returns the response, which lives in the arena: NULL if the action has none. */
void *mr_ask(uint16_t port, enum mr_action action, const void *request, struct mr_arena *arena);

/* A stream of so many shards that is ACTIVE. */
void mr_ask_stream(uint16_t port, const char *name, unsigned shard_count);

/* An iterator at a shard's start: its size. */
size_t mr_ask_iterator(uint16_t port, const char *stream, unsigned shard, char to[512]);

/* A PutRecords request of these records, at most 500; free its data. */
mr_bytes mr_ask_put_records(const char *stream, const mr_put *puts, size_t count);

#endif
