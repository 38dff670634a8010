/*
 * balance.h - which leases a worker should take, from what it sees of them all. No calls, no clock:
 * a table in, a list out.
 */
#ifndef MR_CONSUMER_BALANCE_H
#define MR_CONSUMER_BALANCE_H

#include "lease.h"

/* A lease as this worker sees it. */
struct mr_seen {
    mr_lease lease;
    uint64_t since_ns; /* when its counter was first seen as it is */
    bool is_ours;      /* a task of ours works on it */
    bool is_coming;    /* we have stolen it, and wait for its owner to finish */
    uint64_t asked_ns; /* since then */
    bool is_faulty;    /* unreadable: only its shard is known */
};

struct mr_balance {
    const char *worker;
    uint64_t now_ns, lease_ns;
    uint32_t lease_count_max, steal_count_max;
};

/* Has its owner been silent for so long that anybody may take it? A free one is. */
bool mr_seen_is_free(const struct mr_balance *balance, const struct mr_seen *seen);

/* May its shard be worked on: not read to its end, and its parents are? seen[] is in shard order. */
bool mr_seen_is_ready(const struct mr_seen *seen, size_t count, size_t index);

/* NULL: there is none. seen[] is in shard order. */
struct mr_seen *mr_seen_find(struct mr_seen *seen, size_t count, mr_shard_id shard);

/*
 * Writes to take[] the indexes of the leases that the worker should take now, at most count, and
 * returns how many; those from *stolen on have a living owner. So that all have about the same
 * number: free ones first, and only if there is none for us some of whoever has the most. `chance`
 * spreads workers that choose at the same time over different leases.
 */
size_t mr_balance(const struct mr_balance *balance, struct mr_seen *seen, size_t count,
                  uint64_t chance, size_t *take, size_t *stolen);

/* How many workers hold leases, this one included. */
uint32_t mr_balance_workers(const struct mr_balance *balance, const struct mr_seen *seen,
                            size_t count);

#endif
