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
}

void mr_top_fini(struct mr_top *top)
{
    for (size_t i = 0; i < top->count; i++)
        mr_free(top->keys[i].text);
    mr_free(top->keys);
    mr_free(top->heap);
    mr_free(top->slots);
}

/* ---- the heap ------------------------------------------------------------------------------- */

static uint64_t weight_at(const struct mr_top *top, size_t place)
{
    return top->keys[top->heap[place]].weight;
}

static void set_place(struct mr_top *top, size_t place, uint32_t key)
{
    top->heap[place] = key;
    top->keys[key].heap_place = (uint32_t)place;
}

/* The key at place has become heavier. */
static void sink(struct mr_top *top, size_t place)
{
    uint32_t key = top->heap[place];
    uint64_t weight = top->keys[key].weight;

    for (;;) {
        size_t child = 2 * place + 1;

        if (child >= top->count)
            break;
        if (child + 1 < top->count && weight_at(top, child + 1) < weight_at(top, child))
            child++;
        if (weight_at(top, child) >= weight)
            break;
        set_place(top, place, top->heap[child]);
        place = child;
    }
    set_place(top, place, key);
}

/* The key at place is lighter than those above it may be. */
static void rise(struct mr_top *top, size_t place)
{
    uint32_t key = top->heap[place];

    while (place > 0 && weight_at(top, (place - 1) / 2) > top->keys[key].weight) {
        set_place(top, place, top->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    set_place(top, place, key);
}

/* ---- by id ---------------------------------------------------------------------------------- */

static size_t home_of(const struct mr_top *top, mr_hash_key id)
{
    return (size_t)id.lo & top->slot_mask;
}

/* Where id is, or the free slot where it would be. */
static size_t slot_of(const struct mr_top *top, mr_hash_key id)
{
    size_t slot = home_of(top, id);

    while (top->slots[slot] && !mr_hash_key_equal(top->keys[top->slots[slot] - 1].id, id))
        slot = (slot + 1) & top->slot_mask;
    return slot;
}

/* Frees a slot; those behind it that it stood in the way of move up. */
static void vacate(struct mr_top *top, size_t slot)
{
    size_t next = slot;

    for (;;) {
        next = (next + 1) & top->slot_mask;
        if (!top->slots[next])
            break;
        size_t home = home_of(top, top->keys[top->slots[next] - 1].id);
        if (((next - home) & top->slot_mask) >= ((next - slot) & top->slot_mask)) {
            top->slots[slot] = top->slots[next];
            slot = next;
        }
    }
    top->slots[slot] = 0;
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
    uint32_t index;

    top->sum += weight;
    if (top->slots[slot]) {
        index = top->slots[slot] - 1;
        count(&top->keys[index], weight, second);
        sink(top, top->keys[index].heap_place);
        return;
    }
    if (top->count < top->capacity) {
        index = (uint32_t)top->count++;
        name(&top->keys[index], id, text);
        count(&top->keys[index], weight, second);
        set_place(top, index, index);
        rise(top, index);
        top->slots[slot] = index + 1;
        return;
    }
    index = top->heap[0];
    vacate(top, slot_of(top, top->keys[index].id));
    name(&top->keys[index], id, text);
    top->keys[index].error = top->keys[index].weight;
    count(&top->keys[index], weight, second);
    top->slots[slot_of(top, id)] = index + 1;
    sink(top, 0);
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
    return top->count < top->capacity ? 0 : weight_at(top, 0);
}
