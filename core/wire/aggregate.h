/*
 * aggregate.h - many user records in the data of one record, as the KPL packs them (spec 8.1).
 *
 *     f3 89 9a c2 | AggregatedRecord (protobuf) | MD5 of the protobuf
 *
 * AggregatedRecord is a table of partition keys, a table of explicit hash keys, and the user records
 * with their places in these tables. Data that is not all of this as it should be is one plain
 * record that begins like an aggregate by chance: it is delivered as it is, as the KCL does.
 */
#ifndef MR_WIRE_AGGREGATE_H
#define MR_WIRE_AGGREGATE_H

#include "base/pack.h"

struct mr_user_record {
    mr_bytes partition_key, data;
    bool has_explicit_hash_key;
    mr_hash_key explicit_hash_key;
};

/* ---- out ---------------------------------------------------------------------------------- */

/* The record that carries an aggregate has this partition key, and the hash key of its first user
 * record as explicit hash key. */
#define MR_AGGREGATE_PARTITION_KEY ((mr_bytes){"a", 1})

#define MR_AGGREGATE_BYTES_MORE 20 /* of all but tables and records */
#define MR_NO_EXPLICIT_KEY UINT32_MAX

/* How much each part takes, for whoever fills an aggregate up to a size. */
size_t mr_aggregate_key_bytes(size_t key_bytes);
size_t mr_aggregate_hash_key_bytes(mr_hash_key key);
size_t mr_aggregate_record_bytes(uint32_t key, uint32_t explicit_key, size_t data_bytes);

/*
 * Appends the parts, in this order: begin, the keys, the explicit hash keys, the records, end. The
 * keys are meant by their places, from 0 on. start is what *out had before begin.
 */
void mr_aggregate_begin(struct mr_pack *out);
void mr_aggregate_add_key(struct mr_pack *out, mr_bytes partition_key);
void mr_aggregate_add_hash_key(struct mr_pack *out, mr_hash_key key);
void mr_aggregate_add_record(struct mr_pack *out, uint32_t key, uint32_t explicit_key,
                             mr_bytes data);
void mr_aggregate_end(struct mr_pack *out, size_t start);

/* Or without the digest, which is written later: of many at once it costs less than one by one. */
void mr_aggregate_end_unsigned(struct mr_pack *out);
void mr_aggregate_sign(uint8_t *const *aggregates, const size_t *sizes, size_t count);

/* ---- in ----------------------------------------------------------------------------------- */

/* Start from {0}, open as many as you like one after the other, release with
 * mr_aggregate_reader_fini(). It borrows the data; its tables take at most twice as much. */
struct mr_aggregate_reader {
    size_t record_count;
    mr_bytes message;               /* what is read by the rest: */
    uint32_t *keys, *explicit_keys; /* where in it each begins */
    size_t key_count, explicit_key_count;
    size_t key_capacity, explicit_key_capacity;
    size_t at;
};
void mr_aggregate_reader_fini(struct mr_aggregate_reader *reader);

/* False: a plain record. Else the user records, at least one, come by mr_aggregate_next(). */
bool mr_aggregate_open(struct mr_aggregate_reader *reader, mr_bytes data);

/* The next one, in order; the n-th has the sub-sequence number n, from 0 on. False behind the last. */
bool mr_aggregate_next(struct mr_aggregate_reader *reader, struct mr_user_record *record);

#endif
