#include "keys/top.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/u128.h"

#include <stdlib.h>
#include <string.h>

void mr_top_init(struct mr_top *top, size_t capacity)
{
    size_t slot_count = 4;

    mr_check(capacity < UINT16_MAX);
    while (slot_count <
           8 * capacity) /* so that a key without a counter mostly finds its slot free */
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

static uint16_t tag_of(mr_hash_key id)
{
    return (uint16_t)(id.lo >> 48);
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

/* Without a branch: whether the second is another cannot be foreseen. */
static inline void count(struct mr_top_key *key, uint64_t weight, uint64_t second)
{
    uint64_t in_second = (key->second == second ? key->in_second : 0) + weight;

    key->weight += weight;
    key->second = second;
    key->in_second = in_second;
    key->peak = in_second > key->peak ? in_second : key->peak;
}

/* A key without a counter, whose cell reaches the smallest one, takes that over. */
static void take_over(struct mr_top *top, mr_hash_key id, mr_bytes text, uint64_t weight,
                      uint64_t second)
{
    uint32_t index = top->heap[0].key;
    uint64_t error = *cell_of(top, id); /* now: the other key may leave its weight in the same */

    vacate(top, slot_of(top, top->keys[index].id));
    *cell_of(top, top->keys[index].id) = top->keys[index].weight;
    name(&top->keys[index], id, text);
    top->keys[index].weight = top->keys[index].error = error;
    count(&top->keys[index], weight, second);
    top->slots[slot_of(top, id)] = (struct mr_top_slot){(uint16_t)(index + 1), tag_of(id)};
    sink(top);
}

static void begin(struct mr_top *top, mr_hash_key id, mr_bytes text, uint64_t weight,
                  uint64_t second)
{
    uint32_t index = (uint32_t)top->count++;

    name(&top->keys[index], id, text);
    count(&top->keys[index], weight, second);
    rise(top, index, (struct mr_top_place){top->keys[index].weight, index});
    top->slots[slot_of(top, id)] = (struct mr_top_slot){(uint16_t)(index + 1), tag_of(id)};
}

static inline void add(struct mr_top *top, mr_hash_key id, mr_bytes text, uint64_t weight,
                       uint64_t second)
{
    size_t slot = home_of(top, id);
    uint64_t *cell = cell_of(top, id);

    top->sum += weight;
    if (top->slots[slot].key) /* a key is never behind a free slot */
        slot = slot_of(top, id);
    if (top->slots[slot].key) /* the heap learns it when it matters */
        count(&top->keys[top->slots[slot].key - 1], weight, second);
    else if (top->count < top->capacity)
        begin(top, id, text, weight, second);
    else if (*cell + weight < top->heap[0].weight || *cell + weight < lightest(top).weight)
        *cell += weight;
    else
        take_over(top, id, text, weight, second);
}

void mr_top_add(struct mr_top *top, mr_hash_key id, mr_bytes text, uint64_t weight, uint64_t second)
{
    add(top, id, text, weight, second);
}

/* Those that have no counter, or not in their home slot. */
static void add_others(struct mr_top *top, const struct mr_top_batch *batch,
                       const uint32_t *weights, const uint32_t *others, size_t other_count)
{
    for (size_t o = 0; o < other_count; o++) {
        size_t i = others[o];
        uint64_t *cell = cell_of(top, batch->ids[i]);

        if (top->count == top->capacity && !top->slots[home_of(top, batch->ids[i])].key &&
            *cell + weights[i] < top->heap[0].weight) { /* nearly always */
            *cell += weights[i];
            top->sum += weights[i];
        } else {
            add(top, batch->ids[i], batch->texts[i], weights[i], batch->seconds[i]);
        }
    }
}

/* Whether a key has a counter cannot be foreseen, so nothing branches on it: the batch is parted. */
void mr_top_add_batch(struct mr_top *top, const struct mr_top_batch *batch, const uint32_t *weights)
{
    uint32_t known[MR_TOP_BATCH], counters[MR_TOP_BATCH], others[MR_TOP_BATCH];
    size_t known_count = 0, other_count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        mr_hash_key id = batch->ids[i];
        struct mr_top_slot slot = top->slots[home_of(top, id)];
        bool is_known = (slot.key != 0) & (slot.tag == tag_of(id));

        __builtin_prefetch(cell_of(top, id));
        known[known_count] = others[other_count] = (uint32_t)i;
        counters[known_count] = slot.key - 1u;
        known_count += is_known;
        other_count += !is_known;
    }
    for (size_t k = 0; k < known_count; k++) {
        struct mr_top_key *key = &top->keys[counters[k]];
        size_t i = known[k];

        if (!mr_hash_key_equal(key->id, batch->ids[i])) { /* 2^-16 of the time: hardly ever */
            others[other_count++] = (uint32_t)i;
            continue;
        }
        top->sum += weights[i];
        count(key, weights[i], batch->seconds[i]);
    }
    add_others(top, batch, weights, others, other_count);
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
