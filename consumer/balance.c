#include "balance.h"

#include "base/memory.h"
#include "base/table.h"

#include <string.h>

/* ---- one lease ---------------------------------------------------------------------------- */

bool mr_seen_is_free(const struct mr_balance *balance, const struct mr_seen *seen)
{
    return !seen->lease.owner[0] || balance->now_ns - seen->since_ns >= balance->lease_ns;
}

struct mr_seen *mr_seen_find(struct mr_seen *seen, size_t count, mr_shard_id shard)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (seen[middle].lease.shard < shard)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && seen[low].lease.shard == shard ? &seen[low] : NULL;
}

bool mr_seen_is_ready(const struct mr_seen *seen, size_t count, size_t index)
{
    const mr_lease *lease = &seen[index].lease;

    if (seen[index].is_faulty || mr_lease_is_ended(lease))
        return false;
    for (int i = 0; i < 2; i++) {
        const struct mr_seen *parent =
            lease->parents[i] == MR_NO_SHARD
                ? NULL
                : mr_seen_find((struct mr_seen *)(uintptr_t)seen, count, lease->parents[i]);

        /* C4: a parent whose lease is gone has been read, or was never to be. */
        if (parent && (parent->is_faulty || !mr_lease_is_ended(&parent->lease)))
            return false;
    }
    return true;
}

/* ---- all of them -------------------------------------------------------------------------- */

/* The living workers and how many leases each holds. */
struct load {
    const char *owner;
    uint32_t count;
};

struct loads {
    struct load *items;
    size_t count, capacity;
    struct mr_table by_owner;
    uint32_t ours, ready; /* leases of ours; of all that can be worked on */
};

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void add(struct loads *loads, const char *owner)
{
    size_t place = (size_t)(uintptr_t)mr_table_get(&loads->by_owner, text_of(owner));

    if (place == 0) {
        mr_grow(loads->items, loads->count, loads->capacity);
        loads->items[loads->count++] = (struct load){.owner = owner};
        place = loads->count;
        mr_table_put(&loads->by_owner, text_of(owner), (void *)(uintptr_t)place);
    }
    loads->items[place - 1].count++;
}

/* Ours are those that we work on or wait for: a name proves nothing, it may be used twice. */
static void count_loads(const struct mr_balance *balance, const struct mr_seen *seen, size_t count,
                        struct loads *loads)
{
    *loads = (struct loads){0};
    for (size_t i = 0; i < count; i++) {
        if (seen[i].is_ours || seen[i].is_coming)
            loads->ours += !mr_lease_is_ended(&seen[i].lease);
        if (!mr_seen_is_ready(seen, count, i))
            continue;
        loads->ready++;
        if (!seen[i].is_ours && !seen[i].is_coming && !mr_seen_is_free(balance, &seen[i]))
            add(loads, seen[i].lease.owner);
    }
}

static void loads_fini(struct loads *loads)
{
    mr_table_fini(&loads->by_owner);
    mr_free(loads->items);
}

uint32_t mr_balance_workers(const struct mr_balance *balance, const struct mr_seen *seen,
                            size_t count)
{
    struct loads loads;
    uint32_t workers;

    count_loads(balance, seen, count, &loads);
    workers = (uint32_t)loads.count + 1;
    loads_fini(&loads);
    return workers;
}

/* Takes leases that have been free for that long or, if `owner` is not NULL, that this one holds. */
static size_t choose(const struct mr_balance *balance, const struct mr_seen *seen, size_t count,
                     const char *owner, uint64_t free_ns, uint64_t chance, size_t most,
                     size_t *take)
{
    size_t chosen = 0;

    for (size_t i = 0; i < count && chosen < most; i++) {
        size_t index = (size_t)((i + chance) % count);
        const struct mr_seen *each = &seen[index];
        bool is_free = mr_seen_is_free(balance, each);

        if (each->is_ours || each->is_coming || !mr_seen_is_ready(seen, count, index))
            continue;
        if (owner ? !is_free && !each->lease.handing[0] && strcmp(each->lease.owner, owner) == 0
                  : is_free && balance->now_ns - each->since_ns >= free_ns)
            take[chosen++] = index;
    }
    return chosen;
}

static const struct load *most_loaded(const struct loads *loads)
{
    const struct load *most = NULL;

    for (size_t i = 0; i < loads->count; i++)
        if (!most || loads->items[i].count > most->count)
            most = &loads->items[i];
    return most;
}

/* How many to steal of a worker that has more than its share. */
static uint32_t excess(const struct mr_balance *balance, const struct loads *loads,
                       const struct load *most, uint32_t target, uint32_t needed)
{
    uint32_t over = most->count > target ? most->count - target : 0;

    /* All have their share, rounded up, but we have less than it rounded down. */
    if (over == 0 && most->count > loads->ours + 1)
        over = 1;
    over = over < needed ? over : needed;
    return over < balance->steal_count_max ? over : balance->steal_count_max;
}

size_t mr_balance(const struct mr_balance *balance, struct mr_seen *seen, size_t count,
                  uint64_t chance, size_t *take, size_t *stolen)
{
    const struct load *most;
    struct loads loads;
    uint32_t target, needed;
    size_t chosen = 0;

    *stolen = 0;
    count_loads(balance, seen, count, &loads);
    target = (loads.ready + (uint32_t)loads.count) / ((uint32_t)loads.count + 1);
    target = target < balance->lease_count_max ? target : balance->lease_count_max;
    if (loads.ours < target) {
        needed = target - loads.ours;
        *stolen = chosen = choose(balance, seen, count, NULL, 0, chance, needed, take);
        most = most_loaded(&loads);
        if (chosen == 0 && most)
            chosen = choose(balance, seen, count, most->owner, 0, chance,
                            excess(balance, &loads, most, target, needed), take);
    } else if (loads.ours < balance->lease_count_max) {
        /* Nobody else wants these: workers may have a maximum. */
        *stolen = chosen = choose(balance, seen, count, NULL, 2 * balance->lease_ns, chance,
                                  balance->lease_count_max - loads.ours, take);
    }
    loads_fini(&loads);
    return chosen;
}
