/* table.h - values found by bytes: open addressing, one probe line. Not thread safe. */
#ifndef MR_BASE_TABLE_H
#define MR_BASE_TABLE_H

#include "millrace.h"

struct mr_table_slot {
    mr_bytes key; /* borrowed: usually a part of the value */
    void *value;  /* NULL: the slot is free */
    uint64_t hash;
};

/* Start from {0}; release with mr_table_fini(). */
struct mr_table {
    struct mr_table_slot *slots;
    size_t count, capacity; /* capacity is 0 or a power of two */
};

void mr_table_fini(struct mr_table *table);

/* NULL when key is not there. */
void *mr_table_get(const struct mr_table *table, mr_bytes key);

/*
 * Sets the value (not NULL) of key and returns the value before, or NULL. The table keeps the bytes
 * of this key, in place of an equal one's, by pointer: they must live as long as the entry.
 */
void *mr_table_put(struct mr_table *table, mr_bytes key, void *value);

/* Removes key and returns its value, or NULL when it was not there. */
void *mr_table_remove(struct mr_table *table, mr_bytes key);

/*
 * The next entry's value, in no order, or NULL at the end. Start with *place 0. Put and remove
 * nothing on the way.
 */
void *mr_table_next(const struct mr_table *table, size_t *place);

#endif
