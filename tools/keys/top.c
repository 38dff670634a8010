#include "keys/top.h"

#include "base/memory.h"
#include "base/u128.h"

#include <stdlib.h>
#include <string.h>

void mr_top_init(struct mr_top *top, size_t capacity)
{
    size_t slot_count = 4;

    while (slot_count < 4 * capacity)
        slot_count *= 2;
    *top = (struct mr_top){.capacity = capacity, .slot_mask = slot_count - 1};
    top->keys = mr_alloc_zero(capacity, sizeof *top->keys);
    top->heap = mr_alloc(capacity * sizeof *top->heap);
    top->slots = mr_alloc_zero(slot_count, sizeof *top->slots);
    top->filter = mr_alloc_zero(MR_TOP_CELLS, sizeof *top->filter);
}

void mr_top_fini(struct mr_top *top)
{
    for (size_t i = 0; i < top->count; i++)
        mr_free(top->keys[i].text);
    mr_free(top->keys);
    mr_free(top->heap);
    mr_free(top->slots);
    mr_free(top->filter);
}

/* ---- the heap ------------------------------------------------------------------------------- */

#define CHILDREN 4

/* The key at the top of the heap has become heavier than is known there. */
static void sink(struct mr_top *top)
{
    struct mr_top_place key = {top->keys[top->heap[0].key].weight, top->heap[0].key};
    size_t place = 0;

    for (;;) {
        size_t first = CHILDREN * place + 1, end = first + CHILDREN, least = first;

        if (first >= top->count)
            break;
        if (end > top->count)
            end = top->count;
        for (size_t child = first + 1; child < end; child++)
            if (top->heap[child].weight < top->heap[least].weight)
                least = child;
        if (top->heap[least].weight >= key.weight)
            break;
        top->heap[place] = top->heap[least];
        place = least;
    }
    top->heap[place] = key;
}

/* A new key, at the end of the heap. */
static void rise(struct mr_top *top, size_t place, struct mr_top_place key)
{
    for (size_t parent; place > 0; place = parent) {
        parent = (place - 1) / CHILDREN;
        if (top->heap[parent].weight <= key.weight)
            break;
        top->heap[place] = top->heap[parent];
    }
    top->heap[place] = key;
}

/* The smallest counter: what the heap has of it is up to date. */
static struct mr_top_place lightest(struct mr_top *top)
{
    while (top->heap[0].weight != top->keys[top->heap[0].key].weight)
        sink(top);
    return top->heap[0];
}

/* ---- by id ---------------------------------------------------------------------------------- */

static uint32_t tag_of(mr_hash_key id)
{
    return (uint32_t)(id.lo >> 32);
}

static size_t home_of(const struct mr_top *top, mr_hash_key id)
{
    return (size_t)id.lo & top->slot_mask;
}

static uint64_t *cell_of(const struct mr_top *top, mr_hash_key id)
{
    return &top->filter[id.hi & (MR_TOP_CELLS - 1)];
}

/* Where id is, or the free slot where it would be. */
static size_t slot_of(const struct mr_top *top, mr_hash_key id)
{
    size_t slot = home_of(top, id);

    while (top->slots[slot].key && (top->slots[slot].tag != tag_of(id) ||
                                    !mr_hash_key_equal(top->keys[top->slots[slot].key - 1].id, id)))
        slot = (slot + 1) & top->slot_mask;
    return slot;
}

/* Frees a slot; those behind it that it stood in the way of move up. */
static void vacate(struct mr_top *top, size_t slot)
{
    for (size_t next = (slot + 1) & top->slot_mask; top->slots[next].key;
         next = (next + 1) & top->slot_mask) {
        size_t home = home_of(top, top->keys[top->slots[next].key - 1].id);

        if (((next - home) & top->slot_mask) >= ((next - slot) & top->slot_mask)) {
            top->slots[slot] = top->slots[next];
            slot = next;
        }
    }
    top->slots[slot].key = 0;
}

/* ---- adding --------------------------------------------------------------------------------- */

static void name(struct mr_top_key *key, mr_hash_key id, mr_bytes text)
{
    key->id = id;
    key->text_bytes = text.size;
    if (text.size)
        memcpy(mr_scratch(&key->text, &key->text_capacity, text.size), text.data, text.size);
    key->second = UINT64_MAX;
    key->in_second = key->peak = 0;
}

static void count(struct mr_top_key *key, uint64_t weight, uint64_t second)
{
    key->weight += weight;
    if (key->second != second) {
        key->second = second;
        key->in_second = 0;
    }
    key->in_second += weight;
    if (key->in_second > key->peak)
        key->peak = key->in_second;
}

void mr_top_add(struct mr_top *top, mr_hash_key id, mr_bytes text, uint64_t weight, uint64_t second)
{
    size_t slot = slot_of(top, id);
    uint64_t *cell, error;
    uint32_t index;

    top->sum += weight;
    if (top->slots[slot].key) { /* the heap learns it when it matters */
        count(&top->keys[top->slots[slot].key - 1], weight, second);
        return;
    }
    if (top->count < top->capacity) {
        index = (uint32_t)top->count++;
        name(&top->keys[index], id, text);
        count(&top->keys[index], weight, second);
        rise(top, index, (struct mr_top_place){top->keys[index].weight, index});
        top->slots[slot] = (struct mr_top_slot){index + 1, tag_of(id)};
        return;
    }
    cell = cell_of(top, id);
    if (*cell + weight < top->heap[0].weight || *cell + weight < lightest(top).weight) {
        *cell += weight;
        return;
    }
    index = top->heap[0].key;
    vacate(top, slot_of(top, top->keys[index].id));
    error = *cell; /* taken before the other key leaves its weight: it may be in the same cell */
    *cell_of(top, top->keys[index].id) = top->keys[index].weight;
    name(&top->keys[index], id, text);
    top->keys[index].weight = top->keys[index].error = error;
    count(&top->keys[index], weight, second);
    top->slots[slot_of(top, id)] = (struct mr_top_slot){index + 1, tag_of(id)};
    sink(top);
}

/* ---- asking --------------------------------------------------------------------------------- */

static int heavier(const void *a, const void *b)
{
    const struct mr_top_key *x = *(const struct mr_top_key *const *)a;
    const struct mr_top_key *y = *(const struct mr_top_key *const *)b;

    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return mr_hash_key_compare(x->id,
                               y->id); /* so that lists do not depend on the order of events */
}

size_t mr_top_list(const struct mr_top *top, const struct mr_top_key **list, size_t count_max)
{
    const struct mr_top_key **all = mr_alloc((top->count + 1) * sizeof *all);
    size_t listed = top->count < count_max ? top->count : count_max;

    for (size_t i = 0; i < top->count; i++)
        all[i] = &top->keys[i];
    qsort(all, top->count, sizeof *all, heavier);
    memcpy(list, all, listed * sizeof *list);
    mr_free(all);
    return listed;
}

uint64_t mr_top_floor(const struct mr_top *top)
{
    uint64_t least = top->count < top->capacity ? 0 : UINT64_MAX;

    for (size_t i = 0; i < top->count; i++)
        if (top->keys[i].weight < least)
            least = top->keys[i].weight;
    return least;
}
