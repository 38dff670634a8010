#include "server/body.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>

#define FREE_BYTES_MAX (8u << 20) /* kept for later, a loop */

static size_t size_of(unsigned index)
{
    return (size_t)4096 << 2 * index;
}

/* The smallest size that holds bytes; MR_BODY_SIZE_COUNT: it needs one of its own. */
static unsigned size_index(size_t bytes)
{
    unsigned index = 0;

    while (index < MR_BODY_SIZE_COUNT && size_of(index) < bytes)
        index++;
    return index;
}

void mr_bodies_init(struct mr_bodies *bodies, uint64_t limit)
{
    *bodies = (struct mr_bodies){.limit = limit};
}

void mr_bodies_fini(struct mr_bodies *bodies)
{
    for (unsigned i = 0; i < MR_BODY_SIZE_COUNT; i++)
        while (bodies->free[i]) {
            void *memory = bodies->free[i];
            memcpy(&bodies->free[i], memory, sizeof(void *));
            mr_free(memory);
        }
}

static bool fits(const struct mr_bodies *bodies, uint64_t bytes)
{
    return bodies->reserved == 0 ||
           (bodies->reserved < bodies->limit && bytes <= bodies->limit - bodies->reserved);
}

bool mr_body_reserve(struct mr_bodies *bodies, struct mr_body *body, uint64_t bytes)
{
    mr_check(body->reserved == 0 && !body->is_waiting);
    if (bytes <= MR_BODY_SMALL_BYTES)
        return true;
    body->reserved = bytes;
    if (!bodies->first && fits(bodies, bytes)) {
        bodies->reserved += bytes;
        return true;
    }
    body->is_waiting = true;
    body->next = NULL;
    if (bodies->last)
        bodies->last->next = body;
    else
        bodies->first = body;
    bodies->last = body;
    return false;
}

/* Takes body, which stands behind before, out of those that wait. */
static void unqueue(struct mr_bodies *bodies, struct mr_body *before, struct mr_body *body)
{
    if (before)
        before->next = body->next;
    else
        bodies->first = body->next;
    if (bodies->last == body)
        bodies->last = before;
    body->is_waiting = false;
    body->next = NULL;
}

struct mr_body *mr_bodies_next(struct mr_bodies *bodies)
{
    struct mr_body *body = bodies->first;

    if (!body || !fits(bodies, body->reserved))
        return NULL;
    unqueue(bodies, NULL, body);
    bodies->reserved += body->reserved;
    return body;
}

static uint8_t *memory_take(struct mr_bodies *bodies, unsigned index)
{
    void *memory = bodies->free[index];

    if (!memory)
        return mr_alloc(size_of(index) + MR_BODY_SLACK_BYTES);
    memcpy(&bodies->free[index], memory, sizeof(void *));
    bodies->free_bytes -= size_of(index);
    return memory;
}

static void memory_give(struct mr_bodies *bodies, uint8_t *memory, size_t capacity)
{
    unsigned index = size_index(capacity);

    if (index == MR_BODY_SIZE_COUNT || size_of(index) != capacity ||
        bodies->free_bytes + capacity > FREE_BYTES_MAX) {
        mr_free(memory);
        return;
    }
    memcpy(memory, &bodies->free[index], sizeof(void *));
    bodies->free[index] = memory;
    bodies->free_bytes += capacity;
}

void mr_body_extend(struct mr_bodies *bodies, struct mr_body *body, size_t bytes)
{
    unsigned index;
    uint8_t *memory;
    size_t capacity;

    if (bytes <= body->capacity)
        return;
    index = size_index(bytes);
    if (index < MR_BODY_SIZE_COUNT) {
        capacity = size_of(index);
        memory = memory_take(bodies, index);
    } else {
        capacity = bytes < body->capacity * 2 ? body->capacity * 2 : bytes;
        memory = mr_alloc(capacity + MR_BODY_SLACK_BYTES);
    }
    if (body->size)
        memcpy(memory, body->data, body->size);
    if (body->data)
        memory_give(bodies, body->data, body->capacity);
    body->data = memory;
    body->capacity = capacity;
}

void mr_body_release(struct mr_bodies *bodies, struct mr_body *body)
{
    if (body->is_waiting) {
        struct mr_body *before = NULL;

        for (struct mr_body *each = bodies->first; each != body; each = each->next)
            before = each;
        unqueue(bodies, before, body);
    } else {
        bodies->reserved -= body->reserved;
    }
    if (body->data)
        memory_give(bodies, body->data, body->capacity);
    *body = (struct mr_body){0};
}
