#include "starting.h"

#include "base/fail.h"
#include "options.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

#define SHARD_COUNT_MAX 100000
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

/* "orders:4" or "orders". */
static mr_status read_one(char *text, uint32_t *shard_count, mr_error *error)
{
    char *colon = strchr(text, ':');
    uint64_t count = 1;

    if (colon) {
        *colon = 0;
        if (!mr_number_parse(colon + 1, &count) || count < 1 || count > SHARD_COUNT_MAX)
            return mr_fail(error, MR_INVALID, "%s has '%.20s' shards: use 1 to %d", text, colon + 1,
                           SHARD_COUNT_MAX);
    }
    if (!*text || strspn(text, NAME_CHARACTERS) != strlen(text))
        return mr_fail(error, MR_INVALID, "'%.40s' is no name of a stream", text);
    *shard_count = (uint32_t)count;
    return MR_OK;
}

mr_status mr_start_streams_read(const char *list,
                                mr_status (*take)(void *context, const char *name,
                                                  uint32_t shard_count, mr_error *error),
                                void *context, mr_error *error)
{
    mr_status status = MR_OK;
    bool is_last;

    do {
        char text[MR_NAME_BYTES_MAX + 16];
        size_t size = strcspn(list, ",");
        uint32_t shard_count = 0;

        is_last = !list[size];
        if (size >= sizeof text)
            return mr_fail(error, MR_INVALID, "'%.40s...' is too long for a name", list);
        memcpy(text, list, size);
        text[size] = 0;
        status = read_one(text, &shard_count, error);
        if (!status && take)
            status = take(context, text, shard_count, error);
        list += size + 1;
    } while (!status && !is_last);
    return status;
}

static mr_status make(void *context, const char *name, uint32_t shard_count, mr_error *error)
{
    mr_error inner = {0};
    mr_status status = mr_stream_create(context, name, shard_count, &inner);

    if (status && status != MR_EXISTS)
        return mr_fail(error, status, "%s", inner.message);
    if (!status)
        mr_say("made stream %s with %u %s", name, shard_count,
               shard_count == 1 ? "shard" : "shards");
    return MR_OK;
}

mr_status mr_start_streams(mr_engine *engine, const char *list, mr_error *error)
{
    return mr_start_streams_read(list, make, engine, error);
}
