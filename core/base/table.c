#include "base/table.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>

/* FNV-1a, its bits stirred at the end because the low ones choose the slot. */
static uint64_t hash_of(mr_bytes key)
{
    const uint8_t *bytes = key.data;
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

static bool has_key(const struct mr_table_slot *slot, mr_bytes key, uint64_t hash)
{
    return slot->hash == hash && slot->key.size == key.size &&
           (key.size == 0 || memcmp(slot->key.data, key.data, key.size) == 0);
}

/* The slot of key, or the free one where it belongs. The table is never full. */
static struct mr_table_slot *find(const struct mr_table *table, mr_bytes key, uint64_t hash)
{
    size_t mask = table->capacity - 1;
    size_t at = (size_t)hash & mask;

    while (table->slots[at].value && !has_key(&table->slots[at], key, hash))
        at = (at + 1) & mask;
    return &table->slots[at];
}

static void grow(struct mr_table *table)
{
    struct mr_table wider = {.count = table->count,
                             .capacity = table->capacity ? table->capacity * 2 : 16};

    wider.slots = mr_alloc_zero(wider.capacity, sizeof *wider.slots);
    for (size_t i = 0; i < table->capacity; i++)
        if (table->slots[i].value)
            *find(&wider, table->slots[i].key, table->slots[i].hash) = table->slots[i];
    mr_free(table->slots);
    *table = wider;
}

void mr_table_fini(struct mr_table *table)
{
    mr_free(table->slots);
    *table = (struct mr_table){0};
}

void *mr_table_get(const struct mr_table *table, mr_bytes key)
{
    return table->count ? find(table, key, hash_of(key))->value : NULL;
}

void *mr_table_put(struct mr_table *table, mr_bytes key, void *value)
{
    uint64_t hash = hash_of(key);
    struct mr_table_slot *slot;
    void *before;

    mr_check(value);
    if (table->count >= table->capacity / 4 * 3)
        grow(table);
    slot = find(table, key, hash);
    before = slot->value;
    table->count += !before;
    *slot = (struct mr_table_slot){.key = key, .value = value, .hash = hash};
    return before;
}

void *mr_table_remove(struct mr_table *table, mr_bytes key)
{
    size_t mask = table->capacity - 1, hole, at;
    struct mr_table_slot *slots = table->slots;
    void *value;

    if (table->count == 0)
        return NULL;
    hole = (size_t)(find(table, key, hash_of(key)) - slots);
    value = slots[hole].value;
    if (!value)
        return NULL;
    /* Close the hole: move up what stands behind it, unless that is nearer to home already. */
    for (at = (hole + 1) & mask; slots[at].value; at = (at + 1) & mask) {
        size_t way = (at - (size_t)slots[at].hash) & mask;
        if (way >= ((at - hole) & mask)) {
            slots[hole] = slots[at];
            hole = at;
        }
    }
    slots[hole] = (struct mr_table_slot){0};
    table->count--;
    return value;
}

void *mr_table_next(const struct mr_table *table, size_t *place)
{
    while (*place < table->capacity) {
        void *value = table->slots[(*place)++].value;
        if (value)
            return value;
    }
    return NULL;
}
