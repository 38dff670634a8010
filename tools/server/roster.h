/* roster.h - users and their keys, as the guard's file says; never changed once it is read. */
#ifndef MR_SERVER_ROSTER_H
#define MR_SERVER_ROSTER_H

#include "base/table.h"
#include "os/thread.h"
#include "server/guard.h"
#include "wire/sign.h"

enum { SIGNING_KEY_COUNT = 4 };

/* Made of a secret, a day and a region: kept, for it is the same in most requests. */
struct mr_signing_key {
    char date[9], region[MR_REGION_BYTES_MAX + 1];
    struct mr_seal key;
};

struct mr_access_key {
    mr_bytes id, token; /* token: absent if it has none */
    const char *secret;
    int64_t expires_ms; /* INT64_MAX: never */
    const struct mr_user *user;
    struct {
        pthread_mutex_t lock;
        struct mr_signing_key items[SIGNING_KEY_COUNT];
        unsigned next;
    } signing;
    struct mr_access_key *next;
};

struct mr_user {
    struct mr_caller caller;
    struct mr_policy **policies;
    size_t capacity;
    struct mr_user *next;
};

struct mr_roster {
    _Atomic uint32_t references;
    struct mr_arena arena;
    struct mr_user *users;
    struct mr_access_key *keys;
    struct mr_table by_id;
};

#endif
