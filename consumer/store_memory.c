/* store_memory.c - leases in memory, and what all stores have in common to be called. */
#include "lease.h"

#include "base/memory.h"

#include <pthread.h>

struct memory {
    mr_lease_store store; /* first */
    pthread_mutex_t lock;
    mr_lease *leases;
    size_t count, capacity;
};

static struct memory *memory_of(mr_lease_store *store)
{
    return (struct memory *)(void *)store;
}

/* NULL: there is none. Hold the lock. */
static mr_lease *find(struct memory *memory, mr_shard_id shard)
{
    for (size_t i = 0; i < memory->count; i++)
        if (memory->leases[i].shard == shard)
            return &memory->leases[i];
    return NULL;
}

/* The row if its counter is the expected one. */
static mr_status find_expected(struct memory *memory, const mr_lease *expected, mr_lease **found,
                               mr_error *error)
{
    *found = find(memory, expected->shard);
    if (!*found)
        return mr_lease_missing(expected->shard, error);
    if ((*found)->counter != expected->counter)
        return mr_lease_conflict(expected->shard, (*found)->counter, expected->counter, error);
    return MR_OK;
}

/* Copies, for visit() runs without our lock. */
static mr_status list(mr_lease_store *store, mr_lease_visit *visit, void *context, mr_error *error)
{
    struct memory *memory = memory_of(store);
    mr_lease *copy;
    size_t count;
    (void)error;

    pthread_mutex_lock(&memory->lock);
    count = memory->count;
    copy = mr_alloc((count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = memory->leases[i];
    pthread_mutex_unlock(&memory->lock);
    for (size_t i = 0; i < count && visit(context, &copy[i], NULL); i++)
        continue;
    mr_free(copy);
    return MR_OK;
}

static mr_status get(mr_lease_store *store, mr_shard_id shard, mr_lease *lease, mr_error *error)
{
    struct memory *memory = memory_of(store);
    const mr_lease *found;

    pthread_mutex_lock(&memory->lock);
    found = find(memory, shard);
    if (found)
        *lease = *found;
    pthread_mutex_unlock(&memory->lock);
    return found ? MR_OK : mr_lease_missing(shard, error);
}

static mr_status create(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct memory *memory = memory_of(store);
    bool is_there;

    pthread_mutex_lock(&memory->lock);
    is_there = find(memory, lease->shard);
    if (!is_there) {
        mr_grow(memory->leases, memory->count, memory->capacity);
        memory->leases[memory->count++] = *lease;
    }
    pthread_mutex_unlock(&memory->lock);
    return is_there ? mr_lease_exists(lease->shard, error) : MR_OK;
}

static mr_status update(mr_lease_store *store, const mr_lease *from, const mr_lease *to,
                        mr_error *error)
{
    struct memory *memory = memory_of(store);
    mr_lease *found;
    mr_status status;

    pthread_mutex_lock(&memory->lock);
    status = find_expected(memory, from, &found, error);
    if (!status)
        *found = *to;
    pthread_mutex_unlock(&memory->lock);
    return status;
}

static mr_status remove_lease(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct memory *memory = memory_of(store);
    mr_lease *found;
    mr_status status;

    pthread_mutex_lock(&memory->lock);
    status = find_expected(memory, lease, &found, error);
    if (!status)
        *found = memory->leases[--memory->count];
    pthread_mutex_unlock(&memory->lock);
    return status;
}

static void close_store(mr_lease_store *store)
{
    struct memory *memory = memory_of(store);

    pthread_mutex_destroy(&memory->lock);
    mr_free(memory->leases);
    mr_free(memory);
}

mr_status mr_lease_store_memory(mr_lease_store **store, mr_error *error)
{
    struct memory *memory = mr_new(struct memory);
    (void)error;

    memory->store = (mr_lease_store){list, get, create, update, remove_lease, close_store};
    pthread_mutex_init(&memory->lock, NULL);
    *store = &memory->store;
    return MR_OK;
}

void mr_lease_store_close(mr_lease_store *store)
{
    if (store)
        store->close(store);
}
