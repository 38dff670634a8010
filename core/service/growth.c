/*
 * growth.c - streams on demand: they take twice the most that was put into them in a while, and get
 * more shards when more is put (spec 6.1).
 */
#include "service/inside.h"

#include <string.h>

#define LOOK_EVERY_MS 5000
#define SHARD_COUNT_MAX 10000

/* What a stream looks like now, and how many shards it should have. */
struct candidate {
    char name[MR_NAME_BYTES_MAX + 1];
    uint32_t target;
};

struct looking {
    struct mr_local *local;
    struct candidate found;
};

static uint32_t shards_needed(const struct mr_local_stream *stream,
                              const struct mr_stream_info *info, int64_t now_ms)
{
    uint64_t bytes = info->record_bytes - stream->put_bytes;
    int64_t elapsed_ms = now_ms - stream->looked_ms;
    uint64_t needed;

    if (!stream->looked_ms || elapsed_ms <= 0)
        return 0;
    /* A shard takes 1 MiB a second: twice what was put. */
    needed = 2 * bytes * 1000 / (uint64_t)elapsed_ms / MIB;
    if (needed > 2 * (uint64_t)info->open_shard_count)
        needed = 2 * (uint64_t)info->open_shard_count;
    return needed > SHARD_COUNT_MAX ? SHARD_COUNT_MAX : (uint32_t)needed;
}

static bool look(void *context, const struct mr_stream_info *info)
{
    struct looking *looking = context;
    struct mr_local *local = looking->local;
    int64_t now_ms = mr_local_now_ms(local);
    struct mr_local_stream *stream;

    pthread_rwlock_wrlock(&local->lock);
    stream = mr_local_find(local, info->name);
    if (stream && now_ms - stream->looked_ms >= LOOK_EVERY_MS / 2) {
        uint32_t target = stream->is_on_demand ? shards_needed(stream, info, now_ms) : 0;

        if (target > info->open_shard_count &&
            mr_phase_at(&stream->phase, now_ms) == STATUS_ACTIVE) {
            memcpy(looking->found.name, stream->name, sizeof looking->found.name);
            looking->found.target = target;
        }
        stream->put_bytes = info->record_bytes;
        stream->looked_ms = now_ms;
    }
    pthread_rwlock_unlock(&local->lock);
    return looking->found.target == 0;
}

void mr_local_grow(struct mr_local *local)
{
    struct looking looking;

    do {
        memset(&looking, 0, sizeof looking);
        looking.local = local;
        mr_stream_each(local->engine, look, &looking);
        /* If it fails, the next look tries again. */
        if (looking.found.target)
            mr_stream_scale(local->engine, looking.found.name, looking.found.target, NULL);
    } while (looking.found.target);
}

static void grow(struct mr_job *job)
{
    struct mr_local *local =
        (struct mr_local *)(void *)((char *)job - offsetof(struct mr_local, growth));

    pthread_mutex_lock(&local->changing);
    mr_local_grow(local);
    pthread_mutex_unlock(&local->changing);
    mr_local_alarm(local, &local->grower, LOOK_EVERY_MS);
}

static void ring(struct mr_alarm *alarm)
{
    struct mr_local *local =
        (struct mr_local *)(void *)((char *)alarm - offsetof(struct mr_local, grower));

    if (!atomic_load(&local->is_closing))
        mr_workers_add(local->workers, &local->growth);
}

void mr_local_growth_start(struct mr_local *local)
{
    local->grower.ring = ring;
    local->growth.run = grow;
    mr_local_alarm(local, &local->grower, LOOK_EVERY_MS);
}
